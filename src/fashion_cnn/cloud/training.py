"""Train an arm as a SageMaker training job, and bring back the files that local training writes.

A job's name begins with a digest of all that decides its result. Who wants the same training again joins the job that
runs, or takes the result of the one that completed.

Source: docs.aws.amazon.com/sagemaker/latest/APIReference, CreateTrainingJob, DescribeTrainingJob, StopTrainingJob.
The SDK takes five seconds to import: who imports this module does so late.
"""

import hashlib
import json
import os
import tarfile
import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError

from fashion_cnn.cloud import slots
from fashion_cnn.cloud.deployment import encryption, explained, tags
from fashion_cnn.cloud.params import PROJECT, TRYING_AGAIN, Training
from fashion_cnn.cloud.target import Target
from fashion_cnn.core import dataset
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import Params
from fashion_cnn.training import processor

if TYPE_CHECKING:
    import boto3

# The newest training image that the SDK knows. Source: sagemaker.core.image_uris.
TENSORFLOW: Final = "2.21.0"
REQUIREMENTS: Final = "requirements.txt"  # in the source of a job that installs its packages
LAST_LINES: Final = 5
REASON: Final = 300  # characters of it that are shown
LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
PREFIX: Final = f"{PROJECT}/training"  # of all keys in the bucket
RESULT: Final = ("history.csv", "metrics.json", "model.keras", "predictions.npz")
# What the SDK's driver prints around the script is of use to those alone who look for a fault in it.
BEGINS: Final = "Executing command: "
ENDS: Final = ("Command failed with exit code ", "++ echo 'Training Container Execution Completed'")
CODE: Final = "/opt/ml/input/data/code"  # where the driver unpacks the source folder


class Plan(NamedTuple):
    """What a job shall do.

    Attributes:
        name: with which the job's begins.
        source: the folder that is packaged, with train.py in it.
        channels: names to addresses in S3.
        hyperparameters: the arguments of train.py.
        checkpoints: the part of their address that is this plan's own.
    """

    name: str
    source: Path
    channels: dict[str, str]
    hyperparameters: dict[str, str]
    checkpoints: str


def plan(arm: str, settings: Params, training: Training, target: Target, *, source: Path, remote: str | None) -> Plan:
    """What trains an arm; data that the store lacks are uploaded.

    Args:
        arm: one of `core.params.ARMS`.
        settings: what decides the results.
        training: what the job runs on.
        target: where.
        source: the folder to package: train.py, params.yaml, and the code that they need.
        remote: s3://bucket/key of DVC's remote in the target's S3, where what DVC pushed has its address; or None.

    Raises:
        UserError: the prepared data are missing.
    """
    files = {split: Path("data/prepared", f"{split}.npz") for split in dataset.SPLITS}
    if missing := [str(path) for path in files.values() if not path.exists()]:
        raise UserError(f"{', '.join(missing)}: not found; `dvc repro preprocess` makes them")
    digests = {split: _md5(path) for split, path in files.items()}
    decisive = {
        "train": settings.train.model_dump(),
        "arm": settings.baseline.model_dump()
        if arm == "baseline"
        else settings.cnn.model_dump() | {"kernel": settings.kernel_of(arm)},
        "data": digests,
        "code": {str(path.relative_to(source)): _md5(path) for path in _files(source) if path.name != "params.yaml"},
        "instance": training.instance_type,
        "kernels": _chosen_kernels(),
    }
    digest = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:12]
    with explained("bringing the data to S3"):
        channels = {split: _in_s3(path, digests[split], target, remote) for split, path in files.items()}
    name = f"{PROJECT}-{arm}-{digest}"
    return Plan(name, source, channels, {"arm": arm}, checkpoints=name)


def _chosen_kernels() -> dict[str, str]:
    """What the person's shell says of them, which a local stage honours, too."""
    return {name: os.environ[name] for name in processor.PORTABLE if name in os.environ}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _in_s3(path: Path, md5: str, target: Target, remote: str | None) -> str:
    """The address of a file in the target's S3: where DVC pushed it, else where it is put now, once."""
    client = _client(target, "s3")
    own = f"s3://{target.hosting.bucket}/{PREFIX}/files/md5/{md5[:2]}/{md5[2:]}"
    for url in [f"{remote}/files/md5/{md5[:2]}/{md5[2:]}"] * bool(remote) + [own]:
        bucket, _, key = url.removeprefix("s3://").partition("/")
        with suppress(ClientError):
            if client.head_object(Bucket=bucket, Key=key)["ContentLength"] == path.stat().st_size:
                return url
    bucket, _, key = own.removeprefix("s3://").partition("/")
    client.put_object(Bucket=bucket, Key=key, Body=path.read_bytes(), **encryption(target.hosting))
    return own


