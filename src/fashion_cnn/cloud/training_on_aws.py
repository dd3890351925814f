"""What training jobs need on AWS and nowhere else: a preflight, and the exact packages."""

import importlib.metadata
import tomllib
from functools import partial
from pathlib import Path
from typing import Final

from fashion_cnn.cloud import preflight, training
from fashion_cnn.cloud.params import Training
from fashion_cnn.cloud.target import Target

QUOTAS: Final = "https://console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas"
LONGEST: Final = "Longest run time for a training job"  # in seconds
# What the packaged code imports beside the packages that decide the weights. AWS's image has other versions, or none.
PACKAGES: Final = ("pydantic", "ruamel.yaml")


def require(chosen: Training, target: Target, jobs: int) -> None:
    """Check credentials, region, image, role, bucket, encryption key and quotas. Asks only, changes nothing.

    Args:
        chosen: what the jobs run on.
        target: where.
        jobs: that will be wanted in all.

    Raises:
        UserError: names everything that is missing, at once.
    """
    preflight.check(
        target,
        "cloud",
        "train",
        here=[partial(_image, chosen)],
        there=[partial(_quotas, chosen, min(jobs, chosen.max_jobs))],
    )


def _image(chosen: Training, target: Target, _section: str) -> list[str]:
    try:
        training.image(chosen, target)
    except ValueError as error:
        return [
            f"the SageMaker SDK knows no image to train TensorFlow {training.TENSORFLOW} for cloud.aws.region = "
            f"{target.hosting.region}, cloud.instance_type = {chosen.instance_type}: {' '.join(str(error).split())}"
        ]
    return []


def _quotas(chosen: Training, at_a_time: int, target: Target, _section: str) -> list[str]:
    """What of the account's quotas is too low; how much of them other work uses up is not known before a job starts."""
    name = f"{chosen.instance_type} for {'spot ' if chosen.spot else ''}training job usage"
    allowed = _values(target, {name, LONGEST})
    problems = []
    if name not in allowed:
        problems.append(
            f"cloud.instance_type = {chosen.instance_type}: {target.hosting.region} has no quota {name!r}, so no such "
            "instance trains there"
        )
    elif allowed[name] < at_a_time:
        problems.append(
            f"cloud.max_jobs = {chosen.max_jobs}: {at_a_time} at a time are wanted, and your quota {name!r} is "
            f"{allowed[name]:g}; lower cloud.max_jobs, or ask for more: {QUOTAS}"
        )
    if chosen.timeout_minutes * 60 > allowed.get(LONGEST, float("inf")):
        problems.append(
            f"cloud.timeout_minutes = {chosen.timeout_minutes:g}: your quota {LONGEST!r} is "
            f"{allowed[LONGEST] / 60:g} minutes"
        )
    return problems


def _values(target: Target, names: set[str]) -> dict[str, float]:
    """The account's quotas of these names; AWS's default, where the account has no value of its own."""
    client = target.session.client("service-quotas")
    found: dict[str, float] = {}
    for operation in ("list_service_quotas", "list_aws_default_service_quotas"):
        for page in client.get_paginator(operation).paginate(ServiceCode="sagemaker"):
            for quota in page["Quotas"]:
                if quota["QuotaName"] in names:
                    found.setdefault(quota["QuotaName"], quota["Value"])
            if found.keys() == names:
                return found
    return found


def write_requirements(source: Path) -> None:
    """Have a job install the versions that decide the weights, and those of what else the packaged code imports.

    AWS's image for processors has TensorFlow as the package tensorflow-cpu; pip puts the pinned one over it.
    Source: github.com/aws/deep-learning-containers, docker/tensorflow/training/2.21, commit 402dc7a7e9.

    Args:
        source: what is packaged, pyproject.toml among it.
    """
    project = tomllib.loads((source / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = project["optional-dependencies"]["train"] + [f"{one}=={importlib.metadata.version(one)}" for one in PACKAGES]
    (source / training.REQUIREMENTS).write_text("\n".join(pins) + "\n", encoding="utf-8")
