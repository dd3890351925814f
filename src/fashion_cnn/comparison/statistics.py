"""Statistics of predictions and of their uncertainty: arrays in, plain values out; no files, no plots.

Two things could have come out otherwise: which images are in the test set, and which seeds the networks were
trained with. Intervals and tests here are over one of the two, and say which.
"""

import math
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from fashion_cnn.core.evaluation import BINS, confidence_bin
from fashion_cnn.core.fashion_mnist import CLASSES

RESAMPLES: Final = 9_999  # SciPy's default, of bootstrap and permutation_test
RESAMPLING_SEED: Final = 0
FEWEST_DIFFERING: Final = 10  # where fewer images than these differ from all others, a bootstrap sees too little


def confusion_matrix(actual: NDArray[np.integer], predicted: NDArray[np.integer]) -> NDArray[np.int64]:
    """Count images by true class (rows) and predicted class (columns): (10, 10).

    Args:
        actual: (n,) from 0 to 9.
        predicted: (n,), or (seeds, n) to count every seed's predictions.
    """
    cells = actual.astype(np.int64) * CLASSES + predicted
    return np.bincount(cells.ravel(), minlength=CLASSES * CLASSES).reshape(CLASSES, CLASSES)


def class_accuracy(correct: NDArray[np.bool_], labels: NDArray[np.integer]) -> NDArray[np.float64]:
    """Share of each class's images that are recognised, its recall: (10,), nan for a class without images.

    Args:
        correct: whether each is, (seeds, n); the share is the mean over seeds.
        labels: (n,) from 0 to 9.
    """
    return _group_means(labels, correct.mean(0), CLASSES)


class Reliability(NamedTuple):
    """What the predictions of each bin of confidence claim and what they hold; bin i is (i / bins, (i + 1) / bins].

    Attributes:
        confidence: mean probability of the predicted class, (bins,), nan for a bin without predictions.
        accuracy: share of correct predictions, (bins,), nan for a bin without predictions.
        share: of all predictions that fall into the bin, (bins,), sums to 1.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    share: NDArray[np.float64]


def reliability(probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = BINS) -> Reliability:
    """Compare the confidence of predictions with their accuracy, in bins of equal width; all seeds' together.

    For one seed, the sum of share times |accuracy - confidence| is `evaluation.calibration_error`.

    Source: Guo, Pleiss, Sun and Weinberger 2017, "On calibration of modern neural networks", section 2.

    Args:
        probabilities: (seeds, n, 10), each row sums to 1.
        labels: (n,) from 0 to 9.
        bins: at least 1.
    """
    confidence = probabilities.max(-1).ravel().astype(np.float64)
    correct = (probabilities.argmax(-1) == labels).ravel()
    chosen = confidence_bin(confidence, bins)
    share = np.bincount(chosen, minlength=bins) / len(chosen)
    return Reliability(_group_means(chosen, confidence, bins), _group_means(chosen, correct, bins), share)


def _group_means(groups: NDArray[np.integer], values: NDArray[np.generic], count: int) -> NDArray[np.float64]:
    """Mean of the values of each group from 0 to count - 1: (count,), nan for an empty group."""
    return pd.Series(values).groupby(groups).mean().reindex(range(count)).to_numpy(np.float64)


class Interval(NamedTuple):
    """A confidence interval, both limits included."""

    low: float
    high: float


def wilson(successes: int, trials: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval of a proportion: of one network's accuracy over the drawing of test images.

    Source: Wilson 1927, "Probable inference, the law of succession, and statistical inference"; recommended by
    Newcombe 1998, "Two-sided confidence intervals for the single proportion" (there method 3).

    Args:
        successes: images recognised, from 0 to trials.
        trials: images, at least 1.
        confidence: between 0 and 1.
    """
    low, high = stats.binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    return Interval(float(low), float(high))


