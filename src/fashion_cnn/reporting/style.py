"""How figures look: one style an arm everywhere, sizes, numbers on axes in any language, the same bytes each time.

Figures are as wide as a phone's page, so that they can stand side by side on a wider one.
"""

import locale
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter
from numpy.typing import NDArray

from fashion_cnn.reporting.colors import COLORS
from fashion_cnn.reporting.language import Language


class Style(NamedTuple):
    """How an arm looks everywhere: told apart by colour, in grey by its line and marker."""

    color: str
    linestyle: str
    marker: str


STYLES: Final = {
    arm: Style(color, linestyle, marker)
    for (arm, color), linestyle, marker in zip(COLORS.items(), (":", "-", "--", "-."), "os^D", strict=True)
}
PAPER: Final = "#fffffe"  # the background, and nothing else: the report leaves it out
INK: Final = "#4a4a4a"  # text and axes, and nothing else: the report replaces it by the page's own ink
WIDTH: Final = 4.6  # inches

locale.setlocale(locale.LC_CTYPE, "C")  # a person's would shape ligatures, and so place labels, as their language does
mpl.rcdefaults()  # not what a matplotlibrc of the working folder says
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


def single_axes(height: float) -> tuple[Figure, Axes]:
    """A figure of one plot, so many inches high."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def format_ticks(axes: Axes, name: str, language: Language, *, percent: bool = False) -> None:
    """Write the numbers of an axis, x or y, as the language does, with as many decimals as their steps need."""
    axis = getattr(axes, f"{name}axis")

    def write(value: float, _: int | None) -> str:
        places = axis.get_majorticklocs() * (100 if percent else 1)
        digits = next(digits for digits in range(10) if digits == 9 or np.allclose(places, places.round(digits)))
        return language.percent(value, digits) if percent else language.decimal(value, digits)

    axis.set_major_formatter(FuncFormatter(write))


def show_image(axes: Axes, image: NDArray[Any], brightest: float = 255) -> None:
    """Draw one image, its pixels as they are, without horizontal ticks and frame."""
    axes.set_xticks([])
    axes.spines[:].set_visible(False)
    axes.imshow(image, cmap="gray", interpolation="none", vmin=0, vmax=brightest)
