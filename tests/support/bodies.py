"""Bodies of requests to the handler, good and damaged, and what it makes of them in process."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from fashion_cnn.serving import inference
from fashion_cnn.serving.server import Context

IMAGES = np.random.default_rng(0).integers(0, 256, (100, 28, 28), dtype=np.uint8)
HEIC = Path(__file__).with_name("boot.heic")  # test image 0 on white; nothing here can write HEIC
FUZZ = settings(max_examples=2000, deadline=None, database=None, derandomize=True)


def as_json(images: np.ndarray) -> bytes:
    return json.dumps({"instances": images.tolist()}).encode()


def as_npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def as_picture(picture: Image.Image | np.ndarray, file_format: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(stream, file_format, **options)
    return stream.getvalue()


def decoded(body: bytes, content_type: str, attributes: str | None = None) -> np.ndarray:
    context = Context(request_content_type=content_type, custom_attributes=attributes)
    text = inference.input_handler(io.BytesIO(body), context)
    return np.array(json.loads(text)["instances"])


def refusal(body: bytes, content_type: str = "application/json") -> str:
    with pytest.raises(inference.BadRequestError) as caught:
        decoded(body, content_type)
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


VALID = {
    "application/json": as_json(IMAGES[:1]),
    "application/x-npy": as_npy(IMAGES[:1]),
    "image/heic": HEIC.read_bytes(),
    **{
        f"image/{name.lower()}": as_picture(ImageOps.expand(Image.fromarray(IMAGES[0]), 3), name)
        for name in inference.FORMATS
        if name != "HEIF"
    },
}
content_types = st.sampled_from(sorted(VALID))


@st.composite
def damaged_requests(draw: st.DrawFn) -> tuple[bytes, str]:
    """A valid body in which a few stretches are overwritten, doubled or cut out."""
    content_type = draw(content_types)
    body = VALID[content_type]
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        end = at + draw(st.integers(0, 8))
        body = body[:at] + draw(st.sampled_from([b"", body[at:end] * 2, draw(st.binary(max_size=8))])) + body[end:]
    return body, content_type


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("instances"), inner),
    max_leaves=20,
)
malformed_requests = (
    damaged_requests()
    | st.tuples(st.binary(), content_types)
    | json_values.map(lambda value: (json.dumps(value).encode(), "application/json"))
    | json_values.map(lambda value: (json.dumps({"instances": value}).encode(), "application/json"))
)
