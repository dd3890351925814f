"""What the request handler makes of a picture, and what it says of it; in process, on real images in disguise."""

import io
import json
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from benchmarks.photographs import DISGUISES, dyed, margin, on_grey, photograph, png
from fashion_cnn import localsagemaker
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.ingest import idx
from fashion_cnn.serving import inference
from fashion_cnn.serving.server import Context
from fashion_cnn.serving.tensorflow_serving import Prediction
from support.bodies import HEIC

ASKED_TWICE = 2

Grey = NDArray[np.uint8]


class Real(NamedTuple):
    """Test images, and a network of one layer in NumPy that recognises them: 80 % of what it has not seen."""

    images: Grey
    weights: NDArray[np.floating[Any]]

    def label(self, pixels: Grey) -> NDArray[np.intp]:
        return (_inputs(pixels) @ self.weights).argmax(axis=1)

    def probabilities(self, pixels: Grey) -> list[list[float]]:
        """As confident as a trained network's: the softmax of its scores, 15 times as large."""
        odds = np.exp(15 * (_inputs(pixels) @ self.weights))
        return (odds / odds.sum(axis=1, keepdims=True)).tolist()


def _inputs(pixels: Grey) -> NDArray[np.float64]:
    return np.pad(pixels.reshape(-1, 784) / 255, ((0, 0), (0, 1)), constant_values=1)


@pytest.fixture(scope="module")
def real(real_raw_data: Path) -> Real:
    """Ridge regression on 6,000 training images."""
    train, labels, test = (
        np.frombuffer((real_raw_data / name).read_bytes(), np.uint8, offset=offset)
        for name, offset in (
            ("train-images-idx3-ubyte", 16),
            ("train-labels-idx1-ubyte", 8),
            ("t10k-images-idx3-ubyte", 16),
        )
    )
    inputs, targets = _inputs(train[: 6000 * 784]), np.eye(10)[labels[:6000]]
    weights = np.linalg.solve(inputs.T @ inputs + 30 * np.eye(785), inputs.T @ targets)
    return Real(test.reshape(-1, 28, 28)[:100], weights)


def file(picture: Image.Image | np.ndarray, file_format: str = "PNG", **options: Any) -> bytes:
    stream = io.BytesIO()
    (picture if isinstance(picture, Image.Image) else Image.fromarray(picture)).save(stream, file_format, **options)
    return stream.getvalue()


def sent(body: bytes, attributes: str | None = None, content_type: str = "image/png") -> tuple[Grey, Context]:
    """What the network is asked, and the request's context, for the answer."""
    context = Context(request_content_type=content_type, custom_attributes=attributes)
    text = inference.input_handler(io.BytesIO(body), context)
    return np.array(json.loads(text)["instances"], np.uint8), context


def answer(body: bytes, attributes: str | None = None, rows: list[list[float]] | None = None) -> dict[str, Any]:
    """The answer to a picture, where the network says `rows`, or the same of every image."""
    asked, context = sent(body, attributes)
    response = Prediction(200, json.dumps({"predictions": rows or [one_hot(8, 0.9)] * len(asked)}).encode())
    text, _ = inference.output_handler(response, context)
    (prediction,) = json.loads(text)["predictions"]
    return prediction


def one_hot(label: int, probability: float) -> list[float]:
    return [probability if one == label else (1 - probability) / 9 for one in range(10)]


def refusal(body: bytes, attributes: str | None = None) -> str:
    with pytest.raises(inference.BadRequestError) as caught:
        sent(body, attributes)
    assert caught.value.status == "400 Bad Request"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def warnings(picture: dict[str, Any]) -> list[str]:
    assert all(warning["message"] for warning in picture["warnings"])
    return [warning["code"] for warning in picture["warnings"]]


# What stays as it was


def test_the_data_set_s_own_pictures_are_seen_and_answered_as_arrays_are(real: Real) -> None:
    rows = [one_hot(3, 0.8)]
    response = Prediction(200, json.dumps({"predictions": rows}).encode())
    as_array, _ = inference.output_handler(response, Context())
    for image in real.images:
        for body in (file(image), file(np.stack([image] * 3, -1)), file(image.astype(np.uint16) * 257)):
            asked, context = sent(body)
            np.testing.assert_array_equal(asked, image[np.newaxis])
            assert inference.output_handler(response, context)[0] == as_array


