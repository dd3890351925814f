"""The figures of a review: learning curves and confusion before and after, images newly right and newly wrong."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from fashion_cnn.comparison import statistics
from fashion_cnn.core.dataset import Images
from fashion_cnn.core.fashion_mnist import CLASS_NAMES, CLASSES
from fashion_cnn.core.results import Result
from fashion_cnn.experiments.review.evidence import ArmChange, Review
from fashion_cnn.reporting import style
from fashion_cnn.reporting.language import Language

ENGLISH: Final = Language.load("en")
SHOWN: Final = 6  # images newly right, and newly wrong, of each arm
PANEL: Final = 3.4  # inches

Arms = Mapping[str, Result]


def draw(review: Review, before: Arms, after: Arms, images: Images | None) -> dict[str, Figure]:
    """Every figure that there is anything to show in, by the name of its file."""
    changed = {arm: one for arm, one in review.arms.items() if one.accuracy}
    if not changed:
        return {}
    drawn = {
        "learning_curves": learning_curves(list(changed), before, after),
        "confusion": confusion(list(changed), before, after),
    }
    if images is not None:
        drawn["images"] = newly_right_and_wrong(changed, before, after, images)
    return drawn


def learning_curves(arms: Sequence[str], before: Arms, after: Arms) -> Figure:
    """Validation accuracy and loss by epoch, means over seeds, a row an arm: before in grey, after in its colour."""
    figure = Figure(figsize=(2 * PANEL, 2.2 * len(arms)), layout="constrained")
    grid = figure.subplots(len(arms), 2, squeeze=False)
    for row, arm in zip(grid, arms, strict=True):
        for axes, metric in zip(row, ("accuracy", "loss"), strict=True):
            for label, side, look in (
                ("before", before, style.Style(style.INK, "-", "")),
                ("after", after, style.STYLES[arm]),
            ):
                values = side[arm].history[f"validation_{metric}"].mean(0)
                epochs = np.arange(1, len(values) + 1)
                axes.plot(epochs, values, label=label, markersize=4, **look._asdict())
            axes.set(title=f"{arm}: validation {metric}", xlabel="epoch")
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            style.format_ticks(axes, "y", ENGLISH, percent=metric == "accuracy")
        row[0].legend()
    return figure


def confusion(arms: Sequence[str], before: Arms, after: Arms) -> Figure:
    """Test images of each class (row) by the class they are taken for, in per cent: before, after, and the change."""
    figure = Figure(figsize=(3 * PANEL, 1.05 * PANEL * len(arms)), layout="constrained")
    grid = figure.subplots(len(arms), 3, squeeze=False, sharey=True)
    for row, arm in zip(grid, arms, strict=True):
        first, second = (_percent(side[arm]) for side in (before, after))
        for axes, percent, title in zip(row, (first, second), ("before", "after"), strict=False):
            axes.imshow(np.sqrt(percent), cmap="Greys", vmin=0, vmax=10)  # the root keeps the errors visible
            _cells(axes, percent, f"{arm}: {title}", dark=percent > 25)
        change = second - first
        limit = max(float(np.abs(change).max()), 1)
        row[2].imshow(change, cmap="PuOr", vmin=-limit, vmax=limit)
        _cells(row[2], change, f"{arm}: change in points", dark=np.abs(change) > 0.7 * limit, signed=True)
    return figure


def _percent(result: Result) -> NDArray[np.float64]:
    counts = statistics.confusion_matrix(result.labels, result.probabilities.argmax(-1))
    return 100 * counts / np.maximum(counts.sum(1, keepdims=True), 1)


def _cells(
    axes: Axes, values: NDArray[np.float64], title: str, dark: NDArray[np.bool_], *, signed: bool = False
) -> None:
    """Write each value that rounds to more than 0 into its cell of a table of classes."""
    axes.set_title(title)
    axes.set_xticks(range(CLASSES), CLASS_NAMES, rotation=90, fontsize=7)
    axes.set_yticks(range(CLASSES), CLASS_NAMES, fontsize=7)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (row, column), value in np.ndenumerate(values):
        text = ENGLISH.decimal(value, 0, signed=signed)
        color = "white" if dark[row, column] else "black"
        axes.text(column, row, "" if text == "0" else text, ha="center", va="center", fontsize=6, color=color)


def newly_right_and_wrong(changed: Mapping[str, ArmChange], before: Arms, after: Arms, images: Images) -> Figure:
    """For each arm the surest of the images that are newly right, and newly wrong, with their class and the answers."""
    rows = [
        (arm, word, numbers)
        for arm, one in changed.items()
        for word, numbers in (("right", one.newly_right), ("wrong", one.newly_wrong))
        if numbers
    ]
    figure = Figure(figsize=(1.5 * SHOWN, 2.3 * max(1, len(rows))), layout="constrained")
    parts = figure.subfigures(max(1, len(rows)), 1, squeeze=False, hspace=0.08)[:, 0]
    for part, (arm, word, numbers) in zip(parts, rows, strict=False):
        part.suptitle(f"{arm}: {len(numbers)} images newly {word}", fontsize=10, x=0.01, ha="left")
        for axes, at in zip(part.subplots(1, SHOWN), [*numbers[:SHOWN], *[None] * SHOWN], strict=False):
            if at is None:
                axes.set_axis_off()
                continue
            style.show_image(axes, images.images[at])
            axes.set_yticks([])
            old, new = (CLASS_NAMES[side[arm].probabilities[0, at].argmax()] for side in (before, after))
            axes.set_title(f"{at}: {CLASS_NAMES[images.labels[at]]}\nbefore: {old}\nafter: {new}", fontsize=7)
    return figure
