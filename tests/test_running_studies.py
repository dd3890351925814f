"""Studies run: nothing twice, nothing lost, nothing left, whatever ends them. DVC is real, the stages are quick."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from fashion_cnn.cloud import training_on_aws
from fashion_cnn.cloud.params import WHERE
from fashion_cnn.core import results
from fashion_cnn.core.errors import UserError
from fashion_cnn.experiments.studies import __main__ as studies
from fashion_cnn.experiments.studies import running
from support.repository import REPOSITORY, SOURCE
from support.results import drawn, result

pytestmark = pytest.mark.timeout(300)
SUPPORT = REPOSITORY / "tests" / "support"
IMAGES = 2000
STUDIES = """
sizes:
  question: Does size matter?
  set: {data.limit: 500, cnn.filters: [28, 57], train.learning_rate: 0.002, train.threads: null, report.language: es}
  points:
    1: {kernel: 1}
    3: {kernel: 3}
    7: {kernel: 7}
again:
  question: Does it run twice?
  set: {data.limit: 500, cnn.filters: [28, 57], train.learning_rate: 0.002, train.threads: null, report.language: es}
  points:
    1: {kernel: 1}
one:
  question: Does it run?
  points:
    9: {kernel: 9}
"""


class Quick(NamedTuple):
    """A repository whose stages take no time, and the folder that controls them."""

    folder: Path
    control: Path

    def run(self, *command: str) -> str:
        return subprocess.run(command, cwd=self.folder, stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout

    def study(self, *arguments: str) -> subprocess.Popen[str]:
        """A call in a process of its own."""
        command = [sys.executable, "-m", "fashion_cnn.experiments.studies", *arguments]
        return subprocess.Popen(
            command, cwd=self.folder, encoding="utf-8", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def experiments(self) -> set[str]:
        references = self.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").split()
        return {reference.rpartition("/")[2] for reference in references}

    def ran(self) -> list[str]:
        log = self.control / "ran"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def left(self) -> list[str]:
        """Folders of runs, and what works in them."""
        studies = self.folder / ".dvc" / "tmp" / "exps" / "studies"
        folders = [path.name for path in studies.iterdir() if path.is_dir()] if studies.exists() else []
        return folders + [process.name() for process in at_work_in(studies)]

    def untouched(self) -> bool:
        """Whether nothing was made, and nothing is left."""
        return not self.experiments() and not self.left() and not self.run("git", "stash", "list")


def at_work_in(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.Error, OSError):
            pass


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.1)


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate()
    return process.returncode, output


def executor_of(study: int) -> psutil.Process:
    """The `dvc exp run` that a study of that process has started."""
    return next(child for child in psutil.Process(study).children() if "exp" in child.cmdline())


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Quick]:
    """With the defaults' results, committed."""
    home = tmp_path_factory.mktemp("home")
    made = Quick(tmp_path_factory.mktemp("original"), home)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        patch.setenv("HOME", str(home))
        patch.setenv("DVC_SITE_CACHE_DIR", str(home / "site"))
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for who in ("AUTHOR", "COMMITTER"):
            for what in ("NAME", "EMAIL"):
                patch.setenv(f"GIT_{who}_{what}", "test@example.org")
        patch.setenv("PYTHONPATH", str(SOURCE))
        patch.setenv("STAGE_CONTROL", str(home))
        for folder in ("src", ".dvc", "planted"):
            (made.folder / folder).mkdir()
        shutil.copy(SUPPORT / "quick_stage.py", made.folder / "src")
        shutil.copy(SUPPORT / "quick_pipeline.yaml", made.folder / "dvc.yaml")
        shutil.copy(REPOSITORY / "params.yaml", made.folder)
        shutil.copy(REPOSITORY / ".dvc/.gitignore", made.folder / ".dvc")
        (made.folder / ".dvc/config").write_text(
            "[core]\n    analytics = false\n    check_update = false\n", encoding="utf-8"
        )
        (made.folder / "experiments.yaml").write_text(STUDIES, encoding="utf-8")
        (made.folder / ".gitignore").write_text("/data\n/models\n/reports/metrics.json\n", encoding="utf-8")
        for kernel in (None, 1, 3, 5, 7, 9):
            planted = made.folder / "planted" / str(kernel or "dense")
            planted.mkdir()
            right = drawn(0.7 + 0.025 * (kernel or 0), IMAGES, kernel or 0)
            results.save(result(right, kernel), planted)
        made.run("git", "init", "--quiet", "--initial-branch=main")
        made.run("dvc", "repro", "--quiet")
        made.run("git", "add", "--all")
        made.run("git", "commit", "--quiet", "--message", "The defaults")
        yield made


