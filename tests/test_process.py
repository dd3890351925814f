"""What a person's shell, terminal and home folder hold: nothing breaks."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from support.repository import REPOSITORY, SOURCE

LOCALCLOUD = [sys.executable, "-m", "fashion_cnn.localcloud"]


def run_python(code: str, *options: str, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run Python code that has `process`, in this environment with some variables more."""
    command = [sys.executable, *options, "-c", f"from fashion_cnn.core import process\n{code}"]
    return subprocess.run(command, env={**os.environ, **variables}, capture_output=True, check=False)


# Streams


@pytest.mark.parametrize(
    ("terminal", "shown"),
    [
        ("utf-8", "año: 0.8–0.9 ≥ ?"),
        ("latin-1", "año: 0.8?0.9 ? ?"),
        ("ascii", "a?o: 0.8?0.9 ? ?"),
        ("cp437", "año: 0.8?0.9 ≥ ?"),
    ],
)
def test_text_that_a_terminal_can_t_show_becomes_question_marks(terminal: str, shown: str) -> None:
    # The last character stands for a byte of a file's name that is no text.
    done = run_python(r"process.run(lambda: print('año: 0.8–0.9 ≥ \udce9'))", PYTHONIOENCODING=terminal)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(terminal) == f"{shown}\n"


