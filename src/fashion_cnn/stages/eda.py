"""Look at the data before any network does: sizes, classes, pixels, examples, copies of training images."""

import json
from pathlib import Path
from typing import Any, Final

import numpy as np

from fashion_cnn.core import dataset, params
from fashion_cnn.core.dataset import SPLITS, Images
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.core.outputs import output_folder
from fashion_cnn.eda import exploration, figures
from fashion_cnn.reporting import language, style, tables
from fashion_cnn.reporting.language import Language
from fashion_cnn.reporting.params import Reporting

PREPARED: Final = Path("data/prepared")
NEAR: Final = 10.0  # root mean square grey levels a pixel: below it, pairs look like one photograph taken twice
PAIRS_SHOWN: Final = 10


def main() -> None:
    """Write reports/eda/."""
    spoken = language.load(params.load(Reporting).report.language)
    splits = {name: dataset.load(PREPARED, name) for name in SPLITS}
    manifest = json.loads((PREPARED / "manifest.json").read_text())
    # Validation images come from the training files: what test images resemble is looked for in both.
    known = Images(*map(np.concatenate, zip(splits["train"], splits["validation"], strict=True)))
    nearest = exploration.nearest(splits["test"].images, known.images)
    with output_folder("reports/eda") as folder:
        metrics = {name: describe(splits[name], manifest[name]) for name in SPLITS}
        metrics["copies"] = copies(known, splits["test"], nearest)
        (folder / "metrics.json").write_text(json.dumps(metrics, indent=2) + "\n")
        draw(splits, known, nearest, spoken, folder)
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


def copies(known: Images, test: Images, nearest: exploration.Nearest) -> dict[str, Any]:
    """Exact and near copies, and how well the nearest training image's class predicts a test image's."""
    within = exploration.duplicates_within(*known)
    between = exploration.duplicates_between(*known, *test)
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


def draw(
    splits: dict[str, Images], known: Images, nearest: exploration.Nearest, spoken: Language, folder: Path
) -> None:
    """Draw every figure, and write what can be counted as a table for `dvc plots` too."""
    train, test = splits["train"], splits["test"]
    closest = np.argsort(nearest.distances, kind="stable")[:PAIRS_SHOWN]
    twins = nearest.indices[closest]
    counts = {name: np.bincount(split.labels, minlength=10).tolist() for name, split in splits.items()}
    histograms = {name: exploration.pixel_histogram(split.images) for name, split in splits.items()}
    drawn = {
        "class_distribution": figures.class_distribution(counts, spoken),
        "class_examples": figures.class_examples(*train, spoken),
        "class_images": figures.class_images(*exploration.class_moments(*train), spoken),
        "pixel_intensity": figures.pixel_intensity(histograms, spoken),
        "nearest_distances": figures.nearest_distances(nearest.distances, NEAR, spoken),
        "nearest_pairs": figures.nearest_pairs(
            test.images[closest],
            known.images[twins],
            nearest.distances[closest],
            (test.labels[closest], known.labels[twins]),
            spoken,
        ),
    }
    for name, figure in drawn.items():
        style.save(figure, folder / f"{name}.svg")
    levels = np.bincount(nearest.distances.astype(int))
    by_class = zip(CLASS_NAMES, *counts.values(), strict=True)
    up_to = zip(range(256), *(shares.cumsum() for shares in histograms.values()), strict=True)
    tables.write(folder / "class_distribution.csv", ["class", *counts], by_class)
    tables.write(folder / "pixel_intensity.csv", ["up_to", *histograms], up_to)
    tables.write(folder / "nearest_distances.csv", ["grey_levels", "test_images"], enumerate(levels.tolist()))
