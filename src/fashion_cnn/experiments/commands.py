"""Git and DVC by their command lines, which are what they promise to keep; a failure is one line."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from fashion_cnn.core.errors import UserError

# A git hook, or a stage that DVC runs, has these in its environment: they would lead elsewhere than to `folder`.
LEADING_ELSEWHERE: Final = (
    "DVC_ROOT",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_WORK_TREE",
)


def git(*arguments: str, folder: Path = Path()) -> str:
    """What git prints, run in a folder.

    Raises:
        UserError: it failed, in its own words.
    """
    return _run(["git", *arguments], folder)


def dvc(*arguments: str, folder: Path = Path(), environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """What DVC prints, run in a folder.

    Args:
        arguments: its command line.
        folder: to run it in.
        environment: variables beside those of this process.

    Raises:
        UserError: it failed, in its own words.
    """
    return _run([sys.executable, "-m", "dvc", *arguments], folder, environment)


def _run(command: list[str], folder: Path, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    variables = {name: value for name, value in os.environ.items() if name not in LEADING_ELSEWHERE}
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables | dict(environment),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        reasons = [line for line in said if line.startswith(("ERROR: ", "error: ", "fatal: "))]
        reason = (reasons or said or [f"it ended with status {done.returncode}"])[-1]
        raise UserError(f"{'git' if command[0] == 'git' else 'dvc'}: {reason.partition(': ')[2] or reason}")
    return done.stdout
