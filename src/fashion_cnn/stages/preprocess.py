"""Check the raw files and split them as the notebook does; pixels stay in uint8."""

import json
from pathlib import Path

from fashion_cnn import dataset, params
from fashion_cnn.dataset import Images
from fashion_cnn.fashion_mnist import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from fashion_cnn.idx import read_labelled_images
from fashion_cnn.stages import output_folder, run

RAW = Path("data/raw")


def main() -> None:
    """Write data/prepared/."""
    data = params.load().data
    training = Images(*read_labelled_images(RAW / TRAIN_IMAGES, RAW / TRAIN_LABELS))
    test = Images(*read_labelled_images(RAW / TEST_IMAGES, RAW / TEST_LABELS))
    splits = dataset.split(training, test, data.validation_fraction, data.limit)
    if data.permute_pixels:
        splits = {name: Images(dataset.permute_pixels(images), labels) for name, (images, labels) in splits.items()}
    manifest = dataset.describe(splits)
    with output_folder("data/prepared") as folder:
        dataset.save(splits, folder)
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    print("preprocess: " + ", ".join(f"{name} {len(split.labels):,}" for name, split in splits.items()))


if __name__ == "__main__":
    run(main)
