import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import REPOSITORY, random_images

from fashion_cnn import dataset, figures, report, results
from fashion_cnn.errors import UserError
from fashion_cnn.evaluation import evaluate
from fashion_cnn.results import Result
from fashion_cnn.stages import compare, eda, output_file

TEST_IMAGES = 200
LABELS = (np.arange(TEST_IMAGES) % 10).astype(np.uint8)
ENVIRONMENT = {"tensorflow": "2.21.0", "keras": "3.15.1", "threads": 2, "instruction_set": "AVX2"}


def make_result(correct: list[int], kernel: int | None = None, labels: np.ndarray = LABELS) -> Result:
    """One arm whose seeds get the first so many test images right and take the others for the next class."""
    right = np.arange(len(labels)) < np.array(correct)[:, None]
    predicted = np.where(right, labels, (labels + 1) % 10)
    probabilities = (0.9 * np.eye(10) + 0.01).astype(np.float32)[predicted]
    history = pd.DataFrame(
        {"seed": seed, "epoch": epoch}
        | {
            f"{split}_{metric}": value + 0.01 * seed
            for split in ("train", "validation")
            for metric, value in (("accuracy", 1 - 0.5 / epoch), ("loss", 1 / epoch))
        }
        for seed in range(len(correct))
        for epoch in (1, 2, 3)
    )
    metrics: dict[str, Any] = {
        "test_accuracy": float(np.mean([evaluate(seed, labels)["accuracy"] for seed in probabilities])),
        "test_loss": float(np.mean([evaluate(seed, labels)["loss"] for seed in probabilities])),
        "parameters": 1000,
        "seeds": len(correct),
        "environment": ENVIRONMENT,
    }
    return Result(metrics | ({"kernel": kernel} if kernel else {}), history, probabilities, labels)


def make_arms(candidate: Result | None = None) -> dict[str, Result]:
    arms = {"baseline": make_result([160]), "cnn3": make_result([180], 3), "cnn5": make_result([178], 5)}
    return arms | {"candidate": candidate or make_result([180], 3)}


def write_repository(folder: Path, arms: dict[str, Result]) -> None:
    shutil.copy(REPOSITORY / "params.yaml", folder)
    splits = {"train": random_images(80, 1), "validation": random_images(20, 2), "test": random_images(30, 3)}
    splits["test"].images[:2] = splits["train"].images[[0, 5]]  # two exact copies: labels 0 and 5, here 0 and 1
    prepared = folder / "data/prepared"
    prepared.mkdir(parents=True)
    dataset.save(splits, prepared)
    (prepared / "manifest.json").write_text(json.dumps(dataset.describe(splits)))
    for arm, result in arms.items():
        (folder / "models" / arm).mkdir(parents=True)
        results.save(result, folder / "models" / arm)


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What eda and compare write where the candidate is a network of its own, trained with two seeds."""
    folder = tmp_path_factory.mktemp("repository")
    write_repository(folder, make_arms(make_result([186, 190], 7)))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        eda.main()
        compare.main()
    return folder / "reports"


@pytest.fixture
def repository(reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where eda has run and the candidate is cnn3, but compare has not run."""
    write_repository(tmp_path, make_arms())
    shutil.copytree(reports / "eda", tmp_path / "reports/eda")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_another_process_in_another_folder_writes_the_same_bytes(reports: Path, tmp_path: Path) -> None:
    write_repository(tmp_path, make_arms(make_result([186, 190], 7)))
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY / "src"), "PYTHONHASHSEED": "123"}
    for stage in ("eda", "compare"):
        command = [sys.executable, "-m", f"fashion_cnn.stages.{stage}"]
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
        "test_accuracy": 0.8,
        "test_loss": round(-0.8 * np.log(0.91) - 0.2 * np.log(0.01), 6),
        "parameters": 1000,
    }
    candidate = metrics["candidate"]
    assert (candidate["kernel"], candidate["test_accuracy"]) == (7, 0.94)
    assert (candidate["accuracy_minus_baseline"], candidate["accuracy_minus_cnn3"]) == (0.14, 0.04)


def test_confusion_tables_hold_each_test_image_of_the_first_seed(reports: Path) -> None:
    table = pd.read_csv(reports / "comparison/confusion/candidate.csv")
    assert list(table) == ["actual", "predicted"]
    assert len(table) == TEST_IMAGES
    assert (table["actual"] == table["predicted"]).sum() == 186
    assert table.iloc[-1].tolist() == ["Ankle boot", "T-shirt/top"]


