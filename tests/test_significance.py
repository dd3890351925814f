"""Whether a change of accuracy is told: no more often than stated where there is none, and where it is large."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from fashion_cnn.experiments.review import significance

IMAGES = 1000
REVIEWS = 150


def trained(
    share: float, spread: float, hardness: NDArray[np.float64], random: np.random.Generator, seeds: int = 1
) -> NDArray[np.bool_]:
    """Networks of one procedure: each has an accuracy of its own, and recognises what is not too hard for it.

    Args:
        share: mean accuracy over all seeds and images that there could be.
        spread: standard deviation of a network's accuracy.
        hardness: of each test image for this procedure, uniform from 0 to 1.
        random: numbers.
        seeds: networks.
    """
    return hardness < random.normal(share, spread, (seeds, 1))


def told(before: float, after: float, spread: float, arms: int = 1) -> int:
    """In how many reviews at least one of the arms is told, with a band from five more trainings of the first side."""
    random = np.random.default_rng(0)

    def one() -> bool:
        hardness = random.random((2, IMAGES))  # other procedures find other images hard
        seeds = trained(before, spread, hardness[0], random, 5).mean(1).tolist()
        first, second = (
            trained(share, spread, of_side, random) for share, of_side in zip((before, after), hardness, strict=True)
        )
        return significance.compare(first, second, seeds, arms).verdict == "told"

    # Every arm is drawn, also after one that is told: reviews stay independent of each other.
    return sum(max([one() for _ in range(arms)]) for _ in range(REVIEWS))


@pytest.mark.parametrize("spread", [0.0, 0.03], ids=["test images vary more", "seeds vary more"])
def test_an_equal_arm_is_told_no_more_often_than_stated(spread: float) -> None:
    # A count of independent reviews, each wrong with a chance of ERROR at most, exceeds this one time in a million.
    assert told(0.85, 0.85, spread, arms=3) <= stats.binom.isf(1e-6, REVIEWS, significance.ERROR)


def test_a_truly_better_arm_is_told() -> None:
    # It is missed where the band comes out wider than twice its true width (a sample variance above four times the true
    # one, chi-squared with 4 degrees of freedom), or where the difference falls below that band or the interval's half.
    better, spread = 0.10, 0.003
    sd = math.hypot(math.sqrt((0.80 * 0.20 + 0.90 * 0.10) / IMAGES), spread * math.sqrt(2))
    band = 2 * stats.t.ppf(0.975, 4) * spread * math.sqrt(2)
    missed = stats.chi2.sf(16, 4) + stats.norm.cdf((band - better) / sd) + stats.norm.cdf(1.96 - better / sd)
    assert told(0.80, 0.80 + better, spread) >= REVIEWS - stats.binom.isf(1e-6, REVIEWS, missed)


def test_the_band_over_seeds_is_that_of_a_new_pair_of_runs() -> None:
    # By hand: the standard deviation of 1 to 5 is sqrt(2.5); two runs of one seed each; Student's t with 4 degrees.
    expected = 2.7764451 * math.sqrt(2.5) * math.sqrt(2)
    assert significance.seed_band([1, 2, 3, 4, 5], 1, 1) == pytest.approx(expected)
    assert significance.seed_band([1, 2, 3, 4, 5], 1, 5) == pytest.approx(expected * math.sqrt(1.2 / 2))


def test_runs_with_several_seeds_need_no_study() -> None:
    random = np.random.default_rng(1)
    before, better = (random.random((5, IMAGES)) < share for share in (0.7, 0.9))
    found = significance.compare(before, better, None)
    assert found.seeds_from == "these runs"
    assert found.verdict == "told"


def test_without_any_knowledge_of_seeds_nothing_is_told() -> None:
    random = np.random.default_rng(1)
    before, better = (random.random((1, IMAGES)) < share for share in (0.7, 0.9))
    found = significance.compare(before, better, None)
    assert found.verdict == "seeds unknown"
    assert found.seed_band is None
    assert significance.compare(before, before, None).verdict == "not told"


def test_few_images_tell_nothing() -> None:
    none, all_right = np.zeros((1, 50), bool), np.ones((1, 50), bool)
    assert significance.compare(none, all_right, [0.5, 0.5, 0.5]).verdict == "not told"


def test_images_newly_right_and_newly_wrong_are_counted() -> None:
    before, after = np.array([[True, True, False, False]]), np.array([[True, False, True, True]])
    found = significance.compare(before, after, None)
    assert (found.newly_right, found.newly_wrong) == (2, 1)
    assert found.difference == pytest.approx(0.25)
