"""One training job from its channels in S3 to its artifacts there, in a container of `container.py`.

Source: docs.aws.amazon.com/sagemaker/latest/dg, "How Amazon SageMaker AI Provides Training Information",
"... Processes Training Output", "Stopping a training job", "Managed Spot Training"; API_DescribeTrainingJob.
"""

import asyncio
import json
import logging
import shutil
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

from botocore.exceptions import BotoCoreError, ClientError

from fashion_cnn.localcloud import s3
from fashion_cnn.localsagemaker import container, hosting

STOP_SECONDS: Final = 120  # between SIGTERM and SIGKILL
SYNC_SECONDS: Final = 1.0  # between looks for new checkpoints
DEFAULT_RUNTIME_SECONDS: Final = 86400
MAX_LOG_BYTES: Final = 64 * 1024**2
MAX_EVENT_BYTES: Final = 256 * 1024  # of one log event
HOST: Final = "algo-1"
CHECKPOINTS: Final = "/opt/ml/checkpoints"
FAILURE_CHARACTERS: Final = 1024
ENDED: Final = ("Completed", "Failed", "Stopped")

log = logging.getLogger("fashion_cnn.localcloud")

Record = dict[str, Any]


class JobError(Exception):
    """Why a job failed, in SageMaker's words where they are known."""


class Settings(NamedTuple):
    """What every job shares.

    Attributes:
        s3: where channels, artifacts and checkpoints are.
        folder: below it, a folder each running job, which the job sees as /opt/ml.
        logs: below it, a folder each job, and in it a file each attempt.
        turns: of the machine's processors; a job holds one while it has a container.
    """

    s3: s3.Settings
    folder: Path
    logs: Path
    turns: asyncio.Semaphore


@dataclass(eq=False)
class Run:
    """A job that has not ended, and what may end it. `seconds` counts those with a container."""

    stop: asyncio.Event = field(default_factory=asyncio.Event)
    interrupt: asyncio.Event = field(default_factory=asyncio.Event)
    seconds: float = 0.0


def enter(job: Record, status: str, message: str) -> None:
    """Change a job's secondary status, and with it the primary one where it follows."""
    now = time.time()
    transitions = job.setdefault("SecondaryStatusTransitions", [])
    if transitions:
        transitions[-1].setdefault("EndTime", now)
    transitions.append({"Status": status, "StartTime": now, "StatusMessage": message})
    job |= {"SecondaryStatus": status, "LastModifiedTime": now}
    if status in (*ENDED, "Stopping"):
        job["TrainingJobStatus"] = status
    elif status in ("MaxRuntimeExceeded", "MaxWaitTimeExceeded"):
        job["TrainingJobStatus"] = "Stopped"
    if job["TrainingJobStatus"] in ENDED:
        transitions[-1]["EndTime"] = now
        if "TrainingStartTime" in job:
            job["TrainingEndTime"] = now


def fail(job: Record, reason: str) -> None:
    """End a job as Failed."""
    job["FailureReason"] = reason[:FAILURE_CHARACTERS]
    enter(job, "Failed", "Training job failed")


async def run(job: Record, under_way: Run, settings: Settings, save: Callable[[], None]) -> None:
    """Bring a job to its end, whichever it is; `save` keeps the record after every change."""

    def change(status: str, message: str) -> None:
        enter(job, status, message)
        save()

    folder = settings.folder / job["TrainingJobName"]
    try:
        await _run(job, under_way, settings, change)
    except JobError as error:
        fail(job, str(error))
    except (BotoCoreError, ClientError, OSError) as error:
        fail(job, f"InternalServerError: {error}")
    except Exception as error:
        log.exception("the training job %s failed", job["TrainingJobName"])
        fail(job, f"InternalServerError: the embedded SageMaker failed: {error!r}; see its sagemaker.log")
    finally:
        job |= _times(job, under_way)
        await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        save()


def _times(job: Record, under_way: Run) -> Record:
    if job["TrainingJobStatus"] not in ENDED or "TrainingStartTime" not in job:
        return {}
    return {name: max(1, round(under_way.seconds)) for name in ("TrainingTimeInSeconds", "BillableTimeInSeconds")}


