"""The study in words and figures, in either language: a Markdown summary and the HTML report."""

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup
from matplotlib.figure import Figure

from fashion_cnn.comparison import analysis, claims, figures, study
from fashion_cnn.comparison.claims import Claim, Measure
from fashion_cnn.comparison.study import Row, Study
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.core.results import Result
from fashion_cnn.reporting import style
from fashion_cnn.reporting.language import Language, flat

FEW_IMAGES: Final = 2000  # below, a difference of a point is within the interval of any two networks


def size(kernel: int) -> str:
    """Write a kernel's size as people do: 3 by 3 pixels."""
    return f"{kernel}×{kernel}"


def labels(table: Sequence[Row], language: Language, where: str = "arms") -> dict[str, str]:
    """The name of each arm for people; `where` is arms, or arms.inline for its name within a sentence."""
    kinds = {row.arm: "cnn" if row.arm.startswith("cnn") else row.arm for row in table}
    return {row.arm: language.text(f"{where}.{kinds[row.arm]}", size=size(row.kernel or 0)) for row in table}


def draw(of: Study, language: Language) -> dict[str, Figure]:
    """Draw every figure of the comparison, by the name of its file."""
    names, shown = labels(of.rows, language), of.shown
    results = {arm: of.arms[arm] for arm in shown}
    counts = {arm: analysis.confusion_matrix(one.labels, one.probabilities.argmax(-1)) for arm, one in results.items()}
    drawn = {
        "test_accuracy": figures.accuracy_by_arm(
            {arm: row.accuracies for arm, row in shown.items()},
            {arm: row.interval for arm, row in shown.items()},
            names,
            language,
        ),
        "paired_differences": figures.paired_differences(of.comparisons, names, language),
        "confusion_difference": figures.confusion_difference(
            counts["cnn3"],
            counts["baseline"],
            language.text("figures.confusion_difference.title", first=names["cnn3"], second=names["baseline"]),
            language,
        ),
        "translation": figures.translation_curves(
            {arm: result.correct_when_shifted for arm, result in results.items()}, names, language
        ),
        "reliability": figures.reliability(
            {arm: analysis.reliability(one.probabilities, one.labels) for arm, one in results.items()}, names, language
        ),
    }
    for metric in ("accuracy", "loss"):
        histories = {arm: result.history for arm, result in results.items()}
        drawn[f"validation_{metric}"] = figures.validation_curves(histories, metric, names, language)
        for arm, history in histories.items():
            curve = figures.learning_curve(history, arm, metric, names[arm], language)
            drawn[f"learning_{arm}_{metric}"] = curve
    for arm, result in results.items():
        drawn[f"confusion_{arm}"] = figures.confusion_matrix(counts[arm], names[arm], language)
        if arm != "baseline":
            drawn[f"filters_{arm}"] = figures.filters(result.first_layer, names[arm])
    for (right, wrong), chosen in of.disagreements.items():
        title = language.text("figures.disagreements.title", right=names[right], wrong=names[wrong])
        drawn[f"disagreements_{right}_{wrong}"] = figures.disagreements(chosen, title, language)
    return drawn


class Panel(NamedTuple):
    """A figure's place in the report: its file below reports/, and a text for whoever can't see it."""

    file: str
    alternative: str


