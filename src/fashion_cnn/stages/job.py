"""What a training job runs on its instance, as train.py: the local stage, from the channels into the model's folder.

`stages.remote` packages it with params.yaml, pyproject.toml and the rooms that the stage enters.
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import hashlib
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

from fashion_cnn.core import dataset, params
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import Params
from fashion_cnn.stages import train

CHECKPOINTS: Final = Path("/opt/ml/checkpoints")  # SageMaker keeps its copy in S3


def main() -> None:
    """Train the arm that the hyperparameter names into SM_MODEL_DIR, from the last epoch that is in CHECKPOINTS."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", required=True)
    parser.add_argument("--seed", type=int, help="fit this one alone, and leave nothing but its checkpoint")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            lay_out(Path(folder))
            os.chdir(folder)
            settings = params.load(Params)
            if options.seed is None:
                train.train(options.arm, settings, Path(os.environ["SM_MODEL_DIR"]), CHECKPOINTS)
            else:
                train.fit_seed(options.arm, settings, options.seed, CHECKPOINTS)
        except Exception as error:
            reason = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
            Path(os.environ["SM_OUTPUT_FAILURE"]).write_text(reason, encoding="utf-8")
            raise
        finally:
            os.chdir("/")


def lay_out(folder: Path) -> None:
    """Make of the channels, and of what came with this script, the folder that the stage expects to run in.

    Raises:
        UserError: data are not what their address says.
    """
    data = folder / "data" / "prepared"
    data.mkdir(parents=True)
    for split in dataset.SPLITS:
        (file,) = Path(os.environ[f"SM_CHANNEL_{split.upper()}"]).iterdir()
        # DVC's address of a file is its MD5: two letters are a folder, the others the name.
        if hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest()[2:] != file.name:
            raise UserError(f"the channel {split}: {file.name} is damaged in the store; `dvc push` it again")
        (data / f"{split}.npz").symlink_to(file)
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copy(Path(__file__).with_name(name), folder / name)


if __name__ == "__main__":
    process.run(main)
