"""One deterministic fit of a network, repeated over seeds, and what is measured on it."""

import json
import os
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fashion_cnn.core import params
from fashion_cnn.core.dataset import Images
from fashion_cnn.core.evaluation import evaluate
from fashion_cnn.core.lean_keras import keras, tf
from fashion_cnn.core.results import Result
from fashion_cnn.training import architectures, controls

PREDICTION_BATCH: Final = 1000
STEPS_PER_EXECUTION: Final = 25  # Keras's own work between steps is paid once for so many; the result is the same
WARM_UP: Final = 0.1  # share of all steps in which the cosine schedule's learning rate rises
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


def precision(settings: params.Train) -> str:
    """The Keras dtype policy of convolutions while they train: `auto` is mixed_bfloat16 where the hardware computes it.

    Elsewhere bfloat16 is emulated, and slower than float32. Known to compute it: x86 processors with AMX or AVX-512
    for it, and NVIDIA GPUs from compute capability 8.0 on.

    Source: keras.io/api/mixed_precision; oneDNN's "Data types" page; NVIDIA's CUDA programming guide.
    """
    if settings.precision != "auto":
        return settings.precision
    capabilities = [
        tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    native = min(capabilities) >= (8, 0) if capabilities else bool({"amx_bf16", "avx512_bf16"} & _processor_flags())
    return "mixed_bfloat16" if native else "float32"


def _processor_flags() -> set[str]:
    """The instruction sets that Linux names; elsewhere none is known."""
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    return next((set(line.split()) for line in lines if line.startswith("flags")), set())


def train(
    build: Callable[[str], keras.Model],
    splits: dict[str, Images],
    settings: params.Train,
    environment: dict[str, Any],
) -> Trained:
    """Fit `settings.seeds` networks, seeded 0, 1, …, and measure each.

    Lower precision speeds up the training steps and is confined to them: weights are float32 throughout, and what is
    measured, saved and served computes in float32.

    Args:
        build: makes a new network with fresh weights; takes the precision of its convolutions.
        splits: train, validation and test, images uint8 (n, 28, 28).
        settings: the protocol; loss and metric are the notebook's, cross-entropy and accuracy.
        environment: what `configure` returned, recorded in the metrics with the precision that was used.

    Returns:
        The first seed's network, uncompiled, and the result over all seeds; metrics are means over seeds,
        those of training and validation at the last epoch.
    """
    networks, histories, measured = [], [], []
    for seed in range(settings.seeds):
        keras.utils.set_random_seed(seed)
        fitted = build(precision(settings))
        histories.append(fit(fitted, splits, settings))
        # Layers of a clone share no objects; Keras would save the addresses of those that are shared.
        network = keras.models.clone_model(build("float32"))
        network.set_weights(fitted.get_weights())
        networks.append(network)
        measured.append(measure(network, splits))

    labels = splits["test"].labels
    history = {name: np.array([of_seed[name] for of_seed in histories]) for name in HISTORY.values()}
    probabilities, correct_on_training, correct_when_shifted = map(np.stack, zip(*measured, strict=True))
    test = [evaluate(of_seed, labels) for of_seed in probabilities]
    metrics = {
        **{f"test_{name}": float(np.mean([of_seed[name] for of_seed in test])) for name in test[0]},
        **{name: float(curve[:, -1].mean()) for name, curve in history.items()},
        **architectures.describe(networks[0]),
        "seeds": settings.seeds,
        "environment": environment | {"precision": _lowest_precision(fitted)},
    }
    first_layer = controls.first_layer(networks[0].trainable_weights[0].numpy())
    return Trained(
        networks[0],
        Result(metrics, history, probabilities, labels, correct_on_training, correct_when_shifted, first_layer),
    )


class FusedAdam(keras.optimizers.Adam):
    """Keras's Adam with each variable's update in one TensorFlow kernel, not in a dozen: the same formula.

    Source: tensorflow.org/api_docs/python/tf/raw_ops/ResourceApplyAdam; Kingma and Ba 2015, "Adam", section 2,
    last paragraph (the order of computation that both use).
    """

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: tf.Tensor) -> None:
        """Update one variable and its two moments in place; called by Keras once a step for each variable."""
        step = tf.cast(self.iterations.value + 1, tf.float32)
        position = self._get_variable_index(variable)
        updated = variable.value if isinstance(variable, keras.Variable) else variable  # Keras passes either
        tf.raw_ops.ResourceApplyAdam(
            var=updated.handle,
            m=self._momentums[position].value.handle,
            v=self._velocities[position].value.handle,
            beta1_power=tf.pow(tf.cast(self.beta_1, tf.float32), step),
            beta2_power=tf.pow(tf.cast(self.beta_2, tf.float32), step),
            lr=learning_rate,
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


OPTIMIZERS: Final = {
    "adam": FusedAdam,
    "adamw": keras.optimizers.AdamW,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}


def _lowest_precision(network: keras.Model) -> str:
    return next(
        (layer.dtype_policy.name for layer in network.layers if layer.dtype_policy.name != "float32"), "float32"
    )


def fit(network: keras.Model, splits: dict[str, Images], settings: params.Train) -> dict[str, list[float]]:
    """Fit in place; returns the learning curves: a value an epoch for each name of `results.CURVES`."""
    steps = settings.epochs * -(-len(splits["train"].labels) // settings.batch_size)
    peak = settings.learning_rate
    network.compile(
        optimizer=OPTIMIZERS[settings.optimizer](peak if settings.schedule == "constant" else one_cycle(peak, steps)),
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
    ).history
    print(f"fitted in {time.perf_counter() - started:.0f} s", flush=True)
    return {ours: history[theirs] for theirs, ours in HISTORY.items()}


def one_cycle(peak: float, steps: int) -> keras.optimizers.schedules.LearningRateSchedule:
    """A learning rate that rises linearly to `peak` in the first tenth of the steps, then falls to zero as a cosine.

    Source: Loshchilov and Hutter 2017, "SGDR", equation 5, one cycle; the warm-up is Goyal et al. 2017, section 2.2.
    """
    warm_up = max(1, round(WARM_UP * steps))
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(1, steps - warm_up), warmup_target=peak, warmup_steps=warm_up
    )


def measure(
    network: keras.Model, splits: dict[str, Images]
) -> tuple[NDArray[np.float32], NDArray[np.bool_], NDArray[np.bool_]]:
    """Probabilities of the test images, and the controls: `probabilities` to `correct_when_shifted` of one seed."""

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return network.predict(images, batch_size=PREDICTION_BATCH, verbose=0)

    def classify(images: NDArray[np.uint8]) -> NDArray[np.integer]:
        return predict(images).argmax(-1)

    return (
        predict(splits["test"].images),
        controls.correct_on_training(classify, splits["train"]),
        controls.correct_when_shifted(classify, splits["test"]),
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
