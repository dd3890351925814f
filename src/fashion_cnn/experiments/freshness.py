"""Is the committed dvc.lock that of the committed code and parameters? `python -m fashion_cnn.experiments.freshness`.

Needs no data. Two things are put together: what `dvc status` says of code, parameters and commands, and whether each
stage read what the stage before it wrote, which DVC does not ask of single files in a folder.
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fashion_cnn.core.errors import UserError
from fashion_cnn.experiments import clone, pipeline
from fashion_cnn.experiments.clone import Clone
from fashion_cnn.experiments.commands import git
from fashion_cnn.experiments.pipeline import Lock, lock_at


class Freshness(NamedTuple):
    """What of a commit's lock has to be run again.

    Attributes:
        stale: stages to the reasons.
        downstream: stages that read what those write, directly or not.
        unknown: inputs that could not be compared with what was written, because a folder's list is not at hand.
    """

    stale: Mapping[str, Sequence[str]]
    downstream: Sequence[str]
    unknown: Sequence[str]

    def __str__(self) -> str:
        """One line."""
        if not self.stale:
            return "dvc.lock is that of the committed code and parameters"
        reasons = dict.fromkeys(reason for of_stage in self.stale.values() for reason in of_stage)
        after = f"; after them {', '.join(self.downstream)}" if self.downstream else ""
        return f"dvc.lock is stale: {', '.join(self.stale)} ({', '.join(reasons)}){after}"


def examine(cloned: Clone) -> Freshness:
    """Look at the commit that is checked out in a clone."""
    described = pipeline.described(cloned.folder)
    lock = {name: stage for name, stage in lock_at("HEAD", cloned.folder).items() if _described(name, described)}
    stale: dict[str, list[str]] = {}
    for name, changes in cloned.status().items():
        if _described(name, described) and (reasons := _reasons(name, changes, lock)):
            stale[name] = reasons
    agreed = pipeline.agreement(lock, cloned.read)
    for name, broken in agreed.broken.items():
        stale.setdefault(name, []).extend(broken)
    return Freshness(stale, pipeline.downstream(lock, list(stale)), agreed.unknown)


def _described(name: str, stages: Mapping[str, Any]) -> bool:
    """Whether dvc.yaml has a stage; one of a matrix is named by the matrix, @ and its values."""
    return name.partition("@")[0] in stages


def _reasons(name: str, changes: Sequence[Any], lock: Lock) -> list[str]:
    """What `dvc status` says of a stage in a clone without data, less that data is missing."""
    if name not in lock:
        return ["it was never run"]
    reasons = []
    for change in changes:
        if change == "changed command":
            reasons.append("another command")
        elif isinstance(change, dict):
            for path, state in change.get("changed deps", {}).items():
                if isinstance(state, dict):
                    reasons.append(f"{path}: {', '.join(state)}")
                elif not pipeline.producers(lock, path):
                    reasons.append(f"{path} {state}")
            missing = [path for path in change.get("changed outs", {}) if path not in lock[name].outs]
            reasons += [f"{path} was never written" for path in missing]
    return reasons


def main() -> None:
    """Say it in one line.

    Raises:
        UserError: the lock is stale.
    """
    with clone.temporary(git("rev-parse", "HEAD").strip()) as cloned:
        found = examine(cloned)
    if found.stale:
        raise UserError(f"{found}; `dvc repro` brings it up to date, then commit dvc.lock")
    print(found)


if __name__ == "__main__":
    process.run(main)
