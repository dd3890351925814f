"""A study's result: its networks side by side, and which of their differences can be told. Numbers only."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.comparison import statistics
from fashion_cnn.comparison.statistics import Interval
from fashion_cnn.core import results
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import ARMS, Params
from fashion_cnn.core.results import Result
from fashion_cnn.experiments.studies import recorded
from fashion_cnn.experiments.studies.definitions import Point, Study
from fashion_cnn.experiments.studies.recorded import Experiment

LEVEL: Final = 0.05  # the chance that any difference of a study is told although there is none
PASSES: Final = 3  # a training step costs about three forward passes: the backward pass counts two


class Network(NamedTuple):
    """One network of one point.

    Attributes:
        point: its name.
        arm: one of the arms.
        kernel: the size of its kernels; None for the dense network.
        seeds: how often it was trained.
        images: test images.
        accuracies: on the test images, one a seed.
        accuracy: their mean.
        interval: of the accuracy of one training, over the drawing of test images (Wilson, 95%).
        seed_deviation: standard deviation of one training's accuracy with the seed; None for one seed.
        parameters: that are trained.
        multiply_adds: of one image, once forward.
        training_multiply_adds: of all seeds' trainings, evaluation not counted.
        environment: what of the machine decided its weights.
    """

    point: str
    arm: str
    kernel: int | None
    seeds: int
    images: int
    accuracies: list[float]
    accuracy: float
    interval: Interval
    seed_deviation: float | None
    parameters: int
    multiply_adds: int
    training_multiply_adds: int
    environment: Mapping[str, Any]


class Difference(NamedTuple):
    """Two networks that differ in one thing, the arm or the point: accuracy of the first minus that of the second.

    Attributes:
        first: point and arm.
        second: point and arm.
        images: the test images that both were tested on.
        seeds: the seeds that both were trained with.
        difference: as a share.
        test_interval: over the drawing of test images; all of a study hold together at 95% (Bonferroni).
        seed_interval: over the drawing of seeds, likewise; None for one seed.
        p_value: that it is 0, over the drawing of test images (exact), corrected for the number of pairs (Holm).
        told: whether chance is ruled out: p_value at most LEVEL, and no 0 in the interval of the seeds.
    """

    first: tuple[str, str]
    second: tuple[str, str]
    images: int
    seeds: int
    difference: float
    test_interval: Interval
    seed_interval: Interval | None
    p_value: float
    told: bool


class Summary(NamedTuple):
    """What a study found.

    Attributes:
        networks: by point, in the order of the study, and arm.
        differences: of every two that differ in one thing.
        code: path to digest of the code and data definitions that decided the networks, as dvc.lock has them.
    """

    networks: Sequence[Network]
    differences: Sequence[Difference]
    code: Mapping[str, str]


def wanted() -> list[str]:
    """The files of a point that a summary needs."""
    return [*(f"models/{arm}" for arm in ARMS), "data/prepared/manifest.json"]


def read(found: Experiment) -> tuple[dict[str, Result], int]:
    """Every arm's result, and the number of training images.

    Raises:
        UserError: neither the cache nor the store has them.
    """
    places = recorded.bring(found, wanted())
    if places is None:
        raise UserError(f"{found.reference}: its results are neither in the cache nor in the store; run dvc exp pull")
    manifest = json.loads(places["data/prepared/manifest.json"].read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:
        for path, place in places.items():
            link = Path(folder, path)
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(place)
        return {arm: results.load(Path(folder, "models", arm)) for arm in ARMS}, manifest["train"]["images"]


def summarize(study: Study, found: Mapping[str, tuple[dict[str, Result], int]], code: Mapping[str, str]) -> Summary:
    """Compare a study's networks.

    Args:
        study: which one.
        found: the names of its points to what `read` gives.
        code: as in `Summary`.
    """
    networks, right, labels = [], {}, {}
    for point in study.points:
        arms, training_images = found[point.name]
        settings = Params.model_validate(point.parameters)
        twin = settings.arms.with_kernel(settings.kernel)
        for arm in study.arms:
            if arm == "candidate" and twin in study.arms:
                continue  # the same network under another name
            result = arms[arm]
            right[point.name, arm], labels[point.name, arm] = result.correct, result.labels
            networks.append(_network(point, arm, result, training_images * settings.train.epochs))
    return Summary(networks, compare(right, labels), code)


def _network(point: Point, arm: str, result: Result, images_seen: int) -> Network:
    right, metrics = result.correct, result.metrics
    return Network(
        point.name,
        arm,
        metrics.get("kernel"),
        len(right),
        right.shape[1],
        right.mean(1).tolist(),
        float(right.mean()),
        statistics.wilson(round(right.sum() / len(right)), right.shape[1]),
        statistics.variation(right).seeds,
        metrics["parameters"],
        metrics["multiply_adds"],
        PASSES * metrics["multiply_adds"] * images_seen * len(right),
        metrics["environment"],
    )


def compare(
    right: Mapping[tuple[str, str], NDArray[np.bool_]], labels: Mapping[tuple[str, str], NDArray[np.uint8]]
) -> list[Difference]:
    """Compare every two networks that differ in one thing, on the test images and seeds that they share.

    Points with other `data.limit` share the first images of the test set, points with other `train.seeds` the first
    seeds.

    Args:
        right: point and arm to whether each test image is recognised, (seeds, n).
        labels: the same to the true classes, (n,).

    Raises:
        UserError: two networks were tested on other images.
    """
    pairs = [
        (later, earlier)
        for earlier, later in combinations(right, 2)
        if (earlier[0] == later[0]) != (earlier[1] == later[1])
    ]
    confidence = 1 - LEVEL / max(1, len(pairs))
    compared, shared = [], []
    for first, second in pairs:
        seeds, images = np.minimum(right[first].shape, right[second].shape)
        if not np.array_equal(labels[first][:images], labels[second][:images]):
            raise UserError(
                f"{' '.join(first)} and {' '.join(second)} were tested on other images; run the study again"
            )
        one, other = (right[network][:seeds, :images] for network in (first, second))
        compared.append(statistics.paired_difference(one, other, confidence))
        shared.append((int(images), int(seeds)))
    adjusted = statistics.holm([one.p_value for one in compared])
    return [
        Difference(
            first,
            second,
            images,
            seeds,
            found.estimate.value,
            found.estimate.test_interval,
            found.estimate.seed_interval,
            float(p_value),
            bool(p_value <= LEVEL) and not _holds_0(found.estimate.seed_interval),
        )
        for (first, second), (images, seeds), found, p_value in zip(pairs, shared, compared, adjusted, strict=True)
    ]


def _holds_0(interval: Interval | None) -> bool:
    return interval is not None and interval.low <= 0 <= interval.high
