"""The prepared data set, in uint8: what a split is, and reading one."""

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.core.errors import UserError

SPLITS: Final = ("train", "validation", "test")


class Images(NamedTuple):
    """Labelled images: `images` uint8 (n, 28, 28), `labels` uint8 (n,) from 0 to 9."""

    images: NDArray[np.uint8]
    labels: NDArray[np.uint8]


def load(folder: Path, name: str) -> Images:
    """Read one split that `save` wrote.

    Raises:
        UserError: it is not there.
    """
    path = folder / f"{name}.npz"
    try:
        with np.load(path) as arrays:
            return Images(arrays["images"], arrays["labels"])
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `dvc repro preprocess` makes it") from None
