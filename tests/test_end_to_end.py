"""The whole pipeline in fresh clones, on a slice of the real data, against a real embedded S3 store.

The tests of this file tell one story and run in order: a first clone computes and pushes, a second one pulls.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import yaml

from benchmarks.workspace import copy_working_tree, free_ports
from fashion_cnn.core.params import ARMS
from support import shells
from support.clones import Clone

pytestmark = pytest.mark.timeout(600)


SEVEN = ("dvc", "exp", "run", "-n", "seven", "-S", "kernel=7", "compare")


def trained(output: str) -> int:
    """How many networks a command's output says were fitted."""
    return output.count("fitted in")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory, real_raw_data: Path) -> Iterator[dict[str, str]]:
    """A store of the tests' own, which starts by itself; and the data from a folder, not the network."""
    home = tmp_path_factory.mktemp("home")
    variables = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),  # no DVC or AWS configuration of the person who runs the tests
        "FASHION_CNN_CLOUD": str(home / "cloud"),
        "FASHION_MNIST_DIR": str(real_raw_data),
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    for name in [name for name in variables if name.startswith("AWS_")]:
        del variables[name]
    yield variables
    subprocess.run([sys.executable, "-m", "fashion_cnn.localcloud", "down"], env=variables, check=True)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Clone:
    """The working tree as a repository of its own, with parameters that take seconds instead of minutes."""
    origin = Clone(tmp_path_factory.mktemp("origin"), environment)
    copy_working_tree(origin.folder)
    (origin.folder / "dvc.lock").unlink(missing_ok=True)
    values = yaml.safe_load(origin.read("params.yaml"))
    values["data"]["limit"] = 300
    values["train"]["epochs"] = 2
    values["cnn"]["filters"] = [8, 16]
    (origin.folder / "params.yaml").write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    origin.run("git", "init", "--quiet", "--initial-branch=main")
    origin.run("git", "add", "--all")
    origin.run("git", "commit", "--quiet", "--message", "A slice of the study")
    return origin


def clone_of(origin: Clone, folder: Path, *options: str) -> Clone:
    clone = origin._replace(folder=folder)
    origin.run("git", "clone", "--quiet", str(origin.folder), str(folder))
    clone.run(sys.executable, "-m", "fashion_cnn.localcloud", "connect", *options)
    return clone


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, origin: Clone) -> Clone:
    clone = clone_of(origin, tmp_path_factory.mktemp("first") / "año ñ" / "it's (here)", "--port", str(free_ports()))
    clone.run("git", "remote", "set-url", "origin", str(origin.folder))
    return clone


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory, origin: Clone) -> Clone:
    """Shares only git and the store with the first."""
    return clone_of(origin, tmp_path_factory.mktemp("second") / "clone")


def test_the_pipeline_runs_from_nothing_and_pushes_everything(first: Clone) -> None:
    output = first.run("dvc", "repro", "--pull")
    assert trained(output) == 3
    assert "candidate: kernel 3 is exactly cnn3" in output
    assert "deploy: fashion-cnn is in service" in output
    for arm in ARMS:
        names = sorted(path.name for path in (first.folder / "models" / arm).iterdir())
        assert names == ["history.csv", "metrics.json", "model.keras", "predictions.npz"]
    first.run("dvc", "push", "--run-cache")
    assert "up to date" in first.run("dvc", "status")
    assert "in sync" in first.run("dvc", "status", "--cloud")
    assert list(first.folder.rglob("*.partial")) == []


def test_the_headline_holds_every_arm_and_the_candidate_s_differences(first: Clone) -> None:
    metrics = json.loads(first.read("reports/metrics.json"))
    assert set(metrics) == set(ARMS)
    assert [metrics[arm]["parameters"] for arm in ARMS] == [101_770, 52_138, 54_314, 52_138]
    for arm in ARMS:
        assert 0.1 < metrics[arm]["test_accuracy"] < 1, "better than chance after two epochs on 300 images"
        own = json.loads(first.read(f"models/{arm}/metrics.json"))
        assert metrics[arm]["test_accuracy"] == pytest.approx(own["test_accuracy"], abs=1e-6)
    candidate = metrics["candidate"]
    assert candidate["accuracy_minus_cnn3"] == 0
    difference = candidate["test_accuracy"] - metrics["baseline"]["test_accuracy"]
    assert candidate["accuracy_minus_baseline"] == pytest.approx(difference, abs=2e-6)


