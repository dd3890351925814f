"""The notebook's split of Fashion-MNIST, what describes it, and writing it."""

import hashlib
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.core.dataset import Images
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASS_NAMES, CLASSES, IMAGE_SHAPE, IMAGE_SIZE

PERMUTATION_SEED: Final = 0


def split(training: Images, test: Images, validation_fraction: float, limit: int | None) -> dict[str, Images]:
    """Split as Keras's `validation_split` does: the last part of the training images validates, nothing is shuffled.

    Args:
        training: the images to train and validate with.
        test: the images to test with; they stay together.
        validation_fraction: the share of `training` that validates, between 0 and 1.
        limit: keep only the first so many images of each split; None keeps all.

    Raises:
        UserError: a split would be empty.
    """
    at = int(len(training.labels) * (1 - validation_fraction))
    splits = {
        "train": Images(training.images[:at], training.labels[:at]),
        "validation": Images(training.images[at:], training.labels[at:]),
        "test": test,
    }
    for name, (_, labels) in splits.items():
        if len(labels) == 0:
            raise UserError(
                f"data.validation_fraction = {validation_fraction} leaves no images in the {name} split "
                f"of {len(training.labels)}; allowed: a fraction that leaves at least one in each"
            )
    return {name: Images(images[:limit], labels[:limit]) for name, (images, labels) in splits.items()}


def permute_pixels(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Apply one fixed permutation to the pixels of every image, uint8 (n, 28, 28).

    It destroys spatial structure and nothing else: a dense network sees the same problem, a convolution does not.
    """
    order = np.random.default_rng(PERMUTATION_SEED).permutation(IMAGE_SIZE * IMAGE_SIZE)
    return images.reshape(len(images), -1)[:, order].reshape(-1, *IMAGE_SHAPE)


def describe(splits: dict[str, Images]) -> dict[str, Any]:
    """For each split: images, counts a class, pixel mean and standard deviation on the 0 to 255 scale, and a digest.

    The digest is the SHA-256 of the images' bytes followed by the labels', in C order.
    """
    return {
        name: {
            "images": len(labels),
            "classes": dict(zip(CLASS_NAMES, np.bincount(labels, minlength=CLASSES).tolist(), strict=True)),
            "pixel_mean": round(float(images.mean()), 4),
            "pixel_std": round(float(images.std()), 4),
            "sha256": hashlib.sha256(images.tobytes() + labels.tobytes()).hexdigest(),
        }
        for name, (images, labels) in splits.items()
    }


def save(splits: dict[str, Images], folder: Path) -> None:
    """Write `<split>.npz` for each split, uncompressed: the same bytes for the same images."""
    for name, (images, labels) in splits.items():
        np.savez(folder / f"{name}.npz", images=images, labels=labels)
