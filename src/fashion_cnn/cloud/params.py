"""The sections `deploy` and `cloud` of params.yaml: where what runs, and what AWS is told."""

from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from fashion_cnn.core.params import Count, Flag, Part, Section

PROJECT: Final = "fashion-cnn"  # how everything is named and tagged that this project makes on AWS

TagKey = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128, pattern=r"^[\w .:/=+@-]*$")]
TagValue = Annotated[str, StringConstraints(strict=True, max_length=256, pattern=r"^[\w .:/=+@-]*$")]
AlarmName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255)]


class Serverless(Section):
    """An endpoint without instances of its own.

    Source: docs.aws.amazon.com/sagemaker/latest/APIReference/API_ProductionVariantServerlessConfig.html.
    """

    memory_mb: Annotated[
        int,
        Field(strict=True, ge=1024, le=6144, multiple_of=1024, description="1024, 2048, 3072, 4096, 5120 or 6144"),
    ]
    max_concurrency: Annotated[int, Field(strict=True, ge=1, le=200, description="a whole number from 1 to 200")]


class Aws(Section):
    """Where and how the endpoint runs on AWS. Role, region and bucket are needed there."""

    role: Annotated[
        Annotated[str, StringConstraints(strict=True, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/[\w+=,.@/-]+$")]
        | None,
        Field(description="null or a role's ARN, arn:aws:iam::123456789012:role/NAME"),
    ] = None
    region: Annotated[
        Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")] | None,
        Field(description="null or a region's name, such as eu-west-1"),
    ] = None
    bucket: Annotated[
        Annotated[str, StringConstraints(strict=True, pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")] | None,
        Field(description="null or an S3 bucket's name, without s3://"),
    ] = None
    instance_type: Annotated[
        str,
        Field(strict=True, pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$", description="an instance type such as ml.m5.large"),
    ] = "ml.m5.large"
    instances: Count = 1
    serverless: Annotated[
        Serverless | None,
        Field(description="null or {memory_mb: 1024 to 6144 in steps of 1024, max_concurrency: 1 to 200}"),
    ] = None
    kms_key: Annotated[
        Annotated[str, StringConstraints(strict=True, max_length=2048, pattern=r"^[a-zA-Z0-9:/_-]+$")] | None,
        Field(description="null or a KMS key's ID or ARN, or its alias's"),
    ] = None
    network_isolation: Flag = False
    tags: Annotated[
        dict[TagKey, TagValue],
        Field(max_length=40, description="a mapping of up to 40 names to texts in quotes, none beginning with aws:"),
    ] = {}  # noqa: RUF012 pydantic copies it
    canary_percent: Annotated[
        Annotated[int, Field(strict=True, ge=1, le=50)] | None,
        Field(description="null or a whole number from 1 to 50"),
    ] = None
    alarms: Annotated[
        tuple[AlarmName, ...],
        Field(max_length=10, description="a list of up to 10 names of CloudWatch alarms"),
    ] = ()

    @model_validator(mode="after")
    def _fit_together(self) -> "Aws":
        if self.serverless:
            # Source: docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html, feature exclusions.
            excluded = [name for name in ("network_isolation", "canary_percent", "alarms") if getattr(self, name)]
            excluded += ["instances"] if self.instances != 1 else []
            if excluded:
                raise ValueError(
                    f"deploy.aws.serverless excludes {', '.join(excluded)}; leave them at their defaults, "
                    "or set deploy.aws.serverless to null"
                )
        # The canary is at most half of the new instances.
        # Source: docs.aws.amazon.com/sagemaker/latest/dg/deployment-guardrails-blue-green-canary.html.
        if self.canary_percent and self.instances < 2:
            raise ValueError(
                f"deploy.aws.canary_percent = {self.canary_percent} needs at least 2 instances; "
                f"deploy.aws.instances = {self.instances}"
            )
        reserved = [name for name in self.tags if name == "project" or name.lower().startswith("aws:")]
        if reserved:
            raise ValueError(
                f"deploy.aws.tags names {', '.join(reserved)}; allowed: names that do not begin with aws:, and not "
                "project, which this project sets itself"
            )
        return self


class Deploy(Section):
    """Where the candidate is deployed, and what it must prove there."""

    target: Annotated[Literal["local", "aws"], Field(description="local or aws")] = "local"
    endpoint: Annotated[
        str,
        Field(
            strict=True,
            max_length=50,
            pattern=rf"^{PROJECT}(-[a-zA-Z0-9]+)*$",
            description=f"{PROJECT}, or {PROJECT}- and letters, digits and single hyphens, 50 characters in all",
        ),
    ] = PROJECT
    verify_images: Count = 1000
    tolerance: Annotated[float, Field(strict=True, ge=0, le=1, description="a number from 0 to 1")] = 1e-5
    timeout_minutes: Annotated[float, Field(strict=True, gt=0, le=240, description="a number above 0, up to 240")] = 30
    aws: Aws = Aws()

    @model_validator(mode="after")
    def _aws_is_told_where(self) -> "Deploy":
        missing = [f"deploy.aws.{name}" for name in ("role", "region", "bucket") if getattr(self.aws, name) is None]
        if self.target == "aws" and missing:
            raise ValueError(
                f"deploy.target = 'aws' needs {', '.join(missing)}; docs/deployment.md says how to make them"
            )
        return self


class Cloud(Part):
    """What the stage reads that deploys."""

    deploy: Deploy


class Training(Section):
    """Where the arms are trained. It decides no result, and no trained stage tracks it."""

    train: Annotated[Literal["local", "sagemaker"], Field(description="local or sagemaker")] = "local"
    tries: Annotated[int, Field(strict=True, ge=1, le=10, description="a whole number from 1 to 10")] = 3
    max_jobs: Annotated[int, Field(strict=True, ge=1, le=100, description="a whole number from 1 to 100")] = 4
    timeout_minutes: Annotated[
        float, Field(strict=True, ge=1, le=40320, description="a number from 1 to 40320, four weeks")
    ] = 240
    instance_type: Annotated[
        str,
        Field(strict=True, pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$", description="an instance type such as ml.m5.large"),
    ] = "ml.m5.large"
    spot: Flag = False


class Where(Part):
    """What decides where a stage runs."""

    cloud: Training
