"""A linear model in NumPy, which stands in for TensorFlow behind the project's own model server and handler."""

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.serving import archive


def weights(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).normal(size=(784, 10)) / 2000


def probabilities(images: NDArray[np.uint8], of: NDArray[np.float64]) -> NDArray[np.float64]:
    """What the model of these weights answers, (n, 10), to images, (n, 28, 28)."""
    exponentials = np.exp(images.reshape(-1, 784).astype(np.float64) @ of)
    return exponentials / exponentials.sum(axis=1, keepdims=True)


def pack(path: Path, seed: int, behaviour: str = "good") -> None:
    """Write the model's archive; its server (model_servers/linear.py) is good, or it crashes, or it stays silent."""
    stream = io.BytesIO()
    np.savez(stream, weights=weights(seed), behaviour=np.array(behaviour))
    archive.pack(stream.getvalue(), path)
