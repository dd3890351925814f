"""Figures of the comparison: results in, a Matplotlib figure out, text in any language."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fashion_cnn.comparison.arms import Disagreement, Row
from fashion_cnn.comparison.statistics import PairedDifference, Reliability
from fashion_cnn.core.fashion_mnist import CLASS_NAMES, CLASSES
from fashion_cnn.reporting.language import Language
from fashion_cnn.reporting.style import INK, PAPER, STYLES, WIDTH, Style, format_ticks, show_image, single_axes

RARE: Final = 0.001  # the share of predictions below which a bin of confidence is not drawn
FILTERS_SHOWN: Final = 64


def accuracy_by_arm(rows: Mapping[str, Row], labels: Mapping[str, str], language: Language) -> Figure:
    """Mean test accuracy of each arm with its interval; small dots are its seeds, where there are several."""
    figure, axes = single_axes(0.55 * len(rows) + 1)
    for at, (arm, row) in enumerate(rows.items()):
        style = STYLES[arm]
        axes.plot(row.interval, [at, at], color=style.color, linewidth=2, solid_capstyle="butt")
        axes.plot(row.accuracy, at, marker=style.marker, color=style.color, markersize=8)
        if len(row.accuracies) > 1:
            axes.plot(row.accuracies, [at + 0.28] * len(row.accuracies), ".", color=style.color, markersize=4)
        _value(axes, row.interval.high, at, language.percent(row.accuracy, 2))
    axes.set_yticks(range(len(rows)), [labels[arm] for arm in rows])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=language.text("axes.test_accuracy"), ylim=(len(rows) - 0.5, -0.5))
    axes.margins(x=0.2)
    axes.grid(axis="x")
    format_ticks(axes, "x", language, percent=True)
    return figure


def paired_differences(
    differences: Mapping[tuple[str, str], PairedDifference], labels: Mapping[str, str], language: Language
) -> Figure:
    """Difference in accuracy of each pair of arms, first minus second, with the interval over test images.

    Where there are several seeds, the interval over seeds stands below it, dashed, and each seed as a dot.
    """
    figure, axes = single_axes(0.75 * len(differences) + 1.1)
    axes.axvline(0, color=INK, linewidth=1)
    for row, ((first, _), (found, *_)) in enumerate(differences.items()):
        style = STYLES[first]
        axes.plot(100 * np.array(found.test_interval), [row, row], color=style.color, linewidth=2)
        axes.plot(100 * found.value, row, marker=style.marker, color=style.color, markersize=8)
        if found.seed_interval:
            below = row + 0.25
            axes.plot(100 * np.array(found.seed_interval), [below] * 2, color=style.color, linestyle="--")
            axes.plot(100 * found.by_seed, [below] * len(found.by_seed), ".", color=style.color, markersize=5)
        _value(axes, 100 * found.test_interval.high, row, language.points(found.value))
    names = [f"{labels[first]}\n− {labels[second]}" for first, second in differences]
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=language.text("axes.difference"), ylim=(len(names) - 0.5, -0.5))
    axes.margins(x=0.2)
    axes.grid(axis="x")
    format_ticks(axes, "x", language)
    return figure


def learning_curve(
    history: Mapping[str, NDArray[np.float64]], arm: str, metric: str, title: str, language: Language
) -> Figure:
    """Training against validation by epoch, for one arm; `metric` is accuracy or loss."""
    figure, axes = single_axes(2.7)
    training = Style(INK, "-", "")
    _curve(axes, history[f"train_{metric}"], training, language.text("splits.train"))
    _curve(axes, history[f"validation_{metric}"], STYLES[arm], language.text("splits.validation"))
    axes.set(title=title, xlabel=language.text("axes.epoch"), ylabel=language.text(f"axes.{metric}"))
    axes.legend()
    format_ticks(axes, "y", language, percent=metric == "accuracy")
    return figure


def validation_curves(
    histories: Mapping[str, Mapping[str, NDArray[np.float64]]],
    metric: str,
    labels: Mapping[str, str],
    language: Language,
) -> Figure:
    """Validation accuracy or loss of all arms by epoch, in the same axes, as the notebook compares them."""
    figure, axes = single_axes(3.1)
    for arm, history in histories.items():
        _curve(axes, history[f"validation_{metric}"], STYLES[arm], labels[arm])
    axes.set(
        title=language.text(f"figures.validation_{metric}.title"),
        xlabel=language.text("axes.epoch"),
        ylabel=language.text(f"axes.{metric}"),
    )
    axes.legend()
    format_ticks(axes, "y", language, percent=metric == "accuracy")
    return figure


def confusion_matrix(counts: NDArray[np.integer], title: str, language: Language) -> Figure:
    """Percentage of each true class (row) taken for each class (column); counts (10, 10)."""
    percent = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
    figure, axes = _matrix(title, language)
    axes.imshow(np.sqrt(percent), cmap="Greys", vmin=0, vmax=10)  # the root keeps the errors visible
    for (row, column), value in np.ndenumerate(percent):
        text = language.integer(value)
        color = "white" if value > 25 else "black"
        axes.text(column, row, "" if text == "0" else text, ha="center", va="center", fontsize=8, color=color)
    return figure


def confusion_difference(
    first: NDArray[np.integer], second: NDArray[np.integer], title: str, language: Language
) -> Figure:
    """How much more of each true class the first arm takes for each class than the second, in points."""
    points = sum(
        sign * 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1) for sign, counts in ((1, first), (-1, second))
    )
    limit = max(float(np.abs(points).max()), 1)
    figure, axes = _matrix(title, language)
    axes.imshow(points, cmap="PuOr", vmin=-limit, vmax=limit)
    for (row, column), value in np.ndenumerate(points):
        text = language.decimal(value, 0, signed=True)
        color = "white" if abs(value) > 0.7 * limit else "black"
        axes.text(column, row, "" if text == "0" else text, ha="center", va="center", fontsize=8, color=color)
    return figure


def translation_curves(
    shifted: Mapping[str, NDArray[np.bool_]], labels: Mapping[str, str], language: Language
) -> Figure:
    """Accuracy by shift: mean over four directions, the band from the worst direction to the best.

    Args:
        shifted: whether each image is recognised, (seeds, 4 directions, distances from 0, images).
        labels: of the arms.
        language: of the text.
    """
    figure, axes = single_axes(3.3)
    for arm, correct in shifted.items():
        by_direction = correct.mean((0, 3))
        distances = np.arange(by_direction.shape[1])
        axes.plot(distances, by_direction.mean(0), label=labels[arm], markersize=5, **STYLES[arm]._asdict())
        worst, best, color = by_direction.min(0), by_direction.max(0), STYLES[arm].color
        axes.fill_between(distances, worst, best, color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel=language.text("axes.shift"), ylabel=language.text("axes.accuracy"), ylim=(0, 1))
    axes.legend()
    axes.grid(axis="y")
    format_ticks(axes, "y", language, percent=True)
    return figure


def mirrored(rows: Mapping[str, Row], labels: Mapping[str, str], language: Language) -> Figure:
    """Accuracy of each class as it is, a filled marker, and mirrored, an empty one; a line joins them."""
    figure, axes = single_axes(5)
    for position, (arm, row) in enumerate(rows.items()):
        style = STYLES[arm]
        places = np.arange(CLASSES) + 0.22 * (position - (len(rows) - 1) / 2)
        axes.hlines(places, row.class_mirrored, row.class_accuracy, color=style.color, linewidth=1)
        draw = partial(axes.plot, marker=style.marker, color=style.color, linestyle="", markersize=4.5)
        draw(row.class_mirrored, places, markerfacecolor=PAPER)
        draw(row.class_accuracy, places, label=labels[arm])
    axes.set_yticks(range(CLASSES), CLASS_NAMES)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=language.text("axes.accuracy"), xlim=(-0.03, 1.03), ylim=(CLASSES - 0.5, -0.5))
    axes.grid(axis="x")
    format_ticks(axes, "x", language, percent=True)
    figure.legend(loc="outside upper center", ncols=2, fontsize=9)
    return figure


def reliability(bins: Mapping[str, Reliability], labels: Mapping[str, str], language: Language) -> Figure:
    """Accuracy against confidence, a point a bin; bins with few predictions are left out."""
    figure, axes = single_axes(3.8)
    axes.plot([0, 1], [0, 1], color=INK, linestyle=(0, (1, 3)), label=language.text("figures.reliability.perfect"))
    for arm, found in bins.items():
        drawn = found.share >= RARE
        style = STYLES[arm]._asdict()
        axes.plot(found.confidence[drawn], found.accuracy[drawn], label=labels[arm], markersize=5, **style)
    axes.set(
        xlabel=language.text("axes.confidence"),
        ylabel=language.text("axes.accuracy"),
        xlim=(0, 1.02),
        ylim=(0, 1.02),
    )
    axes.legend(loc="upper left")
    format_ticks(axes, "x", language, percent=True)
    format_ticks(axes, "y", language, percent=True)
    return figure


def filters(weights: NDArray[np.floating], title: str) -> Figure:
    """The kernels of a first convolution, (filters, size, size), each on its own scale; mid-grey is 0."""
    shown = weights[:FILTERS_SHOWN]
    columns = min(8, len(shown))
    rows = -(-len(shown) // columns)
    step = 1.25  # of the mosaic; what lies between the kernels stays transparent
    figure, axes = single_axes(WIDTH / 8 * rows + 0.3)
    for number, kernel in enumerate(shown):
        row, column = divmod(number, columns)
        extent = (column * step, column * step + 1, row * step + 1, row * step)
        limit = float(np.abs(kernel).max()) or 1.0
        axes.imshow(kernel, cmap="gray", vmin=-limit, vmax=limit, extent=extent, interpolation="none")
    axes.set(xlim=(0, 8 * step), ylim=(rows * step, 0), title=title)
    _bare(axes)
    return figure


def disagreements(chosen: Sequence[Disagreement], title: str, language: Language) -> Figure:
    """Images on which two arms disagree, each with its true class and the one that the wrong arm answers."""
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    figure.suptitle(title, fontsize=11)
    grid = figure.subplots(2, 4)
    for axes in grid.flat:
        axes.set_axis_off()
    for axes, one in zip(grid.flat, chosen, strict=False):
        show_image(axes, one.image)
        names = {"truth": CLASS_NAMES[one.truth], "wrong": CLASS_NAMES[one.answer]}
        text = language.text("figures.disagreements.label", **names)
        axes.set_title(text, fontsize=8)
    if not chosen:
        figure.text(0.5, 0.5, language.text("figures.disagreements.none"), ha="center")
    return figure


def _matrix(title: str, language: Language) -> tuple[Figure, Axes]:
    """Axes of a square table of classes."""
    figure, axes = single_axes(4.7)
    axes.set(title=title, xlabel=language.text("axes.predicted"), ylabel=language.text("axes.true"))
    axes.set_xticks(range(CLASSES), CLASS_NAMES, rotation=90)
    axes.set_yticks(range(CLASSES), CLASS_NAMES)
    axes.tick_params(length=0, labelsize=9)
    return figure, axes


def _value(axes: Axes, x: float, y: float, text: str) -> None:
    """Write a row's number to the right of what is drawn in it."""
    axes.annotate(text, (x, y), (6, 0), textcoords="offset points", ha="left", va="center", fontsize=10)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _curve(axes: Axes, values: NDArray[np.float64], style: Style, label: str) -> None:
    """Draw the mean over seeds by epoch, (seeds, epochs); a band reaches from the lowest to the highest seed."""
    epochs = np.arange(1, values.shape[1] + 1)
    axes.plot(epochs, values.mean(0), label=label, markersize=4, **style._asdict())
    if len(values) > 1:
        axes.fill_between(epochs, values.min(0), values.max(0), color=style.color, alpha=0.2, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
