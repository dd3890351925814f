"""One short file a stage of dvc.yaml. Here, what all share: one-line errors, all-or-nothing outputs."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from fashion_cnn.errors import UserError


def run(stage: Callable[[], None]) -> None:
    """Run a stage as a program: a person's mistake or a full disk is one line on stderr and exit status 1."""
    try:
        stage()
    except UserError as error:
        sys.exit(f"error: {error}")
    except OSError as error:
        sys.exit(f"error: {error}; nothing half-written is left, run it again once that is mended")
    except KeyboardInterrupt:
        sys.exit("interrupted; nothing half-written is left")


@contextmanager
def output_folder(path: str | Path) -> Iterator[Path]:
    """A folder that appears under its name only when everything in it is written.

    Writing goes to `<path>.partial` beside it; a stage that fails removes that, and one that was killed
    leaves it to the next run, which starts it anew.
    """
    final, partial = Path(path), Path(f"{path}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
        shutil.rmtree(final, ignore_errors=True)
        partial.rename(final)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise


@contextmanager
def output_file(path: str | Path) -> Iterator[Path]:
    """A file that appears under its name only when it is written whole: `output_folder` for one file."""
    final, partial = Path(path), Path(f"{path}.partial")
    final.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield partial
        partial.replace(final)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
