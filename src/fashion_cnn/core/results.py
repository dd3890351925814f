"""What every folder models/<arm>/ holds beside its network, written by training and read by whoever compares."""

import csv
import json
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.core.errors import UserError

SHIFTS: Final = {"left": (0, -1), "right": (0, 1), "up": (-1, 0), "down": (1, 0)}  # rows and columns of one step
LARGEST_SHIFT: Final = 8  # pixels
CURVES: Final = ("train_accuracy", "train_loss", "validation_accuracy", "validation_loss")


class Result(NamedTuple):
    """One arm's result; everything that compares networks reads this and never a network.

    Attributes:
        metrics: names to values: test_accuracy, test_loss, test_calibration_error, those of CURVES at the last epoch,
            parameters, multiply_adds (of one image), receptive_field (pixels on a side), layers (a list of name,
            parameters, multiply_adds, connections), seeds, kernel (CNNs only), environment (versions, threads, ...).
        history: each name of CURVES to float64 (seeds, epochs); accuracies are shares, losses are in nats.
        probabilities: float32 (seeds, test images, 10), each row sums to 1.
        labels: uint8 (test images,), the true classes.
        correct_on_training: bool (seeds, m): whether the first m training images are recognised, without dropout.
        correct_when_shifted: bool (seeds, 4, 9, k): the same for the first k test images, shifted to the left, right,
            up and down by 0 to 8 pixels.
        answers_when_mirrored: uint8 (seeds, test images): the class that each test image is taken for when left and
            right are exchanged.
        first_layer: float32 (filters, kernel, kernel), or (units, 28, 28) for a dense network: the weights of the
            first layer that has any, of the first seed's network.
    """

    metrics: dict[str, Any]
    history: dict[str, NDArray[np.float64]]
    probabilities: NDArray[np.float32]
    labels: NDArray[np.uint8]
    correct_on_training: NDArray[np.bool_]
    correct_when_shifted: NDArray[np.bool_]
    answers_when_mirrored: NDArray[np.uint8]
    first_layer: NDArray[np.float32]

    @property
    def correct(self) -> NDArray[np.bool_]:
        """Whether each network recognises each test image: (seeds, test images)."""
        return self.probabilities.argmax(-1) == self.labels

    @property
    def correct_when_mirrored(self) -> NDArray[np.bool_]:
        """Whether each network recognises each test image when it is mirrored: (seeds, test images)."""
        return self.answers_when_mirrored == self.labels


ARRAYS: Final = Result._fields[2:]


def save(result: Result, folder: Path) -> None:
    """Write metrics.json, history.csv (one row a seed and epoch) and predictions.npz; the same bytes for equals."""
    (folder / "metrics.json").write_text(json.dumps(result.metrics, indent=2) + "\n", encoding="utf-8")
    with (folder / "history.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["seed", "epoch", *CURVES])
        for seed, epoch in np.ndindex(result.history[CURVES[0]].shape):
            table.writerow([seed, epoch + 1, *(f"{result.history[name][seed, epoch]:.6f}" for name in CURVES)])
    np.savez(folder / "predictions.npz", **{name: getattr(result, name) for name in ARRAYS})


def load(folder: Path) -> Result:
    """Read what `save` wrote.

    Raises:
        UserError: it is not there.
    """
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        table = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
        history = {name: table[name].reshape(metrics["seeds"], -1) for name in CURVES}
        with np.load(folder / "predictions.npz") as arrays:
            return Result(metrics, history, *(arrays[name] for name in ARRAYS))
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: not found; `dvc repro {folder.name}` makes it") from None
