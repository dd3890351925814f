"""Put all arms side by side: headline metrics, a Markdown summary, tables for plots, figures, a report."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from fashion_cnn.comparison import analysis, report, study
from fashion_cnn.comparison.study import Study
from fashion_cnn.core import dataset, params, results
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.core.outputs import output_file, output_folder
from fashion_cnn.core.params import Params
from fashion_cnn.core.results import Result
from fashion_cnn.reporting import language, style, tables
from fashion_cnn.reporting.params import Reporting

EDA: Final = Path("reports/eda")
PREPARED: Final = Path("data/prepared")


def main() -> None:
    """Write reports/metrics.json, reports/comparison/ and reports/index.html."""
    read = params.load(Params)
    settings = {
        "kernel": read.kernel,
        "data": read.data.model_dump(),
        "train": read.train.model_dump(),
        "baseline": read.baseline.model_dump(),
        "cnn": read.cnn.model_dump(),
        "arms": read.arms.model_dump(),
    }
    spoken = language.load(params.load(Reporting).report.language)
    arms = {arm: results.load(Path("models", arm)) for arm in study.ARMS}
    data, manifest = _json(EDA / "metrics.json"), _json(PREPARED / "manifest.json")
    test = dataset.load(PREPARED, "test")
    examined = study.examine(arms, settings, data, digests(manifest, settings), test.images)
    with (
        output_folder("reports/comparison") as folder,
        output_file("reports/metrics.json") as metrics,
        output_file("reports/index.html") as page,
    ):
        metrics.write_text(json.dumps(study.headline(examined.rows), indent=2) + "\n")
        summary = report.markdown(examined, spoken)
        (folder / "summary.md").write_text(summary, encoding="utf-8")
        write_tables(examined, folder)
        for name, figure in report.draw(examined, spoken).items():
            style.save(figure, folder / f"{name}.svg")
        page.write_text(report.html(examined, spoken, {"comparison": folder, "eda": EDA}), encoding="utf-8")
    print(summary)


def digests(manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of what decides the results beside the code: each split, the parameters as sorted JSON."""
    return {
        **{split: described["sha256"] for split, described in manifest.items()},
        "parameters": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
    }


def write_tables(of: Study, folder: Path) -> None:
    """Write what the figures show as tables, for `dvc plots` and for people.

    One file: test_accuracy.csv, paired_differences.csv and class_accuracy.csv. One file an arm, in a folder each:
    learning_curves (means over seeds by epoch), confusion (the true and the predicted class of each test image, by the
    first seed's network), translation (by shift in pixels) and reliability (by bin of confidence).
    """
    rows = ((row.arm, row.accuracy, *row.interval) for row in of.rows)
    tables.write(folder / "test_accuracy.csv", ["arm", "accuracy", "low", "high"], rows)
    tables.write(
        folder / "paired_differences.csv",
        ["pair", "difference", "low", "high", "seeds_low", "seeds_high"],
        (
            (" minus ".join(pair), compared.difference, *compared.test_interval, *(compared.seed_interval or ("", "")))
            for pair, compared in of.comparisons.items()
        ),
    )
    by_class = [analysis.class_accuracy(one.probabilities, one.labels) for one in of.arms.values()]
    tables.write(folder / "class_accuracy.csv", ["class", *of.arms], zip(CLASS_NAMES, *by_class, strict=True))
    for name, (header, rows_of) in ARM_TABLES.items():
        (folder / name).mkdir()
        for arm, result in of.arms.items():
            tables.write(folder / name / f"{arm}.csv", header, rows_of(result))


def _learning_curve(result: Result) -> Iterable[tuple[Any, ...]]:
    means = [values.mean(0) for values in result.history.values()]
    return ((epoch, *values) for epoch, values in enumerate(zip(*means, strict=True), start=1))


def _confusion(result: Result) -> Iterable[tuple[Any, ...]]:
    names = np.array(CLASS_NAMES)
    return zip(names[result.labels], names[result.probabilities[0].argmax(-1)], strict=True)


def _translation(result: Result) -> Iterable[tuple[Any, ...]]:
    by_direction = result.correct_when_shifted.mean((0, 3))
    return ((shift, values.mean(), *values) for shift, values in enumerate(by_direction.T))


def _reliability(result: Result) -> Iterable[tuple[Any, ...]]:
    bins = analysis.reliability(result.probabilities, result.labels)
    return (row for row in zip(*bins, strict=True) if row[-1] > 0)


ARM_TABLES: Final = {
    "learning_curves": (["epoch", *results.CURVES], _learning_curve),
    "confusion": (["actual", "predicted"], _confusion),
    "translation": (["shift", "accuracy", *results.SHIFTS], _translation),
    "reliability": (["confidence", "accuracy", "share"], _reliability),
}


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `dvc repro compare` makes it on its way") from None
