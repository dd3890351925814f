"""Asking the endpoint about pictures, and showing what it says.

SageMaker's runtime is asked by its client alone: the SDK takes five seconds to import.
"""

import json
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress_bar import ProgressBar
from rich.table import Table

from fashion_cnn.cloud import answering, pictures
from fashion_cnn.cloud.target import Target
from fashion_cnn.cloud.verification import AS_IS
from fashion_cnn.core.errors import UserError


class Answer(NamedTuple):
    """What the endpoint said of a picture.

    Attributes:
        image: the picture's name.
        prediction: the endpoint's, as serving/inference.py describes it; empty where there is an error.
        error: why there is no prediction, in one line.
        made_smaller: what was done to send the picture; empty where nothing was.
    """

    image: str
    prediction: dict[str, Any]
    error: str = ""
    made_smaller: str = ""

    @property
    def remarks(self) -> list[str]:
        """What was done with the picture, and warnings."""
        picture = self.prediction.get("picture", {})
        warnings = [f"warning: {warning['message']}" for warning in picture.get("warnings", [])]
        return [remark for remark in (self.made_smaller, picture.get("done", ""), *warnings) if remark]


def ask(name: str, target: Target, attributes: str) -> Answer:
    """Ask the endpoint about a picture.

    Args:
        name: of a file, or - for standard input.
        target: where to.
        attributes: custom attributes of the request, as serving/inference.py knows them.
    """
    made_smaller = ""
    try:
        body, content_type, made_smaller = pictures.read(name)
        said = invoke(target, body, content_type, attributes)
    except UserError as error:
        advised = str(error)
        if advised.endswith(attribute := f"the attribute {AS_IS}"):  # which nobody can send from a command line
            advised = f"{advised.removesuffix(attribute)}--as-is"
        return Answer(name, {}, error=advised, made_smaller=made_smaller)
    (prediction,) = json.loads(said)["predictions"]
    return Answer(name, prediction, made_smaller=made_smaller)


def invoke(target: Target, body: bytes, content_type: str, attributes: str = "") -> bytes:
    """Send a request to the endpoint.

    Raises:
        UserError: nothing is deployed, or the request was refused or not answered.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (after connect, which imports it)

    client = target.session.client("sagemaker-runtime")
    more = {"CustomAttributes": attributes} if attributes else {}
    try:
        answer = client.invoke_endpoint(EndpointName=target.endpoint, Body=body, ContentType=content_type, **more)
        return answer["Body"].read()
    except ClientError as error:
        code, message = error.response["Error"]["Code"], error.response["Error"]["Message"]
        if code == "ValidationError" and "not found" in message:
            raise UserError(
                f"the endpoint {target.endpoint} does not exist or is not in service; "
                f"{answering.DEPLOY} deploys the candidate"
            ) from None
        said = " ".join(error.response.get("OriginalMessage", message).split())
        if 400 <= error.response.get("OriginalStatusCode", 0) < 500:
            raise UserError(_description(said)) from None
        raise UserError(f"the endpoint {target.endpoint} failed: {code}: {said}") from error
    except BotoCoreError as error:
        raise UserError(f"the endpoint {target.endpoint} did not answer: {' '.join(str(error).split())}") from error


def _description(said: str) -> str:
    """What a handler says of a request, less the status around it."""
    try:
        return str(json.loads(said)["description"])
    except (ValueError, KeyError, TypeError):
        return said


def on_one_line(name: str) -> str:
    """A file's name with what does not print, such as a new line, escaped."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in name)


def line(answer: Answer) -> str:
    """A picture's class, its probability and what was done, in a line."""
    name = answer.prediction["class"]
    probability = answer.prediction["probabilities"][name]
    return "; ".join([f"{on_one_line(answer.image)}: {name}, {probability:.1%}", *answer.remarks])


def show(answer: Answer, console: Console) -> None:
    """Print the most probable class, every class with its probability and a bar, and what was done."""
    ranked = sorted(answer.prediction["probabilities"].items(), key=lambda pair: -pair[1])
    table = Table.grid(padding=(0, 2))
    for name, probability in ranked:
        table.add_row(name, f"{probability:8.2%}", ProgressBar(total=1, completed=probability, width=40))
    console.print(f"[bold]{ranked[0][0]}[/bold]\n")
    console.print(table)
    for remark in answer.remarks:
        console.print(remark, markup=False)
    console.print()
