"""`make env` ends with a whole environment or with none, whatever Python, pip and uv are told otherwise."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import environment
from support.repository import REPOSITORY

PROJECT = """
[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"
[project]
name = "tiny"
version = "1"
requires-python = ">=3.11.2,<3.14"
[tool.setuptools]
py-modules = ["tiny"]
[tool.ruff]
line-length = 120
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of one module that needs setuptools alone."""
    folder = tmp_path / "año ñ" / "it's (here)"
    folder.mkdir(parents=True)
    locked = re.search(r"(?m)^setuptools==[^#\n]*\n(    --hash\S+.*\n)+", environment_lock())
    assert locked
    (folder / "requirements.txt").write_text(locked[0], encoding="utf-8")
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "tiny.py").write_text("print('tiny')", encoding="utf-8")
    monkeypatch.chdir(folder)
    return folder


def environment_lock() -> str:
    return (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")


@pytest.mark.usefixtures("project")
def test_an_environment_is_whole_wherever_a_person_installs_otherwise(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    settings = tmp_path / "pip.conf"
    settings.write_text(f"[install]\nuser = true\nprefix = {elsewhere}\nroot = {elsewhere}\n", encoding="utf-8")
    variables = {
        **os.environ, "PIP_CONFIG_FILE": str(settings), "PIP_TARGET": str(elsewhere), "PIP_REQUIRE_HASHES": "1",
        "UV_SYSTEM_PYTHON": "1", "UV_REQUIRE_HASHES": "1", "UV_COMPILE_BYTECODE": "nonsense",
    }  # fmt: skip
    command = [sys.executable, str(REPOSITORY / "environment.py"), ".venv"]
    done = subprocess.run(command, env=variables, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not elsewhere.exists()
    imported = subprocess.run([".venv/bin/python", "-P", "-c", "import tiny"], capture_output=True, check=True)
    assert imported.stdout == b"tiny\n"
    again = subprocess.run(command, capture_output=True, check=True)
    assert again.stderr == b"", "a whole environment is left as it is"
    environment.require_replaceable(Path(".venv"))  # once the lock file changes


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Stands in for the minute in which packages are installed: the folders in which an environment was made."""
    folders: list[Path] = []

    def make(folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        (folder / "pyvenv.cfg").touch()
        folders.append(folder)

    monkeypatch.setattr(environment, "make", make)
    return folders


def rename_clone(project: Path) -> Path:
    moved = project.with_name("renamed")
    project.rename(moved)
    os.chdir(moved)
    return moved


def change_lock(project: Path) -> Path:
    (project / "requirements.txt").write_text("other", encoding="utf-8")
    return project


def change_dependencies(project: Path) -> Path:
    (project / "pyproject.toml").write_text(PROJECT.replace('"1"', '"2"'), encoding="utf-8")
    return project


def lose_the_stamp(project: Path) -> Path:
    """What is left of an environment that was killed while it was made."""
    (project / ".venv" / environment.STAMP).unlink()
    (project / ".venv" / "lib").mkdir()
    return project


@pytest.mark.parametrize("change", [rename_clone, change_lock, change_dependencies, lose_the_stamp])
def test_an_environment_of_other_things_is_made_anew_from_nothing(
    project: Path, made: list[Path], change: Callable[[Path], Path]
) -> None:
    environment.main(project / ".venv")
    environment.main(project / ".venv")
    assert made == [project / ".venv"]
    (project / ".venv" / "bin").mkdir()
    folder = change(project) / ".venv"
    environment.main(folder)
    assert made[1:] == [folder]
    assert sorted(path.name for path in folder.iterdir()) == [environment.STAMP, "pyvenv.cfg"]


def test_an_environment_of_another_python_is_made_anew(
    project: Path, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    environment.main(project / ".venv")
    monkeypatch.setattr(sys, "executable", "/usr/bin/env")
    environment.main(project / ".venv")
    assert len(made) == 2


def test_a_setting_of_a_linter_makes_no_other_environment(project: Path, made: list[Path]) -> None:
    environment.main(project / ".venv")
    (project / "pyproject.toml").write_text(PROJECT.replace("120", "100"), encoding="utf-8")
    environment.main(project / ".venv")
    assert len(made) == 1


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (KeyboardInterrupt(), "error: interrupted; no half-made environment is left"),
        (OSError(28, "No space left on device"), r"error: \[Errno 28\] No space left on device; no half-made"),
        (subprocess.CalledProcessError(1, ["python", "-m", "pip", "install"]), "error: `python -m pip …` failed"),
    ],
)
def test_a_making_that_fails_leaves_nothing_and_says_why_in_one_line(
    project: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, line: str
) -> None:
    def fail(folder: Path) -> None:
        (folder / "lib").mkdir(parents=True)
        raise error

    monkeypatch.setattr(environment, "make", fail)
    with pytest.raises(SystemExit, match=line):
        environment.main(project / ".venv")
    assert not (project / ".venv").exists()


@pytest.mark.parametrize("folder", ["precious", "."])
def test_a_folder_that_is_no_environment_is_left_alone(project: Path, made: list[Path], folder: str) -> None:
    (project / "precious").mkdir()
    (project / "precious" / "thesis.tex").touch()
    (project / "pyvenv.cfg").touch()  # even a clone inside an environment's own folder
    with pytest.raises(SystemExit, match="holds something else than an environment; name another: make VENV=FOLDER"):
        environment.main((project / folder).resolve())
    assert (project / "precious" / "thesis.tex").exists()
    assert made == []


def test_an_environment_beside_a_person_s_work_is_left_alone(project: Path, made: list[Path]) -> None:
    folder = project / "project"
    (folder / "src").mkdir(parents=True)
    (folder / "src" / "work.py").touch()
    (folder / "pyvenv.cfg").touch()
    with pytest.raises(SystemExit, match="holds something else than an environment"):
        environment.main(folder)
    assert (folder / "src" / "work.py").exists()
    assert made == []


def test_an_exported_name_moves_no_environment() -> None:
    done = subprocess.run(
        ["make", "--dry-run", "env"], cwd=REPOSITORY, env=os.environ | {"VENV": "/other/project"}, capture_output=True,
        encoding="utf-8", check=True,
    )  # fmt: skip
    assert "environment.py .venv" in done.stdout


@pytest.mark.parametrize("supported", [">=3.99,<4", ">=3.9,<3.11", ">=3.11.99,<3.12"])
def test_a_python_that_is_not_supported_is_refused_in_one_line(project: Path, made: list[Path], supported: str) -> None:
    changed = PROJECT.replace(">=3.11.2,<3.14", supported)
    if sys.version_info[:2] != (3, 11):
        changed = changed.replace("3.11.99,<3.12", f"{sys.version_info[0]}.{sys.version_info[1]}.99,<4")
    (project / "pyproject.toml").write_text(changed, encoding="utf-8")
    with pytest.raises(SystemExit, match="is needed; .* is 3.*; name another: make PYTHON=python3.12 env"):
        environment.main(project / ".venv")
    assert made == []


def test_a_python_without_ensurepip_is_refused_in_one_line(
    project: Path, made: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ensurepip", None)
    with pytest.raises(SystemExit, match="its module ensurepip is missing; on Debian: apt-get install python3-venv"):
        environment.main(project / ".venv")
    assert made == []


def test_make_runs_everything_in_the_plain_shell_without_a_person_s_settings_of_python(tmp_path: Path) -> None:
    (tmp_path / "probe.mk").write_text("probe:\n\t@env\n", encoding="utf-8")
    foreign = {"SHELL": "/usr/sbin/nologin", "PYTHONPATH": "/x", "PYTHONHOME": "/x", "PYTHONWARNINGS": "error"}
    command = ["make", "--no-print-directory", "-f", str(REPOSITORY / "Makefile"), "-f", "probe.mk", "probe"]
    done = subprocess.run(command, cwd=tmp_path, env={**os.environ, **foreign}, capture_output=True, check=True)
    variables = dict(line.split("=", 1) for line in done.stdout.decode().splitlines() if "=" in line)
    assert variables["SHELL"] == "/bin/sh"
    assert variables["PATH"].startswith(f"{tmp_path}/.venv/bin:")
    assert variables.keys() & foreign.keys() == {"SHELL"}
