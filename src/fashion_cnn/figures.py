"""Every figure of the study: arrays in, a Matplotlib figure out. One style an arm everywhere, text in any language.

Figures are as wide as a phone's page, so that they can stand side by side on a wider one.
"""

from __future__ import annotations  # the statistics are named in signatures alone: eda need not depend on them

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from fashion_cnn.fashion_mnist import CLASS_NAMES, CLASSES, IMAGE_SIZE
from fashion_cnn.language import Language

if TYPE_CHECKING:
    from fashion_cnn.analysis import Comparison, Interval, Reliability
    from fashion_cnn.study import Disagreement


class Style(NamedTuple):
    """How an arm looks everywhere: told apart by colour, in grey by its line and marker."""

    color: str
    linestyle: str
    marker: str


# Colours: of Okabe and Ito 2008, "Color universal design", those with a contrast of 3:1 on white and on near-black.
STYLES: Final = {
    "baseline": Style("#CC79A7", ":", "o"),
    "cnn3": Style("#0072B2", "-", "s"),
    "cnn5": Style("#D55E00", "--", "^"),
    "candidate": Style("#009E73", "-.", "D"),
}
PAPER: Final = "#fffffe"  # the background, and nothing else: the report leaves it out
SPLIT_STYLES: Final = {  # colour, line, hatch
    "train": ("#6c7a89", "-", ""),
    "validation": ("#a06a3f", "--", "////"),
    "test": ("#7b68c8", ":", "xx"),
}
PLAIN: Final = "#6c7a89"  # what belongs to no arm
INK: Final = "#4a4a4a"  # text and axes, and nothing else: the report replaces it by the page's own ink
WIDTH: Final = 4.6  # inches
RARE: Final = 0.001  # the share of predictions below which a bin of confidence is not drawn
FILTERS_SHOWN: Final = 64

mpl.rcParams.update(
    {
        "axes.edgecolor": INK,
        "axes.facecolor": PAPER,
        "axes.labelcolor": INK,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlecolor": INK,
        "axes.titlesize": 11,
        "figure.facecolor": PAPER,
        "font.sans-serif": ["DejaVu Sans", "sans-serif"],
        "grid.color": INK,
        "grid.alpha": 0.2,
        "hatch.linewidth": 0.6,
        "legend.frameon": False,
        "legend.labelcolor": INK,
        "svg.fonttype": "none",  # text stays text: it can be found and read, and takes the page's own font
        "svg.hashsalt": "fashion-cnn",
        "text.color": INK,
        "xtick.color": INK,
        "ytick.color": INK,
    }
)


def save(figure: Figure, path: Path) -> None:
    """Write an SVG: the same bytes for the same figure and version of Matplotlib."""
    figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def accuracy_by_arm(
    accuracies: Mapping[str, Sequence[float]],
    intervals: Mapping[str, Interval],
    labels: Mapping[str, str],
    language: Language,
) -> Figure:
    """Mean test accuracy of each arm with its interval; small dots are its seeds, where there are several."""
    figure, axes = _figure(0.55 * len(accuracies) + 1)
    for row, (arm, values) in enumerate(accuracies.items()):
        mean, style = float(np.mean(values)), STYLES[arm]
        axes.plot(intervals[arm], [row, row], color=style.color, linewidth=2, solid_capstyle="butt")
        axes.plot(mean, row, marker=style.marker, color=style.color, markersize=8)
        if len(values) > 1:
            axes.plot(values, [row + 0.28] * len(values), ".", color=style.color, markersize=4)
        _value(axes, intervals[arm].high, row, language.percent(mean, 2))
    axes.set_yticks(range(len(accuracies)), [labels[arm] for arm in accuracies])
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=language.text("axes.test_accuracy"), ylim=(len(accuracies) - 0.5, -0.5))
    axes.margins(x=0.2)
    axes.grid(axis="x")
    _ticks(axes, "x", language, percent=True)
    return figure


