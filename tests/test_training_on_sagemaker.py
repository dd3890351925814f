"""Training as SageMaker training jobs: the same files as training here, paid for once, and stopped with who waits."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

import fashion_cnn
from benchmarks.workspace import free_ports
from fashion_cnn.cloud import __main__ as command
from fashion_cnn.cloud import slots, training
from fashion_cnn.cloud.params import Deploy, Training
from fashion_cnn.cloud.target import Target, connect
from fashion_cnn.cloud.training import Plan
from fashion_cnn.core import params
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import Params
from fashion_cnn.localcloud import daemon, s3, sagemaker
from fashion_cnn.stages import __main__ as stages
from fashion_cnn.stages import remote
from support import cloud
from support.repository import REPOSITORY

# Stands for a training: --folder FOLDER --failures N, and --seed N for one seed. Seed 1 fails so often; all else waits
# while the folder holds a file, and writes the four files.
SCRIPT = """
import os, pathlib, sys, time
import fashion_cnn
folder, failures = pathlib.Path(sys.argv[2]), int(sys.argv[4])
tries = folder / ("tries-" + sys.argv[-1])
tries.write_text(tries.read_text() + "x" if tries.exists() else "x")
if sys.argv[5:] == ["--seed", "1"] and len(tries.read_text()) <= failures:
    print("first words")
    sys.exit("the last straw")
while (folder / "hold").exists():
    time.sleep(0.05)
for name in ("history.csv", "metrics.json", "model.keras", "predictions.npz"):
    pathlib.Path(os.environ["SM_MODEL_DIR"], name).write_text(fashion_cnn.__file__)
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """An embedded cloud of this file's own, as a stage reaches it."""
    before, folder = dict(os.environ), tmp_path_factory.mktemp("jobs") / "cloud"
    store = s3.store(folder)
    s3.settings(store, free_ports())
    os.environ["FASHION_CNN_CLOUD"] = str(folder)
    with contextlib.chdir(folder.parent):  # the clone that the tests run in may be connected to another cloud
        connected = connect(Deploy())
    yield connected
    sagemaker.stop(store)
    s3.stop(store)
    os.environ.clear()
    os.environ |= before


@pytest.fixture
def stand_in(tmp_path: Path, target: Target) -> Callable[[str, int], Plan]:
    """A plan of SCRIPT, with an empty package of this project's name."""
    source = tmp_path / "source"
    (source / "fashion_cnn").mkdir(parents=True)
    (source / "fashion_cnn/__init__.py").touch()
    (source / "train.py").write_text(SCRIPT, encoding="utf-8")
    training._client(target, "s3").put_object(Bucket=s3.BUCKET, Key="some/data", Body=b"data")

    def plan(name: str, failures: int = 0) -> Plan:
        arguments = {"folder": str(tmp_path), "failures": str(failures)}
        return Plan(f"fashion-cnn-{name}", source, {"train": f"s3://{s3.BUCKET}/some/data"}, arguments, name)

    return plan


def settings(**changes: Any) -> Training:
    return Training(train="sagemaker", **changes)


def jobs(target: Target, name: str) -> list[str]:
    """The states of a plan's jobs, the first first."""
    client = training._client(target, "sagemaker")
    listed = client.list_training_jobs(NameContains=f"{name}-", SortBy="CreationTime")
    return [job["TrainingJobStatus"] for job in listed["TrainingJobSummaries"]]


def wait_until(condition: Callable[[], Any], seconds: float = 120) -> Any:
    return cloud.wait_until(condition, seconds, pause=0.2)  # asking costs processor time


