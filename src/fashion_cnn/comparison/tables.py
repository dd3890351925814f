"""What the figures show as tables, for `dvc plots` and for people: a column an arm, where arms are compared."""

from typing import Any

import numpy as np
import pandas as pd

from fashion_cnn.comparison.arms import Comparison
from fashion_cnn.core.evaluation import BINS
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.core.results import CURVES, LARGEST_SHIFT, SHIFTS


def tables(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Every table by the name of its file; the first column says what a row is about.

    Curves are means over seeds. In `translation` the arms' columns are means over four directions, those after them
    are of one direction each. In `reliability` a row is a bin of confidence, named by its middle; after the arms'
    accuracies come their mean confidence in it and the share of their predictions. `confusion/<arm>` has a row a test
    image, as the network of the first seed answers.
    """
    arms, rows, names = comparison.arms, comparison.rows, np.array(CLASS_NAMES)
    shifted = {arm: result.correct_when_shifted.mean((0, 3)) for arm, result in arms.items()}
    columns: dict[str, Any] = {
        "test_accuracy": [
            {"arm": arm, "accuracy": row.accuracy, **row.interval._asdict()} for arm, row in rows.items()
        ],
        "paired_differences": [
            {"pair": f"{first} minus {second}", "difference": found.value, **found.test_interval._asdict()}
            | dict(zip(("seeds_low", "seeds_high"), found.seed_interval or (None, None), strict=True))
            for (first, second), (found, *_) in comparison.shown_differences.items()
        ],
        "class_accuracy": {"class": names} | {arm: row.class_accuracy for arm, row in rows.items()},
        "mirrored": {"class": names} | {arm: row.class_mirrored for arm, row in rows.items()},
        "translation": {"shift": range(LARGEST_SHIFT + 1)}
        | {arm: by_direction.mean(0) for arm, by_direction in shifted.items()}
        | {f"{arm}_{name}": one for arm, each in shifted.items() for name, one in zip(SHIFTS, each, strict=True)},
        "reliability": {"confidence": (np.arange(BINS) + 0.5) / BINS}
        | {arm: row.reliability.accuracy for arm, row in rows.items()}
        | {f"{arm}_confidence": row.reliability.confidence for arm, row in rows.items()}
        | {f"{arm}_share": row.reliability.share for arm, row in rows.items()},
    }
    for curve in CURVES:
        means = {arm: result.history[curve].mean(0) for arm, result in arms.items()}
        columns[curve] = {"epoch": range(1, len(means["baseline"]) + 1)} | means
    for arm, result in arms.items():
        answers = result.probabilities[0].argmax(-1)
        columns[f"confusion/{arm}"] = {"actual": names[result.labels], "predicted": names[answers]}
    return {name: pd.DataFrame(content) for name, content in columns.items()}
