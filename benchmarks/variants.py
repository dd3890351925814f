"""Time a training step of the 3×3 and the 5×5 with one thing changed at a time: what each choice gives.

`python -m benchmarks.variants NAME` is the process of one variant, asked through `worker`.
"""

import argparse
import ctypes
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any, Final

from benchmarks import worker
from benchmarks.report import spread
from benchmarks.training import BATCH, race
from fashion_cnn.core.params import FIXED_ARMS

PIPELINE: Final = "the pipeline"


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Let all variants train an epoch each, in turn, round after round."""
    steps, rounds = (3, 2) if options.quick else (options.steps, options.rounds)
    arms = {}
    for arm in FIXED_ARMS:
        print(f"variants: {arm}", flush=True)
        with ExitStack() as stack:
            contestants = {name: stack.enter_context(worker.start("variants", name)) for name in VARIANTS}
            answers = race(contestants, {"arm": arm, "images": steps * BATCH, "epochs": rounds + 1}, rounds)
        epochs = {name: [answer["epoch"] for answer in rows[1:]] for name, rows in answers.items()}
        arms[arm] = {
            name: {
                "step_ms": spread([1000 * seconds / steps for seconds in seconds_of]),
                "of_the_pipeline_s": spread(
                    [own / base for own, base in zip(seconds_of, epochs[PIPELINE], strict=True)]
                ),
            }
            for name, seconds_of in epochs.items()
        }
    return {"steps_an_epoch": steps, "arms": arms}


def single_steps() -> None:
    """Return to Keras after every step."""
    from fashion_cnn.training import fitting  # noqa: PLC0415

    fitting.STEPS_PER_EXECUTION = 1  # type: ignore[misc]


def large_allocations_kept() -> None:
    """Have the C library keep freed memory, so that a step's temporaries fault in no pages.

    Source: mallopt(3), M_MMAP_THRESHOLD and M_TRIM_THRESHOLD.
    """
    library = ctypes.CDLL(None)
    for parameter in (-3, -1):
        library.mallopt(parameter, 2**30)


def op_determinism() -> None:
    """TensorFlow's switch for deterministic kernels."""
    from fashion_cnn.core.lean_keras import tf  # noqa: PLC0415

    tf.config.experimental.enable_op_determinism()


def compiled_by_xla() -> None:
    """Have XLA compile the step."""
    from fashion_cnn.core.lean_keras import keras  # noqa: PLC0415

    original = keras.Model.compile
    keras.Model.compile = lambda self, *arguments, **named: original(self, *arguments, **named, jit_compile=True)


def nothing() -> None:
    """As it is."""


# What is changed: parameters, and something in the process.
VARIANTS: Final[dict[str, tuple[dict[str, Any], Callable[[], None]]]] = {
    PIPELINE: ({}, nothing),
    "in float32": ({"train.precision": "float32"}, nothing),
    "one step an execution": ({}, single_steps),
    "with large allocations kept": ({}, large_allocations_kept),
    "with op determinism": ({}, op_determinism),
    "on one thread": ({"train.threads": 1}, nothing),
    "compiled by XLA": ({}, compiled_by_xla),
}


def main() -> None:
    """Train an arm in one variant, an epoch a request."""
    from benchmarks import keras_worker  # noqa: PLC0415
    from fashion_cnn.core import params  # noqa: PLC0415
    from fashion_cnn.core.params import Params  # noqa: PLC0415
    from fashion_cnn.training import architectures, fitting  # noqa: PLC0415

    changes, change = VARIANTS[sys.argv[1]]
    worker.open_answers()
    request = worker.receive() or {}
    settings = params.load(Params, changes={**changes, "train.epochs": request["epochs"]})
    change()
    fitting.configure(settings.train)
    fitting.keras.utils.set_random_seed(0)  # op determinism insists
    precision = fitting.precision(settings.train)
    network = architectures.build(request["arm"], settings, precision)
    turns = keras_worker.Turns(precision=precision)
    fitting.fit(network, keras_worker.splits(request["images"]), settings.train, [turns])


if __name__ == "__main__":
    main()
