"""Named studies: what is read, what is new in a point, what can be told, how it is written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fashion_cnn.core import params
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import ARMS
from fashion_cnn.core.results import Result
from fashion_cnn.experiments import pipeline
from fashion_cnn.experiments.pipeline import Locked
from fashion_cnn.experiments.studies import claims, definitions, rendering, summary
from fashion_cnn.experiments.studies.definitions import Point, Study
from fashion_cnn.experiments.studies.summary import LEVEL, Summary
from fashion_cnn.stages.parameters import Parameters
from support.repository import REPOSITORY
from support.results import drawn, first, result

PIPELINE = pipeline.stages(pipeline.described(REPOSITORY), "compare")


@pytest.fixture(scope="module")
def committed() -> dict[str, Study]:
    """experiments.yaml of this repository."""
    return definitions.load(REPOSITORY / "experiments.yaml", REPOSITORY / "params.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {question: Q, points: {1: {kernel: 0}}}",
         "a, point 1: kernel = 0 is not allowed; allowed: a whole number from 1 to 27"),
        ("a: {question: Q, points: {1: {train.epoch: 3}}}",
         "a, point 1: train.epoch is not a parameter; do you mean train.epochs?"),
        ("a: {question: Q, set: {nonsense: 3}, points: {1: {}}}",
         "a, point 1: nonsense is not a parameter; params.yaml has: kernel, data."),
        ("a: {question: Q, points: {1: {cnn.pool: 7}}}", "a, point 1: kernel = 3 with cnn.filters, padding, stride"),
        ("a:\n  question: Q\n  points:\n    x: {kernel: 1}\n    x: {kernel: 2}",
         'line 5: two entries are named "x"; each name can be given once'),
        ("a: {question: Q, points: {1: {kernel: 1}, '1': {kernel: 2}}}",
         "a: points: two entries are named '1'; each name can be given once"),
        ("a: {question: Q, points: {b-1: {}}}\na-b: {question: Q, points: {1: {}}}",
         "a-b, point 1: its experiment is a-b-1, as that of a, point b-1; rename one"),
        ("a: {question: Q, points: {1/32: {}}}", "a, points, 1/32: String should match pattern"),
        ("a: {question: Q, points: {1: {}}, arms: [cnn7]}", "a: cnn7 is not a network; allowed in arms: baseline, "),
        ("a: {question: Q, points: {}}", "a, points: Dictionary should have at least 1 item"),
        ("a: {points: {1: {}}}", "a, question: Field required"),
        ("a: {question: Q, points: {1: {}}, sets: {}}", "a, sets: Extra inputs are not permitted"),
        ("a: [", "not valid YAML: "),
        ("", "the file: Input should be a valid dictionary"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("workspace")
def test_a_mistake_in_a_study_is_named_in_one_line(text: str, message: str) -> None:
    Path("experiments.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(UserError) as error:
        definitions.load()
    assert str(error.value).startswith(f"experiments.yaml: {message}")
    assert "\n" not in str(error.value)


def test_a_point_is_checked_as_a_stage_would_check_it() -> None:
    assert definitions.Parameters.__bases__ == Parameters.__bases__
    assert definitions.Parameters.model_config == Parameters.model_config


def convolutional(filters: tuple[int, int], kernel: int) -> tuple[int, int]:
    """Parameters and multiply-adds of the default CNN, by hand."""
    one, two = filters
    weights = [kernel**2 * one, kernel**2 * one * two, 49 * two * 64, 640]
    biases = [one, two, 64, 10]
    positions = [784, 196, 1, 1]
    return sum(weights) + sum(biases), int(np.dot(weights, positions))


def test_networks_that_a_study_calls_equal_are_equal_within_a_quarter_of_a_percent(committed: dict[str, Study]) -> None:
    parameters, multiply_adds = convolutional((32, 64), 3)
    assert (parameters, multiply_adds) == (220_234, 4_039_808)
    for name, at, wanted in (("equal-parameters", 0, parameters), ("equal-compute", 1, multiply_adds)):
        *_, cut = committed[name].points
        assert cut.changes["kernel"] == 5
        assert convolutional(tuple(cut.changes["cnn.filters"]), 5)[at] == pytest.approx(wanted, rel=0.0025)


def test_studies_share_their_runs(committed: dict[str, Study], defaults: dict[str, Any]) -> None:
    def made(study: str, point: str) -> dict[str, str]:
        (parameters,) = [one.parameters for one in committed[study].points if one.name == point]
        return pipeline.fingerprints(PIPELINE, parameters)

    seeds = made("five-seeds", "0-to-4")
    assert made("kernel-sweep", "3") == made("equal-parameters", "3x3") == made("permuted-pixels", "in-place") == seeds
    assert made("kernel-sweep", "5") == made("equal-parameters", "5x5") == made("equal-compute", "5x5")
    assert made("kernel-sweep", "1") == made("claims", "1x1")
    assert made("permuted-pixels", "permuted") == made("claims", "permuted")
    for point in ("1", "5"):
        assert {name for name, one in made("kernel-sweep", point).items() if one != seeds[name]} == {
            "candidate",
            "compare",
        }

    trained = {
        made(study.name, point.name)[arm]: point.parameters["train"]["seeds"]
        for study in committed.values()
        if study.name in ("five-seeds", "claims", "permuted-pixels", "equal-parameters", "kernel-sweep")
        for point in study.points
        for arm in ARMS
        if arm != "candidate" or point.parameters["kernel"] not in (3, 5)  # which reuses another arm's result
    }
    committed_ones = pipeline.fingerprints(PIPELINE, defaults).values()
    assert sum(seeds for one, seeds in trained.items() if one not in committed_ones) == 49, "experiments.yaml says so"


def test_a_limit_on_the_data_is_new_to_every_stage_after_fetch(
    committed: dict[str, Study], defaults: dict[str, Any]
) -> None:
    usual = pipeline.fingerprints(PIPELINE, defaults)
    few, *_ = committed["data-efficiency"].points
    made = pipeline.fingerprints(PIPELINE, few.parameters)
    assert {name for name in PIPELINE if made[name] == usual[name]} == {"fetch"}
    assert list(PIPELINE)[-1] == "compare", "a study never deploys"


def test_a_lock_is_that_of_its_parameters_alone(committed: dict[str, Study]) -> None:
    three, seven = (point for point in committed["kernel-sweep"].points if point.name in ("3", "7"))
    lock = {
        name: Locked("run", {}, pipeline.values_read(stage, three.parameters) | {"pyproject.toml:pins": []}, {})
        for name, stage in PIPELINE.items()
    }
    assert pipeline.of_these_parameters(PIPELINE, lock, three.parameters)
    assert not pipeline.of_these_parameters(PIPELINE, lock, seven.parameters)
    del lock["eda"]
    assert not pipeline.of_these_parameters(PIPELINE, lock, three.parameters)


def study_of(points: Mapping[str, dict[str, Any]], defaults: dict[str, Any], **more: Any) -> Study:
    """A study of these points, each with what it sets."""
    made = []
    for name, changes in points.items():
        values = json.loads(json.dumps(defaults))
        for dotted, value in changes.items():
            params.set_parameter(values, dotted, value)
        made.append(Point(name, f"planted-{name}", changes, changes, values))
    return Study("planted", "Does it matter?", {}, made, more.get("arms", ["candidate"]), more.get("claims", False))


def planted(right: Mapping[str, NDArray[np.bool_]], kernel: int = 7) -> tuple[dict[str, Result], int]:
    """What a point of 48,000 training images found: arms that are right where told."""
    kernels = {"baseline": None, "cnn3": 3, "cnn5": 5, "candidate": kernel}
    usual = drawn(0.8, 1000, 99)
    return {arm: result(right.get(arm, usual), kernels[arm]) for arm in ARMS}, 48_000


def told(found: Summary) -> set[tuple[str, str]]:
    return {(one.first[0], one.second[0]) for one in found.differences if one.told}


def test_a_network_that_is_truly_better_is_told_from_others_and_equal_ones_are_not(defaults: dict[str, Any]) -> None:
    sweep = study_of({"1": {"kernel": 1}, "7": {"kernel": 7}, "9": {"kernel": 9}}, defaults)
    found = {
        "1": planted({"candidate": first([800], 1000)}),
        "7": planted({"candidate": first([900], 1000)}),
        "9": planted({"candidate": first([903], 1000)}),
    }
    summarized = summary.summarize(sweep, found, {})
    assert told(summarized) == {("7", "1"), ("9", "1")}
    assert [one.difference for one in summarized.differences] == pytest.approx([0.1, 0.103, 0.003])
    # Three images that only one network gets right: McNemar's p is 2 (1/2)^3, times one of the three comparisons.
    assert summarized.differences[2].p_value == pytest.approx(0.25)


def test_with_several_seeds_a_difference_has_to_hold_over_the_seeds_too(defaults: dict[str, Any]) -> None:
    sweep = study_of({"a": {}, "b": {}, "c": {}}, defaults)
    seeds = {"a": [800] * 5, "b": [840, 842, 838, 841, 839], "c": [950, 700, 940, 720, 930]}
    found = {name: planted({"candidate": first(counts, 1000)}) for name, counts in seeds.items()}
    summarized = summary.summarize(sweep, found, {})
    assert told(summarized) == {("b", "a")}
    c_minus_a = summarized.differences[1]
    assert c_minus_a.p_value < LEVEL, "other test images could not make it"
    assert c_minus_a.seed_interval
    assert c_minus_a.seed_interval.low < 0 < c_minus_a.seed_interval.high, "other seeds could"


def test_equal_networks_are_told_apart_in_at_most_one_study_of_twenty() -> None:
    """And a network 6 points better in nearly every one.

    Of 200 studies at most 19 may tell an equal pair, which a chance of 5% exceeds once in 500 times (binomial); the
    test is exact and discrete, so its own chance is below 5%.
    """
    labels = np.zeros(500, np.uint8)
    false, true = 0, 0
    for repetition in range(200):
        equal = {("point", f"{arm}"): drawn(0.85, 500, 10 * repetition + arm) for arm in range(3)}
        differences = summary.compare(equal, dict.fromkeys(equal, labels))
        false += any(one.told for one in differences)
        if repetition < 20:
            better = equal | {("point", "better"): drawn(0.97, 500, 10 * repetition + 9)}
            differences = summary.compare(better, dict.fromkeys(better, labels))
            true += all(one.told for one in differences if one.first[1] == "better")
    assert false <= 19
    # 12 points on 500 images are 6.9 standard errors, and 2.7 tell them: missed less than once in 10,000.
    assert true == 20


def test_points_with_other_limits_and_seeds_are_compared_on_what_they_share(defaults: dict[str, Any]) -> None:
    sizes = study_of({"few": {"data.limit": 300}, "all": {}}, defaults, arms=["baseline", "cnn3"])
    few = {arm: result(drawn(0.7, 300, seed, 2), 3 if seed else None) for seed, arm in enumerate(ARMS)}
    every = {arm: result(drawn(0.8, 1000, seed, 5), 3 if seed else None) for seed, arm in enumerate(ARMS)}
    summarized = summary.summarize(sizes, {"few": (few, 300), "all": (every, 48_000)}, {})
    between = [one for one in summarized.differences if one.first[0] != one.second[0]]
    assert {(one.first, one.second) for one in between} == {
        (("all", "baseline"), ("few", "baseline")),
        (("all", "cnn3"), ("few", "cnn3")),
    }
    assert {(one.images, one.seeds) for one in between} == {(300, 2)}
    within = {(one.first[0], one.images, one.seeds) for one in summarized.differences if one not in between}
    assert within == {("few", 300, 2), ("all", 1000, 5)}
    expected = every["cnn3"].correct[:2, :300].mean() - few["cnn3"].correct.mean()
    assert between[1].difference == pytest.approx(expected)


def test_networks_tested_on_other_images_are_not_compared() -> None:
    right = {("a", "cnn3"): first([8], 10), ("b", "cnn3"): first([9], 10)}
    labels = {("a", "cnn3"): np.zeros(10, np.uint8), ("b", "cnn3"): np.ones(10, np.uint8)}
    with pytest.raises(UserError, match="b cnn3 and a cnn3 were tested on other images"):
        summary.compare(right, labels)


def test_the_cost_of_training_is_that_of_every_image_epoch_and_seed_three_times(defaults: dict[str, Any]) -> None:
    one = study_of({"7": {"kernel": 7, "train.epochs": 4}}, defaults)
    found = summary.summarize(one, {"7": planted({"candidate": first([900, 900], 1000)})}, {})
    (network,) = found.networks
    assert network.training_multiply_adds == 3 * network.multiply_adds * 48_000 * 4 * 2


def test_a_candidate_that_is_a_compared_arm_is_not_shown_twice(defaults: dict[str, Any]) -> None:
    both = study_of({"3": {"kernel": 3}, "7": {"kernel": 7}}, defaults, arms=["cnn3", "candidate"])
    found = summary.summarize(both, {name: planted({}) for name in ("3", "7")}, {})
    assert [(one.point, one.arm) for one in found.networks] == [("3", "cnn3"), ("7", "cnn3"), ("7", "candidate")]


def test_the_written_result_is_the_same_bytes_each_time_and_says_what_was_found(
    tmp_path: Path, defaults: dict[str, Any]
) -> None:
    sweep = study_of({"1": {"kernel": 1}, "7": {"kernel": 7}}, defaults)
    found = {"1": planted({"candidate": first([800], 1000)}, 1), "7": planted({"candidate": first([900], 1000)})}
    summarized = summary.summarize(sweep, found, {"src/fashion_cnn/training": "abc"})
    for name in ("once", "again"):
        rendering.write(tmp_path / name, sweep, summarized, [])
    for path in (tmp_path / "once").iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    document = (tmp_path / "once" / "README.md").read_text(encoding="utf-8")
    assert "**Does it matter?** 1 of 1 differences can be told (of these trained networks" in document
    assert "| 7 | `kernel=7` | 90.00% | 87.98 to 91.71% | 303,434 | 21,099,648 | 30,383 | 1 |" in document
    assert "| 7 | 1 | +10.00 | " in document
    assert "Trained once" in document
    content = json.loads((tmp_path / "once" / "study.json").read_text(encoding="utf-8"))
    assert content["parameters"]["train.epochs"] == 10
    assert "kernel" not in content["parameters"], "it differs between the points"
    assert content["code"] == {"src/fashion_cnn/training": "abc"}
    assert [network["accuracy"] for network in content["networks"]] == [0.8, 0.9]


def test_where_some_points_have_one_seed_it_is_said_of_which_that_is(defaults: dict[str, Any]) -> None:
    sweep = study_of({"1": {"kernel": 1}, "7": {"kernel": 7}, "9": {"kernel": 9, "train.seeds": 1}}, defaults)
    found = {
        "1": planted({"candidate": first([800] * 5, 1000)}),
        "7": planted({"candidate": first([900, 901, 899, 902, 898], 1000)}),
        "9": planted({"candidate": first([905], 1000)}),
    }
    summarized = summary.summarize(sweep, found, {})
    told_of = "2 of 3 differences can be told, 1 of them of trained networks alone (one seed says nothing of others)."
    assert rendering.answer(summarized) == told_of
    assert "Trained once (9): " in rendering.short(sweep, summarized, [])
    assert rendering.figure(sweep, summarized).axes[0].get_xlabel() == "kernel"


def test_the_legend_of_all_arms_lies_within_the_figure(defaults: dict[str, Any]) -> None:
    every = study_of({"7": {"kernel": 7}}, defaults, arms=list(ARMS))
    drawn = rendering.figure(every, summary.summarize(every, {"7": planted({})}, {}))
    drawn.draw_without_rendering()
    (legend,) = drawn.legends
    shown, whole = legend.get_window_extent(), drawn.bbox
    assert len(legend.get_texts()) == 4
    assert whole.x0 + 0.05 * whole.width < shown.x0
    assert shown.x1 < whole.x1 - 0.05 * whole.width, "with room for a browser's wider letters"


def test_the_list_of_studies_names_those_that_have_a_result(tmp_path: Path, defaults: dict[str, Any]) -> None:
    rendering.index(tmp_path)
    assert "No study has a result yet." in (tmp_path / "index.html").read_text(encoding="utf-8")
    one = study_of({"7": {"kernel": 7}}, defaults)
    summarized = summary.summarize(one, {"7": planted({})}, {})
    rendering.write(tmp_path / "planted", one, summarized, [])
    rendering.index(tmp_path)
    assert 'href="planted/README.md"' in (tmp_path / "index.html").read_text(encoding="utf-8")


def test_the_study_of_claims_decides_every_claim_that_data_can_decide(committed: dict[str, Study]) -> None:
    in_place, permuted = committed["claims"].points
    assert (in_place.changes, permuted.changes) == (
        {"train.seeds": 5, "kernel": 1},
        {"train.seeds": 5, "data.permute_pixels": True},
    )

    def arm(share: float, kernel: int | None, on_training: float = 1, kept: float = 1) -> Result:
        """An arm that recognises this share of the images, and of those shifted ones that it would, `kept`."""
        right = drawn(share, 10_000, kernel or 0, 5)
        shifted = np.repeat(np.repeat(right[:, None, None, :2000], 4, 1), 9, 2)
        shifted[:, :, 1:] &= np.random.default_rng(1).random(2000) < kept
        return result(
            right,
            kernel,
            on_training=drawn(on_training, 10_000, 50 + (kernel or 0), 5),
            shifted=shifted,
            mirrored=right & drawn(kept, 10_000, 99, 5),
        )

    usual = {
        "baseline": arm(0.87, None, on_training=0.99, kept=0.5),
        "cnn3": arm(0.91, 3, on_training=0.96, kept=0.7),
        "cnn5": arm(0.94, 5),
        "candidate": arm(0.85, 1),
    }
    scattered = {"baseline": arm(0.87, None), "cnn3": arm(0.85, 3), "cnn5": arm(0.85, 5), "candidate": arm(0.85, 3)}
    judged = claims.judge(committed["claims"].points, {in_place.name: usual, permuted.name: scattered})
    open_ones = {claim.name for claim in judged if claim.verdict == "undecided"}
    assert open_ones == {"sequences_and_graphs"}, "no data of this study can decide it"
    where = {claim.name: claim.point for claim in judged}
    assert where["spatial_structure"] == "permuted"
    assert {where[name] for name in where if name not in ("spatial_structure", *open_ones)} == {"1x1"}
