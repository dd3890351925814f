"""Commands: python -m fashion_cnn.cloud predict IMAGE | status | undeploy | jobs."""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress_bar import ProgressBar
from rich.table import Table

from fashion_cnn.cloud.costs import bill, cost
from fashion_cnn.cloud.params import PROJECT, Cloud, Deploy, Where
from fashion_cnn.cloud.target import Target, connect
from fashion_cnn.core import params
from fashion_cnn.core.errors import UserError
from fashion_cnn.serving import bodies

# What a file begins with.
SIGNATURES: Final = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
REPORT: Final = Path("reports/deployment.json")
NOT_SERVING: Final = 3  # as the Linux Standard Base has it for `status`
LISTED_JOBS: Final = 20
STATUS_SECONDS: Final = 120  # an embedded SageMaker that just started has to load its models


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 1 for a mistake of the user's; 3 where `status` finds that the endpoint does not serve.
    """
    options = _parser().parse_args(arguments)
    try:
        if options.command == "jobs":
            show_jobs(Console())
            return 0
        changes = {"deploy.target": options.target, "deploy.endpoint": options.endpoint}
        chosen = params.load(Cloud, changes={name: value for name, value in changes.items() if value}).deploy
        match options.command:
            case "predict":
                predict(options.image, chosen)
            case "status":
                return status(chosen)
            case "undeploy":
                undeploy(chosen, everything=options.all)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fashion_cnn.cloud",
        description="Ask the deployed model, remove it, list training jobs; params.yaml says where they are.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, explanation in {
        "predict": "send a picture to the endpoint; print its class and all probabilities",
        "status": f"whether the endpoint serves what {REPORT} says: exit status 0, or {NOT_SERVING}",
        "undeploy": "remove the endpoint and what belongs to it; what this project did not make stays",
    }.items():
        command = commands.add_parser(name, help=explanation, description=explanation)
        command.add_argument("--target", choices=["local", "aws"], help="instead of deploy.target")
        command.add_argument("--endpoint", help="instead of deploy.endpoint")
        if name == "predict":
            command.add_argument("image", type=Path, help="a PNG or JPEG file, a light garment on black")
        if name == "undeploy":
            command.add_argument("--all", action="store_true", help="every endpoint that this project made there")
    explanation = f"the latest {LISTED_JOBS} training jobs of this project, the newest first"
    commands.add_parser("jobs", help=explanation, description=explanation)
    return parser


def predict(image: Path, chosen: Deploy) -> None:
    """Print the class and the probabilities that the endpoint answers to a picture.

    Raises:
        UserError: the file is no picture, nothing is deployed, or the endpoint does not answer.
    """
    body, content_type = read_picture(image)
    answer = ask(connect(chosen), body, content_type)
    (prediction,) = json.loads(answer)["predictions"]
    show(prediction["probabilities"], Console())


def read_picture(path: Path) -> tuple[bytes, str]:
    """A picture file's bytes and content type.

    Raises:
        UserError: it can't be read, is neither PNG nor JPEG, or is too large for a request.
    """
    try:
        body = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: can't be read: {error.strerror}; allowed: a PNG or JPEG file") from None
    content_type = next((kind for start, kind in SIGNATURES.items() if body.startswith(start)), None)
    if content_type is None:
        raise UserError(f"{path}: neither PNG nor JPEG; save the picture as one of them")
    if len(body) > bodies.MAX_BYTES:
        raise UserError(f"{path}: {len(body)} bytes; allowed: up to {bodies.MAX_BYTES}; make the picture smaller")
    return body, content_type


def ask(target: Target, body: bytes, content_type: str) -> bytes:
    """Send a request to the endpoint, by the runtime's client alone: the SageMaker SDK takes five seconds to import.

    Raises:
        UserError: nothing is deployed, or the request was refused or not answered.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (after connect, which imports it)

    client = target.session.client("sagemaker-runtime")
    try:
        answer = client.invoke_endpoint(EndpointName=target.endpoint, Body=body, ContentType=content_type)
        return answer["Body"].read()
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code == "ValidationError" and "not found" in message:
            raise UserError(
                f"the endpoint {target.endpoint} does not exist or is not in service; `dvc repro deploy` deploys it"
            ) from None
        said = error.response.get("OriginalMessage", message)
        raise UserError(f"the endpoint {target.endpoint} did not answer: {code}: {' '.join(said.split())}") from error
    except BotoCoreError as error:
        raise UserError(f"the endpoint {target.endpoint} did not answer: {' '.join(str(error).split())}") from error


