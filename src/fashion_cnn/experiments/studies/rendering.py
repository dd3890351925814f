"""A study's result as files: JSON for programs, Markdown and a figure for people, and a page that lists all studies."""

import json
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from fashion_cnn.comparison.words import kernel_size
from fashion_cnn.core.outputs import output_file, output_folder
from fashion_cnn.core.params import Params
from fashion_cnn.experiments.studies.claims import Judged
from fashion_cnn.experiments.studies.definitions import Changes, Study
from fashion_cnn.experiments.studies.summary import LEVEL, PASSES, Network, Summary
from fashion_cnn.reporting import style
from fashion_cnn.reporting.language import Language, flat

WORDS: Final = Language.load("en")
DIGITS: Final = 6
LONG: Final = 8  # characters, beyond which a point's name is written on several lines


def write(folder: Path, study: Study, summary: Summary, judged: Sequence[Judged]) -> None:
    """Write study.json, README.md and accuracy.svg, all or none; the same bytes for the same results."""
    with output_folder(folder) as partial:
        content = json.dumps(described(study, summary, judged), indent=2, ensure_ascii=False)
        (partial / "study.json").write_text(content + "\n", encoding="utf-8")
        (partial / "README.md").write_text(document(study, summary, judged), encoding="utf-8")
        style.save(figure(study, summary), partial / "accuracy.svg")


def described(study: Study, summary: Summary, judged: Sequence[Judged]) -> dict[str, Any]:
    """What programs read: everything, shares rounded to six digits."""
    common = set.intersection(*(set(_settings(point.parameters).items()) for point in study.points))
    return _rounded(
        {
            "study": study.name,
            "question": study.question,
            "answer": answer(summary),
            "parameters": {name: json.loads(value) for name, value in sorted(common)},
            "points": {point.name: {"experiment": point.experiment, "sets": point.changes} for point in study.points},
            "networks": [network._asdict() for network in summary.networks],
            "differences": [difference._asdict() for difference in summary.differences],
            "claims": [claim._asdict() for claim in judged],
            "code": dict(summary.code),
        }
    )


def _settings(parameters: Mapping[str, Any]) -> dict[str, str]:
    """What of params.yaml decides results: dotted names to JSON."""
    decide = {name: parameters[name] for name in Params.model_fields}
    return {name: json.dumps(value) for name, value in flat(decide).items()}


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list | tuple) else value


def document(study: Study, summary: Summary, judged: Sequence[Judged]) -> str:
    """The whole result in Markdown."""
    picture = f"![{escape(study.question)}](accuracy.svg)\n"
    parts = [f"# {study.name}\n", f"**{study.question}** {answer(summary)}\n", picture, networks(study, summary)]
    parts += [claims(judged)] if judged else []
    return "\n".join([*parts, notes(study, summary), differences(study, summary)])


def short(study: Study, summary: Summary, judged: Sequence[Judged]) -> str:
    """The result for a terminal: without the list of differences."""
    parts = [f"**{study.question}** {answer(summary)}\n", networks(study, summary)]
    return "\n".join([*parts, *([claims(judged)] if judged else []), notes(study, summary)])


def answer(summary: Summary) -> str:
    """How many of the differences can be told, and of what that is said."""
    if not summary.differences:
        return "One network: nothing to compare."
    told = [one for one in summary.differences if one.told]
    once = [one for one in told if one.seed_interval is None]
    found = f"{len(told)} of {len(summary.differences)} differences can be told"
    if all(one.seed_interval is None for one in summary.differences):
        return f"{found} (of these trained networks: one seed says nothing of others)."
    of_them = f", {len(once)} of them of trained networks alone (one seed says nothing of others)" if once else ""
    return f"{found}{of_them}."


def _once(summary: Summary) -> list[str]:
    """The points whose networks were trained once, so that what another seed would give is not known."""
    return list(dict.fromkeys(network.point for network in summary.networks if network.seeds == 1))


