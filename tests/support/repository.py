"""Where the repository lies, and images of noise to run its stages on."""

import struct
from pathlib import Path

import numpy as np

from fashion_cnn.core.dataset import Images
from fashion_cnn.core.fashion_mnist import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS

REPOSITORY = Path(__file__).parents[2]
SOURCE = REPOSITORY / "src"


def random_images(count: int, seed: int = 0) -> Images:
    """Images of noise in which every class occurs."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
    return Images(images, (np.arange(count) % 10).astype(np.uint8))


def write_idx(path: Path, array: np.ndarray, magic: bytes | None = None) -> Path:
    """Write an array of bytes as the data set's files have it."""
    header = (magic or bytes([0, 0, 8, array.ndim])) + struct.pack(f">{array.ndim}I", *array.shape)
    path.write_bytes(header + array.tobytes())
    return path


def write_raw(folder: Path, training: int, test: int) -> Path:
    """Write the four raw files, of noise, into a new folder."""
    folder.mkdir(parents=True)
    for images_file, labels_file, count in ((TRAIN_IMAGES, TRAIN_LABELS, training), (TEST_IMAGES, TEST_LABELS, test)):
        for file, array in zip((images_file, labels_file), random_images(count), strict=True):
            write_idx(folder / file, array)
    return folder
