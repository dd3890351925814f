"""The laws of the pipeline: a stage's deps and params are what its code reads, no less and no more."""

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml

from benchmarks.workspace import free_ports
from fashion_cnn.core.params import ARMS
from support.repository import REPOSITORY

PIPELINE = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
WITHOUT_TENSORFLOW = ["fetch", "preprocess", "eda", "compare"]
SOURCE = "src/fashion_cnn/"


def module_of(stage: str) -> str:
    """dvc.yaml's `${stage} train cnn3` is the module fashion_cnn.stages.train."""
    return f"fashion_cnn.stages.{PIPELINE[stage]['cmd'].split()[1]}"


def dependencies(stage: str, *, code: bool) -> set[str]:
    return {path.replace("${src}/", SOURCE) for path in PIPELINE[stage]["deps"] if path.startswith("${src}/") == code}


def parameters(stage: str) -> set[str]:
    """The parameters that dvc.yaml names for a stage, sections spelled out to their values."""
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))

    def leaves(name: str, value: Any) -> set[str]:
        if not isinstance(value, dict):
            return {name}
        return set().union(*(leaves(f"{name}.{key}", inner) for key, inner in value.items()))

    named = set()
    for entry in PIPELINE[stage].get("params", []):
        if isinstance(entry, str):
            value = values
            for part in entry.split("."):
                value = value[part]
            named |= leaves(entry, value)
    return named


@pytest.fixture(scope="module")
def import_graph() -> grimp.ImportGraph:
    return grimp.build_graph("fashion_cnn", exclude_type_checking_imports=True, cache_dir=None)


def imported_files(stage: str, import_graph: grimp.ImportGraph) -> set[str]:
    """Every module that a stage imports, and what modules read as files; packages hold no code of their own."""
    modules, waiting = set(), {module_of(stage)}
    while waiting:
        module = waiting.pop()
        modules.add(module)
        waiting |= import_graph.find_modules_directly_imported_by(module) - modules
    read_as_files = {
        "fashion_cnn.reporting.language": {f"{SOURCE}reporting/{code}.toml" for code in ("en", "es")},
        "fashion_cnn.comparison.report": {f"{SOURCE}comparison/templates"},
        "fashion_cnn.serving.archive": {f"{SOURCE}serving/inference.py"},
    }
    files = set().union(*(read_as_files.get(module, set()) for module in modules))
    paths = {Path("src", *module.split(".")) for module in modules}
    return files | {f"{path}.py" for path in paths if not (REPOSITORY / path).is_dir()}


def inside(file: str, folders: set[str]) -> bool:
    return any(Path(file).is_relative_to(folder) for folder in folders)


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_module_that_a_stage_imports_lies_in_its_dependencies(
    stage: str, import_graph: grimp.ImportGraph
) -> None:
    named, imported = dependencies(stage, code=True), imported_files(stage, import_graph)
    assert {file for file in imported if not inside(file, named)} == set()
    assert {folder for folder in named if not any(inside(file, {folder}) for file in imported)} == set()


@pytest.mark.parametrize("stage", ARMS)
def test_only_what_decides_a_network_can_retrain_it(stage: str) -> None:
    assert dependencies(stage, code=True) == {f"{SOURCE}core", f"{SOURCE}training", f"{SOURCE}stages/train.py"}


