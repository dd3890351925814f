"""Fashion-MNIST as `keras.datasets` gives it, from the decompressed files; with NumPy alone, as peers have it."""

import os
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

FETCHED: Final = Path("data/raw")
FOLDER_VARIABLE: Final = "FASHION_MNIST_DIR"
TRAIN: Final = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte")
TEST: Final = ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")

Labelled = tuple[NDArray[np.uint8], NDArray[np.uint8]]


def folder() -> Path | None:
    """Where the files are: what `fetch` wrote, else the folder that FASHION_MNIST_DIR names; None if nowhere."""
    candidates = [FETCHED, *(Path(named) for named in [os.environ.get(FOLDER_VARIABLE)] if named)]
    return next((one for one in candidates if all((one / name).is_file() for name in TRAIN + TEST)), None)


def load() -> tuple[Labelled, Labelled]:
    """Training and test images, uint8 (n, 28, 28), and labels, uint8 (n,)."""
    found = folder()
    if found is None:
        raise SystemExit(f"error: {FETCHED}: not found; `dvc repro --pull fetch` brings it")
    (train, train_labels), (test, test_labels) = (
        (
            np.frombuffer((found / images).read_bytes(), np.uint8, offset=16).reshape(-1, 28, 28),
            np.frombuffer((found / labels).read_bytes(), np.uint8, offset=8),
        )
        for images, labels in (TRAIN, TEST)
    )
    return (train, train_labels), (test, test_labels)
