"""What decides a stage of dvc.yaml: its parameters and those of all stages before it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from fashion_cnn.reporting.language import flat


class Stage(NamedTuple):
    """A stage of dvc.yaml: what decides it beside its code.

    Attributes:
        parameters: names of params.yaml, or of sections of it, that it reads.
        after: the stages whose outputs it reads.
    """

    parameters: tuple[str, ...]
    after: tuple[str, ...]


def stages(described: Mapping[str, Any], target: str) -> dict[str, Stage]:
    """The stages that lead to `target`, and itself, each after those that it needs.

    Args:
        described: dvc.yaml, read.
        target: a stage of it.
    """
    written = {path: name for name, stage in described["stages"].items() for path in _outputs(stage)}
    found: dict[str, Stage] = {}

    def visit(name: str) -> None:
        stage = described["stages"][name]
        read = [PurePosixPath(path) for path in stage.get("deps", [])]
        after = {writer for path, writer in written.items() if any(one.is_relative_to(path) for one in read)}
        for earlier in sorted(after):
            if earlier not in found:
                visit(earlier)
        parameters = tuple(entry for entry in stage.get("params", []) if isinstance(entry, str))
        found[name] = Stage(parameters, tuple(sorted(after)))

    visit(target)
    return found


def _outputs(stage: Mapping[str, Any]) -> list[str]:
    entries = [entry for kind in ("outs", "metrics", "plots") for entry in stage.get(kind, [])]
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in entries]


def values_read(stage: Stage, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The values of params.yaml that a stage reads, by dotted name."""
    return {
        name: value
        for name, value in flat(parameters).items()
        if any(name == read or name.startswith(f"{read}.") for read in stage.parameters)
    }


def fingerprints(pipeline: Mapping[str, Stage], parameters: Mapping[str, Any]) -> dict[str, str]:
    """For each stage a text that is the same for two sets of parameters only where the stage's result is the same.

    Args:
        pipeline: what `stages` gives.
        parameters: params.yaml.
    """
    made: dict[str, str] = {}
    for name, stage in pipeline.items():
        decides = [name, values_read(stage, parameters), [made[earlier] for earlier in stage.after]]
        made[name] = hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()
    return made


def of_these_parameters(pipeline: Mapping[str, Stage], lock: Mapping[str, Any], parameters: Mapping[str, Any]) -> bool:
    """Whether dvc.lock holds a result of every stage, and each was made with these parameters."""
    for name, stage in pipeline.items():
        locked = lock.get("stages", {}).get(name, {}).get("params", {}).get("params.yaml", {})
        if name not in lock.get("stages", {}) or flat(locked) != values_read(stage, parameters):
            return False
    return True


def unfinished(pipeline: Mapping[str, Stage], status: Mapping[str, Any]) -> set[str]:
    """The stages whose committed result is not that of the committed code and parameters.

    Args:
        pipeline: what `stages` gives.
        status: what `dvc status --json` prints in a clone of the commit without data. That an output or input is
            not there says nothing.
    """
    changed: set[str] = set()
    for name, stage in pipeline.items():
        if _leaves(status.get(name, [])) - {"deleted", "not in cache"} or changed.intersection(stage.after):
            changed.add(name)
    return changed


def _leaves(reasons: Any) -> set[str]:
    """The states in what DVC nests by kind, file and parameter."""
    if isinstance(reasons, str):
        return {reasons}
    inner = reasons.values() if isinstance(reasons, dict) else reasons
    return set().union(*map(_leaves, inner))
