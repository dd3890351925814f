"""Named studies: python -m fashion_cnn.experiments.studies run | status | share."""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fashion_cnn.cloud.params import WHERE, Where
from fashion_cnn.core import params
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import ARMS
from fashion_cnn.experiments import pipeline
from fashion_cnn.experiments.commands import dvc, git, working_commit
from fashion_cnn.experiments.studies import definitions, folders, recorded, running
from fashion_cnn.experiments.studies.definitions import Study
from fashion_cnn.experiments.studies.recorded import Experiment

INTERRUPTED: Final = 130  # as shells have it: 128 and the number of SIGINT

RESULTS: Final = Path("reports/studies")  # the only thing that may be uncommitted


def main(arguments: list[str] | None = None) -> int:
    """Run a command.

    Returns:
        0; 130 where it was interrupted.
    """
    options = _parser().parse_args(arguments)
    try:
        match options.command:
            case "run":
                run(options.name, options.points.replace(",", " ").split(), options.jobs, options.where)
            case "status":
                status()
            case "share":
                share(options.name)
    except KeyboardInterrupt:
        print("interrupted; no job is left, and the same command goes on", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m fashion_cnn.experiments.studies",
        description="Named studies. docs/experiments.md explains them.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, explanation in {
        "run": "run a study of experiments.yaml, and write its result to reports/studies",
        "status": "which points of which study have a result, run, or wait",
        "share": "push a study's experiments, results and run cache",
    }.items():
        command = commands.add_parser(name, help=explanation, description=explanation)
        if name != "status":
            command.add_argument("name", help="of the study")
        if name == "run":
            command.add_argument("--jobs", default="", help="points to run at once: 1, or as many as cloud.max_jobs")
            command.add_argument("--where", default="", help="local or sagemaker, instead of cloud.train")
            command.add_argument("--points", default="", help="only these, separated by spaces or commas")
    return parser


def run(name: str, points: list[str], jobs: str, where: str = "") -> None:
    """Run what has no result yet, then print the study's table.

    Args:
        name: of the study.
        points: to run; none: all.
        jobs: points to run at once; empty: one, or as many as there may be training jobs.
        where: local or sagemaker; empty: as params.yaml says.

    Raises:
        UserError: something is not as it must be, and nothing was started; or a point failed too often.
    """
    chosen, selected = definitions.select(definitions.load(), name, points)
    if where not in ("", "local", "sagemaker"):
        raise UserError(f"WHERE={where} is not allowed; allowed: local or sagemaker")
    os.environ |= {WHERE: where} if where else {}  # which the stages of every point inherit
    cloud = params.load(Where).cloud
    jobs = jobs or (str(cloud.max_jobs) if cloud.trains_elsewhere else "1")
    if not jobs.isdecimal() or int(jobs) < 1:
        raise UserError(f"JOBS={jobs} is not allowed; allowed: a whole number from 1")
    commit = working_commit("a study", "--", ".", f":!{RESULTS}")
    _found(chosen, commit)  # what is in the way of a result is said before anything runs
    running.run(selected, commit, int(jobs), cloud if cloud.trains_elsewhere else None)
    report(chosen, _found(chosen, commit))


def report(chosen: Study, found: Mapping[str, Experiment]) -> None:
    """Print the table of the points that have a result; where all have one, write the study's result."""
    # They draw, which takes a second to import.
    from fashion_cnn.experiments.studies import claims, rendering, summary  # noqa: PLC0415

    there = chosen._replace(points=[point for point in chosen.points if point.name in found])
    read = {name: summary.read(experiment) for name, experiment in found.items()}
    summarized = summary.summarize(there, read, pipeline.code(next(iter(found.values())).lock, ARMS))
    arms = {name: of_point for name, (of_point, _) in read.items()}
    judged = claims.judge(there.points, arms) if chosen.claims else []
    print(f"\n{rendering.short(there, summarized, judged)}")
    folder = RESULTS / chosen.name
    if missing := [point.name for point in chosen.points if point.name not in found]:
        print(f"Without a result: {', '.join(missing)}. {folder} is written when every point has one.")
        return
    with folders.lock():  # another call may write the same
        rendering.write(folder, chosen, summarized, judged)
        rendering.index(RESULTS)
    print(f"The result is {folder}. Commit it; make share NAME={chosen.name} gives others the experiments.")


def _found(chosen: Study, commit: str) -> dict[str, Experiment]:
    """The experiments of a study's points, of those that have one."""
    stages = running.stages()
    found = {point.name: running.result(point, commit, stages) for point in chosen.points}
    return {name: experiment for name, experiment in found.items() if experiment}


def status() -> None:
    """Print each study's points, and what runs."""
    commit, stages, jobs = git("rev-parse", "HEAD").strip(), running.stages(), folders.owners()
    for chosen in definitions.load().values():
        words = []
        for point in chosen.points:
            if point.experiment in jobs and folders.alive(jobs[point.experiment]):
                minutes = (time.time() - jobs[point.experiment]["since"]) / 60
                stage = running.current_stage(folders.FOLDERS / point.experiment / "log")
                words.append(f"{point.name} runs ({stage}, {minutes:.0f} min)")
            elif running.result(point, commit, stages, recorded.files):
                words.append(f"{point.name} done")
            else:
                words.append(f"{point.name} –")
        written = "" if (RESULTS / chosen.name / "study.json").exists() else "no "
        print(f"{chosen.name}: {', '.join(words)}; {written}result in {RESULTS / chosen.name}")


def share(name: str) -> None:
    """Push a study's experiments to git's remote, their results and the run cache to the store."""
    chosen, _ = definitions.select(definitions.load(), name)
    remotes = git("remote").split()
    if not remotes:
        raise UserError("there is no git remote to share with; add one: git remote add origin URL")
    found = _found(chosen, git("rev-parse", "HEAD").strip())
    if missing := [point.name for point in chosen.points if point.name not in found]:
        raise UserError(f"{name} has no result yet of {', '.join(missing)}; run: make study NAME={name}")
    remote = "origin" if "origin" in remotes else remotes[0]
    dvc("exp", "push", "--run-cache", remote, *(experiment.reference for experiment in found.values()))
    print(f"{name}: {len(found)} experiments are in {remote}, their results and the run cache in the store")
    for baseline in sorted({recorded.baseline(experiment.reference) for experiment in found.values()}):
        print(f"Others get them: dvc exp pull --rev {baseline[:12]} {remote}")
    if git("status", "--porcelain", "--", str(RESULTS)).strip():
        print(f"{RESULTS} is not committed yet: git add {RESULTS} && git commit && git push")


if __name__ == "__main__":
    process.run(main)