def bootstrap(values: ArrayLike, confidence: float = 0.95) -> Interval:
    """Bias-corrected and accelerated (BCa) bootstrap interval of the mean, over the drawing of the values' images.

    For two networks on the same images pass the differences image by image. By hand, for SciPy's would draw 100
    million values, which takes seconds: to draw n values with replacement is to draw how often each distinct value
    comes, from a multinomial distribution, in milliseconds where distinct values are few, as with correctness. Time
    and memory grow with their number (80 kB for each). The resamples are the same in every call; swapping the
    networks mirrors the interval, but for the resamples' chance where the mean is 0.

    Source: Efron 1987, "Better bootstrap confidence intervals"; scipy.stats.bootstrap(method="BCa").

    Args:
        values: (n,) real numbers, n at least 1. Where all are equal (one image, or networks that never differ)
            the data show no spread, and both limits are the mean: that is no proof that there is none.
        confidence: between 0 and 1.
    """
    values = np.asarray(values, np.float64)
    if values.mean() < 0:
        low, high = bootstrap(-values, confidence)
        return Interval(0 - high, 0 - low)  # -0.0 would be printed as such
    distinct, counts = np.unique(values, return_counts=True)
    if len(distinct) == 1:
        return Interval(float(distinct[0]), float(distinct[0]))
    count = len(values)
    mean = counts @ distinct / count
    generator = np.random.default_rng(RESAMPLING_SEED)
    means = generator.multinomial(count, counts / count, RESAMPLES) @ distinct / count
    rounding = 1e-12 * np.abs(distinct).max()
    bias = stats.norm.ppf(((means < mean - rounding).mean() + (means <= mean + rounding).mean()) / 2)
    deviations = distinct - mean
    acceleration = counts @ deviations**3 / (6 * (counts @ deviations**2) ** 1.5)
    z = bias + stats.norm.ppf((1 + confidence) / 2) * np.array([-1, 1])
    low, high = np.quantile(means, stats.norm.cdf(bias + z / (1 - acceleration * z)))
    return Interval(float(low), float(high))


def mean_interval(values: NDArray[np.float64], confidence: float = 0.95, largest: float = 1) -> Interval:
    """Interval of the mean over the drawing of images, also where all images but a few have the same value.

    `bootstrap`, unless fewer than FEWEST_DIFFERING images differ from all others: it never draws another image than
    those it has seen. Then the share of images with another value is at most the upper limit of its Wilson interval,
    and each of these has at most the largest value, or minus that.

    Args:
        values: by image, (n,).
        confidence: between 0 and 1.
        largest: that no value exceeds, nor minus that.
    """
    distinct, counts = np.unique(values, return_counts=True)
    common, others = float(distinct[counts.argmax()]), int(len(values) - counts.max())
    if others >= FEWEST_DIFFERING:
        return bootstrap(values, confidence)
    share = wilson(others, len(values), confidence).high
    return Interval(common - share * (largest + common), common + share * (largest - common))


def independent_difference(first: float, of_first: Interval, second: float, of_second: Interval) -> Interval:
    """Interval of `first` minus `second`, two independent estimates, from the interval of each at the same confidence.

    Source: Zou and Donner 2008, "Construction of confidence limits about effect measures: a general approach",
    Statistics in Medicine 27 (the method of variance estimates recovery).
    """
    down = np.hypot(first - of_first.low, of_second.high - second)
    up = np.hypot(of_first.high - first, second - of_second.low)
    return Interval(float(first - second - down), float(first - second + up))