def test_the_endpoint_serves_and_its_answers_are_the_candidate_s(first: Clone) -> None:
    report = json.loads(first.read("reports/deployment.json"))
    assert report["verification"]["top1_agreement"] == 1
    assert report["verification"]["max_probability_difference"] < 1e-5
    assert "serves" in first.run(sys.executable, "-m", "fashion_cnn.cloud", "status")


def test_running_again_runs_nothing(first: Clone) -> None:
    output = first.run("dvc", "repro", "--pull")
    assert "Running stage" not in output
    assert "up to date" in output


def test_every_stage_writes_the_same_bytes_again_in_the_shell_of_another_project(first: Clone, tmp_path: Path) -> None:
    service, jupyter = shells.service(tmp_path / "service"), shells.jupyter(tmp_path / "jupyter")
    settings = first.folder / "matplotlibrc"  # Matplotlib looks there first
    settings.write_bytes((tmp_path / "jupyter/matplotlib/matplotlibrc").read_bytes())
    for name, stage in yaml.safe_load(first.read("dvc.yaml"))["stages"].items():
        if name not in ("deploy", "baseline", "cnn5"):  # nothing new to deploy; one arm's program is every arm's
            shell = jupyter if name in ("eda", "compare") else service
            elsewhere = first._replace(environment=first.environment | shell)
            elsewhere.run("sh", "src/stage.sh", *stage["cmd"].split()[1:])
    settings.unlink()
    assert "up to date" in first.run("dvc", "status"), "DVC compares every file with dvc.lock"


def test_a_second_clone_gets_everything_from_the_store(first: Clone, second: Clone) -> None:
    first.run("git", "add", "--all")
    first.run("git", "commit", "--quiet", "--message", "Results")
    first.run("git", "push", "--quiet", "origin", "HEAD:refs/heads/results")
    second.run("git", "fetch", "--quiet")
    second.run("git", "checkout", "--quiet", "results")
    # From a stopped store: whoever needs it starts it.
    second.run(sys.executable, "-m", "fashion_cnn.localcloud", "down")
    second.run("dvc", "pull")
    for path in ("models/cnn5/model.keras", "reports/metrics.json", "data/prepared/test.npz"):
        assert (second.folder / path).read_bytes() == (first.folder / path).read_bytes()
    assert "Running stage" not in second.run("dvc", "repro", "--pull", "compare")
    # What a store brings is no deployment.
    not_here = {"deploy": [{"changed outs": {"reports/deployment.json": "deleted"}}]}
    assert json.loads(second.run("dvc", "status", "--json")) == not_here


def test_a_clone_without_results_gets_them_from_the_run_cache(origin: Clone, tmp_path: Path) -> None:
    third = clone_of(origin, tmp_path / "third")
    assert not (third.folder / "dvc.lock").exists()
    assert trained(third.run("dvc", "repro", "--pull", "compare")) == 0
    assert (third.folder / "models/cnn3/model.keras").exists()


def test_an_experiment_with_a_fixed_arm_s_kernel_trains_nothing(first: Clone) -> None:
    output = first.run("dvc", "exp", "run", "-n", "five", "-S", "kernel=5")
    assert trained(output) == 0
    assert "candidate: kernel 5 is exactly cnn5" in output
    assert first.read("models/candidate/metrics.json") == first.read("models/cnn5/metrics.json")


def test_an_experiment_leaves_the_endpoint_to_the_network_that_serves_until_somebody_asks(first: Clone) -> None:
    cloud = (sys.executable, "-m", "fashion_cnn.cloud")
    assert json.loads(first.read("reports/deployment.json"))["endpoint"] is None

    # The experiment of the test before ran all stages, in the workspace. It took nothing over, and nothing hides that.
    done = first.call(*cloud, "status")
    assert done.returncode == 3
    assert "serves a CNN with 3×3 kernels" in done.stdout
    assert "reports/deployment.json is an experiment's, which deploys nothing; `make deploy`" in done.stdout

    # What is recommended works, also where nothing serves.
    first.run(*cloud, "undeploy")
    first.run("make", "--old-file=env", "deploy")
    deployed = json.loads(first.read("reports/deployment.json"))
    assert (deployed["endpoint"], deployed["kernel"]) == ("fashion-cnn", 5)

    # Back to what is committed: DVC notices that another network serves.
    first.run("git", "restore", ".")
    first.run("dvc", "checkout")
    assert "Running stage 'deploy'" in first.run("dvc", "repro")
    assert "as reports/deployment.json says: a CNN with 3×3 kernels" in first.run(*cloud, "status")
    assert first.run("git", "status", "--porcelain") == "", "and dvc.lock is what it was"


