"""Does this machine train the same bytes as others? Four small networks in portable mode against committed digests.

python -m fashion_cnn.experiments.verification; the images are made here, so that only the machine can differ.
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import hashlib
import json
import os
import tempfile
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np

from fashion_cnn.core import results
from fashion_cnn.core.dataset import SPLITS, Images
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASSES, IMAGE_SHAPE
from fashion_cnn.core.params import ARMS, Params
from fashion_cnn.training import processor

REFERENCE: Final = Path(__file__).with_name("portable.json")
IMAGES: Final = {"train": 2_560, "validation": 640, "test": 200}
# The networks and the protocol of the notebook, whatever params.yaml says; the candidate's kernel is an even one.
EXPERIMENT: Final[dict[str, Any]] = {
    "kernel": 4,
    "data": {"validation_fraction": 0.2, "limit": None, "permute_pixels": False},
    "train": {
        "seeds": 1, "epochs": 2, "batch_size": 128, "optimizer": "adam", "learning_rate": 0.001,
        "schedule": "constant", "precision": "auto", "threads": None, "portable": True,
    },
    "baseline": {"units": 128, "dropout": 0.2},
    "cnn": {"filters": [32, 64], "padding": "same", "stride": 1, "pool": 2, "units": 64, "dropout": 0.3},
    "arms": {"cnn3": {"kernel": 3}, "cnn5": {"kernel": 5}},
}  # fmt: skip


def images(count: int, seed: int) -> Images:
    """Noise in which the class is how bright the middle is: something to learn, and the same everywhere."""
    pixels = np.random.default_rng(seed).integers(0, 256, (count, *IMAGE_SHAPE), dtype=np.uint8)
    middle = pixels[:, 10:18, 10:18].sum((1, 2), dtype=np.int64)
    return Images(pixels, (middle // 64 % CLASSES).astype(np.uint8))


def digests() -> dict[str, dict[str, str]]:
    """Train the four networks and digest what a stage would write: {arm: {file: SHA-256}}.

    Raises:
        UserError: portable mode is not possible here.
    """
    settings = Params.model_validate(EXPERIMENT)
    processor.prepare(settings.train)
    from fashion_cnn.training import architectures, fitting  # noqa: PLC0415 TensorFlow, once its kernels are chosen

    environment = fitting.configure(settings.train)
    splits = {name: images(IMAGES[name], seed) for seed, name in enumerate(SPLITS)}
    found = {}
    for arm in ARMS:
        network, result = fitting.train(
            partial(architectures.build, arm, settings), splits, settings.train, environment
        )
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            fitting.save_network(network, folder / "model.keras")
            results.save(result, folder)
            found[arm] = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}
    return found


def main() -> None:
    """Compare with the committed digests, and say in one line whether this machine gives the same bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="make this machine's digests the committed ones")
    options = parser.parse_args()
    standard_output = os.dup(1)
    os.dup2(2, 1)  # the fits report their progress on standard error
    found = digests()
    os.dup2(standard_output, 1)
    if options.write:
        REFERENCE.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    expected = json.loads(REFERENCE.read_text(encoding="utf-8"))
    files = [(arm, file) for arm in ARMS for file in expected[arm]]
    different = [f"{arm}/{file}" for arm, file in files if found[arm][file] != expected[arm][file]]
    if different:
        raise UserError(
            f"{processor.name()} does not train the same bytes as the committed reference: {', '.join(different)} "
            "differ; docs/reproducibility.md says what that means"
        )
    print(
        f"{processor.name()} trains the same bytes as the committed reference: {len(files)} files of {len(ARMS)} arms"
    )


if __name__ == "__main__":
    process.run(main)