@pytest.mark.parametrize("buffering", ["", "-u"])
def test_whoever_stops_reading_ends_nothing(buffering: str, tmp_path: Path) -> None:
    """As in `command | head -1`: the work goes on, and the exit status is its own."""
    code = f"""
def main():
    for line in range(20_000):
        print(line)
    open({str(tmp_path / "done")!r}, "wb").close()
    return 3
process.run(main)"""
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, *buffering.split(), "-c", f"from fashion_cnn.core import process\n{code}"]
    with os.fdopen(writing, "wb") as nobody:
        done = subprocess.run(command, stdout=nobody, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (3, b"")
    assert (tmp_path / "done").exists()


def test_a_full_disk_below_the_output_is_one_line() -> None:
    code = "from fashion_cnn.core import process\nprocess.run(lambda: print('x' * 100_000))"
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 1
    assert done.stderr == b"error: [Errno 28] No space left on device: 'standard output'\n"


def test_a_closed_output_is_no_output() -> None:
    code = "from fashion_cnn.core import process\nprocess.run(lambda: print('x', file=None) or 4)"
    done = subprocess.run(["sh", "-c", '"$0" -c "$1" >&- 2>&-', sys.executable, code], check=False)
    assert done.returncode == 4


def test_a_person_s_mistake_and_an_interruption_are_one_line() -> None:
    raises = "def main(): raise {}\nprocess.run(main)"
    for error, line in {
        "process.UserError('kernel = 0')": "error: kernel = 0\n",
        "PermissionError(13, 'Permission denied', 'models')": "error: [Errno 13] Permission denied: 'models'\n",
        "KeyboardInterrupt": "interrupted\n",
    }.items():
        done = run_python(raises.format(error))
        assert (done.returncode, done.stderr.decode()) == (1, line)


def test_commands_end_quietly_when_nobody_reads_on(tmp_path: Path) -> None:
    command = " ".join([*LOCALCLOUD, "status", "--folder", str(tmp_path), "| head -1; echo ${PIPESTATUS[0]}"])
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.stdout.splitlines() == ["S3       stopped; it starts by itself when needed", "3"]
    assert done.stderr == ""


# Variables, and what Python imports


def test_variables_that_decide_results_are_forgotten_and_others_stay() -> None:
    forgotten = {
        "DNNL_MAX_CPU_ISA": "AVX2", "KERAS_BACKEND": "torch", "KERAS_MAX_EPOCHS": "1", "MPLBACKEND": "nonsense",
        "NPY_DISABLE_CPU_FEATURES": "AVX512F", "NVIDIA_TF32_OVERRIDE": "0", "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
        "TF_USE_LEGACY_KERAS": "1", "XLA_FLAGS": "--nonsense", "PYTHONWARNINGS": "error",
    }  # fmt: skip
    kept = {"TF_CPP_MIN_LOG_LEVEL": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true", "CUDA_VISIBLE_DEVICES": "1"}
    code = "import json, os, warnings; warnings.warn('not an error'); print(json.dumps(dict(os.environ)))"
    done = run_python(code, **forgotten, **kept)
    variables = json.loads(done.stdout)
    assert forgotten.keys() & variables.keys() == set()
    assert kept.items() <= variables.items()


def test_what_PYTHONPATH_names_replaces_no_installed_package(tmp_path: Path) -> None:  # noqa: N802
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    for name in ("psutil", "numpy", "pydantic"):
        (foreign / f"{name}.py").write_text("raise ImportError('of another environment')", encoding="utf-8")
    (foreign / "only_there.py").touch()
    done = run_python("import numpy, psutil, pydantic, only_there", PYTHONPATH=f"{foreign}:/nowhere")
    assert done.returncode == 0, done.stderr
    environment = {**os.environ, "PYTHONPATH": str(foreign)}
    command = [*LOCALCLOUD, "status", "--folder", str(tmp_path / "cloud")]
    status = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert (status.returncode, status.stderr) == (3, b"")


def test_every_program_is_made_ready_before_it_imports_anything_else() -> None:
    programs = [path for path in SOURCE.rglob("*.py") if '__name__ == "__main__"' in path.read_text(encoding="utf-8")]
    programs.remove(SOURCE / "fashion_cnn/localsagemaker/container.py")  # it runs where this package is not
    for path in (*programs, REPOSITORY / "benchmarks" / "__main__.py"):
        imports = (node for node in ast.parse(path.read_bytes()).body if isinstance(node, ast.Import | ast.ImportFrom))
        assert ast.unparse(next(imports)) == "from fashion_cnn.core import process", f"{path}: its first import"
        # The child runs another program, which does.
        assert "process.run(main)" in path.read_text(encoding="utf-8") or path.name == "child.py", path


# Text files


def text_without_encoding(call: ast.Call) -> bool:
    """Whether a call reads or writes text, or starts a process and reads its text, in the shell's encoding."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    module = getattr(getattr(call.func, "value", None), "id", "")
    if "encoding" in named:
        return False
    if name in {"read_text", "write_text"} or "text" in named:
        return True
    if name not in {"open", "fdopen", "NamedTemporaryFile"} or module in {"gzip", "tarfile", "zipfile"}:
        return False
    constants = [value.value for value in (*call.args, named.get("mode")) if isinstance(value, ast.Constant)]
    mode = next((str(one) for one in constants if re.fullmatch("[rwax+bt]+", str(one))), None)
    text_unless_said = name == "fdopen" or (name == "open" and (not module or not call.args))
    return "b" not in mode if mode else text_unless_said


def test_text_is_read_and_written_as_utf_8_whatever_the_shell_s_encoding() -> None:
    for folder in ("src", "tests", "benchmarks", "."):
        for path in REPOSITORY.joinpath(folder).glob("*.py" if folder == "." else "**/*.py"):
            calls = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, ast.Call)]
            lines = [call.lineno for call in calls if text_without_encoding(call)]
            assert lines == [], f'{path}: encoding="utf-8" is missing in these lines'


@pytest.mark.parametrize(
    ("call", "in_the_shell_s_encoding"),
    [
        ("path.read_text()", True),
        ("path.write_text('x', encoding='utf-8')", False),
        ("open(path)", True),
        ("open(path, 'rb')", False),
        ("path.open('w')", True),
        ("path.open()", True),
        ("path.open('xb')", False),
        ("subprocess.run(command, text=True)", True),
        ("tarfile.open(path, 'w')", False),
        ("Image.open(path)", False),
        ("os.fdopen(handle, 'wb')", False),
    ],
)
def test_a_missing_encoding_is_seen(call: str, in_the_shell_s_encoding: bool) -> None:
    (expression,) = ast.parse(call).body
    assert isinstance(expression, ast.Expr)
    assert isinstance(expression.value, ast.Call)
    assert text_without_encoding(expression.value) == in_the_shell_s_encoding


# The stage's command


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with an environment, in a folder whose name shells and encodings may stumble over."""
    folder = tmp_path / "año ñ" / "it's (here)"
    folder.mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml", "pyproject.toml"):
        shutil.copyfile(REPOSITORY / name, folder / name)
    shutil.copytree(SOURCE, folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    (folder / ".venv").symlink_to(sys.prefix)
    return folder


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """A shell in which nothing is activated and `python` is something else."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").write_text("#!/bin/sh\necho another python\nexit 1\n", encoding="utf-8")
    (tmp_path / "bin" / "python").chmod(0o755)
    return {"PATH": f"{tmp_path / 'bin'}:/usr/bin:/bin", "HOME": str(tmp_path)}


def run_stage(folder: Path, variables: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = ["sh", "src/stage.sh", *arguments]
    return subprocess.run(command, cwd=folder, env=variables, capture_output=True, check=False)


@pytest.mark.parametrize("below", [".", ".dvc/tmp/exps/tmp1"])
def test_a_stage_runs_in_the_clone_s_environment_activated_or_not(
    clone: Path, bare: dict[str, str], below: str
) -> None:
    # A queued experiment runs in a copy of the clone, with the copy's code.
    checkout = clone / below
    if below != ".":
        shutil.copytree(clone / "src", checkout / "src")
        shutil.copyfile(clone / "params.yaml", checkout / "params.yaml")
    (checkout / "src/fashion_cnn/stages/where.py").write_text(
        "import sys\ndef main(): print(__file__, sys.prefix, sys.argv[1:])", encoding="utf-8"
    )
    done = run_stage(checkout, bare | {"PYTHONPATH": "/elsewhere"}, "where", "a b")
    assert done.stderr == b""
    where = checkout.resolve() / "src/fashion_cnn/stages/where.py"
    assert done.stdout.decode() == f"{where} {clone / '.venv'} ['a b']\n"


def test_a_stage_takes_the_python_in_PATH_where_the_clone_has_no_environment(  # noqa: N802
    clone: Path, bare: dict[str, str]
) -> None:
    (clone / ".venv").unlink()
    assert run_stage(clone, bare, "fetch").stdout == b"another python\n"


def test_a_file_of_the_clone_s_root_stands_in_for_no_module(clone: Path, bare: dict[str, str]) -> None:
    (clone / "numpy.py").write_text("raise SystemExit('not NumPy')", encoding="utf-8")
    assert b"data/raw/train-images-idx3-ubyte: not found" in run_stage(clone, bare, "preprocess").stderr


def test_dvc_runs_stages_without_activation_in_a_clone_and_its_copies(tmp_path: Path, bare: dict[str, str]) -> None:
    # Below a folder whose name is not ASCII, DVC itself can't make the copy.
    folder = tmp_path / "it's (here)"
    folder.mkdir()
    shutil.copytree(SOURCE, folder / "src", ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    shutil.copyfile(REPOSITORY / "params.yaml", folder / "params.yaml")
    (folder / ".gitignore").write_text(".venv\n", encoding="utf-8")
    (folder / ".venv").symlink_to(sys.prefix)
    command = yaml.safe_load((REPOSITORY / "dvc.yaml").read_text(encoding="utf-8"))["vars"][0]["stage"]
    stages = {"hello": {"cmd": f"{command} hello"}}
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}), encoding="utf-8")
    (folder / "src/fashion_cnn/stages/hello.py").write_text("def main(): print('hello')", encoding="utf-8")
    variables = bare | {
        "SHELL": "/bin/sh", "DVC_NO_ANALYTICS": "1", "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }  # fmt: skip
    dvc = str(Path(sys.prefix, "bin", "dvc"))

    def run(*command: str) -> str:
        done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode()

    run("git", "init", "--quiet")
    run(dvc, "init", "--quiet")
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "a stage")
    assert "\nhello\n" in run(dvc, "repro")
    assert "\nhello\n" in run(dvc, "exp", "run", "--temp", "--force")
