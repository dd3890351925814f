import copy
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion_cnn.comparison import claims, statistics
from fashion_cnn.comparison.arms import PAIRS
from fashion_cnn.comparison.claims import Claim, Measure
from fashion_cnn.comparison.statistics import Estimate, Interval
from fashion_cnn.core import params
from fashion_cnn.core.results import Result
from fashion_cnn.stages.parameters import Parameters
from support.repository import REPOSITORY
from support.results import SETTINGS, drawn, first, result

IMAGES = 2000


def settings(**changes: Any) -> dict[str, Any]:
    """Parameters with some values changed: settings(permute_pixels=True, seeds=3)."""
    changed = copy.deepcopy(SETTINGS)
    for section in ("data", "train"):
        changed[section] |= {name: value for name, value in changes.items() if name in changed[section]}
    return changed


def judge(
    baseline: Result, cnn3: Result, cnn5: Result, candidate: Result | None = None, **changes: Any
) -> dict[str, Claim]:
    arms = {"baseline": baseline, "cnn3": cnn3, "cnn5": cnn5, "candidate": candidate or cnn3}
    seeds = len(cnn3.probabilities)
    differences = {
        (first, second): statistics.paired_difference(arms[first].correct, arms[second].correct, claims.CONFIDENCE)
        for first, second in PAIRS
    }
    return {claim.name: claim for claim in claims.judge(arms, differences, settings(seeds=seeds, **changes))}


def arms(dense: int, small: int, large: int) -> tuple[Result, Result, Result]:
    """Arms that get the first so many of IMAGES images right."""
    return result(first([dense], IMAGES)), result(first([small], IMAGES), 3), result(first([large], IMAGES), 5)


def shifted(cost_a_pixel: float, seed: int) -> np.ndarray:
    """Nine tenths are right unshifted; each pixel of shift costs so much of accuracy: (1, 4, 9, IMAGES)."""
    difficulty = np.random.default_rng(seed).random((1, 4, 1, IMAGES))
    return difficulty < 0.9 - cost_a_pixel * np.arange(9)[:, None]


def test_a_clear_winner_is_supported_by_the_difference_it_won_by() -> None:
    claim = judge(*arms(1700, 1800, 1800))["cnn_beats_dense"]
    assert (claim.verdict, claim.reason, claim.command) == ("supported", None, None)
    decisive = claim.evidence[0]
    assert decisive.arms == ("cnn3", "baseline")
    assert decisive.value == pytest.approx(0.05)
    assert decisive.estimate is not None
    assert decisive.estimate.images == IMAGES
    assert 0 < decisive.estimate.test_interval.low < 0.05 < decisive.estimate.test_interval.high


def test_a_worse_cnn_is_not_supported() -> None:
    assert judge(*arms(1800, 1700, 1700))["cnn_beats_dense"].verdict == "not_supported"


def test_arms_of_equal_accuracy_leave_it_undecided_and_say_what_would_decide() -> None:
    dense, small = result(drawn(0.9, IMAGES, 1)), result(drawn(0.9, IMAGES, 2), 3)
    judged = judge(dense, small, result(drawn(0.9, IMAGES, 3), 5))
    for name in ("cnn_beats_dense", "kernel", "generalization"):
        assert judged[name].verdict == "undecided", name
        assert (judged[name].reason, judged[name].command) == ("both_sides", "dvc exp run -S train.seeds=5")


def test_arms_that_never_differ_leave_it_undecided() -> None:
    judged = judge(*arms(1800, 1800, 1800))
    assert judged["cnn_beats_dense"].verdict == judged["kernel"].verdict == "undecided"


def test_a_handful_of_differing_images_is_not_taken_for_certainty() -> None:
    # A bootstrap never draws another image than those it has seen: of 8 in favour and none against it makes certainty.
    assert judge(*arms(1800, 1808, 1808))["cnn_beats_dense"].verdict == "undecided"
    assert judge(*arms(1800, 1830, 1830))["cnn_beats_dense"].verdict == "supported"


@pytest.mark.parametrize(
    ("small", "large", "verdict"), [(1800, 1700, "supported"), (1700, 1800, "supported"), (1750, 1751, "undecided")]
)
def test_the_kernel_matters_where_either_size_wins(small: int, large: int, verdict: str) -> None:
    assert judge(*arms(1600, small, large))["kernel"].verdict == verdict


def test_the_kernel_does_not_matter_where_the_difference_is_surely_negligible() -> None:
    images = 60_000
    right = drawn(0.9, images, 1)
    other = right.copy()
    for outcome in (True, False):  # as many are lost as are gained
        other[0, np.flatnonzero(right[0] == outcome)[:10]] = not outcome
    kernel = judge(result(drawn(0.8, images, 2)), result(right, 3), result(other, 5))["kernel"]
    assert kernel.verdict == "not_supported"


@pytest.mark.parametrize(
    ("dense", "small", "verdict"), [(1800, 1600, "supported"), (1700, 1800, "not_supported"), (1750, 1753, "undecided")]
)
def test_permuted_pixels_decide_whether_convolutions_live_on_structure(dense: int, small: int, verdict: str) -> None:
    judged = judge(*arms(dense, small, small), permute_pixels=True)
    assert judged["spatial_structure"].verdict == verdict
    assert judged["spatial_structure"].evidence[0].value == pytest.approx((small - dense) / IMAGES)