def mcnemar(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """McNemar's exact test that two networks are equally often right: the two-sided p-value.

    Over the drawing of test images, for one training of each network. Only images count that one of the two
    gets right; the p-value is 1 where there are none.

    Source: McNemar 1947, "Note on the sampling error of the difference between correlated proportions"; the exact
    form as in Agresti, "Categorical Data Analysis", 3rd edition, section 11.1, and statsmodels'
    contingency_tables.mcnemar.

    Args:
        first: whether one network is right, (n,).
        second: whether the other is, on the same images, (n,).
    """
    only_one = int((first != second).sum())
    only_first = int((first & ~second).sum())
    return float(stats.binomtest(min(only_first, only_one - only_first), only_one).pvalue) if only_one else 1.0


def image_sign_flip(differences: NDArray[np.integer]) -> float:
    """Exact sign-flip (permutation) test that the mean difference over images is 0: the two-sided p-value.

    McNemar's exact test for more than one training of each network: the image is what is drawn, and what the
    seeds get right on it is one value, so that it does not matter that all seeds share the images. The p-value is
    the share of all 2^n ways to swap the two networks image by image in which the sum is as far from 0 as it is. By
    hand, for SciPy's permutation_test would draw from these at random: the distribution of the sum is a convolution
    of binomial ones. With one seed this is McNemar's test, to the last image. It is exact where swapping the
    networks on an image changes nothing, and holds its level for many images where only the mean is 0: the flipped
    sums have the variance of the sum. Nothing is said of other seeds.

    Source: Fisher 1935, "The design of experiments", section 21; Lehmann and Romano 2005, "Testing statistical
    hypotheses", section 15.2.

    Args:
        differences: by image, the number of seeds whose first network is right minus that of the second, (n,).
    """
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    chances = np.ones(1)  # of each sum, from 0, of the sizes whose sign comes out positive
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        binomial = np.zeros(size * count + 1)
        binomial[::size] = stats.binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, binomial)
    sums = 2 * np.arange(len(chances)) - (len(chances) - 1)
    return min(1.0, float(chances[np.abs(sums) >= abs(int(differences.sum()))].sum()))


def seed_interval(differences: ArrayLike, confidence: float = 0.95) -> Interval | None:
    """Student's t interval of the mean difference over the drawing of seeds, on these test images.

    Of no width where all differences are equal.

    Source: Student 1908, "The probable error of a mean"; scipy.stats.ttest_1samp(differences, 0).

    Args:
        differences: of the two networks' accuracies, by seed, (seeds,).
        confidence: between 0 and 1.

    Returns:
        None for one seed, which says nothing of others.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2:
        return None
    if np.ptp(values) < 1e-12:  # equal but for rounding, of which SciPy would warn
        return Interval(float(values[0]), float(values[0]))
    low, high = stats.ttest_1samp(values, 0).confidence_interval(confidence)
    return Interval(float(low), float(high))


def seed_sign_flip(differences: ArrayLike) -> float | None:
    """Sign-flip (permutation) test that the mean difference over seeds is 0: the two-sided p-value.

    The share of all 2^seeds ways to swap the two networks seed by seed in which the sum is as far from 0 as it is;
    of more than 13 seeds, the share of RESAMPLES such ways, drawn at random but the same in every call. It can't be
    smaller than 2^(1 - seeds): no result of 5 seeds is below 0.0625.

    Source: Fisher 1935, "The design of experiments", section 21; scipy.stats.permutation_test.

    Args:
        differences: of the two networks' accuracies, by seed, (seeds,).

    Returns:
        None for one seed, which says nothing of others.
    """
    values = np.asarray(differences, np.float64)
    if len(values) < 2:
        return None
    flipped = stats.permutation_test(
        (values,), np.mean, permutation_type="samples", n_resamples=RESAMPLES, rng=RESAMPLING_SEED
    )
    return float(flipped.pvalue)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's adjustment of the p-values of m tests, (m,), in the order given.

    To reject where the adjusted value is at most alpha keeps the chance of any false rejection at alpha, however
    the tests depend on each other.

    Source: Holm 1979, "A simple sequentially rejective multiple test procedure"; SciPy has it not.
    """
    p = np.asarray(p_values, np.float64)
    order = p.argsort(kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)).clip(max=1)
    return adjusted


class Variation(NamedTuple):
    """By how much the accuracy of one training, on one test set of this size, varies: standard deviations.

    Attributes:
        seeds: with the seed, on these test images; None where there is one seed.
        test_sample: with the test images, for a given trained network.
    """

    seeds: float | None
    test_sample: float


