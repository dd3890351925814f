from collections.abc import Sequence
from fractions import Fraction
from random import Random

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from numpy.typing import NDArray
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from fashion_cnn.comparison import statistics
from fashion_cnn.comparison.statistics import Interval
from fashion_cnn.core import evaluation

# The differences, in eighths of an inch, of 15 pairs of Darwin's plants: Fisher 1935, "The design of experiments".
DARWIN = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
# The additional hours of sleep of 10 patients under one drug rather than the other: Student 1908.
STUDENT = [1.2, 2.4, 1.3, 1.3, 0.0, 1.0, 1.8, 0.8, 4.6, 1.4]


def one_hot(*classes: int) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[list(classes)]


def paired(only_first: int, only_second: int, both: int = 0, neither: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Whether two networks are right, by image, from how many images there are of each kind."""
    counts = [only_first, only_second, both, neither]
    return np.repeat([True, False, True, False], counts), np.repeat([False, True, True, False], counts)


# Predictions


def test_the_confusion_matrix_has_true_classes_in_its_rows() -> None:
    matrix = statistics.confusion_matrix(np.array([6, 6, 0], np.uint8), np.array([0, 6, 0]))
    assert matrix[6, 0] == matrix[6, 6] == matrix[0, 0] == 1
    assert matrix.sum() == 3


def test_the_confusion_matrix_counts_every_seed() -> None:
    matrix = statistics.confusion_matrix(np.array([9, 1], np.uint8), np.array([[9, 1], [9, 2]]))
    assert (matrix[9, 9], matrix[1, 1], matrix[1, 2]) == (2, 1, 1)


def test_class_accuracy_is_the_diagonal_of_the_confusion_matrix() -> None:
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.arange(200) % 10).astype(np.uint8)
    probabilities = generator.random((1, 200, 10))
    matrix = statistics.confusion_matrix(labels, probabilities.argmax(-1))
    expected = matrix.diagonal() / matrix.sum(1)
    np.testing.assert_allclose(statistics.class_accuracy(probabilities.argmax(-1) == labels, labels), expected)


def test_class_accuracy_of_a_class_without_images_is_unknown() -> None:
    shares = statistics.class_accuracy(np.array([[True, True], [True, False]]), np.array([0, 1]))
    assert shares[:2].tolist() == [1.0, 0.5]
    assert np.isnan(shares[2:]).all()


def test_reliability_puts_a_prediction_into_the_bin_of_its_confidence() -> None:
    sure, unsure = [0.875, 0.125] + [0.0] * 8, [0.375, 0.625] + [0.0] * 8
    found = statistics.reliability(np.array([[sure, unsure, unsure]]), np.array([0, 1, 0]), bins=4)
    np.testing.assert_array_equal(found.share, [0, 0, 2 / 3, 1 / 3])
    np.testing.assert_array_equal(found.confidence, [np.nan, np.nan, 0.625, 0.875])
    np.testing.assert_array_equal(found.accuracy, [np.nan, np.nan, 0.5, 1])


def test_reliability_counts_every_seed() -> None:
    probabilities = np.stack([one_hot(0, 1), one_hot(0, 3)])
    found = statistics.reliability(probabilities, np.array([0, 1]))
    assert (found.confidence[-1], found.accuracy[-1], found.share[-1]) == (1, 0.75, 1)


def test_reliability_adds_up_to_the_expected_calibration_error() -> None:
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.full(10, 0.2), (1, 500)).astype(np.float32)
    labels = generator.integers(0, 10, 500).astype(np.uint8)
    found = statistics.reliability(probabilities, labels)
    error = np.nansum(found.share * np.abs(found.accuracy - found.confidence))
    assert error == pytest.approx(evaluation.calibration_error(probabilities[0], labels))
    assert found.share.sum() == pytest.approx(1)


# Against published values and independent implementations


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_gives_the_intervals_that_newcombe_published(
    successes: int, trials: int, low: float, high: float
) -> None:
    # Newcombe 1998, table I, method 3.
    assert statistics.wilson(successes, trials) == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.995])
@pytest.mark.parametrize(("successes", "trials"), [(0, 1), (1, 1), (3, 7), (9114, 10_000), (10_000, 10_000)])
def test_wilson_agrees_with_statsmodels(successes: int, trials: int, confidence: float) -> None:
    found = statistics.wilson(successes, trials, confidence)
    assert found == pytest.approx(proportion_confint(successes, trials, 1 - confidence, "wilson"))


@pytest.mark.parametrize(
    ("only_first", "only_second", "published"),
    [
        (9, 2, 0.06543),  # R's exact2x2, vignette on McNemar's test
        (35, 28, 0.4500),  # R's binom.test, on a poll that asked 164 people twice
    ],
)
def test_mcnemar_gives_published_p_values(only_first: int, only_second: int, published: float) -> None:
    found = statistics.mcnemar(*paired(only_first, only_second, both=48, neither=53))
    assert found == pytest.approx(published, abs=5e-5)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (0, 5), (4, 4), (150, 86), (520, 190), (3000, 1)])
def test_mcnemar_agrees_with_statsmodels(only_first: int, only_second: int) -> None:
    table = [[794, only_first], [only_second, 570]]  # 150 and 86: Agresti's table of approval, asked twice
    found = statistics.mcnemar(*paired(only_first, only_second, 794, 570))
    assert found == pytest.approx(mcnemar(table, exact=True).pvalue, rel=1e-9)


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (0, 5), (4, 4), (150, 86), (520, 190)])
def test_with_one_seed_the_sign_flip_over_images_is_mcnemar(only_first: int, only_second: int) -> None:
    first, second = paired(only_first, only_second, 794, 570)
    expected = statistics.mcnemar(first, second)
    assert statistics.image_sign_flip(first.astype(int) - second) == pytest.approx(expected, rel=1e-9)


def test_the_sign_flip_over_images_counts_all_swaps_of_several_seeds() -> None:
    differences = np.random.default_rng(0).integers(-3, 4, 12)
    flipped = (1 - 2 * (np.arange(2**12)[:, None] >> np.arange(12) & 1)) @ differences
    expected = np.mean(np.abs(flipped) >= abs(differences.sum()))
    assert statistics.image_sign_flip(differences) == pytest.approx(expected)


def test_the_sign_flips_give_fishers_p_value_for_darwins_plants() -> None:
    # Fisher 1935, section 21: of 32,768 sums 863 are at least 314, the sum observed; as many are at most -314.
    published = 2 * 863 / 2**15
    assert statistics.image_sign_flip(np.array(DARWIN)) == pytest.approx(published)


def test_the_sign_flip_over_seeds_is_that_over_images_of_the_same_numbers() -> None:
    assert statistics.seed_sign_flip(np.array(DARWIN[:13]) / 8) == pytest.approx(
        statistics.image_sign_flip(np.array(DARWIN[:13]))
    )


def test_of_many_seeds_some_ways_to_swap_them_are_drawn_and_the_same_each_time() -> None:
    drawn = [statistics.seed_sign_flip(np.array(DARWIN) / 8) for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert_rate_is(drawn[0], 2 * 863 / 2**15, statistics.RESAMPLES)


def test_the_seed_interval_is_students_of_the_sleep_data() -> None:
    # R's t.test on its data set "sleep", paired.
    assert statistics.seed_interval(STUDENT) == pytest.approx((0.7001142, 2.4598858), abs=5e-8)


@pytest.mark.parametrize("count", [1, 2, 5, 10])
def test_holm_agrees_with_statsmodels(count: int) -> None:
    p_values = np.random.default_rng(count).choice([0.001, 0.01, 0.012, 0.03, 0.2, 0.9], count)
    np.testing.assert_allclose(statistics.holm(p_values), multipletests(p_values, method="holm")[1])


@pytest.mark.parametrize("confidence", [0.8, 0.95])
@pytest.mark.parametrize("sign", [1, -1])
def test_the_bootstrap_agrees_with_scipy(monkeypatch: pytest.MonkeyPatch, sign: int, confidence: float) -> None:
    # Skewed enough that BCa's every part shows. In standard errors of the mean, chance moves a limit that leaves out
    # the tail a by sqrt(a (1 - a) / resamples) / density there and by twice the error of the bias,
    # sqrt(pi / 2 / resamples): for a = 0.01 and a normal density 0.008 together. Four times that for both sides is
    # 0.05; skew makes it more.
    resamples = 299_999
    monkeypatch.setattr(statistics, "RESAMPLES", resamples)
    values = sign * np.random.default_rng(2).gamma(0.3, size=20).round(2)
    expected = stats.bootstrap(
        (values,), np.mean, confidence_level=confidence, n_resamples=resamples, method="BCa", rng=1
    ).confidence_interval
    assert statistics.bootstrap(values, confidence) == pytest.approx(
        tuple(expected), abs=0.07 * values.std() / np.sqrt(20)
    )


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95])
def test_the_bootstrap_of_correctness_gives_scipys_very_limits(
    monkeypatch: pytest.MonkeyPatch, confidence: float
) -> None:
    # The limits are whole images, and these data keep chance (see above) far from the step to the next one.
    monkeypatch.setattr(statistics, "RESAMPLES", 99_999)
    values = np.repeat([-1, 0, 1], [2, 20, 9])
    expected = stats.bootstrap((values,), np.mean, confidence_level=confidence, n_resamples=99_999, method="BCa", rng=1)
    low, high = expected.confidence_interval
    assert statistics.bootstrap(values, confidence) == pytest.approx((low, high))


@pytest.mark.parametrize("unit", [1 / 3, 0.1, 0.2])
def test_the_unit_of_the_values_does_not_change_their_bootstrap(unit: float) -> None:
    values = np.repeat([-1, 0, 1], [2, 40, 8])
    assert statistics.bootstrap(values * unit) == pytest.approx(np.array(statistics.bootstrap(values)) * unit)


def test_the_interval_of_an_independent_difference_has_the_width_of_both() -> None:
    # Symmetric intervals: the half-widths add as their squares do.
    low, high = statistics.independent_difference(0.5, Interval(0.47, 0.53), 0.2, Interval(0.16, 0.24))
    assert (low, high) == pytest.approx((0.25, 0.35))


# What degenerate data give


@given(st.integers(1, 500), st.integers(0, 9), st.sampled_from([-1.0, 0.0, 1.0]))
def test_the_interval_of_few_differing_images_holds_the_mean_and_is_not_narrow(
    images: int, others: int, common: float
) -> None:
    values = np.full(images, common)
    values[: min(others, (images - 1) // 2)] = common + 1 if common < 1 else 0
    interval = statistics.mean_interval(values)
    assert -1 - 1e-12 <= interval.low <= values.mean() <= interval.high <= 1 + 1e-12
    assert interval.high - interval.low >= min(1, 3 / images), "none in n is fewer than 3 in n (the rule of three)"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("value", "count"), [(0, 10_000), (1, 1), (-0.2, 3)])
def test_values_without_spread_have_a_bootstrap_interval_without_width(value: float, count: int) -> None:
    assert statistics.bootstrap(np.full(count, value)) == (value, value)


def test_the_bootstrap_takes_correctness_as_it_comes() -> None:
    correct = np.arange(200) < 180
    assert statistics.bootstrap(correct) == statistics.bootstrap(correct.astype(float))


@pytest.mark.filterwarnings("error")
def test_seeds_that_differ_by_rounding_alone_have_an_interval_without_width() -> None:
    interval = statistics.seed_interval([0.1 + 0.2, 0.3, 0.3])
    assert interval is not None
    assert interval.low == interval.high


def test_one_seed_says_nothing_of_others() -> None:
    assert statistics.seed_interval([0.03]) is None
    assert statistics.seed_sign_flip([0.03]) is None
    assert statistics.variation(np.array([[True, False]])).seeds is None


@pytest.mark.filterwarnings("error")
def test_networks_that_never_differ_do_not_differ() -> None:
    correct = np.array([[True, False, True], [True, True, False]])
    found = statistics.paired_difference(correct, correct)
    assert (found.estimate.value, found.estimate.seed_interval) == (0, (0, 0))
    assert found.estimate.test_interval.low < 0 < found.estimate.test_interval.high, "three images prove little"
    assert (found.p_value, found.seed_p_value) == (1, 1)
    assert (found.estimate.by_seed.tolist(), found.only_first_right, found.only_second_right) == ([0, 0], 0, 0)


@pytest.mark.filterwarnings("error")
def test_one_image_is_enough_to_compare() -> None:
    found = statistics.paired_difference(np.array([[True]]), np.array([[False]]))
    assert (found.estimate.value, found.estimate.test_interval.high, found.p_value) == (1, 1, 1)


# The comparison of two networks


def test_compare_takes_second_from_first() -> None:
    first = np.array([[1, 1, 1, 0, 0], [1, 1, 1, 1, 0]], bool)
    second = np.array([[1, 0, 0, 1, 0], [1, 1, 1, 0, 0]], bool)
    found = statistics.paired_difference(first, second)
    assert found.estimate.value == pytest.approx(0.2)
    assert found.estimate.by_seed.tolist() == pytest.approx([0.2, 0.2])
    assert (found.only_first_right, found.only_second_right) == (2, 1)


def test_compare_holds_what_its_parts_say() -> None:
    generator = np.random.default_rng(0)
    first, second = generator.random((2, 4, 300)) < np.array([0.9, 0.85])[:, None, None]
    found = statistics.paired_difference(first, second, 0.99)
    by_image, by_seed = first.mean(0) - second.mean(0), first.mean(1) - second.mean(1)
    assert found.estimate.test_interval == pytest.approx(statistics.bootstrap(by_image, 0.99))
    assert found.estimate.seed_interval == pytest.approx(statistics.seed_interval(by_seed, 0.99))
    assert found.p_value == statistics.image_sign_flip(np.rint(4 * by_image).astype(int))
    assert found.seed_p_value == pytest.approx(statistics.seed_sign_flip(by_seed))


def test_results_of_other_seeds_or_images_are_not_compared() -> None:
    with pytest.raises(ValueError, match=r"\(1, 5\) and \(3, 5\)"):
        statistics.paired_difference(np.ones((1, 5), bool), np.ones((3, 5), bool))


# Simulations. A rate seen in R repetitions has the binomial standard error sqrt(rate (1 - rate) / R). Each rate may be
# four of them off: by chance that happens once in 16,000 times, and the seeds are fixed.


def assert_rate_is(seen: float | None, rate: float, repetitions: int) -> None:
    assert seen == pytest.approx(rate, abs=4 * np.sqrt(rate * (1 - rate) / repetitions))


def assert_rate(seen: Sequence[bool], rate: float) -> None:
    assert_rate_is(float(np.mean(seen)), rate, len(seen))


def assert_rate_at_most(seen: Sequence[bool], rate: float) -> None:
    assert np.mean(seen) <= rate + 4 * np.sqrt(rate * (1 - rate) / len(seen))


def holds(interval: Interval | None, truth: float) -> bool:
    assert interval is not None
    return interval.low <= truth <= interval.high


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_wilson_covers_at_its_rate(confidence: float) -> None:
    successes = np.random.default_rng(0).binomial(2000, 0.91, 4000)
    assert_rate([holds(statistics.wilson(s, 2000, confidence), 0.91) for s in successes.tolist()], confidence)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_bootstrap_covers_a_known_difference_on_the_same_images_at_its_rate(confidence: float) -> None:
    # Of 2,000 images the first network alone knows 6 %, the second alone 4 %: the difference is 0.02.
    counts = np.random.default_rng(0).multinomial(2000, [0.04, 0.9, 0.06], 1000)
    intervals = [statistics.bootstrap(np.repeat([-1, 0, 1], drawn), confidence) for drawn in counts]
    assert_rate([holds(interval, 0.02) for interval in intervals], confidence)


def simulate(
    generator: np.random.Generator, seeds: int, images: int, first: float, second: float
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Draw test images, and whether networks are right, twice (seeds, images).

    A tenth of the images is known to all seeds of one arm or to none, the rest to each network by itself.
    """
    shared = generator.random(images) < 0.1
    arms = []
    for accuracy in (first, second):
        apart, together = generator.random((seeds, images)) < accuracy, generator.random(images) < accuracy
        arms.append(np.where(shared, together, apart))
    return arms[0], arms[1]


def test_the_interval_over_images_covers_for_several_seeds_that_share_them() -> None:
    generator = np.random.default_rng(0)
    pairs = [simulate(generator, 3, 1000, 0.9, 0.87) for _ in range(500)]
    found = [statistics.bootstrap((first.sum(0) - second.sum(0, int)) / 3, 0.9) for first, second in pairs]
    assert_rate([holds(interval, 0.03) for interval in found], 0.9)


def test_the_test_over_images_holds_its_level_for_several_seeds_that_share_them() -> None:
    generator = np.random.default_rng(0)
    pairs = [simulate(generator, 5, 1000, 0.9, 0.9) for _ in range(1000)]
    found = [statistics.image_sign_flip(first.sum(0) - second.sum(0, int)) for first, second in pairs]
    assert_rate([p <= 0.05 for p in found], 0.05)
    # Each seed's images taken as new ones: the error that the test is there to avoid.
    pooled = [statistics.mcnemar(first.ravel(), second.ravel()) <= 0.05 for first, second in pairs]
    assert np.mean(pooled) > 0.08


def test_the_test_over_images_holds_its_level_where_the_mean_alone_is_zero() -> None:
    # The first network gains all five seeds on few images, and loses one on many.
    drawn = np.random.default_rng(0).choice([5, -1, 0], (2000, 2000), p=[0.01, 0.05, 0.94])
    assert_rate([statistics.image_sign_flip(differences) <= 0.05 for differences in drawn], 0.05)


def test_mcnemar_holds_its_level_and_finds_a_known_difference() -> None:
    generator = np.random.default_rng(0)

    def rejections(only_first: float, only_second: float) -> list[bool]:
        counts = generator.multinomial(2000, [only_first, only_second, 0.85, 0.15 - only_first - only_second], 2000)
        return [statistics.mcnemar(*paired(*drawn)) <= 0.05 for drawn in counts.tolist()]

    assert_rate_at_most(rejections(0.05, 0.05), 0.05)
    assert np.mean(rejections(0.07, 0.04)) > 0.95  # the normal approximation's power is 0.98


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_seed_interval_covers_a_known_difference_at_its_rate(confidence: float) -> None:
    # Five seeds on 10,000 images; training moves the difference of 0.02 by 0.004, as a normal distribution does.
    generator = np.random.default_rng(0)
    first = generator.binomial(10_000, generator.normal(0.91, 0.004, (4000, 5))) / 10_000
    second = generator.binomial(10_000, np.full((4000, 5), 0.89)) / 10_000
    differences = first - second
    assert_rate([holds(statistics.seed_interval(row, confidence), 0.02) for row in differences], confidence)


def test_the_sign_flip_over_seeds_holds_its_levels_exactly() -> None:
    differences = np.random.default_rng(0).normal(0, 0.004, (2000, 6))
    found = [statistics.seed_sign_flip(row) for row in differences]
    for level in (Fraction(2, 64), Fraction(4, 64), Fraction(16, 64)):
        assert_rate([p is not None and p <= level for p in found], float(level))


def test_holm_keeps_the_chance_of_any_false_rejection() -> None:
    # Ten tests that share a part of their chance, as comparisons with one baseline do; two of them true findings.
    generator = np.random.default_rng(0)
    z = (generator.normal(size=(4000, 1)) + generator.normal(size=(4000, 10))) / np.sqrt(2)
    z[:, :2] += 5
    p_values = 2 * stats.norm.sf(np.abs(z))
    adjusted = np.array([statistics.holm(row) for row in p_values])
    assert_rate_at_most([bool((row[2:] <= 0.05).any()) for row in adjusted], 0.05)
    assert (adjusted[:, 0] <= 0.05).mean() > 0.9


def test_variation_finds_what_the_test_images_and_what_the_seeds_contribute() -> None:
    generator = np.random.default_rng(0)
    # One trained network on 2,000 test sets: the standard deviation seen has the relative error 1 / sqrt(2 x 1999).
    accuracies = generator.binomial(500, 0.9, 2000) / 500
    network = np.arange(500)[None] < 450
    assert statistics.variation(network).test_sample == pytest.approx(accuracies.std(ddof=1), rel=4 / np.sqrt(3998))
    # 1,000 seeds whose accuracies spread by 0.02, on images enough to see that.
    trained = generator.random((1000, 5000)) < generator.normal(0.8, 0.02, (1000, 1))
    found = statistics.variation(trained)
    assert found.seeds == pytest.approx(np.sqrt(0.02**2 + 0.8 * 0.2 / 5000), rel=4 / np.sqrt(1998))
    assert found.test_sample == pytest.approx(np.sqrt(0.8 * 0.2 / 5000), rel=0.01)


# Properties

confidences = st.floats(0.8, 0.999)
correctness = st.tuples(st.integers(1, 4), st.integers(1, 30)).flatmap(
    lambda shape: st.tuples(npst.arrays(bool, shape), npst.arrays(bool, shape))
)


@given(st.integers(1, 20_000), st.data(), confidences)
def test_wilson_holds_the_proportion_and_no_impossible_one(trials: int, data: st.DataObject, confidence: float) -> None:
    successes = data.draw(st.integers(0, trials))
    low, high = statistics.wilson(successes, trials, confidence)
    assert 0 <= low <= successes / trials <= high <= 1
    mirrored = statistics.wilson(trials - successes, trials, confidence)
    assert mirrored == pytest.approx((1 - high, 1 - low))


@pytest.mark.filterwarnings("error")
@given(correctness, confidences)
def test_intervals_hold_the_estimate_and_p_values_are_probabilities(
    pair: tuple[np.ndarray, np.ndarray], confidence: float
) -> None:
    estimate, p_value, seed_p_value, *_ = statistics.paired_difference(*pair, confidence)
    assert all(low - 1e-12 <= estimate.value <= high + 1e-12 for low, high in estimate.intervals)
    assert estimate.test_interval.low >= -1 - 1e-12
    assert estimate.test_interval.high <= 1 + 1e-12
    assert 0 < p_value <= 1
    if len(pair[0]) > 1:
        assert seed_p_value is not None
        assert 2.0 ** (1 - len(pair[0])) - 1e-12 <= seed_p_value <= 1


@given(correctness)
def test_swapping_the_networks_negates_the_comparison(pair: tuple[np.ndarray, np.ndarray]) -> None:
    first, second = pair
    found, swapped = statistics.paired_difference(first, second), statistics.paired_difference(second, first)
    assert swapped.estimate.value == -found.estimate.value
    assert swapped.estimate.by_seed.tolist() == (-found.estimate.by_seed).tolist()
    assert (swapped.p_value, swapped.seed_p_value) == pytest.approx((found.p_value, found.seed_p_value))
    assert (swapped.only_first_right, swapped.only_second_right) == (found.only_second_right, found.only_first_right)
    if found.estimate.seed_interval:
        low, high = found.estimate.seed_interval
        assert swapped.estimate.seed_interval == pytest.approx((-high, -low))
    assume(found.estimate.value)
    differences = first.mean(0) - second.mean(0)
    low, high = statistics.bootstrap(differences)
    assert statistics.bootstrap(-differences) == (-high, -low)


@given(correctness)
def test_the_same_data_give_the_same_comparison(pair: tuple[np.ndarray, np.ndarray]) -> None:
    assert str(statistics.paired_difference(*pair)) == str(statistics.paired_difference(*pair))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.randoms(use_true_random=False))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values: list[float], random: Random) -> None:
    adjusted = statistics.holm(p_values)
    assert (adjusted >= p_values).all()
    assert (adjusted <= 1).all()
    assert (np.diff(adjusted[np.argsort(p_values)]) >= 0).all()
    order = random.sample(range(len(p_values)), len(p_values))
    np.testing.assert_array_equal(statistics.holm(np.array(p_values)[order]), adjusted[order])
