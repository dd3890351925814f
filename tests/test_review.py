"""The review of a change, in a repository whose results are planted, against a real embedded S3 store.

One author's repository holds a branch a case; a reviewer's clone shares only git and the store with it.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import numpy as np
import pytest
import yaml
from dvc.repo import Repo
from numpy.typing import NDArray

from benchmarks.workspace import copy_working_tree, free_ports
from fashion_cnn.core import results
from fashion_cnn.core.errors import UserError
from fashion_cnn.experiments import clone as clones
from fashion_cnn.experiments import freshness, pipeline
from fashion_cnn.experiments.commands import dvc, git
from fashion_cnn.experiments.review import __main__ as review
from fashion_cnn.experiments.review import evidence
from fashion_cnn.ingest import splits
from fashion_cnn.localcloud import connection, s3
from support import results as planted
from support.repository import random_images

IMAGES = 1000
KERNELS = {"baseline": None, "cnn3": 3, "cnn5": 5, "candidate": 3}
RIGHT = {arm: planted.drawn(share, IMAGES, seed) for seed, (arm, share) in enumerate(
    {"baseline": 0.8, "cnn3": 0.85, "cnn5": 0.85}.items())}  # fmt: skip
TRAINED = ["baseline", "cnn3", "cnn5", "candidate"]
ELSEWHERE = planted.ENVIRONMENT | {"instruction_set": "AVX512", "precision": "mixed_bfloat16"}


def plant(
    folder: Path,
    right: Mapping[str, NDArray[np.bool_]] = RIGHT,
    environments: Mapping[str, dict[str, Any]] = {},
    others: int = 0,
    processor: str = "One processor",
) -> None:
    """Write what every stage would, for arms that recognise these test images, and commit it to DVC.

    Args:
        folder: the repository.
        right: by arm, (1, images); the candidate is cnn3.
        environments: of arms that were not trained in the usual one.
        others: which other test images.
        processor: that trained the arms.
    """

    def write(path: str, text: str) -> None:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text, encoding="utf-8")

    images = right["cnn3"].shape[1]
    write("data/raw/train-images-idx3-ubyte", "raw")
    write("data/prepared/manifest.json", "{}")
    splits.save({"train": random_images(20), "test": random_images(images, others)}, folder / "data/prepared")
    write("reports/eda/metrics.json", "{}")
    arms = {
        arm: planted.result(right[twin], kernel, environment=environments.get(twin, planted.ENVIRONMENT))
        for arm, kernel in KERNELS.items()
        for twin in ["cnn3" if arm == "candidate" else arm]
    }
    for arm, result in arms.items():
        write(f"models/{arm}/model.keras", str(result.metrics))
        results.save(result, folder / "models" / arm)
    headline = json.dumps({
        arm: {name: result.metrics[name] for name in ("test_accuracy", "test_loss", "parameters")}
        for arm, result in arms.items()
    })  # fmt: skip
    write("reports/metrics.json", headline)
    for path in ("reports/comparison/summary.md", "reports/index.html", "reports/deployment.json"):
        write(path, headline)
    with contextlib.chdir(folder), Repo() as repository:
        repository.commit(force=True)
    lock = pipeline.parse((folder / "dvc.lock").read_text(encoding="utf-8"))
    written = {arm: lock[arm].outs[f"models/{arm}"] for arm in KERNELS}
    write("reports/provenance.json", json.dumps({"processor": processor, "results": written}))


def commit(folder: Path, message: str) -> None:
    git("add", "--all", folder=folder)
    git("commit", "--quiet", "--message", message, folder=folder)


def change(folder: Path, path: str, old: str, new: str) -> None:
    text = (folder / path).read_text(encoding="utf-8")
    assert old in text
    (folder / path).write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture(scope="module", autouse=True)
def surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A home of the tests' own: no configuration of the person who runs them, and a store that starts by itself."""
    home = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("AWS_", "DVC_"))]:
            patch.delenv(name)
        patch.setenv("HOME", str(home))
        patch.setenv("FASHION_CNN_CLOUD", str(home / "cloud"))
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
        for who in ("AUTHOR", "COMMITTER"):
            patch.setenv(f"GIT_{who}_NAME", "test")
            patch.setenv(f"GIT_{who}_EMAIL", "test@example.org")
        yield
        subprocess.run([sys.executable, "-m", "fashion_cnn.localcloud", "down"], check=True)


