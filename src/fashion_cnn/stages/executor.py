"""A stage ends with the DVC that runs it: `dvc queue kill` and `dvc queue stop --kill` end DVC alone."""

import os
import signal
import threading
import time

import psutil

POLL_SECONDS = 0.5
IN_A_STAGE = "DVC_STAGE"  # a variable of every process below DVC


def end_with_dvc() -> None:
    """Have this process interrupted, so that it rolls back, when it is asked to end and when its DVC has ended."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if IN_A_STAGE in os.environ:
        dvc = next((one for one in psutil.Process().parents() if IN_A_STAGE not in one.environ()), None)
        threading.Thread(target=_end_after, args=(dvc,), daemon=True).start()


def _end_after(dvc: psutil.Process | None) -> None:
    # A zombie has ended, too: DVC's own parent may be slow to notice.
    while dvc and dvc.is_running() and dvc.status() != psutil.STATUS_ZOMBIE:
        time.sleep(POLL_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
