"""Which network answers at an endpoint, and whether it is the one that reports/deployment.json says.

SageMaker is asked by its client alone: the SDK takes five seconds to import.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from fashion_cnn.cloud.params import PROJECT
from fashion_cnn.cloud.target import Target
from fashion_cnn.core.errors import UserError

REPORT: Final = Path("reports/deployment.json")
# Tags of an endpoint configuration, named so that no tag of a person's own is meant.
KERNEL: Final = f"{PROJECT}:kernel"
TEST_ACCURACY: Final = f"{PROJECT}:test_accuracy"
DEPLOY: Final = "`make deploy`"  # unlike `dvc repro deploy`, it asks no report whether there is something to do


class Network(NamedTuple):
    """What is known of a deployed network.

    Attributes:
        deployment: the endpoint configuration's name, which its archive and its hosting decide.
        kernel: size of its kernels; None where the deployment does not say.
        test_accuracy: share of the test images that it recognises; None where the deployment does not say.
    """

    deployment: str
    kernel: int | None
    test_accuracy: float | None

    def __str__(self) -> str:
        """Such as `a CNN with 3×3 kernels, test accuracy 0.9096 (fashion-cnn-0123456789ab)`."""
        if self.kernel is None or self.test_accuracy is None:
            return f"{self.deployment}, which does not say what network it is,"
        accuracy = f"test accuracy {self.test_accuracy:.4f}"
        return f"a CNN with {self.kernel}×{self.kernel} kernels, {accuracy} ({self.deployment})"


def labels(measured: dict[str, Any]) -> dict[str, str]:
    """Tags that tell which network is deployed, made of `candidate` in reports/metrics.json."""
    return {KERNEL: str(measured["kernel"]), TEST_ACCURACY: str(measured["test_accuracy"])}


def missing(answer: Mapping[str, Any]) -> bool:
    """Whether SageMaker answered that there is no such endpoint."""
    return "Could not find" in answer.get("Error", {}).get("Message", "")


def network(target: Target) -> Network:
    """The network that an endpoint serves.

    Raises:
        UserError: nothing is deployed there, or SageMaker does not say.
    """
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (after connect, which imports it)

    client = target.session.client("sagemaker")
    try:
        name = client.describe_endpoint(EndpointName=target.endpoint)["EndpointConfigName"]
        arn = client.describe_endpoint_config(EndpointConfigName=name)["EndpointConfigArn"]
        tags = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]}
    except ClientError as error:
        said = error.response["Error"]
        if missing(error.response):
            raise UserError(f"the endpoint {target.endpoint} does not exist; {DEPLOY} deploys the candidate") from None
        raise UserError(
            f"which network answers at {target.endpoint} is not known: {error.operation_name}: {said['Code']}: "
            f"{' '.join(said['Message'].split())}"
        ) from error
    except BotoCoreError as error:
        raise UserError(f"SageMaker did not answer: {' '.join(str(error).split())}") from error
    if not tags.keys() >= {KERNEL, TEST_ACCURACY}:
        return Network(name, None, None)
    return Network(name, int(tags[KERNEL]), float(tags[TEST_ACCURACY]))


def doubt(serves: Network, target: Target) -> str | None:
    """Why the network that answers is not the one of this clone's last deployment; None where it is."""
    report = _reported()
    if report is None:
        return f"this clone has deployed nothing ({REPORT} is not there); {DEPLOY} deploys its candidate"
    if report["endpoint"] is None:
        return f"{REPORT} is an experiment's, which deploys nothing; {DEPLOY} deploys what is in the workspace"
    if report["endpoint"] != target.endpoint:
        return f"{REPORT} is of another endpoint, {report['endpoint']}"
    if report["endpoint_config"] != serves.deployment:
        said = Network(report["endpoint_config"], report["kernel"], report["test_accuracy"])
        return f"{REPORT} says {said}, and another was deployed since; {DEPLOY} deploys this clone's candidate"
    return None


def forget(endpoint: str) -> None:
    """Remove the report of an endpoint that is no more, so that `dvc repro` deploys again."""
    report = _reported()
    if report and report["endpoint"] == endpoint:
        REPORT.unlink()


def _reported() -> dict[str, Any] | None:
    try:
        return dict(json.loads(REPORT.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except ValueError:
        raise UserError(f"{REPORT}: not what a deployment wrote; {DEPLOY} writes it anew") from None
