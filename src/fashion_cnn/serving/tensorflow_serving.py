"""TensorFlow Serving's part in AWS's container: an archive's models by name and version, and the REST call on them.

Source: tensorflow.org/tfx/serving/api_rest; where models are looked for and how they are named: github.com/aws/
deep-learning-containers, scripts/docker/tensorflow/inference/sagemaker/tfs_utils.py and serve.py.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from fashion_cnn.core.errors import UserError

if TYPE_CHECKING:
    import tensorflow as tf

# What a model is called whose versions lie at the top of the archive: as the folder that AWS unpacks it to.
TOP: Final = "model"


class Prediction(NamedTuple):
    """An answer, by the names that a handler knows from `requests.Response`."""

    status_code: int
    content: bytes

    @property
    def text(self) -> str:
        """The answer as text."""
        return self.content.decode()

    def json(self) -> Any:
        """The answer as JSON."""
        return json.loads(self.content)


Predict = Callable[[str | bytes], Prediction]


class Models(NamedTuple):
    """The loaded models of an archive.

    Attributes:
        default: the name of the one that is asked where a request names none.
        versions: of every model, by name and by number, without leading zeros.
    """

    default: str
    versions: Mapping[str, Mapping[str, Predict]]

    def call(self, name: str, version: str | None, method: str, body: str | bytes) -> Prediction:
        """Answer POST /v1/models/<name>[/versions/<version>]:<method>."""
        known = self.versions.get(name, {})
        number = max(known, key=int, default="") if version is None else version.lstrip("0") or "0"
        if number not in known:
            asked = f"Latest({name})" if version is None else f"Specific({name}, {version})"
            return refusal(404, f"Servable not found for request: {asked}")
        if method != "predict":
            return refusal(400, f"{method} is not known here; known: predict")
        return known[number](body)


def refusal(status: int, message: str) -> Prediction:
    """An error as TensorFlow Serving answers it."""
    return Prediction(status, json.dumps({"error": message}).encode())


def find_models(folder: Path) -> dict[str, dict[str, Path]]:
    """The SavedModels below a folder, by name and version: `[.../<name>/]<version>/saved_model.pb`."""
    found: dict[str, dict[str, Path]] = {}
    for file in sorted(folder.rglob("saved_model.pb")):
        version = file.parent
        if version != folder and version.name.isascii() and version.name.isdecimal():
            name = TOP if version.parent == folder else version.parent.name
            found.setdefault(name, {})[version.name.lstrip("0") or "0"] = version
    return found


def load_models(folder: Path) -> Models:
    """Load every version of every model in an unpacked archive.

    Raises:
        UserError: there is no SavedModel, not the one that is to be the default, or TensorFlow can't load one.
    """
    found = find_models(folder)
    if not found:
        raise UserError(
            f"{folder}: holds no model; the archive must hold <number>/saved_model.pb or <name>/<number>/saved_model.pb"
        )
    default = os.environ.get("SAGEMAKER_TFS_DEFAULT_MODEL_NAME") or next(iter(found))
    if default not in found:
        raise UserError(f"SAGEMAKER_TFS_DEFAULT_MODEL_NAME = {default}: the archive holds {', '.join(found)}")
    return Models(
        default,
        {name: {number: load(path) for number, path in versions.items()} for name, versions in found.items()},
    )


def load(version: Path) -> Predict:
    """Load one SavedModel and let it compute once, so that the first request finds it warm.

    Returns:
        The REST predict call in both its formats, rows (`instances`) and columns (`inputs`).

    Raises:
        UserError: TensorFlow can't load it.
    """
    from fashion_cnn.core.lean_keras import tf  # noqa: PLC0415 (takes seconds, in which the server already listens)

    try:
        model = tf.saved_model.load(str(version))
        signatures = dict(model.signatures)
    except (OSError, ValueError, KeyError, RuntimeError, AttributeError, tf.errors.OpError) as error:
        raise UserError(f"{version}: cannot be loaded: {' '.join(str(error).split())}") from error

    def tensors(columns: Mapping[str, Any], specs: "Mapping[str, tf.TensorSpec]") -> "dict[str, tf.Tensor]":
        return {name: tf.constant(np.array(columns[name], specs[name].dtype.as_numpy_dtype)) for name in specs}

    def predict(body: str | bytes) -> Prediction:
        try:
            request = json.loads(body)
            signature = signatures[request.get("signature_name", "serving_default")]
            specs = signature.structured_input_signature[1]
            answers = signature(**tensors(_columns(request, specs), specs))
            outputs = {name: value.numpy().tolist() for name, value in answers.items()}
            content = json.dumps(_answer(outputs, rows="instances" in request)).encode()
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
            return refusal(400, str(error))
        except tf.errors.InvalidArgumentError as error:
            return refusal(400, error.message)
        return Prediction(200, content)

    # Only where a row's shape is known; a model that refuses zeros may take what it is asked.
    with contextlib.suppress(KeyError, TypeError, ValueError, tf.errors.OpError):
        specs = signatures["serving_default"].structured_input_signature[1]
        signatures["serving_default"](**tensors({name: np.zeros([1, *specs[name].shape[1:]]) for name in specs}, specs))
    return predict


def _columns(request: Mapping[str, Any], names: Iterable[str]) -> Mapping[str, Any]:
    """The values of every input; a single one needs no name.

    Raises:
        KeyError, TypeError, ValueError: the request does not give them.
    """
    if "inputs" in request and isinstance(request["inputs"], dict):
        return request["inputs"]
    values = request["inputs"] if "inputs" in request else request["instances"]
    if values and all(isinstance(row, dict) for row in values):
        return {name: [row[name] for row in values] for name in names}
    (name,) = names
    return {name: values}


def _answer(outputs: dict[str, Any], *, rows: bool) -> dict[str, Any]:
    """Outputs as the request's format has them; a single one has no name."""
    single = next(iter(outputs.values())) if len(outputs) == 1 else None
    if not rows:
        return {"outputs": outputs if single is None else single}
    named = [dict(zip(outputs, row, strict=True)) for row in zip(*outputs.values(), strict=True)]
    return {"predictions": named if single is None else single}