def test_class_accuracies_have_one_column_an_arm(reports: Path) -> None:
    table = pd.read_csv(reports / "comparison/class_accuracy.csv", index_col="class")
    assert list(table) == ["baseline", "cnn3", "cnn5", "candidate"]
    assert table["cnn3"].mean() == pytest.approx(0.9)


def test_a_candidate_of_its_own_is_drawn(reports: Path) -> None:
    for figure in (reports / "comparison").glob("*.svg"):
        assert "Candidate 7×7" in figure.read_text(), figure.name


def test_a_reused_candidate_is_called_the_same_and_not_drawn_twice(repository: Path) -> None:
    compare.main()
    summary = (repository / "reports/comparison/summary.md").read_text()
    assert "| Candidate 3×3 (same as cnn3) |" in summary
    drawn = list((repository / "reports/comparison").glob("*.svg"))
    assert len(drawn) == 4
    for figure in drawn:
        assert "Candidate" not in figure.read_text(), figure.name


def test_a_candidate_with_the_same_kernel_and_another_result_is_not_called_the_same() -> None:
    assert report.same_arm(make_arms(make_result([179], 3))) is None
    assert report.same_arm(make_arms(make_result([178], 5))) == "cnn5"


def test_the_answer_says_how_much_and_how_sure() -> None:
    answer = report.answer(make_arms())
    error = 100 * np.sqrt(0.1 * 0.9 / TEST_IMAGES)  # only the CNN gets a tenth of the images right
    assert f"90.00% right, 10.00 points more (standard error {error:.2f}) than the dense baseline" in answer
    assert "1.00 points fewer" in answer


def test_one_seed_is_called_what_it_is() -> None:
    summary = report.markdown(make_arms())
    assert "one seed cannot show" in summary
    assert f"standard error of {np.sqrt(0.9 * 0.1 / TEST_IMAGES):.4f}" in summary
    assert "±" not in summary


def test_several_seeds_are_given_with_their_standard_deviation() -> None:
    arms = {"baseline": make_result([150, 160]), "cnn3": make_result([180, 184], 3)}
    arms |= {"cnn5": make_result([170, 172], 5), "candidate": make_result([180, 184], 3)}
    summary = report.markdown(arms)
    assert f"| 0.9100 ± {0.02 / np.sqrt(2):.4f} |" in summary
    assert "means over 2 seeds" in summary


def test_the_page_opens_without_network_and_can_be_read_aloud(reports: Path) -> None:
    page = (reports / "index.html").read_text()
    images = re.findall(r"<img [^>]*>", page)
    assert '<html lang="en">' in page
    assert len(page) < 3_000_000
    assert len(images) == len(report.RESULT_PICTURES) + len(report.DATA_PICTURES)
    assert all('src="data:image/svg+xml;base64,' in image for image in images)
    assert all(re.search(r'alt="[^"]{20,}"', image) for image in images)
    assert not re.search(r"https?:|<script|<link|@import|url\(", page)


def test_the_page_shows_every_drawn_figure(reports: Path) -> None:
    shown = {picture.file for picture in (*report.RESULT_PICTURES, *report.DATA_PICTURES)}
    drawn = {file for file in content(reports) if file.endswith(".svg")}
    assert shown == drawn


def test_the_page_names_parameters_versions_and_digests(reports: Path) -> None:
    page = (reports / "index.html").read_text()
    manifest = json.loads((reports.parent / "data/prepared/manifest.json").read_text())
    assert manifest["test"]["sha256"] in page
    assert "<code>train.batch_size</code></th><td>128</td>" in page
    assert "<td>2.21.0</td>" in page


def test_arms_from_different_machines_are_listed_apart(reports: Path) -> None:
    elsewhere = make_result([180], 3)
    elsewhere = elsewhere._replace(metrics=elsewhere.metrics | {"environment": {"keras": "<b>9</b>"}})
    data = json.loads((reports / "eda/metrics.json").read_text())
    manifest = json.loads((reports.parent / "data/prepared/manifest.json").read_text())
    folders = {"eda": reports / "eda", "comparison": reports / "comparison"}
    page = report.html(make_arms(elsewhere), data, manifest, {"kernel": 3}, folders)
    assert "Dense baseline, CNN 3×3, CNN 5×5</th>" in page
    assert "Candidate 3×3</th>" in page
    assert "&lt;b&gt;9&lt;/b&gt;" in page


