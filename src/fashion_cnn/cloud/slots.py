"""Of all stages that run on this machine, together only so many have a training job at a time."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from filelock import FileLock, Timeout

from fashion_cnn.core.errors import UserError
from fashion_cnn.localcloud.daemon import make_private

POLL_SECONDS: Final = 0.5


@contextmanager
def taken(folder: Path, count: int, ending: threading.Event) -> Iterator[None]:
    """Wait for one of `count` slots and hold it; it becomes free with the process that holds it, however that ends.

    Args:
        folder: that all stages on this machine share.
        count: of slots.
        ending: set when the caller no longer wants one.

    Raises:
        UserError: `ending` was set.
    """
    make_private(folder)
    told = False
    while not (slot := _free(folder, count)):
        if not told:
            told = True
            print(f"waiting until another training job has ended: cloud.max_jobs = {count}", flush=True)
        if ending.wait(POLL_SECONDS):
            raise UserError("the training job was no longer wanted")
    with slot:
        yield


def _free(folder: Path, count: int) -> Any:
    for number in range(count):
        with suppress(Timeout):
            return FileLock(folder / f"training-job-{number}.lock").acquire(blocking=False)
    return None
