"""One deterministic fit of a network, repeated over seeds, and its evaluation."""

import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from fashion_cnn import params
from fashion_cnn.dataset import Images
from fashion_cnn.evaluation import evaluate
from fashion_cnn.results import Result

PREDICTION_BATCH: Final = 1000
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


def configure(settings: params.Train) -> dict[str, Any]:
    """Fix what of the machine decides the trained bytes. Call once, before any network is built.

    Returns:
        What decided them, to be recorded with the result: versions, threads and the processor's instruction set.
    """
    threads = settings.threads or _available_cores()
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    if tf.config.list_physical_devices("GPU"):
        # On a CPU the kernels in use are deterministic for a given number of threads, so this would only cost time.
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(settings.precision)
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    return {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "threads": threads,
        "instruction_set": " ".join(simd["found"] or simd["baseline"]),
    }


def _available_cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1


def train(
    build: Callable[[], keras.Model],
    splits: dict[str, Images],
    settings: params.Train,
    environment: dict[str, Any],
) -> Trained:
    """Fit `settings.seeds` networks, seeded 0, 1, …, and evaluate each on the test images.

    Args:
        build: makes a new network with fresh weights.
        splits: train, validation and test, images uint8 (n, 28, 28).
        settings: the protocol; loss and metric are the notebook's, cross-entropy and accuracy.
        environment: what `configure` returned, recorded in the metrics.

    Returns:
        The first seed's network, uncompiled, and the result over all seeds; metrics are means over seeds,
        those of training and validation at the last epoch.
    """
    histories, probabilities = [], []
    for seed in range(settings.seeds):
        keras.utils.set_random_seed(seed)
        network = build()
        histories.append(_fit(network, splits, settings).assign(seed=seed))
        probabilities.append(network.predict(splits["test"].images, batch_size=PREDICTION_BATCH, verbose=0))
        if seed == 0:
            first = network

    history = pd.concat(histories)[["seed", "epoch", *HISTORY.values()]]
    test = pd.DataFrame([evaluate(of_seed, splits["test"].labels) for of_seed in probabilities]).mean()
    last = history[history["epoch"] == settings.epochs].mean()
    metrics = {
        "test_accuracy": float(test["accuracy"]),
        "test_loss": float(test["loss"]),
        **{name: float(last[name]) for name in HISTORY.values()},
        "parameters": first.count_params(),
        "seeds": settings.seeds,
        "environment": environment,
    }
    return Trained(first, Result(metrics, history, np.stack(probabilities), splits["test"].labels))


def _fit(network: keras.Model, splits: dict[str, Images], settings: params.Train) -> pd.DataFrame:
    """Fit in place; returns the learning curve, one row an epoch."""
    optimizer = keras.optimizers.get(
        {"class_name": settings.optimizer, "config": {"learning_rate": settings.learning_rate}}
    )
    network.compile(optimizer=optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    started = time.perf_counter()
    history = network.fit(
        *splits["train"],
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        validation_data=splits["validation"],
        validation_batch_size=PREDICTION_BATCH,
        verbose=1 if sys.stdout.isatty() else 2,
    ).history
    print(f"fitted in {time.perf_counter() - started:.0f} s", flush=True)
    curve = pd.DataFrame(history).rename(columns=HISTORY)
    return curve.assign(epoch=np.arange(1, len(curve) + 1))


def save_network(network: keras.Model, path: Path) -> None:
    """Write a `.keras` archive without the optimizer's state: the same bytes for the same weights.

    Keras notes the time in the archive's metadata and in its zip entries; both are taken out here.
    """
    inference = type(network).from_config(network.get_config())  # never compiled, so it carries no optimizer
    inference.set_weights(network.get_weights())
    original = path.with_name(f"dated-{path.name}")
    inference.save(original)
    with zipfile.ZipFile(original) as dated, zipfile.ZipFile(path, "w") as undated:
        for name in sorted(dated.namelist()):
            content = dated.read(name)
            if name == "metadata.json":
                metadata = json.loads(content)
                del metadata["date_saved"]
                content = json.dumps(metadata).encode()
            undated.writestr(zipfile.ZipInfo(name, ZIP_EPOCH), content)
    original.unlink()
