"""The proof that an endpoint answers as the model does: real images, sent in every format that the handler takes."""

import io
import json
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASS_NAMES, CLASSES

BATCH: Final = 100
JSON_IMAGES: Final = 10
PNG_IMAGES: Final = 5
# Pixels may be permuted: then the handler would see no picture of the data set's in a PNG, and improve it.
AS_IS: Final = "fashion-cnn-picture=as-is"


class Agreement(NamedTuple):
    """How far an endpoint's answers are the model's.

    Attributes:
        images: test images that were sent; some of them again as JSON and as PNG.
        top1_agreement: the share of answers whose most probable class is the model's, 0 to 1.
        max_probability_difference: the largest absolute difference of any class's probability.
    """

    images: int
    top1_agreement: float
    max_probability_difference: float


def verify(
    invoke: Callable[[bytes, str, str], bytes],
    images: NDArray[np.uint8],
    expected: NDArray[np.float32],
    tolerance: float,
) -> Agreement:
    """Send images as NumPy arrays, the first ones again as JSON and PNG, and compare with the model's predictions.

    Args:
        invoke: sends a body of a content type, with custom attributes, to the endpoint and returns its answer.
        images: uint8 (n, 28, 28).
        expected: (n, 10), the model's own probabilities of these images.
        tolerance: the largest difference of a probability that is allowed.

    Raises:
        UserError: the endpoint answers otherwise than the model, or what it answers is no prediction.
    """
    requests = [
        *((_npy(images[at : at + BATCH]), "application/x-npy", "") for at in range(0, len(images), BATCH)),
        (json.dumps({"instances": images[:JSON_IMAGES].tolist()}).encode(), "application/json", ""),
        *((_png(image), "image/png", AS_IS) for image in images[:PNG_IMAGES]),
    ]
    answered = np.concatenate([_probabilities(invoke(*request)) for request in requests])
    due = np.concatenate([expected, expected[:JSON_IMAGES], expected[:PNG_IMAGES]])
    if answered.shape != due.shape:
        raise UserError(f"the endpoint answered {len(answered)} predictions to {len(due)} images")
    agreement = Agreement(
        images=len(images),
        top1_agreement=float(np.mean(answered.argmax(axis=1) == due.argmax(axis=1))),
        max_probability_difference=float(np.abs(answered - due).max()),
    )
    # Written so that an answer that is not a number fails.
    if not (agreement.top1_agreement == 1 and agreement.max_probability_difference <= tolerance):
        raise UserError(
            f"the endpoint answers otherwise than the model: the same class for "
            f"{agreement.top1_agreement:.2%} of {len(due)} answers, probabilities that differ by up to "
            f"{agreement.max_probability_difference:.3g}; allowed: 100 % and deploy.tolerance = {tolerance:g}"
        )
    return agreement


def _npy(images: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, images, allow_pickle=False)
    return stream.getvalue()


def _png(image: NDArray[np.uint8]) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "PNG")
    return stream.getvalue()


def _probabilities(answer: bytes) -> NDArray[np.float64]:
    """What the handler answered, as (n, 10), in the order of the classes."""
    try:
        predictions = json.loads(answer)["predictions"]
        rows = [[prediction["probabilities"][name] for name in CLASS_NAMES] for prediction in predictions]
        return np.array(rows, np.float64).reshape(-1, CLASSES)
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"the endpoint's answer is no prediction ({error!r}): {answer[:200]!r}") from error
