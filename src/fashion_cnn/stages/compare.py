"""Put all arms side by side: headline metrics, a Markdown summary, tables for plots, figures, a report."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from fashion_cnn import analysis, figures, params, report, results
from fashion_cnn.errors import UserError
from fashion_cnn.fashion_mnist import CLASS_NAMES
from fashion_cnn.results import Result
from fashion_cnn.stages import output_file, output_folder, run

EDA: Final = Path("reports/eda")
MANIFEST: Final = Path("data/prepared/manifest.json")


def main() -> None:
    """Write reports/metrics.json, reports/comparison/ and reports/index.html."""
    read = params.load()
    settings = {
        "kernel": read.kernel,
        "data": read.data.model_dump(),
        "train": read.train.model_dump(),
        "baseline": read.baseline.model_dump(),
        "cnn": read.cnn.model_dump(),
        "arms": read.arms.model_dump(),
    }
    arms = {arm: results.load(Path("models", arm)) for arm in report.ARMS}
    data_metrics, manifest = _json(EDA / "metrics.json"), _json(MANIFEST)
    with (
        output_folder("reports/comparison") as folder,
        output_file("reports/metrics.json") as metrics,
        output_file("reports/index.html") as page,
    ):
        metrics.write_text(json.dumps(report.headline(report.rows(arms)), indent=2) + "\n")
        summary = report.markdown(arms)
        (folder / "summary.md").write_text(summary, encoding="utf-8")
        write_tables(arms, folder)
        draw(arms, folder)
        folders = {"comparison": folder, "eda": EDA}
        page.write_text(report.html(arms, data_metrics, manifest, settings, folders), encoding="utf-8")
    print(summary)


def write_tables(arms: Mapping[str, Result], folder: Path) -> None:
    """Write what `dvc plots` draws, for each arm, and class_accuracy.csv.

    learning_curves/<arm>.csv: means over seeds, one row an epoch. confusion/<arm>.csv: the true and the predicted
    class of each test image, by the first seed's network.
    """
    names = np.array(CLASS_NAMES)
    (folder / "confusion").mkdir()
    (folder / "learning_curves").mkdir()
    for arm, result in arms.items():
        predicted = result.probabilities[0].argmax(-1)
        pairs = pd.DataFrame({"actual": names[result.labels], "predicted": names[predicted]})
        pairs.to_csv(folder / "confusion" / f"{arm}.csv", index=False, lineterminator="\n")
        curve = result.history.drop(columns="seed").groupby("epoch").mean()
        curve.to_csv(folder / "learning_curves" / f"{arm}.csv", float_format="%.6f", lineterminator="\n")
    shares = {arm: analysis.class_accuracy(result.probabilities, result.labels) for arm, result in arms.items()}
    by_class = pd.DataFrame({"class": CLASS_NAMES, **shares})
    by_class.to_csv(folder / "class_accuracy.csv", index=False, float_format="%.6f", lineterminator="\n")


def draw(arms: Mapping[str, Result], folder: Path) -> None:
    """Draw every figure; a candidate that is a fixed arm is not drawn twice."""
    table = [row for row in report.rows(arms) if row.same_as is None]
    labels = {row.arm: row.label for row in table}
    errors = {row.arm: row.accuracy_standard_error for row in table}
    shown = {arm: arms[arm] for arm in labels}
    histories = {arm: result.history for arm, result in shown.items()}
    accuracies = {row.arm: row.accuracies for row in table}
    matrices = {
        arm: analysis.confusion_matrix(result.labels, result.probabilities.argmax(-1)) for arm, result in shown.items()
    }
    drawn = {
        "test_accuracy": figures.accuracy_by_arm(accuracies, errors, labels),
        "validation_curves": figures.validation_curves(histories, labels),
        "learning_curves": figures.learning_curves(histories, labels),
        "confusion_matrices": figures.confusion_matrices(matrices, labels),
    }
    for name, figure in drawn.items():
        figures.save(figure, folder / f"{name}.svg")


def _json(path: Path) -> dict:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `dvc repro compare` makes it on its way") from None


if __name__ == "__main__":
    run(main)
