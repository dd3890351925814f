"""The arms side by side, compared and judged: every number is computed here, once. The report words them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.comparison import claims, statistics
from fashion_cnn.comparison.claims import Claim
from fashion_cnn.comparison.statistics import Interval, PairedDifference, Reliability, Variation
from fashion_cnn.core.params import ARMS, FIXED_ARMS
from fashion_cnn.core.results import Result

PAIRS: Final = (
    ("cnn3", "baseline"),
    ("cnn5", "baseline"),
    ("cnn5", "cnn3"),
    ("candidate", "baseline"),
    ("candidate", "cnn3"),
)
DISAGREEING: Final = (("cnn3", "baseline"), ("baseline", "cnn3"), ("cnn3", "cnn5"), ("cnn5", "cnn3"))  # right, wrong
DISAGREEMENTS_SHOWN: Final = 8
DIGITS: Final = 6


class Disagreement(NamedTuple):
    """A test image that one arm recognises and another does not: uint8 (28, 28), its class, the wrong answer."""

    image: NDArray[np.uint8]
    truth: int
    answer: int


class Row(NamedTuple):
    """One arm in the comparison; accuracies are shares, losses are in nats, means over seeds.

    Attributes:
        kernel: the size of its kernels; None for the dense network.
        accuracies: on the test images, one a seed.
        accuracy: on the test images.
        interval: of the accuracy of one training, over the drawing of test images (Wilson, 95%).
        variation: of the accuracy of one training, with the seed and with the test images.
        class_accuracy: share of each class's test images that is recognised, (10,).
        class_mirrored: the same of their mirror images.
        confusion: test images of all seeds, by true class (rows) and predicted class, (10, 10).
        reliability: what predictions claim and hold, by confidence.
        metrics: the arm's, as in `Result`.
    """

    kernel: int | None
    accuracies: list[float]
    accuracy: float
    interval: Interval
    variation: Variation
    class_accuracy: NDArray[np.float64]
    class_mirrored: NDArray[np.float64]
    confusion: NDArray[np.int64]
    reliability: Reliability
    metrics: Mapping[str, Any]


class Comparison(NamedTuple):
    """Everything that the tables, the figures and both documents show.

    Attributes:
        arms: each of ARMS to its result.
        rows: the same, side by side.
        same_as: the fixed arm whose result the candidate reuses, if it does.
        differences: pairs of arms, the first minus the second, on the test images.
        claims: judged.
        settings: the sections of params.yaml that made the results.
        data: what the stage eda measured, reports/eda/metrics.json.
        digests: SHA-256 of what decided the results beside the code, by name: splits and parameters.
        disagreements: pairs of arms, the right and the wrong one, to images on which they disagree.
    """

    arms: Mapping[str, Result]
    rows: Mapping[str, Row]
    same_as: str | None
    differences: Mapping[tuple[str, str], PairedDifference]
    claims: Sequence[Claim]
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    digests: Mapping[str, str]
    disagreements: Mapping[tuple[str, str], Sequence[Disagreement]]

    @property
    def shown_rows(self) -> dict[str, Row]:
        """The arms that are networks of their own: a candidate that is a fixed arm is not shown twice."""
        return {arm: row for arm, row in self.rows.items() if not (arm == "candidate" and self.same_as)}

    @property
    def shown_differences(self) -> dict[tuple[str, str], PairedDifference]:
        """Those between arms that are shown."""
        return {pair: found for pair, found in self.differences.items() if set(pair) <= self.shown_rows.keys()}


def compare(
    arms: Mapping[str, Result],
    settings: Mapping[str, Any],
    data: Mapping[str, Any],
    digests: Mapping[str, str],
    test_images: NDArray[np.uint8],
) -> Comparison:
    """Compute everything there is to show; arguments as in `Comparison`.

    Args:
        arms: results.
        settings: parameters.
        data: of eda.
        digests: by name.
        test_images: uint8 (n, 28, 28), in the order of the results.
    """
    differences = {
        (first, second): statistics.paired_difference(arms[first].correct, arms[second].correct, claims.CONFIDENCE)
        for first, second in PAIRS
    }
    return Comparison(
        arms,
        {arm: _row(arms[arm]) for arm in ARMS},
        reused_arm(arms),
        differences,
        claims.judge(arms, differences, settings),
        settings,
        data,
        digests,
        {(right, wrong): disagreements(arms[right], arms[wrong], test_images) for right, wrong in DISAGREEING},
    )


def reused_arm(arms: Mapping[str, Result]) -> str | None:
    """Name the fixed arm whose result the candidate reuses, if it does."""
    candidate = arms["candidate"]
    for arm in FIXED_ARMS:
        same_metrics = arms[arm].metrics == candidate.metrics
        if same_metrics and np.array_equal(arms[arm].probabilities, candidate.probabilities):
            return arm
    return None


def _row(result: Result) -> Row:
    right = result.correct
    return Row(
        result.metrics.get("kernel"),
        right.mean(1).tolist(),
        float(right.mean()),
        statistics.wilson(round(right.sum() / len(right)), right.shape[1]),
        statistics.variation(right),
        statistics.class_accuracy(right, result.labels),
        statistics.class_accuracy(result.correct_when_mirrored, result.labels),
        statistics.confusion_matrix(result.labels, result.probabilities.argmax(-1)),
        statistics.reliability(result.probabilities, result.labels),
        result.metrics,
    )


def disagreements(right: Result, wrong: Result, images: NDArray[np.uint8]) -> list[Disagreement]:
    """The images that one arm recognises and the other does not, those first in which the latter is most sure.

    Args:
        right: the arm that is right.
        wrong: the arm that is not.
        images: the test images, uint8 (n, 28, 28).
    """
    (differing,) = np.nonzero(right.correct[0] & ~wrong.correct[0])
    surest = differing[np.argsort(-wrong.probabilities[0].max(-1)[differing], kind="stable")][:DISAGREEMENTS_SHOWN]
    answers = wrong.probabilities[0].argmax(-1)
    return [Disagreement(images[at], int(right.labels[at]), int(answers[at])) for at in surest]


def headline(rows: Mapping[str, Row]) -> dict[str, dict[str, Any]]:
    """What `dvc metrics diff` shows in review: a few numbers of every arm."""
    metrics: dict[str, dict[str, Any]] = {
        arm: {
            "test_accuracy": round(row.metrics["test_accuracy"], DIGITS),
            "test_loss": round(row.metrics["test_loss"], DIGITS),
            "parameters": row.metrics["parameters"],
        }
        for arm, row in rows.items()
    }
    accuracy = {arm: row.metrics["test_accuracy"] for arm, row in rows.items()}
    metrics["candidate"] = {
        "kernel": rows["candidate"].kernel,
        **metrics["candidate"],
        "accuracy_minus_baseline": round(accuracy["candidate"] - accuracy["baseline"], DIGITS),
        "accuracy_minus_cnn3": round(accuracy["candidate"] - accuracy["cnn3"], DIGITS),
    }
    return metrics
