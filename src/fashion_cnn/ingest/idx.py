"""Reading and checking IDX, the file format of MNIST and Fashion-MNIST.

Source: LeCun, Cortes and Burges, "The MNIST database of handwritten digits", section "The IDX file format".
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASSES, IMAGE_SHAPE

UNSIGNED_BYTE = 0x08


def read(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Args:
        path: the decompressed file.
        dimensions: how many the array must have: 1 for labels, 3 for images.

    Raises:
        UserError: the file is missing, has another magic number, or is shorter or longer than its header says.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: not found; `dvc repro fetch` brings it") from None
    expected = bytes([0, 0, UNSIGNED_BYTE, dimensions])
    if content[:4] != expected:
        raise UserError(
            f"{path}: magic number {content[:4].hex()}, expected {expected.hex()} "
            f"(unsigned bytes, {dimensions} dimensions); remove the file and run `dvc repro fetch`"
        )
    header = 4 + 4 * dimensions
    if len(content) < header:
        raise UserError(f"{path}: truncated inside its header of {header} bytes")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", dimensions, offset=4))
    size = header + int(np.prod(shape, dtype=object))
    if len(content) != size:
        fault = "truncated" if len(content) < size else "longer than its header says"
        raise UserError(f"{path}: {fault}: {len(content)} bytes, {size} expected for shape {shape}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def read_labelled_images(images_path: Path, labels_path: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Read images, uint8 (n, 28, 28), and their labels, uint8 (n,) from 0 to 9.

    Raises:
        UserError: as `read`, or the images' size, the labels' range or the two counts are wrong.
    """
    images, labels = read(images_path, 3), read(labels_path, 1)
    if images.shape[1:] != IMAGE_SHAPE:
        raise UserError(f"{images_path}: images of {images.shape[1:]} pixels, expected {IMAGE_SHAPE}")
    if len(images) != len(labels):
        raise UserError(
            f"{images_path} holds {len(images)} images, {labels_path} {len(labels)} labels; expected as many"
        )
    if len(labels) == 0:
        raise UserError(f"{images_path} and {labels_path} hold no images")
    if labels.max() >= CLASSES:
        where = int(np.argmax(labels >= CLASSES))
        raise UserError(f"{labels_path}: label {labels[where]} at position {where}; allowed: 0 to {CLASSES - 1}")
    return images, labels
