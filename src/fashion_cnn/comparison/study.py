"""The study, computed once: the arms side by side, compared and judged. Numbers only; the report words them."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.comparison import analysis, claims
from fashion_cnn.comparison.analysis import Comparison, Interval, Variation
from fashion_cnn.comparison.claims import Claim, correct
from fashion_cnn.core.results import Result

ARMS: Final = ("baseline", "cnn3", "cnn5", "candidate")
PAIRS: Final = (("cnn3", "baseline"), ("cnn5", "baseline"), ("cnn5", "cnn3"))
CANDIDATE_PAIRS: Final = (("candidate", "baseline"), ("candidate", "cnn3"))
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
        arm: its name.
        same_as: the fixed arm whose result the candidate reuses, if it does.
        kernel: the size of its kernels; None for the dense network.
        accuracies: on the test images, one a seed.
        accuracy: on the test images.
        interval: of the accuracy of one training, over the drawing of test images (Wilson, 95%).
        variation: of the accuracy of one training, with the seed and with the test images.
        metrics: the arm's, as in `Result`.
    """

    arm: str
    same_as: str | None
    kernel: int | None
    accuracies: list[float]
    accuracy: float
    interval: Interval
    variation: Variation
    metrics: Mapping[str, Any]


class Study(NamedTuple):
    """Everything that the figures and both documents show.

    Attributes:
        arms: each of ARMS to its result.
        rows: the arms side by side.
        comparisons: pairs of arms, the first minus the second, on the test images.
        claims: judged.
        settings: the sections of params.yaml that made the results.
        data: what the stage eda measured, reports/eda/metrics.json.
        digests: SHA-256 of what decided the results, by name: splits, code and parameters.
        disagreements: pairs of arms, the right and the wrong one, to images on which they disagree.
    """

    arms: Mapping[str, Result]
    rows: Sequence[Row]
    comparisons: Mapping[tuple[str, str], Comparison]
    claims: Sequence[Claim]
    settings: Mapping[str, Any]
    data: Mapping[str, Any]
    digests: Mapping[str, str]
    disagreements: Mapping[tuple[str, str], Sequence[Disagreement]]

    @property
    def shown(self) -> dict[str, Row]:
        """The arms that are networks of their own: a candidate that is a fixed arm is not shown twice."""
        return {row.arm: row for row in self.rows if row.same_as is None}


def examine(
    arms: Mapping[str, Result],
    settings: Mapping[str, Any],
    data: Mapping[str, Any],
    digests: Mapping[str, str],
    test_images: NDArray[np.uint8],
) -> Study:
    """Compute everything there is to show; `arms` holds one of each of ARMS, the rest is as in `Study`.

    Args:
        arms: results.
        settings: parameters.
        data: of eda.
        digests: by name.
        test_images: uint8 (n, 28, 28), in the order of the results.
    """
    table = rows(arms)
    pairs = PAIRS if table[-1].same_as else PAIRS + CANDIDATE_PAIRS
    right = {arm: correct(result) for arm, result in arms.items()}
    return Study(
        arms,
        table,
        {(one, other): claims.compare(right[one], right[other]) for one, other in pairs},
        claims.judge(arms, settings),
        settings,
        data,
        digests,
        {(one, other): disagreements(arms[one], arms[other], test_images) for one, other in DISAGREEING},
    )


def same_arm(arms: Mapping[str, Result]) -> str | None:
    """Name the fixed arm whose result the candidate reuses, if it does."""
    candidate = arms["candidate"]
    for arm in ("cnn3", "cnn5"):
        fixed = arms[arm]
        if fixed.metrics == candidate.metrics and np.array_equal(fixed.probabilities, candidate.probabilities):
            return arm
    return None


def rows(arms: Mapping[str, Result]) -> list[Row]:
    """The arms side by side; `arms` holds one of each of ARMS."""
    return [_row(arm, arms[arm], same_arm(arms) if arm == "candidate" else None) for arm in ARMS]


def _row(arm: str, result: Result, same_as: str | None) -> Row:
    right = correct(result)
    images = right.shape[1]
    return Row(
        arm,
        same_as,
        result.metrics.get("kernel"),
        right.mean(1).tolist(),
        float(right.mean()),
        analysis.wilson(round(right.sum() / len(right)), images),
        analysis.variation(right),
        result.metrics,
    )


def disagreements(right: Result, wrong: Result, images: NDArray[np.uint8]) -> list[Disagreement]:
    """The images that one arm recognises and the other does not, those first in which the latter is most sure.

    Args:
        right: the arm that is right.
        wrong: the arm that is not.
        images: the test images, uint8 (n, 28, 28).
    """
    answers, others = (result.probabilities[0].argmax(-1) for result in (right, wrong))
    labels = right.labels
    (differing,) = np.nonzero((answers == labels) & (others != labels))
    surest = differing[np.argsort(-wrong.probabilities[0].max(-1)[differing], kind="stable")][:DISAGREEMENTS_SHOWN]
    return [Disagreement(images[at], int(labels[at]), int(others[at])) for at in surest]


def headline(table: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """What `dvc metrics diff` shows in review: a few numbers of every arm."""
    metrics: dict[str, dict[str, Any]] = {
        row.arm: {
            "test_accuracy": round(row.metrics["test_accuracy"], DIGITS),
            "test_loss": round(row.metrics["test_loss"], DIGITS),
            "parameters": row.metrics["parameters"],
        }
        for row in table
    }
    accuracy = {row.arm: row.metrics["test_accuracy"] for row in table}
    metrics["candidate"] = {
        "kernel": table[-1].kernel,
        **metrics["candidate"],
        "accuracy_minus_baseline": round(accuracy["candidate"] - accuracy["baseline"], DIGITS),
        "accuracy_minus_cnn3": round(accuracy["candidate"] - accuracy["cnn3"], DIGITS),
    }
    return metrics
