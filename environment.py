"""Makes the environment that requirements.txt names, whole or not at all: python3 environment.py FOLDER, by `make env`.

The standard library alone, as there is nothing else yet, and nothing that an older Python could not read.
"""

import fcntl
import hashlib
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

UV = "uv==0.13.9"
LOCK = Path("requirements.txt")
PROJECT = Path("pyproject.toml")
OWN_NAMES = {
    "bin", "etc", "include", "lib", "lib64", "man", "pyvenv.cfg", "sbin", "share", ".gitignore", ".installed", ".lock",
}  # fmt: skip
STAMP = ".installed"  # in the environment, written last: what it was made of
# What a person's pip and uv are told is meant for other environments, except how packages are reached.
REACHING = re.compile("(PIP|UV)_.*(CACHE|CERT|CONCURRENT|CONFIG|HOST|HTTP|INDEX|KEYRING|LINK|PROXY|RETRIES|TIMEOUT)")


def main(folder: Path) -> None:
    """Leave a whole environment in the folder: the one that is there, or one that is made anew from nothing."""
    require_supported_python()
    with LOCK.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two that are made at once would mix
        wanted = composition(folder, lock.read())
        stamp = folder / STAMP
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
            return
        require_replaceable(folder)
        say(f"{folder}, with Python {platform.python_version()}; it takes a minute or two")
        try:
            clear(folder)
            make(folder)
            stamp.write_text(wanted, encoding="utf-8")
        except (KeyboardInterrupt, OSError, subprocess.CalledProcessError) as error:
            shutil.rmtree(folder, ignore_errors=True)
            sys.exit(f"error: {reason(error)}; no half-made environment is left, run it again once that is mended")


def require_supported_python() -> None:
    """End with one line where this Python is none of those that pyproject.toml names, or can't make environments."""
    ((lowest, beyond),) = re.findall(r'requires-python = ">=([\d.]+),<([\d.]+)"', PROJECT.read_text(encoding="utf-8"))
    another = "name another: make PYTHON=python3.12 env"
    if not numbers(lowest) <= sys.version_info[:3] < numbers(beyond):
        sys.exit(
            f"error: Python {lowest} or newer, but older than {beyond}, is needed; "
            f"{sys.executable} is {platform.python_version()}; {another}"
        )
    if importlib.util.find_spec("ensurepip") is None:
        sys.exit(
            f"error: {sys.executable} can't make environments: its module ensurepip is missing; "
            f"on Debian: apt-get install python3-venv; or {another}"
        )


def numbers(version: str) -> tuple:
    """'3.11.2' as (3, 11, 2)."""
    return tuple(map(int, version.split(".")))


def composition(folder: Path, lock: bytes) -> str:
    """All that makes an environment another one: where it is, its interpreter, its packages, the project's metadata."""
    import tomllib  # noqa: PLC0415 (Python 3.11 has it, and older ones are refused by now)

    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))
    installed = [UV, project["build-system"], project["project"], project["tool"]["setuptools"]]
    digest = hashlib.sha256(lock + json.dumps(installed).encode()).hexdigest()
    return f"{folder}\nPython {platform.python_version()}, {os.path.realpath(sys.executable)}\n{digest}\n"


def require_replaceable(folder: Path) -> None:
    """End with one line where the folder holds something else than an environment, or beside it, or this clone."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    empty = not folder.exists() or (folder.is_dir() and not names)
    if not empty and ("pyvenv.cfg" not in names or names - OWN_NAMES or Path.cwd().is_relative_to(folder)):
        sys.exit(f"error: {folder}: holds something else than an environment; name another: make VENV=FOLDER env")


def clear(folder: Path) -> None:
    """Empty an environment; pyvenv.cfg, which tells that it is one, stays until there is a new one."""
    if not folder.exists():
        return
    say("the old one is removed")
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.name != "pyvenv.cfg":
            path.unlink()


def make(folder: Path) -> None:
    """Make the environment: Python, uv, every package with its hash, this project; on a terminal progress is shown."""
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    variables = {
        name: value for name, value in os.environ.items()
        if not name.startswith(("PIP_", "UV_", "PYTHON")) or REACHING.match(name)
    }  # fmt: skip

    def step(what: str, *command: object) -> None:
        say(what)
        subprocess.run([*map(str, command), *quiet], env=variables, check=True)

    python, uv = folder / "bin" / "python", folder / "bin" / "uv"
    say("Python and pip")
    venv.create(folder, symlinks=True, with_pip=True)
    # A pip.conf may say where to; the command line comes before it.
    here = ["--no-user", "--target=", f"--prefix={folder}", "--root=/", "--disable-pip-version-check"]
    step("uv, which installs the packages", python, "-m", "pip", "install", *here, UV)
    install = [uv, "pip", "install", "--python", python]
    step("the packages, 3 GB", *install, "--require-hashes", "--requirement", LOCK)
    step("this project", *install, "--no-deps", "--no-build-isolation", "--editable", ".")
    say("bytecode of the packages, so that they start fast")
    command = [str(python), "-m", "compileall", "-j", "0", str(folder / "lib")]
    with subprocess.Popen(command, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as compiling:
        assert compiling.stdout  # noqa: S101 (a pipe)
        for count, _ in enumerate(compiling.stdout):  # a line a file; some packages carry files for other Pythons
            if not quiet and count % 500 == 0:
                print(f"{count} files", end="\r", file=sys.stderr, flush=True)


def say(what: str) -> None:
    """Tell the person what is done now."""
    print(f"environment: {what}", file=sys.stderr, flush=True)


def reason(error: BaseException) -> str:
    """What ended the making, in a few words."""
    if isinstance(error, KeyboardInterrupt):
        return "interrupted"
    if isinstance(error, subprocess.CalledProcessError):
        return f"`{' '.join(map(str, error.cmd[:3]))} …` failed, as the lines above say"
    return str(error)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