def panels(of: Study, language: Language) -> dict[str, list[Panel]]:
    """The figures of the report; those of one name stand side by side."""
    names, inline_names = labels(of.rows, language), labels(of.rows, language, "arms.inline")
    constant = constants(of, language)
    distances = (0, claims.SHIFT, of.arms["cnn3"].correct_when_shifted.shape[2] - 1)

    def panel(file: str, key: str, **values: str) -> Panel:
        return Panel(f"comparison/{file}.svg", language.text(f"figures.{key}", **constant, **values))

    def facts(parts: Iterable[tuple[str, str]]) -> str:
        return "; ".join(f"{name} {text}" for name, text in parts)

    return {
        "test_accuracy": [
            panel(
                "test_accuracy",
                "test_accuracy.alt",
                facts=facts((names[arm], language.percent(row.accuracy, 2)) for arm, row in of.shown.items()),
            )
        ],
        "paired_differences": [
            panel(
                "paired_differences",
                "paired_differences.alt",
                facts=facts(
                    (f"{names[first]} − {names[second]}", language.points(compared.difference))
                    for (first, second), compared in of.comparisons.items()
                ),
            )
        ],
        "validation_curves": [
            panel(f"validation_{metric}", f"validation_{metric}.alt") for metric in ("accuracy", "loss")
        ],
        "learning_curves": [
            panel(f"learning_{arm}_{metric}", f"learning_curves.alt_{metric}", arm=names[arm])
            for arm in of.shown
            for metric in ("accuracy", "loss")
        ],
        "confusion": [
            panel(f"confusion_{arm}", "confusion.alt", arm=names[arm], facts=_most_confused(of.arms[arm], language))
            for arm in of.shown
        ],
        "confusion_difference": [
            panel(
                "confusion_difference",
                "confusion_difference.alt",
                first=inline_names["cnn3"],
                second=inline_names["baseline"],
                facts=_changed_classes(of.arms["cnn3"], of.arms["baseline"], language),
            )
        ],
        "translation": [
            panel(
                "translation",
                "translation.alt",
                facts=facts(
                    (
                        names[arm],
                        ", ".join(
                            language.percent(of.arms[arm].correct_when_shifted[:, :, at].mean(), 1) for at in distances
                        ),
                    )
                    for arm in of.shown
                ),
            )
        ],
        "reliability": [
            panel(
                "reliability",
                "reliability.alt",
                facts=facts(
                    (names[arm], language.percent(row.metrics["test_calibration_error"], 1))
                    for arm, row in of.shown.items()
                ),
            )
        ],
        "filters": [
            panel(
                f"filters_{arm}",
                "filters.alt",
                arm=names[arm],
                size=size(row.kernel),
                count=language.integer(min(len(of.arms[arm].first_layer), figures.FILTERS_SHOWN)),
            )
            for arm, row in of.shown.items()
            if row.kernel
        ],
        "disagreements": [
            panel(
                f"disagreements_{right}_{wrong}",
                "disagreements.alt",
                right=names[right],
                wrong=names[wrong],
                facts="; ".join(
                    language.text(
                        "figures.disagreements.fact", truth=CLASS_NAMES[one.truth], wrong=CLASS_NAMES[one.answer]
                    )
                    for one in chosen
                )
                or language.text("figures.disagreements.none"),
            )
            for (right, wrong), chosen in of.disagreements.items()
        ],
    } | {
        name: [Panel(f"eda/{name}.svg", language.text(f"figures.{name}.alt"))]
        for name in (
            "class_examples",
            "class_distribution",
            "pixel_intensity",
            "class_images",
            "nearest_distances",
            "nearest_pairs",
        )
    }


def _most_confused(result: Result, language: Language) -> str:
    """The three confusions that happen to the largest share of their class."""
    counts = analysis.confusion_matrix(result.labels, result.probabilities.argmax(-1))
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    worst = [divmod(int(cell), len(CLASS_NAMES)) for cell in np.argsort(-shares, axis=None, kind="stable")[:3]]
    return "; ".join(
        language.text("figures.disagreements.fact", truth=CLASS_NAMES[true], wrong=CLASS_NAMES[answer])
        + f", {language.percent(shares[true, answer])}"
        for true, answer in worst
    )


def _changed_classes(first: Result, second: Result, language: Language) -> str:
    """The three classes whose accuracy differs most."""
    change = np.nan_to_num(
        analysis.class_accuracy(first.probabilities, first.labels)
        - analysis.class_accuracy(second.probabilities, second.labels)
    )
    largest = np.argsort(-np.abs(change), kind="stable")[:3]
    return "; ".join(f"{CLASS_NAMES[at]} {language.points(change[at], 1)}" for at in largest)


def answer(of: Study, language: Language) -> str:
    """Answer the question in one sentence, as the verdicts go: what the convolution buys, what the kernel changes."""
    verdicts = {claim.name: claim.verdict for claim in of.claims}
    if of.settings["data"]["permute_pixels"]:
        key = f"answer.permuted.{verdicts['spatial_structure']}"
    else:
        key = f"answer.{verdicts['cnn_beats_dense']}"
    shown = {row.arm: row for row in of.rows}
    small, large, dense = (shown[arm] for arm in ("cnn3", "cnn5", "baseline"))
    beginning = language.text(
        key,
        small=size(small.kernel or 0),
        accuracy=language.percent(small.accuracy, 2),
        baseline=language.percent(dense.accuracy, 2),
        images=language.integer(len(of.arms["cnn3"].labels)),
        magnitude=language.points(abs(small.accuracy - dense.accuracy), signed=False),
    )
    return language.text(
        f"answer.kernel.{verdicts['kernel']}",
        beginning=beginning,
        large=size(large.kernel or 0),
        difference=language.points(large.accuracy - small.accuracy),
    )


