"""What a DVC experiment recorded: its git reference, its dvc.lock, and the files of its outputs from DVC's cache."""

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML

from fashion_cnn.core.errors import UserError
from fashion_cnn.experiments import clone, pipeline
from fashion_cnn.experiments.commands import file_at, git
from fashion_cnn.experiments.pipeline import Lock, Stage
from fashion_cnn.experiments.studies import folders
from fashion_cnn.experiments.studies.definitions import Point

REFERENCES: Final = "refs/exps"
TARGET: Final = "compare"  # where a point ends: a study never deploys
METRICS: Final = "reports/metrics.json"
DECIDES: Final = ("dvc.yaml", "dvc.lock", "params.yaml", "pyproject.toml", "src")  # what decides a result
VARIES: Final = {"params.yaml", "dvc.lock"}  # what an experiment's commit changes in that of its baseline


class Experiment(NamedTuple):
    """An experiment that fits a point: its reference, its commit, and its dvc.lock."""

    reference: str
    commit: str
    lock: Lock


def reference(baseline: str, experiment: str) -> str:
    """Where DVC keeps an experiment."""
    return f"{REFERENCES}/{baseline[:2]}/{baseline[2:]}/{experiment}"


def baseline(reference: str) -> str:
    """The commit that an experiment varies, by its reference."""
    return "".join(reference.split("/")[2:4])


def find(point: Point, commit: str, stages: Mapping[str, Stage]) -> Experiment | None:
    """The experiment that holds a point's result; None where there is none whose dvc.lock is that of the point.

    Its baseline is `commit`, or another one with the same pipeline, code and parameters: a commit of a study's result
    does not make the study another one.

    Args:
        point: of which study.
        commit: at which to look.
        stages: that lead to the target.

    Raises:
        UserError: there is an experiment of that name and baseline, but it is something else.
    """
    own = reference(commit, point.experiment)
    listed = git("for-each-ref", "--format=%(refname) %(objectname)", f"{REFERENCES}/*/*/{point.experiment}")
    commits = dict(line.split() for line in listed.splitlines())
    if own in commits:
        if difference := _difference(commits[own], commit, point):
            raise UserError(
                f"the experiment {point.experiment} exists and {difference}; rename it "
                f"(dvc exp rename {point.experiment} OTHER) or remove it (dvc exp remove {point.experiment})"
            )
        return _complete(own, commits[own], point, stages)
    for name, found in commits.items():
        if _same_content(baseline(name), commit) and not _difference(found, baseline(name), point):
            return _complete(name, found, point, stages)
    return None


def _same_content(baseline: str, commit: str) -> bool:
    try:
        return not git("diff", "--name-only", baseline, commit, "--", *DECIDES)
    except UserError:  # its baseline was never fetched
        return False


def _difference(experiment: str, baseline: str, point: Point) -> str | None:
    """How the commit of an experiment is something else than the point; None where it is not."""
    if other := set(git("diff", "--name-only", baseline, experiment).splitlines()) - VARIES:
        return f"changes {min(other)}"
    if parameters(experiment) != point.parameters:
        return "has other parameters than the point of that name"
    return None


def _complete(name: str, commit: str, point: Point, stages: Mapping[str, Stage]) -> Experiment | None:
    lock = pipeline.lock_at(commit)
    return Experiment(name, commit, lock) if pipeline.of_these_parameters(stages, lock, point.parameters) else None


def parameters(commit: str) -> dict[str, Any]:
    """The params.yaml of a commit."""
    return YAML(typ="safe").load(file_at(commit, pipeline.PARAMETERS))


def files(found: Experiment, wanted: Iterable[str]) -> dict[str, Path] | None:
    """Files of an experiment's outputs, by their paths, where they lie in DVC's cache.

    Args:
        found: the experiment.
        wanted: outputs, or files in them.

    Returns:
        None where the cache lacks one of them.
    """
    cache = clone.cache()
    located: dict[str, Path] = {}
    for path in wanted:
        written = pipeline.written(found.lock, path, lambda digest: clone.read(digest, cache))
        places = {file: clone.place(digest, cache) for file, digest in written.items()}
        if not places or not all(place.is_file() for place in places.values()):
            return None
        located |= places
    return located


def bring(found: Experiment, wanted: Iterable[str]) -> dict[str, Path] | None:
    """What `files` gives; what the cache lacks is brought from the store. None where that lacks it, too."""
    wanted = list(wanted)
    if (here := files(found, wanted)) is not None:
        return here
    with folders.temporary(found.commit) as cloned, contextlib.suppress(UserError):
        cloned.fetch(*wanted)
    return files(found, wanted)
