"""Makes a process the project's own: the person's shell and home folder decide nothing that it computes or draws.

A program imports this before anything else, and runs its main function through `run`.
"""

import atexit
import codecs
import errno
import gc
import io
import locale
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NoReturn

from fashion_cnn.core.errors import UserError

# Variables by which a shell decides what libraries compute and draw. Here params.yaml alone does.
DECISIVE: Final = (
    "CUBLAS_", "CUDNN_", "DNNL_", "KERAS_", "MATPLOTLIBRC", "MPLBACKEND", "NPY_", "NVIDIA_TF32_", "ONEDNN_",
    "OPENBLAS_CORETYPE", "TENSORFLOW_USE_", "TF_", "XLA_",
)  # fmt: skip
# Those of the same names that say where memory comes from and what is logged, and those that training answers for.
INDECISIVE: Final = (
    "TF_CPP_MIN_LOG_LEVEL", "TF_FORCE_GPU_ALLOW_GROWTH", "TF_GPU_ALLOCATOR", "TF_ENABLE_ONEDNN_OPTS",
    "ONEDNN_MAX_CPU_ISA",
)  # fmt: skip
# Files of a home folder that decide the same are looked for where there are none. Started processes read and write
# UTF-8, and so TensorFlow finds its own files below a folder named in it, whatever the locale.
# Source: keras/src/backend/config.py; matplotlib.org, "Customizing Matplotlib with style sheets and rcParams"; PEP 540.
OWN: Final = {"KERAS_HOME": os.devnull, "MATPLOTLIBRC": os.devnull, "PYTHONUTF8": "1"}


def _forget_the_shell() -> None:
    """Take the shell's decisions out of this process and those that it starts."""
    for name in [name for name in os.environ if name.startswith(DECISIVE) and name not in INDECISIVE]:
        del os.environ[name]
    os.environ |= OWN
    # What PYTHONPATH names stands in for no installed package; where this code comes from there, it goes first.
    named = {os.path.abspath(path) for path in os.environ.get("PYTHONPATH", "").split(os.pathsep)}  # noqa: PTH100
    sys.path.sort(key=(named - {str(Path(__file__).parents[2])}).__contains__)
    if "error" in os.environ.pop("PYTHONWARNINGS", ""):  # libraries warn of what is not the person's to mend
        warnings.filters = [entry for entry in warnings.filters if entry[0] != "error"]


_forget_the_shell()
# The search for cycles takes a sixth of a start with TensorFlow, whose modules all stay, and a second of its end.
gc.set_threshold(100_000, 50, 100)
atexit.register(gc.freeze)


class _Unheard(io.FileIO):
    """A standard stream whose reader may leave, as `head` does: the rest is dropped, and the work goes on."""

    lost = False

    def write(self, content: Any, /) -> int:
        if not self.lost:
            try:
                return super().write(content) or 0
            except OSError as error:
                self.lost = True
                if error.errno not in (errno.EPIPE, errno.EIO):  # no more pipe, no more terminal; a full disk is told
                    raise OSError(error.errno, error.strerror, "standard output") from None
        return len(content)


def _forgiving(stream: Any) -> Any:
    """The same standard stream, for which no text is wrong: what the terminal can't show becomes a question mark."""
    if stream is None:  # whoever started the process closed it; the next file to be opened takes its number
        return Path(os.devnull).open("w", encoding="utf-8", errors="replace")
    binary = io.BufferedWriter(_Unheard(stream.fileno(), "w", closefd=False))
    buffering = {"line_buffering": stream.line_buffering, "write_through": stream.write_through}
    # In UTF-8 mode the stream has UTF-8 whatever the terminal has; a locale without any encoding says ASCII.
    shown = locale.getencoding()
    known = "PYTHONIOENCODING" not in os.environ and codecs.lookup(shown).name != "ascii"
    return io.TextIOWrapper(binary, shown if known else stream.encoding, "replace", **buffering)


def run(main: Callable[[], int | None]) -> NoReturn:
    """Run a program's main function and exit with the status that it returns.

    A person's mistake, and what their machine refuses, is one line on stderr and exit status 1.
    """
    sys.stdout, sys.stderr = _forgiving(sys.stdout), _forgiving(sys.stderr)
    try:
        status = main()
        sys.stdout.flush()
    except (UserError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit("interrupted")
    sys.exit(status)
