"""What needs Keras, in a process of its own: `python -m benchmarks.keras_worker ROLE`, asked through `worker`."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reports a missing GPU as an error
if sys.argv[1:] != ["notebook"]:  # which takes TensorFlow as it comes, without oneDNN where that is off
    import fashion_cnn.core.lean_keras  # noqa: F401

import keras
import tensorflow as tf

from benchmarks import data, notebook, worker
from fashion_cnn.core import params
from fashion_cnn.core.dataset import Images
from fashion_cnn.core.params import Params
from fashion_cnn.ingest import splits as prepare
from fashion_cnn.training import architectures, fitting, processor

VALIDATION: Final = 0.2


class Turns(keras.callbacks.Callback):
    """Answers with each epoch's seconds, and waits to be asked before the next.

    The first answer has `first`: the seconds from the call of fit to the end of the first epoch, tracing included.
    The others have `epoch`, the part of it that is `validation`, and `processor`: the processor's seconds of the epoch.
    """

    def __init__(self, **about: Any) -> None:
        super().__init__()
        self.about, self.called = about, time.perf_counter()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002, D102 (Keras's signature)
        if epoch:
            worker.receive()
        self.began, self.used, self.validation = time.perf_counter(), time.process_time(), 0.0

    def on_test_begin(self, logs: Any = None) -> None:  # noqa: ARG002, D102
        self.validation -= time.perf_counter()

    def on_test_end(self, logs: Any = None) -> None:  # noqa: ARG002, D102
        self.validation += time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002, D102
        now = time.perf_counter()
        if epoch:
            used = time.process_time() - self.used
            worker.send(epoch=now - self.began, validation=self.validation, processor=used)
        else:
            worker.send(first=now - self.called, **self.about)


def notebook_turns(arm: str, images: int, epochs: int) -> None:
    """One arm as the notebook trains it, an epoch a request."""
    (pixels, labels), _ = data.load()
    count = whole(images)
    prepared = notebook.prepare(arm, pixels[:count], labels[:count])
    network = notebook.network(arm)
    turns = Turns(**arithmetic(network), parameters=network.count_params(), precision="float32")
    notebook.fit(network, *prepared, epochs, [turns])


def pipeline_turns(arm: str, images: int, epochs: int) -> None:
    """The same as the pipeline trains it, with params.yaml's parameters."""
    settings = params.load(Params, changes={"train.epochs": epochs})
    fitting.configure(settings.train)
    precision = fitting.precision(settings.train)
    network = architectures.build(arm, settings, precision)
    about = {"parameters": network.count_params(), "precision": "float32" if arm == "baseline" else precision}
    fitting.fit(network, splits(images), settings.train, [Turns(**arithmetic(network), **about)])


def splits(images: int, test_images: int | None = None) -> dict[str, Images]:
    """The pipeline's splits of the first training images, of which `images` train."""
    train, test = (Images(*labelled) for labelled in data.load())
    count = whole(images)
    shortened = Images(train.images[:count], train.labels[:count])
    return prepare.split(shortened, Images(*(one[:test_images] for one in test)), VALIDATION, None)


def whole(images: int) -> int:
    """Images that train and validate together, where so many of them train."""
    return round(images / (1 - VALIDATION))


def arithmetic(network: keras.Model) -> dict[str, int]:
    """Multiply-adds of one image, forwards: all layers', and the first layer's alone."""
    described = architectures.describe(network)
    return {
        "multiply_adds": described["multiply_adds"],
        "first_multiply_adds": described["layers"][0]["multiply_adds"],
    }


def matrix_products(sizes: list[int], repetitions: int) -> None:
    """The best rate of square matrix products, in floating-point operations a second, by precision."""
    fitting.configure(params.load(Params).train)
    product = tf.function(tf.matmul)
    rates = {}
    # oneDNN has no products in bfloat16 for every processor.
    for precision in ("float32", "bfloat16") if processor.computes_bfloat16() else ("float32",):
        rates[precision] = 0.0
        for size in sizes:
            left, right = (tf.cast(tf.random.uniform((size, size)), precision) for _ in range(2))
            product(left, right)[0, 0].numpy()
            for _ in range(repetitions):
                started = time.perf_counter()
                product(left, right)[0, 0].numpy()
                rates[precision] = max(rates[precision], 2 * size**3 / (time.perf_counter() - started))
    worker.send(**rates)


def fit_cnn(kernel: int, images: int, epochs: int) -> None:
    """The pipeline's fit of one CNN: its seconds."""
    settings = params.load(Params, changes={"train.epochs": epochs})
    fitting.configure(settings.train)
    network, prepared = architectures.cnn(settings.cnn, kernel, fitting.precision(settings.train)), splits(images)
    with fits_timed() as seconds:
        fitting.fit(network, prepared, settings.train)
    worker.send(seconds=sum(seconds))


def train_pipeline(arm: str, images: int, seeds: int, changes: dict[str, Any], test_images: int | None = None) -> None:
    """The pipeline's training of one arm: seconds of its fits, test accuracy of each seed."""
    settings = params.load(Params, changes={**changes, "train.seeds": seeds})
    environment = fitting.configure(settings.train)
    prepared = splits(images, test_images)
    with fits_timed() as seconds:
        result = fitting.train(
            partial(architectures.build, arm, settings), prepared, settings.train, environment
        ).result
    accuracies = (result.probabilities.argmax(-1) == result.labels).mean(-1)
    worker.send(seconds=sum(seconds), accuracies=accuracies.tolist())


@contextmanager
def fits_timed() -> Iterator[list[float]]:
    """The seconds of each of the pipeline's fits in the block."""
    original, seconds = fitting.fit, []

    def fit(*arguments: Any, **options: Any) -> Any:
        started = time.perf_counter()
        try:
            return original(*arguments, **options)
        finally:
            seconds.append(time.perf_counter() - started)

    fitting.fit = fit
    yield seconds
    fitting.fit = original


def train_notebook(arm: str, images: int, epochs: int, seed: int) -> None:
    """The notebook's fit and evaluation of one arm."""
    accuracy, seconds = notebook.run(arm, epochs, seed, whole(images))
    worker.send(seconds=seconds, accuracies=[accuracy])


ROLES: Final[dict[str, Callable[..., None]]] = {
    "notebook": notebook_turns,
    "pipeline": pipeline_turns,
    "matrix_products": matrix_products,
    "fit_cnn": fit_cnn,
    "train_pipeline": train_pipeline,
    "train_notebook": train_notebook,
}


def main() -> None:
    """Answer requests until there are none."""
    worker.open_answers()
    role = ROLES[sys.argv[1]]
    while (request := worker.receive()) is not None:
        role(**request)


if __name__ == "__main__":
    main()
