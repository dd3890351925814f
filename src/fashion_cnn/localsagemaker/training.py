"""SageMaker's operations on training jobs, and those of CloudWatch Logs with which their logs are read."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

from fashion_cnn.localcloud import s3
from fashion_cnn.localsagemaker import jobs, operations
from fashion_cnn.localsagemaker.jobs import ENDED, Run
from fashion_cnn.localsagemaker.operations import TRAINING_JOB, Cloud, Record, arn, members
from fashion_cnn.localsagemaker.protocol import ACCOUNT, AwsError

LOG_GROUP: Final = "/aws/sagemaker/TrainingJobs"
MAX_ANSWER_BYTES: Final = 1024**2  # of one GetLogEvents
MAX_EVENTS: Final = 10_000
TOKEN: Final = re.compile(r"(?P<direction>[fb])/(?P<offset>\d{1,15})")


def find(cloud: Cloud, request: Record) -> Record:
    """The record of the job that a request names.

    Raises:
        AwsError: there is none.
    """
    try:
        return cloud.state[TRAINING_JOB.name][request[TRAINING_JOB.key]]
    except KeyError:
        raise AwsError("ValidationException", "Requested resource not found.") from None


async def create_training_job(cloud: Cloud, request: Record) -> Record:
    """CreateTrainingJob: answers at once; the job follows."""
    name = request[TRAINING_JOB.key]
    if name.lower() in map(str.lower, cloud.state[TRAINING_JOB.name]):
        message = (
            "Training job names must be unique within an AWS account and region, and a training job with this name "
            f"already exists ({arn(TRAINING_JOB, name)})"
        )
        raise AwsError("ResourceInUse", message)
    limits = _check(request)
    if reason := await jobs.refused():
        raise AwsError("ValidationException", f"The embedded SageMaker starts no container: {reason}.")
    for channel in request.get("InputDataConfig", []):
        await _require_data(channel["DataSource"]["S3DataSource"]["S3Uri"], request["RoleArn"], cloud.jobs.s3)
    answer = operations.create(cloud, TRAINING_JOB, request)
    job = find(cloud, request)
    job |= {
        "TrainingJobStatus": "InProgress",
        "StoppingCondition": limits,
        "ModelArtifacts": {"S3ModelArtifacts": jobs.artifact(job, "model.tar.gz")},
    }
    begin(cloud, job)
    return answer


def _check(request: Record) -> Record:
    """What the shape of a request does not say.

    Returns:
        The stopping condition, with its default.

    Raises:
        AwsError: something is missing or does not fit together.
    """
    algorithm = request.get("AlgorithmSpecification", {})
    resources = request.get("ResourceConfig", {})
    if "TrainingImage" not in algorithm or "ContainerEntrypoint" not in algorithm:
        message = (
            "The embedded SageMaker needs AlgorithmSpecification with TrainingImage and ContainerEntrypoint: it runs "
            "no image, and can't know what one would start"
        )
        raise AwsError("ValidationException", message)
    if missing := {"InstanceType", "InstanceCount", "VolumeSizeInGB"} - resources.keys():
        raise AwsError("ValidationException", f"ResourceConfig lacks {', '.join(sorted(missing))}")
    channels = [channel["ChannelName"] for channel in request.get("InputDataConfig", [])]
    if len(set(channels)) < len(channels):
        raise AwsError("ValidationException", "InputDataConfig: a ChannelName occurs twice")
    for name in channels:
        if "S3DataSource" not in next(
            one["DataSource"] for one in request["InputDataConfig"] if one["ChannelName"] == name
        ):
            raise AwsError("ValidationException", f"InputDataConfig: {name} lacks S3DataSource")
    path = Path(request.get("CheckpointConfig", {}).get("LocalPath", jobs.CHECKPOINTS))
    if not path.is_relative_to("/opt/ml") or path == Path("/opt/ml") or ".." in path.parts:
        message = f"CheckpointConfig: LocalPath = {path}; the embedded SageMaker knows folders below /opt/ml"
        raise AwsError("ValidationException", message)
    limits = {"MaxRuntimeInSeconds": jobs.DEFAULT_RUNTIME_SECONDS} | request.get("StoppingCondition", {})
    waits = limits.get("MaxWaitTimeInSeconds")
    if request.get("EnableManagedSpotTraining"):
        if waits is None or waits < limits["MaxRuntimeInSeconds"]:
            message = (
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
            raise AwsError("ValidationException", message)
    elif waits is not None:
        message = "Invalid MaxWaitTimeInSeconds. It is allowed with EnableManagedSpotTraining alone"
        raise AwsError("ValidationException", message)
    if any("\0" in value for value in request.get("Environment", {}).values()):
        raise AwsError("ValidationException", "Environment: no process can be given a NUL character.")
    return limits


async def _require_data(url: str, role: str, store: s3.Settings) -> None:
    def exists() -> bool:
        return next(jobs.objects(url, store), None) is not None

    try:
        found = await asyncio.to_thread(exists)
    except ValueError as error:
        raise AwsError("ValidationException", f"InputDataConfig: {url}: {error}") from None
    except (BotoCoreError, ClientError):
        found = False
    if not found:
        bucket = url.removeprefix("s3://").partition("/")[0]
        message = (
            f'No S3 objects found under S3 URL "{url}" given in input data source. Please ensure that the bucket '
            f"exists in the selected region ({s3.REGION}), that objects exist under that S3 prefix, and that the role "
            f'"{role}" has "s3:ListBucket" permissions on bucket "{bucket}".'
        )
        raise AwsError("ValidationException", message)


def begin(cloud: Cloud, job: Record) -> None:
    """Run a job in the background."""
    name = job["TrainingJobName"]
    under_way = cloud.runs[name] = Run()

    async def run() -> None:
        try:
            await jobs.run(job, under_way, cloud.jobs, cloud.save)
        finally:
            del cloud.runs[name]

    jobs.enter(job, "Starting", "Starting the training job")
    cloud.save()
    cloud.run(run())


async def describe_training_job(cloud: Cloud, request: Record) -> Record:
    """DescribeTrainingJob."""
    return members(find(cloud, request), "DescribeTrainingJob")


async def stop_training_job(cloud: Cloud, request: Record) -> Record:
    """StopTrainingJob: answers at once; what the job has by then is uploaded."""
    job = find(cloud, request)
    if job["TrainingJobStatus"] in ENDED:
        message = f"The request was rejected because the training job is in status {job['TrainingJobStatus']}."
        raise AwsError("ValidationException", message)
    if job["TrainingJobStatus"] != "Stopping":
        jobs.enter(job, "Stopping", "Stopping the training job")
        cloud.save()
        cloud.runs[job["TrainingJobName"]].stop.set()
    return {}


def interrupt_spot(cloud: Cloud) -> None:
    """Take the instances of all spot jobs away, as happens on AWS at any time."""
    for name, under_way in cloud.runs.items():
        if cloud.state[TRAINING_JOB.name][name].get("EnableManagedSpotTraining"):
            under_way.interrupt.set()


def recover(cloud: Cloud) -> None:
    """Go on with the jobs that waited, or can be interrupted; end the others, with the reason."""
    for job in cloud.state[TRAINING_JOB.name].values():
        if job["TrainingJobStatus"] == "Stopping":
            jobs.enter(job, "Stopped", "Training job stopped")
        elif job["TrainingJobStatus"] == "InProgress":
            if job["SecondaryStatus"] in ("Starting", "Pending", "Interrupted") or job.get("EnableManagedSpotTraining"):
                begin(cloud, job)
            else:
                jobs.fail(job, "InternalServerError: The embedded SageMaker ended while the job ran. Please try again.")
    cloud.save()


# CloudWatch Logs


def _streams(cloud: Cloud, request: Record) -> dict[str, Path]:
    if request.get("logGroupName") != LOG_GROUP:
        raise AwsError("ResourceNotFoundException", "The specified log group does not exist.")
    return {f"{path.parent.name}/{path.stem}": path for path in cloud.jobs.logs.glob("*/*.log")}


async def describe_log_streams(cloud: Cloud, request: Record) -> Record:
    """DescribeLogStreams, by name: JOB/algo-1-MILLISECONDS; the token is the last name of the page before."""
    streams = _streams(cloud, request)
    prefix, after = request.get("logStreamNamePrefix", ""), request.get("nextToken", "")
    names = sorted(name for name in streams if name.startswith(prefix) and name > after)
    page = names[: request.get("limit", 50)]
    return {
        "logStreams": [
            {
                "logStreamName": name,
                "creationTime": int(name.rpartition("-")[2]),
                "arn": f"arn:aws:logs:{s3.REGION}:{ACCOUNT}:log-group:{LOG_GROUP}:log-stream:{name}",
            }
            for name in page
        ],
        **({"nextToken": page[-1]} if len(page) < len(names) else {}),
    }


async def get_log_events(cloud: Cloud, request: Record) -> Record:
    """GetLogEvents; a token names a place in the log and the direction to read in from there."""
    path = _streams(cloud, request).get(request["logStreamName"])
    if path is None:
        raise AwsError("ResourceNotFoundException", "The specified log stream does not exist.")
    size = path.stat().st_size
    place = TOKEN.fullmatch(request.get("nextToken", "f/0" if request.get("startFromHead") else f"b/{size}"))
    if not place:
        raise AwsError("InvalidParameterException", "The specified nextToken is invalid.")
    forward, offset = place["direction"] == "f", min(int(place["offset"]), size)
    start = offset if forward else max(0, offset - MAX_ANSWER_BYTES)
    with path.open("rb") as file:
        file.seek(start)
        content = file.read(MAX_ANSWER_BYTES if forward else offset - start)
    lines = re.findall(rb"[^\n]*\n", content)  # one that has no end yet is still being written
    if start and not forward:
        start += len(lines.pop(0)) if lines else 0
    limit = request.get("limit", MAX_EVENTS)
    if forward:
        lines = lines[:limit]
    elif len(lines) > limit:
        start += sum(map(len, lines[:-limit]))
        lines = lines[-limit:]
    return {
        "events": [
            event
            for event in map(_event, lines)
            if request.get("startTime", 0) <= event["timestamp"] < request.get("endTime", float("inf"))
        ],
        "nextForwardToken": f"f/{start + sum(map(len, lines))}",
        "nextBackwardToken": f"b/{start}",
    }


def _event(line: bytes) -> Record:
    time, _, message = line.removesuffix(b"\n").partition(b" ")
    return {"timestamp": int(time), "ingestionTime": int(time), "message": message.decode(errors="replace")}


Operation = Callable[[Cloud, Record], Awaitable[Record]]
OPERATIONS: Final[dict[str, Operation]] = {
    "CreateTrainingJob": create_training_job,
    "DescribeTrainingJob": describe_training_job,
    "ListTrainingJobs": partial(operations.list_resources, TRAINING_JOB),
    "StopTrainingJob": stop_training_job,
}
LOG_OPERATIONS: Final[dict[str, Operation]] = {
    "DescribeLogStreams": describe_log_streams,
    "GetLogEvents": get_log_events,
}
