"""What a DVC experiment recorded: its git reference, its dvc.lock, and the files of its outputs from DVC's cache."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, Final, NamedTuple

from ruamel.yaml import YAML

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import ARMS
from fashion_cnn.experiments import clones, pipeline
from fashion_cnn.experiments.commands import dvc, git
from fashion_cnn.experiments.pipeline import Stage
from fashion_cnn.experiments.studies import Point

REFERENCES: Final = "refs/exps"
TARGET: Final = "compare"  # where a point ends: a study never deploys
METRICS: Final = "reports/metrics.json"
DECIDES: Final = ("dvc.yaml", "dvc.lock", "params.yaml", "pyproject.toml", "src")  # what decides a result
VARIES: Final = {"params.yaml", "dvc.lock"}  # what an experiment's commit changes in that of its baseline


class Experiment(NamedTuple):
    """An experiment that fits a point: its reference, its commit, and the outputs that its dvc.lock names."""

    reference: str
    commit: str
    outputs: dict[str, str]


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
    if yaml_at(experiment, "params.yaml") != point.parameters:
        return "has other parameters than the point of that name"
    return None


def _complete(name: str, commit: str, point: Point, stages: Mapping[str, Stage]) -> Experiment | None:
    lock = yaml_at(commit, "dvc.lock")
    if not pipeline.of_these_parameters(stages, lock, point.parameters):
        return None
    return Experiment(name, commit, outputs(lock))


def yaml_at(commit: str, path: str) -> Any:
    """A YAML file of a commit; empty where the commit has none."""
    if not git("ls-tree", "--name-only", commit, path):
        return {}
    return YAML(typ="safe", pure=True).load(git("show", f"{commit}:{path}"))


def code(commit: str) -> dict[str, str]:
    """What decided an experiment's networks beside parameters and images: paths to digests, as dvc.lock has them."""
    lock = yaml_at(commit, "dvc.lock")
    made = outputs(lock)
    read = [dep for arm in ARMS for dep in lock["stages"][arm]["deps"]]
    return {dep["path"]: dep["md5"] for dep in read if dep["path"] not in made}


def outputs(lock: Mapping[str, Any]) -> dict[str, str]:
    """Each output of a dvc.lock and its digest; that of a folder ends in .dir."""
    stages = lock.get("stages", {}).values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", []) if "md5" in out}


def files(found: Experiment, wanted: Iterable[str]) -> dict[str, Path] | None:
    """Files of an experiment's outputs, by their paths, where they lie in DVC's cache.

    Args:
        found: the experiment.
        wanted: outputs, or files in them.

    Returns:
        None where the cache lacks one of them.

    Source: dvc.org/doc/user-guide/project-structure/internal-files, "Structure of the cache directory".
    """
    located: dict[str, Path] = {}
    for path in wanted:
        output = next((one for one in found.outputs if PurePosixPath(path).is_relative_to(one)), None)
        if output is None or not (listed := _listed(output, found.outputs[output])):
            return None
        inside = {one: place for one, place in listed.items() if PurePosixPath(one).is_relative_to(path)}
        if not inside or not all(place.exists() for place in inside.values()):
            return None
        located |= inside
    return located


def _listed(output: str, digest: str) -> dict[str, Path]:
    """The files of an output and their places in the cache; none where the cache lacks the folder's list."""
    if not digest.endswith(".dir"):
        return {output: _cached(digest)}
    try:
        entries = json.loads(_cached(digest).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return {f"{output}/{entry['relpath']}": _cached(entry["md5"]) for entry in entries}


def _cached(digest: str) -> Path:
    return clones.cache() / "files" / "md5" / digest[:2] / digest[2:]


def bring(found: Experiment, wanted: Iterable[str]) -> dict[str, Path] | None:
    """What `files` gives; what the cache lacks is brought from the store. None where that lacks it, too."""
    wanted = list(wanted)
    if (here := files(found, wanted)) is not None:
        return here
    with clones.temporary(found.commit) as folder:
        try:
            dvc("fetch", "--quiet", *wanted, folder=folder, environment=clones.environment(folder.parent))
        except UserError:
            return None
    return files(found, wanted)
