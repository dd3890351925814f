"""dvc.lock as a value: what each stage was run with and wrote, whether its parts agree, how two of them differ."""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fashion_cnn.core.errors import UserError
from fashion_cnn.reporting.language import flat

LOCK: Final = "dvc.lock"
PARAMETERS: Final = "params.yaml"
FOLDER: Final = ".dir"  # how the digest of a folder ends: that of DVC's list of its files

ReadObject = Callable[[str], bytes | None]  # what the cache or the store holds under a digest


class Stage(NamedTuple):
    """What a stage was last run with, and what it wrote then.

    Attributes:
        command: that ran.
        deps: paths to digests.
        params: dotted names to values; those of another file than params.yaml begin with its name and a colon.
        outs: paths to digests.
    """

    command: str
    deps: Mapping[str, str]
    params: Mapping[str, Any]
    outs: Mapping[str, str]


Lock = Mapping[str, Stage]


def parse(text: str, where: str = LOCK) -> Lock:
    """The stages of a dvc.lock by name.

    Raises:
        UserError: it is none, as after a merge with conflicts.
    """
    try:
        return {name: _stage(stage) for name, stage in YAML(typ="safe", pure=True).load(text)["stages"].items()}
    except (YAMLError, AttributeError, KeyError, TypeError):
        raise UserError(f"{where}: not a lock file of DVC; resolve its conflicts, or run `dvc repro`") from None


def _stage(stage: Mapping[str, Any]) -> Stage:
    params: dict[str, Any] = {}
    for file, values in stage.get("params", {}).items():
        params |= flat(values, "" if file == PARAMETERS else f"{file}:")
    command = stage["cmd"]
    return Stage(
        command if isinstance(command, str) else " && ".join(command),
        {entry["path"]: entry.get("md5", "") for entry in stage.get("deps", [])},
        params,
        {entry["path"]: entry.get("md5", "") for entry in stage.get("outs", [])},
    )


def within(path: str, folder: str) -> bool:
    """Whether a path is the folder or lies in it."""
    return path == folder or path.startswith(f"{folder}/")


def producers(lock: Lock, path: str) -> dict[str, str]:
    """The outputs that are a path, hold it or lie in it, and the stage that writes each."""
    return {out: name for name, stage in lock.items() for out in stage.outs if within(path, out) or within(out, path)}


def files(path: str, digest: str, read: ReadObject) -> dict[str, str] | None:
    """The files that an entry stands for, paths to digests; None for a folder whose list is not at hand."""
    if not digest.endswith(FOLDER):
        return {path: digest}
    listed = read(digest)
    return None if listed is None else {f"{path}/{one['relpath']}": one["md5"] for one in json.loads(listed)}


def digest_of(lock: Lock, path: str, read: ReadObject) -> str | None:
    """The digest of an output, or of a file inside one; None where no stage writes it, or that is not known."""
    for out, name in producers(lock, path).items():
        written = lock[name].outs[out]
        return written if path == out else (files(out, written, read) or {}).get(path)
    return None


class Agreement(NamedTuple):
    """Whether what stages read is what other stages wrote.

    Attributes:
        broken: stages to the inputs that are not what another stage wrote.
        unknown: inputs inside a folder whose list of files is not at hand.
    """

    broken: Mapping[str, Sequence[str]]
    unknown: Sequence[str]


def agreement(lock: Lock, read: ReadObject) -> Agreement:
    """Compare each input with the output that it is, or that it lies in; `dvc status` does so for whole ones alone."""
    broken: dict[str, list[str]] = {}
    unknown: list[str] = []
    for name, stage in lock.items():
        for path, digest in stage.deps.items():
            for out, producer in producers(lock, path).items():
                written = lock[producer].outs[out]
                if (path, digest) == (out, written):
                    continue
                had, wrote = files(path, digest, read), files(out, written, read)
                if path != out and (had is None or wrote is None):
                    unknown.append(path)
                elif path == out or _inside(had or {}, out) != _inside(wrote or {}, path):
                    broken.setdefault(name, []).append(f"{path} is not what {producer} wrote")
    return Agreement(broken, sorted(set(unknown)))


def _inside(entries: Mapping[str, str], folder: str) -> dict[str, str]:
    return {path: digest for path, digest in entries.items() if within(path, folder)}


def downstream(lock: Lock, of: Sequence[str]) -> list[str]:
    """The stages that read what some stages write, directly or not, without these; in the order of the lock."""
    reached, new = set(of), set(of)
    while new:
        new = {
            name
            for name, stage in lock.items()
            if name not in reached
            and reached.intersection(writer for path in stage.deps for writer in producers(lock, path).values())
        }
        reached |= new
    return [name for name in lock if name in reached - set(of)]


def code(lock: Lock, stages: Sequence[str]) -> dict[str, str]:
    """What some stages read and no stage writes: paths to digests."""
    read = {path: digest for name in stages if name in lock for path, digest in lock[name].deps.items()}
    return {path: digest for path, digest in read.items() if not producers(lock, path)}


class Difference(NamedTuple):
    """How one stage differs between two locks.

    Attributes:
        stage: its name.
        only_in: "before" or "after", where the other lock lacks the stage.
        code: files and folders that no stage writes, and that differ.
        parameters: names to values before and after.
        data: what other stages write, and that differs.
        command: before and after, where it differs.
        outputs: that differ.
    """

    stage: str
    only_in: str | None
    code: Sequence[str]
    parameters: Mapping[str, tuple[Any, Any]]
    data: Sequence[str]
    command: tuple[str, str] | None
    outputs: Sequence[str]

    @property
    def unexplained(self) -> bool:
        """Whether equal inputs gave another output."""
        return bool(self.outputs) and not (self.only_in or self.code or self.parameters or self.data or self.command)


def differences(before: Lock, after: Lock) -> list[Difference]:
    """The stages that differ, in the order of the later lock."""
    found = [_difference(name, before, after) for name in [*after, *(name for name in before if name not in after)]]
    return [one for one in found if one.only_in or one.outputs or one.code or one.parameters or one.data or one.command]


def _difference(name: str, before: Lock, after: Lock) -> Difference:
    if name not in before or name not in after:
        return Difference(name, "after" if name in after else "before", (), {}, (), None, ())
    old, new = before[name], after[name]
    deps = changed(old.deps, new.deps)
    data = [path for path in deps if producers(before, path) or producers(after, path)]
    return Difference(
        name,
        None,
        [path for path in deps if path not in data],
        changed(old.params, new.params),
        data,
        (old.command, new.command) if old.command != new.command else None,
        list(changed(old.outs, new.outs)),
    )


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """The names whose values differ, with both; None where a side lacks the name."""
    absent = object()  # unlike None, which is a parameter's value too
    names = sorted(name for name in {**before, **after} if before.get(name, absent) != after.get(name, absent))
    return {name: (before.get(name), after.get(name)) for name in names}