def show(probabilities: dict[str, float], console: Console) -> None:
    """Print the most probable class, and every class with its probability and a bar, the most probable first."""
    ranked = sorted(probabilities.items(), key=lambda pair: -pair[1])
    table = Table.grid(padding=(0, 2))
    for name, probability in ranked:
        bar = ProgressBar(total=1, completed=probability, width=40)
        table.add_row(name, f"{probability:8.2%}", bar)
    console.print(f"[bold]{ranked[0][0]}[/bold]\n", highlight=False)
    console.print(table)


def status(chosen: Deploy) -> int:
    """Say whether the endpoint serves what the last deployment reported; DVC can't know: it is no file.

    A report that came from a colleague's store describes an endpoint on the colleague's machine.
    """
    if not REPORT.exists():
        print(f"{REPORT} is not there: nothing was deployed")
        return NOT_SERVING
    expected = json.loads(REPORT.read_text(encoding="utf-8"))["endpoint_config"]
    target = connect(chosen)
    from botocore.exceptions import ClientError, WaiterError  # noqa: PLC0415 (after connect, which imports it)

    client = target.session.client("sagemaker")
    try:
        client.get_waiter("endpoint_in_service").wait(
            EndpointName=target.endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": STATUS_SECONDS}
        )
        serving = client.describe_endpoint(EndpointName=target.endpoint)["EndpointConfigName"]
    except (ClientError, WaiterError) as error:
        print(f"the endpoint {target.endpoint} does not serve: {' '.join(str(error).split())}")
        return NOT_SERVING
    if serving != expected:
        print(f"the endpoint {target.endpoint} serves {serving}, {REPORT} says {expected}")
        return NOT_SERVING
    print(f"the endpoint {target.endpoint} serves {serving}, as {REPORT} says")
    if chosen.target == "local":
        print(f"its page: {client.meta.endpoint_url}")
    return 0


def show_jobs(console: Console) -> None:
    """Print training jobs: name, state, how long they ran, what that cost, and why those that failed did."""
    chosen = params.load(Where).cloud
    client = connect(chosen.place).session.client("sagemaker")
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (after connect, which imports it)

    try:
        listed = client.list_training_jobs(
            NameContains=f"{PROJECT}-", SortBy="CreationTime", SortOrder="Descending", MaxResults=LISTED_JOBS
        )["TrainingJobSummaries"]
        names = [one["TrainingJobName"] for one in listed if one["TrainingJobName"].startswith(f"{PROJECT}-")]
        jobs = [client.describe_training_job(TrainingJobName=name) for name in names]
    except (BotoCoreError, ClientError) as error:
        raise UserError(f"the training jobs can't be listed: {' '.join(str(error).split())}") from error
    if not jobs:
        print("no training job was started yet; `cloud.train: sagemaker` in params.yaml has the arms trained as jobs")
        return
    on_aws = chosen.target == "aws"
    table = Table("job", "state", "seconds", *["billed seconds", "cost"] * on_aws, "reason", box=None, pad_edge=False)
    table.columns[0].no_wrap = True  # names are copied
    for job in jobs:
        state, ended = job["TrainingJobStatus"], job.get("TrainingEndTime") or datetime.now(UTC)
        shown = state if state == job["SecondaryStatus"] else f"{state}: {job['SecondaryStatus']}"
        ran = f"{(ended - job['TrainingStartTime']).total_seconds():.0f}" if "TrainingStartTime" in job else ""
        price = cost(job, chosen)
        paid = [str(job.get("BillableTimeInSeconds", "")), "" if price is None else f"{price:.2f}"]
        table.add_row(job["TrainingJobName"], shown, ran, *paid * on_aws, escape(job.get("FailureReason", "")))
    console.print(table)
    print(bill(jobs, chosen) if on_aws else "on the embedded SageMaker: nothing is paid for")


def undeploy(chosen: Deploy, *, everything: bool) -> None:
    """Remove the endpoint, or every endpoint of this project, and say what was removed.

    Raises:
        UserError: something of the endpoint's name is not this project's, or AWS refuses.
    """
    target = connect(chosen)
    from fashion_cnn.cloud import deployment  # noqa: PLC0415 (the SageMaker SDK takes five seconds)

    others = [name for name in deployment.endpoints(target) if name != target.endpoint]
    for name in [target.endpoint, *(others if everything else [])]:
        removed = deployment.undeploy(target._replace(endpoint=name))
        print("\n".join(f"removed {one}" for one in removed) or f"nothing of the endpoint {name} is left to remove")
    if others and not everything:
        print(f"left: {', '.join(others)}, which this project made too; --all removes them")


if __name__ == "__main__":
    process.run(main)
