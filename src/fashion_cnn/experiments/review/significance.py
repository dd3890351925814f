"""Whether two results of one arm differ by more than chance: other test images, another seed. Numbers, no words."""

import math
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from fashion_cnn.comparison import claims, statistics
from fashion_cnn.comparison.statistics import Interval

ERROR: Final = 0.05  # the chance to tell any difference where there is none, for all arms of a review together


class Change(NamedTuple):
    """How the accuracy of an arm changed on the same test images; accuracies are shares, means over seeds.

    Attributes:
        before: accuracy.
        after: accuracy.
        difference: after minus before.
        test_interval: of the difference, over the drawing of test images, for these trained networks.
        seed_band: by how much two results that differ in their seeds alone may differ; None where nothing is known.
        seeds_from: where the band comes from, "these runs" or "five-seeds"; None where nothing is known.
        verdict: "told" where the difference is beyond both; "seeds unknown" where it is beyond other test images
            and the band is not known; else "not told".
        newly_right: images that of the first seed's networks only the one after recognises.
        newly_wrong: images that of the first seed's networks only the one before recognises.
    """

    before: float
    after: float
    difference: float
    test_interval: Interval
    seed_band: float | None
    seeds_from: str | None
    verdict: Literal["told", "not told", "seeds unknown"]
    newly_right: int
    newly_wrong: int


def compare(
    before: NDArray[np.bool_], after: NDArray[np.bool_], accuracies: Sequence[float] | None, comparisons: int = 1
) -> Change:
    """Judge the change of one arm.

    Both bounds hold at a confidence of 95% for all arms together (Bonferroni). A difference has to be beyond both, so
    that none is told where there is none more often than ERROR, whichever of the two chances is the larger.

    The band over seeds is of two runs that share nothing but the procedure. Runs that also share their seeds may
    resemble each other, then it is wider than it need be.

    Args:
        before: whether each image is recognised, (seeds, n).
        after: the same, on the same images; the number of seeds may differ.
        accuracies: of trainings that differ in the seed alone; None where there are none. Not needed where both sides
            have the same number of seeds, more than one.
        comparisons: how many arms are looked at.
    """
    confidence = 1 - ERROR / comparisons
    by_image = after.mean(0) - before.mean(0)
    difference = float(after.mean() - before.mean())
    interval = statistics.mean_interval(by_image, confidence)
    own = statistics.seed_interval(after.mean(1) - before.mean(1), confidence) if len(before) == len(after) else None
    band, source = None, None
    if own:
        band, source = (own.high - own.low) / 2, "these runs"
    elif accuracies is not None and len(accuracies) > 1:
        band, source = seed_band(accuracies, len(before), len(after), confidence), "five-seeds"
    beyond_images = len(by_image) >= claims.FEWEST_IMAGES and (interval.low > 0 or interval.high < 0)
    verdict: Literal["told", "not told", "seeds unknown"] = "not told"
    if beyond_images and (band is None or abs(difference) > band):
        verdict = "seeds unknown" if band is None else "told"
    return Change(
        float(before.mean()),
        float(after.mean()),
        difference,
        interval,
        band,
        source,
        verdict,
        int((after[0] & ~before[0]).sum()),
        int((before[0] & ~after[0]).sum()),
    )


def seed_band(accuracies: Sequence[float], seeds_before: int, seeds_after: int, confidence: float = 0.95) -> float:
    """By how much the mean accuracies of two runs differ at most, at a confidence, where only their seeds differ.

    A prediction interval: with the standard deviation s of m other trainings, of normally distributed accuracies, the
    difference of two means over a and b new seeds divided by s sqrt(1/a + 1/b) has Student's t distribution with
    m - 1 degrees of freedom.

    Source: Student 1908, "The probable error of a mean": a normal value over an independent estimate of its spread.

    Args:
        accuracies: of the m trainings, at least 2.
        seeds_before: a.
        seeds_after: b.
        confidence: between 0 and 1.
    """
    spread = float(np.std(accuracies, ddof=1)) * math.sqrt(1 / seeds_before + 1 / seeds_after)
    return float(stats.t.ppf((1 + confidence) / 2, len(accuracies) - 1)) * spread