def test_no_image_of_the_data_set_is_taken_for_another_picture_and_no_negated_one_for_its_own(
    real_raw_data: Path,
) -> None:
    for name in ("train", "t10k"):
        images = idx.read(real_raw_data / f"{name}-images-idx3-ubyte", 3)
        corners = np.median(images[:, [0, 0, -1, -1], [0, -1, 0, -1]], axis=1)
        assert corners.max() <= 127 < 255 - corners.max()
        assert images.reshape(len(images), -1).max(axis=1).min() >= 254  # why the greys are stretched


def test_as_is_a_picture_keeps_its_proportions_and_greys_and_is_padded_with_black() -> None:
    white = np.full((50, 100), 255, np.uint8)
    for file_format in ("PNG", "JPEG"):
        asked, _ = sent(file(white, file_format), "fashion-cnn-picture=as-is")
        assert len(asked) == 1
        assert asked[0, 7:21].min() >= 250
        assert asked[0, :7].max() == asked[0, 21:].max() == 0
    clear = Image.new("RGBA", (28, 28), (255, 255, 255, 0))
    clear.paste((255, 255, 255, 255), (0, 0, 28, 14))
    for picture in (clear, clear.convert("LA")):
        asked, _ = sent(file(picture), "fashion-cnn-picture=as-is")
        assert (asked[0, :14].min(), asked[0, 14:].max()) == (255, 0)


# What is made of other pictures


@pytest.mark.parametrize(
    ("disguise", "background", "least"),
    [
        ("the same as JPEG of quality 50", None, 0.9),
        ("on black, 280×280", "dark", 0.9),
        ("on black, with a margin of a fifth", "dark", 0.85),
        ("negated, 28×28", "light", 0.95),
        ("on white", "light", 0.9),
        ("on white, JPEG of quality 50", "light", 0.85),
        ("on white, with a margin of a fifth", "light", 0.85),
        ("on grey 200", "light", 0.85),
        ("on grey 128", "grey", 0.6),
        ("red on a green as bright", "coloured", 0.85),
        ("blue on black", "dark", 0.85),
        ("yellow on white", "light", 0.85),
        ("as a phone takes it", "light", 0.8),
    ],
)
def test_a_disguised_garment_is_recognised_as_it_is_without_disguise(
    real: Real, disguise: str, background: str | None, least: float
) -> None:
    images = real.images[:60]
    seen = [
        inference.see(DISGUISES[disguise](image, np.random.default_rng(number))) for number, image in enumerate(images)
    ]
    agree = real.label(np.stack([one.pixels for one in seen])) == real.label(images)
    assert agree.mean() >= least
    assert {one.picture["background"] for one in seen} == {background}
    assert {one.picture["negated"] for one in seen} == {background in ("light", "grey")}


def test_what_was_done_is_said_in_fields_and_in_a_line(real: Real) -> None:
    boot = real.images[0]
    picture = answer(png(margin(255 - boot, 255)))["picture"]
    left, top, right, bottom = picture["trimmed"]
    rows, columns = np.flatnonzero(boot.max(axis=1) > 25), np.flatnonzero(boot.max(axis=0) > 25)
    due = [10 * (6 + edge) for edge in (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)]
    np.testing.assert_allclose([left, top, right, bottom], due, atol=8)
    assert picture == {
        "size": [400, 400],
        "background": "light",
        "negated": True,
        "trimmed": [left, top, right, bottom],
        "mirrored": False,
        "done": f"light background, so negated; trimmed to {right - left} × {bottom - top} of 400 × 400 pixels",
        "warnings": [],
    }


def test_what_stands_out_by_its_colour_alone_is_seen_beside_what_stands_out_in_grey(real: Real) -> None:
    for image in real.images[:5]:
        red, white = (dyed(image, colour, (0, 102, 0)) for colour in ((200, 0, 0), (255, 255, 255)))
        striped = np.where((np.arange(28) % 9 < 6)[:, np.newaxis, np.newaxis], red, white).astype(np.uint8)
        seen, due = inference.see(png(striped)), inference.see(png(255 - image))
        assert seen.picture["done"].startswith("background as bright as the garment, so seen by its colour")
        assert np.mean((seen.pixels > 40) == (due.pixels > 40)) > 0.9


def test_a_picture_in_colour_is_not_of_the_data_set_s_own_form() -> None:
    blue = np.zeros((28, 28, 3), np.uint8)
    blue[8:20, 4:24, 2] = 255
    seen = inference.see(file(blue))
    assert not seen.own_form
    assert np.median(seen.pixels[8:20]) > 200


