"""A background process that outlives the command that started it: pid file, log, readiness, stop."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psutil
from filelock import FileLock

from fashion_cnn.core.errors import UserError
from fashion_cnn.localcloud.connection import FOLDER_VARIABLE

MAX_LOG_BYTES: Final = 250_000


class Daemon(NamedTuple):
    """Where a background process keeps its files; all of a user's clones share them.

    Attributes:
        folder: the embedded cloud's folder.
        name: the stem of its files: <name>.pid, <name>.log, <name>.lock.
    """

    folder: Path
    name: str

    @property
    def log(self) -> Path:
        """Standard output and error since the last start, as far as `bound_log` keeps them."""
        return self.folder / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        """JSON: pid and command line, which together name one process whatever happens to the clock."""
        return self.folder / f"{self.name}.pid"

    @property
    def lock(self) -> FileLock:
        """Held while starting or stopping, so that concurrent callers start one process."""
        return FileLock(self.folder / f"{self.name}.lock")


def make_private(folder: Path) -> None:
    """Make the folder if need be, open to its owner alone.

    Raises:
        UserError: it can't be made or is not the user's.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
    except OSError as error:
        raise UserError(
            f"{folder}: can't keep the embedded cloud there ({error.strerror}); "
            f"name a folder of your own with the environment variable {FOLDER_VARIABLE}"
        ) from None


def write_private(path: Path, content: bytes) -> None:
    """Write a file that its owner alone can read, all or nothing."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
    partial.replace(path)


def find(daemon: Daemon) -> psutil.Process | None:
    """The process that the pid file names; None where it ended or another process has its pid now."""
    try:
        recorded = json.loads(daemon.pid_file.read_text(encoding="utf-8"))
        process = psutil.Process(recorded["pid"])
        # Not by the time of its start, which psutil derives from the clock. A zombie, which nobody reaps in a container
        # without an init, has no command line.
        return process if _encoded(process.cmdline()) == recorded["command"] else None
    except (FileNotFoundError, ValueError, KeyError, TypeError, psutil.NoSuchProcess, psutil.AccessDenied):
        return None


def _encoded(command: Iterable[str | Path]) -> list[str]:
    """A command line as JSON can hold it, the same in every locale: one letter a byte."""
    return [os.fsencode(word).decode("latin-1") for word in command]


def require_free(ports: Iterable[int], remedy: str) -> None:
    """Refuse to start where a port is taken.

    Raises:
        UserError: names the port, the process that holds it where that is known, and the remedy.
    """
    for port in ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                # All addresses: a server on 0.0.0.0 is in the way too. It only binds, so nothing can connect.
                probe.bind(("", port))
            except OSError:
                raise UserError(f"port {port} is taken{_holder(port)}; {remedy}") from None


def _holder(port: int) -> str:
    with contextlib.suppress(psutil.Error):
        for connection in psutil.net_connections("tcp"):
            here = getattr(connection.laddr, "port", None) == port
            if here and connection.status == psutil.CONN_LISTEN and connection.pid:
                return f" by {psutil.Process(connection.pid).name()} (pid {connection.pid})"
    return ""


def start(
    daemon: Daemon,
    command: Sequence[str | Path],
    environment: Mapping[str, str],
    ready: Callable[[], bool],
    *,
    seconds: float = 60,
) -> None:
    """Start the process, detached, and wait until it is ready. The caller holds the lock and saw none run.

    It keeps no pipe of the caller's open: AWS clients read a credential process to the end of its output.

    Raises:
        UserError: it ended or was not ready within `seconds`; it is stopped then.
    """
    daemon.log.unlink(missing_ok=True)
    with daemon.log.open("ab") as log:
        process = psutil.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=environment,
            cwd=daemon.folder,
            start_new_session=True,
        )
    with contextlib.suppress(psutil.NoSuchProcess):
        while not process.cmdline():  # the system sets it a moment after the process has begun
            time.sleep(0.001)
    recorded = {"pid": process.pid, "command": _encoded(command)}
    write_private(daemon.pid_file, json.dumps(recorded).encode())
    wait(daemon, ready, seconds=seconds)


def wait(daemon: Daemon, ready: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait until the started process is ready.

    Raises:
        UserError: it ended or was not ready within `seconds`; it is stopped then.
    """
    deadline = time.monotonic() + seconds
    while not ready():
        if find(daemon) is None:
            raise UserError(f"the embedded {daemon.name} ended at its start{_last_words(daemon.log)}")
        if time.monotonic() > deadline:
            stop(daemon)
            raise UserError(f"the embedded {daemon.name} was not ready in {seconds:.0f} s{_last_words(daemon.log)}")
        time.sleep(0.02)


def bound_log(log: Path) -> None:
    """Empty a log that is longer than MAX_LOG_BYTES; its end goes to <name>.1. Whoever writes to it appends."""
    with contextlib.suppress(FileNotFoundError), log.open("rb+") as file:
        if log.stat().st_size > MAX_LOG_BYTES:
            file.seek(-MAX_LOG_BYTES, os.SEEK_END)
            log.with_name(f"{log.name}.1").write_bytes(file.read(MAX_LOG_BYTES))
            file.truncate(0)


def _last_words(log: Path) -> str:
    lines = [line.strip() for line in log.read_text(errors="replace", encoding="utf-8").splitlines() if line.strip()]
    # A Go program ends with the stacks of all goroutines; the reason stands before them.
    reasons = [line for line in lines if re.match(r"F\d{4} |panic: |fatal error: ", line)] or lines[-1:]
    return "".join(f": {reason[:300]}" for reason in reasons[:1]) + f"; its log: {log}"


def stop(daemon: Daemon, *, seconds: float = 20) -> bool:
    """Stop the process that the pid file names, and no other: asked first, killed after `seconds`.

    Returns:
        Whether it was running.
    """
    process = find(daemon)
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
            deadline = time.monotonic() + seconds
            # Ended is enough: it is not our child, and whoever is to reap it may never do so.
            while find(daemon) is not None:
                if time.monotonic() > deadline:
                    process.kill()
                time.sleep(0.02)
    daemon.pid_file.unlink(missing_ok=True)
    return process is not None
