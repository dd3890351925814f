"""One deterministic fit of a network, repeated over seeds, and what is measured on it."""

import json
import os
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context, parent_process
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.core import params
from fashion_cnn.core.dataset import Images
from fashion_cnn.core.evaluation import evaluate
from fashion_cnn.core.lean_keras import keras, tf
from fashion_cnn.core.results import Result
from fashion_cnn.training import architectures, controls, processor
from fashion_cnn.training.checkpoints import Checkpoint

PREDICTION_BATCH: Final = 1000
STEPS_PER_EXECUTION: Final = 25  # Keras's own work between steps is paid once for so many; the result is the same
WARM_UP: Final = 0.1  # share of all steps in which the cosine schedule's learning rate rises
DIGITS: Final = 9  # decimals of a metric: beyond them NumPy's sums and logarithms differ from processor to processor
ZIP_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip entry can carry
HISTORY: Final = {
    "accuracy": "train_accuracy",
    "loss": "train_loss",
    "val_accuracy": "validation_accuracy",
    "val_loss": "validation_loss",
}


class Trained(NamedTuple):
    """What training gives: the network of the first seed, and the result over all seeds."""

    network: keras.Model
    result: Result


class Fitted(NamedTuple):
    """One seed's network: its weights, its learning curves, what `measure` found, the precision it trained in."""

    weights: list[NDArray[np.float32]]
    history: dict[str, list[float]]
    measured: tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]]
    precision: str