def test_permuted_pixels_decide_nothing_about_images_as_they_are() -> None:
    judged = judge(*arms(1700, 1800, 1600), permute_pixels=True)
    for name in set(claims.FAMILY) - {"spatial_structure"}:
        assert (judged[name].verdict, judged[name].reason) == ("undecided", "pixels_in_place"), name
        assert judged[name].command == "dvc exp run -S data.permute_pixels=false"
    assert judged["cnn_beats_dense"].evidence[0].value == pytest.approx(0.05), "its numbers are shown all the same"


def test_pixels_in_place_leave_it_open_and_name_the_run_that_decides() -> None:
    claim = judge(*arms(1700, 1800, 1800))["spatial_structure"]
    assert (claim.verdict, claim.evidence) == ("undecided", ())
    assert claim.command == "dvc exp run -S data.permute_pixels=true"


@pytest.mark.parametrize(("candidate", "verdict"), [(1700, "supported"), (1900, "not_supported"), (1798, "undecided")])
def test_a_candidate_with_single_pixel_kernels_decides_locality(candidate: int, verdict: str) -> None:
    pointwise = result(first([candidate], IMAGES), 1)
    assert judge(*arms(1600, 1800, 1800), pointwise)["locality"].verdict == verdict


def test_another_candidate_leaves_locality_open() -> None:
    claim = judge(*arms(1600, 1800, 1800), result(first([1700], IMAGES), 7))["locality"]
    assert (claim.verdict, claim.command) == ("undecided", "dvc exp run -S kernel=1")


def test_parameters_are_counted() -> None:
    judged = judge(*arms(1700, 1800, 1800))
    sharing, total = judged["sharing_reduces_parameters"], judged["fewer_parameters_than_dense"]
    # Unshared, each of 28 by 28 by 32 and 14 by 14 by 64 values has 9 weights an input channel and a bias of its own.
    unshared = 784 * 32 * (9 + 1) + 196 * 64 * (9 * 32 + 1)
    # Along a side, the 3 taps meet 28 and 14 pixels 28 and 14 times each, but for one at either border.
    inside = (82**2 + 784) * 32 + (40**2 * 32 + 196) * 64
    assert [measure.value for measure in sharing.evidence] == [18_816 - unshared, 18_816, unshared, inside]
    assert inside == 3_529_600
    assert sharing.verdict == "supported"
    assert [measure.value for measure in total.evidence] == [118_464, 220_234, 101_770]
    assert total.verdict == "not_supported"


def test_a_kernel_as_large_as_the_image_shares_nothing() -> None:
    cnn = result(first([1800], IMAGES), 3)
    counts = dict.fromkeys(("multiply_adds", "connections"), 784 * 32)
    one_position = [{"name": "convolution_1", "parameters": 784 * 32 + 32, **counts}]
    cnn = cnn._replace(metrics=cnn.metrics | {"layers": one_position})
    assert claims.convolution_parameters(cnn, [32]) == (25_120, 25_120, 25_120)


@pytest.mark.parametrize(
    ("dense", "small", "verdict"), [(0.99, 0.91, "supported"), (0.91, 0.99, "not_supported"), (0.95, 0.95, "undecided")]
)
def test_who_loses_less_from_training_to_test_generalizes_better(dense: float, small: float, verdict: str) -> None:
    right = drawn(0.9, IMAGES, 0)
    baseline = result(right, on_training=drawn(dense, IMAGES, 1))
    cnn = result(right, 3, on_training=drawn(small, IMAGES, 2))
    claim = judge(baseline, cnn, cnn)["generalization"]
    decisive, of_cnn, of_dense = claim.evidence
    assert claim.verdict == verdict
    assert decisive.value == pytest.approx(of_cnn.value - of_dense.value)
    assert of_cnn.value == pytest.approx(small - 0.9, abs=0.03)


@pytest.mark.parametrize(("cost", "verdict"), [(0.0002, "supported"), (0.05, "not_supported"), (0.0025, "undecided")])
def test_invariance_is_what_four_pixels_of_shift_cost(cost: float, verdict: str) -> None:
    cnn = result(drawn(0.9, IMAGES, 0), 3, shifted=shifted(cost, 0))
    claim = judge(result(drawn(0.8, IMAGES, 1)), cnn, cnn)["invariance"]
    assert claim.verdict == verdict
    assert claim.evidence[0].value == pytest.approx(4 * cost, abs=0.02)


@pytest.mark.parametrize(("recognised", "verdict"), [(1799, "supported"), (1700, "not_supported"), (1780, "undecided")])
def test_mirroring_is_judged_by_what_it_costs(recognised: int, verdict: str) -> None:
    cnn = result(first([1800], IMAGES), 3, mirrored=first([recognised], IMAGES))
    dense = result(first([1700], IMAGES), mirrored=first([1000], IMAGES))
    claim = judge(dense, cnn, cnn)["mirroring"]
    assert claim.verdict == verdict
    assert [measure.value for measure in claim.evidence] == pytest.approx([(1800 - recognised) / IMAGES, 0.35])


