"""experiments.yaml: named studies, read and checked whole before anything runs."""

import copy
import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, NamedTuple

from pydantic import ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from fashion_cnn.cloud.params import Cloud, Where
from fashion_cnn.core import params
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import ARMS, Params, Section
from fashion_cnn.reporting.language import flat
from fashion_cnn.reporting.params import Reporting

STUDIES: Final = Path("experiments.yaml")
PARAMETERS: Final = Path("params.yaml")

Changes = dict[str, Any]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]  # part of a git ref


class Parameters(Params, Reporting, Cloud, Where):
    """All that params.yaml may name: what `stages.parameters`, which no room knows, has for the stages."""

    model_config = ConfigDict(extra="forbid")


class Described(Section):
    """A study as experiments.yaml has it; its head says what each name means."""

    question: Annotated[str, Field(min_length=1)]
    set: Changes = Field(default_factory=dict)
    points: Annotated[dict[Name, Changes], Field(min_length=1)]
    arms: list[str] = Field(default_factory=lambda: ["candidate"], min_length=1)
    claims: bool = False


class Point(NamedTuple):
    """One run of a study.

    Attributes:
        name: within its study.
        experiment: DVC's name of it.
        varied: what it sets beside what the study sets for all points, dotted names to values.
        changes: everything it sets.
        parameters: params.yaml with that in it.
    """

    name: str
    experiment: str
    varied: Changes
    changes: Changes
    parameters: dict[str, Any]


class Study(NamedTuple):
    """A named study, checked.

    Attributes:
        name: its own.
        question: that it answers.
        settings: what it sets for all points.
        points: in the order of the file.
        arms: the networks of each point that are compared.
        claims: whether the notebook's claims are judged by its points.
    """

    name: str
    question: str
    settings: Changes
    points: Sequence[Point]
    arms: Sequence[str]
    claims: bool


def load(studies: Path = STUDIES, parameters: Path = PARAMETERS) -> dict[str, Study]:
    """Read every study, with each point's parameters composed and checked as `dvc repro` would check them.

    Raises:
        UserError: a file is missing or not YAML; a name or value is not allowed; two points have one name.
    """
    described = _described(studies)
    params.load(Parameters, parameters)
    defaults = YAML(typ="safe", pure=True).load(parameters.read_text(encoding="utf-8"))
    found, taken = {}, dict[str, str]()
    for name, study in described.items():
        if unknown := [arm for arm in study.arms if arm not in ARMS]:
            raise UserError(f"{studies}: {name}: {unknown[0]} is not a network; allowed in arms: {', '.join(ARMS)}")
        points = []
        for own_name, varied in study.points.items():
            where = f"{studies}: {name}, point {own_name}"
            experiment = f"{name}-{own_name}"
            if experiment in taken:
                raise UserError(f"{where}: its experiment is {experiment}, as that of {taken[experiment]}; rename one")
            taken[experiment] = f"{name}, point {own_name}"
            changes = study.set | varied
            points.append(Point(own_name, experiment, varied, changes, _composed(defaults, changes, parameters, where)))
        found[name] = Study(name, study.question, study.set, points, study.arms, study.claims)
    return found


def select(studies: Mapping[str, Study], name: str, points: Sequence[str] = ()) -> tuple[Study, list[Point]]:
    """A study by its name, and those of its points that are named; all where none is.

    Raises:
        UserError: there is no such study or point.
    """
    if name not in studies:
        raise UserError(f"{STUDIES} has no study {name!r}; it has: {', '.join(studies)}")
    study = studies[name]
    known = [point.name for point in study.points]
    if unknown := [one for one in points if one not in known]:
        raise UserError(f"{STUDIES}: {name} has no point {unknown[0]!r}; it has: {', '.join(known)}")
    return study, [point for point in study.points if not points or point.name in points]


def _described(path: Path) -> dict[str, Described]:
    try:
        read = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
        return TypeAdapter(dict[Name, Described]).validate_python(_named_by_text(read, str(path)))
    except FileNotFoundError:
        raise UserError(f"{path}: not found in {Path.cwd()}; run from the repository's folder") from None
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else "?"
        problem = str(error.problem).partition(" with value")[0].replace("found duplicate key", "two entries are named")
        raise UserError(f"{path}: line {line}: {problem}; each name can be given once") from None
    except YAMLError as error:
        raise UserError(f"{path}: not valid YAML: {' '.join(str(error).split())}") from None
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ", ".join(str(step) for step in first["loc"] if step != "[key]")
        raise UserError(f"{path}: {where or 'the file'}: {first['msg']}") from None


def _named_by_text(value: Any, where: str) -> Any:
    """YAML with every name as a text: a point may be called 3.

    Raises:
        UserError: two names are the same text.
    """
    if not isinstance(value, dict):
        return value
    named: dict[str, Any] = {}
    for key, inner in value.items():
        name = str(key)
        if name in named:
            raise UserError(f"{where}: two entries are named {name!r}; each name can be given once")
        named[name] = _named_by_text(inner, f"{where}: {name}")
    return named


def _composed(defaults: Mapping[str, Any], changes: Changes, parameters: Path, where: str) -> dict[str, Any]:
    known = flat(defaults)
    for name in changes:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f"; do you mean {close[0]}?" if close else f"; {parameters} has: {', '.join(known)}"
            raise UserError(f"{where}: {name} is not a parameter{hint}")
    try:
        params.load(Parameters, parameters, changes)
    except UserError as error:
        raise UserError(f"{where}: {str(error).removeprefix(f'{parameters}: ')}") from None
    values = copy.deepcopy(dict(defaults))
    for name, value in changes.items():
        params.set_parameter(values, name, value)
    return values
