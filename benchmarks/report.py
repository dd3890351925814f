"""results.json and results.md: what was measured, merged with what was measured before on the same machine."""

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from jinja2 import ChainableUndefined, Environment, FileSystemLoader, Undefined

FOLDER: Final = Path(__file__).parent / "results"

Results = dict[str, Any]


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, least and greatest of repeated measurements, and how many there were."""
    rounded = [float(f"{value:.5g}") for value in values]
    return {"median": statistics.median(rounded), "min": min(rounded), "max": max(rounded), "rounds": len(rounded)}


def merge(results: Results, machine: dict[str, Any], part: str, measured: dict[str, Any]) -> Results:
    """Add or replace one part; parts that were measured on another machine, or with other packages, are dropped."""
    kept = results["parts"] if results.get("machine") == machine else {}
    return {"machine": machine, "parts": {**kept, part: measured}}


def load(folder: Path = FOLDER) -> Results:
    """What results.json holds; empty where there is none."""
    path = folder / "results.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save(results: Results, folder: Path = FOLDER) -> None:
    """Write results.json and results.md."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(markdown(results), encoding="utf-8")


def markdown(results: Results) -> str:
    """All parts as one page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), undefined=ChainableUndefined, keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 Markdown, not a web page
    )  # fmt: skip
    environment.globals |= {"figure": figure, "megabytes": _megabytes}
    return environment.get_template("results.md.jinja").render(results)


def figure(measured: Any, digits: int = 3, unit: str = "") -> str:
    """A number, or a spread as `median (min–max)`; a dash where there is none."""
    if measured is None or isinstance(measured, Undefined):
        return "–"
    if not isinstance(measured, dict):
        return _number(measured, digits) + unit
    text = _number(measured["median"], digits) + unit
    if measured["rounds"] == 1:
        return text
    return f"{text} ({_number(measured['min'], digits)}–{_number(measured['max'], digits)})"


def _number(value: float, digits: int) -> str:
    """So many significant digits, never in scientific notation, whole numbers in full."""
    rounded = float(f"{value:.{digits}g}")
    before = len(str(int(abs(rounded))))
    decimals = max(0, digits - before) if abs(rounded) >= 1 else digits
    return f"{value:,.{decimals}f}" if decimals else f"{value:,.0f}"


def _megabytes(size: float) -> str:
    return f"{size / 1e6:,.0f}"
