"""The notebook's claims, judged over several runs: each in the first point of a study that can decide it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from fashion_cnn.comparison import arms, claims, words
from fashion_cnn.core.fashion_mnist import IMAGE_SHAPE
from fashion_cnn.core.results import Result
from fashion_cnn.experiments.studies.definitions import Point
from fashion_cnn.reporting.language import Language


class Judged(NamedTuple):
    """A claim in words.

    Attributes:
        name: which one.
        claim: what it says.
        verdict: supported, not supported or undecided.
        point: in which it was judged; None where no point can decide it.
        evidence: the number that decides, with its intervals; or why it stays open.
    """

    name: str
    claim: str
    verdict: str
    point: str | None
    evidence: str


def judge(points: Sequence[Point], found: Mapping[str, Mapping[str, Result]]) -> list[Judged]:
    """Judge every claim.

    Which point judges it does not depend on what came out: it is the first whose run is of the kind that the claim
    needs. So the level of the claims' intervals holds for all of them together.

    Args:
        points: in order.
        found: their names to their arms' results.
    """
    spoken = Language.load("en")
    of_points = {point.name: _in_words(point.parameters, found[point.name], spoken) for point in points}
    judged = []
    for name in [claim.name for claim, _ in next(iter(of_points.values()))]:
        candidates = {
            point: next((one, words) for one, words in of_point if one.name == name)
            for point, of_point in of_points.items()
        }
        able = [point for point, (one, _) in candidates.items() if one.reason not in (*claims.RUNS, "no_data")]
        point = able[0] if able else None
        one, said = candidates[point or next(iter(candidates))]
        number = said.evidence[:1]
        evidence = ". ".join(number + ([said.meaning] if one.verdict == "undecided" or not number else []))
        judged.append(Judged(name, said.claim, spoken.text(f"verdicts.{one.verdict}"), point, evidence))
    return judged


def _in_words(
    settings: Mapping[str, Any], results: Mapping[str, Result], spoken: Language
) -> list[tuple[claims.Claim, words.ClaimInWords]]:
    """One run's claims, judged and worded."""
    no_pictures = np.zeros((len(results["cnn3"].labels), *IMAGE_SHAPE), np.uint8)  # none is shown
    compared = arms.compare(results, settings, {}, {}, no_pictures)
    names, constant = words.labels(compared.rows, spoken, "arms.inline"), words.constants(compared, spoken)
    return [(claim, words.judged(claim, names, constant, spoken)) for claim in compared.claims]
