"""All-or-nothing outputs: a file or folder appears under its name only when it is written whole."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


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