def test_packages_hold_no_code_so_that_no_stage_depends_on_it() -> None:
    for file in REPOSITORY.glob("src/**/__init__.py"):
        (statement,) = ast.parse(file.read_text(encoding="utf-8")).body
        assert isinstance(statement, ast.Expr), f"{file} holds more than its docstring"
        assert ast.get_docstring(ast.Module([statement], []))


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory, real_raw_data: Path) -> Iterator[dict[str, list[dict[str, Any]]]]:
    """What each stage read when all of them ran, in three processes, on a few real images."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "pyproject.toml").write_bytes((REPOSITORY / "pyproject.toml").read_bytes())
    values = yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))
    values["data"]["limit"] = 200
    values["train"]["epochs"] = 1
    values["cnn"]["filters"] = [8, 16]
    (folder / "params.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")

    environment = {
        **os.environ,
        "PYTHONPATH": str(REPOSITORY / "src"),
        "FASHION_MNIST_DIR": str(real_raw_data),
        "FASHION_CNN_CLOUD": str(folder / "cloud"),
    }
    cloud = [sys.executable, "-m", "fashion_cnn.localcloud"]
    subprocess.run([*cloud, "up", "--port", str(free_ports())], env=environment, check=True)

    def run(*stages: str) -> list[dict[str, Any]]:
        done = subprocess.run(
            [sys.executable, REPOSITORY / "tests" / "support" / "trace_stages.py", *stages],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    try:
        fetch, preprocess, eda = run("fetch", "preprocess", "eda")
        # The candidate's three ways: a kernel of its own is trained, a fixed arm's result is reused.
        baseline, cnn3, cnn5, *candidate = run(
            "train:baseline", "train:cnn3", "train:cnn5",
            "train:candidate:kernel=7", "train:candidate:kernel=5", "train:candidate:kernel=3",
        )  # fmt: skip
        (compare,) = run("compare")
        (deploy,) = run("deploy")
        yield {
            "fetch": [fetch], "preprocess": [preprocess], "eda": [eda], "baseline": [baseline], "cnn3": [cnn3],
            "cnn5": [cnn5], "candidate": candidate, "compare": [compare], "deploy": [deploy],
        }  # fmt: skip
    finally:
        subprocess.run([*cloud, "down"], env=environment, check=True)


def test_every_stage_of_the_pipeline_is_traced(traces: dict[str, Any]) -> None:
    assert set(PIPELINE) == set(traces)


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_parameters_of_a_stage_are_those_it_reads(stage: str, traces: dict[str, Any]) -> None:
    read = set().union(*(trace["params"] for trace in traces[stage]))
    if stage == "deploy":
        read |= {name for name in parameters(stage) if name.startswith("deploy.aws.")}  # read where the target is aws
    assert parameters(stage) == read


@pytest.mark.parametrize("stage", PIPELINE)
def test_the_files_a_stage_reads_are_its_dependencies(stage: str, traces: dict[str, Any]) -> None:
    written = {next(iter(out)) if isinstance(out, dict) else out for key in ("outs", "metrics")
               for out in PIPELINE[stage].get(key, [])}  # fmt: skip
    read = {
        file for trace in traces[stage] for file in trace["files"]
        if file != "params.yaml" and not file.startswith("cloud/") and not any(file.startswith(out) for out in written)
    }  # fmt: skip
    from_pyproject = any("pyproject.toml" in entry for entry in PIPELINE[stage].get("params", []))
    named = dependencies(stage, code=False) | ({"pyproject.toml"} if from_pyproject else set())

    assert {file for file in read if not inside(file, named)} == set()
    assert {name for name in named if not any(inside(file, {name}) for file in read)} == set()


@pytest.mark.parametrize("stage", ARMS)
def test_training_depends_on_the_versions_that_decide_the_weights(stage: str) -> None:
    (pins,) = [entry["pyproject.toml"] for entry in PIPELINE[stage]["params"] if isinstance(entry, dict)]
    assert pins == ["project.optional-dependencies.train"]


@pytest.mark.parametrize("stage", WITHOUT_TENSORFLOW)
def test_only_training_imports_tensorflow(stage: str, traces: dict[str, Any]) -> None:
    assert not traces[stage][0]["tensorflow"]
    assert traces["baseline"][0]["tensorflow"], "the tracer sees TensorFlow where it is imported"


@pytest.mark.parametrize("stage", PIPELINE)
def test_every_output_is_cached_so_that_the_run_cache_works_but_for_what_says_of_an_endpoint_that_it_serves(
    stage: str,
) -> None:
    uncached: dict[str, Any] = {}
    for key in ("outs", "metrics"):
        for out in PIPELINE[stage].get(key, []):
            uncached |= out if isinstance(out, dict) else {}
    kept_by_its_deployment = {"reports/deployment.json": {"cache": False, "persist": True}}
    assert uncached == (kept_by_its_deployment if stage == "deploy" else {})