async def _run(job: Record, under_way: Run, settings: Settings, change: Callable[[str, str], None]) -> None:
    """Attempt by attempt: a spot job whose instance is taken away starts again from its checkpoints."""
    limits = job["StoppingCondition"]
    deadline = job["CreationTime"] + limits.get("MaxWaitTimeInSeconds", float("inf"))
    while True:
        if not await _turn(settings.turns, under_way, deadline, change):
            if under_way.stop.is_set():
                change("Stopped", "Training job stopped")
            else:
                change("MaxWaitTimeExceeded", "Training job waiting time exceeded MaxWaitTimeInSeconds provided")
            return
        started = time.time()
        try:
            end = await _attempt(job, under_way, settings, deadline, change)
        finally:
            settings.turns.release()
            under_way.seconds += time.time() - started
        if end != "interrupt":
            return
        under_way.interrupt.clear()
        change("Interrupted", "Training job interrupted: its spot instance was taken away")
        change("Starting", "Starting the training job")


async def _turn(turns: asyncio.Semaphore, under_way: Run, deadline: float, change: Callable[[str, str], None]) -> bool:
    """Wait until a processor is free, first come, first served; False where the job was to end before."""
    if under_way.stop.is_set():
        return False
    if turns.locked():
        change("Pending", "Waiting for another training job to leave a processor of this machine")
    granted = asyncio.create_task(turns.acquire())
    try:
        await _first({granted, asyncio.create_task(under_way.stop.wait())}, deadline - time.time())
    finally:
        granted.cancel()
        await asyncio.wait({granted})
    if granted.cancelled():
        return False
    if under_way.stop.is_set():
        turns.release()
        return False
    return True


async def _first(tasks: set[asyncio.Task[Any]], seconds: float) -> set[asyncio.Task[Any]]:
    """Wait for the first of them, so long at most; the others, which only wait, are dropped."""
    try:
        done, _ = await asyncio.wait(
            tasks, timeout=None if seconds == float("inf") else max(0.0, seconds), return_when="FIRST_COMPLETED"
        )
        return done
    finally:
        for task in tasks:
            task.cancel()


async def _attempt(
    job: Record, under_way: Run, settings: Settings, deadline: float, change: Callable[[str, str], None]
) -> str:
    """Run the job's container once.

    Returns:
        What ended it: exit, stop, runtime, wait or interrupt.
    """
    folder = settings.folder / job["TrainingJobName"]
    job.setdefault("TrainingStartTime", time.time())
    change("Downloading", "Downloading input data")
    synced = _Synced(job, folder, settings.s3)
    await asyncio.to_thread(_prepare, job, folder, synced, settings.s3)
    if under_way.stop.is_set():
        change("Stopped", "Training job stopped")
        return "stop"
    change("Training", "Training image download completed. Training in progress.")

    written = settings.logs / job["TrainingJobName"] / f"{HOST}-{time.time_ns() // 10**6}.log"
    written.parent.mkdir(parents=True, exist_ok=True)
    process = await _start(job, folder)
    pump = asyncio.create_task(_write_log(process.stdout, written))
    sync = asyncio.create_task(synced.keep())
    exit_ = asyncio.create_task(process.wait())
    waits = {
        "stop": asyncio.create_task(under_way.stop.wait()),
        "interrupt": asyncio.create_task(under_way.interrupt.wait()),
    }
    left = job["StoppingCondition"]["MaxRuntimeInSeconds"] - under_way.seconds
    try:
        done = await _first({exit_, *waits.values()}, min(left, deadline - time.time()))
        if process.returncode is not None:
            end = "exit"
        else:
            end = next((name for name, task in waits.items() if task in done), "")
            end = end or ("runtime" if time.time() < deadline else "wait")
            if end == "interrupt":
                process.kill()
            elif end != "stop":
                change("Stopping", "Stopping the training job")
            await hosting.end(process, STOP_SECONDS)
        await pump
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for task in (sync, pump):
            task.cancel()
        await asyncio.gather(sync, pump, return_exceptions=True)
    if end != "interrupt":  # what was not saved by then is lost with the instance
        await _finish(job, synced, settings, status=process.returncode or 0, end=end, change=change)
    return end


async def _finish(
    job: Record, synced: "_Synced", settings: Settings, *, status: int, end: str, change: Callable[[str, str], None]
) -> None:
    """Upload what the job leaves and say how it ended."""
    folder = settings.folder / job["TrainingJobName"]
    failed = end == "exit" and status != 0
    if not failed:
        change("Uploading", "Uploading generated training model")
    try:
        await asyncio.to_thread(synced.upload)
        await asyncio.to_thread(_upload_artifacts, job, folder, settings.s3, model=not failed)
    except (BotoCoreError, ClientError, OSError) as error:
        raise JobError(f"ClientError: Artifact upload failed: {error}") from error
    if failed:
        raise JobError(f"AlgorithmError: {_said(folder)}, exit code: {status}")
    match end:
        case "exit":
            change("Completed", "Training job completed")
        case "stop":
            change("Stopped", "Training job stopped")
        case "runtime":
            change("MaxRuntimeExceeded", "Training job runtime exceeded MaxRuntimeInSeconds provided")
        case "wait":
            change("MaxWaitTimeExceeded", "Training job waiting time exceeded MaxWaitTimeInSeconds provided")


