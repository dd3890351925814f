"""What the stages eda and compare write: the same bytes each time, every table, all of it or nothing."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from fashion_cnn.comparison import arms
from fashion_cnn.core import results
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import ARMS
from fashion_cnn.core.results import CURVES
from fashion_cnn.stages import compare
from support.reports import TEST_IMAGES, content, make_arms, page_of
from support.repository import REPOSITORY
from support.results import first, result


def test_eda_measures_the_splits_and_finds_the_copies(reports: Path) -> None:
    metrics = json.loads((reports / "eda/metrics.json").read_text(encoding="utf-8"))
    assert metrics["train"]["images"] == 80
    assert metrics["train"]["smallest_class"] == metrics["train"]["largest_class"] == 8
    assert metrics["copies"]["within_training"] == 0
    assert metrics["copies"]["test_in_training"] == metrics["copies"]["test_near_training"] == 2
    assert metrics["copies"]["test_in_training_other_label"] == 1


def test_the_headline_compares_the_candidate_with_baseline_and_cnn3(reports: Path) -> None:
    metrics = json.loads((reports / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics) == ["baseline", "cnn3", "cnn5", "candidate"]
    assert metrics["baseline"] == {
        "test_accuracy": 0.8025,
        "test_loss": round(-0.8025 * np.log(0.91) - 0.1975 * np.log(0.01), 6),
        "parameters": 101_770,
    }
    candidate = metrics["candidate"]
    assert (candidate["kernel"], candidate["test_accuracy"]) == (7, 0.94)
    assert (candidate["accuracy_minus_baseline"], candidate["accuracy_minus_cnn3"]) == (0.1375, 0.0375)


def test_confusion_tables_hold_each_test_image_of_the_first_seed(reports: Path) -> None:
    table = pd.read_csv(reports / "comparison/confusion/candidate.csv")
    assert len(table) == TEST_IMAGES
    assert (table["actual"] == table["predicted"]).sum() == 186
    assert table.iloc[-1].to_dict() == {"actual": "Ankle boot", "predicted": "T-shirt/top"}


def test_every_figure_of_numbers_has_its_table(reports: Path) -> None:
    def table(name: str) -> pd.DataFrame:
        return pd.read_csv(reports / f"{name}.csv", index_col=0)

    accuracy = table("comparison/test_accuracy")
    assert accuracy.loc["cnn3", "accuracy"] == pytest.approx(0.9025)
    assert (accuracy["low"] < accuracy["accuracy"]).all()
    assert (accuracy["accuracy"] < accuracy["high"]).all()

    pairs = table("comparison/paired_differences")
    assert pairs.loc["cnn3 minus baseline", "difference"] == pytest.approx(0.1)
    assert (pairs["seeds_low"] <= pairs["difference"]).all()
    assert (pairs["difference"] <= pairs["seeds_high"]).all()

    by_class = table("comparison/class_accuracy")
    assert list(by_class) == list(ARMS)
    assert by_class.mean().to_dict() == pytest.approx(accuracy["accuracy"].to_dict())

    mirrored = table("comparison/mirrored")
    assert list(mirrored) == list(ARMS)
    assert mirrored.mean().to_dict() == pytest.approx(accuracy["accuracy"].to_dict()), "mirroring changes nothing here"

    assert all(list(table(f"comparison/{curve}")) == list(ARMS) for curve in CURVES)
    assert table("comparison/validation_accuracy").loc[2, "cnn3"] == pytest.approx(0.755), "the mean of two seeds"

    translation = table("comparison/translation")
    assert list(translation.index) == list(range(9))
    assert translation.loc[0, list(ARMS)].to_dict() == pytest.approx(accuracy["accuracy"].to_dict())
    assert translation.loc[8, "cnn3"] == pytest.approx(translation.filter(like="cnn3_").loc[8].mean())

    reliability = table("comparison/reliability")
    (of_all,) = reliability.dropna().index  # every prediction is as sure as every other
    assert reliability.loc[of_all, list(ARMS)].to_dict() == pytest.approx(accuracy["accuracy"].to_dict())
    assert reliability.filter(like="_share").sum().tolist() == [1, 1, 1, 1]

    assert (table("eda/class_distribution")["train"] == 8).all()
    intensity = table("eda/pixel_intensity")
    assert list(intensity.loc[127]) == pytest.approx([0.5, 0.5, 0.5], abs=0.02), "noise: half are darker"
    assert list(intensity.loc[255]) == [1, 1, 1]
    assert table("eda/nearest_distances")["test_images"].sum() == TEST_IMAGES


def test_every_plot_of_the_pipeline_draws_columns_that_a_table_has(reports: Path) -> None:
    for plot in yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["plots"]:
        (drawn,) = plot.values()
        x, y = drawn["x"], drawn["y"]
        for axis in (y, x if isinstance(x, dict) else dict.fromkeys(y, x)):
            for file, columns in axis.items():
                wanted = {columns} if isinstance(columns, str) else set(columns)
                assert wanted <= set(pd.read_csv(reports.parent / file)), file


def test_one_seed_leaves_no_interval_between_seeds_in_the_table(repository: Path) -> None:
    compare.main()
    pairs = pd.read_csv(repository / "reports/comparison/paired_differences.csv")
    assert np.isfinite(pairs[["low", "high"]]).all(axis=None)
    assert np.isnan(pairs[["seeds_low", "seeds_high"]]).all(axis=None)


def test_classes_without_test_images_are_left_blank(repository: Path) -> None:
    labels = np.zeros(TEST_IMAGES, np.uint8)
    for arm, kernel in zip(ARMS, (None, 3, 5, 3), strict=True):
        results.save(result(first([150], TEST_IMAGES), kernel, labels=labels), repository / "models" / arm)
    compare.main()
    assert "\nTrouser,nan,nan,nan,nan\n" in (repository / "reports/comparison/class_accuracy.csv").read_text(
        encoding="utf-8"
    )
    assert '<th scope="row" lang="en">Trouser</th><td>–</td>' in page_of(repository / "reports")


def test_a_comparison_that_fails_leaves_the_earlier_one(repository: Path, reports: Path) -> None:
    shutil.copytree(reports, repository / "reports", dirs_exist_ok=True)
    (repository / "reports/eda/nearest_pairs.svg").unlink()  # the report, written last, needs it
    results.save(result(first([200], TEST_IMAGES), 3), repository / "models/cnn3")
    before = content(repository / "reports")
    with pytest.raises(FileNotFoundError):
        compare.main()
    assert content(repository / "reports") == before


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("data/prepared/manifest.json", "compare"),
        ("data/prepared/test.npz", "preprocess"),
    ],
)
def test_compare_says_what_is_missing_and_which_stage_makes_it(repository: Path, missing: str, stage: str) -> None:
    (repository / missing).unlink()
    with pytest.raises(UserError, match=re.escape(f"{missing}: not found; `dvc repro {stage}` makes it")):
        compare.main()
    assert not (repository / "reports/comparison").exists()


def test_the_digest_of_the_parameters_changes_with_each_of_them_alone() -> None:
    def digest(settings: dict[str, Any]) -> str:
        return compare.digests({}, settings)["parameters"]

    assert digest({"kernel": 3, "train": {"seeds": 1}}) == digest({"train": {"seeds": 1}, "kernel": 3})
    assert digest({"kernel": 3, "train": {"seeds": 1}}) != digest({"kernel": 3, "train": {"seeds": 2}})


def test_a_candidate_with_the_same_kernel_and_another_result_is_not_called_the_same() -> None:
    assert arms.reused_arm(make_arms(result(first([179], TEST_IMAGES), 3))) is None
    assert arms.reused_arm(make_arms(result(first([178], TEST_IMAGES), 5))) == "cnn5"


def test_disagreements_are_the_surest_errors_on_images_that_the_other_gets_right() -> None:
    right, wrong = result(first([200], TEST_IMAGES), 3), result(first([197], TEST_IMAGES))
    wrong.probabilities[0, 198] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]  # recognised late, but surely wrong before: class 8
    images = np.arange(TEST_IMAGES, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    found = arms.disagreements(right, wrong, images)
    assert [(one.image[0, 0], one.truth, one.answer) for one in found] == [(198, 8, 9), (197, 7, 8), (199, 9, 0)]
    assert arms.disagreements(wrong, right, images) == []