def paired_differences(
    comparisons: Mapping[tuple[str, str], Comparison], labels: Mapping[str, str], language: Language
) -> Figure:
    """Difference in accuracy of each pair of arms, first minus second, with the interval over test images.

    Where there are several seeds, the interval over seeds stands below it, dashed, and each seed as a dot.
    """
    figure, axes = _figure(0.75 * len(comparisons) + 1.1)
    axes.axvline(0, color=INK, linewidth=1)
    for row, ((first, _), compared) in enumerate(comparisons.items()):
        style = STYLES[first]
        axes.plot(100 * np.array(compared.test_interval), [row, row], color=style.color, linewidth=2)
        axes.plot(100 * compared.difference, row, marker=style.marker, color=style.color, markersize=8)
        if compared.seed_interval:
            below = row + 0.25
            axes.plot(100 * np.array(compared.seed_interval), [below] * 2, color=style.color, linestyle="--")
            axes.plot(100 * compared.by_seed, [below] * len(compared.by_seed), ".", color=style.color, markersize=5)
        _value(axes, 100 * compared.test_interval.high, row, language.points(compared.difference))
    names = [f"{labels[first]}\n− {labels[second]}" for first, second in comparisons]
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.set(xlabel=language.text("axes.difference"), ylim=(len(names) - 0.5, -0.5))
    axes.margins(x=0.2)
    axes.grid(axis="x")
    _ticks(axes, "x", language)
    return figure


def learning_curve(
    history: Mapping[str, NDArray[np.float64]], arm: str, metric: str, title: str, language: Language
) -> Figure:
    """Training against validation by epoch, for one arm; `metric` is accuracy or loss."""
    figure, axes = _figure(2.7)
    training = Style(INK, "-", "")
    _curve(axes, history[f"train_{metric}"], training, language.text("splits.train"))
    _curve(axes, history[f"validation_{metric}"], STYLES[arm], language.text("splits.validation"))
    axes.set(title=title, xlabel=language.text("axes.epoch"), ylabel=language.text(f"axes.{metric}"))
    axes.legend()
    _ticks(axes, "y", language, percent=metric == "accuracy")
    return figure


def validation_curves(
    histories: Mapping[str, Mapping[str, NDArray[np.float64]]],
    metric: str,
    labels: Mapping[str, str],
    language: Language,
) -> Figure:
    """Validation accuracy or loss of all arms by epoch, in the same axes, as the notebook compares them."""
    figure, axes = _figure(3.1)
    for arm, history in histories.items():
        _curve(axes, history[f"validation_{metric}"], STYLES[arm], labels[arm])
    axes.set(
        title=language.text(f"figures.validation_{metric}.title"),
        xlabel=language.text("axes.epoch"),
        ylabel=language.text(f"axes.{metric}"),
    )
    axes.legend()
    _ticks(axes, "y", language, percent=metric == "accuracy")
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
    figure, axes = _figure(3.3)
    for arm, correct in shifted.items():
        by_direction = correct.mean((0, 3))
        distances = np.arange(by_direction.shape[1])
        axes.plot(distances, by_direction.mean(0), label=labels[arm], markersize=5, **STYLES[arm]._asdict())
        worst, best, color = by_direction.min(0), by_direction.max(0), STYLES[arm].color
        axes.fill_between(distances, worst, best, color=color, alpha=0.15, linewidth=0)
    axes.set(xlabel=language.text("axes.shift"), ylabel=language.text("axes.accuracy"), ylim=(0, 1))
    axes.legend()
    axes.grid(axis="y")
    _ticks(axes, "y", language, percent=True)
    return figure


def reliability(bins: Mapping[str, Reliability], labels: Mapping[str, str], language: Language) -> Figure:
    """Accuracy against confidence, a point a bin; bins with few predictions are left out."""
    figure, axes = _figure(3.8)
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
    _ticks(axes, "x", language, percent=True)
    _ticks(axes, "y", language, percent=True)
    return figure


