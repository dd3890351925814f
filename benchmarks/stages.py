"""Each stage's process: its start, imports, reading, work, writing and end, and its peak memory."""

import argparse
import json
import os
import sys
import tempfile
import time
from typing import Any, Final

from benchmarks.report import spread
from benchmarks.trace_stage import STARTED
from benchmarks.workspace import REPOSITORY, Workspace

STAGES: Final = {
    "fetch": ["fetch"],
    "preprocess": ["preprocess"],
    "eda": ["eda"],
    "baseline": ["train", "baseline"],
    "cnn3": ["train", "cnn3"],
    "cnn5": ["train", "cnn5"],
    "candidate": ["train", "candidate"],
    "compare": ["compare"],
    "deploy": ["deploy"],
}
ONCE: Final = ("cnn3", "cnn5")  # they take long, and all but their work is as baseline's
OUTSIDE: Final = ("start", "import", "end")
PARTS: Final = ("start", "import", "reading", "work", "writing", "end")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run every stage's program as DVC does, several times each, in a clone where the pipeline ran."""
    study: Workspace = options.study()
    rounds = 1 if options.quick else 3
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in STAGES}
    for number in range(rounds):
        for name, arguments in STAGES.items():
            if number == 0 or name not in ONCE:
                print(f"stages: {name}", flush=True)
                if name == "deploy":
                    study.run(sys.executable, "-m", "fashion_cnn.cloud", "undeploy")
                runs[name].append(run(arguments, study))
    return {
        "epochs": options.epochs,
        "stages": {
            name: {
                "total_seconds": spread([figures["total"] for figures in of_stage]),
                "outside_seconds": spread([sum(figures[part] for part in OUTSIDE) for figures in of_stage]),
                **{f"{part}_seconds": spread([figures[part] for figures in of_stage]) for part in PARTS},
                "peak_bytes": max(figures["peak_bytes"] for figures in of_stage),
            }
            for name, of_stage in runs.items()
        },
    }


def run(arguments: list[str], study: Workspace) -> dict[str, float]:
    """Run one stage; seconds of each part and in total, and bytes."""
    paths = {"PYTHONPATH": f"src{os.pathsep}{REPOSITORY}"}  # the clone's code, this one's benchmarks
    with tempfile.NamedTemporaryFile() as output:
        command = (sys.executable, "-P", "-m", "benchmarks.trace_stage", output.name, *arguments)
        started = time.monotonic()
        study.run(*command, **paths, **{STARTED: str(started)})
        ended = time.monotonic()
        figures = json.load(output)
    return {**figures, "total": ended - started, "end": ended - figures["finished"]}