def _said(folder: Path) -> str:
    """The text of /opt/ml/output/failure; its end, where the reason stands, is kept."""
    failure = folder / "output" / "failure"
    if not failure.is_file():
        return "See job logs for more information"
    return failure.read_text(encoding="utf-8", errors="replace").strip()[-FAILURE_CHARACTERS + 100 :]


# The container


def _prepare(job: Record, folder: Path, synced: "_Synced", store: s3.Settings) -> None:
    """Lay out /opt/ml.

    Source: docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for name in ("input/config", "input/data", "model", "output/data", "code", "home", "tmp"):
        (folder / name).mkdir(parents=True)
    # Drivers and scripts name the Python that they find without quoting it: where it lies, there may be spaces.
    (folder / "python").symlink_to(sys.prefix)
    resources = job["ResourceConfig"]
    group = {"instance_group_name": "homogeneousCluster", "instance_type": resources["InstanceType"], "hosts": [HOST]}
    configuration = {
        "hyperparameters": job.get("HyperParameters", {}),
        "inputdataconfig": {
            channel["ChannelName"]: {
                **({"ContentType": channel["ContentType"]} if "ContentType" in channel else {}),
                "TrainingInputMode": "File",
                "S3DistributionType": "FullyReplicated",
                "RecordWrapperType": "None",
            }
            for channel in job.get("InputDataConfig", [])
        },
        "resourceconfig": {
            "current_host": HOST,
            "current_instance_type": resources["InstanceType"],
            "current_group_name": group["instance_group_name"],
            "hosts": [HOST],
            "instance_groups": [group],
            "network_interface_name": "lo",
        },
    }
    for name, content in configuration.items():
        (folder / "input" / "config" / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    for channel in job.get("InputDataConfig", []):
        url = channel["DataSource"]["S3DataSource"]["S3Uri"]
        try:
            download(url, folder / "input" / "data" / channel["ChannelName"], store)
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            raise JobError(f"ClientError: Data download failed: {url}: {error}") from error
    try:
        synced.download()
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise JobError(f"ClientError: Checkpoint download failed: {error}") from error


async def _start(job: Record, folder: Path) -> asyncio.subprocess.Process:
    algorithm = job["AlgorithmSpecification"]
    environment = {
        "PATH": "/opt/ml/python/bin:/usr/local/bin:/usr/bin:/bin",
        "HOME": "/opt/ml/home",
        "TMPDIR": "/opt/ml/tmp",
        "LANG": "C.UTF-8",
        "AWS_REGION": s3.REGION,
        **job.get("Environment", {}),
        "TRAINING_JOB_NAME": job["TrainingJobName"],
        "TRAINING_JOB_ARN": job["TrainingJobArn"],
    }
    return await asyncio.create_subprocess_exec(
        *_container(folder),
        *algorithm["ContainerEntrypoint"],
        *algorithm.get("ContainerArguments", []),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=environment,
        cwd="/",
    )


def _container(folder: Path) -> list[str]:
    return [sys.executable, "-I", str(Path(container.__file__)), str(folder)]


async def refused() -> str | None:
    """Why this system gives no containers; None where it does."""
    with tempfile.TemporaryDirectory() as folder:
        process = await asyncio.create_subprocess_exec(
            *_container(Path(folder)),
            "true",
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
    return said.decode(errors="replace").strip() or "no container starts" if process.returncode else None


async def _write_log(stream: asyncio.StreamReader | None, path: Path) -> None:
    """Write each line that the container prints with its time, in milliseconds since 1970; no event is empty."""
    assert stream is not None  # noqa: S101 (it is a pipe)
    line, left = b"", MAX_LOG_BYTES
    with path.open("wb", buffering=0) as file:
        while chunk := await stream.read(64 * 1024):
            *whole, line = (line + chunk).split(b"\n")
            if len(line) > MAX_EVENT_BYTES:
                whole, line = [*whole, line], b""
            left -= _write_events(file, whole, left)
        _write_events(file, [line] if line else [], left)


def _write_events(file: Any, lines: list[bytes], left: int) -> int:
    """Write lines where there is room for them; a job must not fill the disk by what it prints."""
    if left <= 0:
        return 0
    now = time.time_ns() // 10**6
    events = b"".join(b"%d %s\n" % (now, line) for line in lines if line)
    if len(events) >= left:
        events = b"%d the embedded SageMaker keeps no more of this log\n" % now
        file.write(events)
        return left
    file.write(events)
    return len(events)


# S3


def objects(url: str, store: s3.Settings) -> Iterator[tuple[str, str, str]]:
    """Bucket and key of every object that begins with s3://bucket/key, and its name below it.

    Raises:
        ValueError: it is no such address.
    """
    bucket, key = hosting.bucket_and_key(url.rstrip("/"))
    prefix = key + "/" if url.endswith("/") else key
    pages = hosting.s3_client(store).get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    for page in pages:
        for one in page.get("Contents", []):
            below = one["Key"].removeprefix(prefix)
            if not below or (not prefix.endswith("/") and not below.startswith("/")):
                below = one["Key"].rpartition("/")[2] if not below else one["Key"][prefix.rfind("/") + 1 :]
            if not one["Key"].endswith("/"):
                yield bucket, one["Key"], below.lstrip("/")


def download(url: str, folder: Path, store: s3.Settings) -> list[Path]:
    """Bring every object that begins with a URL, as a channel shows them."""
    folder.mkdir(parents=True, exist_ok=True)
    brought = []
    for bucket, key, name in objects(url, store):
        if ".." in Path(name).parts:
            raise ValueError(f"the key {key} leads out of its folder")
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = hosting.s3_client(store).get_object(Bucket=bucket, Key=key)["Body"]
        with path.open("wb") as file:
            shutil.copyfileobj(content, file, 1024**2)
        brought.append(path)
    return brought


def upload(path: Path, url: str, store: s3.Settings) -> None:
    """Put a file where an address of the form s3://bucket/key says."""
    bucket, key = hosting.bucket_and_key(url)
    with path.open("rb") as file:
        hosting.s3_client(store).put_object(Bucket=bucket, Key=key, Body=file)