def networks(study: Study, summary: Summary) -> str:
    """The networks side by side, each with what it can be told from."""
    several = len({network.arm for network in summary.networks}) > 1
    heads = ["point", "sets", *(["network"] if several else []), "test accuracy", "95% interval", "parameters"]
    heads += ["multiply-adds", "training, 10⁹ multiply-adds", "told from"]
    varied = {point.name: point.varied for point in study.points}
    rows = [
        [
            network.point,
            sets(varied[network.point]),
            *([label(network)] if several else []),
            WORDS.percent(network.accuracy, 2) + _deviation(network),
            f"{WORDS.points(network.interval.low, signed=False)} to {WORDS.percent(network.interval.high, 2)}",
            WORDS.integer(network.parameters),
            WORDS.integer(network.multiply_adds),
            WORDS.integer(network.training_multiply_adds / 1e9),
            _told_from(network, summary) or "nothing",
        ]
        for network in summary.networks
    ]
    return _table(heads, rows, words=3 if several else 2, last_is_words=True)


def sets(changes: Changes) -> str:
    """What a point sets, as `dvc exp run -S` takes it."""
    return ", ".join(f"`{name}={json.dumps(value)}`" for name, value in changes.items()) or "nothing"


def label(network: Network) -> str:
    """A network's name for people."""
    kind = "cnn" if network.arm.startswith("cnn") else network.arm
    return WORDS.text(f"arms.{kind}", size=kernel_size(network.kernel))


def _deviation(network: Network) -> str:
    """The standard deviation between seeds, where there are several."""
    return "" if network.seed_deviation is None else f" ± {WORDS.points(network.seed_deviation, signed=False)}"


def _told_from(network: Network, summary: Summary) -> str:
    """The networks that it can be told from, each named by the one thing in which it differs."""
    own = (network.point, network.arm)
    labels = {(one.point, one.arm): label(one) for one in summary.networks}
    others = [
        other
        for one in summary.differences
        if one.told and own in (one.first, one.second)
        for other in (one.first, one.second)
        if other != own
    ]
    return ", ".join(labels[other] if other[0] == network.point else other[0] for other in others)


def differences(study: Study, summary: Summary) -> str:
    """Every difference that was looked at."""
    if not summary.differences:
        return ""
    labels = {(one.point, one.arm): label(one) for one in summary.networks}
    several = len(study.arms) > 1

    def name(network: tuple[str, str]) -> str:
        return f"{network[0]}, {labels[network]}" if several else network[0]

    heads = ["network", "minus", "points", "other test images could make it", "other seeds could make it", "p", "told"]
    rows = [
        [
            name(one.first),
            name(one.second),
            WORDS.points(one.difference),
            f"{WORDS.points(one.test_interval.low)} to {WORDS.points(one.test_interval.high)}",
            f"{WORDS.points(one.seed_interval.low)} to {WORDS.points(one.seed_interval.high)}"
            if one.seed_interval
            else "one seed cannot show",
            "< 0.001" if one.p_value < 0.001 else WORDS.decimal(one.p_value, 3),
            "yes" if one.told else "no",
        ]
        for one in summary.differences
    ]
    return "## Differences\n\n" + _table(heads, rows, words=2)


def claims(judged: Sequence[Judged]) -> str:
    """The notebook's claims, each judged in the point that can decide it."""
    rows = [[one.claim, f"**{one.verdict}**", one.point or "none", one.evidence] for one in judged]
    return "## The notebook's claims\n\n" + _table(["claim", "verdict", "judged in", "evidence"], rows, words=4)


def notes(study: Study, summary: Summary) -> str:
    """How to read the table, and what it can't show."""
    count = len(summary.differences)
    lines = [
        "The interval of an accuracy is of one training, over the drawing of test images (Wilson); "
        "± is the standard deviation between seeds.",
        f"Training: {PASSES} forward passes for each image, epoch and seed, since a backward pass costs about two.",
    ]
    if count:
        each = WORDS.percent(1 - LEVEL / count, 2)
        lines.append(
            "Two networks are compared where they differ in one thing, on the test images and seeds that both have. "
            f"A difference is told where p, corrected for {count} comparisons (Holm), is at most {LEVEL}, "
            "and the interval of the seeds, where there are several, leaves 0 out. "
            f"Intervals of differences are at {each}."
        )
    if once := _once(summary):
        whose = "" if len(once) == len(study.points) else f" ({', '.join(once)})"
        lines.append(
            f"Trained once{whose}: another seed gives another network, and only several seeds (`train.seeds`) show how "
            "much that changes."
        )
    for environment, points in _environments(summary).items():
        whose = "" if len(_environments(summary)) == 1 else f" ({', '.join(points)})"
        lines.append(f"Trained with {environment}{whose}.")
    if len(_environments(summary)) > 1:
        lines.append("Points that were trained in different ways differ in that, too.")
    shared = ", ".join(f"`{name}={json.dumps(value)}`" for name, value in study.settings.items())
    lines += [f"All points set {shared}, where the table does not say otherwise."] if shared else []
    return "".join(f"- {line}\n" for line in lines)


