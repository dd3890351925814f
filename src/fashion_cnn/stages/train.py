"""Train one arm of the study, named on the command line: baseline, cnn3, cnn5 or candidate."""

import argparse
import importlib.metadata
import shutil
import tomllib
from functools import partial
from pathlib import Path

from fashion_cnn.core import dataset, params, results
from fashion_cnn.core.dataset import Images
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.outputs import output_folder
from fashion_cnn.core.params import Params
from fashion_cnn.training import processor

MODELS = Path("models")


def main() -> None:
    """Write models/<arm>/."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("arm", choices=params.ARMS)
    arm = parser.parse_args().arm
    settings = params.load(Params)
    with output_folder(MODELS / arm) as folder:
        if arm == "candidate" and (twin := settings.arms.with_kernel(settings.kernel)):
            shutil.copytree(MODELS / twin, folder, dirs_exist_ok=True)
            print(f"candidate: kernel {settings.kernel} is exactly {twin}; its result is reused, nothing is trained")
        else:
            train(arm, settings, folder)


def train(arm: str, settings: Params, folder: Path, checkpoints: Path | None = None) -> None:
    """Train, evaluate and save one arm into `folder`; with checkpoints it goes on from there."""
    splits = prepare(settings)
    from fashion_cnn.training import architectures, fitting  # noqa: PLC0415 they import TensorFlow, which takes seconds

    build = partial(architectures.build, arm, settings)
    environment = fitting.configure(settings.train)
    network, result = fitting.train(build, splits, settings.train, environment, checkpoints)
    kernel = settings.kernel_of(arm)
    fitting.save_network(network, folder / "model.keras")
    results.save(result._replace(metrics=result.metrics | ({"kernel": kernel} if kernel else {})), folder)
    print(f"{arm}: test accuracy {result.metrics['test_accuracy']:.4f}, loss {result.metrics['test_loss']:.4f}")


def fit_seed(arm: str, settings: Params, seed: int, checkpoints: Path) -> None:
    """Fit one seed of those that `train` fits, which then takes its checkpoint up."""
    splits = prepare(settings)
    from fashion_cnn.training import architectures, fitting  # noqa: PLC0415 as above

    fitting.configure(settings.train)
    fitting.fit_seed(seed, partial(architectures.build, arm, settings), splits, settings.train, checkpoints)


def prepare(settings: Params) -> dict[str, Images]:
    """Make the process ready to train, and read the data."""
    check_versions()
    processor.prepare(settings.train)
    return {name: dataset.load(Path("data/prepared"), name) for name in dataset.SPLITS}


def check_versions() -> None:
    """Refuse to train with other versions than those that dvc.yaml tracks: they decide the weights.

    Raises:
        UserError: an installed version differs from the one that pyproject.toml names.
    """
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    for pin in project["optional-dependencies"]["train"]:
        name, _, wanted = pin.partition("==")
        installed = importlib.metadata.version(name)
        if installed != wanted:
            raise UserError(f"{name} {installed} is installed, pyproject.toml names {wanted}; run `make env`")
