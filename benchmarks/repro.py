"""What `dvc repro` takes where there is nothing to do, and what of it is DVC itself."""

import argparse
import subprocess
import sys
import time
from typing import Any

from benchmarks import workspace
from benchmarks.report import spread
from benchmarks.workspace import Workspace


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Time the commands in turn, round after round."""
    study: Workspace = options.study()
    rounds = 2 if options.quick else 7
    study.run("dvc", "commit", "--force")  # as up to date, also where another measurement ran stages by hand
    with workspace.empty() as tiny:
        tiny.run("dvc", "init", "--quiet")
        (tiny.folder / "dvc.yaml").write_text(
            "stages: {nothing: {cmd: python -c pass, deps: [read]}}\n", encoding="utf-8"
        )
        (tiny.folder / "read").touch()
        tiny.run("dvc", "repro")
        commands = {
            "dvc repro": (study, ["dvc", "repro"]),
            "dvc status": (study, ["dvc", "status"]),
            "dvc repro in a repository of one empty stage": (tiny, ["dvc", "repro"]),
            "importing what dvc repro needs": (tiny, [sys.executable, "-c", "import dvc.repo.reproduce"]),
            "starting Python": (tiny, [sys.executable, "-c", "pass"]),
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(rounds):
            for name, (where, command) in commands.items():
                seconds[name].append(timed(where, command))
    return {"seconds": {name: spread(values) for name, values in seconds.items()}}


def timed(where: Workspace, command: list[str]) -> float:
    """Seconds of a command, which must find nothing to do."""
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=where.folder, env=where.environment, capture_output=True, text=True, check=False, encoding="utf-8"
    )
    seconds = time.perf_counter() - started
    if done.returncode or (command[0] == "dvc" and "up to date" not in done.stdout):
        raise RuntimeError(f"{command} had something to do:\n{done.stdout[-1000:]}\n{done.stderr[-1000:]}")
    return seconds