@pytest.mark.parametrize("bars", [(0, 150, 0, 150), (100, 0, 100, 0), (6, 6, 6, 6)])
def test_dark_bars_and_frames_around_a_light_picture_are_left_out(real: Real, bars: tuple[int, int, int, int]) -> None:
    top, left, bottom, right = bars
    for image in real.images[:5]:
        picture = np.asarray(Image.fromarray(margin(255 - image, 255)).resize((400, 400)))
        due, seen = (inference.see(file(one)) for one in (picture, np.pad(picture, ((top, bottom), (left, right)))))
        assert real.label(seen.pixels) == real.label(due.pixels)
        assert seen.picture["background"] == "light"
        np.testing.assert_allclose(
            np.subtract(seen.picture["trimmed"], (left, top) * 2), due.picture["trimmed"], atol=8
        )


def test_a_cut_out_is_the_same_whatever_colour_lies_under_what_is_transparent(real: Real) -> None:
    for image in real.images[:5]:
        garment = np.asarray(Image.fromarray(image).resize((140, 140)))
        on_white = inference.see(file(255 - garment)).pixels
        seen = []
        for under in ((255, 255, 255), (0, 0, 0), (128, 128, 128), (255, 0, 0)):
            cut_out = np.full((140, 140, 4), (*under, 0), np.uint8)
            cut_out[garment > 0] = np.stack([*[255 - garment] * 3, np.full_like(garment, 255)], -1)[garment > 0]
            seen.append(inference.see(file(cut_out)))
            assert seen[-1].picture["background"] == "transparent"
            np.testing.assert_array_equal(seen[-1].pixels, seen[0].pixels)
        assert real.label(seen[0].pixels) == real.label(on_white)


def test_a_white_cut_out_is_not_lost_on_white() -> None:
    picture = Image.new("RGBA", (100, 100), (0, 0, 0, 0))
    picture.paste((255, 255, 255, 255), (20, 30, 80, 70))
    seen = inference.see(file(picture))
    assert seen.picture["done"] == "white cut-out, put on black; trimmed to 60 × 40 of 100 × 100 pixels"
    assert np.median(seen.pixels[6:22]) == 255


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("side", [28, 300])
def test_a_picture_of_nothing_is_refused_and_gets_no_class(grey: int, side: int) -> None:
    assert "nothing but background" in refusal(file(np.full((side, side), grey, np.uint8)))
    noise = np.random.default_rng(0).normal(grey, 4, (side, side)).clip(0, 255).astype(np.uint8)
    assert "nothing but background" in refusal(file(noise, "JPEG", quality=50))
    assert sent(file(np.full((side, side), grey, np.uint8)), "fashion-cnn-picture=as-is")


def test_an_empty_cut_out_is_refused() -> None:
    assert "nothing but background" in refusal(file(Image.new("RGBA", (50, 50), (9, 200, 30, 0))))


