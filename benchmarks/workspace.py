"""Temporary copies of the repository, each with an embedded cloud of its own: no measurement disturbs the real one."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil
from ruamel.yaml import YAML

from benchmarks import data
from fashion_cnn.core import params

REPOSITORY: Final = Path(__file__).parent.parent
PERSONS: Final = ("AUTHOR", "COMMITTER")


class Workspace(NamedTuple):
    """A folder, and the environment that commands in it run in."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: str | Path, **environment: str) -> str:
        """Run a command and return its standard output.

        Raises:
            RuntimeError: it failed; what it printed last is in the message.
        """
        variables = self.environment | environment
        done = subprocess.run(
            command, cwd=self.folder, env=variables, capture_output=True, text=True, check=False, encoding="utf-8"
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(map(str, command))} failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
        return done.stdout


@contextmanager
def empty() -> Iterator[Workspace]:
    """An empty git repository; its embedded cloud starts when it is needed, and is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="benchmark-") as scratch:
        home, folder = Path(scratch, "home"), Path(scratch, "clone")
        home.mkdir()
        folder.mkdir()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        raw = data.folder()
        author = {f"GIT_{who}_{what}": "benchmark@example.org" for who in PERSONS for what in ("NAME", "EMAIL")}
        environment = (
            inherited
            | author
            | {
                "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                "HOME": str(home),  # nobody's DVC or AWS configuration
                "FASHION_CNN_CLOUD": str(home / "cloud"),
                data.FOLDER_VARIABLE: str(raw.absolute()) if raw else "",
                "GIT_CONFIG_GLOBAL": os.devnull,
            }
        )
        workspace = Workspace(folder, environment)
        try:
            workspace.run("git", "init", "--quiet")
            yield workspace
        finally:
            workspace.run(sys.executable, "-m", "fashion_cnn.localcloud", "down")


@contextmanager
def clone(changes: Mapping[str, Any]) -> Iterator[Workspace]:
    """The working tree, committed or not, connected to its own cloud, with some parameters changed."""
    with empty() as workspace:
        copy_working_tree(workspace.folder)
        if changes:
            (workspace.folder / "dvc.lock").unlink(missing_ok=True)
            change(workspace.folder / "params.yaml", changes)
        workspace.run("git", "add", "--all")
        workspace.run("git", "commit", "--quiet", "--message", "what is measured")
        connect(workspace)
        yield workspace


def copy_working_tree(folder: Path) -> None:
    """Copy what git tracks here and what it would track, committed or not."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    listed = subprocess.run(listing, cwd=REPOSITORY, capture_output=True, encoding="utf-8", check=True).stdout
    for file in filter(None, listed.split("\0")):
        if (REPOSITORY / file).is_file():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / file, folder / file)


@contextmanager
def study(*, quick: bool, epochs: int) -> Iterator[Workspace]:
    """A clone in which the whole pipeline ran, deployment included, with fewer epochs than it has by default."""
    limit = {"data.limit": 300} if quick else {}
    with clone({"train.epochs": epochs, **limit}) as workspace:
        print("the whole pipeline runs once in a temporary clone", flush=True)
        workspace.run("dvc", "repro")
        yield workspace


def connect(workspace: Workspace) -> None:
    """Point the DVC remote at the workspace's own store, on free ports."""
    command = (sys.executable, "-m", "fashion_cnn.localcloud", "connect", "--port", str(free_ports()))
    workspace.run(*command)


def free_ports() -> int:
    """The first of twenty free ports in a row, below the range that systems hand out by themselves.

    Each process looks elsewhere first, also than those that were started just before and after it: others may look at
    the same moment.
    """
    taken = {connection.laddr.port for connection in psutil.net_connections("tcp") if connection.laddr}
    first = 20000 + os.getpid() % 50 * 200
    return next(port for port in range(first, 32000, 20) if taken.isdisjoint(range(port, port + 20)))


def change(path: Path, changes: Mapping[str, Any]) -> None:
    """Set parameters by their dotted names."""
    yaml = YAML()
    values = yaml.load(path.read_text(encoding="utf-8"))
    for name, value in changes.items():
        params.set_parameter(values, name, value)
    with path.open("w", encoding="utf-8") as file:
        yaml.dump(values, file)
