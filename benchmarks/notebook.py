"""The notebook's networks and training as its own cells have them: what everything here is compared with.

python -m benchmarks.notebook runs the whole: data, three networks fitted for ten epochs and evaluated.
"""

import argparse
import os
import time
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow reports a missing GPU as an error

import keras
from keras.layers import Conv2D, Dense, Dropout, Flatten, Input, MaxPooling2D
from keras.utils import to_categorical

from benchmarks import data

EPOCHS: Final = 10
BATCH_SIZE: Final = 128
KERNELS: Final = {"baseline": None, "cnn3": 3, "cnn5": 5}


def network(arm: str) -> keras.Model:
    """The dense network, or the CNN with the arm's kernel, compiled."""
    kernel = KERNELS[arm]
    if kernel is None:
        layers = [
            Input(shape=(28, 28)),
            Flatten(),
            Dense(128, activation="relu"),
            Dropout(0.2),
            Dense(10, activation="softmax"),
        ]
    else:
        layers = [
            Input(shape=(28, 28, 1)),
            Conv2D(32, (kernel, kernel), activation="relu", padding="same"),
            MaxPooling2D((2, 2)),
            Conv2D(64, (kernel, kernel), activation="relu", padding="same"),
            MaxPooling2D((2, 2)),
            Flatten(),
            Dense(64, activation="relu"),
            Dropout(0.3),
            Dense(10, activation="softmax"),
        ]
    model = keras.Sequential(layers)
    model.compile(optimizer="adam", loss="categorical_crossentropy", metrics=["accuracy"])
    return model


def prepare(arm: str, images: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Images as float32 from 0 to 1, with a channel for a CNN; labels one-hot."""
    scaled = images.astype("float32") / 255.0
    return (scaled if KERNELS[arm] is None else np.expand_dims(scaled, -1)), to_categorical(labels, 10)


def fit(model: keras.Model, images: np.ndarray, labels: np.ndarray, epochs: int, callbacks: Sequence[Any] = ()) -> None:
    """Fit in place; the last fifth of the images validates."""
    model.fit(
        images,
        labels,
        epochs=epochs,
        batch_size=BATCH_SIZE,
        validation_split=0.2,
        verbose=2,
        callbacks=list(callbacks),
    )


def run(arm: str, epochs: int = EPOCHS, seed: int | None = None, images: int | None = None) -> tuple[float, float]:
    """Fit and evaluate one network, by default on all training images.

    Returns:
        Test accuracy, and the fit's seconds.
    """
    if seed is not None:
        keras.utils.set_random_seed(seed)
    (pixels, labels), test = data.load()
    prepared = prepare(arm, pixels[:images], labels[:images])
    model = network(arm)
    started = time.perf_counter()
    fit(model, *prepared, epochs)
    seconds = time.perf_counter() - started
    _, accuracy = model.evaluate(*prepare(arm, *test), verbose=0)
    return float(accuracy), seconds


def main() -> None:
    """Run the notebook from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--arm", choices=KERNELS, help="one network alone; default: all three")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--seed", type=int, help="default: none, as in the notebook")
    options = parser.parse_args()
    for arm in [options.arm] if options.arm else KERNELS:
        accuracy, seconds = run(arm, options.epochs, options.seed)
        print(f"{arm}: fitted in {seconds:.1f} s, test accuracy {accuracy:.4f}", flush=True)


if __name__ == "__main__":
    main()
