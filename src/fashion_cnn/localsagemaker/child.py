"""Runs a model server that ends when the process that started it ends, however that one ended.

python -m fashion_cnn.localsagemaker.child MODULE ARGUMENTS...; standard input is a pipe from the parent.
"""

from fashion_cnn.core import process  # noqa: F401 (first: it makes the process ready for what follows)

# isort: split
import os
import runpy
import sys
import threading


def _end_with_parent() -> None:
    """Wait for the pipe's end, which the kernel closes with the parent, and end at once: nobody waits for answers."""
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(1)


if __name__ == "__main__":
    threading.Thread(target=_end_with_parent, daemon=True).start()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
