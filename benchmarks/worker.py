"""Fresh processes that work when asked, so that contestants take turns; standard library alone."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

_answers: list[Any] = []


class Worker(NamedTuple):
    """A process of `start`: it takes and gives a JSON line at a time; what else it prints is in its log."""

    name: str
    process: subprocess.Popen[str]
    log: Path


@contextmanager
def start(module: str, *arguments: str, python: str = sys.executable, **environment: str) -> Iterator[Worker]:
    """Run `python -m benchmarks.<module>`; it is ended at the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder, "log")
        with (
            log.open("w", encoding="utf-8") as output,
            subprocess.Popen(
                [python, "-m", f"benchmarks.{module}", *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                text=True,
                env=os.environ | environment,
                encoding="utf-8",
            ) as process,
        ):
            try:
                yield Worker(" ".join([module, *arguments]), process, log)
            finally:
                process.kill()


def ask(worker: Worker, **request: Any) -> dict[str, Any]:
    """Send a request and wait for its answer.

    Raises:
        RuntimeError: the process ended instead; its last words are in the message.
    """
    pipe_in, pipe_out = worker.process.stdin, worker.process.stdout
    assert pipe_in
    assert pipe_out
    try:
        print(json.dumps(request), file=pipe_in, flush=True)
        line = pipe_out.readline()
    except BrokenPipeError:
        line = ""
    if not line:
        raise RuntimeError(f"{worker.name} ended:\n{worker.log.read_text(encoding='utf-8')[-2000:]}")
    return json.loads(line)


def open_answers() -> None:
    """In the process: keep standard output for answers; whatever else is printed goes to the log."""
    _answers.append(os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8"))
    os.dup2(2, 1)


def receive() -> dict[str, Any] | None:
    """In the process: the next request; None where there will be none."""
    line = sys.stdin.readline()
    return json.loads(line) if line else None


def send(**answer: Any) -> None:
    """In the process: answer the request."""
    print(json.dumps(answer), file=_answers[0])
