"""What every folder models/<arm>/ holds beside its network, written by training and read by whoever compares."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion_cnn.errors import UserError


class Result(NamedTuple):
    """One arm's result.

    Attributes:
        metrics: names to values: test_accuracy, test_loss, parameters, kernel (CNNs only) and more.
        history: one row a seed and epoch: seed, epoch (from 1), train_accuracy, train_loss, validation_accuracy,
            validation_loss.
        probabilities: float32 (seeds, test images, 10), each row sums to 1.
        labels: uint8 (test images,), the true classes.
    """

    metrics: dict[str, Any]
    history: pd.DataFrame
    probabilities: NDArray[np.float32]
    labels: NDArray[np.uint8]


def save(result: Result, folder: Path) -> None:
    """Write metrics.json, history.csv and predictions.npz; the same bytes for the same result."""
    (folder / "metrics.json").write_text(json.dumps(result.metrics, indent=2) + "\n")
    result.history.to_csv(folder / "history.csv", index=False, float_format="%.6f", lineterminator="\n")
    np.savez(folder / "predictions.npz", probabilities=result.probabilities, labels=result.labels)


def load(folder: Path) -> Result:
    """Read what `save` wrote.

    Raises:
        UserError: it is not there.
    """
    try:
        metrics = json.loads((folder / "metrics.json").read_text())
        history = pd.read_csv(folder / "history.csv")
        with np.load(folder / "predictions.npz") as arrays:
            return Result(metrics, history, arrays["probabilities"], arrays["labels"])
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: not found; `dvc repro {folder.name}` makes it") from None
