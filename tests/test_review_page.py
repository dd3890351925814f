"""The words of a review: one sentence first, nothing that a comment can't hold, nothing that Markdown mistakes."""

import re
from typing import Any

import pytest

from fashion_cnn.comparison.statistics import Interval
from fashion_cnn.experiments.freshness import Freshness
from fashion_cnn.experiments.pipeline import Difference
from fashion_cnn.experiments.review import page as pages
from fashion_cnn.experiments.review.evidence import ArmChange, Review, Seeds, Store
from fashion_cnn.experiments.review.significance import Change

FRESH = Freshness({}, [], [])


def arm(verdict: str = "not told", difference: float = 0.0123) -> ArmChange:
    change = Change(0.9, 0.9 + difference, difference, Interval(-0.01, 0.03), 0.02, "five-seeds", verdict, 1, 2)  # type: ignore[arg-type]
    return ArmChange(change, ([0.5, 0.8], [0.6, 0.9]), [], [7], [8, 9])


def reviewed(**changes: Any) -> Review:
    """A review of a change that altered one arm's accuracy by no more than chance."""
    usual = Review(
        base="b" * 40, head="a" * 40, freshness=FRESH, store=Store([], None), same_images=True, parameters={},
        metrics={"cnn3.test_accuracy": (0.9, 0.9123)}, arms={"cnn3": arm()}, not_compared=[], candidate_is="cnn3",
        seeds=Seeds({"cnn3": [0.9, 0.91]}, False, []), causes=[], environments={}, edited={},
    )  # fmt: skip
    return usual._replace(**changes)


@pytest.mark.parametrize(
    ("changes", "said", "passed"),
    [
        ({}, "`dvc.lock` is fresh, the store is complete, and no test accuracy changed by more than chance.", True),
        ({"arms": {"cnn3": arm("told", -0.0123)}}, "more than chance, in points: cnn3 −1.23.", True),
        ({"arms": {"cnn3": arm("seeds unknown")}}, "of other seeds nothing is known: cnn3 +1.23.", True),
        ({"arms": {"cnn3": arm()._replace(accuracy=None)}}, "and no prediction changed.", True),
        (
            {"freshness": Freshness({"cnn3": ["x modified"]}, ["compare"], [])},
            "`dvc.lock` is stale (cnn3, compare), the store is complete",
            False,
        ),
        ({"store": Store(["models/cnn3/model.keras"], None)}, "the store lacks 1 of the files", False),
        ({"store": Store([], "dvc: no")}, "the store could not be asked", True),
        ({"same_images": False, "arms": {}, "not_compared": ["why"]}, "accuracy was not compared: why.", False),
    ],
)
def test_the_first_sentence_says_it_all(changes: dict[str, Any], said: str, passed: bool) -> None:
    review = reviewed(**changes)
    assert said in pages.sentence(review)
    assert pages.markdown(review, []).startswith(f"**{pages.sentence(review)}**\n")
    assert review.passed == passed


def test_a_lower_accuracy_alone_passes() -> None:
    assert reviewed(arms={"cnn3": arm("told", -0.5)}).passed


def test_a_review_of_any_size_fits_into_a_comment() -> None:
    many = {f"section.parameter_{number}": ("x" * 1000, number) for number in range(3000)}
    page = pages.markdown(reviewed(parameters=many, store=Store([f"file {n}" for n in range(3000)], None)), [])
    assert 60_000 < len(page) < 65_000
    assert page.endswith("(Cut here: a comment takes no more. `review.json` has all of it.)\n")
    assert "`file 11` and 2988 more" in page


@pytest.mark.parametrize("value", ["a | b", "`; @someone", "<script>\n\n# Passed", ["x", None], None, 1e-5])
def test_a_value_stays_in_its_cell_and_is_not_taken_for_markdown(value: Any) -> None:
    page = pages.markdown(reviewed(parameters={"a.b": (value, 1)}), [])
    (row,) = [line for line in page.splitlines() if line.startswith("| `a.b`")]
    assert len(re.split(r"(?<!\\)\|", row)) == 5
    assert re.fullmatch("`[^`]+`", re.split(r"(?<!\\)\|", row)[2].strip())


def test_a_band_of_other_code_and_parameters_is_said_to_be_that() -> None:
    page = pages.markdown(reviewed(seeds=Seeds({"cnn3": [0.9, 0.91]}, True, ["train.epochs"])), [])
    assert "measured for **other code** and **other values** of `train.epochs`" in page
    assert "measured for this code." in pages.markdown(reviewed(), [])


@pytest.mark.parametrize(
    ("name", "direction"),
    [("cnn3.test_accuracy", "higher"), ("candidate.accuracy_minus_cnn3", "higher"), ("cnn3.test_loss", "lower"),
     ("cnn3.test_calibration_error", "lower"), ("cnn3.parameters", "")],
)  # fmt: skip
def test_a_metric_says_in_which_direction_it_is_better(name: str, direction: str) -> None:
    assert pages.better(name) == direction


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (0.9083, 0.912, "| 0.9083 | 0.9120 | +0.0037 |"),
        (0.3, 0.299998, "| 0.3000 | 0.3000 | −2e−06 |"),
        (220_234, 253_514, "| 220,234 | 253,514 | +33,280 |"),
        (None, 7, "|  | 7 |  |"),
        (0, 0.0, "| 0 | 0.0000 | 0 |"),
    ],
)
def test_numbers_show_what_changed(before: Any, after: Any, shown: str) -> None:
    page = pages.markdown(reviewed(metrics={"cnn3.a": (before, after)}), [])
    assert f"| `cnn3.a` |  {shown}" in page


def test_code_that_this_branch_only_ran_is_told_from_code_that_it_edited() -> None:
    cause = Difference("cnn3", None, ["src/a", "src/b.py"], {}, [], None, ["models/cnn3"])
    page = pages.markdown(reviewed(causes=[cause], edited={"src/a": ["src/a/x.py"], "src/b.py": []}), [])
    assert "code: `src/a` (`src/a/x.py`); `src/b.py` (edited before this branch, run in it)" in page