@pytest.mark.parametrize(
    ("dense", "small", "verdict"), [(0.08, 0.04, "supported"), (0.04, 0.08, "not_supported"), (0.05, 0.05, "undecided")]
)
def test_tolerance_is_what_shifts_cost_against_the_dense_network(dense: float, small: float, verdict: str) -> None:
    baseline = result(drawn(0.9, IMAGES, 0), shifted=shifted(dense, 1))
    cnn = result(drawn(0.9, IMAGES, 0), 3, shifted=shifted(small, 2))
    claim = judge(baseline, cnn, cnn)["tolerance"]
    assert claim.verdict == verdict
    assert claim.evidence[0].value == pytest.approx(4.5 * (small - dense), abs=0.03)  # 1 to 8 pixels: 4.5 on average


def test_nothing_here_can_decide_about_sequences_and_graphs() -> None:
    claim = judge(*arms(1700, 1800, 1800))["sequences_and_graphs"]
    assert (claim.verdict, claim.evidence, claim.reason, claim.command) == ("undecided", (), "no_data", None)


def test_one_seed_has_the_interval_of_the_test_images_alone() -> None:
    decisive = judge(*arms(1700, 1800, 1800))["cnn_beats_dense"].evidence[0]
    assert decisive.estimate is not None
    assert decisive.estimate.intervals == [decisive.estimate.test_interval]


def test_seeds_that_disagree_hold_back_what_one_seed_would_claim() -> None:
    dense = result(first([1700, 1700, 1700], IMAGES))
    steady = result(first([1800, 1804, 1796], IMAGES), 3)
    erratic = result(first([1900, 1700, 1800], IMAGES), 3)
    assert judge(dense, steady, steady)["cnn_beats_dense"].verdict == "supported"
    claim = judge(dense, erratic, erratic)["cnn_beats_dense"]
    assert claim.verdict == "undecided"
    assert claim.evidence[0].estimate is not None
    assert claim.evidence[0].estimate.test_interval.low > 0, "the test images alone would have decided it"


def test_more_evidence_is_all_of_the_images_and_then_more_seeds() -> None:
    equal = result(drawn(0.9, IMAGES, 1)), result(drawn(0.9, IMAGES, 2), 3), result(drawn(0.9, IMAGES, 3), 5)
    assert judge(*equal, limit=IMAGES)["kernel"].command == "dvc exp run -S data.limit=null"
    several = [result(drawn(0.9, IMAGES, at, seeds=4), kernel) for at, kernel in enumerate((None, 3, 5))]
    assert judge(*several)["kernel"].command == "dvc exp run -S train.seeds=8"


def test_every_command_sets_a_parameter_to_a_value_that_is_allowed() -> None:
    judged = [*judge(*arms(1700, 1800, 1800)).values(), *judge(*arms(1800, 1700, 1750), permute_pixels=True).values()]
    commands = {claim.command for claim in judged if claim.command}
    assert len(commands) >= 4
    for command in commands:
        name, _, value = command.removeprefix("dvc exp run -S ").partition("=")
        params.load(Parameters, REPOSITORY / "params.yaml", {name: json.loads(value)})


@pytest.mark.parametrize("images", range(1, 21))
@pytest.mark.parametrize("permuted", [False, True])
def test_few_images_crash_nothing_and_decide_nothing(images: int, permuted: bool) -> None:
    baseline, cnn = result(first([0], images)), result(first([images], images), 3)
    large, pointwise = result(first([images // 2], images), 5), result(drawn(0.5, images, images), 1)
    judged = judge(baseline, cnn, large, pointwise, permute_pixels=permuted)
    assert {judged[name].verdict for name in claims.FAMILY} == {"undecided"}


@given(st.floats(-1, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.sampled_from(["above", "below", "not_zero"]))
def test_only_an_interval_wholly_on_one_side_decides(value: float, down: float, up: float, kind: str) -> None:
    interval = Interval(value - down, value + up)
    sides = {"above": claims.above(0.1), "below": claims.below(0.1), "not_zero": claims.not_zero(0.1)}[kind]
    estimate = Estimate(value, 1000, interval, None, np.array([value]))
    verdict, reason = claims.decide(Measure("difference", ("cnn3",), value, estimate), sides)
    assert (reason is not None) == (verdict == "undecided")
    inside = {
        "above": interval.low > 0.1,
        "below": interval.high < 0.1,
        "not_zero": interval.low > 0 or interval.high < 0,
    }[kind]
    assert (verdict == "supported") == (inside and interval.low < interval.high)


def test_the_level_is_shared_by_every_claim_that_intervals_decide() -> None:
    judged = judge(*arms(1700, 1800, 1600))
    counted = {name for name, claim in judged.items() if claim.evidence and claim.evidence[0].estimate is None}
    assert set(claims.FAMILY) == set(judged) - counted - {"sequences_and_graphs"}
    assert pytest.approx(1 - 0.05 / 8) == claims.CONFIDENCE
