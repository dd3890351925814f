"""Reading params.yaml, and the part of it that decides the results. `report` and `deploy` belong to their rooms.

`stages.parameters` puts all parts together: every stage refuses a mistake anywhere in the file before it works.
"""

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import IMAGE_SIZE

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


class Part(Section):
    """Top-level names of params.yaml that one room reads; it passes over those of others."""

    model_config = ConfigDict(extra="ignore")


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
    portable: Flag

    @model_validator(mode="after")
    def _portable_decides_the_rest(self) -> "Train":
        if self.portable and (self.precision == "mixed_bfloat16" or self.threads not in (None, 1)):
            raise ValueError(
                "train.portable = true trains in float32 on one thread a network; allowed beside it: train.precision = "
                f"auto or float32 (received {self.precision}), train.threads = null or 1 (received {self.threads})"
            )
        return self


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


FIXED_ARMS: Final = tuple(Arms.model_fields)
ARMS: Final = ("baseline", *FIXED_ARMS, "candidate")


class Params(Part):
    """What decides the results."""

    kernel: Kernel
    data: Data
    train: Train
    baseline: Baseline
    cnn: CNN
    arms: Arms

    def kernel_of(self, arm: str) -> int | None:
        """The size of an arm's kernels; None for the baseline."""
        if arm == "baseline":
            return None
        return self.kernel if arm == "candidate" else int(getattr(self.arms, arm).kernel)

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


P = TypeVar("P", bound=Section)


def load(part: type[P], path: Path = Path("params.yaml"), changes: Mapping[str, Any] = MappingProxyType({})) -> P:
    """Read and check a part of the parameters.

    Args:
        part: what is wanted of the file: `Params`, or the part of another room.
        path: the file.
        changes: dotted names to values that replace those of the file.

    Raises:
        UserError: the file is missing, is not YAML, or holds a name or a value that is not allowed.
    """
    try:
        values = YAML(typ="safe", pure=True).load(
            path.read_text(encoding="utf-8")
        )  # what DVC reads and writes with: YAML 1.2
        for name, value in changes.items():
            set_parameter(values, name, value)
        return part.model_validate(values)
    except FileNotFoundError:
        raise UserError(f"{path}: not found in {Path.cwd()}; run from the repository's folder") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        # One mistake a parameter: pydantic reports a union's value once for each of its types.
        mistakes = {_name(part, detail["loc"]): detail for detail in error.errors(include_url=False)}
        raise UserError(f"{path}: " + "; ".join(_explain(part, *mistake) for mistake in mistakes.items())) from None


def set_parameter(values: MutableMapping[str, Any], name: str, value: Any) -> None:
    """Replace one value of nested sections in place, named with dots as `dvc exp run -S` has it."""
    *sections, last = name.split(".")
    for section in sections:
        values = values[section]
    values[last] = value


def _name(part: type[BaseModel], location: tuple[int | str, ...]) -> str:
    """The dotted name of a parameter; positions in a list and types of a union are left out."""
    names: list[str] = []
    model: Any = part
    for step in location:
        if model is None or not isinstance(step, str):
            break
        if step != model.__name__:  # pydantic names the type of a union that it tried
            names.append(step)
            model = _section(model, step)
    return ".".join(names)


def _section(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The section that a field holds, also where it may be null instead; None where it holds a value."""
    field = model.model_fields.get(name)
    candidates = (field.annotation, *get_args(field.annotation)) if field else ()
    return next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), None)


def _explain(part: type[BaseModel], name: str, detail: Any) -> str:
    model: Any = part
    for step in name.split(".")[:-1] if name else []:
        model = _section(model, step)
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
