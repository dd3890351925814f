"""Look at the data before any network does: sizes, classes, pixels, examples, copies of training images."""

import json
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from fashion_cnn.core import dataset, params
from fashion_cnn.core.dataset import SPLITS, Images
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.core.outputs import output_folder
from fashion_cnn.eda import exploration, figures
from fashion_cnn.reporting import style
from fashion_cnn.reporting.language import Language
from fashion_cnn.reporting.params import Reporting

PREPARED: Final = Path("data/prepared")
PAIRS_SHOWN: Final = 10


def main() -> None:
    """Write reports/eda/."""
    language = Language.load(params.load(Reporting).report.language)
    splits = {name: dataset.load(PREPARED, name) for name in SPLITS}
    manifest = json.loads((PREPARED / "manifest.json").read_text(encoding="utf-8"))
    train, test = splits["train"], splits["test"]
    # Validation images come from the training files: what test images resemble is looked for in both.
    known = Images(*map(np.concatenate, zip(train, splits["validation"], strict=True)))
    nearest = exploration.nearest(test.images, known.images)
    copies = exploration.copies(known, test, nearest)
    one_sided = {CLASS_NAMES[label]: round(share, 6) for label, share in exploration.one_sidedness(*train).items()}
    closest = np.argsort(nearest.distances, kind="stable")[:PAIRS_SHOWN]
    twins = nearest.indices[closest]

    counts = pd.DataFrame({name: described["classes"] for name, described in manifest.items()}).rename_axis("class")
    pixels = pd.DataFrame({name: exploration.pixel_histogram(split.images) for name, split in splits.items()})
    distances = pd.Series(np.bincount(nearest.distances.astype(int)), name="test_images")
    metrics = {
        name: {
            "images": described["images"],
            "smallest_class": int(counts[name].min()),
            "largest_class": int(counts[name].max()),
            "pixel_mean": described["pixel_mean"],
            "pixel_std": described["pixel_std"],
            "zero_pixels": round(float(pixels[name][0]), 6),
        }
        for name, described in manifest.items()
    }
    tables = {
        "class_distribution": counts,
        "pixel_intensity": pixels.cumsum().rename_axis("up_to"),
        "nearest_distances": distances.rename_axis("grey_levels"),
    }
    drawn = {
        "class_distribution": figures.class_distribution(counts, language),
        "class_examples": figures.class_examples(*train, language),
        "class_images": figures.class_images(*exploration.class_moments(*train), language),
        "pixel_intensity": figures.pixel_intensity(pixels, language),
        "nearest_distances": figures.nearest_distances(nearest.distances, exploration.NEAR, language),
        "nearest_pairs": figures.nearest_pairs(
            test.images[closest],
            known.images[twins],
            nearest.distances[closest],
            (test.labels[closest], known.labels[twins]),
            language,
        ),
    }
    with output_folder("reports/eda") as folder:
        (folder / "metrics.json").write_text(
            json.dumps(metrics | {"copies": copies, "one_sided": one_sided}, indent=2) + "\n", encoding="utf-8"
        )
        for name, table in tables.items():
            table.to_csv(folder / f"{name}.csv", float_format="%.6f")
        for name, figure in drawn.items():
            style.save(figure, folder / f"{name}.svg")
    print(f"eda: reports/eda; {copies['test_in_training']} test images are also training images")