def artifact(job: Record, name: str) -> str:
    """Where an artifact of a job goes."""
    return f"{job['OutputDataConfig']['S3OutputPath'].rstrip('/')}/{job['TrainingJobName']}/output/{name}"


def _upload_artifacts(job: Record, folder: Path, store: s3.Settings, *, model: bool) -> None:
    bucket, _ = hosting.bucket_and_key(artifact(job, "model.tar.gz"))
    hosting.s3_client(store).head_bucket(Bucket=bucket)  # the store would make one that is missing
    data = folder / "output" / "data"
    for source, name, wanted in (
        (folder / "model", "model.tar.gz", model),
        (data, "output.tar.gz", any(data.iterdir())),
    ):
        if wanted:
            packed = folder / name
            with tarfile.open(packed, "w:gz", compresslevel=1) as tar:
                for path in sorted(source.iterdir()):
                    tar.add(path, path.name)
            upload(packed, artifact(job, name), store)


class _Synced:
    """The folder of checkpoints and its copy in S3, which it follows file by file; what goes here stays there."""

    def __init__(self, job: Record, folder: Path, store: s3.Settings) -> None:
        config = job.get("CheckpointConfig", {})
        self.url = config.get("S3Uri", "").rstrip("/")
        self.folder = folder / Path(config.get("LocalPath", CHECKPOINTS)).relative_to("/opt/ml")
        self.store = store
        self.sent: dict[Path, tuple[int, int]] = {}

    def download(self) -> None:
        """Bring what an earlier attempt, or an earlier job, left."""
        if self.url:
            self.folder.mkdir(parents=True, exist_ok=True)
            for path in download(f"{self.url}/", self.folder, self.store):
                self.sent[path] = _mark(path)

    def upload(self) -> None:
        """Upload the files that are new or changed."""
        if not self.url:
            return
        for path in sorted(self.folder.rglob("*")):
            try:
                mark = _mark(path)
                if path.is_file() and self.sent.get(path) != mark:
                    upload(path, f"{self.url}/{path.relative_to(self.folder).as_posix()}", self.store)
                    self.sent[path] = mark
            except FileNotFoundError:  # renamed meanwhile: the next look finds it by its other name
                continue

    async def keep(self) -> None:
        """Upload checkpoints while they appear, until cancelled; a look that fails is made up for by the next."""
        while True:
            await asyncio.sleep(SYNC_SECONDS)
            try:
                await asyncio.to_thread(self.upload)
            except (BotoCoreError, ClientError, OSError) as error:
                log.warning("checkpoints in %s: %s", self.folder, error)


def _mark(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_mtime_ns, status.st_size
