"""The claims of the notebook's section 5, judged by one rule: verdicts and numbers from the arms' results, no words.

The rule. A claim puts a number on one side of a threshold. It is supported where every interval at hand lies wholly on
that side, not supported where every interval lies wholly on the other side, and else undecided. The intervals at hand
are that of drawing the test images and, with several seeds, that between the seeds, at a confidence of 95% for all
claims together (Bonferroni). Few images, and an interval without width, decide nothing. Counts are compared as such.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.comparison import analysis
from fashion_cnn.comparison.analysis import Comparison, Interval
from fashion_cnn.core.results import Result

Verdict = Literal["supported", "not_supported", "undecided"]
Arms = Mapping[str, Result]

# Every claim that intervals decide, in whichever run: the level holds for a study of several runs together.
FAMILY: Final = (
    "cnn_beats_dense",
    "spatial_structure",
    "generalization",
    "locality",
    "invariance",
    "tolerance",
    "kernel",
)
CONFIDENCE: Final = 1 - 0.05 / len(FAMILY)
NEGLIGIBLE: Final = 0.002  # a difference of accuracies below 0.2 points is as good as none
INVARIANT: Final = 0.01  # an accuracy that falls by less than 1 point is as good as unchanged
SHIFT: Final = 4  # pixels, at which invariance is judged
FEWEST_IMAGES: Final = 100  # a bootstrap interval from fewer is too narrow
FEWEST_DIFFERING: Final = 10  # likewise where fewer images than these differ from all others
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
        images: how many it was measured on; None for a count.
        test_interval: what other test images could make of it; None for a number that is only shown.
        seed_interval: what other seeds could make of it; None also for one seed.
    """

    name: str
    arms: tuple[str, ...]
    value: float
    images: int | None = None
    test_interval: Interval | None = None
    seed_interval: Interval | None = None

    @property
    def intervals(self) -> list[Interval]:
        """Those that there are."""
        return [interval for interval in (self.test_interval, self.seed_interval) if interval]


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
    if measure.images is None:
        return "supported" if sides.claimed(Interval(measure.value, measure.value)) else "not_supported", None
    intervals = measure.intervals
    if measure.images < FEWEST_IMAGES or any(interval.low == interval.high for interval in intervals):
        return "undecided", "too_little"
    if all(map(sides.claimed, intervals)):
        return "supported", None
    if all(map(sides.other, intervals)):
        return "not_supported", None
    return "undecided", "both_sides"


def judge(arms: Arms, settings: Mapping[str, Any]) -> list[Claim]:
    """Judge every claim.

    Args:
        arms: baseline, cnn3, cnn5 and candidate.
        settings: the sections of params.yaml that made them; cnn, data and train are read.
    """
    convolution, larger = accuracy_difference(arms, "cnn3", "baseline"), accuracy_difference(arms, "cnn5", "cnn3")
    shared, unshared = convolution_parameters(arms["cnn3"], settings["cnn"]["filters"])
    small, dense = (arms[arm].metrics["parameters"] for arm in ("cnn3", "baseline"))
    permuted, pointwise = settings["data"]["permute_pixels"], arms["candidate"].metrics["kernel"] == 1
    needed, more = _needed(permuted, pointwise), _more(settings)

    def claim(name: str, topic: str, sides: Sides, *evidence: Measure) -> Claim:
        verdict, reason = ("undecided", needed[name]) if name in needed else decide(evidence[0], sides)
        command = f"dvc exp run -S {RUNS.get(reason, more)}" if reason else None
        return Claim(name, topic, verdict, evidence, reason, command)

    return [
        claim("cnn_beats_dense", "why", above(0), convolution, accuracy_difference(arms, "cnn5", "baseline")),
        claim("spatial_structure", "why", below(NEGLIGIBLE), *([convolution] if permuted else [])),
        claim(
            "sharing_reduces_parameters",
            "why",
            below(0),
            Measure("sharing_difference", ("cnn3",), shared - unshared),
            Measure("shared_parameters", ("cnn3",), shared),
            Measure("unshared_parameters", ("cnn3",), unshared),
        ),
        claim(
            "fewer_parameters_than_dense",
            "why",
            below(0),
            Measure("parameter_difference", ("cnn3", "baseline"), small - dense),
            Measure("parameters", ("cnn3",), small),
            Measure("parameters", ("baseline",), dense),
        ),
        claim(
            "generalization",
            "why",
            below(0),
            gap_difference(arms, "cnn3", "baseline"),
            *(Measure("gap", (arm,), gap(arms[arm])) for arm in ("cnn3", "baseline")),
        ),
        claim("locality", "bias", above(0), *([accuracy_difference(arms, "cnn3", "candidate")] if pointwise else [])),
        claim("invariance", "bias", below(INVARIANT), drop(arms, "cnn3")),
        claim("tolerance", "bias", below(0), loss_difference(arms, "cnn3", "baseline")),
        claim("kernel", "kernel", not_zero(NEGLIGIBLE), larger),
        Claim("sequences_and_graphs", "when_not", "undecided", (), "no_data"),
    ]


def _needed(permuted: bool, pointwise: bool) -> dict[str, str]:
    """Which of RUNS a claim needs; those left out can be decided in this one."""
    if permuted:
        return {name: "pixels_in_place" for name in FAMILY if name != "spatial_structure"}
    return {"spatial_structure": "pixels_permuted"} | ({} if pointwise else {"locality": "kernel_1"})


