"""Every figure of the report, once: its group, its name, how it is drawn, and what it shows, in words."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import product
from typing import Final, NamedTuple

import numpy as np
from matplotlib.figure import Figure

from fashion_cnn.comparison import claims, figures, words
from fashion_cnn.comparison.arms import Comparison, Row
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.reporting.language import Language

EDA_FIGURES: Final = (
    "class_examples",
    "class_images",
    "class_distribution",
    "pixel_intensity",
    "nearest_distances",
    "nearest_pairs",
)


class Panel(NamedTuple):
    """A figure of the report.

    Attributes:
        group: the figures of one group stand side by side above one caption.
        name: of its file, without its ending.
        draw: makes it; None for a figure of EDA_FIGURES, which the stage eda has drawn.
        alternative: a text for whoever can't see it.
    """

    group: str
    name: str
    draw: Callable[[], Figure] | None
    alternative: str


def panels(comparison: Comparison, language: Language) -> Iterator[Panel]:
    """The figures of the report, in its order."""
    rows = comparison.shown_rows
    results = {arm: comparison.arms[arm] for arm in rows}
    histories = {arm: result.history for arm, result in results.items()}
    names, inline_names = words.labels(rows, language), words.labels(rows, language, "arms.inline")
    constants = words.constants(comparison, language)

    def text(key: str, **values: str) -> str:
        return language.text(f"figures.{key}", **constants, **values)

    facts = _facts((names[arm], language.percent(row.accuracy, 2)) for arm, row in rows.items())
    draw = partial(figures.accuracy_by_arm, rows, names, language)
    yield Panel("test_accuracy", "test_accuracy", draw, text("test_accuracy.alt", facts=facts))

    differences = comparison.shown_differences
    pairs = {f"{names[first]} − {names[second]}": found.estimate for (first, second), found in differences.items()}
    facts = _facts((pair, language.points(estimate.value)) for pair, estimate in pairs.items())
    draw = partial(figures.paired_differences, differences, names, language)
    yield Panel("paired_differences", "paired_differences", draw, text("paired_differences.alt", facts=facts))

    for metric in ("accuracy", "loss"):
        draw = partial(figures.validation_curves, histories, metric, names, language)
        yield Panel("validation_curves", f"validation_{metric}", draw, text(f"validation_{metric}.alt"))
    for arm, metric in product(rows, ("accuracy", "loss")):
        draw = partial(figures.learning_curve, histories[arm], arm, metric, names[arm], language)
        alternative = text(f"learning_curves.alt_{metric}", arm=names[arm])
        yield Panel("learning_curves", f"learning_{arm}_{metric}", draw, alternative)

    for arm, row in rows.items():
        draw = partial(figures.confusion_matrix, row.confusion, names[arm], language)
        alternative = text("confusion.alt", arm=names[arm], facts=_most_confused(row, language))
        yield Panel("confusion", f"confusion_{arm}", draw, alternative)
    cnn, dense = rows["cnn3"], rows["baseline"]
    title = text("confusion_difference.title", first=names["cnn3"], second=names["baseline"])
    draw = partial(figures.confusion_difference, cnn.confusion, dense.confusion, title, language)
    alternative = text(
        "confusion_difference.alt",
        first=inline_names["cnn3"],
        second=inline_names["baseline"],
        facts=_changed_classes(cnn, dense, language),
    )
    yield Panel("confusion_difference", "confusion_difference", draw, alternative)

    shifted = {arm: result.correct_when_shifted for arm, result in results.items()}
    distances = (0, claims.SHIFT, shifted["cnn3"].shape[2] - 1)
    facts = _facts(
        (names[arm], ", ".join(language.percent(correct[:, :, at].mean(), 1) for at in distances))
        for arm, correct in shifted.items()
    )
    draw = partial(figures.translation_curves, shifted, names, language)
    yield Panel("translation", "translation", draw, text("translation.alt", facts=facts))

    alternative = text(
        "mirrored.alt", network=inline_names["cnn3"], facts="; ".join(words.mirrored_classes(comparison, language))
    )
    yield Panel("mirrored", "mirrored", partial(figures.mirrored, rows, names, language), alternative)

    errors = {names[arm]: row.metrics["test_calibration_error"] for arm, row in rows.items()}
    facts = _facts((name, language.percent(error, 1)) for name, error in errors.items())
    draw = partial(figures.reliability, {arm: row.reliability for arm, row in rows.items()}, names, language)
    yield Panel("reliability", "reliability", draw, text("reliability.alt", facts=facts))

    for arm, row in rows.items():
        if row.kernel:
            kernels = results[arm].first_layer
            count = language.integer(min(len(kernels), figures.FILTERS_SHOWN))
            alternative = text("filters.alt", arm=names[arm], size=words.kernel_size(row.kernel), count=count)
            yield Panel("filters", f"filters_{arm}", partial(figures.filters, kernels, names[arm]), alternative)

    for (right, wrong), chosen in comparison.disagreements.items():
        pair = {"right": names[right], "wrong": names[wrong]}
        draw = partial(figures.disagreements, chosen, text("disagreements.title", **pair), language)
        facts = "; ".join(_taken_for(one.truth, one.answer, language) for one in chosen)
        alternative = text("disagreements.alt", **pair, facts=facts or text("disagreements.none"))
        yield Panel("disagreements", f"disagreements_{right}_{wrong}", draw, alternative)

    for name in EDA_FIGURES:
        yield Panel(name, name, None, text(f"{name}.alt"))


def _facts(parts: Iterable[tuple[str, str]]) -> str:
    return "; ".join(f"{name} {text}" for name, text in parts)


def _taken_for(truth: int, answer: int, language: Language) -> str:
    return language.text("figures.disagreements.fact", truth=CLASS_NAMES[truth], wrong=CLASS_NAMES[answer])


def _most_confused(row: Row, language: Language) -> str:
    """The three confusions that happen to the largest share of their class."""
    shares = row.confusion / np.maximum(row.confusion.sum(1, keepdims=True), 1)
    np.fill_diagonal(shares, 0)
    worst = [divmod(int(cell), len(CLASS_NAMES)) for cell in np.argsort(-shares, axis=None, kind="stable")[:3]]
    return "; ".join(
        f"{_taken_for(truth, answer, language)}, {language.percent(shares[truth, answer])}" for truth, answer in worst
    )


def _changed_classes(first: Row, second: Row, language: Language) -> str:
    """The three classes whose accuracy differs most."""
    change = np.nan_to_num(first.class_accuracy - second.class_accuracy)
    largest = np.argsort(-np.abs(change), kind="stable")[:3]
    return _facts((CLASS_NAMES[at], language.points(change[at], 1)) for at in largest)
