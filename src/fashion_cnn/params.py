"""params.yaml, typed and checked, once. Every stage loads all of it, so that no mistake waits for a later stage."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fashion_cnn.errors import UserError
from fashion_cnn.fashion_mnist import IMAGE_SIZE

PROJECT: Final = "fashion-cnn"  # how everything is named and tagged that this project makes on AWS

# Every description says what is allowed: it becomes part of the error message.
Kernel = Annotated[
    int, Field(strict=True, ge=1, lt=IMAGE_SIZE, description=f"a whole number from 1 to {IMAGE_SIZE - 1}")
]
Count = Annotated[int, Field(strict=True, ge=1, description="a whole number from 1")]
OptionalCount = Annotated[
    Annotated[int, Field(strict=True, ge=1)] | None, Field(description="null or a whole number from 1")
]
Dropout = Annotated[float, Field(strict=True, ge=0, lt=1, description="a number from 0 up to, but not including, 1")]
Flag = Annotated[bool, Field(strict=True, description="true or false")]
TagKey = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=128, pattern=r"^[\w .:/=+@-]*$")]
TagValue = Annotated[str, StringConstraints(strict=True, max_length=256, pattern=r"^[\w .:/=+@-]*$")]
AlarmName = Annotated[str, StringConstraints(strict=True, min_length=1, max_length=255)]


class Section(BaseModel):
    """A part of params.yaml: unknown names are refused, values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Data(Section):
    """Which images the experiment sees."""

    validation_fraction: Annotated[
        float, Field(strict=True, gt=0, lt=1, description="a number between 0 and 1, both excluded")
    ]
    limit: OptionalCount
    permute_pixels: Flag


class Train(Section):
    """How every network is fitted."""

    seeds: Count
    epochs: Count
    batch_size: Count
    optimizer: Annotated[Literal["adam", "adamw", "rmsprop", "sgd"], Field(description="adam, adamw, rmsprop or sgd")]
    learning_rate: Annotated[float, Field(strict=True, gt=0, allow_inf_nan=False, description="a number above 0")]
    schedule: Annotated[Literal["constant", "cosine"], Field(description="constant or cosine")]
    precision: Annotated[
        Literal["auto", "float32", "mixed_bfloat16"], Field(description="auto, float32 or mixed_bfloat16")
    ]
    threads: OptionalCount


class Baseline(Section):
    """The dense network."""

    units: Count
    dropout: Dropout


class CNN(Section):
    """What every convolutional network shares."""

    filters: Annotated[
        tuple[Count, ...], Field(min_length=1, description="a list of whole numbers from 1, one a layer")
    ]
    padding: Annotated[Literal["same", "valid"], Field(description="same or valid")]
    stride: Count
    pool: Count
    units: Count
    dropout: Dropout


class Arm(Section):
    """What distinguishes one CNN from another."""

    kernel: Kernel


class Arms(Section):
    """The fixed arms of the controlled experiment."""

    cnn3: Arm
    cnn5: Arm

    def with_kernel(self, kernel: int) -> str | None:
        """The name of the fixed arm that has this kernel; None where there is none."""
        return next((name for name, arm in self if arm.kernel == kernel), None)


class Report(Section):
    """How the report speaks."""

    language: Annotated[Literal["en", "es"], Field(description="en or es")]


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
    ] = {}
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


class Params(Section):
    """The whole of params.yaml."""

    kernel: Kernel
    data: Data
    train: Train
    baseline: Baseline
    cnn: CNN
    arms: Arms
    report: Report
    deploy: Deploy

    @model_validator(mode="after")
    def _images_outlast_the_layers(self) -> "Params":
        kernels = {"kernel": self.kernel, **{f"arms.{name}.kernel": arm.kernel for name, arm in self.arms}}
        for where, kernel in kernels.items():
            if smallest_feature_map(self.cnn, kernel) < 1:
                raise ValueError(
                    f"{where} = {kernel} with cnn.filters, padding, stride and pool as they are leaves no pixels "
                    f"after {len(self.cnn.filters)} layers; allowed: a smaller kernel, stride, pool or fewer filters"
                )
        return self


def smallest_feature_map(cnn: CNN, kernel: int) -> int:
    """Height and width in pixels that is left after the last pooling layer; below 1 where nothing is.

    Source: the output shapes of Keras's Conv2D and MaxPooling2D (pooling is not padded).
    """
    size = IMAGE_SIZE
    for _ in cnn.filters:
        size = -(-size // cnn.stride) if cnn.padding == "same" else (size - kernel) // cnn.stride + 1
        size //= cnn.pool
    return size


def load(path: Path = Path("params.yaml"), changes: Mapping[str, Any] = MappingProxyType({})) -> Params:
    """Read and check the parameters.

    Args:
        path: the file.
        changes: dotted names to values that replace those of the file.

    Raises:
        UserError: the file is missing, is not YAML, or holds a name or a value that is not allowed.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path.read_text())  # what DVC reads and writes with: YAML 1.2
        for name, value in changes.items():
            *sections, last = name.split(".")
            section = values
            for part in sections:
                section = section[part]
            section[last] = value
        return Params.model_validate(values)
    except FileNotFoundError:
        raise UserError(f"{path}: not found in {Path.cwd()}; run from the repository's folder") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        raise UserError(f"{path}: " + "; ".join(map(_explain, _merged(error)))) from None


def _merged(error: ValidationError) -> list[Any]:
    """One mistake a parameter: pydantic reports a union's value once for each of its types."""
    return list({_name(detail["loc"]): detail for detail in error.errors(include_url=False)}.values())


def _name(location: tuple[int | str, ...]) -> str:
    """The dotted name of a parameter; positions in a list and types of a union are left out."""
    names: list[str] = []
    model: Any = Params
    for part in location:
        if model is None or not isinstance(part, str):
            break
        if part != model.__name__:  # pydantic names the type of a union that it tried
            names.append(part)
            model = _section(model, part)
    return ".".join(names)


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The section that a field holds, also where it may be null instead; None where it holds a value."""
    field = model.model_fields.get(name)
    candidates = (field.annotation, *get_args(field.annotation)) if field else ()
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _explain(detail: Any) -> str:
    name = _name(detail["loc"])
    model: Any = Params
    for part in name.split(".")[:-1] if name else []:
        model = _section(model, part)
    match detail["type"]:
        case "extra_forbidden":
            return f"{name} is not a parameter; known here: {', '.join(model.model_fields)}"
        case "missing":
            return f"{name} is missing"
        case "value_error":
            return detail["msg"].removeprefix("Value error, ")
    allowed = model.model_fields[name.rsplit(".", 1)[-1]].description if name else None
    allowed = allowed or "a mapping of names to values"
    return f"{name or 'the file'} = {detail['input']!r} is not allowed; allowed: {allowed}"
