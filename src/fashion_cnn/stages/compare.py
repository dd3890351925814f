"""Put all arms side by side: headline metrics, a Markdown summary, tables for plots, figures, a report."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from fashion_cnn.comparison import arms, report
from fashion_cnn.comparison.panels import panels
from fashion_cnn.comparison.tables import tables
from fashion_cnn.core import dataset, params, results
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.outputs import output_file, output_folder
from fashion_cnn.core.params import ARMS, Params
from fashion_cnn.reporting import style
from fashion_cnn.reporting.language import Language
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
    language = Language.load(params.load(Reporting).report.language)
    trained = {arm: results.load(Path("models", arm)) for arm in ARMS}
    data, manifest = _json(EDA / "metrics.json"), _json(PREPARED / "manifest.json")
    test = dataset.load(PREPARED, "test")
    comparison = arms.compare(trained, settings, data, digests(manifest, settings), test.images)
    with (
        output_folder("reports/comparison") as folder,
        output_file("reports/metrics.json") as metrics,
        output_file("reports/index.html") as page,
    ):
        metrics.write_text(json.dumps(arms.headline(comparison.rows), indent=2) + "\n", encoding="utf-8")
        summary = report.markdown(comparison, language)
        (folder / "summary.md").write_text(summary, encoding="utf-8")
        (folder / "confusion").mkdir()
        for name, table in tables(comparison).items():  # `dvc plots` would draw an empty cell as 0
            table.to_csv(folder / f"{name}.csv", index=False, float_format="%.6f", na_rep="nan")
        shown = list(panels(comparison, language))
        for panel in shown:
            if panel.draw:
                style.save(panel.draw(), folder / f"{panel.name}.svg")
        page.write_text(report.html(comparison, language, shown, folder, EDA), encoding="utf-8")
    print(summary)


def digests(manifest: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """SHA-256 of what decides the results beside the code: each split, the parameters as sorted JSON."""
    return {
        **{split: described["sha256"] for split, described in manifest.items()},
        "parameters": hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest(),
    }


def _json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `dvc repro compare` makes it on its way") from None
