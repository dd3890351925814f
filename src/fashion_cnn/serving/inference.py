"""The request handler inside the model archive: pictures in, class probabilities out.

It stands alone: it runs where this package is not installed. AWS's TensorFlow Serving container calls
`input_handler`, posts what it returns to TensorFlow Serving's REST predict call, and hands a good response to
`output_handler`; a bad one goes to the client. A `falcon.HTTPError` sets the answer's status, and its description
is the answer's; any other exception is status 500 and `{"error": "<message>"}`.

Pictures are treated as the data set's authors did theirs, except that nothing is inverted: the longer side
becomes 28 pixels, the rest is filled with black. The network knows light garments on black; whoever sends a
photograph with a light background inverts it first.

Source: github.com/aws/deep-learning-containers, scripts/docker/tensorflow/inference/sagemaker/python_service.py, at
commit 86bef99963, where Falcon is 3.1.0 and NumPy 1.26.4; tensorflow.org/tfx/serving/api_rest; Xiao, Rasul and
Vollgraf 2017, arXiv:1708.07747, section 2.
"""

import io
import json
from collections.abc import Callable
from itertools import chain
from typing import IO, Any, NoReturn

import falcon
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageOps

SIZE = 28
CLASS_NAMES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)
MAX_IMAGES = 500
MAX_PICTURE_PIXELS = 4096 * 4096


class BadRequestError(falcon.HTTPError):
    """A request that can't be answered: status 400, or 415 for a content type that is not known."""

    def __init__(self, message: str, status: int = 400) -> None:
        # What a library says of a damaged file may be long, with line breaks or half a Unicode character.
        line = " ".join(message.split()).encode("ascii", "backslashreplace").decode()[:300]
        super().__init__(falcon.code_to_http_status(status), description=line)

    def __str__(self) -> str:
        return str(self.description)


def input_handler(data: IO[bytes], context: Any) -> str:
    """Turn a request into the body of TensorFlow Serving's predict call.

    Args:
        data: the request's body, a binary stream.
        context: the container's description of the request; `request_content_type` is read.

    Returns:
        JSON text, `{"instances": [...]}`, integers from 0 to 255 of shape (n, 28, 28).

    Raises:
        BadRequestError: the content type is not known, or the body is not what it says.
    """
    content_type = context.request_content_type.partition(";")[0].strip().lower()
    if content_type not in DECODERS:
        raise BadRequestError(f"content type {content_type[:80]!a} is not known; allowed: {', '.join(DECODERS)}", 415)
    body = data.read()
    if not body:
        raise BadRequestError("the body is empty")
    images = DECODERS[content_type](body)
    if not 1 <= len(images) <= MAX_IMAGES:
        raise BadRequestError(f"{len(images)} images; allowed: 1 to {MAX_IMAGES} a request")
    return json.dumps({"instances": images.tolist()}, separators=(",", ":"))


def output_handler(response: Any, context: Any) -> tuple[str, str]:  # noqa: ARG001 (the container's signature)
    """Turn TensorFlow Serving's response into the answer.

    Args:
        response: its `content` is `{"predictions": [[...], ...]}` of shape (n, 10).
        context: the container's description of the request; the answer is JSON whatever it accepts.

    Returns:
        The body and its content type. The body is `{"predictions": [{"class": "Ankle boot", "label": 9,
        "probabilities": {"T-shirt/top": 0.01, ...}}, ...]}`, one entry an image, in the order of the request.
    """
    predictions = []
    for probabilities in json.loads(response.content)["predictions"]:
        label = max(range(len(CLASS_NAMES)), key=probabilities.__getitem__)
        predictions.append(
            {
                "class": CLASS_NAMES[label],
                "label": label,
                "probabilities": dict(zip(CLASS_NAMES, probabilities, strict=True)),
            }
        )
    return json.dumps({"predictions": predictions}, allow_nan=False), "application/json"


def _decode_json(body: bytes) -> NDArray[np.uint8]:
    """Read `{"instances": [...]}`, whole numbers from 0 to 255, (n, 28, 28)."""
    # Millions of empty lists fit into a body; as Python objects they would fill the memory.
    if body.count(b"[") + body.count(b"{") > MAX_IMAGES * (SIZE + 1) + 2:
        raise BadRequestError(
            f"the JSON holds more lists than {MAX_IMAGES} images have; allowed: 1 to {MAX_IMAGES} images"
        )
    try:
        document = json.loads(body.decode(), object_pairs_hook=_without_duplicates, parse_constant=_refuse_constant)
    except BadRequestError:
        raise
    except RecursionError:
        raise BadRequestError("the JSON is nested too deeply") from None
    except ValueError as error:
        raise BadRequestError(f"the body is not JSON in UTF-8: {error}") from None
    if not isinstance(document, dict) or list(document) != ["instances"]:
        raise BadRequestError('the JSON must be an object of one key: {"instances": [...]}')
    instances = document["instances"]
    if not isinstance(instances, list) or len(instances) > MAX_IMAGES:
        raise BadRequestError(f"instances must be a list of 1 to {MAX_IMAGES} images")
    for number, image in enumerate(instances):
        if not _is_list(image) or not all(map(_is_list, image)):
            raise BadRequestError(f"instances[{number}] must be {SIZE} lists of {SIZE} whole numbers")
    values = [*chain.from_iterable(chain.from_iterable(instances))]
    # bytes() would take true and false for 1 and 0.
    if not set(map(type, values)) <= {int}:
        raise BadRequestError("instances must hold nothing but whole numbers from 0 to 255")
    try:
        return np.frombuffer(bytes(values), np.uint8).reshape(-1, SIZE, SIZE)
    except (ValueError, OverflowError):
        raise BadRequestError("instances holds a number outside 0 to 255") from None