def bring(wanted: Plan, folder: Path, training: Training, target: Target, seeds: int = 1) -> None:
    """Have the result of a training in a folder: of a job that completed, one that runs, or a new one.

    Several seeds are first fitted by a job each, up to `training.max_jobs` at a time: each leaves a checkpoint of its
    last epoch, and the job that is wanted takes them up and has nothing left to fit.

    Raises:
        UserError: no job succeeded, with the last one's reason; or SageMaker or S3 refuse.
    """
    ending = threading.Event()
    with explained("training"):
        try:
            if seeds > 1 and training.max_jobs > 1 and _present(wanted.name, target) is None:
                _at_the_same_time([_of_seed(wanted, seed) for seed in range(seeds)], training, target, ending)
            fetch(_run_in_turn(wanted, training, target, ending), folder, target)
            _forget_checkpoints(wanted, target)
        except (EndpointConnectionError, HTTPClientError) as error:
            raise UserError(f"{error}; run the stage again: it goes on from the last epoch that reached S3") from None


def _of_seed(wanted: Plan, seed: int) -> Plan:
    head, _, digest = wanted.name.rpartition("-")
    arguments = wanted.hyperparameters | {"seed": str(seed)}
    return wanted._replace(name=f"{head}-seed{seed}-{digest}", hyperparameters=arguments)


def _at_the_same_time(plans: list[Plan], training: Training, target: Target, ending: threading.Event) -> None:
    """Run a job each; when one does not succeed, or somebody interrupts, the others are stopped."""
    with ThreadPoolExecutor(training.max_jobs) as pool:
        runs = [pool.submit(_run_in_turn, plan, training, target, ending) for plan in plans]
        try:
            for run in as_completed(runs):
                run.result()
        except BaseException:
            ending.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _run_in_turn(wanted: Plan, training: Training, target: Target, ending: threading.Event) -> dict[str, Any]:
    """What `_run` does, once the stages on this machine have less than `training.max_jobs` jobs."""
    with slots.taken(target.folder, training.max_jobs, ending):
        return _run(wanted, training, target, ending)


def _run(wanted: Plan, training: Training, target: Target, ending: threading.Event) -> dict[str, Any]:
    """Have a plan's job completed; a job that fails is followed by another, up to `training.tries` in all.

    Whatever ends this function early, `ending` too, stops the job that it started, and no other.

    Returns:
        The job's description.

    Raises:
        UserError: no job succeeded, or `ending` was set.
    """
    for left in reversed(range(training.tries)):
        if ending.is_set():
            raise UserError(f"{wanted.name}: no longer wanted")
        own = False
        try:
            with target.turn, _calls:  # of two stages that want the same, one starts it
                job = _present(wanted.name, target)
                own = job is None
                job = job or start(wanted, training, target)
            if not own:
                say(f"{job['TrainingJobName']}: the same training, {job['TrainingJobStatus']}; it is not paid twice")
            whose = f"seed {wanted.hyperparameters['seed']}: " if "seed" in wanted.hyperparameters else ""
            job, last = follow(job["TrainingJobName"], target, ending, whose)
        except BaseException:
            if own:
                stop(wanted.name, target)
            raise
        name = job["TrainingJobName"]
        if job["TrainingJobStatus"] == "Completed":
            return job
        if job["TrainingJobStatus"] == "Stopped":
            raise UserError(f"the training job {name} was stopped ({job['SecondaryStatus']}); run the stage again")
        reason, said = " ".join(job["FailureReason"].split()), " | ".join(last or last_lines(name, target))
        if len(reason) > REASON:  # a driver's has its traceback in the middle
            reason = f"{reason[: REASON // 2]} … {reason[-REASON // 2 :]}"
        say(f"{name}: {reason}{f'; {TRYING_AGAIN}, {left} left' if left else ''}")
    raise UserError(f"the training job {name} failed, the last of {training.tries}: {reason}; it said: {said}")


# A session of boto3 may make one client at a time, which then serves every thread.
_calls = threading.RLock()


def _client(target: Target, service: str) -> Any:
    with _calls:
        return _made(target.session, service)


@cache
def _made(session: "boto3.Session", service: str) -> Any:
    return session.client(service)


