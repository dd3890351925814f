"""params.yaml, typed and checked, once. Every stage loads all of it, so that no mistake waits for a later stage."""

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from fashion_cnn.errors import UserError
from fashion_cnn.fashion_mnist import IMAGE_SIZE

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
    precision: Annotated[Literal["float32", "mixed_bfloat16"], Field(description="float32 or mixed_bfloat16")]
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


class Params(Section):
    """The whole of params.yaml."""

    kernel: Kernel
    data: Data
    train: Train
    baseline: Baseline
    cnn: CNN
    arms: Arms

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


def load(path: Path = Path("params.yaml")) -> Params:
    """Read and check the parameters.

    Raises:
        UserError: the file is missing, is not YAML, or holds a name or a value that is not allowed.
    """
    try:
        return Params.model_validate(yaml.safe_load(path.read_text()))
    except FileNotFoundError:
        raise UserError(f"{path}: not found in {Path.cwd()}; run from the repository's folder") from None
    except yaml.YAMLError as error:
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
        names.append(part)
        field = model.model_fields.get(part)
        model = field.annotation if field and isinstance(field.annotation, type) else None
        model = model if model and issubclass(model, BaseModel) else None
    return ".".join(names)


def _explain(detail: Any) -> str:
    name = _name(detail["loc"])
    model: Any = Params
    for part in name.split(".")[:-1] if name else []:
        model = model.model_fields[part].annotation
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