def test_the_answer_warns_where_it_can_t_be_sure(real: Real) -> None:
    bag = real.images[0]
    assert "grey-background" in warnings(answer(png(on_grey(bag, 128)))["picture"])
    faint = np.asarray(255 - bag.astype(np.int16) // 6, np.uint8)
    assert "low-contrast" in warnings(answer(png(faint))["picture"])
    noise = np.random.default_rng(0).integers(0, 256, (100, 100), dtype=np.uint8)
    assert "busy-background" in warnings(answer(file(noise))["picture"])
    assert "fills-the-picture" in warnings(
        answer(png(np.where(np.indices((28, 28)).sum(axis=0) % 27, 40, 250).astype(np.uint8)))["picture"]
    )
    two = np.hstack([margin(255 - image, 255) for image in real.images[:2]])
    assert warnings(answer(png(two))["picture"]) == ["several-things"]
    dot = np.full((28, 28), 255, np.uint8)
    dot[12:16, 12:16] = 0
    assert warnings(answer(file(dot))["picture"]) == ["few-pixels"]
    assert "unsure-class" in warnings(answer(png(255 - bag), rows=[one_hot(8, 0.4)] * 2)["picture"])
    sure = answer(png(255 - bag), rows=[one_hot(8, 0.9)] * 2)
    assert sure["picture"]["warnings"] == []


def test_the_page_has_words_in_both_languages_for_all_that_an_answer_says_of_a_picture() -> None:
    words = Path(localsagemaker.__path__[0], "page", "words.js").read_text(encoding="utf-8")
    assert {words.count(f'"{code}": "') for code in inference.WARNINGS} == {2}
    for named in re.findall(r"backgrounds: {(.*)}", words):
        assert re.findall(r"(\w+): ", named) == ["light", "grey", "coloured", "transparent", "dark"]


# The direction


def test_both_directions_are_asked_and_the_answer_is_the_likelier_shoe_s(real: Real) -> None:
    body = png(255 - real.images[0])
    asked, _ = sent(body)
    np.testing.assert_array_equal(asked[1], asked[0, :, ::-1])
    left, right = one_hot(9, 0.97), one_hot(8, 0.95)
    given_left = answer(body, "fashion-cnn-pixels=yes", [left, right])
    given_right = answer(body, "fashion-cnn-pixels=yes", [right, left])
    for one, turned in ((given_left, False), (given_right, True)):
        assert (one["class"], one["label"]) == ("Ankle boot", 9)
        assert one["probabilities"] == dict(zip(CLASS_NAMES, left, strict=True))
        assert one["mirror"]["class"] == "Bag"
        assert one["picture"]["mirrored"] == turned
        assert one["picture"]["done"].endswith("; mirrored") == turned
        np.testing.assert_array_equal(one["picture"]["pixels"], asked[1 if turned else 0])


def test_most_shoes_that_point_right_are_recognised_and_hardly_one_without_its_mirror_image(real: Real) -> None:
    shoes = real.images[np.isin(real.label(real.images), inference.SHOES)]
    right = {"yes": 0, "no": 0}
    for shoe, label in zip(shoes, real.label(shoes), strict=True):
        body = png(255 - shoe[:, ::-1])
        for both in right:
            attributes = f"fashion-cnn-mirror={both}"
            rows = real.probabilities(sent(body, attributes)[0])
            right[both] += answer(body, attributes, rows)["label"] == label
    assert right["no"] < len(shoes) / 4 < 3 * len(shoes) / 4 < right["yes"]


def test_only_a_much_likelier_shoe_turns_the_answer_and_a_likelier_one_is_worth_a_warning(real: Real) -> None:
    body = png(255 - real.images[0])
    unsure = answer(body, rows=[one_hot(5, 0.65), one_hot(7, 0.9)])
    assert (unsure["class"], warnings(unsure["picture"])) == ("Sandal", ["unsure-direction"])
    no_shoe = answer(body, rows=[one_hot(0, 0.4), one_hot(8, 0.99)])
    assert no_shoe["class"] == "T-shirt/top"


# What a request may ask


def test_attributes_switch_each_part_on_or_off(real: Real) -> None:
    own, other = file(real.images[0]), png(255 - real.images[0])
    assert len(sent(other, "fashion-cnn-mirror=no")[0]) == 1
    assert "mirror" not in answer(other, "fashion-cnn-mirror=no")
    assert len(sent(other, "trace=1, fashion-cnn-mirror=yes,fashion-cnn-picture=as-is")[0]) == ASKED_TWICE
    assert len(sent(own, "fashion-cnn-mirror=yes")[0]) == ASKED_TWICE
    shown = answer(own, "tfs-model-version=1,fashion-cnn-pixels=yes")
    np.testing.assert_array_equal(shown["picture"]["pixels"], real.images[0])
    assert shown["picture"]["background"] is None
    assert "pixels" not in answer(other)["picture"]


@pytest.mark.parametrize("bad", ["fashion-cnn-picture=raw", "fashion-cnn-mirror", "fashion-cnn-colour=yes"])
def test_an_attribute_that_is_not_known_is_refused_with_the_known_ones(bad: str) -> None:
    message = refusal(file(np.eye(40, dtype=np.uint8) * 255), f"trace=1,{bad}")
    assert "fashion-cnn-picture=auto|as-is; fashion-cnn-mirror=auto|yes|no; fashion-cnn-pixels=no|yes" in message


def test_an_answer_to_an_array_says_nothing_of_the_picture_before_it(real: Real) -> None:
    sent(png(255 - real.images[0]))
    stream = io.BytesIO()
    np.save(stream, real.images[:2])
    _, context = sent(stream.getvalue(), content_type="application/x-npy")
    response = Prediction(200, json.dumps({"predictions": [one_hot(1, 0.9)] * 2}).encode())
    predictions = json.loads(inference.output_handler(response, context)[0])["predictions"]
    assert [set(one) for one in predictions] == [{"class", "label", "probabilities"}] * 2


# Formats


def bodies() -> dict[str, bytes]:
    """The same garment in every format."""
    scene = np.full((60, 60), 250, np.uint8)
    scene[10:50, 20:40] = np.linspace(20, 200, 40).astype(np.uint8)[:, np.newaxis]
    picture = Image.fromarray(np.stack([scene] * 3, -1))
    moving = {"save_all": True, "append_images": [Image.new("RGB", (60, 60), "blue")]}
    options: dict[str, dict[str, Any]] = {
        "GIF": moving,
        "TIFF": moving,
        "AVIF": moving,
        "WEBP": moving | {"lossless": True},
    }
    formats = [name for name in inference.FORMATS if name != "HEIF"]
    return {name: file(picture, name, **options.get(name, {})) for name in formats}


@pytest.mark.parametrize("content_type", [*inference.PICTURES, "image/png; charset=binary"])
def test_a_picture_of_every_format_is_read_under_every_name(content_type: str) -> None:
    due, _ = sent(bodies()["PNG"])
    for name, body in bodies().items():
        asked, _ = sent(body, content_type=content_type)
        assert np.abs(asked.astype(int) - due).mean() < 3, name
    heic, _ = sent(HEIC.read_bytes(), content_type=content_type)
    assert heic[0].max() == 255


WAYS_TO_KEEP: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG in CMYK": lambda grey: file(grey.convert("RGB").convert("CMYK"), "JPEG"),
    "TIFF in CMYK": lambda grey: file(grey.convert("RGB").convert("CMYK"), "TIFF"),
    "TIFF of one bit": lambda grey: file(grey.convert("1"), "TIFF", compression="group4"),
    "PNG of four colours": lambda grey: file(grey.quantize(4), bits=2),
    "PNG with a transparent grey": lambda grey: file(grey, transparency=255),
    "PNG with a transparent colour": lambda grey: file(grey.convert("RGB"), transparency=(255, 255, 255)),
    "PNG of colours, one transparent": lambda grey: file(grey.convert("P"), transparency=255),
    "GIF with a transparent colour": lambda grey: file(grey, "GIF", transparency=255),
}