def caution(of: Study, language: Language) -> str:
    """Say what these numbers can't show, in words that fit the number of seeds and of images."""
    constant = constants(of, language)
    seeds, images = of.arms["cnn3"].probabilities.shape[:2]
    text = language.text("caution.one_seed" if seeds == 1 else "caution.several", **constant)
    return f"{text} {language.text('caution.small', **constant)}" if images < FEW_IMAGES else text


def constants(of: Study, language: Language) -> dict[str, str]:
    """What texts name whatever the results: the numbers of the rule, of what is measured and of what is shown."""
    result, names = of.arms["cnn3"], labels(of.rows, language, "arms.inline")
    seeds = len(result.probabilities)
    return {
        "cnn3": names["cnn3"],
        "confidence": language.percent(claims.CONFIDENCE, 1),
        "differing": language.integer(claims.FEWEST_DIFFERING),
        "family": language.integer(len(claims.FAMILY)),
        "farthest": language.integer(result.correct_when_shifted.shape[2] - 1),
        "fewest": language.integer(claims.FEWEST_IMAGES),
        "images": language.integer(len(result.labels)),
        "invariant": language.points(claims.INVARIANT, 0, signed=False),
        "least": language.decimal(2.0 ** (1 - seeds), 3),
        "negligible": language.points(claims.NEGLIGIBLE, 1, signed=False),
        "rare": language.percent(figures.RARE, 1),
        "resamples": language.integer(analysis.RESAMPLES),
        "seeds": language.integer(seeds),
        "shift": language.integer(claims.SHIFT),
        "shifted": language.integer(result.correct_when_shifted.shape[3]),
        "shown": language.integer(study.DISAGREEMENTS_SHOWN),
        "training": language.integer(result.correct_on_training.shape[1]),
    }


class JudgedClaim(NamedTuple):
    """A claim in words."""

    name: str
    topic: str
    verdict: str
    claim: str
    criterion: str
    meaning: str
    evidence: list[str]
    command: str | None


def in_words(claim: Claim, names: Mapping[str, str], constant: Mapping[str, str], language: Language) -> JudgedClaim:
    """Word a judged claim; `names` are those of the arms within a sentence, `constant` is what `constants` gives."""
    key = f"claims.{claim.name}"

    def say(key: str, **values: str) -> str:
        return language.text(key, **constant, **values)

    return JudgedClaim(
        claim.name,
        claim.topic,
        claim.verdict,
        say(f"{key}.claim"),
        say("claims.criterion", criterion=say(f"{key}.criterion")),
        say(f"reasons.{claim.reason}" if claim.reason else f"{key}.{claim.verdict}"),
        [_measured(measure, names, constant, language) for measure in claim.evidence],
        claim.command,
    )


def _measured(measure: Measure, names: Mapping[str, str], constant: Mapping[str, str], language: Language) -> str:
    """A number in words, with its intervals."""
    arms = [names[arm] for arm in measure.arms]
    what = language.text(f"measures.{measure.name}", first=arms[0], second=arms[-1], **constant)
    signed = measure.name.endswith("difference")
    if isinstance(measure.value, int):
        return f"{what}: {language.decimal(measure.value, 0, signed=signed)}"
    number = language.text("measures.points", value=language.points(measure.value, signed=signed))
    found = [("test", measure.test_interval), ("seeds", measure.seed_interval)]
    intervals = [
        language.text(f"measures.{kind}", low=language.points(interval.low), high=language.points(interval.high))
        for kind, interval in found
        if interval
    ]
    return f"{what}: {number}" + (f" ({'; '.join(intervals)})" if intervals else "")


def markdown(of: Study, language: Language) -> str:
    """The comparison for a pull request or a terminal."""
    return _environment().get_template("summary.md.jinja").render(_content(of, language))


