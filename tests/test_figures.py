"""Figures of the comparison and of the images: what is drawn, how it looks, in which words."""

import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from fashion_cnn.comparison import figures
from fashion_cnn.core.params import ARMS
from fashion_cnn.eda import figures as eda_figures
from fashion_cnn.reporting import style
from fashion_cnn.reporting.language import Language
from support.reports import TEST_IMAGES, compare_arms, make_arms, page_of
from support.repository import REPOSITORY
from support.results import first, result

SVG = "{http://www.w3.org/2000/svg}"


def test_a_candidate_of_its_own_is_drawn(reports: Path) -> None:
    drawn_anew = {path.stem for path in (reports / "comparison").glob("*candidate*.svg")}
    assert drawn_anew == {
        "learning_candidate_accuracy", "learning_candidate_loss", "confusion_candidate", "filters_candidate",
    }  # fmt: skip
    for name in ("test_accuracy", "validation_loss", "mirrored", "translation", "reliability", "paired_differences"):
        assert "Candidate 7×7" in (reports / f"comparison/{name}.svg").read_text(encoding="utf-8"), name


def test_figures_read_alone_and_take_the_ink_of_the_page_inside_it(reports: Path) -> None:
    for file in reports.rglob("*.svg"):
        assert ElementTree.parse(file).getroot().tag == f"{SVG}svg"  # noqa: S314 the project drew it
        assert style.PAPER in file.read_text(encoding="utf-8")
    page = page_of(reports)
    assert style.INK not in page
    assert style.PAPER not in page
    assert "currentColor" in page


def test_the_figures_speak_the_language(spanish: Path) -> None:
    assert "imágenes de prueba reconocidas" in (spanish / "comparison/test_accuracy.svg").read_text(encoding="utf-8")
    assert "entrenamiento" in (spanish / "eda/class_distribution.svg").read_text(encoding="utf-8")
    assert re.search(r">0,\d", (spanish / "comparison/learning_cnn3_loss.svg").read_text(encoding="utf-8"))


def contrast(color: str, other: str) -> float:
    """Contrast of two colours, 1 to 21. Source: WCAG 2.2, relative luminance and contrast ratio."""

    def luminance(text: str) -> float:
        channels = np.array([int(text[at : at + 2], 16) for at in (1, 3, 5)]) / 255
        linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    low, high = sorted((luminance(color), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_arms_differ_in_colour_and_in_grey_and_stand_out_from_light_and_dark_paper() -> None:
    assert set(style.STYLES) == set(ARMS)
    for looks in zip(*style.STYLES.values(), strict=True):
        assert len(set(looks)) == len(ARMS)
    drawn_colors = [one.color for one in style.STYLES.values()] + [
        color for color, *_ in eda_figures.SPLIT_STYLES.values()
    ]
    css = (REPOSITORY / "src/fashion_cnn/comparison/templates/report.css").read_text(encoding="utf-8")
    papers = re.findall(r"--paper: (#\w+)", css)[:2]
    assert [len(paper) for paper in papers] == [4, 7]
    for color in [*drawn_colors, eda_figures.PLAIN]:
        assert contrast(color, "#ffffff") >= 3, color
        assert contrast(color, papers[1]) >= 3, color


def test_a_person_s_locale_shapes_no_label() -> None:
    code = "import fashion_cnn.reporting.style, locale; print(locale.setlocale(locale.LC_CTYPE))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"LC_ALL": "C.UTF-8"}, capture_output=True, encoding="utf-8",
        check=True,
    )  # fmt: skip
    assert done.stdout == "C\n"


def test_curves_have_labelled_axes_in_the_unit_of_the_reader() -> None:
    english = Language.load("en")
    histories = {arm: one.history for arm, one in make_arms().items()}
    names = dict.fromkeys(histories, "name")
    for metric, label in (("accuracy", "images recognised"), ("loss", "loss (nats)")):
        (axes,) = figures.validation_curves(histories, metric, names, english).axes
        assert axes.get_ylabel() == label
        assert axes.get_xlabel().startswith("epoch")
        assert len(axes.lines) == 4
    figure = figures.validation_curves(histories, "accuracy", names, english)
    figure.draw_without_rendering()
    ticks = [tick.get_text() for tick in figure.axes[0].get_yticklabels()]
    assert all(tick.endswith("%") for tick in ticks)
    assert len(set(ticks)) == len(ticks)


def test_a_curve_is_the_mean_over_seeds() -> None:
    history = result(first([180, 184], TEST_IMAGES), 3).history
    (axes,) = figures.validation_curves({"cnn3": history}, "accuracy", {"cnn3": "CNN"}, Language.load("en")).axes
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata(), float), [0.505, 0.755, 1 - 0.5 / 3 + 0.005])


def test_a_translation_curve_is_the_mean_of_four_directions() -> None:
    shifted = np.zeros((1, 4, 9, 10), bool)
    shifted[:, 0] = True
    (axes,) = figures.translation_curves({"cnn3": shifted}, {"cnn3": "CNN"}, Language.load("en")).axes
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata(), float), [0.25] * 9)


def test_mirrored_images_are_drawn_beside_those_as_they_are_for_each_class() -> None:
    right, mirrored = first([200], TEST_IMAGES), first([200], TEST_IMAGES)
    mirrored[:, 9::10] = False
    rows = compare_arms(make_arms() | {"cnn3": result(right, 3, mirrored=mirrored)}).shown_rows
    (axes,) = figures.mirrored(rows, dict.fromkeys(rows, "name"), Language.load("en")).axes
    drawn = [np.asarray(line.get_xdata(), float) for line in axes.lines]
    empty, filled = drawn[2:4]  # of the second network
    np.testing.assert_allclose(empty, [1] * 9 + [0])
    np.testing.assert_allclose(filled, [1] * 10)
    assert len({line.get_label() for line in axes.lines if not str(line.get_label()).startswith("_")}) == 1
    assert axes.lines[2].get_markerfacecolor() == style.PAPER


def test_the_difference_of_confusion_matrices_is_in_points_of_the_true_class() -> None:
    counts = np.diag([50] * 10)
    other = counts.copy()
    other[6, 6], other[6, 0] = 40, 10
    figure = figures.confusion_difference(counts, other, "title", Language.load("en"))
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sorted(filter(None, texts)) == ["+20", "−20"]


def test_filters_of_any_number_and_size_are_drawn_up_to_a_limit() -> None:
    for count, size, shown in ((1, 1, 1), (32, 3, 32), (100, 27, figures.FILTERS_SHOWN)):
        figure = figures.filters(np.ones((count, size, size)), "title")
        assert len(figure.axes[0].images) == shown


def test_examples_show_each_class_in_its_row() -> None:
    images = np.stack([np.full((28, 28), 20 * label, np.uint8) for label in range(10)] * 2)
    figure = eda_figures.class_examples(images, np.arange(20) % 10, Language.load("en"), examples=3)
    mosaic = np.asarray(figure.axes[0].images[0].get_array())
    assert mosaic.shape == (280, 84)
    assert (mosaic[::28, 0] == 20 * np.arange(10)).all()
    assert (mosaic[:, 56:] == 0).all()  # two examples of each class, no third