@pytest.fixture(scope="module")
def main(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The author's repository: the working tree with planted results and what another seed changes."""
    folder = tmp_path_factory.mktemp("author")
    copy_working_tree(folder)
    (folder / "dvc.lock").unlink(missing_ok=True)
    shutil.rmtree(folder / "reports/studies", ignore_errors=True)
    git("init", "--quiet", "--initial-branch=main", folder=folder)
    connect = [sys.executable, "-m", "fashion_cnn.localcloud", "connect", "--port", str(free_ports())]
    subprocess.run(connect, cwd=folder, check=True)
    plant(folder)
    seeds = {
        "networks": [{"arm": arm, "accuracies": [0.849, 0.850, 0.851, 0.848, 0.852]} for arm in TRAINED[:3]],
        "parameters": {"train.learning_rate": 0.001, "train.seeds": 5},
        "code": pipeline.code(pipeline.parse((folder / "dvc.lock").read_text(encoding="utf-8")), TRAINED),
    }
    (folder / evidence.SEEDS_STUDY).parent.mkdir(parents=True)
    (folder / evidence.SEEDS_STUDY).write_text(json.dumps(seeds), encoding="utf-8")
    commit(folder, "Results")
    return folder


@pytest.fixture(scope="module")
def author(main: Path) -> Path:
    """The same with a branch for each case, all results in the store."""

    def branch(name: str, start: str = "main") -> None:
        git("checkout", "--quiet", "-b", name, start, folder=main)

    branch("rate")
    change(main, "params.yaml", "learning_rate: 0.001", "learning_rate: 0.005")
    better = RIGHT["cnn3"] | planted.drawn(0.4, IMAGES, seed=7)
    hardly = RIGHT["baseline"].copy()
    hardly[0, np.flatnonzero(~RIGHT["baseline"])[:9]] = True
    hardly[0, np.flatnonzero(RIGHT["baseline"])[:7]] = False
    plant(main, RIGHT | {"cnn3": better, "baseline": hardly})
    commit(main, "A higher learning rate")

    branch("edited")
    change(main, "src/fashion_cnn/training/fitting.py", "import json", "import json  # edited")
    commit(main, "Training code edited, nothing run")

    branch("older-test-images")
    older = yaml.safe_load((main / "dvc.lock").read_text(encoding="utf-8"))["stages"]
    plant(main, others=1)
    mixed = yaml.safe_load((main / "dvc.lock").read_text(encoding="utf-8"))
    mixed["stages"] |= {stage: older[stage] for stage in ("compare", "deploy")}
    (main / "dvc.lock").write_text(yaml.safe_dump(mixed, sort_keys=False), encoding="utf-8")
    commit(main, "New test images, of which compare knows nothing")

    branch("elsewhere")
    plant(main, RIGHT | {"cnn5": planted.drawn(0.85, IMAGES, seed=9)}, {"cnn5": ELSEWHERE}, processor="Another")
    commit(main, "Run on another processor")

    branch("limited")
    change(main, "params.yaml", "limit:  ", "limit: 500  ")
    plant(main, {arm: right[:, :500] for arm, right in RIGHT.items()})
    commit(main, "A quick look")

    branch("whole", "limited")
    git("checkout", "--quiet", "main", "--", ".", folder=main)
    commit(main, "All of the data")

    git("checkout", "--quiet", "main", folder=main)
    dvc("push", "--all-branches", folder=main)
    change(main, "params.yaml", "epochs: 10", "epochs: 12")
    commit(main, "Meanwhile, on main")
    return main


@pytest.fixture(scope="module")
def reviewer(author: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, connected to the store, without any data."""
    folder = tmp_path_factory.mktemp("reviewer") / "clone"
    git("clone", "--quiet", str(author), str(folder))
    for name in ("config.local", connection.AWS_CONFIG.name):
        shutil.copy(author / ".dvc" / name, folder / ".dvc")
    return folder


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], None]:
    """Check out a branch in a clone, the working folder from then on."""

    def check_out(clone: Path, branch: str) -> None:
        monkeypatch.chdir(clone)
        git("checkout", "--quiet", "--detach", branch)

    return check_out


def test_a_learning_rate_changed_and_rerun(at: Callable[[Path, str], None], author: Path, reviewer: Path) -> None:
    at(reviewer, "origin/rate")
    (reviewer / ".venv").symlink_to(sys.prefix)
    workflow = yaml.safe_load(Path(".github/workflows/review.yml").read_text(encoding="utf-8"))
    (step,) = [step for step in workflow["jobs"]["review"]["steps"] if "make" in step.get("run", "")]
    # The environment is there: nothing need be installed.
    variables = {**os.environ, "BASE": "origin/main", "PYTHON": "true"}
    done = subprocess.run(
        ["bash", "-c", step["run"]], env=variables, capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads((reviewer / "review/review.json").read_text(encoding="utf-8"))
    page = (reviewer / "review/review.md").read_text(encoding="utf-8")

    assert page.startswith(
        "**`dvc.lock` is fresh, the store is complete, and test accuracy changed by more than chance"
    )
    assert page.partition("\n")[0].strip("*") in done.stdout
    assert len(page) < 65_000
    assert sorted(path.name for path in (reviewer / "review").iterdir()) == [
        "confusion.svg", "images.svg", "learning_curves.svg", "review.json", "review.md",
    ]  # fmt: skip
    assert told["parameters"] == {"train.learning_rate": [0.001, 0.005]}, "main's own changes are not the branch's"

    (changes,) = json.loads(dvc("metrics", "diff", "--json", told["base"], told["head"], folder=author)).values()
    shown = {name: {"old": old, "new": new} for name, (old, new) in told["metrics"].items() if old != new}
    assert shown == {name: {"old": value["old"], "new": value["new"]} for name, value in changes.items()}

    verdicts = {arm: one["accuracy"] and one["accuracy"]["verdict"] for arm, one in told["arms"].items()}
    assert verdicts == {"baseline": "not told", "cnn3": "told", "cnn5": None}
    assert told["candidate_is"] == "cnn3"
    assert told["seeds"]["other_code"] is False
    assert told["seeds"]["other_parameters"] == ["train.learning_rate"]
    causes = {one["stage"]: one for one in told["causes"]}
    assert list(causes) == [*TRAINED, "compare", "deploy"]
    assert causes["cnn5"]["parameters"] == {"train.learning_rate": [0.001, 0.005]}
    assert causes["cnn5"]["outputs"] == []
    assert causes["cnn3"]["outputs"] == ["models/cnn3"]
    assert "| `train.learning_rate` | `0.001` | `0.005` |" in page


def test_training_code_edited_and_not_rerun_is_stale_by_name_in_a_clone_without_data(
    at: Callable[[Path, str], None], reviewer: Path
) -> None:
    at(reviewer, "origin/edited")
    # As a git hook runs it.
    variables = {**os.environ, "GIT_DIR": str(Path(".git").absolute()), "GIT_INDEX_FILE": "elsewhere"}
    command = [sys.executable, "-m", "fashion_cnn.experiments.freshness"]
    done = subprocess.run(command, env=variables, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith(
        "error: dvc.lock is stale: baseline, cnn3, cnn5, candidate (src/fashion_cnn/training modified); "
        "after them compare, deploy; "
    )


def test_a_stage_that_read_older_test_images_is_stale_though_dvc_says_up_to_date(
    at: Callable[[Path, str], None], reviewer: Path
) -> None:
    at(reviewer, "origin/older-test-images")
    with clones.temporary("HEAD") as cloned:
        cloned.fetch("data/prepared/test.npz")
        found = freshness.examine(cloned)
    # All reasons that there are come from the lists of folders, none from `dvc status`.
    assert found.stale == {
        "compare": ["data/prepared/test.npz is not what preprocess wrote"],
        "deploy": ["data/prepared/test.npz is not what preprocess wrote"],
    }


def test_other_output_of_equal_inputs_names_both_processors_and_a_lost_file_is_named(
    at: Callable[[Path, str], None], author: Path
) -> None:
    at(author, "elsewhere")
    path = "models/cnn3/model.keras"
    digest = pipeline.written(pipeline.lock_at("HEAD"), path, lambda list_: clones.read(list_, clones.cache()))[path]
    chosen = s3.settings(s3.store())
    bucket = boto3.client(
        "s3", endpoint_url=chosen.endpoint, region_name=s3.REGION, aws_access_key_id=chosen.access_key,
        aws_secret_access_key=chosen.secret_key,
    )  # fmt: skip
    bucket.delete_object(Bucket=s3.BUCKET, Key=f"dvc/files/md5/{digest[:2]}/{digest[2:]}")

    assert review.main(["main"]) == 1
    told = json.loads(Path("review/review.json").read_text(encoding="utf-8"))
    assert told["store"]["missing"] == ["models/candidate/model.keras", "models/cnn3/model.keras"], (
        "they are one object"
    )
    assert list(told["environments"]) == ["cnn5"], "what equal inputs gave another output"
    page = Path("review/review.md").read_text(encoding="utf-8")
    assert "It lacks `models/candidate/model.keras`, `models/cnn3/model.keras`." in page
    row = next(line for line in page.splitlines() if line.startswith("| `cnn5` | equal"))
    assert "hardware or nondeterminism" in row
    assert "Before: processor `One processor`, instruction set `AVX2`, precision `float32`" in row
    assert "After: processor `Another`, instruction set `AVX512`, precision `mixed_bfloat16`" in row


def test_results_on_other_test_images_are_not_compared(at: Callable[[Path, str], None], author: Path) -> None:
    at(author, "whole")
    told = review.write("limited")
    assert told.same_images is False
    assert not told.passed
    assert told.arms == {}
    assert told.metrics == {}
    assert told.parameters == {"data.limit": (500, None)}
    assert "accuracy was not compared: the two sides were measured on other test images" in Path(
        "review/review.md"
    ).read_text(encoding="utf-8")


def test_without_the_store_what_lock_and_parameters_allow_is_said(
    author: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git("clone", "--quiet", "--branch", "rate", str(author), str(tmp_path / "fork"))
    monkeypatch.chdir(tmp_path / "fork")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "")  # as a workflow has the secrets that it does not get
    told = review.write("origin/main")
    assert told.store.unreachable
    assert told.passed
    assert told.same_images
    assert told.parameters == {"train.learning_rate": (0.001, 0.005)}
    assert [one.stage for one in told.causes] == [*TRAINED, "compare", "deploy"]
    page = Path("review/review.md").read_text(encoding="utf-8")
    assert "`dvc.lock` is fresh, the store could not be asked, and accuracy was not compared" in page
    assert "| the store holds every file that it names | not known | The store could not be asked: `dvc: " in page


def test_a_name_that_is_no_commit_is_one_line(at: Callable[[Path, str], None], reviewer: Path) -> None:
    at(reviewer, "origin/rate")
    with pytest.raises(UserError, match="^BASE=orgin/main: no such commit here; git fetch, or name another"):
        review.write("orgin/main")


def test_a_commit_that_shares_none_with_the_branch_is_one_line(at: Callable[[Path, str], None], reviewer: Path) -> None:
    at(reviewer, "origin/rate")
    alone = git("commit-tree", "HEAD^{tree}", "-m", "alone").strip()
    with pytest.raises(UserError, match=f"^BASE={alone}: it shares no commit with this branch$"):
        review.write(alone)


def test_uncommitted_changes_are_refused_and_left_alone(at: Callable[[Path, str], None], reviewer: Path) -> None:
    at(reviewer, "origin/rate")
    original = Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(original + "# edited\n", encoding="utf-8")
    with pytest.raises(UserError, match="^not committed: params.yaml; a review is of a commit"):
        review.write("origin/main")
    assert Path("params.yaml").read_text(encoding="utf-8") == original + "# edited\n"
    Path("params.yaml").write_text(original, encoding="utf-8")


def test_a_shallow_clone_is_refused(author: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git("clone", "--quiet", "--depth", "1", f"file://{author}", str(tmp_path / "shallow"))
    monkeypatch.chdir(tmp_path / "shallow")
    with pytest.raises(UserError, match="^this clone is shallow"):
        review.write("origin/main")


def test_another_folder_than_a_clone_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as error:
        review.main(["main"])
    assert str(error.value) == f"{tmp_path}: not a DVC repository; run from the root of the clone"