def configure(settings: params.Train) -> dict[str, Any]:
    """Fix what of the machine decides the trained bytes. Call once, before any network is built.

    Returns:
        What decided them, to be recorded with the result: versions, threads, instruction set, kernels.
    """
    environment = processor.environment(settings)
    tf.config.threading.set_intra_op_parallelism_threads(environment["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(environment["threads"])
    if tf.config.list_physical_devices("GPU"):
        # On a CPU the kernels in use are deterministic for a given number of threads, so this would only cost time.
        tf.config.experimental.enable_op_determinism()
    versions = {"tensorflow": tf.__version__, "keras": keras.__version__, "numpy": np.__version__}
    return versions | environment


def precision(settings: params.Train) -> str:
    """The Keras dtype policy of convolutions while they train: `auto` is mixed_bfloat16 where the hardware computes it.

    Known to compute it: x86 processors with AMX or AVX-512 for it, and NVIDIA GPUs from compute capability 8.0 on.

    Source: keras.io/api/mixed_precision; oneDNN's "Data types" page; NVIDIA's CUDA programming guide.
    """
    if settings.portable:
        return "float32"
    if settings.precision != "auto":
        return settings.precision
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    native = min(capabilities) >= (8, 0) if capabilities else processor.computes_bfloat16()
    return "mixed_bfloat16" if native else "float32"


def train(
    build: Callable[[str], keras.Model],
    splits: dict[str, Images],
    settings: params.Train,
    environment: dict[str, Any],
    checkpoints: Path | None = None,
) -> Trained:
    """Fit `settings.seeds` networks, seeded 0, 1, …, and measure each.

    Lower precision speeds up the training steps and is confined to them: weights are float32 throughout, and what is
    measured, saved and served computes in float32.

    Args:
        build: makes a new network with fresh weights; takes the precision of its convolutions. Can be pickled.
        splits: train, validation and test, images uint8 (n, 28, 28).
        settings: the protocol; loss and metric are the notebook's, cross-entropy and accuracy.
        environment: what `configure` returned, recorded in the metrics with the precision that was used.
        checkpoints: a folder for a file a seed, with which the same training goes on where it was interrupted.

    Returns:
        The first seed's network, uncompiled, and the result over all seeds; metrics are means over seeds,
        those of training and validation at the last epoch.
    """
    fitted = _fit_seeds(build, splits, settings, checkpoints)
    network = _in_float32(build, fitted[0].weights)
    labels = splits["test"].labels
    history = {name: np.array([one.history[name] for one in fitted]) for name in HISTORY.values()}
    probabilities, on_training, shifted, mirrored = map(np.stack, zip(*(one.measured for one in fitted), strict=True))
    test = [evaluate(of_seed, labels) for of_seed in probabilities]
    metrics = {
        **{f"test_{name}": round(float(np.mean([of_seed[name] for of_seed in test])), DIGITS) for name in test[0]},
        **{name: round(float(curve[:, -1].mean()), DIGITS) for name, curve in history.items()},
        **architectures.describe(network),
        "seeds": settings.seeds,
        "environment": environment | {"precision": fitted[0].precision},
    }
    first_layer = controls.first_layer(network.trainable_weights[0].numpy())
    result = Result(metrics, history, probabilities, labels, on_training, shifted, mirrored, first_layer)
    return Trained(network, result)


def _fit_seeds(
    build: Callable[[str], keras.Model], splits: dict[str, Images], settings: params.Train, checkpoints: Path | None
) -> list[Fitted]:
    """Fit every seed: one after the other, or as many at once as there are cores where each keeps to one thread."""
    seeds = range(settings.seeds)
    processes = min(settings.seeds, processor.cores()) if settings.portable else 1
    if processes == 1:
        return [fit_seed(seed, build, splits, settings, checkpoints) for seed in seeds]
    with ProcessPoolExecutor(
        processes, get_context("spawn"), initializer=_start_process, initargs=(build, splits, settings, checkpoints)
    ) as pool:
        return list(pool.map(_fit_seed_in_process, seeds))


_task: list[Any] = []  # in a process of `_fit_seeds`: what every seed is given


def _start_process(*task: Any) -> None:
    _task.extend(task)
    configure(task[2])

    def end_with_the_stage() -> None:
        wait([parent_process().sentinel])  # type: ignore[union-attr]
        os._exit(1)

    threading.Thread(target=end_with_the_stage, daemon=True).start()


def _fit_seed_in_process(seed: int) -> Fitted:
    return fit_seed(seed, *_task)


def fit_seed(
    seed: int,
    build: Callable[[str], keras.Model],
    splits: dict[str, Images],
    settings: params.Train,
    checkpoints: Path | None = None,
) -> Fitted:
    """Fit and measure one network; the arguments are those of `train`."""
    keras.utils.set_random_seed(seed)
    network = build(precision(settings))
    if checkpoints:
        kept = Checkpoint(checkpoints / f"seed-{seed}.npz")
        fit(network, splits, settings, [kept])
        curves = kept.curves
    else:
        curves = fit(network, splits, settings)
    history = {ours: curves[theirs] for theirs, ours in HISTORY.items()}
    weights = network.get_weights()
    return Fitted(weights, history, measure(_in_float32(build, weights), splits), _lowest_precision(network))


def _in_float32(build: Callable[[str], keras.Model], weights: list[NDArray[np.float32]]) -> keras.Model:
    """The network that is measured, saved and served. A clone's layers share no objects, whose address Keras saves."""
    network = keras.models.clone_model(build("float32"))
    network.set_weights(weights)
    return network


OPTIMIZERS: Final = {
    "adam": keras.optimizers.Adam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def _lowest_precision(network: keras.Model) -> str:
    return next(
        (layer.dtype_policy.name for layer in network.layers if layer.dtype_policy.name != "float32"), "float32"
    )


def fit(
    network: keras.Model,
    splits: dict[str, Images],
    settings: params.Train,
    callbacks: Sequence[keras.callbacks.Callback] = (),
) -> dict[str, list[float]]:
    """Fit in place; returns the learning curves: a value an epoch that was fitted here, by Keras's names."""
    steps = settings.epochs * -(-len(splits["train"].labels) // settings.batch_size)
    peak = settings.learning_rate
    network.compile(
        optimizer=OPTIMIZERS[settings.optimizer](
            peak if settings.schedule == "constant" else cosine_with_warm_up(peak, steps)
        ),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
        steps_per_execution=STEPS_PER_EXECUTION,
    )
    started = time.perf_counter()
    history = network.fit(
        *splits["train"],
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        validation_data=splits["validation"],
        validation_batch_size=PREDICTION_BATCH,
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=list(callbacks),
    ).history
    print(f"fitted in {time.perf_counter() - started:.0f} s", flush=True)
    return history


def cosine_with_warm_up(peak: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """A learning rate that rises linearly to `peak` in the first tenth of the steps, then falls to zero as a cosine.

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, without restarts; Goyal et al. 2017, section 2.2.
    """
    warm_up = max(1, round(WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=peak, warmup_steps=warm_up
    )


def measure(
    network: keras.Model, splits: dict[str, Images]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_], NDArray[np.uint8]]:
    """Probabilities of the test images, and the controls: `probabilities` to `answers_when_mirrored` of one seed."""

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return network.predict(images, batch_size=PREDICTION_BATCH, verbose=1 if sys.stdout.isatty() else 0)

    def classify(images: NDArray[np.uint8]) -> NDArray[np.integer]:
        return predict(images).argmax(-1)

    return (
        predict(splits["test"].images),
        controls.correct_on_training(classify, splits["train"]),
        controls.correct_when_shifted(classify, splits["test"]),
        controls.answers_when_mirrored(classify, splits["test"]),
    )


def save_network(network: keras.Model, path: Path) -> None:
    """Write the `.keras` archive of a network that was never compiled: the same bytes for the same weights.

    Keras notes the time in the archive's metadata and in its zip entries; both are taken out here.
    """
    original = path.with_name(f"dated-{path.name}")
    network.save(original)
    with zipfile.ZipFile(original) as dated, zipfile.ZipFile(path, "w") as undated:
        for name in sorted(dated.namelist()):
            content = dated.read(name)
            if name == "metadata.json":
                metadata = json.loads(content)
                del metadata["date_saved"]
                content = json.dumps(metadata).encode()
            undated.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    original.unlink()