def html(of: Study, language: Language, folders: Mapping[str, Path]) -> str:
    """The report: one page that opens without network.

    Args:
        of: what it shows.
        language: in which it speaks.
        folders: where the figures lie: "comparison" and "eda" to a folder each.
    """

    def drawn(panel: Panel) -> Markup:
        folder, name = panel.file.split("/")
        svg = (folders[folder] / name).read_text(encoding="utf-8")
        return inline(svg, name.removesuffix(".svg"), panel.alternative)

    content = _content(of, language) | {"panels": panels(of, language), "drawn": drawn}
    return _environment().get_template("report.html.jinja").render(content)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("fashion_cnn.comparison"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["markup"] = markup
    return environment


def markup(text: str) -> Markup:
    """Text of a catalogue as HTML: what stands in `backticks` is code."""
    return Markup(re.sub(r"`(.+?)`", r"<code>\1</code>", escape(text, quote=False)))  # noqa: S704 it is escaped


def _content(of: Study, language: Language) -> dict[str, Any]:
    """What both templates name."""
    names, constant = labels(of.rows, language), constants(of, language)
    inline_names = labels(of.rows, language, "arms.inline")
    judged = [in_words(claim, inline_names, constant, language) for claim in of.claims]
    adjusted = analysis.holm([compared.p_value for compared in of.comparisons.values()]).tolist()
    return {
        "t": partial(language.text, **constant),
        "language": language,
        "names": names,
        "inline_names": inline_names,
        "answer": answer(of, language),
        "caution": caution(of, language),
        "permuted": of.settings["data"]["permute_pixels"],
        "seeds": len(of.arms["cnn3"].probabilities),
        "rows": list(of.shown.values()),
        "networks": [names[arm] for arm in of.shown],
        "layers": [layer["name"] for layer in of.arms["cnn3"].metrics["layers"]],  # the dense network's are among them
        "on_training": {arm: result.correct_on_training.mean() for arm, result in of.arms.items()},
        "same_as": of.rows[-1].same_as,
        "size": size,
        "layer_name": partial(_layer_name, language=language),
        "claims": judged,
        "topics": list(dict.fromkeys(claim.topic for claim in judged)),
        "verdicts": {
            verdict: language.integer(sum(claim.verdict == verdict for claim in judged))
            for verdict in ("supported", "not_supported", "undecided")
        },
        "comparisons": list(zip(of.comparisons.items(), adjusted, strict=True)),
        "class_names": CLASS_NAMES,
        "class_accuracy": {
            names[arm]: analysis.class_accuracy(of.arms[arm].probabilities, of.arms[arm].labels).tolist()
            for arm in of.shown
        },
        "data": of.data,
        "settings": flat(of.settings),
        "environments": _shared({names[arm]: row.metrics["environment"] for arm, row in of.shown.items()}),
        "digests": of.digests,
    }


def _layer_name(layer: str, language: Language) -> str:
    """A layer's name for people: dense, probabilities or convolution_1, convolution_2, ..."""
    name, _, number = layer.partition("_")
    return language.text(f"layers.{name}", number=number)


def _shared(environments: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Each different environment once, under the names of the arms that were trained in it."""
    groups: dict[tuple[Any, ...], list[str]] = {}
    for label, environment in environments.items():
        groups.setdefault(tuple(environment.items()), []).append(label)
    return {", ".join(labels): dict(environment) for environment, labels in groups.items()}


def inline(svg: str, name: str, alternative: str) -> Markup:
    """A figure's SVG as a part of the page: in its ink, on its paper, with ids of its own, readable aloud.

    Args:
        svg: as `style.save` writes it.
        name: no other figure of the page has it.
        alternative: what it shows, in words.
    """
    (view,) = re.findall(r'<svg [^>]*?viewBox="([^"]*)"', svg)
    body = svg[svg.index(">", svg.index("<svg ")) + 1 :]
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", body, flags=re.DOTALL)
    body = body.replace(style.PAPER, "none").replace(style.INK, "currentColor").replace("xlink:href", "href")
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', body))
    body = re.sub(r' id="([^"]*)"', lambda found: f' id="{name}-{found[1]}"' if found[1] in used else "", body)
    body = body.replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")
    opening = f'<svg viewBox="{view}" role="img" aria-label="{escape(alternative)}">'
    return Markup(opening + re.sub(r"\s*\n\s*", "\n", body).strip())  # noqa: S704 the project drew it