def variation(correct: NDArray[np.bool_]) -> Variation:
    """Estimate how much of an accuracy is due to the seed and how much to the test images.

    Between seeds: the standard deviation (n - 1 in the denominator) of the seeds' accuracies, all on the same
    images. Test sample: a trained network gets each image drawn right with one probability, so its accuracy p on n
    images is binomial, with variance p (1 - p) / n; the root of the mean over the seeds. Both are of one training:
    a mean over seeds varies less. They are not parts of a sum: that a network happens to know these images better
    than others would is in both.

    Source: Bouthillier et al. 2021, "Accounting for variance in machine learning benchmarks", which sets both
    side by side, the test sample's by the binomial model.

    Args:
        correct: whether each image is recognised, (seeds, n).
    """
    accuracies = correct.mean(1)
    seeds = float(accuracies.std(ddof=1)) if len(accuracies) > 1 else None
    return Variation(seeds, math.sqrt((accuracies * (1 - accuracies)).mean() / correct.shape[1]))


class Estimate(NamedTuple):
    """The mean over seeds and images of what was measured on each, with what else it could have been.

    Attributes:
        value: the mean.
        images: how many it was measured on.
        test_interval: over the drawing of test images, for these seeds (`mean_interval`).
        seed_interval: over the drawing of seeds, on these images; None for one seed.
        by_seed: the mean of each seed, (seeds,).
    """

    value: float
    images: int
    test_interval: Interval
    seed_interval: Interval | None
    by_seed: NDArray[np.float64]

    @property
    def intervals(self) -> list[Interval]:
        """Those that there are."""
        return [interval for interval in (self.test_interval, self.seed_interval) if interval]


def estimate(values: NDArray[np.float64], confidence: float = 0.95, largest: float = 1) -> Estimate:
    """Estimate a mean over seeds and images.

    Source: Bouthillier et al. 2021, "Accounting for variance in machine learning benchmarks" (both sources of
    variation); those of the parts stand there.

    Args:
        values: by seed and image, (seeds, n).
        confidence: of each interval, between 0 and 1.
        largest: that no value exceeds, nor minus that.
    """
    by_seed = values.mean(1)
    return Estimate(
        float(values.mean()),
        values.shape[1],
        mean_interval(values.mean(0), confidence, largest),
        seed_interval(by_seed, confidence),
        by_seed,
    )


class PairedDifference(NamedTuple):
    """How two networks differ in accuracy: first minus second, as shares of 1.

    Attributes:
        estimate: of the difference, with its intervals.
        p_value: that the difference is 0, over the drawing of test images: McNemar's exact test, for several
            seeds its extension `image_sign_flip`. Not corrected for other comparisons (`holm`).
        seed_p_value: the same over the drawing of seeds (`seed_sign_flip`); None for one seed.
        only_first_right: images that of the first seed's networks only the first gets right.
        only_second_right: images that of the first seed's networks only the second gets right.
    """

    estimate: Estimate
    p_value: float
    seed_p_value: float | None
    only_first_right: int
    only_second_right: int


def paired_difference(
    first: NDArray[np.bool_], second: NDArray[np.bool_], confidence: float = 0.95
) -> PairedDifference:
    """Compare two networks on the same test images, seed by seed.

    Args:
        first: whether each image is recognised, (seeds, n).
        second: the same of the other network; row i is of the same seed as row i of `first`.
        confidence: of each interval, between 0 and 1.

    Raises:
        ValueError: the shapes differ.
    """
    if first.shape != second.shape:
        raise ValueError(f"results of other seeds or images: (seeds, images) is {first.shape} and {second.shape}")
    differences = first.astype(np.int64) - second
    found = estimate(differences.astype(np.float64), confidence)
    return PairedDifference(
        found,
        mcnemar(first[0], second[0]) if len(first) == 1 else image_sign_flip(differences.sum(0)),
        seed_sign_flip(found.by_seed),
        int((first[0] & ~second[0]).sum()),
        int((second[0] & ~first[0]).sum()),
    )
