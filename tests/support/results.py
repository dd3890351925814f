"""Results with planted accuracies, for tests of what is concluded from results."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.core.evaluation import evaluate
from fashion_cnn.core.results import CURVES, Result

ENVIRONMENT = {
    "tensorflow": "2.21.0",
    "keras": "3.15.1",
    "numpy": "2.4.6",
    "threads": 2,
    "instruction_set": "AVX2",
    "kernels": "oneDNN",
    "precision": "float32",
}
SETTINGS: dict[str, Any] = {
    "kernel": 3,
    "data": {"validation_fraction": 0.2, "limit": None, "permute_pixels": False},
    "train": {"seeds": 1, "epochs": 3},
    "baseline": {"units": 128, "dropout": 0.2},
    "cnn": {"filters": [32, 64], "stride": 1, "pool": 2, "units": 64, "dropout": 0.3},
    "arms": {"cnn3": {"kernel": 3}, "cnn5": {"kernel": 5}},
}


def first(counts: Sequence[int], images: int) -> NDArray[np.bool_]:
    """Each seed gets the first so many images right: (seeds, images)."""
    return np.arange(images) < np.array(counts)[:, None]


def drawn(share: float, images: int, seed: int, seeds: int = 1) -> NDArray[np.bool_]:
    """Each seed gets about this share of the images right, drawn independently: (seeds, images)."""
    return np.random.default_rng(seed).random((seeds, images)) < share


def layers(kernel: int | None) -> list[dict[str, Any]]:
    """What each layer of the default networks has."""
    if kernel is None:
        sizes = [("dense", 100_480, 100_352, 100_352), ("probabilities", 1_290, 1_280, 1_280)]
    else:
        weights, taps = kernel * kernel * 32, [size * kernel - kernel // 2 * (kernel // 2 + 1) for size in (28, 14)]
        sizes = [
            ("convolution_1", weights + 32, 784 * weights, 32 * taps[0] ** 2),
            ("convolution_2", 64 * weights + 64, 196 * 64 * weights, 32 * 64 * taps[1] ** 2),
            ("dense", 200_768, 200_704, 200_704),
            ("probabilities", 650, 640, 640),
        ]
    return [dict(zip(("name", "parameters", "multiply_adds", "connections"), size, strict=True)) for size in sizes]


def result(
    right: NDArray[np.bool_],
    kernel: int | None = None,
    *,
    labels: NDArray[np.uint8] | None = None,
    on_training: NDArray[np.bool_] | None = None,
    shifted: NDArray[np.bool_] | None = None,
    mirrored: NDArray[np.bool_] | None = None,
    environment: dict[str, Any] = ENVIRONMENT,
) -> Result:
    """One arm that is right where told, and else takes an image for the next class.

    Args:
        right: (seeds, n).
        kernel: None makes it the dense network.
        labels: (n,); by default every class in turn.
        on_training: (seeds, m); by default as on the test images.
        shifted: (seeds, 4, 9, k); by default shifts change nothing.
        mirrored: (seeds, n); by default mirroring changes nothing.
        environment: that it was trained in.
    """
    seeds, images = right.shape
    labels = (np.arange(images) % 10).astype(np.uint8) if labels is None else labels

    def answers(correct: NDArray[np.bool_]) -> NDArray[np.uint8]:
        return np.where(correct, labels, (labels + 1) % 10).astype(np.uint8)

    probabilities = (0.9 * np.eye(10) + 0.01).astype(np.float32)[answers(right)]
    evaluated = [evaluate(of_seed, labels) for of_seed in probabilities]
    parts = layers(kernel)
    epochs = np.arange(1, 4) + np.zeros((seeds, 1))
    curves = {name: (1 - 0.5 / epochs if name.endswith("accuracy") else 1 / epochs) for name in CURVES}
    history = {name: values + 0.01 * np.arange(seeds)[:, None] for name, values in curves.items()}
    metrics: dict[str, Any] = {
        **{f"test_{name}": float(np.mean([one[name] for one in evaluated])) for name in evaluated[0]},
        **{name: float(values[:, -1].mean()) for name, values in history.items()},
        "parameters": sum(layer["parameters"] for layer in parts),
        "multiply_adds": sum(layer["multiply_adds"] for layer in parts),
        "receptive_field": 28 if kernel is None else 3 * kernel + 1,
        "layers": parts,
        "seeds": seeds,
        "environment": environment,
    }
    weights = np.random.default_rng(kernel or 0).normal(size=(128, 28, 28) if kernel is None else (32, kernel, kernel))
    return Result(
        metrics | ({"kernel": kernel} if kernel else {}),
        history,
        probabilities,
        labels,
        right if on_training is None else on_training,
        np.broadcast_to(right[:, None, None], (seeds, 4, 9, images)).copy() if shifted is None else shifted,
        answers(right if mirrored is None else mirrored),
        weights.astype(np.float32),
    )
