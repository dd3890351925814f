"""The request handler in process: arrays, damaged requests, its answer. What it makes of pictures: test_pictures.py."""

import json
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from fashion_cnn.core import fashion_mnist
from fashion_cnn.serving import inference
from fashion_cnn.serving.server import Context
from fashion_cnn.serving.tensorflow_serving import Prediction
from support.bodies import FUZZ, IMAGES, as_json, as_npy, decoded, malformed_requests, refusal


def test_the_handler_knows_the_same_classes_as_the_data_set() -> None:
    assert inference.CLASS_NAMES == fashion_mnist.CLASS_NAMES
    assert inference.SIZE == fashion_mnist.IMAGE_SIZE


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON; charset=utf-8"])
def test_json_is_read_as_it_is(content_type: str) -> None:
    np.testing.assert_array_equal(decoded(as_json(IMAGES), content_type), IMAGES)


@pytest.mark.parametrize(
    "array", [IMAGES, IMAGES[..., np.newaxis], IMAGES[0], np.asfortranarray(IMAGES)], ids=lambda a: str(a.shape)
)
def test_npy_is_read_as_it_is(array: np.ndarray) -> None:
    np.testing.assert_array_equal(decoded(as_npy(array), "application/x-npy"), array.reshape(-1, 28, 28))


IMAGE = IMAGES[0].tolist()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([IMAGE], "an object of one key"),
        ({"inputs": [IMAGE]}, "an object of one key"),
        ({"instances": [IMAGE], "signature_name": "x"}, "an object of one key"),
        ({"instances": IMAGE}, r"instances\[0\] must be 28 lists"),
        ({"instances": [IMAGE, IMAGE[:27]]}, r"instances\[1\] must be 28 lists"),
        ({"instances": [[[*IMAGE[0][:27], [0]]] * 28]}, "whole numbers"),
        ({"instances": [[[0.5] * 28] * 28]}, "whole numbers"),
        ({"instances": [[[True] * 28] * 28]}, "whole numbers"),
        ({"instances": [[["0"] * 28] * 28]}, "whole numbers"),
        ({"instances": [[[None] * 28] * 28]}, "whole numbers"),
        ({"instances": [[[256] * 28] * 28]}, "outside 0 to 255"),
        ({"instances": [[[-1] * 28] * 28]}, "outside 0 to 255"),
        ({"instances": [[[10**100] * 28] * 28]}, "outside 0 to 255"),
        ({"instances": [[[float("nan")] * 28] * 28]}, "NaN"),
        ({"instances": []}, "0 images"),
        ({"instances": [IMAGE] * 501}, "1 to 500"),
        ({"instances": "x"}, "must be a list"),
    ],
)
def test_json_that_holds_no_images_is_refused_with_the_reason(document: Any, message: str) -> None:
    assert re.search(message, refusal(json.dumps(document).encode()))


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "empty"),
        (b"\xff\xfe", "not JSON in UTF-8"),
        (b"{", "not JSON"),
        (b'{"instances": [1e999]}', "28 lists"),
        (b'{"instances": [' + b"9" * 5000 + b"]}", "not JSON"),
        (b"[" * 10_000, "nested too deeply"),
        (b'{"instances": [' + b"[]," * 1_000_000 + b"[]]}", "more lists than 500 images"),
        (b'{"instances": [], "instances": []}', "twice"),
        (b'{"\\ud800": 1, "\\ud800": 2}', "twice"),
        (b'{"instances": [[Infinity]]}', "Infinity"),
    ],
)
def test_bytes_that_are_no_json_are_refused_with_the_reason(body: bytes, message: str) -> None:
    assert message in refusal(body)


def npy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (as_npy(IMAGES[0].astype(np.float32)), "float32"),
        (as_npy(np.array([{"a": 1}], object)), "object"),
        (as_npy(IMAGES[0, :27]), "shape"),
        (as_npy(np.zeros((0, 28, 28), np.uint8)), "0 images"),
        (as_npy(np.zeros((501, 28, 28), np.uint8)), "501 images"),
        (as_npy(IMAGES[0])[:-1], "783 bytes"),
        (as_npy(IMAGES[0]) + b"x", "785 bytes"),
        (npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (10**12, 28, 28)}"), "not a NumPy"),
        (
            npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (1000000000000, 28, 28)}"),
            "asks for 784000000000000",
        ),
        (npy_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-1, 28, 28)}"), "asks for -784"),
        (npy_header("(" * 9000), "not a NumPy"),
        (npy_header("-" * 9000 + "1"), "not a NumPy"),
        (b"\x93NUMPY\x09\x00", "not a NumPy"),
        (b"PK\x03\x04", "not a NumPy"),
    ],
)
def test_an_array_file_that_holds_no_images_is_refused_with_the_reason(body: bytes, message: str) -> None:
    assert message in refusal(body, "application/x-npy")


def test_a_content_type_that_is_not_known_is_answered_with_the_known_ones() -> None:
    with pytest.raises(inference.BadRequestError, match="application/json, application/x-npy") as caught:
        decoded(b"1,2", "text/csv")
    assert caught.value.status_code == 415


def test_the_answer_names_the_class_and_keeps_every_digit() -> None:
    row = [0.1, 0.012345678901234567, 0, 0, 0, 0, 0, 0, 0, 0.8]
    body, content_type = inference.output_handler(
        Prediction(200, json.dumps({"predictions": [row]}).encode()), Context()
    )
    assert content_type == "application/json"
    assert json.loads(body)["predictions"] == [
        {
            "class": "Ankle boot",
            "label": 9,
            "probabilities": dict(zip(fashion_mnist.CLASS_NAMES, row, strict=True)),
        }
    ]


@FUZZ
@given(malformed_requests)
def test_the_handler_answers_any_request_with_images_or_with_a_refusal(request_: tuple[bytes, str]) -> None:
    outcome = attempt(*request_)
    if isinstance(outcome, inference.BadRequestError):
        assert outcome.status_code == 400
        assert str(outcome)
        assert "\n" not in str(outcome)
    else:
        assert outcome.shape[1:] == (28, 28)
        assert 0 <= outcome.min() <= outcome.max() <= 255


def attempt(body: bytes, content_type: str) -> np.ndarray | inference.BadRequestError:
    try:
        return decoded(body, content_type)
    except inference.BadRequestError as error:
        return error
