"""Runs stages in the present folder and prints, as JSON, what each one read: parameters, files, TensorFlow or not.

    python tests/support/trace_stages.py STAGE[:ARGUMENT[:NAME=VALUE]] ...

A value after the argument changes one top-level parameter for that run. test_laws.py calls it in a
process of its own, because a stage is a program, and because what a process imported can't be taken back.
"""

import importlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import MethodType
from typing import Any

import yaml
from pydantic import BaseModel

from fashion_cnn.core import params


class Recorded:
    """Stands before a section of the parameters and notes the dotted name of every value that is read."""

    def __init__(self, section: BaseModel, seen: set[str], prefix: str = "") -> None:
        self._section, self._seen, self._prefix = section, seen, prefix

    def __getattr__(self, name: str) -> Any:
        if name not in type(self._section).model_fields:
            return MethodType(getattr(type(self._section), name), self)
        value, path = getattr(self._section, name), self._prefix + name
        if isinstance(value, BaseModel):
            return Recorded(value, self._seen, f"{path}.")
        self._seen.add(path)
        return value

    def model_dump(self) -> dict[str, Any]:
        dumped = {name: getattr(self, name) for name in type(self._section).model_fields}
        return {name: value.model_dump() if isinstance(value, Recorded) else value for name, value in dumped.items()}

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        return ((name, getattr(self, name)) for name in type(self._section).model_fields)


def trace(stage: str, arguments: list[str]) -> dict[str, Any]:
    """Run one stage; the parameters, and the files below the present folder, that it read."""
    read_params: set[str] = set()
    read_files: set[str] = set()
    here = Path.cwd()

    def audit(event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and tracing and isinstance(details[0], str) and "w" not in str(details[1]):
            path = Path(details[0]).absolute()
            if path.is_relative_to(here):
                read_files.add(str(path.relative_to(here)))

    load = params.load
    params.load = lambda part: Recorded(load(part), read_params)  # type: ignore
    sys.addaudithook(audit)
    sys.argv = [stage, *arguments]
    tracing = True
    importlib.import_module(f"fashion_cnn.stages.{stage}").main()
    tracing = False
    params.load = load
    return {
        "params": sorted(read_params),
        "files": sorted(filter(os.path.isfile, read_files)),
        "tensorflow": "tensorflow" in sys.modules,
    }


def main() -> None:
    traces = []
    original = Path("params.yaml").read_text(encoding="utf-8")
    for run in sys.argv[1:]:
        stage, *rest = run.split(":")
        arguments, changes = rest[:1], dict(change.split("=") for change in rest[1:])
        changed = yaml.safe_load(original) | {name: yaml.safe_load(value) for name, value in changes.items()}
        Path("params.yaml").write_text(yaml.safe_dump(changed), encoding="utf-8")
        traces.append(trace(stage, arguments))
    Path("params.yaml").write_text(original, encoding="utf-8")
    print(f"\n{json.dumps(traces)}")


if __name__ == "__main__":
    main()
