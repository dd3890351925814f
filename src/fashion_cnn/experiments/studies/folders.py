"""The folders in which a study's clones lie, below .dvc/tmp/exps/studies, and their removal.

Each names the process it belongs to. Whatever way that process ends, its folders and what still runs in them are
removed: by itself, by the watcher that it starts (`python -m fashion_cnn.experiments.studies.folders`), or by the next
command. Results leave a clone through git and DVC's cache alone, so a folder may be removed at any moment.
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import psutil
from filelock import FileLock

from fashion_cnn.experiments import clone
from fashion_cnn.experiments.clone import Clone
from fashion_cnn.experiments.commands import LEADING_ELSEWHERE

FOLDERS: Final = Path(".dvc/tmp/exps/studies")  # where DVC has its copies of a clone, and stages look for it
MARK: Final = "FASHION_CNN_STUDY"  # in the environment of everything that runs in a clone: the folder
OWNER: Final = "owner.json"
POLITE_SECONDS: Final = 5  # in which what runs in a clone may end by itself


def lock() -> FileLock:
    """Held while folders are looked at in order to make or remove one."""
    FOLDERS.mkdir(parents=True, exist_ok=True)
    return FileLock(FOLDERS / "lock")


def owners() -> dict[str, dict[str, Any]]:
    """Each folder's name, and what its owner noted there."""
    found = {}
    for path in FOLDERS.glob(f"*/{OWNER}"):
        with contextlib.suppress(FileNotFoundError, json.JSONDecodeError):
            found[path.parent.name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def claim(name: str, **noted: Any) -> Path:
    """Make the folder of a name that nobody has. The caller holds the lock."""
    folder = FOLDERS.absolute() / name
    folder.mkdir()
    owner = {"pid": os.getpid(), "created": psutil.Process().create_time(), "since": time.time(), **noted}
    partial = folder / f"{OWNER}.partial"
    partial.write_text(json.dumps(owner), encoding="utf-8")
    partial.rename(folder / OWNER)
    return folder


def clone_into(folder: Path, commit: str) -> Clone:
    """Clone this repository at a commit into a claimed folder, with this clone's own cache."""
    return clone.make(commit, folder / "clone", clone.cache(), environment(folder))


def environment(folder: Path) -> dict[str, str]:
    """What is to run in a claimed folder runs with this environment."""
    return {name: value for name, value in os.environ.items() if name not in LEADING_ELSEWHERE} | {MARK: str(folder)}


@contextmanager
def temporary(commit: str) -> Iterator[Clone]:
    """A clone for a moment."""
    with lock():
        sweep()
        folder = claim(f"clone-{os.getpid()}")
    try:
        yield clone_into(folder, commit)
    finally:
        remove(folder)


def remove(folder: Path) -> None:
    """End what runs in a claimed folder, then remove it."""
    ask_until = time.monotonic() + POLITE_SECONDS
    asked: set[int] = set()
    while running := list(_running_in(folder)):
        for one in running:
            with contextlib.suppress(psutil.NoSuchProcess):
                if time.monotonic() > ask_until:
                    one.kill()
                elif one.pid not in asked:
                    asked.add(one.pid)
                    one.terminate()
        time.sleep(0.05)
    shutil.rmtree(folder, ignore_errors=True)


def _running_in(folder: Path) -> Iterator[psutil.Process]:
    """What was started for this folder and still works in it; not the store that it may have started elsewhere."""
    for one in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            inside = Path(one.cwd()).is_relative_to(folder) and one.status() != psutil.STATUS_ZOMBIE
            if inside and one.environ().get(MARK) == str(folder):
                yield one


def sweep() -> None:
    """Remove the folders of processes that are no more. The caller holds the lock."""
    found = owners()
    for folder in FOLDERS.absolute().iterdir():
        if folder.is_dir() and not (folder.name in found and alive(found[folder.name])):
            remove(folder)


def remove_all_of(pid: int) -> None:
    """Remove the folders that a process claimed."""
    for name, owner in owners().items():
        if owner["pid"] == pid:
            remove(FOLDERS.absolute() / name)


def alive(owner: dict[str, Any]) -> bool:
    """Whether the process that claimed a folder still runs."""
    try:
        one = psutil.Process(owner["pid"])
        # A clock adjustment shifts create_time a little; a pid is not handed out again that fast.
        same = abs(one.create_time() - owner["created"]) < 2
        # Nobody reaps a killed process in a container without an init.
        return same and one.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextmanager
def watched() -> Iterator[None]:
    """Within, a watcher stands by: should this process be killed, it removes the folders and ends what runs in them."""
    command = [sys.executable, "-m", __name__, str(os.getpid())]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as watcher:
        try:
            yield
        finally:
            watcher.communicate()  # closes the pipe and waits


def main() -> None:
    """Watch: wait for the end of a process, then remove its folders."""
    sys.stdin.read()  # returns when the other end of the pipe closes: its process ends, though it may still be listed
    with lock():
        remove_all_of(int(sys.argv[1]))


if __name__ == "__main__":
    process.run(main)
