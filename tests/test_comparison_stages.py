"""What the stages eda and compare write: the same bytes each time, every table, all of it or nothing."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashion_cnn.comparison import study
from fashion_cnn.core import results
from fashion_cnn.core.errors import UserError
from fashion_cnn.stages import compare, eda
from support.reports import TEST_IMAGES, content, make_arms, page_of, two_seeds, write_repository
from support.repository import REPOSITORY
from support.results import first, result


def test_another_process_in_another_folder_writes_the_same_bytes(reports: Path, tmp_path: Path) -> None:
    write_repository(tmp_path, two_seeds())
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "PYTHONHASHSEED": "123"}
    for stage in ("eda", "compare"):
        command = [sys.executable, "-m", "fashion_cnn.stages", stage]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
    assert content(tmp_path / "reports") == content(reports)


def test_eda_measures_the_splits_and_finds_the_copies(reports: Path) -> None:
    metrics = json.loads((reports / "eda/metrics.json").read_text())
    assert metrics["train"]["images"] == 80
    assert metrics["train"]["smallest_class"] == metrics["train"]["largest_class"] == 8
    assert metrics["copies"]["within_training"] == 0
    assert metrics["copies"]["test_in_training"] == metrics["copies"]["test_near_training"] == 2
    assert metrics["copies"]["test_in_training_other_label"] == 1


def test_eda_asks_for_the_prepared_data(repository: Path) -> None:
    (repository / "data/prepared/train.npz").unlink()
    with pytest.raises(UserError, match=r"train\.npz: not found; `dvc repro preprocess` makes it"):
        eda.main()


def test_the_headline_compares_the_candidate_with_baseline_and_cnn3(reports: Path) -> None:
    metrics = json.loads((reports / "metrics.json").read_text())
    assert list(metrics) == ["baseline", "cnn3", "cnn5", "candidate"]
    assert metrics["baseline"] == {
        "test_accuracy": 0.8025,
        "test_loss": round(-0.8025 * np.log(0.91) - 0.1975 * np.log(0.01), 6),
        "parameters": 101_770,
    }
    candidate = metrics["candidate"]
    assert (candidate["kernel"], candidate["test_accuracy"]) == (7, 0.94)
    assert (candidate["accuracy_minus_baseline"], candidate["accuracy_minus_cnn3"]) == (0.1375, 0.0375)


def table(path: Path) -> dict[str, dict[str, float]]:
    """A CSV file of numbers by the texts of its first column; nan where a cell is empty."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file)
        first_column, *others = rows.fieldnames or []
        return {row[first_column]: {name: float(row[name] or "nan") for name in others} for row in rows}


def test_confusion_tables_hold_each_test_image_of_the_first_seed(reports: Path) -> None:
    header, *lines = (reports / "comparison/confusion/candidate.csv").read_text().splitlines()
    assert header == "actual,predicted"
    assert len(lines) == TEST_IMAGES
    assert sum(actual == predicted for actual, predicted in (line.split(",") for line in lines)) == 186
    assert lines[-1] == "Ankle boot,T-shirt/top"


def test_every_figure_of_numbers_has_its_table(reports: Path) -> None:
    folder = reports / "comparison"
    accuracy = table(folder / "test_accuracy.csv")
    assert accuracy["cnn3"]["accuracy"] == pytest.approx(0.9025)
    assert accuracy["cnn3"]["low"] < 0.9025 < accuracy["cnn3"]["high"]

    pairs = table(folder / "paired_differences.csv")
    assert pairs["cnn3 minus baseline"]["difference"] == pytest.approx(0.1)
    assert pairs["candidate minus cnn3"]["seeds_low"] < 0.0375 < pairs["candidate minus cnn3"]["seeds_high"]

    by_class = table(folder / "class_accuracy.csv")
    assert list(by_class["Trouser"]) == list(study.ARMS)
    assert np.mean([shares["cnn3"] for shares in by_class.values()]) == pytest.approx(0.9025)

    for arm in study.ARMS:
        curve = table(folder / f"learning_curves/{arm}.csv")
        assert curve["2"]["validation_accuracy"] == pytest.approx(0.755), "the mean of two seeds"
        translation = table(folder / f"translation/{arm}.csv")
        assert list(translation) == [str(shift) for shift in range(9)]
        assert translation["0"]["accuracy"] == pytest.approx(accuracy[arm]["accuracy"])
        (bin_of_all,) = table(folder / f"reliability/{arm}.csv").values()
        assert bin_of_all == pytest.approx({"accuracy": accuracy[arm]["accuracy"], "share": 1})

    assert {counts["train"] for counts in table(reports / "eda/class_distribution.csv").values()} == {8}
    intensity = table(reports / "eda/pixel_intensity.csv")
    assert list(intensity["127"].values()) == pytest.approx([0.5, 0.5, 0.5], abs=0.02), "noise: half are darker"
    assert list(intensity["255"].values()) == [1, 1, 1]
    distances = table(reports / "eda/nearest_distances.csv").values()
    assert sum(counts["test_images"] for counts in distances) == TEST_IMAGES


def test_one_seed_leaves_no_interval_between_seeds_in_the_table(repository: Path) -> None:
    compare.main()
    for pair in table(repository / "reports/comparison/paired_differences.csv").values():
        assert np.isfinite([pair["low"], pair["high"]]).all()
        assert np.isnan([pair["seeds_low"], pair["seeds_high"]]).all()


def test_classes_without_test_images_are_left_blank(repository: Path) -> None:
    labels = np.zeros(TEST_IMAGES, np.uint8)
    for arm, kernel in zip(study.ARMS, (None, 3, 5, 3), strict=True):
        results.save(result(first([150], TEST_IMAGES), kernel, labels=labels), repository / "models" / arm)
    compare.main()
    assert "\nTrouser,,,,\n" in (repository / "reports/comparison/class_accuracy.csv").read_text()
    assert '<th scope="row" lang="en">Trouser</th><td>–</td>' in page_of(repository / "reports")


def test_a_comparison_that_fails_leaves_the_earlier_one(repository: Path) -> None:
    compare.main()
    (repository / "reports/eda/nearest_pairs.svg").unlink()  # the report, written last, needs it
    results.save(result(first([200], TEST_IMAGES), 3), repository / "models/cnn3")
    before = content(repository / "reports")
    with pytest.raises(FileNotFoundError):
        compare.main()
    assert content(repository / "reports") == before


@pytest.mark.parametrize(
    ("missing", "stage"),
    [
        ("models/cnn5/metrics.json", "cnn5"),
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
    assert study.same_arm(make_arms(result(first([179], TEST_IMAGES), 3))) is None
    assert study.same_arm(make_arms(result(first([178], TEST_IMAGES), 5))) == "cnn5"


def test_disagreements_are_the_surest_errors_on_images_that_the_other_gets_right() -> None:
    right, wrong = result(first([200], TEST_IMAGES), 3), result(first([197], TEST_IMAGES))
    wrong.probabilities[0, 198] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1]  # recognised late, but surely wrong before: class 8
    images = np.arange(TEST_IMAGES, dtype=np.uint8)[:, None, None] * np.ones((1, 28, 28), np.uint8)
    found = study.disagreements(right, wrong, images)
    assert [(one.image[0, 0], one.truth, one.answer) for one in found] == [(198, 8, 9), (197, 7, 8), (199, 9, 0)]
    assert study.disagreements(wrong, right, images) == []