def say(line: str) -> None:
    """Tell the person where a job stands."""
    print(line, flush=True)


def _latest(name: str, target: Target) -> dict[str, Any] | None:
    client = _client(target, "sagemaker")
    listed = client.list_training_jobs(
        NameContains=f"{name}-", SortBy="CreationTime", SortOrder="Descending", MaxResults=1
    )["TrainingJobSummaries"]
    return client.describe_training_job(TrainingJobName=listed[0]["TrainingJobName"]) if listed else None


def _present(name: str, target: Target) -> dict[str, Any] | None:
    """The job that need not be started again: it runs, or its result is there."""
    job = _latest(name, target)
    state = job["TrainingJobStatus"] if job else "none"
    return job if state == "InProgress" or (job and state == "Completed" and _has_result(job, target)) else None


def start(wanted: Plan, training: Training, target: Target) -> dict[str, Any]:
    """Start a job through the SDK's ModelTrainer, which packages the code and its own drivers."""
    # This project's own preflight asks for the role, and can do without iam:SimulatePrincipalPolicy.
    os.environ["SAGEMAKER_VALIDATE_ROLE"] = "false"
    from sagemaker.core.helper.session_helper import Session  # noqa: PLC0415 (only who starts a job needs them)
    from sagemaker.core.training.configs import (  # noqa: PLC0415
        CheckpointConfig,
        Compute,
        InputData,
        OutputDataConfig,
        SourceCode,
        StoppingCondition,
    )
    from sagemaker.train import ModelTrainer  # noqa: PLC0415

    quiet = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}}}
    folder, seconds = f"s3://{target.hosting.bucket}/{PREFIX}", round(training.timeout_minutes * 60)
    trainer = ModelTrainer(
        sagemaker_session=Session(
            boto_session=target.session, default_bucket=target.hosting.bucket, sagemaker_config=quiet
        ),
        role=target.hosting.role,
        training_image=image(training, target),
        base_job_name=wanted.name,
        input_s3_key_prefix=f"{PREFIX}/code",
        source_code=SourceCode(
            source_dir=str(wanted.source),
            entry_script="train.py",
            requirements=REQUIREMENTS if (wanted.source / REQUIREMENTS).exists() else None,
        ),
        compute=Compute(
            instance_type=training.instance_type,
            instance_count=1,
            volume_size_in_gb=training.aws.volume_gb,
            volume_kms_key_id=target.hosting.kms_key,
            enable_managed_spot_training=training.spot,
        ),
        stopping_condition=StoppingCondition(
            max_runtime_in_seconds=seconds, max_wait_time_in_seconds=2 * seconds if training.spot else None
        ),
        # Of the plan, not of the job: the next job goes on where one that failed ended.
        checkpoint_config=CheckpointConfig(s3_uri=f"{folder}/checkpoints/{wanted.checkpoints}"),
        hyperparameters=wanted.hyperparameters,
        # This code, and not what the embedded SageMaker's Python has of it.
        environment={"PYTHONPATH": CODE, **_chosen_kernels()},
        # The key encrypts what the SDK uploads, too.
        output_data_config=OutputDataConfig(
            s3_output_path=f"{folder}/jobs", kms_key_id=target.hosting.kms_key, compression_type="GZIP"
        ),
        tags=tags(target),
    )
    channels = [InputData(channel_name=name, data_source=source) for name, source in wanted.channels.items()]
    trainer.train(input_data_config=channels, wait=False, logs=False)
    job = _latest(wanted.name, target)
    assert job is not None  # noqa: S101 (it was just made)
    say(f"{job['TrainingJobName']}: started on {training.instance_type}")
    return job


def image(training: Training, target: Target) -> str:
    """The address of AWS's image for training.

    Raises:
        ValueError: there is none for the region and the instance type.
    """
    from sagemaker.core import image_uris  # noqa: PLC0415

    return image_uris.retrieve(
        "tensorflow",
        region=target.hosting.region,
        version=TENSORFLOW,
        py_version="py312",
        instance_type=training.instance_type,
        image_scope="training",
    )


def stop(name: str, target: Target) -> None:
    """Stop the latest job of a plan's name if it has not ended; what refuses is let be, for the caller is ending."""
    with suppress(ClientError, BotoCoreError):
        job = _latest(name, target)
        if job and job["TrainingJobStatus"] == "InProgress":
            _client(target, "sagemaker").stop_training_job(TrainingJobName=job["TrainingJobName"])
            say(f"{job['TrainingJobName']}: stopped")


