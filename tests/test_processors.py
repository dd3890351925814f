"""Results travel between processors: oneDNN everywhere, the same bytes in portable mode, and the rest recorded."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import Train
from fashion_cnn.experiments import provenance, verification
from fashion_cnn.training import processor
from support import shells
from support.repository import REPOSITORY

PORTABLE = Train.model_validate(verification.EXPERIMENT["train"])


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if name not in processor.PORTABLE}
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, env=inherited | environment, capture_output=True, check=False,
        encoding="utf-8",
    )  # fmt: skip


def test_this_machine_trains_the_committed_bytes() -> None:
    done = python("-m", "fashion_cnn.experiments.verification")
    assert done.returncode == 0, done.stderr[-1000:]
    (line,) = done.stdout.splitlines()
    assert line.endswith("trains the same bytes as the committed reference: 16 files of 4 arms")


def test_verification_names_the_files_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = json.loads(verification.REFERENCE.read_text(encoding="utf-8"))
    monkeypatch.setattr(verification, "REFERENCE", tmp_path / "portable.json")
    monkeypatch.setattr(sys, "argv", ["verification"])
    verification.REFERENCE.write_text(json.dumps(expected), encoding="utf-8")
    found = json.loads(json.dumps(expected))
    found["cnn5"]["model.keras"] = "another"
    monkeypatch.setattr(verification, "digests", lambda: found)
    with pytest.raises(UserError, match="committed reference: cnn5/model.keras differ"):
        verification.main()


def test_seeds_side_by_side_give_the_bytes_of_seeds_one_after_the_other() -> None:
    done = python("tests/support/train_seeds.py")
    assert done.returncode == 0, done.stderr[-1000:]
    cores, digests = zip(*(line.split(" ", 1) for line in done.stdout.splitlines() if line[1:2] == " "), strict=True)
    assert cores == ("1", "2")
    assert len(set(digests)) == 1
    assert done.stdout.count("fitted in") == 4


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")])
def test_portable_mode_is_refused_where_it_can_not_be_promised(
    monkeypatch: pytest.MonkeyPatch, system: str, machine: str
) -> None:
    monkeypatch.setattr(processor.platform, "system", lambda: system)
    monkeypatch.setattr(processor.platform, "machine", lambda: machine)
    with pytest.raises(UserError, match=f"x86-64 processors with AVX2 alone, and this is {system} on {machine}"):
        processor.prepare(PORTABLE)


def test_portable_mode_is_refused_without_avx2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "instruction_sets", lambda: ["X86_V2"])
    with pytest.raises(UserError, match="without AVX2; set train.portable to false"):
        processor.prepare(PORTABLE)


@pytest.mark.parametrize(("set_by_person", "used"), [(None, "1"), ("0", "0")])
def test_onednn_is_on_unless_the_person_switches_it_off(set_by_person: str | None, used: str) -> None:
    code = "import os, fashion_cnn.core.lean_keras; print(os.environ['TF_ENABLE_ONEDNN_OPTS'])"
    chosen = {} if set_by_person is None else {"TF_ENABLE_ONEDNN_OPTS": set_by_person}
    done = python("-c", code, **chosen)
    assert done.stdout.strip() == used
    assert done.stderr == "", "TensorFlow starts without a word"


def test_what_decides_the_bytes_is_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = PORTABLE.model_copy(update={"portable": False})
    monkeypatch.delenv(processor.ISA_LIMIT, raising=False)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert processor.environment(ordinary) == {
        "threads": processor.cores(), "instruction_set": " ".join(processor.instruction_sets()), "kernels": "Eigen",
    }  # fmt: skip
    monkeypatch.setenv(processor.ISA_LIMIT, "AVX2")
    assert processor.environment(ordinary)["instruction_set"].endswith(", oneDNN limited to AVX2")
    assert processor.environment(PORTABLE) == {"threads": 1, "instruction_set": "AVX2", "kernels": "oneDNN"}


MADE = {
    "processor": "Brand X",
    "environment": {"cnn3": {"threads": 2, "instruction_set": "AVX512", "precision": "mixed_bfloat16"}},
}
ELSEWHERE = {
    "processor": "Brand Y",
    "environment": {"cnn3": {"threads": 2, "instruction_set": "AVX2", "precision": "float32"}},
}


def test_a_lock_from_another_processor_is_named_with_both_kinds() -> None:
    line = provenance.difference(MADE, ELSEWHERE)
    assert "is from Brand X (AVX512, mixed_bfloat16, 2 threads), this is Brand Y (AVX2, float32, 2 threads)" in line
    assert "are expected" in line


def test_other_bytes_from_an_equal_environment_are_not_called_expected() -> None:
    line = provenance.difference(MADE, {**MADE, "processor": "Brand Z"})
    assert "what is recorded of them is equal and the networks are not" in line


@pytest.fixture
def reproduced(workspace: Path) -> Path:
    """A repository whose committed lock and record are Brand X's, and whose results are this machine's."""

    def lock(digest: str, kernel: int = 3) -> str:
        entry = {"cmd": "train", "deps": [{"path": "code", "md5": "1"}], "params": {"params.yaml": {"kernel": kernel}}}
        return json.dumps({"stages": {"cnn3": entry | {"outs": [{"path": "models/cnn3", "md5": digest}]}}})

    Path("reports").mkdir()
    Path("dvc.lock").write_text(lock("theirs"), encoding="utf-8")
    provenance.RECORD.write_text(json.dumps({**MADE, "results": {"cnn3": "theirs"}}), encoding="utf-8")
    author = ["-c", "user.name=test", "-c", "user.email=test@example.org"]
    for command in (["init", "--quiet"], ["add", "--all"], [*author, "commit", "--quiet", "--message", "theirs"]):
        subprocess.run(["git", *command], check=True)
    Path("models/cnn3").mkdir(parents=True)
    own = {"environment": ELSEWHERE["environment"]["cnn3"]}  # type: ignore[index]
    Path("models/cnn3/metrics.json").write_text(json.dumps(own), encoding="utf-8")
    Path("dvc.lock").write_text(lock("ours"), encoding="utf-8")
    return workspace


@pytest.mark.usefixtures("reproduced")
def test_after_a_run_on_another_processor_one_line_says_so_and_the_record_is_this_one_s(
    capsys: pytest.CaptureFixture[str],
) -> None:
    provenance.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("The committed dvc.lock is from Brand X")
    noted = json.loads(provenance.RECORD.read_text(encoding="utf-8"))
    assert noted == {
        "processor": processor.name(), "environment": ELSEWHERE["environment"], "results": {"cnn3": "ours"},
    }  # fmt: skip


@pytest.mark.usefixtures("reproduced")
@pytest.mark.parametrize("change", [('"ours"', '"theirs"'), ('"kernel": 3', '"kernel": 5')])
def test_the_same_results_or_another_experiment_need_no_word(
    change: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    lock = Path("dvc.lock")
    lock.write_text(lock.read_text(encoding="utf-8").replace(*change), encoding="utf-8")
    provenance.main()
    assert capsys.readouterr().out == ""


def test_a_saved_network_answers_as_the_trained_one_with_the_other_kernels_than_this_run_s() -> None:
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_training.py", "-k", "saved_network_answers"]
    done = subprocess.run(
        [sys.executable, *command], cwd=REPOSITORY, env=shells.other_kernels(), capture_output=True, check=False,
        encoding="utf-8",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout
