"""Controls that need the network: what it does with shifted and mirrored images, and with those it was trained on."""

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.core.dataset import Images
from fashion_cnn.core.results import LARGEST_SHIFT, SHIFTS

SHIFTED_IMAGES: Final = 1_000
TRAINING_IMAGES: Final = 5_000

Classify = Callable[[NDArray[np.uint8]], NDArray[np.integer]]


def shift(images: NDArray[np.uint8], rows: int, columns: int) -> NDArray[np.uint8]:
    """Move images, uint8 (n, height, width), down by `rows` and right by `columns`; black comes in behind them."""
    moved = np.zeros_like(images)
    moved[:, _to(rows), _to(columns)] = images[:, _to(-rows), _to(-columns)]
    return moved


def _to(step: int) -> slice:
    """Where the pixels that stay in the image lie after a move by `step`."""
    return slice(step, None) if step > 0 else slice(None, step or None)


def correct_when_shifted(classify: Classify, test: Images) -> NDArray[np.bool_]:
    """Whether each of the first test images is recognised when it is shifted: bool (4, 9, k).

    Args:
        classify: images uint8 (n, 28, 28) to classes (n,).
        test: the test images; the first 1,000 are used.

    Returns:
        By direction (those of SHIFTS), distance (0 to 8 pixels) and image.
    """
    images, labels = test.images[:SHIFTED_IMAGES], test.labels[:SHIFTED_IMAGES]
    still = classify(images) == labels
    moves = [(rows * far, columns * far) for rows, columns in SHIFTS.values() for far in range(1, LARGEST_SHIFT + 1)]
    moved = classify(np.concatenate([shift(images, *move) for move in moves])).reshape(len(SHIFTS), -1, len(labels))
    return np.concatenate([np.broadcast_to(still, (len(SHIFTS), 1, len(still))), moved == labels], axis=1)


def answers_when_mirrored(classify: Classify, test: Images) -> NDArray[np.uint8]:
    """The class that each test image is taken for when left and right are exchanged: uint8 (n,)."""
    return classify(test.images[:, :, ::-1]).astype(np.uint8)


def correct_on_training(classify: Classify, train: Images) -> NDArray[np.bool_]:
    """Whether each of the first 5,000 training images is recognised by the trained network: bool (m,).

    The accuracy that Keras reports while it trains is of a network that still changes, with dropout at work.
    """
    return classify(train.images[:TRAINING_IMAGES]) == train.labels[:TRAINING_IMAGES]


def first_layer(weights: NDArray[Any]) -> NDArray[np.float32]:
    """Arrange a first layer's kernel as pictures.

    Args:
        weights: of a convolution (kernel, kernel, 1, filters), or of a dense layer (784, units).

    Returns:
        (filters, kernel, kernel) or (units, 28, 28).
    """
    size = weights.shape[0] if weights.ndim == 4 else int(np.sqrt(weights.shape[0]))
    return np.ascontiguousarray(weights.reshape(size, size, -1).transpose(2, 0, 1))
