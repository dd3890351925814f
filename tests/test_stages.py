"""Stages as programs: they speak to the person in one line, and write all of an output or nothing."""

import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fashion_cnn.core import dataset
from fashion_cnn.core.fashion_mnist import TEST_LABELS
from fashion_cnn.core.outputs import output_file, output_folder
from support.repository import REPOSITORY, random_images, write_raw


def run_stage(name: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY / "src")}
    command = [sys.executable, "-m", "fashion_cnn.stages", name, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, **options, encoding="utf-8"
    )  # type: ignore[call-overload]


def expect_one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("error: ")
    return line


@pytest.fixture
def raw(workspace: Path) -> Path:
    """Raw files of noise in the workspace."""
    return write_raw(workspace / "data" / "raw", training=60, test=20)


def test_preprocess_splits_the_raw_files(raw: Path, workspace: Path) -> None:
    done = run_stage("preprocess")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "preprocess: train 48, validation 12, test 20\n"
    prepared = workspace / "data" / "prepared"
    assert sorted(path.name for path in prepared.iterdir()) == [
        "manifest.json", "test.npz", "train.npz", "validation.npz",
    ]  # fmt: skip
    np.testing.assert_array_equal(dataset.load(prepared, "validation").images, random_images(60).images[48:])
    assert raw.exists()


@pytest.mark.parametrize("stage", ["fetch", "preprocess", "eda", "train cnn3", "compare"])
def test_a_bad_parameter_stops_every_stage_before_it_works(
    workspace: Path, set_params: Callable[..., Path], stage: str
) -> None:
    set_params(kernel=28)
    line = expect_one_line(run_stage(*stage.split()))
    assert "kernel = 28 is not allowed; allowed: a whole number from 1 to 27" in line
    assert sorted(path.name for path in workspace.iterdir()) == ["params.yaml", "pyproject.toml"]


@pytest.mark.usefixtures("workspace")
@pytest.mark.parametrize(
    ("stage", "missing", "remedy"),
    [
        ("preprocess", "data/raw/train-images-idx3-ubyte", "dvc repro fetch"),
        ("eda", "data/prepared/train.npz", "dvc repro preprocess"),
        ("train baseline", "data/prepared/train.npz", "dvc repro preprocess"),
        ("compare", "models/baseline/metrics.json", "dvc repro baseline"),
        ("deploy", "data/prepared/test.npz", "dvc repro preprocess"),
    ],
)
def test_a_missing_input_is_named_with_what_makes_it(stage: str, missing: str, remedy: str) -> None:
    line = expect_one_line(run_stage(*stage.split()))
    assert f"{missing}: not found; `{remedy}`" in line


def test_a_failed_stage_leaves_the_earlier_output(raw: Path, workspace: Path) -> None:
    assert run_stage("preprocess").returncode == 0
    before = {path.name: path.read_bytes() for path in (workspace / "data/prepared").iterdir()}
    (raw / TEST_LABELS).write_bytes((raw / TEST_LABELS).read_bytes()[:-1])
    assert "truncated" in expect_one_line(run_stage("preprocess"))
    assert {path.name: path.read_bytes() for path in (workspace / "data/prepared").iterdir()} == before


@pytest.mark.usefixtures("raw")
def test_a_disk_that_takes_no_more_is_one_line_and_leaves_nothing(workspace: Path) -> None:
    # The kernel refuses to write past this size, as it does on a full disk.
    refuse = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))  # noqa: E731
    line = expect_one_line(run_stage("preprocess", preexec_fn=refuse))
    assert "File too large" in line
    assert "run it again once that is mended" in line
    assert [path.name for path in (workspace / "data").iterdir()] == ["raw"]


def test_another_version_of_tensorflow_is_refused(workspace: Path) -> None:
    project = workspace / "pyproject.toml"
    project.write_text(project.read_text(encoding="utf-8").replace("tensorflow==", "tensorflow==0."), encoding="utf-8")
    line = expect_one_line(run_stage("train", "baseline"))
    assert "is installed, pyproject.toml names 0." in line
    assert "make env" in line


def test_a_killed_stage_leaves_no_output_and_the_next_run_repairs_it(workspace: Path) -> None:
    half_way = (
        "import sys\nfrom fashion_cnn.core.outputs import output_file, output_folder\n"
        "with output_folder('models/cnn3') as folder:\n"
        "    (folder / 'model.keras').write_text('half')\n"
        "    print('half-way', flush=True)\n"
        "    sys.stdin.read()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", half_way], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    , encoding="utf-8")  # fmt: skip
    assert process.stdout
    assert process.stdin
    assert process.stdout.readline() == "half-way\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert not (workspace / "models/cnn3").exists()

    with output_folder("models/cnn3") as folder:
        assert list(folder.iterdir()) == []
        (folder / "model.keras").write_text("whole", encoding="utf-8")
    assert (workspace / "models/cnn3/model.keras").read_text(encoding="utf-8") == "whole"
    assert [path.name for path in (workspace / "models").iterdir()] == ["cnn3"]


def test_a_file_whose_writing_fails_does_not_appear(tmp_path: Path) -> None:
    file = tmp_path / "reports/metrics.json"

    def write(*texts: str) -> None:
        with output_file(file) as partial, partial.open("w", encoding="utf-8") as stream:
            stream.writelines(texts)

    write("first")
    with pytest.raises(TypeError):
        write("half", None)  # type: ignore[arg-type]
    assert [path.name for path in file.parent.iterdir()] == ["metrics.json"]
    assert file.read_text(encoding="utf-8") == "first"