def _more(settings: Mapping[str, Any]) -> str:
    """What narrows the intervals: all of the images, then more seeds."""
    if settings["data"]["limit"] is not None:
        return "data.limit=null"
    return f"train.seeds={max(ENOUGH_SEEDS, 2 * settings['train']['seeds'])}"


def correct(result: Result) -> NDArray[np.bool_]:
    """Whether each network recognises each test image: (seeds, n)."""
    return result.probabilities.argmax(-1) == result.labels


def accuracy_difference(arms: Arms, first: str, second: str) -> Measure:
    """Accuracy of the first arm minus that of the second, on the test images."""
    compared = compare(correct(arms[first]), correct(arms[second]))
    return Measure(
        "accuracy_difference",
        (first, second),
        compared.difference,
        len(arms[first].labels),
        compared.test_interval,
        compared.seed_interval,
    )


def gap(result: Result) -> float:
    """Accuracy on training images, without dropout, minus accuracy on test images."""
    return float(result.correct_on_training.mean() - correct(result).mean())


def gap_difference(arms: Arms, first: str, second: str) -> Measure:
    """The gap between training and test images of the first arm minus that of the second.

    It is a difference of two paired differences, on training and on test images. These are different images, so their
    intervals are combined as those of independent estimates.
    """
    on_training = compare(arms[first].correct_on_training, arms[second].correct_on_training)
    on_test = compare(correct(arms[first]), correct(arms[second]))
    return Measure(
        "gap_difference",
        (first, second),
        on_training.difference - on_test.difference,
        min(arms[first].correct_on_training.shape[-1], len(arms[first].labels)),
        independent_difference(
            on_training.difference, on_training.test_interval, on_test.difference, on_test.test_interval
        ),
        analysis.seed_interval(on_training.by_seed - on_test.by_seed, CONFIDENCE),
    )


def independent_difference(first: float, of_first: Interval, second: float, of_second: Interval) -> Interval:
    """Interval of `first` minus `second`, two independent estimates, from the interval of each at the same confidence.

    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures: a general approach",
    Statistics in Medicine 27 (the method of variance estimates recovery).
    """
    down = np.hypot(first - of_first.low, of_second.high - second)
    up = np.hypot(of_first.high - first, second - of_second.low)
    return Interval(float(first - second - down), float(first - second + up))


def drop(arms: Arms, arm: str) -> Measure:
    """By how much an arm's accuracy falls when the images are shifted by SHIFT pixels, mean over four directions."""
    shifted = arms[arm].correct_when_shifted.astype(np.float64).mean(1)
    return _measure("drop", (arm,), shifted[:, 0] - shifted[:, SHIFT])


def loss_difference(arms: Arms, first: str, second: str) -> Measure:
    """What shifts cost the first arm's accuracy minus what they cost the second's, mean over all that are measured."""
    return _measure("loss_difference", (first, second), _lost(arms[first]) - _lost(arms[second]), largest=2)


def _lost(result: Result) -> NDArray[np.float64]:
    """For each seed and image, (seeds, images), whether it is recognised less the share of its shifts that are."""
    shifted = result.correct_when_shifted.astype(np.float64).mean(1)
    return shifted[:, 0] - shifted[:, 1:].mean(1)


def compare(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Comparison:
    """`analysis.compare` at the confidence of the claims, with a wider interval where few images differ."""
    compared = analysis.compare(first, second, CONFIDENCE)
    few = few_differ(first.mean(0) - second.mean(0))
    return compared._replace(test_interval=few) if few else compared


def few_differ(values: NDArray[np.float64], largest: float = 1) -> Interval | None:
    """Interval of a mean of which a bootstrap would see too little: all images but a few have the same value.

    The share of images with another value is at most the upper limit of its Wilson interval, and each of these has
    at most the largest value, or minus that.

    Returns:
        None where FEWEST_DIFFERING or more images have another value, so that a bootstrap will do.
    """
    distinct, counts = np.unique(values, return_counts=True)
    common, others = float(distinct[counts.argmax()]), int(len(values) - counts.max())
    if others >= FEWEST_DIFFERING:
        return None
    share = analysis.wilson(others, len(values), CONFIDENCE).high
    return Interval(common - share * (largest + common), common + share * (largest - common))


def _measure(name: str, arms: tuple[str, ...], values: NDArray[np.float64], largest: float = 1) -> Measure:
    """The mean of values of each seed and image, (seeds, images), none beyond the largest, with its intervals."""
    by_image = values.mean(0)
    return Measure(
        name,
        arms,
        float(values.mean()),
        values.shape[1],
        few_differ(by_image, largest) or analysis.bootstrap(by_image, CONFIDENCE),
        analysis.seed_interval(values.mean(1), CONFIDENCE),
    )


def convolution_parameters(result: Result, filters: Sequence[int]) -> tuple[int, int]:
    """Parameters of the convolution layers as they are, and of layers of the same connections without shared weights.

    Without sharing, each position of a filter has weights of its own: one for each of its multiplications, and a bias.

    Args:
        result: a CNN's.
        filters: of each convolution layer.
    """
    layers = [layer for layer in result.metrics["layers"] if layer["name"].startswith("convolution")]
    shared = sum(layer["parameters"] for layer in layers)
    unshared = 0
    for layer, count in zip(layers, filters, strict=True):
        positions = layer["multiply_adds"] // (layer["parameters"] - count)
        unshared += layer["multiply_adds"] + positions * count
    return shared, unshared
