"""Every figure of the study: arrays and frames in, a Matplotlib figure out. One style an arm everywhere."""

from __future__ import annotations  # pandas is named in signatures alone: it need not be imported

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fashion_cnn.fashion_mnist import CLASS_NAMES, CLASSES, IMAGE_SIZE

if TYPE_CHECKING:
    import pandas as pd


class Style(NamedTuple):
    """How an arm looks everywhere: told apart by colour, in grey by its line and marker."""

    color: str
    linestyle: str
    marker: str


# Colours: Okabe and Ito 2008, "Color universal design", made for every kind of colour vision.
STYLES: Final = {
    "baseline": Style("#E69F00", ":", "o"),
    "cnn3": Style("#0072B2", "-", "s"),
    "cnn5": Style("#D55E00", "--", "^"),
    "candidate": Style("#009E73", "-.", "D"),
}
INK: Final = "#4a4a4a"
METRICS: Final = {"accuracy": "accuracy (share correct)", "loss": "loss (cross-entropy, nats)"}


def save(figure: Figure, path: Path) -> None:
    """Write an SVG: the same bytes for the same figure and version of Matplotlib."""
    with mpl.rc_context({"svg.hashsalt": "fashion-cnn"}):
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def class_distribution(counts: Mapping[str, Sequence[int]]) -> Figure:
    """Images a class in each split and, dashed, an equal share; `counts` maps a split to ten numbers."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, (split, numbers) in zip(_row(figure, len(counts), sharey=True), counts.items(), strict=True):
        axes.barh(CLASS_NAMES, numbers, color="#56B4E9")
        axes.axvline(sum(numbers) / CLASSES, color=INK, linestyle="--", linewidth=1)
        axes.set(title=f"{split}: {sum(numbers):,} images", xlabel="images")
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        _plain(axes)
    axes.invert_yaxis()  # shared: the first class comes first in every panel
    return figure


def class_examples(images: NDArray[np.uint8], labels: NDArray[np.integer], examples: int = 10) -> Figure:
    """The first images of each class, one class a row. `images`: uint8 (n, 28, 28), `labels`: (n,)."""
    mosaic = np.zeros((CLASSES * IMAGE_SIZE, examples * IMAGE_SIZE), np.uint8)
    for label in range(CLASSES):
        found = images[labels == label][:examples]
        row = mosaic[label * IMAGE_SIZE : (label + 1) * IMAGE_SIZE, : len(found) * IMAGE_SIZE]
        row[:] = found.swapaxes(0, 1).reshape(IMAGE_SIZE, -1)
    figure = Figure(figsize=(6.4, 5.6), layout="constrained")
    axes = figure.add_subplot()
    _show(axes, mosaic)
    axes.set_yticks(np.arange(CLASSES) * IMAGE_SIZE + IMAGE_SIZE / 2, CLASS_NAMES)
    axes.tick_params(length=0)
    axes.set_title(f"The first {examples} training images of each class")
    return figure


def pixel_intensity(shares: Mapping[str, NDArray[np.floating]]) -> Figure:
    """Share of pixels that have each value; `shares` maps a split's name to 256 shares."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot()
    lines = zip(shares.items(), ("-", "--", ":"), ("#0072B2", "#E69F00", "#000000"), strict=False)
    for (split, values), linestyle, color in lines:
        axes.step(
            np.arange(256),
            100 * values,
            where="mid",
            linestyle=linestyle,
            color=color,
            linewidth=1,
            label=split,
        )
    axes.set(
        yscale="log",
        xlim=(-3, 258),
        title="Distribution of pixel values in each split",
        xlabel="pixel value (0 is the background, 255 the brightest)",
        ylabel="pixels (%)",
    )
    axes.yaxis.set_major_formatter("{x:g}")
    axes.legend(frameon=False, ncols=3)
    _plain(axes)
    return figure


