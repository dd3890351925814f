"""Statistics of images: arrays in, plain values out; no files, no plots."""

from typing import Any, Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fashion_cnn.core.dataset import Images
from fashion_cnn.core.fashion_mnist import CLASSES, IMAGE_SHAPE

PIXEL_CENTRE: Final = 128
NEAR: Final = 10.0  # root mean square grey levels a pixel: below it, pairs look like one photograph taken twice
BLOCK: Final = 500  # queries compared at once: bounds the memory of `nearest` to 2 kB an image searched


def pixel_histogram(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Share of pixels that have each value from 0 to 255: (256,)."""
    return np.bincount(images.ravel(), minlength=256) / images.size


def class_moments(
    images: NDArray[np.uint8], labels: NDArray[np.integer]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and standard deviation of each pixel by class: twice (10, 28, 28), nan where a class is empty."""
    moments = np.full((2, CLASSES, *IMAGE_SHAPE), np.nan)
    for label in np.unique(labels):
        chosen = images[labels == label]
        moments[:, label] = chosen.mean(0), chosen.std(0)
    return moments[0], moments[1]


def one_sidedness(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> dict[int, float]:
    """Share of each class's images that are nearer to the class's mean image than to its mirror image.

    A mirror image has the same norm, so the nearer one is told by the sign of a product; whole numbers keep it exact.

    Args:
        images: uint8 (n, 28, 28).
        labels: (n,).

    Returns:
        The labels that occur to shares.
    """
    shares = {}
    for label in np.unique(labels).tolist():
        chosen = images[labels == label].astype(np.int64)
        total = chosen.sum(0)
        shares[label] = float(np.mean(np.tensordot(chosen, total - total[:, ::-1], 2) > 0))
    return shares


class Duplicates(NamedTuple):
    """How many images have an exact copy, and how many of those have a copy under another label."""

    images: int
    other_label: int


def _by_content(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Any:
    """The labels of images, grouped by their bytes."""
    return pd.Series(labels).groupby([image.tobytes() for image in images])


def duplicates_within(images: NDArray[np.uint8], labels: NDArray[np.integer]) -> Duplicates:
    """Count the images, uint8 (n, 28, 28), that equal another one of them pixel by pixel."""
    groups = _by_content(images, labels).agg(["size", "nunique"])
    copies = groups[groups["size"] > 1]
    return Duplicates(int(copies["size"].sum()), int(copies["size"][copies["nunique"] > 1].sum()))


def duplicates_between(
    known: NDArray[np.uint8],
    known_labels: NDArray[np.integer],
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
) -> Duplicates:
    """Count the `images`, uint8 (n, 28, 28), that equal one of the `known` ones pixel by pixel."""
    groups = _by_content(known, known_labels).agg(["nunique", "first"])
    wanted = pd.DataFrame({"label": labels}, index=[image.tobytes() for image in images])
    found = wanted.join(groups, how="inner")
    return Duplicates(len(found), int(((found["nunique"] > 1) | (found["first"] != found["label"])).sum()))


class Nearest(NamedTuple):
    """The nearest image of each query.

    Attributes:
        indices: its position, (n,).
        distances: root mean square difference in grey levels a pixel, (n,).
    """

    indices: NDArray[np.int64]
    distances: NDArray[np.float64]


def nearest(queries: NDArray[np.uint8], images: NDArray[np.uint8]) -> Nearest:
    """Find, for each query, the image with the smallest Euclidean distance; the first one of equals.

    The result is exact, whatever the number of threads. With pixels counted from 128, every partial sum of
    the product of two images is a whole number of at most 784 x 128^2 < 2^24: float32 holds it unrounded.
    Rounding can only mix up images that differ by 146 grey levels a pixel or more.

    Args:
        queries: uint8 (n, 28, 28).
        images: uint8 (m, 28, 28), m at least 1.
    """
    wanted, known = (pixels.reshape(len(pixels), -1).astype(np.float32) - PIXEL_CENTRE for pixels in (queries, images))
    half_squares = np.einsum("ij,ij->i", known, known) / 2
    indices = np.empty(len(wanted), np.int64)
    for start in range(0, len(wanted), BLOCK):
        products = wanted[start : start + BLOCK] @ known.T
        indices[start : start + BLOCK] = np.subtract(half_squares, products, out=products).argmin(1)
    squares = np.square(wanted - known[indices], dtype=np.float64)
    return Nearest(indices, np.sqrt(squares.mean(1)))


def copies(known: Images, test: Images, nearest: Nearest) -> dict[str, Any]:
    """Exact and near copies, and how well the nearest known image's class predicts a test image's.

    Args:
        known: training and validation images.
        test: test images.
        nearest: the known image nearest to each test image.
    """
    within = duplicates_within(*known)
    between = duplicates_between(*known, *test)
    agrees = known.labels[nearest.indices] == test.labels
    near = nearest.distances < NEAR
    return {
        "within_training": within.images,
        "within_training_other_label": within.other_label,
        "test_in_training": between.images,
        "test_in_training_other_label": between.other_label,
        "near": NEAR,
        "test_near_training": int(near.sum()),
        "test_near_training_other_label": int((near & ~agrees).sum()),
        "nearest_neighbour_accuracy": round(float(agrees.mean()), 6),
    }
