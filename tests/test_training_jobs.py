"""Training jobs of the embedded SageMaker: containers without root, states, artifacts, checkpoints, logs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from fashion_cnn.localcloud import s3
from fashion_cnn.localsagemaker import container, jobs
from support.cloud import TESTS, EmbeddedCloud, wait_until

CORES = len(os.sched_getaffinity(0))
FOREVER = "sleep 600"
SPOT = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 600},
}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    environment = tmp_path_factory.mktemp("training") / "an environment"
    environment.symlink_to(sys.prefix)
    python = str(environment / "bin" / Path(sys.executable).name)
    cloud = EmbeddedCloud(environment.with_name("cloud"), "echo", python=python)
    cloud.start()
    yield cloud
    cloud.end(kill=False)
    s3.stop(cloud.store)


def put(cloud: EmbeddedCloud, **objects: str) -> None:
    for key, content in objects.items():
        cloud.objects().put_object(Bucket=s3.BUCKET, Key=key.replace("__", "/"), Body=content.encode())


def keys(cloud: EmbeddedCloud, prefix: str) -> list[str]:
    return [one["Key"] for one in cloud.objects().list_objects_v2(Bucket=s3.BUCKET, Prefix=prefix).get("Contents", [])]


def channel(name: str, key: str) -> dict[str, Any]:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{s3.BUCKET}/{key}"}
    return {"ChannelName": name, "DataSource": {"S3DataSource": source}}


def passed(description: dict[str, Any]) -> list[str]:
    return [one["Status"] for one in description["SecondaryStatusTransitions"]]


def running(cloud: EmbeddedCloud) -> list[int]:
    """Containers of the cloud's jobs, and what runs in them."""
    mark = str(cloud.folder / "sagemaker" / "jobs")
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if mark in str(process.info["cmdline"]) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def events(cloud: EmbeddedCloud, job: str, **parameters: Any) -> tuple[list[str], dict[str, Any]]:
    client = cloud.client("logs")
    group = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    streams = client.describe_log_streams(**group, logStreamNamePrefix=f"{job}/", orderBy="LogStreamName")["logStreams"]
    answer = client.get_log_events(**group, logStreamName=streams[-1]["logStreamName"], **parameters)
    return [event["message"] for event in answer["events"]], answer


# The container