@pytest.mark.parametrize("way", WAYS_TO_KEEP)
def test_a_garment_on_white_is_recognised_however_its_file_keeps_it(real: Real, way: str) -> None:
    for image in real.images[:5]:
        on_white = Image.fromarray(margin(255 - image, 255)).resize((200, 200))
        seen = inference.see(WAYS_TO_KEEP[way](on_white))
        assert real.label(seen.pixels) == real.label(image)
        assert seen.picture["background"] == ("transparent" if "transparent" in way else "light")


def test_heic_shows_the_boot_that_it_holds(real: Real) -> None:
    seen = inference.see(HEIC.read_bytes())
    assert real.label(seen.pixels) == real.label(real.images[0])
    assert seen.picture["size"] == [56, 56]


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_more_than_eight_bits_a_pixel_are_brought_to_eight(real: Real, bits: int) -> None:
    deep = (real.images[0].astype(np.uint16) << (bits - 8)) | (real.images[0] >> (16 - bits))
    np.testing.assert_array_equal(sent(file(deep))[0][0], real.images[0])
    np.testing.assert_array_equal(sent(file(deep.astype(np.int32), "TIFF"))[0][0], real.images[0])


def test_real_numbers_as_pixels_are_read(real: Real) -> None:
    for top in (1, 255, 65535):
        values = real.images[0].astype(np.float32) * np.float32(top / 255)
        values[14, 14] = np.nan
        asked = sent(file(values, "TIFF"))[0][0].astype(int)
        asked[14, 14] = real.images[0][14, 14]
        assert np.abs(asked - real.images[0]).max() <= 1


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_a_picture_is_turned_upright(file_format: str) -> None:
    upright = np.zeros((28, 28), np.uint8)
    upright[14:] = 255
    upright[27, [0, 27]] = 0
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: show it 90 degrees clockwise
    lying = Image.fromarray(np.rot90(upright).copy())
    seen = inference.see(file(lying, file_format, exif=exif), as_is=True).pixels
    assert np.abs(seen.astype(int) - upright).mean() <= 10


