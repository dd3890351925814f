"""The claims of the notebook's section 5, and the study's own on mirrored images, judged by one rule: no words here.

In are the arms' results, out are verdicts and the numbers that they rest on.

The rule. A claim puts a number on one side of a threshold. It is supported where every interval at hand lies wholly on
that side, not supported where every interval lies wholly on the other side, and else undecided. The intervals at hand
are that of drawing the test images and, with several seeds, that between the seeds, at a confidence of 95% for all
claims together (Bonferroni). Few images, and an interval without width, decide nothing. Counts are compared as such.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.comparison import statistics
from fashion_cnn.comparison.statistics import Estimate, Interval, PairedDifference
from fashion_cnn.core.results import Result

Verdict = Literal["supported", "not_supported", "undecided"]

# Every claim that intervals decide, in whichever run: the level holds for a study of several runs together.
FAMILY: Final = (
    "cnn_beats_dense",
    "spatial_structure",
    "generalization",
    "locality",
    "invariance",
    "mirroring",
    "tolerance",
    "kernel",
)
CONFIDENCE: Final = 1 - 0.05 / len(FAMILY)
NEGLIGIBLE: Final = 0.002  # a difference of accuracies below 0.2 points is as good as none
INVARIANT: Final = 0.01  # an accuracy that falls by less than 1 point is as good as unchanged
SHIFT: Final = 4  # pixels, at which invariance is judged
FEWEST_IMAGES: Final = 100  # a bootstrap interval from fewer is too narrow
ENOUGH_SEEDS: Final = 5
# What a run must be, so that it can decide a claim.
RUNS: Final = {
    "pixels_in_place": "data.permute_pixels=false",
    "pixels_permuted": "data.permute_pixels=true",
    "kernel_1": "kernel=1",
}


class Measure(NamedTuple):
    """One number that a claim rests on.

    Attributes:
        name: what was measured.
        arms: of which networks.
        value: an accuracy or a difference of accuracies, as a share; or a count.
        estimate: the value with its intervals; None for a count, and for a number that is only shown.
    """

    name: str
    arms: tuple[str, ...]
    value: float
    estimate: Estimate | None = None


class Claim(NamedTuple):
    """A judged claim.

    Attributes:
        name: which one.
        topic: the question that it answers: why, bias, kernel or when_not.
        verdict: supported, not_supported or undecided.
        evidence: the numbers at hand; the first one decides.
        reason: for an undecided one why it is: another run is needed (a name of RUNS), too_little, both_sides or
            no_data; else None.
        command: for an undecided one, what to run to decide it; None where nothing in this study can.
    """

    name: str
    topic: str
    verdict: Verdict
    evidence: tuple[Measure, ...]
    reason: str | None = None
    command: str | None = None


class Sides(NamedTuple):
    """The two sides of a threshold: whether an interval lies wholly on the claimed one, or on the other one."""

    claimed: Callable[[Interval], bool]
    other: Callable[[Interval], bool]


def above(threshold: float) -> Sides:
    """The claim that a number is greater than the threshold."""
    return Sides(lambda interval: interval.low > threshold, lambda interval: interval.high < threshold)


def below(threshold: float) -> Sides:
    """The claim that a number is less than the threshold."""
    return Sides(lambda interval: interval.high < threshold, lambda interval: interval.low > threshold)


def not_zero(margin: float) -> Sides:
    """The claim that a number differs from 0; the other side is what lies closer to 0 than the margin."""
    return Sides(
        lambda interval: interval.low > 0 or interval.high < 0,
        lambda interval: -margin < interval.low and interval.high < margin,
    )


def decide(measure: Measure, sides: Sides) -> tuple[Verdict, str | None]:
    """Apply the rule to the number that decides a claim: the verdict, and for an undecided one the reason."""
    if measure.estimate is None:
        return "supported" if sides.claimed(Interval(measure.value, measure.value)) else "not_supported", None
    intervals = measure.estimate.intervals
    if measure.estimate.images < FEWEST_IMAGES or any(interval.low == interval.high for interval in intervals):
        return "undecided", "too_little"
    if all(map(sides.claimed, intervals)):
        return "supported", None
    if all(map(sides.other, intervals)):
        return "not_supported", None
    return "undecided", "both_sides"


def judge(
    arms: Mapping[str, Result], differences: Mapping[tuple[str, str], PairedDifference], settings: Mapping[str, Any]
) -> list[Claim]:
    """Judge every claim.

    Args:
        arms: baseline, cnn3, cnn5 and candidate.
        differences: on the test images, at CONFIDENCE, of the pairs of arms that the claims are about.
        settings: the sections of params.yaml that made them; cnn, data and train are read.
    """

    def ahead(first: str, second: str) -> Measure:
        return _measure("accuracy_difference", (first, second), differences[first, second].estimate)

    cnn, dense = arms["cnn3"], arms["baseline"]
    shared, unshared, connected = convolution_parameters(cnn, settings["cnn"]["filters"])
    parameters = {arm: arms[arm].metrics["parameters"] for arm in ("cnn3", "baseline")}
    permuted, pointwise = settings["data"]["permute_pixels"], arms["candidate"].metrics["kernel"] == 1
    runs, narrower = _deciding_runs(permuted, pointwise), _narrowing_parameter(settings)

    def claim(name: str, topic: str, sides: Sides, *evidence: Measure) -> Claim:
        verdict, reason = ("undecided", runs[name]) if name in runs else decide(evidence[0], sides)
        command = f"dvc exp run -S {RUNS.get(reason, narrower)}" if reason else None
        return Claim(name, topic, verdict, evidence, reason, command)

    return [
        claim("cnn_beats_dense", "why", above(0), ahead("cnn3", "baseline"), ahead("cnn5", "baseline")),
        claim("spatial_structure", "why", below(NEGLIGIBLE), *([ahead("cnn3", "baseline")] if permuted else [])),
        claim(
            "sharing_reduces_parameters",
            "why",
            below(0),
            Measure("sharing_difference", ("cnn3",), shared - unshared),
            Measure("shared_parameters", ("cnn3",), shared),
            Measure("unshared_parameters", ("cnn3",), unshared),
            *([Measure("unshared_parameters_inside", ("cnn3",), connected)] if connected < unshared else []),
        ),
        claim(
            "fewer_parameters_than_dense",
            "why",
            below(0),
            Measure("parameter_difference", ("cnn3", "baseline"), parameters["cnn3"] - parameters["baseline"]),
            *(Measure("parameters", (arm,), count) for arm, count in parameters.items()),
        ),
        claim(
            "generalization",
            "why",
            below(0),
            _measure(
                "generalization_gap_difference",
                ("cnn3", "baseline"),
                generalization_gap_difference(cnn, dense, differences["cnn3", "baseline"].estimate),
            ),
            *(Measure("generalization_gap", (arm,), generalization_gap(arms[arm])) for arm in ("cnn3", "baseline")),
        ),
        claim("locality", "bias", below(0), *([ahead("candidate", "cnn3")] if pointwise else [])),
        claim("invariance", "bias", below(INVARIANT), _measure("shift_cost", ("cnn3",), shift_cost(cnn))),
        claim(
            "mirroring",
            "bias",
            below(INVARIANT),
            _measure("mirror_cost", ("cnn3",), mirror_cost(cnn)),
            Measure("mirror_cost", ("baseline",), mirror_cost(dense).value),
        ),
        claim(
            "tolerance",
            "bias",
            below(0),
            _measure("shift_cost_difference", ("cnn3", "baseline"), shift_cost_difference(cnn, dense)),
        ),
        claim("kernel", "kernel", not_zero(NEGLIGIBLE), ahead("cnn5", "cnn3")),
        Claim("sequences_and_graphs", "when_not", "undecided", (), "no_data"),
    ]


def _measure(name: str, arms: tuple[str, ...], estimate: Estimate) -> Measure:
    return Measure(name, arms, estimate.value, estimate)


def _deciding_runs(permuted: bool, pointwise: bool) -> dict[str, str]:
    """Which of RUNS a claim needs to be decided; those left out can be decided in this one."""
    if permuted:
        return {name: "pixels_in_place" for name in FAMILY if name != "spatial_structure"}
    return {"spatial_structure": "pixels_permuted"} | ({} if pointwise else {"locality": "kernel_1"})


def _narrowing_parameter(settings: Mapping[str, Any]) -> str:
    """What narrows the intervals: all of the images, then more seeds."""
    if settings["data"]["limit"] is not None:
        return "data.limit=null"
    return f"train.seeds={max(ENOUGH_SEEDS, 2 * settings['train']['seeds'])}"


def generalization_gap(result: Result) -> float:
    """Accuracy on training images, without dropout, minus accuracy on test images."""
    return float(result.correct_on_training.mean() - result.correct.mean())


def generalization_gap_difference(first: Result, second: Result, on_test: Estimate) -> Estimate:
    """The gap between training and test images of the first arm minus that of the second.

    It is a difference of two paired differences, on training and on test images. These are different images, so their
    intervals are combined as those of independent estimates.

    Args:
        first: one arm.
        second: the other.
        on_test: their difference in accuracy on the test images, at CONFIDENCE.
    """
    differences = first.correct_on_training.astype(np.float64) - second.correct_on_training
    on_training = statistics.estimate(differences, CONFIDENCE)
    by_seed = on_training.by_seed - on_test.by_seed
    return Estimate(
        on_training.value - on_test.value,
        min(on_training.images, on_test.images),
        statistics.independent_difference(
            on_training.value, on_training.test_interval, on_test.value, on_test.test_interval
        ),
        statistics.seed_interval(by_seed, CONFIDENCE),
        by_seed,
    )


def shift_cost(result: Result) -> Estimate:
    """By how much an arm's accuracy falls when the images are shifted by SHIFT pixels, mean over four directions."""
    correct = result.correct_when_shifted.astype(np.float64).mean(1)
    return statistics.estimate(correct[:, 0] - correct[:, SHIFT], CONFIDENCE)