def test_an_experiment_that_is_killed_half_way_leaves_nothing_half_written(first: Clone) -> None:
    model = first.folder / "models" / "candidate"
    with subprocess.Popen(
        SEVEN, cwd=first.folder, env=first.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, encoding="utf-8",
    ) as experiment:  # fmt: skip
        stage = None
        while stage is None:
            assert experiment.poll() is None
            children = psutil.Process(experiment.pid).children(recursive=True)
            half_written = model.with_name("candidate.partial").exists()
            stage = next((child for child in children if half_written and "python" in child.name()), None)
        stage.kill()
        _, errors = experiment.communicate()
    assert experiment.returncode != 0
    assert "failed to reproduce 'candidate'" in errors
    assert not model.exists()


def test_an_experiment_with_another_kernel_trains_the_candidate_alone(first: Clone) -> None:
    output = first.run(*SEVEN)
    assert trained(output) == 1
    stages = [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]
    assert stages == ["candidate", "compare"]
    assert json.loads(first.read("models/candidate/metrics.json"))["kernel"] == 7
    assert list(first.folder.rglob("*.partial")) == []


def test_a_reviewer_reads_what_an_experiment_changed(first: Clone) -> None:
    metrics = json.loads(first.run("dvc", "metrics", "diff", "--json", "main", "seven"))
    changed = {name for file in metrics.values() for name in file}
    assert {name.split(".")[0] for name in changed} == {"candidate"}
    params = json.loads(first.run("dvc", "params", "diff", "--json", "main", "seven"))
    assert params == {"params.yaml": {"kernel": {"old": 3, "new": 7, "diff": 4}}}
    shown = first.run("dvc", "exp", "show", "--csv", "--only-changed").splitlines()
    assert {line.split(",")[0] for line in shown} == {"Experiment", "", "five", "seven"}
    first.run("dvc", "plots", "diff", "main", "seven", "--out", "plots")
    page = first.read("plots/index.html")
    for title in ("Validation accuracy", "Confusion matrix of each arm"):
        assert title in page


def test_an_experiment_is_shared_through_git_and_the_store(first: Clone, second: Clone) -> None:
    first.run("dvc", "exp", "push", "origin", "seven")
    second.run("dvc", "exp", "pull", "origin", "seven")
    second.run("dvc", "exp", "apply", "seven")
    assert trained(second.run("dvc", "repro", "--pull", "compare")) == 0
    assert second.read("reports/metrics.json") == first.read("reports/metrics.json")


def test_a_changed_room_reruns_what_depends_on_it(second: Clone) -> None:
    reruns: dict[str, set[str]] = {
        "core/evaluation.py": {"preprocess", "eda", *ARMS, "compare", "deploy"},
        "ingest/splits.py": {"preprocess"},
        "eda/exploration.py": {"eda"},
        "training/fitting.py": set(ARMS),
        "comparison/claims.py": {"compare"},
        "reporting/style.py": {"eda", "compare"},
        "serving/inference.py": {"deploy"},
        "cloud/params.py": {"deploy"},
        "localcloud/s3.py": {"deploy"},
        "localsagemaker/operations.py": set(),
    }
    paths = [second.folder / "src/fashion_cnn" / module for module in reruns]
    originals = [path.read_text(encoding="utf-8") for path in paths]
    for path, original in zip(paths, originals, strict=True):
        path.write_text(original + "\n# changed\n", encoding="utf-8")
    changed = json.loads(second.run("dvc", "status", "--json"))  # by stage, every changed dependency by its name
    for path, original in zip(paths, originals, strict=True):
        path.write_text(original, encoding="utf-8")
    found = {
        module: {stage for stage, why in changed.items() if f"'src/fashion_cnn/{module.partition('/')[0]}'" in str(why)}
        for module in reruns
    }
    assert found == reruns


def test_a_bad_parameter_is_one_line_and_the_cache_has_the_last_result(second: Clone) -> None:
    lock, params = second.read("dvc.lock"), second.read("params.yaml")
    done = second.call("dvc", "exp", "run", "-S", "kernel=0", "compare")
    assert done.returncode != 0
    assert "error: params.yaml: kernel = 0 is not allowed; allowed: a whole number from 1 to 27" in done.stderr
    assert "Traceback" not in done.stderr
    (second.folder / "params.yaml").write_text(params, encoding="utf-8")
    second.run("dvc", "checkout")
    assert "up to date" in second.run("dvc", "status", "compare")
    assert second.read("dvc.lock") == lock
