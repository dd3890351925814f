"""dvc.yaml and dvc.lock as values: what decides a stage, what it was run with and wrote, how two locks differ."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from fashion_cnn.core.errors import UserError
from fashion_cnn.experiments.commands import file_at
from fashion_cnn.reporting.language import flat

PIPELINE: Final = "dvc.yaml"
LOCK: Final = "dvc.lock"
PARAMETERS: Final = "params.yaml"
FOLDER: Final = ".dir"  # how the digest of a folder ends: that of DVC's list of its files

ReadObject = Callable[[str], bytes | None]  # what the cache or the store holds under a digest


class Stage(NamedTuple):
    """A stage of dvc.yaml: what decides it beside its code.

    Attributes:
        parameters: names of params.yaml, or of sections of it, that it reads.
        after: the stages whose outputs it reads.
    """

    parameters: tuple[str, ...]
    after: tuple[str, ...]


def described(folder: Path = Path()) -> dict[str, Any]:
    """The stages of the dvc.yaml in a folder, as it has them."""
    return YAML(typ="safe").load((folder / PIPELINE).read_text(encoding="utf-8"))["stages"]


def stages(described: Mapping[str, Any], target: str) -> dict[str, Stage]:
    """The stages that lead to `target`, and itself, each after those that it needs.

    Args:
        described: what `described` gives.
        target: one of them.
    """
    writers = {path: name for name, stage in described.items() for path in _outputs(stage)}
    found: dict[str, Stage] = {}

    def visit(name: str) -> None:
        stage = described[name]
        read = [PurePosixPath(path) for path in stage.get("deps", [])]
        after = {writer for path, writer in writers.items() if any(one.is_relative_to(path) for one in read)}
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


class Locked(NamedTuple):
    """A stage in dvc.lock: what it was last run with, and what it wrote then.

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


Lock = Mapping[str, Locked]


def parse(text: str, where: str = LOCK) -> Lock:
    """The stages of a dvc.lock by name.

    Raises:
        UserError: it is none, as after a merge with conflicts.
    """
    try:
        return {name: _locked(stage) for name, stage in YAML(typ="safe").load(text)["stages"].items()}
    except (YAMLError, AttributeError, KeyError, TypeError):
        raise UserError(f"{where}: not a lock file of DVC; resolve its conflicts, or run `dvc repro`") from None


def lock_at(commit: str = "HEAD", folder: Path = Path()) -> Lock:
    """The lock of a commit; empty where it has none.

    Raises:
        UserError: as `parse`.
    """
    text = file_at(commit, LOCK, folder)
    return parse(text) if text else {}


def _locked(stage: Mapping[str, Any]) -> Locked:
    params: dict[str, Any] = {}
    for file, values in stage.get("params", {}).items():
        params |= flat(values, "" if file == PARAMETERS else f"{file}:")
    command = stage["cmd"]
    return Locked(
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


def written(lock: Lock, path: str, read: ReadObject) -> dict[str, str]:
    """The files at a path, or in it, that stages wrote: paths to digests.

    None are known where a folder's list is not at hand.
    """
    found: dict[str, str] = {}
    for out, name in producers(lock, path).items():
        found |= files(out, lock[name].outs[out], read) or {}
    return _inside(found, path)


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
                digest_written = lock[producer].outs[out]
                if (path, digest) == (out, digest_written):
                    continue
                had, wrote = files(path, digest, read), files(out, digest_written, read)
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


def of_these_parameters(pipeline: Mapping[str, Stage], lock: Lock, parameters: Mapping[str, Any]) -> bool:
    """Whether dvc.lock holds a result of every stage, and each was made with these parameters."""
    return all(
        name in lock
        and {key: value for key, value in lock[name].params.items() if ":" not in key} == values_read(stage, parameters)
        for name, stage in pipeline.items()
    )


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
