"""Test accuracies over seeds: the notebook's recipe, the pipeline's defaults, and a recipe for the soonest accuracy.

It trains for most of an hour, so it is measured only where it is named: python -m benchmarks accuracy.
"""

import argparse
import math
import statistics
from typing import Any, Final

from ruamel.yaml import YAML

from benchmarks import worker
from benchmarks.report import spread
from benchmarks.training import ARMS
from benchmarks.worker import ask

NOTEBOOK_EPOCHS: Final = 10
ALL_IMAGES: Final = 48_000


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Train every arm `--seeds` times in the notebook's and the pipeline's way, and the 3×3 by `--recipe`."""
    seeds, images, epochs = (2, 256, 1) if options.quick else (options.seeds, ALL_IMAGES, None)
    changes = dict(map(parameter, options.recipe))
    arms: dict[str, dict[str, Any]] = {}
    with worker.start("keras_worker", "train_notebook") as notebook:
        for arm in ARMS:
            print(f"accuracy: the notebook's {arm}", flush=True)
            requests = (
                {"arm": arm, "images": images, "epochs": epochs or NOTEBOOK_EPOCHS, "seed": seed}
                for seed in range(seeds)
            )
            answers = [ask(notebook, **request) for request in requests]
            arms[arm] = {
                "notebook": described([one["accuracies"][0] for one in answers], [one["seconds"] for one in answers])
            }
    for arm in ARMS:
        print(f"accuracy: the pipeline's {arm}", flush=True)
        arms[arm]["pipeline"] = pipeline(arm, images, seeds, {"train.epochs": epochs} if epochs else {})
    if changes:
        print("accuracy: the recipe", flush=True)
        arms["cnn3"]["recipe"] = pipeline("cnn3", images, seeds, changes)
    for ways in arms.values():
        for name in ways:
            ways[name]["minus_notebook"] = difference(ways[name]["accuracies"], ways["notebook"]["accuracies"])
            ways[name]["of_the_notebook_s_time"] = (
                ways[name]["seconds_a_seed"]["median"] / ways["notebook"]["seconds_a_seed"]["median"]
            )
    return {"seeds": seeds, "recipe": changes, "arms": arms}  # fmt: skip


def parameter(text: str) -> tuple[str, Any]:
    """NAME=VALUE, as `dvc exp run -S` takes it."""
    name, _, value = text.partition("=")
    return name, YAML(typ="safe", pure=True).load(value)


def pipeline(arm: str, images: int, seeds: int, changes: dict[str, Any]) -> dict[str, Any]:
    """The pipeline's training of all seeds, in a process of its own."""
    with worker.start("keras_worker", "train_pipeline") as process:
        answer = ask(process, arm=arm, images=images, seeds=seeds, changes=changes)
    return described(answer["accuracies"], [answer["seconds"] / seeds])


def described(accuracies: list[float], seconds: list[float]) -> dict[str, Any]:
    """Accuracies with mean and standard deviation, and the seconds of one seed."""
    return {
        "accuracies": accuracies,
        "mean": statistics.mean(accuracies),
        "standard_deviation": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "seconds_a_seed": spread(seconds),
    }


def difference(first: list[float], second: list[float]) -> dict[str, float]:
    """Of two means, the first minus the second, and its standard error between seeds (Welch's)."""
    squared = (
        [statistics.variance(one) / len(one) for one in (first, second)] if min(len(first), len(second)) > 1 else [0]
    )
    return {"mean": statistics.mean(first) - statistics.mean(second), "standard_error": math.sqrt(sum(squared))}
