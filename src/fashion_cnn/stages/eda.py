"""Look at the data before any network does: sizes, classes, pixels, examples, copies of training images."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from fashion_cnn import analysis, dataset, figures, params
from fashion_cnn.dataset import SPLITS, Images
from fashion_cnn.stages import output_folder, run

PREPARED: Final = Path("data/prepared")
NEAR: Final = 10.0  # root mean square grey levels a pixel: below it, pairs look like one photograph taken twice
PAIRS_SHOWN: Final = 10


def main() -> None:
    """Write reports/eda/."""
    params.load()
    splits = {name: dataset.load(PREPARED, name) for name in SPLITS}
    manifest = json.loads((PREPARED / "manifest.json").read_text())
    # Validation images come from the training files: what test images resemble is looked for in both.
    known = Images(*map(np.concatenate, zip(splits["train"], splits["validation"], strict=True)))
    nearest = analysis.nearest(splits["test"].images, known.images)
    with output_folder("reports/eda") as folder:
        metrics = {name: describe(splits[name], manifest[name]) for name in SPLITS}
        metrics["copies"] = copies(known, splits["test"], nearest)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        draw(splits, known, nearest, folder)
    print(f"eda: reports/eda; {metrics['copies']['test_in_training']} test images are also training images")


def describe(split: Images, manifest: dict[str, Any]) -> dict[str, Any]:
    """Size, balance and pixels of one split; `manifest` is its part of manifest.json."""
    counts = manifest["classes"].values()
    return {
        "images": manifest["images"],
        "smallest_class": min(counts),
        "largest_class": max(counts),
        "pixel_mean": manifest["pixel_mean"],
        "pixel_std": manifest["pixel_std"],
        "zero_pixels": round(float((split.images == 0).mean()), 6),
    }


def copies(known: Images, test: Images, nearest: analysis.Nearest) -> dict[str, Any]:
    """Exact and near copies, and how well the nearest training image's class predicts a test image's."""
    within = analysis.duplicates_within(*known)
    between = analysis.duplicates_between(*known, *test)
    agrees = known.labels[nearest.indices] == test.labels
    near = nearest.distances < NEAR
    return {
        "within_training": within.images,
        "within_training_other_label": within.other_label,
        "test_in_training": between.images,
        "test_in_training_other_label": between.other_label,
        "near": NEAR,
        "test_near_training": int(near.sum()),
        "test_near_training_other_label": int((near & ~agrees).sum()),
        "nearest_neighbour_accuracy": round(float(agrees.mean()), 6),
    }


def draw(splits: dict[str, Images], known: Images, nearest: analysis.Nearest, folder: Path) -> None:
    """Draw every figure."""
    train, test = splits["train"], splits["test"]
    closest = np.argsort(nearest.distances, kind="stable")[:PAIRS_SHOWN]
    twins = nearest.indices[closest]
    counts = {name: np.bincount(split.labels, minlength=10).tolist() for name, split in splits.items()}
    histograms = {name: analysis.pixel_histogram(split.images) for name, split in splits.items()}
    drawn = {
        "class_distribution": figures.class_distribution(counts),
        "class_examples": figures.class_examples(*train),
        "class_images": figures.class_images(*analysis.class_moments(*train)),
        "pixel_intensity": figures.pixel_intensity(histograms),
        "nearest_distances": figures.nearest_distances(nearest.distances, NEAR),
        "nearest_pairs": figures.nearest_pairs(
            test.images[closest],
            known.images[twins],
            nearest.distances[closest],
            test.labels[closest],
            known.labels[twins],
        ),
    }
    for name, figure in drawn.items():
        figures.save(figure, folder / f"{name}.svg")


if __name__ == "__main__":
    run(main)
