"""Evaluations of one shape: class probabilities and true labels in, a flat dictionary of metrics out."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EPSILON: Final = 1e-7  # Keras clips probabilities there before it takes their logarithm


def evaluate(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> dict[str, float]:
    """Accuracy and mean cross-entropy in nats, as Keras's `Model.evaluate` reports them.

    Args:
        probabilities: (n, 10), each row sums to 1.
        labels: (n,), the true classes.

    Source: keras.losses.SparseCategoricalCrossentropy, which clips to [1e-7, 1 - 1e-7] (keras.config.epsilon()).
    """
    of_the_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
        "loss": float(-np.log(of_the_truth.clip(EPSILON, 1 - EPSILON)).mean()),
    }
