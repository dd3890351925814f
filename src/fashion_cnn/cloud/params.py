"""The sections `deploy` and `cloud` of params.yaml: where what runs, and what AWS is told."""

import os
from typing import Annotated, Final, Literal

from pydantic import Field, StringConstraints, model_validator

from fashion_cnn.core.params import Count, Flag, Part, Section

PROJECT: Final = "fashion-cnn"  # how everything is named and tagged that this project makes on AWS
WHERE: Final = "FASHION_CNN_TRAIN"  # in the environment: instead of cloud.train
TRYING_AGAIN: Final = "trying again"  # in what is said of a job that failed and is followed by another
DOCS: Final = {"deploy": "docs/deployment.md", "cloud": "docs/training-on-sagemaker.md"}  # of both sections

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


class Account(Section):
    """Whose AWS, and where in it. Role, region and bucket are needed there."""

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
    kms_key: Annotated[
        Annotated[str, StringConstraints(strict=True, max_length=2048, pattern=r"^[a-zA-Z0-9:/_-]+$")] | None,
        Field(description="null or a KMS key's ID or ARN, or its alias's"),
    ] = None
    tags: Annotated[
        dict[TagKey, TagValue],
        Field(max_length=40, description="a mapping of up to 40 names to texts in quotes, none beginning with aws:"),
    ] = {}  # noqa: RUF012 pydantic copies it

    def check(self, section: str, *, needed: bool) -> None:
        """Refuse what the fields by themselves allow.

        Args:
            section: how params.yaml names this one.
            needed: whether something is to run there.

        Raises:
            ValueError: a tag is reserved, or what AWS needs is missing.
        """
        reserved = [name for name in self.tags if name == "project" or name.lower().startswith("aws:")]
        if reserved:
            raise ValueError(
                f"{section}.aws.tags names {', '.join(reserved)}; allowed: names that do not begin with aws:, and not "
                "project, which this project sets itself"
            )
        missing = [f"{section}.aws.{name}" for name in ("role", "region", "bucket") if getattr(self, name) is None]
        if needed and missing:
            raise ValueError(
                f"{section}.target = 'aws' needs {', '.join(missing)}; {DOCS[section]} says how to make them"
            )


class Aws(Account):
    """Where and how the endpoint runs on AWS."""

    instance_type: Annotated[
        str,
        Field(strict=True, pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$", description="an instance type such as ml.m5.large"),
    ] = "ml.m5.large"
    instances: Count = 1
    serverless: Annotated[
        Serverless | None,
        Field(description="null or {memory_mb: 1024 to 6144 in steps of 1024, max_concurrency: 1 to 200}"),
    ] = None
    network_isolation: Flag = False
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
        self.aws.check("deploy", needed=self.target == "aws")
        return self


class Cloud(Part):
    """What the stage reads that deploys."""

    deploy: Deploy


class TrainingAws(Account):
    """Where and how training jobs run on AWS."""

    volume_gb: Annotated[int, Field(strict=True, ge=1, le=16384, description="a whole number from 1 to 16384")] = 30
    price_per_hour: Annotated[
        Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False)] | None,
        Field(description="null or a number above 0: what an hour of cloud.instance_type costs you"),
    ] = None
    network_isolation: Annotated[
        Literal[False],
        Field(description="false: a job installs this project's exact versions over the network"),
    ] = False


class Training(Section):
    """Where the arms are trained. It decides no result, and no trained stage tracks it."""

    train: Annotated[Literal["local", "sagemaker"], Field(description="local or sagemaker")] = "local"
    target: Annotated[Literal["local", "aws"], Field(description="local or aws")] = "local"
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
    aws: TrainingAws = TrainingAws()

    @model_validator(mode="after")
    def _aws_is_told_where(self) -> "Training":
        self.aws.check("cloud", needed=self.target == "aws")
        return self

    @property
    def trains_elsewhere(self) -> bool:
        """Whether arms are trained as jobs: a study that was told where says so to its stages, not to params.yaml."""
        return (os.environ.get(WHERE) or self.train) == "sagemaker"

    @property
    def place(self) -> Deploy:
        """The same account for whoever connects to it; what an endpoint runs on is of no meaning there."""
        account = self.aws.model_dump(include=set(Account.model_fields))
        return Deploy(target=self.target, aws=Aws.model_validate(account))


class Where(Part):
    """What decides where a stage runs."""

    cloud: Training
