"""Measure this project beside what people would take instead; results go to benchmarks/results/.

training   a training step: the notebook's, the pipeline's, PyTorch's; the share of the arithmetic's limit
stages     each stage's process: start, imports, reading, work, writing, peak memory
repro      `dvc repro` with nothing to do, and what of it is DVC itself
store      `dvc push` and `dvc pull` with the embedded S3
endpoint   latency and throughput, beside `model.predict` in a Flask route
scaling    how training grows with images, epochs, seeds and kernel size
variants   a training step with one thing changed at a time (only where it is named)
accuracy   test accuracies over seeds (an hour; only where it is named)
photographs  test images disguised as people's pictures: is the endpoint right? (minutes; only where it is named)
total      `make repro` in a fresh clone, beside the whole notebook (a quarter of an hour; only where it is named)
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import contextlib
import functools
import importlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from benchmarks import data, machine, report
from fashion_cnn.ingest import download

USUAL: Final = ("training", "stages", "repro", "store", "endpoint", "scaling")
LONG: Final = ("variants", "accuracy", "photographs", "total")


def main() -> None:
    """Measure the named parts and merge them into the results."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # servers are stopped, whatever ends this
    options = _parser().parse_args()
    output = options.output and options.output.absolute()
    os.chdir(report.FOLDER.parents[1])
    with contextlib.ExitStack() as stack:
        if output is None:
            trial = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            output = trial if options.quick else report.FOLDER
        if data.folder() is None:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            download.fetch(Path(folder))
            os.environ[data.FOLDER_VARIABLE] = folder

        @functools.cache
        def study() -> object:
            from benchmarks import workspace  # noqa: PLC0415 (only some parts need it)

            return stack.enter_context(workspace.study(quick=options.quick, epochs=options.epochs))

        options.study = study
        for part in options.parts or USUAL:
            before = {"code": _code(), "quick": options.quick, "load_before": round(os.getloadavg()[0], 2)}
            measured = importlib.import_module(f"benchmarks.{part}").measure(options)
            name = f"{part}_limited" if measured.get("limited_to") else part
            results = report.merge(report.load(output), machine.describe(), name, before | measured)
            report.save(results, output)
        print(f"\n{report.markdown(results)}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "parts", nargs="*", choices=[*USUAL, *LONG, []], metavar="PART", help="default: all but the long"
    )
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes: does it work at all; the results are not kept"
    )
    parser.add_argument("--output", type=Path, help="another folder for results.json and results.md")
    parser.add_argument("--steps", type=int, default=150, help="training: steps an epoch; 375 is the whole data set")
    parser.add_argument("--rounds", type=int, default=5, help="training: epochs of each contestant")
    parser.add_argument("--torch-python", default=sys.executable, help="training: an interpreter that has PyTorch")
    parser.add_argument("--epochs", type=int, default=1, help="stages: epochs of the pipeline that is run")
    parser.add_argument("--seeds", type=int, default=5, help="accuracy: seeds of each network")
    parser.add_argument(
        "--recipe",
        nargs="+",
        default=[],
        metavar="NAME=VALUE",
        help="accuracy: a recipe for the 3×3, as of dvc exp run -S",
    )
    parser.add_argument("--times", type=int, default=1, help="total: how often")
    return parser


def _code() -> str:
    """The commit that was measured; `dirty` where the working tree differs."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    return (
        subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8").stdout.strip()
        or "no repository"
    )


if __name__ == "__main__":
    process.run(main)
