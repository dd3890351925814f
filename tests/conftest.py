"""Fixtures that several test files share: a workspace, a small data set, and the real one, brought once."""

from fashion_cnn.core import process  # noqa: F401 (first: the tests, too, are nothing to a person's shell)

# isort: split
import copy
import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock
from hypothesis import settings

from fashion_cnn.core import dataset, params
from fashion_cnn.ingest import download, splits
from support.repository import REPOSITORY, random_images

# Other processes share the machine: how long one example takes says nothing.
settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

# Whoever starts the tests in the background has the interrupt ignored, by them and by what they start: some send it.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], object]], Path]:
    """A named folder that one of the run's processes fills, for all of them."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def made(name: str, fill: Callable[[Path], object]) -> Path:
        folder, partial = run / name, run / f"{name}.partial"
        with FileLock(f"{folder}.lock"):
            if not folder.exists():
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                fill(partial)
                partial.rename(folder)
        return folder

    return made


@pytest.fixture(scope="session")
def real_raw_data(made_once: Callable[..., Path]) -> Path:
    """The four real files of Fashion-MNIST, from the first source that has them."""
    return made_once("fashion-mnist", download.fetch)


@pytest.fixture
def defaults() -> dict[str, Any]:
    """params.yaml as it is committed."""
    return yaml.safe_load((REPOSITORY / "params.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run stages in, with the repository's parameters."""
    for name in ("params.yaml", "pyproject.toml"):
        (tmp_path / name).write_bytes((REPOSITORY / name).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def set_params(defaults: dict[str, Any]) -> Callable[..., Path]:
    """Write params.yaml in the present folder with some values changed: set_params(**{"train.epochs": 1})."""

    def write(**changes: Any) -> Path:
        values = copy.deepcopy(defaults)
        for name, value in changes.items():
            params.set_parameter(values, name, value)
        path = Path("params.yaml")
        path.write_text(yaml.safe_dump(values), encoding="utf-8")
        return path

    return write


@pytest.fixture
def prepared(workspace: Path) -> Path:
    """A small prepared data set of noise in the workspace."""
    folder = workspace / "data" / "prepared"
    folder.mkdir(parents=True)
    splits.save({name: random_images(40, seed) for seed, name in enumerate(dataset.SPLITS)}, folder)
    return folder


@pytest.fixture(scope="session")
def reports(made_once: Callable[..., Path]) -> Path:
    """What eda and compare write where the candidate is a network of its own, trained with two seeds."""
    from support.reports import make_reports, two_seeds

    return made_once("repository", lambda folder: make_reports(folder, two_seeds())) / "reports"


@pytest.fixture(scope="session")
def spanish(made_once: Callable[..., Path]) -> Path:
    """The same in Spanish."""
    from support.reports import make_reports, two_seeds

    return made_once("repositorio", lambda folder: make_reports(folder, two_seeds(), "es")) / "reports"


@pytest.fixture
def repository(reports: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder where eda has run and the candidate is cnn3, but compare has not run."""
    from support.reports import make_arms, write_repository

    write_repository(tmp_path, make_arms())
    shutil.copytree(reports / "eda", tmp_path / "reports/eda")
    monkeypatch.chdir(tmp_path)
    return tmp_path


LONGEST_FIRST = [
    "end_to_end", "connection", "processors", "demo_page", "localcloud_s3", "running_studies", "report_page", "review",
    "training", "sagemaker_deploy", "localcloud_sagemaker", "laws", "training_on_sagemaker", "statistics",
]  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that take longest first: the short ones then fill what several processes have left."""

    def rank(item: pytest.Item) -> int:
        subject = item.path.stem.removeprefix("test_")
        return LONGEST_FIRST.index(subject) if subject in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=rank)
