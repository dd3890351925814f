"""Runs one stage in the present folder and writes, as JSON, where its time went, and its peak memory.

python -m benchmarks.trace_stage OUTPUT STAGE [ARGUMENT ...], with the time of its start (time.monotonic()) in the
environment variable STAGE_STARTED. It wraps functions from outside, imports included; it changes nothing else.
"""

import builtins
import functools
import importlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from benchmarks import memory

STARTED: Final = "STAGE_STARTED"
# What a stage calls to read and to write; drawing a figure into its file is writing.
FUNCTIONS: Final = {
    "fashion_cnn.core.params": {"load": "reading"},
    "fashion_cnn.ingest.idx": {"read_labelled_images": "reading"},
    "fashion_cnn.core.dataset": {"load": "reading"},
    "fashion_cnn.ingest.splits": {"save": "writing"},
    "fashion_cnn.core.results": {"load": "reading", "save": "writing"},
    "fashion_cnn.training.fitting": {"save_network": "writing"},
    "fashion_cnn.reporting.style": {"save": "writing"},
}
METHODS: Final = {"read_text": "reading", "read_bytes": "reading", "write_text": "writing", "write_bytes": "writing"}

seconds = dict.fromkeys(("start", "import", "reading", "work", "writing"), 0.0)
under_way: list[str] = []
changed_at = 0.0


def switch() -> None:
    """Book the time since the last switch for what was under way."""
    global changed_at  # noqa: PLW0603 (one clock for the process)
    now = time.monotonic()
    if under_way:
        seconds[under_way[-1]] += now - changed_at
    changed_at = now


def booked(purpose: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, its time booked for a purpose; what it imports is booked as import all the same."""

    @functools.wraps(function)
    def wrapper(*arguments: Any, **options: Any) -> Any:
        # Packages read files as they are imported; other threads work beside the clock.
        nested = under_way[-1] in (purpose, "import")
        if nested or threading.current_thread() is not threading.main_thread():
            return function(*arguments, **options)
        switch()
        under_way.append(purpose)
        try:
            return function(*arguments, **options)
        finally:
            switch()
            under_way.pop()

    return wrapper


def book_imports() -> None:
    """Book imports, and what the stages' functions do from the moment that they are imported."""
    pending = dict(FUNCTIONS)

    def wrap_imported() -> None:
        for name in [name for name in pending if name in sys.modules]:
            module, functions = sys.modules[name], pending[name]
            if all(hasattr(module, function) for function in functions):  # not while it is being imported
                del pending[name]
                for function, purpose in functions.items():
                    setattr(module, function, booked(purpose, getattr(module, function)))

    def importing(original: Callable[..., Any]) -> Callable[..., Any]:
        timed = booked("import", original)

        @functools.wraps(original)
        def wrapper(*arguments: Any, **options: Any) -> Any:
            module = timed(*arguments, **options)
            if pending:
                wrap_imported()
            return module

        return wrapper

    builtins.__import__ = importing(builtins.__import__)
    importlib.import_module = importing(importlib.import_module)


def main() -> None:
    """Run the stage."""
    output, stage, *arguments = sys.argv[1:]
    sys.argv = [stage, *arguments]
    started = float(os.environ[STARTED])
    under_way.append("work")
    for method, purpose in METHODS.items():
        setattr(Path, method, booked(purpose, getattr(Path, method)))
    book_imports()
    switch()
    seconds["start"], seconds["work"] = changed_at - started, 0.0
    importlib.import_module(f"fashion_cnn.stages.{stage}").main()
    switch()
    figures = {**seconds, "finished": changed_at, "peak_bytes": memory.peak()}
    with open(output, "w", encoding="utf-8") as file:  # noqa: PTH123 (not through the wrapped methods)
        json.dump(figures, file)


if __name__ == "__main__":
    main()
