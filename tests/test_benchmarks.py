"""What the benchmarks make of their measurements; the measurements themselves are `make bench`."""

import getpass
import json
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import accuracy, machine, photographs, report, scaling, stages, training
from benchmarks.workspace import Workspace
from support.repository import REPOSITORY, write_raw

MACHINE = {"processor": "abacus"}
MEASURED = {"quick": False, "code": "abc1234", "load_before": 0.1}


def test_the_exponent_of_a_power_law_is_found_and_its_error_covers_it() -> None:
    sizes = [1.0, 2, 4, 8] * 2
    noise = np.random.default_rng(0).normal(0, 0.05, len(sizes))
    exact = scaling.exponent(sizes, [3 * size**1.5 for size in sizes])
    noisy = scaling.exponent(sizes, [3 * size**1.5 * np.exp(one) for size, one in zip(sizes, noise, strict=True)])
    assert exact.value == pytest.approx(1.5)
    assert exact.standard_error == pytest.approx(0, abs=1e-6)
    assert abs(noisy.value - 1.5) < 3 * noisy.standard_error < 0.2


def test_a_step_s_operations_leave_out_the_gradient_of_the_pixels() -> None:
    layers = [28**2 * 9 * 32, 14**2 * 9 * 32 * 64, 3136 * 64, 64 * 10]
    assert training.step_operations(sum(layers), layers[0]) == 2 * 128 * (2 * layers[0] + 3 * sum(layers[1:]))


def test_a_share_of_the_limit_is_the_arithmetic_at_the_products_rate_over_the_training_alone() -> None:
    counted = {"multiply_adds": 10**6, "first_multiply_adds": 0, "parameters": 1, "precision": "float32", "first": 9.0}
    fast, slow = ({"epoch": seconds, "validation": 0.1, "processor": 2 * seconds} for seconds in (1.1, 2.1))
    answers: dict[str, Any] = {"notebook": [counted, slow, slow], "pipeline": [counted, fast, fast]}
    rate = training.step_operations(10**6, 0) / 0.05
    found = training.summary(answers, steps=10, best={"float32": rate})["contestants"]
    assert found["pipeline"]["share_of_limit"] == pytest.approx(0.5)
    assert found["pipeline"]["of_the_notebook_s"]["median"] == pytest.approx(1.1 / 2.1, rel=1e-3)
    assert found["notebook"]["step_ms"]["median"] == pytest.approx(210)
    assert found["pipeline"]["processor_ms"]["median"] == pytest.approx(220)
    assert found["pipeline"]["of_the_notebook_processor"]["median"] == pytest.approx(1.1 / 2.1, rel=1e-3)


def test_a_difference_of_accuracies_comes_with_its_error_between_seeds() -> None:
    found = accuracy.difference([0.91, 0.93], [0.90, 0.90])
    assert found == {"mean": pytest.approx(0.02), "standard_error": pytest.approx(0.01)}


def test_warnings_are_counted_apart_for_right_and_wrong_answers_and_shown() -> None:
    warned: dict[str, Any] = {"picture": {"warnings": [{}]}}
    answers = [{"label": 1} | warned, {"label": 1, "picture": {"warnings": []}}, {"label": 1}, {"label": 2} | warned]
    found = photographs.summary(answers, np.array([1, 1, 1, 1], np.uint8))
    assert found == {"right": 0.75, "wrong_warned": 1, "right_warned": pytest.approx(1 / 3)}
    ways = dict.fromkeys(photographs.WAYS, found)
    directions = {"mirrored": {"one": 0.5, "both": 0.75}}
    measured = {"arm": "cnn3", "images": 4, "rows": {"on white": ways}, "all_images": 9, "directions": directions}
    page = report.markdown(report.merge({}, machine.describe(), "photographs", {**MEASURED, **measured}))
    assert "| on white | 0.750 | 0.750 | 0.750 | 1.0 | 0.33 |" in page
    assert "| mirrored | 0.5000 | 0.7500 |" in page


def test_parts_are_kept_as_long_as_the_machine_is_the_same() -> None:
    first = report.merge({}, MACHINE, "repro", {"a": 1})
    second = report.merge(first, MACHINE, "store", {"b": 2})
    assert second["parts"] == {"repro": {"a": 1}, "store": {"b": 2}}
    assert report.merge(second, {"processor": "slide rule"}, "store", {"b": 3})["parts"] == {"store": {"b": 3}}


def test_the_page_shows_medians_with_their_range(tmp_path: Path) -> None:
    seconds = {"dvc repro": report.spread([3.0, 2.0, 2.5])}
    results = report.merge({}, machine.describe(), "repro", {**MEASURED, "seconds": seconds})
    report.save(results, tmp_path)
    assert report.load(tmp_path) == results
    assert "| dvc repro | 2.50 (2.00–3.00) |" in (tmp_path / "results.md").read_text(encoding="utf-8")


def test_the_machine_s_description_names_neither_it_nor_its_user() -> None:
    described = json.dumps(machine.describe())
    for private in (platform.node(), str(Path.home()), str(REPOSITORY)):
        assert private not in described
    assert getpass.getuser() not in described.split()


def test_a_stage_s_time_is_split_without_a_rest(workspace: Path) -> None:
    write_raw(workspace / "data" / "raw", training=50, test=50)
    figures = stages.run(["preprocess"], Workspace(workspace, dict(os.environ)))
    assert (workspace / "data/prepared/test.npz").exists()
    assert all(figures[part] > 0 for part in stages.PARTS)
    assert sum(figures[part] for part in stages.PARTS) == pytest.approx(figures["total"])
    assert figures["import"] > figures["reading"] + figures["writing"]
    assert 10e6 < figures["peak_bytes"] < 1e9