def mirror_cost(result: Result) -> Estimate:
    """By how much an arm's accuracy falls when left and right of the images are exchanged."""
    return statistics.estimate(result.correct.astype(np.float64) - result.correct_when_mirrored, CONFIDENCE)


def shift_cost_difference(first: Result, second: Result) -> Estimate:
    """What shifts cost the first arm's accuracy minus what they cost the second's, mean over all that are measured."""

    def costs(result: Result) -> NDArray[np.float64]:
        correct = result.correct_when_shifted.astype(np.float64).mean(1)
        return correct[:, 0] - correct[:, 1:].mean(1)

    return statistics.estimate(costs(first) - costs(second), CONFIDENCE, largest=2)


def convolution_parameters(result: Result, filters: Sequence[int]) -> tuple[int, int, int]:
    """Parameters of the convolution layers as they are, and of layers of the same connections without shared weights.

    Without sharing, each position of a filter has weights of its own: one for each of its multiplications, and a bias.
    The last number leaves out the weights that lie on the padding, which is always 0.

    Args:
        result: a CNN's.
        filters: of each convolution layer.
    """
    layers = [layer for layer in result.metrics["layers"] if layer["name"].startswith("convolution")]
    shared = sum(layer["parameters"] for layer in layers)
    unshared = connected = 0
    for layer, count in zip(layers, filters, strict=True):
        positions = layer["multiply_adds"] // (layer["parameters"] - count)
        unshared += layer["multiply_adds"] + positions * count
        connected += layer["connections"] + positions * count
    return shared, unshared, connected
