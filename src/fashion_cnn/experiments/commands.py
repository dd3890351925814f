"""Git and DVC by their command lines, which are what they promise to keep; a failure is one line."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from fashion_cnn.core.errors import UserError

# A git hook, or a stage that DVC runs, has these in its environment: they lead elsewhere than to the folder.
LEADING_ELSEWHERE: Final = {
    "DVC_ROOT", "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX", "GIT_WORK_TREE"
}  # fmt: skip


def git(*arguments: str, folder: Path = Path()) -> str:
    """What git prints.

    Raises:
        UserError: it failed, in its own words.
    """
    return _run(["git", "-C", str(folder), *arguments])


def file_at(commit: str, path: str, folder: Path = Path()) -> str:
    """A file of a commit; empty where the commit has none, or is not there."""
    try:
        return git("show", f"{commit}:./{path}", folder=folder)
    except UserError:
        return ""


def working_commit(what: str, *status: str) -> str:
    """The commit that the working tree is, as far as `git status` is asked.

    Args:
        what: needs that, such as "a study".
        status: options of `git status`, paths among them.

    Raises:
        UserError: this is not a whole clone, or something is not committed.
    """
    if not Path(".dvc").is_dir():
        raise UserError(f"{Path.cwd()}: not a DVC repository; run from the root of the clone")
    if git("rev-parse", "--is-shallow-repository").strip() == "true":
        raise UserError(f"this clone is shallow, and {what} needs the history; run: git fetch --unshallow")
    changed = [line[3:] for line in git("status", "--porcelain", *status).splitlines()]
    if changed:
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(f"not committed: {', '.join(changed[:3])}{more}; {what} is of a commit: commit or stash first")
    return git("rev-parse", "HEAD").strip()


def dvc(*arguments: str, folder: Path = Path(), environment: Mapping[str, str] | None = None) -> str:
    """What DVC prints.

    Args:
        arguments: its command line.
        folder: to run it in.
        environment: instead of this process's own.

    Raises:
        UserError: it failed, in its own words.
    """
    return _run([sys.executable, "-m", "dvc", *arguments], folder, environment)


def _run(command: list[str], folder: Path = Path(), environment: Mapping[str, str] | None = None) -> str:
    variables = os.environ if environment is None else environment
    done = subprocess.run(
        command,
        cwd=folder,
        env={name: value for name, value in variables.items() if name not in LEADING_ELSEWHERE},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [
            line for line in said if line.lower().startswith(("error: ", "fatal: "))
        ]  # DVC adds where to get help
        reason = (errors or said or [f"ended with status {done.returncode}"])[-1]
        raise UserError(f"{'git' if command[0] == 'git' else 'dvc'}: {reason.removeprefix('ERROR: ')}")
    return done.stdout