def follow(name: str, target: Target, ending: threading.Event, whose: str = "") -> tuple[dict[str, Any], list[str]]:
    """Show what a job's script prints, after `whose`, and how it fares until it ends.

    Returns:
        Its description, and the last lines that it printed.

    Raises:
        UserError: `ending` was set.
    """
    client, passed = _client(target, "sagemaker"), 0
    printed = _printed(name, target)
    last: deque[str] = deque(maxlen=LAST_LINES)
    while True:
        job = client.describe_training_job(TrainingJobName=name)
        for line in next(printed):
            say(f"{whose}{line}")
            last.append(line)
        transitions = job.get("SecondaryStatusTransitions", [])
        for transition in transitions[passed:]:
            say(f"{name}: {transition['Status']}")
        passed = len(transitions)
        if job["TrainingJobStatus"] in ("Completed", "Failed", "Stopped"):
            return job, list(last)
        if ending.wait(target.poll_seconds):
            raise UserError(f"the training job {name} was no longer wanted")


def _printed(name: str, target: Target) -> Iterator[list[str]]:
    """What a job's script prints: the first value is what it has so far, each next one what came since.

    A job whose instance was taken away has another log stream on the next.
    """
    client = _client(target, "logs")
    tokens: dict[str, str] = {}
    begun: dict[str, bool] = {}
    while True:
        lines = []
        for stream in _streams(name, client):
            more = True
            while more:
                place = {"nextToken": tokens[stream]} if stream in tokens else {}
                answer = client.get_log_events(
                    logGroupName=LOG_GROUP, logStreamName=stream, startFromHead=True, **place
                )
                for line in (event["message"] for event in answer["events"]):
                    if begun.get(stream) and not line.startswith(ENDS):
                        lines.append(line)
                    elif line.startswith((BEGINS, *ENDS)):
                        begun[stream] = line.startswith(BEGINS)
                more = answer["nextForwardToken"] != tokens.get(stream)
                tokens[stream] = answer["nextForwardToken"]
        yield lines


def last_lines(name: str, target: Target) -> list[str]:
    """The last lines of a job's log, whoever printed them: a script that never began said nothing."""
    client = _client(target, "logs")
    answers = [
        client.get_log_events(logGroupName=LOG_GROUP, logStreamName=stream, limit=LAST_LINES)
        for stream in _streams(name, client)[-1:]
    ]
    return [event["message"] for answer in answers for event in answer["events"]]


def _streams(name: str, client: Any) -> list[str]:
    """A job's log streams, the first first."""
    try:
        found = client.describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")
    except client.exceptions.ResourceNotFoundException:
        return []  # AWS makes the group with the first line of the first job
    return sorted(stream["logStreamName"] for stream in found["logStreams"])


def _forget_checkpoints(wanted: Plan, target: Target) -> None:
    client, where = _client(target, "s3"), {"Bucket": target.hosting.bucket}
    listed = client.list_objects_v2(
        **where, Prefix=f"{PREFIX}/checkpoints/{wanted.checkpoints}/"
    )  # a file a seed: one page
    for one in listed.get("Contents", []):
        client.delete_object(**where, Key=one["Key"])


def _has_result(job: dict[str, Any], target: Target) -> bool:
    bucket, _, key = job["ModelArtifacts"]["S3ModelArtifacts"].removeprefix("s3://").partition("/")
    try:
        _client(target, "s3").head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
            return False
        raise
    return True


def fetch(job: dict[str, Any], folder: Path, target: Target) -> None:
    """Unpack the result of a completed job.

    Raises:
        UserError: it is not there any more, or not what training writes.
    """
    url = job["ModelArtifacts"]["S3ModelArtifacts"]
    bucket, _, key = url.removeprefix("s3://").partition("/")
    with tempfile.TemporaryFile() as archive:
        _client(target, "s3").download_fileobj(bucket, key, archive)
        archive.seek(0)
        try:
            with tarfile.open(fileobj=archive) as tar:
                for name in RESULT:
                    content = tar.extractfile(name)
                    assert content is not None  # noqa: S101 (a folder of that name raises below, too)
                    _write(folder / name, content.read())
        except (tarfile.TarError, KeyError, AssertionError) as error:
            raise UserError(f"{url}: not the result of a training ({error}); remove it and run again") from None


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:  # of a full disk it says that, and not where
        raise OSError(error.errno, error.strerror, str(path)) from None
