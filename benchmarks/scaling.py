"""How training's time grows with images, epochs, seeds and kernel size; what that says of 100 times more data."""

import argparse
import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from scipy import stats

from benchmarks import worker
from benchmarks.report import spread
from benchmarks.worker import ask
from fashion_cnn.core import params
from fashion_cnn.core.params import Params

START_UP: Final = {"images": 128, "epochs": 1, "kernel": 3}
# By what grows: its sizes, and how many images train meanwhile.
AXES: Final[dict[str, tuple[tuple[int, ...], int]]] = {
    "images": ((6_000, 12_000, 24_000, 48_000), 0),
    "epochs": ((1, 2, 4, 8), 6_000),
    "seeds": ((1, 2, 4, 8), 3_000),
    "kernel": ((1, 3, 5, 7), 6_000),
}
QUICK_AXES: Final[dict[str, tuple[tuple[int, ...], int]]] = {
    "images": ((128, 256, 512, 1024), 0),
    "epochs": ((1, 2, 3, 4), 128),
    "seeds": ((1, 2), 128),
    "kernel": ((1, 3), 128),
}
TIMES_LARGER: Final = 100
TRAINING_IMAGES: Final = 48_000
IMAGE_BYTES: Final = 28 * 28


class Exponent(NamedTuple):
    """The slope of log time over log size, and its standard error."""

    value: float
    standard_error: float


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fit a CNN at growing sizes, all axes in turn."""
    rounds = 1 if options.quick else 2
    with (
        worker.start("keras_worker", "fit_cnn") as fits,
        worker.start("keras_worker", "train_pipeline") as trainings,
    ):

        def seconds_of(axis: str, request: dict[str, int]) -> float:
            if axis == "seeds":
                sizes = {"images": request["images"], "seeds": request["seeds"], "test_images": 100}
                return ask(trainings, arm="cnn3", changes={"train.epochs": 1}, **sizes)["seconds"]
            return ask(fits, **{name: request[name] for name in START_UP})["seconds"]

        for axis in ("images", "seeds"):  # what only the first training of a process pays is not counted
            seconds_of(axis, START_UP | {"seeds": 1})
        start_up: list[float] = []
        axes = QUICK_AXES if options.quick else AXES
        times: dict[str, dict[int, list[float]]] = {axis: {} for axis in axes}
        for number in range(rounds):
            start_up.append(seconds_of("images", START_UP))
            for axis, (sizes, images) in axes.items():
                print(f"scaling: round {number + 1}, {axis}", flush=True)
                for size in sizes:
                    times[axis].setdefault(size, []).append(
                        seconds_of(axis, START_UP | {"images": images} | {axis: size})
                    )
    fixed = min(start_up)
    found: dict[str, dict[str, Any]] = {}
    for axis, of_sizes in times.items():
        pairs = [(size, seconds) for size, of_size in of_sizes.items() for seconds in of_size]
        measured, seconds = zip(*pairs, strict=True)
        # Every seed starts up anew, so there it is a part of what grows.
        rest = [one - fixed for one in seconds] if axis != "seeds" and min(seconds) > fixed else None
        found[axis] = {
            "seconds": {size: spread(of_size) for size, of_size in of_sizes.items()},
            "exponent": exponent(measured, seconds)._asdict(),
            "exponent_without_start_up": rest and exponent(measured, rest)._asdict(),
        }
    linear = stats.linregress(*zip(*((n, s) for n, of in times["images"].items() for s in of), strict=True))
    return {
        "start_up_seconds": spread(start_up),
        "axes": found,
        "larger": larger(float(linear.slope)),
    }


def exponent(sizes: Sequence[float], seconds: Sequence[float]) -> Exponent:
    """Fit log time = a + b log size by least squares; b."""
    fit = stats.linregress([math.log(size) for size in sizes], [math.log(one) for one in seconds])
    return Exponent(float(fit.slope), float(fit.stderr))


def larger(seconds_an_image: float) -> dict[str, Any]:
    """What the measured growth says of the default training on a data set 100 times larger.

    Args:
        seconds_an_image: what one more training image adds to an epoch, its share of validation included.
    """
    epochs = params.load(Params).train.epochs
    images = TIMES_LARGER * TRAINING_IMAGES
    held = TIMES_LARGER * 70_000 * IMAGE_BYTES
    return {
        "times": TIMES_LARGER,
        "training_images": images,
        "epochs": epochs,
        "hours_cnn3": seconds_an_image * images * epochs / 3600,
        "gigabytes_uint8": held / 1e9,
        "gigabytes_float32": 4 * held / 1e9,
    }
