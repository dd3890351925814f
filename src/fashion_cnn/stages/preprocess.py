"""Check the raw files and split them as the notebook does; pixels stay in uint8."""

import json
from pathlib import Path

from fashion_cnn.core import params
from fashion_cnn.core.dataset import Images
from fashion_cnn.core.fashion_mnist import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from fashion_cnn.core.outputs import output_folder
from fashion_cnn.core.params import Params
from fashion_cnn.ingest import splits
from fashion_cnn.ingest.idx import read_labelled_images

RAW = Path("data/raw")


def main() -> None:
    """Write data/prepared/."""
    data = params.load(Params).data
    training = Images(*read_labelled_images(RAW / TRAIN_IMAGES, RAW / TRAIN_LABELS))
    test = Images(*read_labelled_images(RAW / TEST_IMAGES, RAW / TEST_LABELS))
    prepared = splits.split(training, test, data.validation_fraction, data.limit)
    if data.permute_pixels:
        prepared = {name: Images(splits.permute_pixels(images), labels) for name, (images, labels) in prepared.items()}
    manifest = splits.describe(prepared)
    with output_folder("data/prepared") as folder:
        splits.save(prepared, folder)
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    print("preprocess: " + ", ".join(f"{name} {len(split.labels):,}" for name, split in prepared.items()))
