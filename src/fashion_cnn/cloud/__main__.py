"""Commands: python -m fashion_cnn.cloud predict IMAGE... | status | undeploy | jobs."""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import json
import re
import sys
from datetime import UTC, datetime
from typing import Final

from rich.console import Console

from fashion_cnn.cloud import answering, asking, pictures
from fashion_cnn.cloud.answering import REPORT
from fashion_cnn.cloud.costs import bill, cost
from fashion_cnn.cloud.params import PROJECT, Cloud, Deploy, Where
from fashion_cnn.cloud.target import connect
from fashion_cnn.core import params
from fashion_cnn.core.errors import UserError

NOT_SERVING: Final = 3  # as the Linux Standard Base has it for `status`
LISTED_JOBS: Final = 20
STATUS_SECONDS: Final = 120  # an embedded SageMaker that just started has to load its models


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 1 for a mistake of the user's, and where a picture has no answer; 3 where `status` finds that the endpoint
        does not serve.
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
                return predict(options, chosen, Console(highlight=False))
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
        "predict": "ask the endpoint about pictures; print the class, and which network answers",
        "status": f"whether the endpoint serves what {REPORT} says: exit status 0, or {NOT_SERVING}",
        "undeploy": "remove the endpoint and what belongs to it; what this project did not make stays",
    }.items():
        command = commands.add_parser(name, help=explanation, description=explanation)
        command.add_argument("--target", choices=["local", "aws"], help="instead of deploy.target")
        command.add_argument("--endpoint", help="instead of deploy.endpoint")
        if name == "predict":
            command.add_argument("image", nargs="+", help="a picture, a folder of pictures, or - for standard input")
            command.add_argument("--as-is", action="store_true", help="no treatment: a light garment on black")
            command.add_argument("--json", action="store_true", help="one JSON document, for programs")
        if name == "undeploy":
            command.add_argument("--all", action="store_true", help="every endpoint that this project made there")
    explanation = f"the latest {LISTED_JOBS} training jobs of this project, the newest first"
    commands.add_parser("jobs", help=explanation, description=explanation)
    return parser


def predict(options: argparse.Namespace, chosen: Deploy, console: Console) -> int:
    """Print what the endpoint says of pictures, which network that is, and whether it is the expected one.

    One picture is shown with all probabilities, several with a line each.

    Returns:
        0; 1 where a picture has no answer.

    Raises:
        UserError: nothing is deployed.
    """
    names = list(pictures.named(options.image))
    target = connect(chosen)
    serves = answering.network(target)
    doubt = answering.doubt(serves, target)
    answers = []
    for name in names:
        answer = asking.ask(name, target, asking.AS_IS if options.as_is else "")
        answers.append(answer)
        if answer.error:
            print(f"error: {asking.on_one_line(answer.image)}: {answer.error}", file=sys.stderr)
        elif not options.json:
            asking.show(answer, console) if len(names) == 1 else print(asking.line(answer), flush=True)
    if options.json:
        network = serves._asdict() | {"endpoint": target.endpoint, "target": chosen.target, "warning": doubt}
        print(json.dumps({"network": network, "pictures": [answer._asdict() for answer in answers]}, indent=2))
    elif any(answer.prediction for answer in answers):
        print(f"answered by {serves} at the endpoint {target.endpoint}, {chosen.target}")
        if doubt:
            print(f"warning: {doubt}", file=sys.stderr)
    return int(any(answer.error for answer in answers))


def status(chosen: Deploy) -> int:
    """Say which network the endpoint serves, and whether it is what the last deployment reported.

    DVC can't know: it is no file. Another clone of this machine may have deployed, or the machine was started again.
    """
    if not REPORT.exists():
        print(f"{REPORT} is not there: nothing was deployed")
        return NOT_SERVING
    target = connect(chosen)
    from botocore.exceptions import ClientError, WaiterError  # noqa: PLC0415 (after connect, which imports it)

    client = target.session.client("sagemaker")
    try:
        client.get_waiter("endpoint_in_service").wait(
            EndpointName=target.endpoint, WaiterConfig={"Delay": 1, "MaxAttempts": STATUS_SECONDS}
        )
    except (ClientError, WaiterError) as error:
        answer = error.last_response if isinstance(error, WaiterError) else error.response
        if answering.missing(answer):
            print(f"the endpoint {target.endpoint} does not exist; {answering.DEPLOY} deploys the candidate")
        else:
            reason = answer.get("FailureReason") or error
            print(f"the endpoint {target.endpoint} does not serve: {' '.join(str(reason).split())}")
        return NOT_SERVING
    serves = answering.network(target)
    if doubt := answering.doubt(serves, target):
        print(f"the endpoint {target.endpoint} serves {serves}; {doubt}")
        return NOT_SERVING
    print(f"The endpoint {target.endpoint} serves, as {REPORT} says: {serves}")
    if chosen.target == "local":
        print(f"Its page: {client.meta.endpoint_url}")
    return 0


def show_jobs(console: Console) -> None:
    """Print training jobs, lines below each other: name; state, duration and cost; why those that failed did."""
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
    for job in jobs:
        state, ended = job["TrainingJobStatus"], job.get("TrainingEndTime") or datetime.now(UTC)
        facts = [state if state == job["SecondaryStatus"] else f"{state}: {job['SecondaryStatus']}"]
        if "TrainingStartTime" in job:
            facts.append(f"{(ended - job['TrainingStartTime']).total_seconds():.0f} seconds")
        if on_aws and "BillableTimeInSeconds" in job:
            facts.append(f"{job['BillableTimeInSeconds']} billed")
        if on_aws and (price := cost(job, chosen)) is not None:
            facts.append(f"cost {price:.2f}")
        lines = [job["TrainingJobName"], f"  {', '.join(facts)}"]
        if "FailureReason" in job:
            lines.append(f"  {_end(job['FailureReason'], console.width - 2)}")
        console.print("\n".join(lines), markup=False, highlight=False, soft_wrap=True)
    print(bill(jobs, chosen) if on_aws else "on the embedded SageMaker: nothing is paid for")


def _end(reason: str, width: int) -> str:
    """A job's reason on one line: the kind of error, and of a long text its end, where the reason stands."""
    text = " ".join(reason.split())
    # SageMaker's drivers tell a script's end by a traceback of their own.
    text = re.sub(r"Traceback \(most recent.*(?=died with |returned non-zero )", "… ", text)
    if len(text) <= width:
        return text
    kind = f"{start[0]}… " if (start := re.match(r"\w+: ", text)) else "… "
    end = text[len(kind) - width :]
    return kind + (end.partition(" ")[2] or end)


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
        answering.forget(name)
    if others and not everything:
        print(f"left: {', '.join(others)}, which this project made too; --all removes them")


if __name__ == "__main__":
    process.run(main)