def brought(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.fixture
def result(tmp_path: Path) -> Path:
    folder = tmp_path / "result"
    folder.mkdir()
    return folder


def test_a_job_s_result_is_brought_and_the_same_training_is_not_paid_twice(
    target: Target, stand_in: Callable[..., Plan], result: Path, tmp_path: Path
) -> None:
    plan = stand_in("paid")
    training.bring(plan, result, settings(), target)
    assert brought(result) == set(training.RESULT)
    imported = (result / "model.keras").read_text(encoding="utf-8")
    assert imported == "/opt/ml/input/data/code/fashion_cnn/__init__.py", "the code that was sent is what runs"
    again = tmp_path / "again"
    again.mkdir()
    training.bring(plan, again, settings(), target)
    assert brought(again) == set(training.RESULT)
    assert jobs(target, plan.name) == ["Completed"]

    key = f"{training.PREFIX}/jobs/"
    client = training._client(target, "s3")
    for one in client.list_objects_v2(Bucket=s3.BUCKET, Prefix=key)["Contents"]:
        client.delete_object(Bucket=s3.BUCKET, Key=one["Key"])
    assert training._present(plan.name, target) is None, "a result that is gone is made again"


def test_a_job_that_runs_already_is_joined_and_who_joined_it_does_not_stop_it(
    target: Target, stand_in: Callable[..., Plan], result: Path, tmp_path: Path
) -> None:
    plan, other = stand_in("joined"), tmp_path / "other"
    other.mkdir()
    (tmp_path / "hold").touch()
    with ThreadPoolExecutor() as pool:
        first = pool.submit(training.bring, plan, result, settings(), target)
        wait_until((tmp_path / "tries-0").exists)
        interruption = threading.Timer(1, os.kill, (os.getpid(), signal.SIGINT))
        interruption.start()
        with pytest.raises(KeyboardInterrupt):
            training.bring(plan, other, settings(), target)
        interruption.join()
        assert jobs(target, plan.name) == ["InProgress"]
        second = pool.submit(training.bring, plan, other, settings(), target)
        (tmp_path / "hold").unlink()
        first.result(300)
        second.result(300)
    assert jobs(target, plan.name) == ["Completed"]
    assert brought(result) == brought(other) == set(training.RESULT)


def test_who_interrupts_stops_the_job_that_was_started(
    target: Target, stand_in: Callable[..., Plan], result: Path, tmp_path: Path
) -> None:
    plan = stand_in("interrupted")
    (tmp_path / "hold").touch()

    def interrupt() -> None:
        wait_until((tmp_path / "tries-0").exists)
        os.kill(os.getpid(), signal.SIGINT)

    with ThreadPoolExecutor() as pool:
        interruption = pool.submit(interrupt)
        with pytest.raises(KeyboardInterrupt):
            training.bring(plan, result, settings(), target)
        interruption.result()
    wait_until(lambda: jobs(target, plan.name) == ["Stopped"])
    assert brought(result) == set()


def test_seeds_are_jobs_at_the_same_time_that_are_tried_again_and_one_more_brings_the_result(
    target: Target, stand_in: Callable[..., Plan], result: Path, tmp_path: Path
) -> None:
    plan = stand_in("seeds-abc", failures=2)
    (tmp_path / "hold").touch()
    with ThreadPoolExecutor() as pool:
        whole = pool.submit(training.bring, plan, result, settings(tries=3), target, 2)
        seeds = [f"fashion-cnn-seeds-seed{seed}-abc" for seed in range(2)]
        wait_until(lambda: [jobs(target, seed)[-1:] for seed in seeds] == 2 * [["InProgress"]])
        assert jobs(target, plan.name) == []
        (tmp_path / "hold").unlink()
        whole.result(300)
    assert jobs(target, "fashion-cnn-seeds-seed0-abc") == ["Completed"]
    assert jobs(target, "fashion-cnn-seeds-seed1-abc") == ["Failed", "Failed", "Completed"]
    assert jobs(target, plan.name) == ["Completed"]
    assert brought(result) == set(training.RESULT)


def test_a_seed_that_always_fails_ends_the_others_and_is_told_in_one_line_with_its_last_words(
    target: Target, stand_in: Callable[..., Plan], result: Path, tmp_path: Path
) -> None:
    plan = stand_in("hopeless-abc", failures=9)
    (tmp_path / "hold").touch()
    with pytest.raises(UserError) as error:
        training.bring(plan, result, settings(tries=2), target, 2)
    assert re.fullmatch(
        "the training job fashion-cnn-hopeless-seed1-abc-.* failed, the last of 2: AlgorithmError: .*"
        "; it said: first words . the last straw",
        str(error.value),
    )
    wait_until(lambda: jobs(target, "fashion-cnn-hopeless-seed0-abc") == ["Stopped"])
    assert jobs(target, plan.name) == []
    assert brought(result) == set()

    (tmp_path / "params.yaml").write_bytes((REPOSITORY / "params.yaml").read_bytes())
    with contextlib.chdir(tmp_path):  # as above
        command.show_jobs(Console(file=(written := io.StringIO()), width=80))
    shown = written.getvalue().splitlines()
    assert max(map(len, shown)) <= 80
    failed = [number for number, line in enumerate(shown) if line.startswith("fashion-cnn-hopeless-seed1")]
    assert len(failed) == 2
    for number in failed:
        assert re.fullmatch(r"  Failed, \d+ seconds", shown[number + 1])
        assert shown[number + 2] == "  AlgorithmError: … returned non-zero exit status 1., exit code: 1"


@pytest.mark.parametrize(
    ("reason", "shown"),
    [
        ("ClientError: no\nsuch image", "ClientError: no such image"),
        (
            'AlgorithmError: Traceback (most recent call last):\n  File "utils.py", line 193, in execute_commands\n'
            "    raise subprocess.CalledProcessError(exitcode, commands)\nsubprocess.CalledProcessError: "
            "Command '['python3', 'train.py']' died with <Signals.SIGKILL: 9>., exit code: 247",
            "AlgorithmError: … died with <Signals.SIGKILL: 9>., exit code: 247",
        ),
        (
            "ClientError: Artifact upload failed: An error occurred (NoSuchBucket) when calling the PutObject "
            "operation: The specified bucket does not exist",
            "ClientError: … the PutObject operation: The specified bucket does not exist",
        ),
        (1024 * "x", "… " + 76 * "x"),
    ],
)
def test_a_job_s_reason_is_one_line_of_80_columns_with_its_kind_and_its_end(reason: str, shown: str) -> None:
    assert command._end(reason, 78) == shown


def test_of_a_job_whose_script_never_began_the_last_lines_of_its_log_are_told(target: Target) -> None:
    client = training._client(target, "sagemaker")
    client.create_training_job(
        TrainingJobName="never-begun",
        AlgorithmSpecification={
            "TrainingImage": "tensorflow",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", "echo no interpreter; exit 126"],
        },
        RoleArn=target.hosting.role,
        OutputDataConfig={"S3OutputPath": f"s3://{s3.BUCKET}/jobs"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    job, said = training.follow("never-begun", target, threading.Event())
    assert (job["TrainingJobStatus"], said) == ("Failed", [])
    assert training.last_lines("never-begun", target) == ["no interpreter"]


def test_the_sdk_s_own_trainer_waits_for_a_job_and_shows_its_log(
    target: Target, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level("INFO")
    monkeypatch.setenv("AWS_DEFAULT_REGION", s3.REGION)  # its client of the logs is of no session that it was given
    from sagemaker.core.helper.session_helper import Session
    from sagemaker.core.training.configs import Compute, InputData, OutputDataConfig, SourceCode
    from sagemaker.train import ModelTrainer

    script = "import os, sys; print(os.environ['SM_CHANNEL_DATA'], *sys.argv[1:])"
    (tmp_path / "train.py").write_text(script, encoding="utf-8")
    training._client(target, "s3").put_object(Bucket=s3.BUCKET, Key="sdk/images", Body=b"images")
    trainer = ModelTrainer(
        sagemaker_session=Session(boto_session=target.session, default_bucket=s3.BUCKET),
        role=target.hosting.role,
        training_image="tensorflow",
        base_job_name="from-the-sdk",
        source_code=SourceCode(source_dir=str(tmp_path), entry_script="train.py"),
        compute=Compute(instance_type="ml.m5.large", instance_count=1),
        hyperparameters={"epochs": 3},
        output_data_config=OutputDataConfig(s3_output_path=f"s3://{s3.BUCKET}/jobs"),
    )
    trainer.train([InputData(channel_name="data", data_source=f"s3://{s3.BUCKET}/sdk/")], wait=True, logs=True)
    assert "/opt/ml/input/data/data --epochs 3" in caplog.text
    assert jobs(target, "from-the-sdk") == ["Completed"]


# What a job is, and what it is given


def planned(target: Target, folder: Path, arm: str, **changes: Any) -> Plan:
    source = folder / f"source-{len(list(folder.iterdir()))}"
    source.mkdir()
    chosen = params.load(Params, changes=changes)
    remote.pack(chosen, source)
    return training.plan(arm, chosen, settings(), target, source=source, remote=f"s3://{s3.BUCKET}/dvc")


@pytest.mark.usefixtures("workspace")
def test_a_job_is_given_the_code_that_a_trained_stage_names_and_no_other(tmp_path: Path) -> None:
    remote.pack(params.load(Params), tmp_path / "source")
    packed = {path.relative_to(tmp_path / "source/fashion_cnn") for path in (tmp_path / "source").rglob("*/*.py")}
    named = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["stages"]["cnn3"]["deps"]
    code = REPOSITORY / "src/fashion_cnn"
    paths = [code / one.removeprefix("${src}/") for one in named if one.startswith("${src}/")]
    files = {file for path in paths for file in (path.rglob("*.py") if path.is_dir() else [path])}
    packages = {code / "__init__.py", code / "stages/__init__.py"}
    assert packed == {file.relative_to(code) for file in files | packages}


@pytest.mark.usefixtures("prepared")
def test_a_job_is_named_by_what_decides_its_result(target: Target, tmp_path: Path) -> None:
    name = planned(target, tmp_path, "cnn3").name
    assert planned(target, tmp_path, "cnn3", kernel=7).name == name
    assert planned(target, tmp_path, "cnn3", **{"baseline.units": 7}).name == name
    others = [
        planned(target, tmp_path, "cnn3", **{"train.epochs": 7}).name,
        planned(target, tmp_path, "cnn3", **{"arms.cnn3.kernel": 7}).name,
        planned(target, tmp_path, "cnn5").name,
        planned(target, tmp_path, "candidate", kernel=7).name,
    ]
    Path("data/prepared/train.npz").write_bytes(b"other images")
    others.append(planned(target, tmp_path, "cnn3").name)
    assert len({name, *others}) == 6


@pytest.mark.usefixtures("prepared")
def test_what_dvc_pushed_is_used_where_it_lies_and_the_rest_is_uploaded_once(target: Target, tmp_path: Path) -> None:
    client, path = training._client(target, "s3"), Path("data/prepared/test.npz")
    digest = training._md5(path)
    client.upload_file(str(path), s3.BUCKET, f"dvc/files/md5/{digest[:2]}/{digest[2:]}")
    channels = planned(target, tmp_path, "cnn3").channels
    assert channels["test"] == f"s3://{s3.BUCKET}/dvc/files/md5/{digest[:2]}/{digest[2:]}"
    assert channels["train"].startswith(f"s3://{s3.BUCKET}/{training.PREFIX}/files/md5/")
    key = channels["train"].removeprefix(f"s3://{s3.BUCKET}/")
    first = client.head_object(Bucket=s3.BUCKET, Key=key)["LastModified"]
    assert planned(target, tmp_path, "cnn3").channels == channels
    assert client.head_object(Bucket=s3.BUCKET, Key=key)["LastModified"] == first


@pytest.mark.usefixtures("prepared", "workspace")
def test_a_stage_writes_the_same_bytes_wherever_it_runs_and_however_often_it_is_interrupted(
    target: Target,
    set_params: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def take_the_instance_away() -> None:
        store = s3.store()
        server, folder = daemon.find(sagemaker.server(store)), store.folder / "sagemaker/jobs"
        assert server is not None
        cloud.wait_until(lambda: list(folder.glob("fashion-cnn-baseline-*/checkpoints/seed-0.npz")), 300)
        for process in server.children(recursive=True):
            process.suspend()  # or it might complete before
        client, prefix = training._client(target, "s3"), f"{training.PREFIX}/checkpoints/fashion-cnn-baseline-"
        kept = client.get_paginator("list_objects_v2").paginate(Bucket=s3.BUCKET, Prefix=prefix)
        wait_until(lambda: ".npz" in str(list(kept)))  # and not what was being written then
        server.send_signal(signal.SIGUSR1)

    def written() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in Path("models/baseline").iterdir()}

    quick = {"train.epochs": 20, "train.precision": "float32"}
    set_params(**quick)
    code = os.environ | {"PYTHONPATH": str(REPOSITORY / "src")}
    subprocess.run([sys.executable, "-m", "fashion_cnn.stages", "train", "baseline"], env=code, check=True)
    here = written()

    set_params(**quick, **{"cloud.train": "sagemaker", "cloud.spot": True})
    monkeypatch.setattr(sys, "argv", ["stages", "train", "baseline"])
    before = signal.getsignal(signal.SIGTERM)
    with ThreadPoolExecutor() as pool:
        interruption = pool.submit(take_the_instance_away)
        stages.main()
        interruption.result()
    signal.signal(signal.SIGTERM, before)
    assert written() == here
    assert sorted(here) == sorted(training.RESULT)
    printed = capsys.readouterr().out
    assert "Interrupted" in printed
    assert "going on after epoch" in printed


def test_the_server_that_an_experiment_starts_outlives_its_copy_of_the_clone(monkeypatch: pytest.MonkeyPatch) -> None:
    for copy in ("tmp0x", "studies/sizes-1/clone"):
        file = f"/home/me/project/.dvc/tmp/exps/{copy}/src/fashion_cnn/__init__.py"
        monkeypatch.setattr(fashion_cnn, "__file__", file)
        path = sagemaker._environment(Path("/cloud"))["PYTHONPATH"]
        assert path.split(os.pathsep)[0] == "/home/me/project/src"


def test_stages_together_have_no_more_jobs_at_a_time_than_they_may(tmp_path: Path) -> None:
    ending = threading.Event()
    with slots.taken(tmp_path, 2, ending), slots.taken(tmp_path, 2, ending), ThreadPoolExecutor() as pool:

        def third() -> None:
            with slots.taken(tmp_path, 2, ending):
                pass

        waiting = pool.submit(third)
        with pytest.raises(TimeoutError):
            waiting.result(1)
        ending.set()
        with pytest.raises(UserError, match="no longer wanted"):
            waiting.result(10)
    with slots.taken(tmp_path, 2, ending):
        pass  # they are free again