def test_a_large_jpeg_is_read_like_the_same_picture_as_png() -> None:
    gradient = np.linspace(0, 255, 1000 * 1500).reshape(1000, 1500).astype(np.uint8)
    jpeg, npg = (
        inference.see(body, as_is=True).pixels.astype(int)
        for body in (file(gradient, "JPEG", quality=95), file(gradient))
    )
    assert np.abs(jpeg - npg).max() <= 6


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded() -> None:
    small = file(Image.new("1", (8, 8)))
    header = b"IHDR" + (60_000).to_bytes(4, "big") + (60_000).to_bytes(4, "big") + small[24:29]
    bomb = small[:12] + header + zlib.crc32(header).to_bytes(4, "big") + small[33:]
    assert "allowed: 16777216 in all" in refusal(bomb)
    assert "5000 x 5000 pixels" in refusal(file(Image.new("1", (5000, 5000))))
    assert "28 times as long" in refusal(file(Image.new("L", (1, 29))))


@pytest.mark.parametrize("name", [*inference.FORMATS, "nothing"])
def test_what_is_no_whole_picture_is_refused_without_a_word_of_the_server_s_memory(name: str) -> None:
    whole = {**bodies(), "HEIF": HEIC.read_bytes(), "nothing": b"%PDF-1.7" + bytes(100)}[name]
    for body in (whole[: len(whole) // 3], whole[:20], b"x" + whole[1:]):
        message = refusal(body)
        assert re.match("the body is no picture that can be read; allowed: PNG, JPEG|the picture is damaged: ", message)
        assert "0x" not in message


# Laws


@st.composite
def garments(draw: st.DrawFn) -> Grey:
    """A garment of two greys, 112 to 224 pixels large, on black."""
    height, width = (draw(st.integers(14, 28)) * 8 for _ in range(2))
    body, sleeve = (draw(st.integers(60, 255)) for _ in range(2))
    scene = np.full((height, width), body, np.uint8)
    scene[: height // 2, : width // 3] = sleeve
    return np.pad(scene, 16)


LAWS = settings(max_examples=40, deadline=None, database=None, derandomize=True)


def differ(one: Grey, other: Grey) -> NDArray[np.int_]:
    return np.abs(one.astype(int) - other)


@LAWS
@given(garments())
def test_a_picture_and_its_negative_look_the_same(garment: Grey) -> None:
    assert differ(inference.see(file(garment)).pixels, inference.see(file(255 - garment)).pixels).mean() <= 1


@LAWS
@given(garments(), st.lists(st.integers(0, 60), min_size=4, max_size=4), st.booleans())
def test_margins_change_little(garment: Grey, sides: list[int], light: bool) -> None:
    picture = 255 - garment if light else garment
    top, bottom, left, right = sides
    wider = np.pad(picture, ((top, bottom), (left, right)), constant_values=255 if light else 0)
    # Edges may move by part of a pixel, and with them how far resizing overshoots.
    assert np.median(differ(inference.see(file(picture)).pixels, inference.see(file(wider)).pixels)) <= 10


CONVERSIONS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "RGB": lambda grey: grey.convert("RGB"),
    "RGBA": lambda grey: grey.convert("RGBA"),
    "LA": lambda grey: grey.convert("LA"),
    "P": lambda grey: grey.convert("P"),
    "16 bits": lambda grey: Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
}


@LAWS
@given(garments(), st.sampled_from(sorted(CONVERSIONS)), st.booleans())
def test_the_way_a_picture_s_pixels_are_kept_changes_nothing(garment: Grey, mode: str, light: bool) -> None:
    grey = Image.fromarray(255 - garment if light else garment)
    converted = file(CONVERSIONS[mode](grey))
    np.testing.assert_array_equal(inference.see(file(grey)).pixels, inference.see(converted).pixels)


@LAWS
@given(st.integers(0, 1000))
def test_every_photograph_fills_the_network_s_picture_from_black_to_white(real: Real, seed: int) -> None:
    random = np.random.default_rng(seed)
    seen = inference.see(photograph(real.images[seed % len(real.images)], random))
    assert (seen.pixels.min(), seen.pixels.max()) == (0, 255)
    left, top, right, bottom = seen.picture["trimmed"]
    assert 0 <= left < right <= seen.picture["size"][0]
    assert 0 <= top < bottom <= seen.picture["size"][1]
