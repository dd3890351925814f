"""The architectures. Every network takes uint8 images (n, 28, 28), as on disk, and answers class probabilities."""

from typing import Any

import numpy as np

from fashion_cnn.core import params
from fashion_cnn.core.fashion_mnist import CLASSES, IMAGE_SHAPE, IMAGE_SIZE
from fashion_cnn.core.lean_keras import keras

layers = keras.layers

# Layers are named so that the same network is the same file, whatever was built before it in the process.


def build(arm: str, settings: params.Params, precision: str = "float32") -> keras.Model:
    """The network of an arm: baseline, cnn3, cnn5 or candidate, with fresh weights.

    Args:
        arm: its name.
        settings: the parameters that describe it.
        precision: of convolutions, as `cnn` has it; without convolutions there is nothing to gain from less.
    """
    kernel = settings.kernel_of(arm)
    return dense(settings.baseline) if kernel is None else cnn(settings.cnn, kernel, precision)


def dense(baseline: params.Baseline) -> keras.Model:
    """The baseline: one hidden layer that knows nothing of neighbouring pixels."""
    return _network(
        [
            layers.Flatten(name="flatten"),
            layers.Dense(baseline.units, activation="relu", name="dense"),
            layers.Dropout(baseline.dropout, name="dropout"),
        ]
    )


def cnn(shared: params.CNN, kernel: int, precision: str = "float32") -> keras.Model:
    """Convolution and max pooling for each entry of `shared.filters`, then one dense layer.

    Args:
        shared: what all CNNs have in common.
        kernel: height and width in pixels of every convolution's kernel.
        precision: Keras's dtype policy of convolution and pooling, where the work is; weights are float32 in any case.
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
                dtype=precision,
                name=f"convolution_{number}",
            ),
            layers.MaxPooling2D(shared.pool, dtype=precision, name=f"pooling_{number}"),
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
            layers.Dense(CLASSES, activation="softmax", name="probabilities"),
        ],
        name="network",
    )


def _inside(layer: keras.layers.Conv2D) -> int:
    """The multiply-adds of a convolution whose pixel lies in the image and not in its padding.

    Source of how TensorFlow pads: tensorflow.org/api_docs/python/tf/nn, "Notes on padding".
    """
    size, positions = layer.input.shape[1], layer.output.shape[1]
    kernel, stride = layer.kernel_size[0], layer.strides[0]
    before = max((positions - 1) * stride + kernel - size, 0) // 2
    firsts = np.arange(positions) * stride - before
    along_a_side = int(np.sum((firsts + kernel).clip(max=size) - firsts.clip(min=0)))
    return along_a_side**2 * int(np.prod(layer.kernel.shape[2:]))


def describe(network: keras.Model) -> dict[str, Any]:
    """What a network costs and sees.

    Returns:
        parameters: how many are trained.
        multiply_adds: multiplications, each with its addition, that one image takes in convolutions and dense layers.
        receptive_field: pixels on a side that one value sees which enters the first dense layer; the whole image
            where no convolution comes before it.
        layers: name, parameters, multiply_adds and connections of each layer that has parameters; connections are
            the multiply-adds without those of weights that lie on padding.

    Source of the receptive field: Araujo, Norris and Sim 2019, "Computing receptive fields of convolutional neural
    networks", Distill, equation 2.
    """
    windows = [
        ((layer.kernel_size if isinstance(layer, layers.Conv2D) else layer.pool_size)[0], layer.strides[0])
        for layer in network.layers
        if isinstance(layer, layers.Conv2D | layers.MaxPooling2D)
    ]
    field, step = 1, 1
    for window, stride in windows:
        field += (window - 1) * step
        step *= stride
    described = []
    for layer in network.layers:
        if layer.trainable_weights:
            positions = int(np.prod(layer.output.shape[1:-1]))  # a kernel is applied once at each; a dense layer's once
            multiply_adds = positions * int(np.prod(layer.kernel.shape))
            padded = isinstance(layer, layers.Conv2D) and layer.padding == "same"
            described.append(
                {
                    "name": layer.name,
                    "parameters": layer.count_params(),
                    "multiply_adds": multiply_adds,
                    "connections": _inside(layer) if padded else multiply_adds,
                }
            )
    return {
        "parameters": network.count_params(),
        "multiply_adds": sum(layer["multiply_adds"] for layer in described),
        "receptive_field": field if windows else IMAGE_SIZE,
        "layers": described,
    }