def _environments(summary: Summary) -> dict[str, list[str]]:
    """Each environment in words, without the networks' own precision, and the points that were trained in it."""
    found: dict[str, list[str]] = {}
    for network in summary.networks:
        words = ", ".join(
            f"{WORDS.texts.get(f'environment.{name}', name)} {value}"
            for name, value in network.environment.items()
            if name != "precision"
        )
        if network.point not in found.setdefault(words, []):
            found[words].append(network.point)
    return found


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]], words: int, *, last_is_words: bool = False) -> str:
    """A Markdown table whose first columns hold words, the others numbers."""
    kinds = [":---" if at < words else "---:" for at in range(len(heads))]
    kinds[-1] = ":---" if last_is_words else kinds[-1]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in [heads, kinds, *rows])


def figure(study: Study, summary: Summary) -> Figure:
    """Accuracy against what was varied: mean and 95% interval of each network, small dots are seeds."""
    drawn, axes = style.single_axes(3.1)
    arms = list(dict.fromkeys(network.arm for network in summary.networks))
    names = [point.name for point in study.points]
    for at, arm in enumerate(arms):
        shown = [network for network in summary.networks if network.arm == arm]
        places = [names.index(network.point) + 0.16 * (at - (len(arms) - 1) / 2) for network in shown]
        look = style.STYLES[arm]
        for place, network in zip(places, shown, strict=True):
            axes.plot([place, place], network.interval, color=look.color, linewidth=2, solid_capstyle="butt")
            if network.seeds > 1:
                axes.plot([place + 0.06] * network.seeds, network.accuracies, ".", color=look.color, markersize=4)
        axes.plot(
            places,
            [network.accuracy for network in shown],
            color=look.color,
            marker=look.marker,
            markersize=7,
            linestyle=look.linestyle if _ordered(study) else "",
            linewidth=1,
            label=label(shown[0]) if arm != "candidate" else WORDS.text("arms.candidate", size="").strip(),
        )
    axes.set_xticks(range(len(names)), [name.replace("-", "-\n") if len(name) > LONG else name for name in names])
    axes.set_xlim(-0.5, len(names) - 0.5)
    axes.yaxis.set_major_locator(MaxNLocator(6))
    axes.set(xlabel=_ordered(study), ylabel=WORDS.text("axes.test_accuracy"))
    axes.grid(axis="y")
    if len(arms) > 1:
        # Within, it would cover networks; four names in a row are wider than the figure.
        drawn.legend(loc="outside upper center", ncols=len(arms) if len(arms) < 4 else 2)
    style.format_ticks(axes, "y", WORDS, percent=True)
    return drawn


def _ordered(study: Study) -> str:
    """The one parameter that all points vary, where its values are numbers, seeds left out; else nothing."""
    varied = [(name, value) for point in study.points for name, value in point.varied.items() if name != "train.seeds"]
    names, values = {name for name, _ in varied}, [value for _, value in varied]
    numbers = all(isinstance(value, int | float | None) and not isinstance(value, bool) for value in values)
    return names.pop() if len(names) == 1 and len(study.points) > 1 and numbers else ""


def index(folder: Path) -> None:
    """Write the page that lists the studies that have a result; the report links to it."""
    studies = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*/study.json"))]
    sections = "".join(
        f"""<section>
<h2><a href="{escape(one["study"])}/README.md">{escape(one["study"])}</a></h2>
<p>{escape(one["question"])} {escape(one["answer"])}</p>
<img src="{escape(one["study"])}/accuracy.svg" alt="Test accuracy of {len(one["networks"])} networks">
</section>
"""
        for one in studies
    )
    with output_file(folder / "index.html") as page:
        page.write_text(PAGE.format(sections=sections or "<p>No study has a result yet.</p>\n"), encoding="utf-8")


PAGE: Final = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>Studies</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100% }}
</style>
</head>
<body>
<main>
<h1>Studies</h1>
<p><a href="../index.html">The report</a></p>
{sections}</main>
</body>
</html>
"""
