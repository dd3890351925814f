"""Tables that `dvc plots` and people read."""

import csv
from collections.abc import Iterable, Sequence
from math import isnan
from pathlib import Path
from typing import Any


def write(path: Path, header: Sequence[str], rows: Iterable[Iterable[Any]]) -> None:
    """Write a CSV file: numbers with six decimals, nothing where there is no number."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows([[_cell(value) for value in row] for row in rows])


def _cell(value: Any) -> Any:
    if not isinstance(value, float):
        return value
    return "" if isnan(value) else f"{value:.6f}"