@pytest.fixture
def quick(original: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Quick]:
    """A copy of the original, in which one works, and a control folder of its own."""
    copy = Quick(tmp_path / "año ñ's clone", tmp_path / "control")
    shutil.copytree(original.folder, copy.folder, symlinks=True)
    copy.control.mkdir()
    monkeypatch.setenv("STAGE_CONTROL", str(copy.control))
    monkeypatch.chdir(copy.folder)
    yield copy
    for path in copy.control.glob("hold-*"):
        path.unlink()


def at_the_candidate(quick: Quick, times: int) -> bool:
    return sum(line.startswith("candidate") for line in quick.ran()) == times


def interrupt_a_study(quick: Quick) -> None:
    """Ctrl-C half-way: nothing is left."""
    stopped = quick.study("run", "sizes", "--jobs", "2")
    wait_for(lambda: at_the_candidate(quick, 1))
    assert quick.left() != []
    stopped.send_signal(signal.SIGINT)
    status, output = finished(stopped)
    assert status == 130
    assert output.splitlines()[-1] == "interrupted; no job is left, and the same command goes on"
    assert quick.untouched()


def kill_a_study(quick: Quick) -> None:
    """SIGKILL of the call and of what it runs: nothing is left, a moment later."""
    killed = quick.study("run", "sizes", "--jobs", "2")
    wait_for(lambda: at_the_candidate(quick, 2))
    executor = executor_of(killed.pid)
    killed.kill()
    executor.kill()
    wait_for(lambda: quick.left() == [])
    killed.communicate()


