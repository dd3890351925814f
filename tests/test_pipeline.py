"""dvc.yaml and dvc.lock as values; and the committed lock belongs to the commit."""

import json
from typing import Any

import pytest

from fashion_cnn.core.errors import UserError
from fashion_cnn.experiments import clone, freshness, pipeline
from fashion_cnn.experiments.pipeline import Lock, Locked
from support.repository import REPOSITORY


def test_the_committed_lock_is_that_of_the_committed_code(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(REPOSITORY)
    with clone.temporary("HEAD") as cloned:
        found = freshness.examine(cloned)
    assert not found.stale, f"{found}; run `dvc repro` and commit dvc.lock"


def folder(**files: str) -> bytes:
    return json.dumps([{"md5": digest, "relpath": path.replace("_", ".")} for path, digest in files.items()]).encode()


OBJECTS = {"new.dir": folder(train_npz="t1", test_npz="e2"), "old.dir": folder(train_npz="t1", test_npz="e1")}


def nothing(_: str) -> None:
    """No object is at hand."""


def stage(deps: dict[str, str], outs: dict[str, str], params: dict[str, Any] | None = None) -> Locked:
    return Locked("run", deps, params or {}, outs)


def chain(compared: str) -> Lock:
    """A pipeline whose first stage wrote new.dir, and whose third read one file of it in the given version."""
    return {
        "prepare": stage({"prepare.py": "p"}, {"data/prepared": "new.dir"}),
        "train": stage({"data/prepared": "new.dir"}, {"models/a": "m.dir"}),
        "compare": stage({"data/prepared/test.npz": compared, "models/a": "m.dir"}, {"metrics.json": "j"}),
        "deploy": stage({"metrics.json": "j"}, {"deployment.json": "d"}),
    }


def test_a_file_in_a_folder_is_compared_with_the_folder_s_list() -> None:
    assert pipeline.agreement(chain("e2"), OBJECTS.get) == pipeline.Agreement({}, [])
    broken = pipeline.agreement(chain("e1"), OBJECTS.get).broken
    assert broken == {"compare": ["data/prepared/test.npz is not what prepare wrote"]}


def test_without_the_list_a_file_in_a_folder_is_not_known() -> None:
    assert pipeline.agreement(chain("e1"), nothing) == pipeline.Agreement({}, ["data/prepared/test.npz"])


def test_a_whole_output_needs_no_list() -> None:
    lock = dict(chain("e2")) | {"train": stage({"data/prepared": "old.dir"}, {"models/a": "m.dir"})}
    found = pipeline.agreement(lock, nothing)
    assert found.broken == {"train": ["data/prepared is not what prepare wrote"]}


def test_a_folder_that_holds_outputs_is_compared_by_file() -> None:
    objects = {"all.dir": folder(a_txt="1", b_txt="2"), "stale.dir": folder(a_txt="1", b_txt="0")}
    for digest, broken in (("all.dir", {}), ("stale.dir", {"read": ["out is not what write wrote"]})):
        lock = {"write": stage({}, {"out/b.txt": "2"}), "read": stage({"out": digest}, {})}
        assert pipeline.agreement(lock, objects.get).broken == broken


def test_a_name_that_only_begins_like_an_output_is_another_one() -> None:
    lock = {"write": stage({}, {"models/cnn": "1"}), "read": stage({"models/cnn3": "2"}, {})}
    assert pipeline.agreement(lock, nothing) == pipeline.Agreement({}, [])
    assert pipeline.downstream(lock, ["write"]) == []


def test_what_follows_a_stage_is_found_down_the_graph() -> None:
    assert pipeline.downstream(chain("e2"), ["train"]) == ["compare", "deploy"]
    assert pipeline.downstream(chain("e2"), ["prepare", "compare"]) == ["train", "deploy"]


def test_a_difference_is_told_by_its_kind() -> None:
    before = {
        "train": Locked("train", {"train.py": "1", "data": "1"}, {"rate": 1}, {"model": "1"}),
        "make": stage({}, {"data": "1"}),
        "gone": stage({}, {}),
        "same": stage({"x": "1"}, {"y": "1"}),
    }
    after = {
        "train": Locked("train -v", {"train.py": "2", "data": "2"}, {"rate": None}, {"model": "2"}),
        "make": stage({}, {"data": "2"}),
        "same": stage({"x": "1"}, {"y": "1"}),
    }
    train, make, gone = pipeline.differences(before, after)
    assert train.code == ["train.py"]
    assert train.parameters == {"rate": (1, None)}
    assert train.data == ["data"]
    assert train.command == ("train", "train -v")
    assert train.outputs == ["model"]
    assert not train.unexplained
    assert make.unexplained
    assert (gone.stage, gone.only_in) == ("gone", "before")


def test_a_parameter_that_becomes_null_differs_from_one_that_is_gone() -> None:
    assert pipeline.changed({"limit": 1, "gone": None}, {"limit": None}) == {"limit": (1, None), "gone": (None, None)}


def test_parameters_of_another_file_carry_its_name() -> None:
    text = "stages: {a: {cmd: x, params: {params.yaml: {train: {epochs: 3}}, pyproject.toml: {pins: [numpy]}}}}"
    assert pipeline.parse(text)["a"].params == {"train.epochs": 3, "pyproject.toml:pins": ["numpy"]}


@pytest.mark.parametrize("text", ["<<<<<<< HEAD\nstages:\n=======\n", "", "schema: '2.0'", "stages: [a]"])
def test_a_lock_with_conflicts_is_one_line(text: str) -> None:
    with pytest.raises(
        UserError, match=r"^dvc.lock: not a lock file of DVC; resolve its conflicts, or run `dvc repro`$"
    ):
        pipeline.parse(text)
