"""A review in words: Markdown that fits into a comment on a pull request."""

import json
from collections.abc import Sequence
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from fashion_cnn.experiments.pipeline import Difference
from fashion_cnn.experiments.review.evidence import SEEDS_STUDY, Review

LIMIT: Final = 65_000  # characters; GitHub takes 65,536
LONGEST_LIST: Final = 12
LONGEST_VALUE: Final = 80  # characters
CUT: Final = "\n\n(Cut here: a comment takes no more. `review.json` has all of it.)\n"
BARS: Final = "▁▂▃▄▅▆▇█"


def markdown(review: Review, figures: Sequence[str]) -> str:
    """The whole review, with the names of the figures that lie beside it."""
    template = _ENVIRONMENT.get_template("review.md.jinja")
    page = template.render(review=review, sentence=sentence(review), figures=figures, seeds_study=SEEDS_STUDY)
    if len(page) <= LIMIT:
        return page
    return page[: page.rindex("\n", 0, LIMIT - len(CUT))] + CUT


def sentence(review: Review) -> str:
    """Is the lock fresh, is the store complete, did accuracy change by more than these runs can tell?"""
    stale = [*review.freshness.stale, *review.freshness.downstream]
    lock = f"`dvc.lock` is stale ({', '.join(stale)})" if stale else "`dvc.lock` is fresh"
    missing = len(review.store.missing)
    if review.store.unreachable:
        store = "the store could not be asked"
    else:
        store = f"the store lacks {missing} of the files that it names" if missing else "the store is complete"
    return f"{lock}, {store}, and {_accuracy(review)}."


def _accuracy(review: Review) -> str:
    if not review.arms:
        return f"accuracy was not compared: {'; '.join(review.not_compared)}"
    changes = {arm: one.accuracy for arm, one in review.arms.items() if one.accuracy}
    if not changes:
        return "no prediction changed"
    told, unknown = (
        ", ".join(f"{arm} {points(one.difference)}" for arm, one in changes.items() if one.verdict == verdict)
        for verdict in ("told", "seeds unknown")
    )
    if told:
        return f"test accuracy changed by more than chance, in points: {told}"
    if unknown:
        return (
            f"test accuracy changed by more than other test images explain, of other seeds nothing is known: {unknown}"
        )
    return "no test accuracy changed by more than chance"


def points(share: float) -> str:
    """A difference of shares in percentage points: +1.23."""
    return _minus(f"{100 * share:+.2f}")


def number(value: Any) -> str:
    """A value of a metric; nothing where there is none."""
    if value is None:
        return ""
    return _digits(value, "") if _is_number(value) else code(value)


def change(before: Any, after: Any) -> str:
    """After minus before, with its sign; nothing where one of the two is no number."""
    if not (_is_number(before) and _is_number(after)):
        return ""
    return _digits(after - before, "+") if after != before else "0"


def _digits(value: float, sign: str) -> str:
    """A whole number in groups of three, another one with four decimals, or with two digits where it has none there."""
    if isinstance(value, int):
        return _minus(f"{value:{sign},}")
    return _minus(f"{value:{sign}.4f}" if round(value, 4) or not value else f"{value:{sign}.2g}")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _minus(text: str) -> str:
    """A minus sign in place of the hyphen."""
    return text.replace("-", "−")


def better(name: str) -> str:
    """In which direction a metric is better, by its name."""
    last = name.rpartition(".")[2]
    if "accuracy" in last:
        return "higher"
    return "lower" if last.endswith(("loss", "error")) else ""


def share(value: float) -> str:
    """A bound of a difference of accuracies, with its sign and four decimals."""
    return _minus(f"{value:+.4f}")


def code(value: Any) -> str:
    """Any value as code in a cell of a table, with nothing left that Markdown would take for its own."""
    text = " ".join((value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)).split())
    text = text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
    plain = text.replace("`", "'").replace("|", "\\|")
    return f"`{plain}`"


def listed(values: Sequence[str]) -> str:
    """Values as code with commas, the first of many and how many more there are."""
    shown = ", ".join(code(value) for value in values[:LONGEST_LIST])
    rest = len(values) - LONGEST_LIST
    return f"{shown} and {rest} more" if rest > 0 else shown


def curve(values: Sequence[float], both: Sequence[Sequence[float]]) -> str:
    """A curve in one line of characters, on the scale of both curves."""
    low, high = min(map(min, both)), max(map(max, both))
    step = (high - low) / (len(BARS) - 1) or 1
    return "".join(BARS[round((value - low) / step)] for value in values)


def causes(review: Review, one: Difference) -> str:
    """Why a stage differs."""
    if one.only_in:
        return "new" if one.only_in == "after" else "gone"
    parts = []
    if one.code:
        parts.append("code: " + "; ".join(_edited(path, review.edited[path]) for path in one.code))
    if one.parameters:
        values = [f"{code(name)} {code(old)} → {code(new)}" for name, (old, new) in one.parameters.items()]
        rest = len(values) - LONGEST_LIST
        parts.append("parameters: " + ", ".join(values[:LONGEST_LIST]) + (f" and {rest} more" if rest > 0 else ""))
    if one.data:
        parts.append(f"data: {listed(one.data)}")
    if one.command:
        parts.append(f"command: {code(one.command[0])} → {code(one.command[1])}")
    if one.unexplained:
        parts.append(f"equal inputs: **hardware or nondeterminism**{_trained_on(review, one.stage)}")
    return "; ".join(parts)


def _edited(path: str, files: Sequence[str]) -> str:
    if not files:
        return f"{code(path)} (edited before this branch, run in it)"
    return code(path) if list(files) == [path] else f"{code(path)} ({listed(files)})"


def _trained_on(review: Review, arm: str) -> str:
    if arm not in review.environments:
        return ""
    before, after = review.environments[arm]
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not names:
        return f" (both sides: {_environment(before)})"
    old, new = (_environment({name: side.get(name) for name in names}) for side in (before, after))
    return f". Before: {old}. After: {new}"


def _environment(values: Any) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {code(value)}" for name, value in values.items())


_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("fashion_cnn.experiments.review"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    autoescape=False,  # noqa: S701 it writes Markdown; values stand in it as code
)
_ENVIRONMENT.globals |= {
    one.__name__: one for one in (better, causes, change, code, curve, listed, number, points, share)
}