def _is_list(value: object) -> bool:
    return isinstance(value, list) and len(value) == SIZE


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise BadRequestError("the JSON holds a key twice")
    return keys


def _refuse_constant(name: str) -> NoReturn:
    raise BadRequestError(f"the JSON holds {name}; allowed: whole numbers from 0 to 255")


def _decode_npy(body: bytes) -> NDArray[np.uint8]:
    """Read a NumPy array file: uint8, (28, 28), (n, 28, 28) or (n, 28, 28, 1). Pickles are never loaded.

    Source: numpy.org, NEP 1, and `numpy.lib.format`.
    """
    stream = io.BytesIO(body)
    try:
        version = np.lib.format.read_magic(stream)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        shape, fortran_order, dtype = read_header[version](stream)
    except Exception as error:  # whatever ails the header, which numpy evaluates as a Python literal
        raise BadRequestError(f"the body is not a NumPy array file of version 1 or 2: {error}") from None
    if dtype != np.uint8:
        raise BadRequestError(f"the array is of type {dtype}; allowed: uint8")
    allowed = shape == (SIZE, SIZE) or (len(shape) in (3, 4) and shape[1:] in ((SIZE, SIZE), (SIZE, SIZE, 1)))
    if not allowed:
        raise BadRequestError(
            f"the array is of shape {str(shape)[:80]}; allowed: (28, 28), (n, 28, 28), (n, 28, 28, 1)"
        )
    count = 1 if len(shape) == 2 else shape[0]
    pixels = np.frombuffer(stream.getbuffer()[stream.tell() :], np.uint8)
    # The header's shape is compared with what is there before anything is made of it.
    if pixels.size != count * SIZE * SIZE:
        raise BadRequestError(f"the array holds {pixels.size} bytes; its shape asks for {count * SIZE * SIZE}")
    return pixels.reshape(shape, order="F" if fortran_order else "C").reshape(-1, SIZE, SIZE)


def _decode_picture(body: bytes, file_format: str) -> NDArray[np.uint8]:
    """Bring a picture to uint8 (1, 28, 28): upright, in grey, on black, padded with black to a square."""
    try:
        file = Image.open(io.BytesIO(body), formats=[file_format])
        _check_size(file.width, file.height)
        # A JPEG can be decoded at a fraction of its size, which saves most of the time.
        file.draft("L", (8 * SIZE, 8 * SIZE))
        ImageOps.exif_transpose(file, in_place=True)
        if file.mode.startswith("I"):  # 16 bits a pixel, which Pillow would clip at 255
            grey = Image.fromarray((np.asarray(file) >> 8).astype(np.uint8))
        else:
            grey = file.convert("L")
        if file.has_transparency_data:  # on black, a pixel is as bright as it is opaque
            alpha = file if "A" in file.getbands() else file.convert("RGBA")
            grey = ImageChops.multiply(grey, alpha.getchannel("A"))
        return np.asarray(ImageOps.pad(grey, (SIZE, SIZE), color=0))[np.newaxis]
    except BadRequestError:
        raise
    except Exception as error:  # Pillow raises nearly anything on a damaged file
        raise BadRequestError(f"the body is not a readable {file_format} picture: {error}") from None


def _check_size(width: int, height: int) -> None:
    longer, shorter = max(width, height), min(width, height)
    if longer * shorter > MAX_PICTURE_PIXELS or longer > SIZE * shorter:
        raise BadRequestError(
            f"the picture has {width} x {height} pixels; allowed: {MAX_PICTURE_PIXELS} in all, "
            f"one side up to {SIZE} times as long as the other"
        )


DECODERS: dict[str, Callable[[bytes], NDArray[np.uint8]]] = {
    "application/json": _decode_json,
    "application/x-npy": _decode_npy,
    "image/png": lambda body: _decode_picture(body, "PNG"),
    "image/jpeg": lambda body: _decode_picture(body, "JPEG"),
}