def class_images(mean: NDArray[np.floating], std: NDArray[np.floating]) -> Figure:
    """Mean (above) and standard deviation (below) of each pixel by class: twice (10, 28, 28), grey levels."""
    figure = Figure(figsize=(9, 2.5), layout="constrained")
    grid = figure.subplots(2, CLASSES)
    for row, (name, images) in enumerate({"mean": mean, "standard\ndeviation": std}.items()):
        for label, axes in enumerate(grid[row]):
            shown = _show(axes, images[label], brightest=255 if row == 0 else 128)
            axes.set_yticks([])
            if row == 0:
                axes.set_title(CLASS_NAMES[label], fontsize=8)
        grid[row, 0].set_ylabel(name)
        figure.colorbar(shown, ax=grid[row], label="grey levels", ticks=MaxNLocator(2), aspect=8)
    return figure


def nearest_distances(distances: NDArray[np.floating], near: float) -> Figure:
    """How far each test image is from its nearest training image, in root mean square grey levels a pixel."""
    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.hist(distances, bins=np.arange(0, distances.max() + 2, 2).tolist(), color="#56B4E9")
    axes.axvline(near, color=INK, linestyle="--", linewidth=1, label=f"near-duplicates: below {near:g}")
    axes.set(
        title="Distance of each test image to the nearest training image",
        xlabel="root mean square difference (grey levels a pixel, of 255)",
        ylabel="test images",
        xlim=(0, None),
    )
    axes.legend(frameon=False)
    _plain(axes)
    return figure


def nearest_pairs(
    test: NDArray[np.uint8],
    training: NDArray[np.uint8],
    distances: NDArray[np.floating],
    labels: NDArray[np.integer],
    training_labels: NDArray[np.integer],
) -> Figure:
    """Test images (above) and their nearest training images (below): uint8 (n, 28, 28), a pair a column."""
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    grid = figure.subplots(2, len(test), squeeze=False)
    pairs = [(test, labels, "test"), (training, training_labels, "training")]
    for row, (images, classes, name) in enumerate(pairs):
        for column, axes in enumerate(grid[row]):
            _show(axes, images[column])
            axes.set_yticks([])
            axes.set_xlabel(CLASS_NAMES[classes[column]], fontsize=8)
            if row == 0:
                axes.set_title(f"{distances[column]:.1f}", fontsize=9)
        grid[row, 0].set_ylabel(name)
    figure.suptitle("The closest pairs of a test and a training image (difference in grey levels a pixel)", fontsize=11)
    return figure


def learning_curves(histories: Mapping[str, pd.DataFrame], labels: Mapping[str, str]) -> Figure:
    """Training and validation accuracy and loss by epoch, one column an arm; both map an arm's name."""
    figure = Figure(figsize=(2.5 * len(histories) + 0.8, 4.8), layout="constrained")
    grid = figure.subplots(2, len(histories), sharex=True, sharey="row", squeeze=False)
    for column, (arm, history) in zip(grid.T, histories.items(), strict=True):
        for axes, metric in zip(column, METRICS, strict=True):
            train = STYLES[arm]._replace(color="#8a8a8a", marker="")
            _curve(axes, history, f"train_{metric}", train, "training")
            _curve(axes, history, f"validation_{metric}", STYLES[arm], "validation")
            axes.legend(frameon=False, fontsize=8)
            _plain(axes)
        column[0].set_title(labels[arm])
        column[1].set_xlabel("epoch")
    for axes, label in zip(grid[:, 0], METRICS.values(), strict=True):
        axes.set_ylabel(label)
    return figure


def validation_curves(histories: Mapping[str, pd.DataFrame], labels: Mapping[str, str]) -> Figure:
    """Validation accuracy and loss of all arms in the same axes, as the notebook compares them."""
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (metric, label) in zip(_row(figure, 2), METRICS.items(), strict=True):
        for arm, history in histories.items():
            _curve(axes, history, f"validation_{metric}", STYLES[arm], labels[arm])
        axes.set(title=f"Validation {metric}", xlabel="epoch", ylabel=label)
        _plain(axes)
    axes.legend(frameon=False)
    return figure


