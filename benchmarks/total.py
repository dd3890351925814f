"""The whole: `make repro` in a fresh clone whose environment is there, beside the notebook's total.

It takes a quarter of an hour, so it is measured only where it is named: python -m benchmarks total.
"""

import argparse
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks import workspace
from benchmarks.report import spread


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Run both in turn, `--times` times."""
    seconds: dict[str, list[float]] = {"the notebook": [], "make repro": [], "make repro again": []}
    quick = {"train.epochs": 1, "data.limit": 300} if options.quick else {}
    notebook = [sys.executable, "-m", "benchmarks.notebook", *(["--arm", "baseline", "--epochs", "1"] if quick else [])]
    for _ in range(options.times):
        print("total: the notebook", flush=True)
        started = time.perf_counter()
        subprocess.run(notebook, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        seconds["the notebook"].append(time.perf_counter() - started)
        with workspace.clone(quick) as clone:
            (clone.folder / ".venv").symlink_to(Path(sys.prefix))
            # The environment is there and nobody may make it anew, whatever its time stamps.
            make = ["make", "--old-file=.venv/.installed", "repro"]
            for name in ("make repro", "make repro again"):
                print(f"total: {name}", flush=True)
                started = time.perf_counter()
                clone.run(*make)
                seconds[name].append(time.perf_counter() - started)
    ratios = [own / other for own, other in zip(seconds["make repro"], seconds["the notebook"], strict=True)]
    return {"seconds": {name: spread(values) for name, values in seconds.items()}, "ratio": spread(ratios)}
