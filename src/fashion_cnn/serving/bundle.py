"""What the demo page computes with: the arms' networks and some test images, packed at deployment into one object."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from fashion_cnn.core.dataset import Images
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASSES

if TYPE_CHECKING:
    import keras

KEY: Final = "demo/study.safetensors"
REPORT_KEY: Final = "demo/report.html"


def pack(models: Path, arms: Mapping[str, float], test: Images, count: int) -> bytes:
    """Pack networks and test images as a safetensors file; the same bytes for the same input.

    Its tensors: `images` uint8 (n, 28, 28), `labels` uint8 (n,), `numbers` int32 (n,): positions in the test set,
    from 0; and for every layer with weights `<arm>/<layer>/kernel` and `<arm>/<layer>/bias`, float32. Its metadata:
    `study`, in JSON: `arms`, in the order of `arms`, each with name, kernel, test_accuracy and layers, as network.js
    reads them, and `test_images`, the number of images that the accuracies were measured on.

    Source: the format of github.com/huggingface/safetensors.

    Args:
        models: the folder that holds `<arm>/model.keras`.
        arms: which of them, each with its test accuracy.
        test: the test images, as the networks see them.
        count: of images; the same number of every class, the first ones, as far as there are so many.

    Raises:
        UserError: a network is missing, can't be read, or has a layer that the page can't compute.
    """
    numbers = np.concatenate([np.flatnonzero(test.labels == label)[: count // CLASSES] for label in range(CLASSES)])
    tensors: dict[str, NDArray[Any]] = {
        "images": test.images[numbers],
        "labels": test.labels[numbers],
        "numbers": numbers.astype(np.int32),
    }
    described = []
    for arm, test_accuracy in arms.items():
        path = models / arm / "model.keras"
        layers = []
        for layer in _network(path).layers:
            if (computed := _computed(layer, path)) is None:
                continue
            for name, weights in zip(("kernel", "bias"), layer.get_weights(), strict=False):
                computed[name] = f"{arm}/{layer.name}/{name}"
                tensors[computed[name]] = weights.astype(np.float32)
            layers.append(computed)
        kernel = _kernel(layers, tensors)
        described.append({"name": arm, "kernel": kernel, "test_accuracy": test_accuracy, "layers": layers})
    # One entry alone: the library writes several in an order of chance.
    return save(tensors, {"study": json.dumps({"arms": described, "test_images": len(test.images)})})


def _network(path: Path) -> "keras.Model":
    from fashion_cnn.core.lean_keras import keras  # noqa: PLC0415 (TensorFlow, which the embedded SageMaker does without)

    if not path.is_file():
        raise UserError(f"{path}: not found; `dvc repro {path.parent.name}` makes it")
    try:
        return keras.models.load_model(path, compile=False)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path}: not a Keras model: {' '.join(str(error).split())}") from error


def _computed(layer: "keras.Layer", path: Path) -> dict[str, Any] | None:
    """What network.js needs to know of a layer; None where it changes no value when a trained network answers."""
    config, kind = layer.get_config(), type(layer).__name__
    match kind, config:
        case "InputLayer" | "Reshape" | "Flatten" | "Dropout", _:
            return None
        case "Rescaling", {"scale": scale, "offset": offset}:
            return {"kind": kind, "scale": scale, "offset": offset}
        case "Conv2D", {"strides": (rows, columns), "padding": padding, "activation": activation} if rows == columns:
            return {"kind": kind, "stride": rows, "padding": padding, "activation": activation}
        case "MaxPooling2D", {"pool_size": (rows, columns)} if rows == columns:
            return {"kind": kind, "size": rows}
        case "Dense", {"activation": activation}:
            return {"kind": kind, "activation": activation}
    raise UserError(f"{path}: the demo page can't compute its layer {layer.name}, a {kind}; teach network.js to")


def _kernel(layers: list[dict[str, Any]], tensors: dict[str, NDArray[Any]]) -> int | None:
    """The size of the first convolution's kernel; None for a network without one."""
    return next((tensors[layer["kernel"]].shape[0] for layer in layers if layer["kind"] == "Conv2D"), None)