def contained(tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
    program = [sys.executable, "-I", container.__file__, str(tmp_path), "sh", "-c", "id -u; ls /opt /opt/ml; exit 3"]
    user = [sys.executable, str(TESTS / "support" / "ordinary_user.py"), *options]
    return subprocess.run([*user, *program], capture_output=True, text=True, encoding="utf-8", check=False)


def test_an_ordinary_user_sees_a_folder_as_opt_ml_and_all_else_of_opt(tmp_path: Path) -> None:
    (tmp_path / "input").mkdir()
    done = contained(tmp_path)
    assert done.returncode == 3, done.stderr
    opt, ml = done.stdout.removeprefix("1000\n/opt:\n").split("\n\n/opt/ml:\n")
    assert set(opt.split()) == {"ml", *(path.name for path in Path("/opt").iterdir())}
    assert ml.split() == ["input"]
    assert not Path("/opt/ml").exists()


def test_where_namespaces_are_off_one_line_says_so(tmp_path: Path) -> None:
    done = contained(tmp_path, "--no-namespaces")
    assert done.returncode == container.REFUSED
    (line,) = done.stderr.splitlines()
    assert line.startswith("training jobs need their own /opt/ml")
    assert "user.max_user_namespaces" in line
    assert line.endswith("(ENOSPC)")


# A job from its beginning to its end


def test_a_job_sees_its_inputs_as_in_a_container_and_its_outputs_are_uploaded(cloud: EmbeddedCloud) -> None:
    put(cloud, data__train__a="A", data__train__deep__b="B", data__single="S", data__trainer="other")
    script = """
        cd /opt/ml && find input/data/many input/data/one -type f | sort
        cat input/config/hyperparameters.json && echo
        test "$(cat input/data/one/single)" = S && echo "$TRAINING_JOB_NAME $SETTING $AWS_SECRET_ACCESS_KEY"
        mkdir model/deep && echo weights > model/deep/w && echo figure > output/data/f && echo unseen > output/x
        $(which python3) -c "import psutil, sys; print(sys.prefix)"
        (sleep 600 & echo $! > /opt/ml/model/pid) & sleep 0.1
    """
    cloud.train(
        "whole",
        script,
        InputDataConfig=[channel("many", "data/train/"), channel("one", "data/single")],
        HyperParameters={"rate": "0.1"},
        Environment={"SETTING": 'it\'s "set"'},
        Tags=[{"Key": "project", "Value": "x"}],
    )
    done = cloud.job("whole", "Completed")
    assert passed(done) == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert done["TrainingStartTime"] <= done["TrainingEndTime"]
    assert done["BillableTimeInSeconds"] >= 1
    assert done["ModelArtifacts"] == {"S3ModelArtifacts": f"s3://{s3.BUCKET}/jobs/whole/output/model.tar.gz"}
    model = cloud.artifact("whole")
    assert model.pop("pid")
    assert model == {"deep/w": "weights\n"}
    assert cloud.artifact("whole", "output.tar.gz") == {"f": "figure\n"}
    printed, _ = events(cloud, "whole", startFromHead=True)
    assert printed == [
        "input/data/many/a", "input/data/many/deep/b", "input/data/one/single", '{"rate": "0.1"}', 'whole it\'s "set" ',
        "/opt/ml/python",
    ]  # fmt: skip
    assert running(cloud) == [], "what the job left running ends with it"
    tags = cloud.client().list_tags(ResourceArn=done["TrainingJobArn"])["Tags"]
    assert tags == [{"Key": "project", "Value": "x"}]


def test_a_failure_is_told_in_the_jobs_own_words_and_leaves_no_model(cloud: EmbeddedCloud) -> None:
    cloud.train("failing", "echo half > /opt/ml/model/w; echo 'no such layer' > /opt/ml/output/failure; exit 3")
    cloud.train("silent", "kill -9 $$")
    assert cloud.job("failing", "Failed")["FailureReason"] == "AlgorithmError: no such layer, exit code: 3"
    assert cloud.job("silent", "Failed")["FailureReason"].endswith("exit code: 137")
    assert keys(cloud, "jobs/failing") == []


def test_a_stopped_job_may_save_and_keeps_what_it_saved(cloud: EmbeddedCloud) -> None:
    script = "trap 'echo saved > /opt/ml/model/w; exit 0' TERM; touch /opt/ml/model/ready; sleep 600 & wait"
    cloud.train("stopping", script)
    folder = cloud.folder / "sagemaker" / "jobs" / "stopping" / "model"
    wait_until((folder / "ready").exists)
    cloud.client().stop_training_job(TrainingJobName="stopping")
    done = cloud.job("stopping", "Stopped")
    assert passed(done)[-3:] == ["Stopping", "Uploading", "Stopped"]
    assert cloud.artifact("stopping")["w"] == "saved\n"
    with pytest.raises(ClientError, match="rejected because the training job is in status Stopped"):
        cloud.client().stop_training_job(TrainingJobName="stopping")


def test_a_job_that_takes_too_long_is_stopped(cloud: EmbeddedCloud) -> None:
    cloud.train("slow", FOREVER, StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert cloud.job("slow", "Stopped")["SecondaryStatus"] == "MaxRuntimeExceeded"


def test_an_interrupted_spot_job_goes_on_from_its_checkpoint(cloud: EmbeddedCloud) -> None:
    checkpoints = f"s3://{s3.BUCKET}/checkpoints/spot"
    script = f"""
        cd /opt/ml/checkpoints
        if [ -e epoch ]; then cp epoch /opt/ml/model/; else echo 1 > .epoch && mv .epoch epoch && {FOREVER}; fi
    """
    cloud.train("spot", script, CheckpointConfig={"S3Uri": checkpoints}, **SPOT)
    cloud.train("on-demand", f"{FOREVER} & wait")
    wait_until(lambda: "checkpoints/spot/epoch" in keys(cloud, "checkpoints/spot"))
    cloud.job("on-demand", "Training")
    cloud.server.send_signal(signal.SIGUSR1)
    done = cloud.job("spot", "Completed")
    assert passed(done)[1:-2] == ["Downloading", "Training", "Interrupted", "Starting", "Downloading", "Training"]
    assert cloud.artifact("spot") == {"epoch": "1\n"}
    assert cloud.job("on-demand", "Training")["TrainingJobStatus"] == "InProgress"
    cloud.client().stop_training_job(TrainingJobName="on-demand")
    cloud.job("on-demand", "Stopped")


def test_more_jobs_than_processors_wait_and_what_waits_outlives_the_server(cloud: EmbeddedCloud) -> None:
    occupying = [cloud.train(f"occupying-{number}", FOREVER) for number in range(CORES)]
    for name in occupying:
        cloud.job(name, "Training")
    cloud.train("waiting", "echo done > /opt/ml/model/w")
    cloud.train("stopped-early", FOREVER)
    cloud.job("waiting", "Pending")
    cloud.job("stopped-early", "Pending")
    cloud.client().stop_training_job(TrainingJobName="stopped-early")
    assert "Training" not in passed(cloud.job("stopped-early", "Stopped"))
    assert len(running(cloud)) == 2 * CORES  # each is a process outside and one inside

    cloud.end(kill=True)
    wait_until(lambda: not running(cloud))
    cloud.start()
    for name in occupying:
        assert cloud.job(name, "Failed")["FailureReason"].startswith(
            "InternalServerError: The embedded SageMaker ended"
        )
    cloud.job("waiting", "Completed")
    assert cloud.artifact("waiting") == {"w": "done\n"}


def test_a_store_without_the_bucket_fails_the_job_with_the_reason(cloud: EmbeddedCloud) -> None:
    cloud.train("lost", "true", OutputDataConfig={"S3OutputPath": "s3://no-such-bucket/jobs"})
    assert "Artifact upload failed" in cloud.job("lost", "Failed")["FailureReason"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"InputDataConfig": [channel("train", "absent/")]}, "No S3 objects found under S3 URL"),
        ({"EnableManagedSpotTraining": True}, "Invalid MaxWaitTimeInSeconds"),
        ({"EnableNetworkIsolation": True}, "knows EnableNetworkIsolation only as false"),
        ({"RetryStrategy": {"MaximumRetryAttempts": 2}}, "does not know RetryStrategy"),
        ({"CheckpointConfig": {"S3Uri": "s3://b/k", "LocalPath": "/opt/../etc"}}, "folders below /opt/ml"),
    ],
)
def test_what_can_not_be_done_is_refused(cloud: EmbeddedCloud, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ClientError, match=message):
        cloud.train("refused", "true", **changes)
    with pytest.raises(ClientError, match=r"Requested resource not found\."):
        cloud.client().describe_training_job(TrainingJobName="refused")


