"""Figures of the images: arrays in, a Matplotlib figure out, text in any language."""

from typing import Final

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from fashion_cnn.core.fashion_mnist import CLASS_NAMES, CLASSES, IMAGE_SIZE
from fashion_cnn.reporting.language import Language
from fashion_cnn.reporting.style import INK, WIDTH, format_ticks, show_image, single_axes

SPLIT_STYLES: Final = {  # colour, line, hatch
    "train": ("#6c7a89", "-", ""),
    "validation": ("#a06a3f", "--", "////"),
    "test": ("#7b68c8", ":", "xx"),
}
PLAIN: Final = "#6c7a89"  # what belongs to no split


def class_distribution(counts: pd.DataFrame, language: Language) -> Figure:
    """Images of each class, the splits one after the other in one bar; `counts` has a row a class, a column a split."""
    figure, axes = single_axes(3.4)
    start = np.zeros(CLASSES)
    for split, (color, _, hatch) in SPLIT_STYLES.items():
        numbers, label = counts[split].to_numpy(), language.text(f"splits.{split}")
        axes.barh(counts.index, numbers, left=start, color=color, hatch=hatch, edgecolor="white", label=label)
        start += numbers
    axes.set(xlabel=language.text("axes.images"))
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    format_ticks(axes, "x", language)
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
    figure, axes = single_axes(3.9)
    show_image(axes, mosaic)
    axes.set_yticks(np.arange(CLASSES) * IMAGE_SIZE + IMAGE_SIZE / 2, CLASS_NAMES)
    axes.tick_params(length=0)
    axes.set_title(language.text("figures.class_examples.title", examples=examples))
    return figure


def pixel_intensity(shares: pd.DataFrame, language: Language) -> Figure:
    """Share of pixels that have each value; `shares` has a row a value, a column a split."""
    figure, axes = single_axes(3)
    for split, (color, linestyle, _) in SPLIT_STYLES.items():
        label = language.text(f"splits.{split}")
        axes.step(shares.index, shares[split], where="mid", linestyle=linestyle, color=color, linewidth=1, label=label)
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
        show_image(above, mean[label])
        show_image(below, std[label], brightest=128)
        above.set_title(CLASS_NAMES[label], fontsize=8)
        for axes in (above, below):
            axes.set_yticks([])
    for row in range(4):
        grid[row, 0].set_ylabel(language.text(f"figures.class_images.{'mean' if row % 2 == 0 else 'std'}"), fontsize=8)
    return figure


def nearest_distances(distances: NDArray[np.floating], near: float, language: Language) -> Figure:
    """How far each test image is from its nearest training image, in root mean square grey levels a pixel."""
    figure, axes = single_axes(2.9)
    axes.hist(distances, bins=np.arange(0, distances.max() + 2, 2).tolist(), color=PLAIN)
    label = language.text("figures.nearest_distances.near", near=language.decimal(near, 0))
    axes.axvline(near, color=INK, linestyle="--", linewidth=1, label=label)
    axes.set(xlabel=language.text("axes.distance"), ylabel=language.text("axes.test_images"), xlim=(0, None))
    axes.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    format_ticks(axes, "y", language)
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
        show_image(above, test[pair])
        show_image(below, training[pair])
        above.set_title(f"{CLASS_NAMES[labels[0][pair]]}\n{language.decimal(distances[pair], 1)}", fontsize=8)
        below.set_title(CLASS_NAMES[labels[1][pair]], fontsize=8)
    return figure
