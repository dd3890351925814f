"""The architectures. Every network takes uint8 images (n, 28, 28), as on disk, and answers class probabilities."""

import keras
from keras import layers

from fashion_cnn import params
from fashion_cnn.fashion_mnist import CLASSES, IMAGE_SHAPE

# Layers are named so that the same network is the same file, whatever was built before it in the process.


def dense(baseline: params.Baseline) -> keras.Model:
    """The baseline: one hidden layer that knows nothing of neighbouring pixels."""
    return _network(
        [
            layers.Flatten(name="flatten"),
            layers.Dense(baseline.units, activation="relu", name="dense"),
            layers.Dropout(baseline.dropout, name="dropout"),
        ]
    )


def cnn(shared: params.CNN, kernel: int) -> keras.Model:
    """Convolution and max pooling for each entry of `shared.filters`, then one dense layer.

    Args:
        shared: what all CNNs have in common.
        kernel: height and width in pixels of every convolution's kernel.
    """
    blocks: list[keras.Layer] = [layers.Reshape((*IMAGE_SHAPE, 1), name="add_channel")]
    for number, filters in enumerate(shared.filters, start=1):
        blocks += [
            layers.Conv2D(
                filters,
                kernel,
                strides=shared.stride,
                padding=shared.padding,
                activation="relu",
                name=f"convolution_{number}",
            ),
            layers.MaxPooling2D(shared.pool, name=f"pooling_{number}"),
        ]
    return _network(
        [
            *blocks,
            layers.Flatten(name="flatten"),
            layers.Dense(shared.units, activation="relu", name="dense"),
            layers.Dropout(shared.dropout, name="dropout"),
        ]
    )


def _network(hidden: list[keras.Layer]) -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(IMAGE_SHAPE, dtype="uint8", name="image"),
            layers.Rescaling(1 / 255, name="rescaling"),
            *hidden,
            # Probabilities stay in float32 under mixed precision: Keras's own advice in its mixed precision guide.
            layers.Dense(CLASSES, activation="softmax", dtype="float32", name="probabilities"),
        ],
        name="network",
    )