def test_names_are_unique_and_jobs_are_listed(cloud: EmbeddedCloud) -> None:
    cloud.train("listed", "exit 1")
    with pytest.raises(ClientError, match="Training job names must be unique"):
        cloud.train("Listed", "true")
    cloud.job("listed", "Failed")
    listed = cloud.client().list_training_jobs(NameContains="listed", StatusEquals="Failed")["TrainingJobSummaries"]
    assert [one["TrainingJobName"] for one in listed] == ["listed"]
    assert not cloud.client().list_training_jobs(NameContains="listed", StatusEquals="Completed")[
        "TrainingJobSummaries"
    ]


# Logs


def test_a_log_is_read_page_by_page_in_both_directions(cloud: EmbeddedCloud) -> None:
    cloud.train("printing", "for i in 1 2 3 4 5; do echo line $i; done; printf 'caf\\351 \\r no end'")
    cloud.job("printing", "Completed")
    first, answer = events(cloud, "printing", startFromHead=True, limit=2)
    assert first == ["line 1", "line 2"]
    second, _ = events(cloud, "printing", nextToken=answer["nextForwardToken"], limit=9)
    assert second == ["line 3", "line 4", "line 5", "caf� \r no end"]
    last, answer = events(cloud, "printing", limit=2)
    assert last == ["line 5", "caf� \r no end"]
    assert events(cloud, "printing", nextToken=answer["nextBackwardToken"], limit=1)[0] == ["line 4"]
    none, again = events(cloud, "printing", nextToken=answer["nextForwardToken"])
    assert (none, again["nextForwardToken"]) == ([], answer["nextForwardToken"])


def test_a_log_ends_where_it_would_fill_the_disk(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb", buffering=0) as file:
        left = jobs.MAX_EVENT_BYTES
        for _ in range(10):
            left -= jobs._write_events(file, [b"x" * 50_000], left)
    assert (tmp_path / "log").stat().st_size < jobs.MAX_EVENT_BYTES + 100
    assert (tmp_path / "log").read_text(encoding="utf-8").endswith("keeps no more of this log\n")
