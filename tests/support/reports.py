"""A repository of planted results, and what the stages eda and compare write in it."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fashion_cnn.comparison import arms as compared_arms
from fashion_cnn.comparison import report
from fashion_cnn.comparison.arms import Comparison
from fashion_cnn.comparison.panels import panels
from fashion_cnn.core import results
from fashion_cnn.core.results import Result
from fashion_cnn.ingest import splits as split_files
from fashion_cnn.reporting.language import Language
from fashion_cnn.stages import compare, eda
from support.repository import REPOSITORY, random_images
from support.results import SETTINGS, first, result

TEST_IMAGES = 200
LANGUAGES = ("en", "es")


def make_arms(candidate: Result | None = None, seeds: int = 1) -> dict[str, Result]:
    """The dense network gets 160 of 200 test images right, 3×3 180 and 5×5 178; each further seed one more."""

    def arm(right: int, kernel: int | None = None) -> Result:
        return result(first([right + seed for seed in range(seeds)], TEST_IMAGES), kernel)

    return {"baseline": arm(160), "cnn3": arm(180, 3), "cnn5": arm(178, 5), "candidate": candidate or arm(180, 3)}


def two_seeds() -> dict[str, Result]:
    """A candidate of its own, everything trained with two seeds."""
    return make_arms(result(first([186, 190], TEST_IMAGES), 7), seeds=2)


def write_repository(
    folder: Path, arms: dict[str, Result], language: str = "en", test_images: int = TEST_IMAGES
) -> None:
    parameters = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    assert "language: en" in parameters
    (folder / "params.yaml").write_text(parameters.replace("language: en", f"language: {language}"), encoding="utf-8")
    splits = {"train": random_images(80, 1), "validation": random_images(20, 2), "test": random_images(test_images, 3)}
    copies = min(2, test_images)
    # Exact copies: labels 0 and 5, here 0 and 1.
    splits["test"].images[:copies] = splits["train"].images[[0, 5][:copies]]
    prepared = folder / "data/prepared"
    prepared.mkdir(parents=True)
    split_files.save(splits, prepared)
    (prepared / "manifest.json").write_text(json.dumps(split_files.describe(splits)), encoding="utf-8")
    for arm, planted in arms.items():
        (folder / "models" / arm).mkdir(parents=True)
        results.save(planted, folder / "models" / arm)


def make_reports(folder: Path, arms: dict[str, Result], language: str = "en", test_images: int = TEST_IMAGES) -> Path:
    """Run eda and compare in a folder; the folder of what they write."""
    write_repository(folder, arms, language, test_images)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        eda.main()
        compare.main()
    return folder / "reports"


def compare_arms(arms: dict[str, Result], **data: Any) -> Comparison:
    """What is concluded from results, with some parameters of the section data changed."""
    settings = copy.deepcopy(SETTINGS)
    settings["data"] |= data
    return compared_arms.compare(arms, settings, {}, {}, np.zeros((len(arms["cnn3"].labels), 28, 28), np.uint8))


def content(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def page_of(folder: Path) -> str:
    return (folder / "index.html").read_text(encoding="utf-8")


def page_about(arms: dict[str, Result], reports: Path, **settings: Any) -> str:
    """The page about other results, with the figures of those that are there: they are not what is looked at."""
    data, language = json.loads((reports / "eda/metrics.json").read_text(encoding="utf-8")), Language.load("en")
    comparison = compare_arms(arms, **settings)._replace(data=data)
    shown = panels(comparison, language)
    return report.html(comparison, language, shown, reports / "comparison", reports / "eda")