def test_classes_without_test_images_are_left_blank(repository: Path) -> None:
    labels = np.zeros(TEST_IMAGES, np.uint8)
    for arm, result in {arm: make_result([150], 3, labels) for arm in report.ARMS}.items():
        results.save(result, repository / "models" / arm)
    compare.main()
    assert "\nTrouser,,,,\n" in (repository / "reports/comparison/class_accuracy.csv").read_text()
    assert '<th scope="row">Trouser</th><td>–</td>' in (repository / "reports/index.html").read_text()


def test_a_comparison_that_fails_leaves_the_earlier_one(repository: Path) -> None:
    compare.main()
    (repository / "reports/eda/nearest_pairs.svg").unlink()  # the report, written last, needs it
    results.save(make_result([200], 3), repository / "models/cnn3")
    before = content(repository / "reports")
    with pytest.raises(FileNotFoundError):
        compare.main()
    assert content(repository / "reports") == before


@pytest.mark.parametrize(
    ("missing", "stage"),
    [("models/cnn5/metrics.json", "cnn5"), ("data/prepared/manifest.json", "compare")],
)
def test_compare_says_what_is_missing_and_which_stage_makes_it(repository: Path, missing: str, stage: str) -> None:
    (repository / missing).unlink()
    with pytest.raises(UserError, match=re.escape(f"{missing}: not found; `dvc repro {stage}` makes it")):
        compare.main()
    assert not (repository / "reports/comparison").exists()


@pytest.mark.parametrize("stage", [eda, compare])
def test_a_parameter_that_is_not_allowed_stops_the_stage(repository: Path, stage: Any) -> None:
    before = content(repository / "reports")
    parameters = repository / "params.yaml"
    parameters.write_text(parameters.read_text().replace("epochs: 10", "epochs: 0"))
    with pytest.raises(UserError, match=r"train\.epochs = 0 is not allowed"):
        stage.main()
    assert content(repository / "reports") == before


def test_a_file_whose_writing_fails_does_not_appear(tmp_path: Path) -> None:
    file = tmp_path / "reports/metrics.json"

    def write(*texts: str) -> None:
        with output_file(file) as partial, partial.open("w") as stream:
            stream.writelines(texts)

    write("first")
    with pytest.raises(TypeError):
        write("half", None)  # type: ignore[arg-type]
    assert content(tmp_path) == {"reports/metrics.json": b"first"}


def test_arms_differ_in_colour_and_in_grey() -> None:
    assert set(figures.STYLES) == set(report.ARMS)
    for looks in zip(*figures.STYLES.values(), strict=True):
        assert len(set(looks)) == len(report.ARMS)


def test_curves_and_accuracies_have_labelled_axes() -> None:
    arms = make_arms()
    histories = {arm: result.history for arm, result in arms.items()}
    names = dict.fromkeys(arms, "name")
    for axes in figures.validation_curves(histories, names).axes:
        assert axes.get_xlabel() == "epoch"
        assert axes.get_ylabel()
    grid = figures.learning_curves(histories, names)
    assert len(grid.axes) == 8
    assert grid.axes[0].get_ylabel() == "accuracy (share correct)"
    assert grid.axes[4].get_ylabel() == "loss (cross-entropy, nats)"


def test_a_curve_is_the_mean_over_seeds() -> None:
    figure = figures.validation_curves({"cnn3": make_result([180, 184], 3).history}, {"cnn3": "CNN"})
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(np.asarray(line.get_ydata(), float), [0.505, 0.755, 1 - 0.5 / 3 + 0.005])


def test_examples_show_each_class_in_its_row() -> None:
    images = np.stack([np.full((28, 28), 20 * label, np.uint8) for label in range(10)] * 2)
    figure = figures.class_examples(images, np.arange(20) % 10, examples=3)
    mosaic = np.asarray(figure.axes[0].images[0].get_array())
    assert mosaic.shape == (280, 84)
    assert (mosaic[::28, 0] == 20 * np.arange(10)).all()
    assert (mosaic[:, 56:] == 0).all()  # two examples of each class, no third