def accuracy_by_arm(
    accuracies: Mapping[str, Sequence[float]], standard_errors: Mapping[str, float], labels: Mapping[str, str]
) -> Figure:
    """Mean test accuracy of each arm, one binomial standard error to each side; small dots are its seeds."""
    figure = Figure(figsize=(7, 0.5 * len(accuracies) + 1.5), layout="constrained")
    axes = figure.add_subplot()
    for row, (arm, values) in enumerate(accuracies.items()):
        mean, style = float(np.mean(values)), STYLES[arm]
        axes.errorbar(mean, row, xerr=standard_errors[arm], fmt=style.marker, color=style.color, capsize=4)
        if len(values) > 1:
            axes.plot(values, [row + 0.25] * len(values), ".", color=style.color, markersize=4)
        axes.annotate(f"{mean:.4f}", (mean, row), (0, 8), textcoords="offset points", ha="center", fontsize=9)
    axes.set_yticks(range(len(accuracies)), [labels[arm] for arm in accuracies])
    axes.set(
        title="Test accuracy; bars are one binomial standard error",
        xlabel="test accuracy (share correct)",
        ylim=(len(accuracies) - 0.5, -0.7),
    )
    axes.margins(x=0.1)
    axes.grid(axis="x", alpha=0.3)
    _plain(axes)
    return figure


def confusion_matrices(matrices: Mapping[str, NDArray[np.integer]], labels: Mapping[str, str]) -> Figure:
    """Share of each true class (row) taken for each class (column); `matrices` holds counts (10, 10)."""
    columns = min(2, len(matrices))
    rows = -(-len(matrices) // columns)
    figure = Figure(figsize=(3.7 * columns + 0.9, 4.2 * rows + 0.5), layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(matrices) :]:
        axes.set_visible(False)
    for axes, (arm, counts) in zip(grid.flat, matrices.items(), strict=False):
        percent = 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)
        # The square root keeps the errors visible beside the diagonal.
        axes.imshow(np.sqrt(percent), cmap="Blues", vmin=0, vmax=10)
        for (row, column), value in np.ndenumerate(percent):
            color = "white" if value > 40 else "black"
            text = f"{value:.0f}"
            axes.text(column, row, "" if text == "0" else text, ha="center", va="center", fontsize=8, color=color)
        axes.set_title(labels[arm])
        axes.set_xticks(range(CLASSES), CLASS_NAMES, rotation=90)
        axes.set_yticks(range(CLASSES), CLASS_NAMES)
        axes.tick_params(length=0, labelsize=8, labelbottom=True)
    figure.supxlabel("predicted class", fontsize=10)
    figure.supylabel("true class (cells: % of it; blank rounds to 0)", fontsize=10)
    return figure


def _row(figure: Figure, columns: int, **options: Any) -> NDArray[Any]:
    return figure.subplots(1, columns, squeeze=False, **options)[0]


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _show(axes: Axes, image: NDArray[Any], brightest: float = 255) -> Any:
    """Draw one image, its pixels as they are, without horizontal ticks and frame."""
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    return axes.imshow(image, cmap="gray", interpolation="none", vmin=0, vmax=brightest)


def _curve(axes: Axes, history: pd.DataFrame, column: str, style: Style, label: str) -> None:
    """Draw the mean over seeds by epoch; a band reaches from the lowest to the highest seed."""
    epochs = history.groupby("epoch")[column]
    mean = epochs.mean()
    axes.plot(mean.index, mean, label=label, markersize=4, **style._asdict())
    if history["seed"].nunique() > 1:
        axes.fill_between(mean.index, epochs.min(), epochs.max(), color=style.color, alpha=0.2, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
