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
import yaml

from fashion_cnn.core import params
from support.repository import REPOSITORY, SOURCE

pytestmark = pytest.mark.timeout(300)
SUPPORT = REPOSITORY / "tests" / "support"
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
    environment: dict[str, str]

    def start(self, *command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.environment,
            encoding="utf-8",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def call(self, *command: str) -> tuple[int, str]:
        process = self.start(*command)
        output, _ = process.communicate()
        return process.returncode, output

    def run(self, *command: str) -> str:
        status, output = self.call(*command)
        assert status == 0, output
        return output

    def study(self, *arguments: str) -> subprocess.Popen[str]:
        return self.start(sys.executable, "-m", "fashion_cnn.experiments.study", *arguments)

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


def at_work_in(folder: Path) -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()).is_relative_to(folder) and process.status() != psutil.STATUS_ZOMBIE:
                yield process
        except (psutil.Error, OSError):
            pass


def wait_for(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.05)


def finished(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate()
    return process.returncode, output


def executor_of(study: subprocess.Popen[str]) -> psutil.Process:
    """The `dvc exp run` that a study has started."""
    return next(child for child in psutil.Process(study.pid).children() if "exp" in child.cmdline())


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Quick:
    """With the defaults' results, committed."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(home),
        "DVC_SITE_CACHE_DIR": str(home / "site"),
        "GIT_CONFIG_GLOBAL": os.devnull,
        **{f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        "PYTHONPATH": f"{SOURCE}{os.pathsep}{REPOSITORY / 'tests'}",
        "STAGE_CONTROL": str(home),
    }
    made = Quick(tmp_path_factory.mktemp("original"), home, environment)
    (made.folder / "src").mkdir()
    shutil.copy(SUPPORT / "quick_stage.py", made.folder / "src")
    shutil.copy(SUPPORT / "quick_pipeline.yaml", made.folder / "dvc.yaml")
    shutil.copy(REPOSITORY / "params.yaml", made.folder)
    (made.folder / "experiments.yaml").write_text(STUDIES, encoding="utf-8")
    (made.folder / ".gitignore").write_text("/data\n/models\n/reports/metrics.json\n", encoding="utf-8")
    made.run("git", "init", "--quiet", "--initial-branch=main")
    made.run("dvc", "init", "--quiet")
    made.run("dvc", "repro", "--quiet")
    made.run("git", "add", "--all")
    made.run("git", "commit", "--quiet", "--message", "The defaults")
    return made


@pytest.fixture
def quick(original: Quick, tmp_path: Path) -> Iterator[Quick]:
    """A copy of the original, and a control folder of its own."""
    shutil.copytree(original.folder, tmp_path / "año ñ's clone", symlinks=True)
    control = tmp_path / "control"
    control.mkdir()
    copy = Quick(tmp_path / "año ñ's clone", control, {**original.environment, "STAGE_CONTROL": str(control)})
    yield copy
    for path in control.glob("hold-*"):
        path.unlink()


def test_two_calls_at_once_make_every_result_once_and_the_table_of_all(quick: Quick) -> None:
    quick.run("git", "pack-refs", "--all")
    held = quick.folder / ".git" / "packed-refs.lock"
    held.touch()
    release = threading.Timer(5, held.unlink)
    release.start()
    calls = [quick.study("run", "sizes", "--jobs", "2") for _ in range(2)]
    outputs = [finished(call) for call in calls]
    release.join()

    assert [status for status, _ in outputs] == [0, 0], outputs
    assert quick.experiments() == {"sizes-1", "sizes-3", "sizes-7"}
    stages = Counter(line.split()[0] for line in quick.ran())
    # What the points share was made once, though two calls with two jobs each wanted it; so was each candidate.
    assert stages == {"preprocess": 1, "baseline": 1, "cnn3": 1, "cnn5": 1, "candidate": 3, "compare": 3}
    assert quick.left() == []
    result = json.loads((quick.folder / "reports/studies/sizes/study.json").read_text(encoding="utf-8"))
    assert [(one["point"], one["kernel"]) for one in result["networks"]] == [("1", 1), ("3", 3), ("7", 7)]
    assert "| 7 | `kernel=7` |" in outputs[0][1]
    assert quick.run("git", "status", "--porcelain") == "?? reports/\n"

    # A commit of the result does not make it another study: nothing runs again, no byte changes.
    quick.run("git", "add", "reports/studies")
    quick.run("git", "commit", "--quiet", "--message", "Sizes")
    ran = quick.ran()
    status, output = finished(quick.study("run", "sizes"))
    assert status == 0
    assert "3 of 3 points have a result" in output
    assert quick.ran() == ran
    assert quick.run("git", "status", "--porcelain") == ""
    shown = json.loads(quick.run("dvc", "exp", "show", "--json", "--rev", "HEAD~1"))
    assert {one["name"] for one in shown[1]["experiments"]} == {"sizes-1", "sizes-3", "sizes-7"}


def test_what_is_stopped_or_killed_leaves_nothing_and_goes_on_where_it_was(quick: Quick) -> None:
    (quick.control / "hold-candidate").touch()

    def at_the_candidate(times: int) -> bool:
        return sum(line.startswith("candidate") for line in quick.ran()) == times

    stopped = quick.study("run", "sizes", "--points", "1")
    wait_for(lambda: at_the_candidate(1))
    assert quick.left() != []
    stopped.send_signal(signal.SIGINT)
    status, output = finished(stopped)
    assert status == 130
    assert output.splitlines()[-1] == "interrupted; no job is left, and the same command goes on"
    assert quick.left() == []
    assert quick.experiments() == set()

    killed = quick.study("run", "sizes", "--points", "1")
    wait_for(lambda: at_the_candidate(2))
    executor = executor_of(killed)
    killed.kill()
    executor.kill()
    wait_for(lambda: quick.left() == [])
    killed.communicate()

    (quick.control / "hold-candidate").unlink()
    status, output = finished(quick.study("run", "sizes", "--points", "1"))
    assert status == 0, output
    assert quick.experiments() == {"sizes-1"}
    stages = Counter(line.split()[0] for line in quick.ran())
    assert stages == {"preprocess": 1, "baseline": 1, "cnn3": 1, "cnn5": 1, "candidate": 3, "compare": 1}


def test_a_point_that_is_killed_or_fails_is_tried_three_times_and_says_why(quick: Quick) -> None:
    (quick.control / "hold-candidate").touch()
    (quick.control / "fail-candidate").touch()
    process = quick.study("run", "one")
    wait_for(lambda: any(line.startswith("candidate") for line in quick.ran()))
    executor_of(process).kill()
    (quick.control / "hold-candidate").unlink()
    status, output = finished(process)
    assert status == 1
    assert "one-9: try 1 of 3 was killed (SIGKILL); the end of its log:\n" in output
    assert "    candidate begins\n" in output
    assert "one-9: try 3 of 3 failed" in output
    assert "    error: candidate was told to fail\n" in output
    assert output.splitlines()[-1] == "error: no result of one-9; the reasons stand above"
    assert (quick.experiments(), quick.left()) == (set(), [])
    assert quick.run("git", "status", "--porcelain") == ""


@pytest.fixture
def with_store(quick: Quick, tmp_path: Path) -> Quick:
    """As on another machine: a git remote, and a store that has nothing of what is committed; nor has the cache."""
    quick.run("git", "init", "--quiet", "--bare", "--initial-branch=main", str(tmp_path / "remote.git"))
    quick.run("git", "remote", "add", "origin", str(tmp_path / "remote.git"))
    quick.run("dvc", "remote", "add", "--quiet", "--default", "store", "../store")
    quick.run("git", "commit", "--quiet", "--all", "--message", "A store")
    quick.run("git", "push", "--quiet", "origin", "main")
    shutil.rmtree(quick.folder / ".dvc" / "cache")
    return quick


def test_a_study_is_shared_through_git_and_the_store(with_store: Quick, tmp_path: Path) -> None:
    first, second = with_store, with_store._replace(folder=tmp_path / "second")
    status, output = finished(first.study("run", "sizes", "--points", "1"))
    assert status == 0, output
    status, output = finished(first.study("run", "again"))
    assert status == 0, output
    assert re.search(r"again-1: done in \d+ s, ran nothing", output), "it is the same run as the other study's point"
    status, output = finished(first.study("share", "again"))
    assert status == 0, output
    assert "again: 1 experiments are in origin" in output
    get_them = re.search(r"Others get them: (dvc exp pull .*)", output)
    assert get_them

    first.run("git", "clone", "--quiet", str(tmp_path / "remote.git"), str(second.folder))
    second.run(*get_them[1].split())
    ran = first.ran()
    status, table = finished(second.study("run", "again"))
    assert status == 0, table
    assert "| 1 | `kernel=1` |" in table
    assert first.ran() == ran
    for name in ("study.json", "README.md", "accuracy.svg"):
        path = f"reports/studies/again/{name}"
        assert (second.folder / path).read_bytes() == (first.folder / path).read_bytes()


def edit(quick: Quick, name: str, value: object) -> None:
    path = quick.folder / "params.yaml"
    values = yaml.safe_load(path.read_text(encoding="utf-8"))
    params.set_parameter(values, name, value)
    path.write_text(yaml.safe_dump(values), encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "size"], "experiments.yaml has no study 'size'; it has: sizes, again, one"),
        (["run", "sizes", "--points", "1 2"], "experiments.yaml: sizes has no point '2'; it has: 1, 3, 7"),
        (["run", "sizes", "--jobs", "0"], "JOBS=0 is not allowed; allowed: a whole number from 1"),
        (["share", "one"], "there is no git remote to share with; add one: git remote add origin URL"),
    ],
)
def test_what_does_not_exist_is_one_line(quick: Quick, arguments: list[str], message: str) -> None:
    status, output = finished(quick.study(*arguments))
    assert (status, output) == (1, f"error: {message}\n")
    assert (quick.experiments(), quick.left(), quick.run("git", "status", "--porcelain")) == (set(), [], "")


def test_a_study_runs_a_commit_and_refuses_a_tree_that_is_none(quick: Quick) -> None:
    edit(quick, "train.epochs", 3)
    before = quick.run("git", "diff")
    status, output = finished(quick.study("run", "one"))
    wanted = "error: not committed: params.yaml; a study runs a commit: commit or stash first\n"
    assert (status, output) == (1, wanted)
    assert quick.run("git", "diff") == before
    assert (quick.run("git", "stash", "list"), quick.experiments()) == ("", set())


def test_a_shallow_clone_is_refused(quick: Quick, tmp_path: Path) -> None:
    quick.run("git", "commit", "--quiet", "--allow-empty", "--message", "Another")
    shallow = quick._replace(folder=tmp_path / "shallow")
    quick.run("git", "clone", "--quiet", "--depth=1", f"file://{quick.folder}", str(shallow.folder))
    status, output = finished(shallow.study("run", "one"))
    assert status == 1
    assert output == "error: this clone is shallow, and experiments need the history; run: git fetch --unshallow\n"


def test_an_experiment_of_the_same_name_that_is_something_else_is_not_lost(quick: Quick) -> None:
    edit(quick, "kernel", 2)
    quick.run("git", "commit", "--quiet", "--all", "--message", "By hand")
    quick.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    head = quick.run("git", "rev-parse", "HEAD").strip()
    quick.run("git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/one-9", "HEAD@{1}")
    status, output = finished(quick.study("run", "one"))
    assert status == 1
    assert output.startswith("error: the experiment one-9 exists and has other parameters than the point of that name;")
    assert output.count("\n") == 1
    assert quick.run("git", "rev-parse", f"refs/exps/{head[:2]}/{head[2:]}/one-9") != head