def filters(weights: NDArray[np.floating], title: str) -> Figure:
    """The kernels of a first convolution, (filters, size, size), each on its own scale; mid-grey is 0."""
    shown = weights[:FILTERS_SHOWN]
    columns = min(8, len(shown))
    rows = -(-len(shown) // columns)
    step = 1.25  # of the mosaic; what lies between the kernels stays transparent
    figure, axes = _figure(WIDTH / 8 * rows + 0.3)
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
        _show(axes, one.image)
        names = {"truth": CLASS_NAMES[one.truth], "wrong": CLASS_NAMES[one.answer]}
        text = language.text("figures.disagreements.label", **names)
        axes.set_title(text, fontsize=8)
    if not chosen:
        figure.text(0.5, 0.5, language.text("figures.disagreements.none"), ha="center")
    return figure


def class_distribution(counts: Mapping[str, Sequence[int]], language: Language) -> Figure:
    """Images of each class, the splits one after the other in one bar; `counts` maps a split to ten numbers."""
    figure, axes = _figure(3.4)
    start = np.zeros(CLASSES)
    for split, numbers in counts.items():
        color, _, hatch = SPLIT_STYLES[split]
        label = language.text(f"splits.{split}")
        axes.barh(CLASS_NAMES, numbers, left=start, color=color, hatch=hatch, edgecolor="white", label=label)
        start += np.array(numbers)
    axes.set(xlabel=language.text("axes.images"))
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    _ticks(axes, "x", language)
    figure.legend(loc="outside upper center", ncols=3, fontsize=9)
    return figure


def class_examples(
    images: NDArray[np.uint8], labels: NDArray[np.integer], language: Language, examples: int = 10
) -> Figure:
    """The first images of each class, one class a row. `images`: uint8 (n, 28, 28), `labels`: (n,)."""
    mosaic = np.zeros((CLASSES * IMAGE_SIZE, examples * IMAGE_SIZE), np.uint8)
    for label in range(CLASSES):
        found = images[labels == label][:examples]
        row = mosaic[label * IMAGE_SIZE : (label + 1) * IMAGE_SIZE, : len(found) * IMAGE_SIZE]
        row[:] = found.swapaxes(0, 1).reshape(IMAGE_SIZE, -1)
    figure, axes = _figure(3.9)
    _show(axes, mosaic)
    axes.set_yticks(np.arange(CLASSES) * IMAGE_SIZE + IMAGE_SIZE / 2, CLASS_NAMES)
    axes.tick_params(length=0)
    axes.set_title(language.text("figures.class_examples.title", examples=examples))
    return figure


def pixel_intensity(shares: Mapping[str, NDArray[np.floating]], language: Language) -> Figure:
    """Share of pixels that have each value; `shares` maps a split's name to 256 shares."""
    figure, axes = _figure(3)
    for split, values in shares.items():
        color, linestyle, _ = SPLIT_STYLES[split]
        label = language.text(f"splits.{split}")
        axes.step(np.arange(256), values, where="mid", linestyle=linestyle, color=color, linewidth=1, label=label)
    axes.set(
        yscale="log", xlim=(-3, 258), xlabel=language.text("axes.pixel_value"), ylabel=language.text("axes.pixels")
    )

    def write(share: float, _: int | None) -> str:
        return language.percent(share, max(0, int(np.ceil(-np.log10(share))) - 2))

    axes.yaxis.set_major_formatter(FuncFormatter(write))
    axes.legend()
    return figure


def class_images(mean: NDArray[np.floating], std: NDArray[np.floating], language: Language) -> Figure:
    """Mean and, below it, standard deviation of each pixel by class: twice (10, 28, 28), grey levels."""
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    grid = figure.subplots(4, 5)
    for label in range(CLASSES):
        above, below = grid[label // 5 * 2, label % 5], grid[label // 5 * 2 + 1, label % 5]
        _show(above, mean[label])
        _show(below, std[label], brightest=128)
        above.set_title(CLASS_NAMES[label], fontsize=8)
        for axes in (above, below):
            axes.set_yticks([])
    for row in range(4):
        grid[row, 0].set_ylabel(language.text(f"figures.class_images.{'mean' if row % 2 == 0 else 'std'}"), fontsize=8)
    return figure


def nearest_distances(distances: NDArray[np.floating], near: float, language: Language) -> Figure:
    """How far each test image is from its nearest training image, in root mean square grey levels a pixel."""
    figure, axes = _figure(2.9)
    axes.hist(distances, bins=np.arange(0, distances.max() + 2, 2).tolist(), color=PLAIN)
    label = language.text("figures.nearest_distances.near", near=language.decimal(near, 0))
    axes.axvline(near, color=INK, linestyle="--", linewidth=1, label=label)
    axes.set(xlabel=language.text("axes.distance"), ylabel=language.text("axes.test_images"), xlim=(0, None))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    _ticks(axes, "y", language)
    axes.legend()
    return figure


def nearest_pairs(
    test: NDArray[np.uint8],
    training: NDArray[np.uint8],
    distances: NDArray[np.floating],
    labels: tuple[NDArray[np.integer], NDArray[np.integer]],
    language: Language,
) -> Figure:
    """Test images and, below each, its nearest training image: uint8 (n, 28, 28), up to ten; `labels` of both."""
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    grid = figure.subplots(4, 5)
    for axes in grid.flat:
        axes.set_axis_off()
    for pair in range(len(test)):
        above, below = grid[pair // 5 * 2, pair % 5], grid[pair // 5 * 2 + 1, pair % 5]
        _show(above, test[pair])
        _show(below, training[pair])
        above.set_title(f"{CLASS_NAMES[labels[0][pair]]}\n{language.decimal(distances[pair], 1)}", fontsize=8)
        below.set_title(CLASS_NAMES[labels[1][pair]], fontsize=8)
    return figure


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _matrix(title: str, language: Language) -> tuple[Figure, Axes]:
    """Axes of a square table of classes."""
    figure, axes = _figure(4.7)
    axes.set(title=title, xlabel=language.text("axes.predicted"), ylabel=language.text("axes.true"))
    axes.set_xticks(range(CLASSES), CLASS_NAMES, rotation=90)
    axes.set_yticks(range(CLASSES), CLASS_NAMES)
    axes.tick_params(length=0, labelsize=9)
    return figure, axes


def _value(axes: Axes, x: float, y: float, text: str) -> None:
    """Write a row's number to the right of what is drawn in it."""
    axes.annotate(text, (x, y), (6, 0), textcoords="offset points", ha="left", va="center", fontsize=10)


def _ticks(axes: Axes, name: str, language: Language, *, percent: bool = False) -> None:
    """Write the numbers of an axis, x or y, as the language does, with as many decimals as their steps need."""
    axis = getattr(axes, f"{name}axis")

    def write(value: float, _: int | None) -> str:
        places = axis.get_majorticklocs() * (100 if percent else 1)
        digits = next(digits for digits in range(10) if digits == 9 or np.allclose(places, places.round(digits)))
        return language.percent(value, digits) if percent else language.decimal(value, digits)

    axis.set_major_formatter(FuncFormatter(write))


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)


def _show(axes: Axes, image: NDArray[Any], brightest: float = 255) -> None:
    """Draw one image, its pixels as they are, without horizontal ticks and frame."""
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.imshow(image, cmap="gray", interpolation="none", vmin=0, vmax=brightest)


def _curve(axes: Axes, values: NDArray[np.float64], style: Style, label: str) -> None:
    """Draw the mean over seeds by epoch, (seeds, epochs); a band reaches from the lowest to the highest seed."""
    epochs = np.arange(1, values.shape[1] + 1)
    axes.plot(epochs, values.mean(0), label=label, markersize=4, **style._asdict())
    if len(values) > 1:
        axes.fill_between(epochs, values.min(0), values.max(0), color=style.color, alpha=0.2, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
