"""Evaluations of one shape: class probabilities and true labels in, a flat dictionary of metrics out."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

EPSILON: Final = 1e-7  # Keras clips probabilities there before it takes their logarithm
BINS: Final = 15


def evaluate(probabilities: NDArray[np.float32], labels: NDArray[np.uint8]) -> dict[str, float]:
    """Accuracy, mean cross-entropy in nats (both as Keras's `Model.evaluate`) and expected calibration error.

    Args:
        probabilities: (n, 10), each row sums to 1.
        labels: (n,), the true classes.

    Source: keras.losses.SparseCategoricalCrossentropy, which clips to [1e-7, 1 - 1e-7] (keras.config.epsilon()).
    """
    of_the_truth = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return {
        "accuracy": float(np.mean(probabilities.argmax(axis=1) == labels)),
        "loss": float(-np.log(of_the_truth.clip(EPSILON, 1 - EPSILON)).mean()),
        "calibration_error": calibration_error(probabilities, labels),
    }


def calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.uint8], bins: int = BINS) -> float:
    """Expected calibration error: how far confidence is from accuracy, averaged over bins of equal width, 0 to 1.

    Confidence is the probability of the predicted class. Arguments are those of `evaluate`.

    Source: Guo et al. 2017, "On calibration of modern neural networks", equation 3; 15 bins as there.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    excess = confidence - (probabilities.argmax(axis=1) == labels)
    return float(np.abs(np.bincount(confidence_bin(confidence, bins), excess, bins)).sum() / len(labels))


def confidence_bin(confidence: NDArray[np.float64], bins: int = BINS) -> NDArray[np.int64]:
    """Which of `bins` bins of equal width each confidence lies in; a bin holds its upper edge, not its lower one."""
    return np.ceil(confidence * bins).astype(np.int64).clip(1, bins) - 1