def test_a_study_that_is_stopped_and_killed_goes_on_and_two_calls_share_the_rest(
    quick: Quick, capsys: pytest.CaptureFixture[str]
) -> None:
    (quick.control / "hold-candidate").touch()
    interrupt_a_study(quick)
    kill_a_study(quick)

    quick.run("git", "pack-refs", "--all")
    held = quick.folder / ".git" / "packed-refs.lock"
    held.touch()
    release = threading.Timer(5, held.unlink)

    def go_on_once_a_job_has_started() -> None:
        wait_for(lambda: at_the_candidate(quick, 3))
        release.start()
        (quick.control / "hold-candidate").unlink()

    going_on = threading.Thread(target=go_on_once_a_job_has_started)
    going_on.start()
    other = quick.study("run", "sizes", "--jobs", "2")
    assert studies.main(["run", "sizes", "--jobs", "2"]) == 0
    status, output = finished(other)
    assert status == 0, output
    going_on.join()
    release.join()
    assert quick.experiments() == {"sizes-1", "sizes-3", "sizes-7"}
    stages = Counter(line.split()[0] for line in quick.ran())
    # What the points share was made once, though four calls wanted it. Two candidates were stopped before their end.
    assert stages == {"preprocess": 1, "baseline": 1, "cnn3": 1, "cnn5": 1, "candidate": 2 + 3, "compare": 3}
    assert quick.left() == []
    found = json.loads((quick.folder / "reports/studies/sizes/study.json").read_text(encoding="utf-8"))
    assert [(one["point"], one["kernel"]) for one in found["networks"]] == [("1", 1), ("3", 3), ("7", 7)]
    for table in (output, capsys.readouterr().out):
        assert "| 7 | `kernel=7` |" in table
    assert quick.run("git", "status", "--porcelain") == "?? reports/\n"

    # A commit of the result does not make it another study: nothing runs again, no byte changes.
    quick.run("git", "add", "reports/studies")
    quick.run("git", "commit", "--quiet", "--message", "Sizes")
    ran = quick.ran()
    assert studies.main(["run", "sizes"]) == 0
    assert "3 of 3 points have a result" in capsys.readouterr().out
    assert quick.run("git", "status", "--porcelain") == ""
    assert studies.main(["run", "again"]) == 0
    assert re.search(r"again-1: done in \d+ s, ran nothing", capsys.readouterr().out), "the other study has this run"
    assert quick.ran() == ran
    assert studies.main(["status"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "sizes: 1 done, 3 done, 7 done; result in reports/studies/sizes",
        "again: 1 done; result in reports/studies/again",
        "one: 9 –; no result in reports/studies/one",
    ]


def test_a_point_that_is_killed_or_fails_is_tried_three_times_and_says_why(
    quick: Quick, capsys: pytest.CaptureFixture[str]
) -> None:
    (quick.control / "hold-candidate").touch()
    (quick.control / "fail-candidate").touch()

    def kill_the_first_try() -> None:
        wait_for(lambda: at_the_candidate(quick, 1))
        executor_of(os.getpid()).kill()
        (quick.control / "hold-candidate").unlink()

    killer = threading.Thread(target=kill_the_first_try)
    killer.start()
    with pytest.raises(UserError, match="^no result of one-9; the reasons stand above$"):
        studies.main(["run", "one"])
    killer.join()
    output = capsys.readouterr().out
    assert "one-9: try 1 of 3 was killed (SIGKILL); the end of its log:\n" in output
    assert "    candidate begins\n" in output
    assert "one-9: try 3 of 3 failed" in output
    assert "    error: candidate was told to fail\n" in output
    assert quick.untouched()
    assert quick.run("git", "status", "--porcelain") == ""


def test_a_point_whose_training_jobs_failed_is_not_tried_again_by_the_study(
    quick: Quick, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (quick.control / "fail-candidate").touch()
    monkeypatch.setenv(WHERE, "local")  # and as it was afterwards
    with pytest.raises(UserError, match="^no result of one-9; the reasons stand above$"):
        studies.main(["run", "one", "--where", "sagemaker"])
    output = capsys.readouterr().out
    assert (quick.control / "where").read_text(encoding="utf-8").split() == ["sagemaker"], "the stage was told"
    assert "one-9: a job: its reason; trying again, 2 left\n" in output
    assert "one-9: try 1 of 1 failed" in output
    assert "    error: candidate was told to fail\n" in output


def test_a_study_s_jobs_on_aws_are_counted_once_each_and_said_before_one_starts(
    quick: Quick, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    account = "role: arn:aws:iam::123456789012:role/x\n    region: eu-west-1\n    bucket: ours\n"
    edit("params.yaml", "  target: local", "  target: aws")
    edit("params.yaml", "    role:\n    region:\n    bucket:\n", f"    {account}")
    edit("params.yaml", "  seeds: 1", "  seeds: 2")
    quick.run("git", "commit", "--quiet", "--all", "--message", "On AWS")
    asked: list[int] = []
    at_once: set[int] = set()

    def start(call: running.Call, _point: object) -> None:
        at_once.add(call.jobs)
        call.waiting.clear()

    monkeypatch.setattr(training_on_aws, "require", lambda _chosen, _target, jobs: asked.append(jobs))
    monkeypatch.setattr(running, "start", start)
    monkeypatch.setenv(WHERE, "local")  # and as it was afterwards
    with pytest.raises(StopIteration):  # of the report, which has no point
        studies.main(["run", "sizes", "--where", "sagemaker"])
    jobs = 3 * (3 + 2)  # baseline, cnn3 and cnn5 are the same at every point, and cnn3 is one of the three candidates
    assert asked == [jobs]
    assert at_once == {4}, "as many points at a time as there may be jobs"
    assert f"on AWS in eu-west-1: up to {jobs} training jobs on ml.m5.large, at most 4" in capsys.readouterr().out


def test_a_study_is_shared_through_git_and_the_store(
    quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on another machine: a git remote, and a store that has nothing of what is committed; nor has the cache."""
    quick.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "remote.git"))
    quick.run("git", "remote", "add", "origin", str(tmp_path / "remote.git"))
    with (quick.folder / ".dvc/config").open("a", encoding="utf-8") as file:
        file.write("    remote = store\n['remote \"store\"']\n    url = ../../store\n")
    quick.run("git", "commit", "--quiet", "--all", "--message", "A store")
    quick.run("git", "push", "--quiet", "origin", "main")
    shutil.rmtree(quick.folder / ".dvc" / "cache")

    with pytest.raises(UserError, match="^again has no result yet of 1; run: make study NAME=again$"):
        studies.main(["share", "again"])
    assert studies.main(["run", "again"]) == 0
    assert studies.main(["share", "again"]) == 0
    output = capsys.readouterr().out
    assert "again: 1 experiments are in origin" in output
    get_them = re.search(r"Others get them: (dvc exp pull .*)", output)
    assert get_them
    second = quick._replace(folder=tmp_path / "second")
    quick.run("git", "clone", "--quiet", str(tmp_path / "remote.git"), str(second.folder))
    second.run(*get_them[1].split())
    ran = quick.ran()
    monkeypatch.chdir(second.folder)
    assert studies.main(["run", "again"]) == 0
    assert "| 1 | `kernel=1` |" in capsys.readouterr().out
    assert quick.ran() == ran
    for name in ("study.json", "README.md", "accuracy.svg"):
        path = f"reports/studies/again/{name}"
        assert (second.folder / path).read_bytes() == (quick.folder / path).read_bytes()


def edit(path: str, old: str, new: str) -> None:
    text = Path(path).read_text(encoding="utf-8")
    assert old in text
    Path(path).write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "size"], "experiments.yaml has no study 'size'; it has: sizes, again, one"),
        (["run", "sizes", "--points", "1 2"], "experiments.yaml: sizes has no point '2'; it has: 1, 3, 7"),
        (["run", "sizes", "--jobs", "0"], "JOBS=0 is not allowed; allowed: a whole number from 1"),
        (["run", "sizes", "--where", "there"], "WHERE=there is not allowed; allowed: local or sagemaker"),
        (["share", "one"], "there is no git remote to share with; add one: git remote add origin URL"),
    ],
)
def test_what_does_not_exist_is_one_line(quick: Quick, arguments: list[str], message: str) -> None:
    with pytest.raises(UserError) as error:
        studies.main(arguments)
    assert str(error.value) == message
    assert quick.untouched()
    assert quick.run("git", "status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("9: {kernel: 9}", "9: {kernel: 0}",
         "experiments.yaml: one, point 9: kernel = 0 is not allowed; allowed: a whole number from 1 to 27"),
        ("9: {kernel: 9}", "9: {kernel: 9}\n    9: {kernel: 8}",
         'experiments.yaml: line 18: two entries are named "9"; each name can be given once'),
        ("9: {kernel: 9}", "9: {kernels: 9}",
         "experiments.yaml: one, point 9: kernels is not a parameter; do you mean kernel?"),
    ],
)  # fmt: skip
def test_a_mistake_in_any_study_stops_every_study_before_anything_is_made(
    quick: Quick, old: str, new: str, message: str
) -> None:
    edit("experiments.yaml", old, new)
    quick.run("git", "commit", "--quiet", "--all", "--message", "A mistake")
    with pytest.raises(UserError) as error:
        studies.main(["run", "sizes"])
    assert str(error.value) == message
    assert quick.untouched()
    assert quick.run("git", "status", "--porcelain") == ""


def test_a_study_runs_a_commit_and_refuses_a_tree_that_is_none(quick: Quick) -> None:
    edit("params.yaml", "epochs: 10", "epochs: 3")
    before = quick.run("git", "diff")
    with pytest.raises(UserError, match="^not committed: params.yaml; a study is of a commit: commit or stash first$"):
        studies.main(["run", "one"])
    assert quick.run("git", "diff") == before
    assert quick.untouched()


def test_a_shallow_clone_is_refused(quick: Quick, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    quick.run("git", "commit", "--quiet", "--allow-empty", "--message", "Another")
    quick.run("git", "clone", "--quiet", "--depth=1", f"file://{quick.folder}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    wanted = "^this clone is shallow, and a study needs the history; run: git fetch --unshallow$"
    with pytest.raises(UserError, match=wanted):
        studies.main(["run", "one"])


def test_an_experiment_of_the_same_name_that_is_something_else_is_not_lost(quick: Quick) -> None:
    edit("params.yaml", "kernel: 3", "kernel: 2")
    quick.run("git", "commit", "--quiet", "--all", "--message", "By hand")
    quick.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    head = quick.run("git", "rev-parse", "HEAD").strip()
    quick.run("git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/one-9", "HEAD@{1}")
    wanted = "^the experiment one-9 exists and has other parameters than the point of that name; .*$"
    with pytest.raises(UserError, match=wanted):
        studies.main(["run", "one"])
    assert quick.run("git", "rev-parse", f"refs/exps/{head[:2]}/{head[2:]}/one-9").strip() != head


def test_a_mistake_is_one_line_and_exit_status_1(quick: Quick) -> None:
    status, output = finished(quick.study("run", "size"))
    assert (status, output) == (1, "error: experiments.yaml has no study 'size'; it has: sizes, again, one\n")
