"""The request handler inside the model archive: pictures in, class probabilities out.

It stands alone: it runs where this package is not installed. AWS's TensorFlow Serving container calls
`input_handler`, posts what it returns to TensorFlow Serving's REST predict call, and hands a good response to
`output_handler`; a bad one goes to the client. A `falcon.HTTPError` sets the answer's status, and its description
is the answer's; any other exception is status 500 and `{"error": "<message>"}`.

A picture becomes what the data set's authors made of theirs: trimmed to the garment, in grey, negated where the
background is light, stretched to all greys, its longer side 28 pixels, the rest black. Arrays, and pictures that have
the data set's own form already, stay as they are.

Source: github.com/aws/deep-learning-containers, scripts/docker/tensorflow/inference/sagemaker/python_service.py, at
commit 86bef99963, where Falcon is 3.1.0 and NumPy 1.26.4; tensorflow.org/tfx/serving/api_rest; Xiao, Rasul and
Vollgraf 2017, arXiv:1708.07747, section 2.
"""

import io
import json
import re
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from itertools import chain
from typing import IO, Any, NamedTuple, NoReturn
from warnings import filterwarnings

import falcon
import numpy as np
import pi_heif
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageFilter, ImageOps, ImageStat

pi_heif.register_heif_opener()
filterwarnings("ignore", module="PIL")  # what is odd about a client's file would fill the server's log

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

# What Pillow and its plug-in may read, out of all that they can. Of a moving picture, the first frame.
FORMATS = ("PNG", "JPEG", "WEBP", "AVIF", "GIF", "BMP", "TIFF", "HEIF")
# Clients, and what saves files, often say the wrong one: the bytes tell which it is.
PICTURES = (*(f"image/{name.lower()}" for name in FORMATS), "image/heic", "application/x-image")

# What a request may ask for in SageMaker's custom attributes, by its name after this prefix; the first is the default.
PREFIX = "fashion-cnn-"
ATTRIBUTES = {"picture": ("auto", "as-is"), "mirror": ("auto", "yes", "no"), "pixels": ("no", "yes")}

# ANALYSED, GARMENT, SHARE, HIDDEN, PART and the margin were compared on validation images in disguise, the others set
# by judgement; benchmarks/photographs.py reports all of them on test images.
LUMA = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601, as Pillow's convert("L")
ANALYSED = 4 * SIZE  # pixels of the longer side, on which the background and the garment are looked for
GARMENT = 25  # of 255: how far a pixel of the garment is from the background, at least
LIGHT = 32  # a background above it is no black that somebody made, but a photograph's, and is negated
GREY = 176  # up to here a negated background is not white: the garment may be lighter or darker than it
LIGHTER = 0.05  # of the garment that is lighter than its background, where that is grey
HIDDEN = 0.2  # of the garment that only its colour tells from the background; above it, a pixel's colour counts
SHARE = 0.02  # of a row or a column that the garment fills, at least
UNEVEN = 45  # of 255: how far light may make one side of a background differ from its middle
ENOUGH = 0.3  # of the outermost pixels, for a plane through them
EVEN = 0.5  # of the outermost pixels that an even background has, at least; of others the answer warns
PART = 0.05  # of what is not background, at least, apart from the rest: another thing
INSET = 3  # pixels of the edge of a picture within dark bars, which blur into them
ALL_ROUND = 0.95  # of the outermost pixels that are even, where a picture is within dark bars
FAINT = 60  # of 255: a garment that differs no more from the background
OPAQUE = 128  # of 255: what is less is not seen
TRANSPARENT = 0.05  # of a picture; what has less, round corners perhaps, is no cut-out
# The data set's shoes all point left. The mirror image counts where it is a shoe so much more probably than the
# picture: the least margin, in steps of 0.05, with which neither network lost validation images.
SHOES = tuple(CLASS_NAMES.index(name) for name in ("Sandal", "Sneaker", "Ankle boot"))
MIRROR_MARGIN = 0.55
UNSURE = 0.6  # a probability of the answer's class below it is worth a warning


class BadRequestError(falcon.HTTPError):
    """A request that can't be answered: status 400, or 415 for a content type that is not known."""

    def __init__(self, message: str, status: int = 400) -> None:
        # What a library says of a damaged file may be long, with line breaks or half a Unicode character.
        line = " ".join(message.split()).encode("ascii", "backslashreplace").decode()[:300]
        super().__init__(falcon.code_to_http_status(status), description=line)

    def __str__(self) -> str:
        return str(self.description)


Box = tuple[int, int, int, int]  # left, top, right and bottom, in pixels


class Seen(NamedTuple):
    """A picture as the network sees it.

    Attributes:
        pixels: uint8 (28, 28), light on black.
        picture: what was done to it, for the answer's `picture`.
        own_form: whether it came in the data set's own form, and nothing was done.
    """

    pixels: NDArray[np.uint8]
    picture: dict[str, Any]
    own_form: bool


class Asked(NamedTuple):
    """What `output_handler` has to know of a request for a picture."""

    context: Any
    picture: dict[str, Any] | None  # None: answered as an array is
    pixels: NDArray[np.uint8] | None  # None: not asked for


# One request is handled in one thread or greenlet, from input_handler to output_handler; the container's context is a
# tuple that takes no notes.
ASKED: ContextVar[Asked | None] = ContextVar("ASKED", default=None)


def input_handler(data: IO[bytes], context: Any) -> str:
    """Turn a request into the body of TensorFlow Serving's predict call.

    Args:
        data: the request's body, a binary stream.
        context: the container's description of the request; `request_content_type` is read and, where there is
            one, `custom_attributes`.

    Returns:
        JSON text, `{"instances": [...]}`, integers from 0 to 255 of shape (n, 28, 28); of a picture itself and,
        where both directions are asked, its mirror image.

    Raises:
        BadRequestError: the content type is not known, or the body is not what it says.
    """
    content_type = context.request_content_type.partition(";")[0].strip().lower()
    if content_type not in (*DECODERS, *PICTURES):
        known = ", ".join((*DECODERS, *PICTURES))
        raise BadRequestError(f"content type {content_type[:80]!a} is not known; allowed: {known}", 415)
    body = data.read()
    if not body:
        raise BadRequestError("the body is empty")
    if content_type in PICTURES:
        images = _ask(body, context)
    else:
        ASKED.set(None)
        images = DECODERS[content_type](body)
    if not 1 <= len(images) <= MAX_IMAGES:
        raise BadRequestError(f"{len(images)} images; allowed: 1 to {MAX_IMAGES} a request")
    return json.dumps({"instances": images.tolist()}, separators=(",", ":"))


def output_handler(response: Any, context: Any) -> tuple[str, str]:
    """Turn TensorFlow Serving's response into the answer.

    Args:
        response: its `content` is `{"predictions": [[...], ...]}` of shape (n, 10).
        context: the container's description of the request; the answer is JSON whatever it accepts.

    Returns:
        The body and its content type. The body is `{"predictions": [{"class": "Ankle boot", "label": 9,
        "probabilities": {"T-shirt/top": 0.01, ...}}, ...]}`, one entry an image, in the order of the request. The
        entry of a picture that is not in the data set's own form, or came with attributes, also has `picture`, what
        was done to it and warnings, and `mirror`, the same three for the direction that was not chosen.
    """
    rows = json.loads(response.content)["predictions"]
    asked = ASKED.get()
    if asked is None or asked.context is not context or asked.picture is None:
        predictions = [_prediction(probabilities) for probabilities in rows]
    else:
        predictions = [_answer(rows, asked.picture, asked.pixels)]
    return json.dumps({"predictions": predictions}, allow_nan=False), "application/json"


def _prediction(probabilities: list[float]) -> dict[str, Any]:
    label = max(range(len(CLASS_NAMES)), key=probabilities.__getitem__)
    named = dict(zip(CLASS_NAMES, probabilities, strict=True))
    return {"class": CLASS_NAMES[label], "label": label, "probabilities": named}


def _answer(rows: list[list[float]], picture: dict[str, Any], pixels: NDArray[np.uint8] | None) -> dict[str, Any]:
    """The answer to one picture: of the likelier direction, where the network was asked about both."""
    both = len(rows) == 2
    turn = both and mirrored(*rows)
    chosen, other = (rows[1], rows[0]) if turn else (rows[0], rows[-1])
    answer = _prediction(chosen) | ({"mirror": _prediction(other)} if both else {})
    warnings = list(picture["warnings"])
    best = max(range(len(CLASS_NAMES)), key=chosen.__getitem__)
    if both and not turn and best in SHOES and max(other[shoe] for shoe in SHOES) > chosen[best]:
        warnings.append(_warning("unsure-direction"))
    if chosen[best] < UNSURE:
        warnings.append(_warning("unsure-class"))
    done = [picture["done"]] if picture["done"] else []
    answer["picture"] = picture | {
        "mirrored": turn,
        "done": "; ".join([*done, *(["mirrored"] if turn else [])]),
        "warnings": warnings,
    }
    if pixels is not None:
        answer["picture"]["pixels"] = (pixels[:, ::-1] if turn else pixels).tolist()
    return answer


def mirrored(given: list[float], mirror: list[float]) -> bool:
    """Whether the mirror image's probabilities, and not those of the picture as given, are the answer.

    Only shoes have a direction in the data set. Measured on 12,000 validation images and their mirror images, and
    reported on the test images, in docs/deployment.md.
    """
    best = max(range(len(CLASS_NAMES)), key=mirror.__getitem__)
    return best in SHOES and mirror[best] > max(given[shoe] for shoe in SHOES) + MIRROR_MARGIN


def _ask(body: bytes, context: Any) -> NDArray[np.uint8]:
    """Read a picture as the request's attributes want it, and note what the answer must tell of it."""
    found = _attributes(getattr(context, "custom_attributes", None) or "")
    asked = {name: found.get(name, allowed[0]) for name, allowed in ATTRIBUTES.items()}
    as_is = asked["picture"] == "as-is"
    seen = see(body, as_is=as_is)
    silent = seen.own_form and not found
    wanted = seen.pixels if asked["pixels"] == "yes" else None
    ASKED.set(Asked(context, None if silent else seen.picture, wanted))
    both = asked["mirror"] == "yes" or (asked["mirror"] == "auto" and not as_is and not seen.own_form)
    return np.stack([seen.pixels, seen.pixels[:, ::-1]] if both else [seen.pixels])


def _attributes(text: str) -> dict[str, str]:
    """This handler's custom attributes; those of others, which share the header, are none of its business."""
    found = dict(re.findall(rf"(?:^|,)\s*{PREFIX}([^=,]*)=?([^,]*)", text))
    for name, value in found.items():
        if value.strip() not in ATTRIBUTES.get(name, ()):
            known = "; ".join(f"{PREFIX}{one}={'|'.join(values)}" for one, values in ATTRIBUTES.items())
            raise BadRequestError(f"custom attribute {PREFIX}{name[:40]}={value[:40]} is not known; allowed: {known}")
    return {name: value.strip() for name, value in found.items()}


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


def see(body: bytes, *, as_is: bool = False) -> Seen:
    """Read a picture and make of it what the network knows.

    Args:
        body: a file of one of `FORMATS`.
        as_is: only upright, in grey, on black and padded with black to a square.

    Raises:
        BadRequestError: it can't be read, is too large, or shows nothing but background.
    """
    upright, alpha = _read(body)
    said: dict[str, Any] = {"size": [*upright.size], "background": None, "negated": False, "trimmed": None}
    grey = upright.convert("L")
    own_form = upright.size == (SIZE, SIZE) and alpha is None and _is_grey(upright) and _dark_corners(np.asarray(grey))
    if as_is or own_form:
        if alpha is not None:  # on black, a pixel is as bright as it is opaque
            grey = ImageChops.multiply(grey, alpha)
        pixels = np.asarray(ImageOps.pad(grey, (SIZE, SIZE), color=0))
        if not as_is and np.ptp(pixels) < GARMENT:
            raise _nothing_there()
        codes = list[str]()
    else:
        pixels, treated, codes = _treat(upright, alpha)
        said |= treated
    said |= {"mirrored": False, "done": _done(said), "warnings": [_warning(code) for code in codes]}
    return Seen(pixels, said, own_form)


def _read(body: bytes) -> tuple[Image.Image, Image.Image | None]:
    """A picture upright, in grey or in colour, 8 bits a channel; and its alpha channel, where it is not all opaque."""
    try:
        file = Image.open(io.BytesIO(body), formats=FORMATS)
        _check_size(file.width, file.height)
        # A JPEG can be decoded at a fraction of its size, which saves most of the time.
        file.draft("RGB", (8 * SIZE, 8 * SIZE))
        ImageOps.exif_transpose(file, in_place=True)
        if file.mode.startswith(("I", "F")):  # more than 8 bits a pixel, which Pillow would clip at 255
            return Image.fromarray(_eight_bits(np.asarray(file))), None
        if file.has_transparency_data:
            with_alpha = file.convert("RGBA")
            alpha = with_alpha.getchannel("A")
            return with_alpha.convert("RGB"), alpha if alpha.getextrema() != (255, 255) else None
        return (file if file.mode == "L" else file.convert("RGB")), None
    except BadRequestError:
        raise
    except Image.DecompressionBombError:
        raise _too_large("far too many pixels") from None
    except Image.UnidentifiedImageError:  # its message names an object in this server's memory
        raise BadRequestError(f"the body is no picture that can be read; allowed: {', '.join(FORMATS)}") from None
    except Exception as error:  # Pillow raises nearly anything on a damaged file
        said = re.sub(r"<[^>]* at 0x[0-9a-f]+>", "file", str(error))
        raise BadRequestError(f"the picture is damaged: {said}") from None


def _eight_bits(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Greys of 8, 12, 16 or more bits, the fewest that hold the brightest, as 8 bits; real numbers up to 1, too.

    A file of 16 bits a pixel does not say that its values have only 8 or 12, as programs and cameras write them.
    """
    if values.dtype.kind == "f":
        values = np.nan_to_num(values, posinf=0)
        values = (values * (255 if values.max() <= 1 else 1)).clip(0, 2**16 - 1).astype(np.uint16)
    needed = int(values.max()).bit_length()
    bits = next((usual for usual in (8, 12, 16) if needed <= usual), needed)
    return (values >> (bits - 8)).clip(0, 255).astype(np.uint8)


def _check_size(width: int, height: int) -> None:
    longer, shorter = max(width, height), min(width, height)
    if longer * shorter > MAX_PICTURE_PIXELS or longer > SIZE * shorter:
        raise _too_large(f"{width} x {height} pixels")


def _too_large(size: str) -> BadRequestError:
    return BadRequestError(
        f"the picture has {size}; allowed: {MAX_PICTURE_PIXELS} in all, "
        f"one side up to {SIZE} times as long as the other"
    )


def _is_grey(upright: Image.Image) -> bool:
    return upright.mode == "L" or bool(np.ptp(np.asarray(upright), axis=2).max() < GARMENT)


def _dark_corners(grey: NDArray[np.uint8]) -> bool:
    """True of every image of the data set (the greatest of 70,000 medians is 51), false of every negated one."""
    return bool(np.median(grey[[0, 0, -1, -1], [0, -1, 0, -1]]) <= 127)


def _nothing_there() -> BadRequestError:
    return BadRequestError(
        f"the picture shows nothing but background: nothing in it differs from its border by {GARMENT} of 255; "
        f"send a picture with a garment, or the attribute {PREFIX}picture=as-is"
    )


def _treat(upright: Image.Image, alpha: Image.Image | None) -> tuple[NDArray[np.uint8], dict[str, Any], list[str]]:
    """Find the garment; bring it to black ground, all greys and 28×28.

    The authors trimmed what is close to the corners' colour, resized the longer side to 28, put it in the middle and
    negated: their photographs have a light background. Each of the 70,000 images reaches 254 or 255, so the greys are
    stretched until one does. They also sharpened; no photographs were at hand that tell whether that would help.

    Returns:
        The pixels, uint8 (28, 28); background, negated and trimmed, for the answer; codes of warnings.

    Raises:
        BadRequestError: there is no garment.
    """
    found = _find(upright, alpha)
    across, down = upright.width / found.scene.shape[1], upright.height / found.scene.shape[0]
    left, right = round(found.box[0] * across), round(found.box[2] * across)
    top, bottom = round(found.box[1] * down), round(found.box[3] * down)
    edge = round(INSET * max(across, down))
    if alpha is None and _is_picture(found):
        with suppress(BadRequestError):  # there is nothing in it: then it is the garment
            return _treat_inside(upright, (left + edge, top + edge, right - edge, bottom - edge))

    longer = max(right - left, bottom - top)
    width, height = max(1, round(SIZE * (right - left) / longer)), max(1, round(SIZE * (bottom - top) / longer))
    level = float(np.median(found.ground @ LUMA))
    by_colour = _hidden(found) > HIDDEN
    light = (_by_colour if by_colour else _by_luma)(found, (left, top, right, bottom), (width, height))
    contrast = float(light.max())
    if contrast < 1:
        raise _nothing_there()
    pixels = np.zeros((SIZE, SIZE), np.uint8)
    at_left, at_top = (SIZE - width + 1) // 2, (SIZE - height + 1) // 2  # the authors' middle: left and top get more
    pixels[at_top : at_top + height, at_left : at_left + width] = (light * (255 / contrast)).clip(0, 255).round()

    between = "coloured" if np.ptp(found.ground[len(found.ground) // 2].mean(axis=0)) > GARMENT else "grey"
    brightness = "dark" if level <= LIGHT else "light" if level >= GREY else between
    background = "transparent" if found.cut_out else brightness
    trimmed = [left, top, right, bottom]
    whole = trimmed == [0, 0, *upright.size]
    warnings = {
        "grey-background": background == between and not by_colour,
        "busy-background": found.even < EVEN or 4 * found.noise > 2 * GARMENT,
        "low-contrast": contrast < FAINT,
        "fills-the-picture": whole and min(upright.size) > SIZE,
        "several-things": _in_parts(found.garment),
        "few-pixels": longer < SIZE // 2,
    }
    treated = {
        "background": background,
        "negated": level > LIGHT and not (by_colour and background == between),
        "trimmed": None if whole else trimmed,
    }
    return pixels, treated, [code for code, is_so in warnings.items() if is_so]


class Found(NamedTuple):
    """A garment and its background, on a picture made smaller.

    Attributes:
        colour: the picture in its own size, with nothing transparent.
        scene: the same, float32 (height, width, 3), its longer side `ANALYSED` at most.
        ground: its background alone, of the same shape.
        noise: how far, in the median, outermost pixels of the background are from it.
        even: the share of outermost pixels that are the background's.
        garment: bool (height, width), whether a pixel differs from the background.
        box: left, top, right and bottom of the garment.
        cut_out: whether the background was transparent.
    """

    colour: Image.Image
    scene: NDArray[np.float32]
    ground: NDArray[np.float32]
    noise: float
    even: float
    garment: NDArray[np.bool_]
    box: Box
    cut_out: bool


def _find(upright: Image.Image, alpha: Image.Image | None) -> Found:
    colour, paper = (upright.convert("RGB"), None) if alpha is None else _on_paper(upright, alpha)
    small = colour.copy()
    small.thumbnail((ANALYSED, ANALYSED))
    scene = np.asarray(small, np.float32)
    if alpha is not None and paper is not None:
        ground, noise, even = np.full_like(scene, paper), 0.0, 1.0
        garment = np.asarray(alpha.resize(small.size)) >= OPAQUE
    else:
        ground, noise, even = _background(scene)
        distance = Image.fromarray(_distance(scene, ground).clip(0, 255).astype(np.uint8))
        if min(small.size) > SIZE:  # single pixels are noise
            distance = distance.filter(ImageFilter.BoxBlur(1))
        garment = np.asarray(distance) > np.clip(4 * noise, GARMENT, 2 * GARMENT)
    box = _span(garment)
    if box is None:
        raise _nothing_there()
    return Found(colour, scene, ground, noise, even, garment, box, cut_out=paper is not None)


def _treat_inside(upright: Image.Image, edges: Box) -> tuple[NDArray[np.uint8], dict[str, Any], list[str]]:
    """The same as `_treat`, of a part of the picture."""
    pixels, treated, codes = _treat(upright.crop(edges), None)
    left, top, right, bottom = edges
    inner = treated["trimmed"] or (0, 0, right - left, bottom - top)
    treated["trimmed"] = [inner[0] + left, inner[1] + top, inner[2] + left, inner[3] + top]
    return pixels, treated, codes


def _by_luma(found: Found, edges: Box, size: tuple[int, int]) -> NDArray[np.floating[Any]]:
    """How light the garment is on black ground; darker than 0 is black. Edges are the picture's, the size is (w, h)."""
    scene, ground, garment = found.scene, found.ground, found.garment
    shade = ground @ LUMA
    level = float(np.median(shade))
    values, under = _fitted(found.colour.convert("L"), edges, size), _fitted(Image.fromarray(shade), found.box, size)
    if level <= LIGHT:
        return values - under
    evened = (scene @ LUMA * (level / np.maximum(shade, 1)))[garment]  # as if the light were the same everywhere
    is_grey = np.mean(evened > level + GARMENT) > LIGHTER
    white = max(level, float(np.percentile(evened, 98))) if is_grey else level
    light: NDArray[np.floating[Any]] = white - values * (level / np.maximum(under, 1))
    if is_grey:  # what is as grey as the background, but inside the garment's outline, is the garment's
        light *= _fitted(Image.fromarray(_filled(garment)).convert("L"), found.box, size).clip(0, 255) / 255
    return light


def _by_colour(found: Found, edges: Box, size: tuple[int, int]) -> NDArray[np.floating[Any]]:
    """The same, where a pixel is as light as its colour is far from the background's.

    Source: Achanta, Hemami, Estrada and Süsstrunk 2009, "Frequency-tuned salient region detection", CVPR: a pixel's
    salience is the distance of its colour from the picture's mean colour.
    """
    ground = Image.fromarray(found.ground.clip(0, 255).round().astype(np.uint8))
    return _distance(_fitted(found.colour, edges, size), _fitted(ground, found.box, size))


def _fitted(image: Image.Image, edges: Box, size: tuple[int, int]) -> NDArray[np.float32]:
    """What is between the edges, at the network's size; there, noise is averaged out."""
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC, edges), np.float32)


def _distance(scene: NDArray[np.float32], ground: NDArray[np.float32]) -> NDArray[np.float32]:
    """How far colours are from the background's, of 255; of greys, how much lighter or darker they are."""
    return np.abs(scene - ground).max(axis=2)


def _hidden(found: Found) -> float:
    """The share of the garment that only its colour tells from the background, for it is about as bright.

    Source: Gooch, Olsen, Tumblin and Gooch 2005, "Color2Gray: salience-preserving color removal", ACM Transactions on
    Graphics 24 (3), on what a picture in grey loses.
    """
    apart = (found.scene - found.ground)[found.garment]
    by_luma, by_colour = np.abs(apart @ LUMA), np.abs(apart).max(axis=1)
    return float(np.mean((by_luma < GARMENT) & (by_colour > by_luma + GARMENT)))


def _is_picture(found: Found) -> bool:
    """Whether what is apart from a dark background is itself a picture with a light one: screens put bars around it."""
    left, top, right, bottom = found.box
    inside = found.scene[top + INSET : bottom - INSET, left + INSET : right - INSET]
    if min(inside.shape[:2]) < SIZE or np.median(found.ground @ LUMA) > LIGHT:
        return False
    ground, _, even = _background(inside)
    return even > ALL_ROUND and bool(np.median(ground @ LUMA) >= GREY)


def _on_paper(upright: Image.Image, alpha: Image.Image) -> tuple[Image.Image, int | None]:
    """A picture on white, as a shop shows a cut-out, or on black where it is white itself.

    Whatever colour lies under what is transparent, nobody sees it.

    Returns:
        The picture, and the paper's grey; None where the picture is no cut-out, but has a background of its own.
    """
    is_white = alpha.getbbox() is not None and ImageStat.Stat(upright.convert("L"), alpha).mean[0] > 255 - GARMENT
    paper = 0 if is_white else 255
    colour = Image.composite(upright.convert("RGB"), Image.new("RGB", upright.size, (paper,) * 3), alpha)
    return colour, paper if np.mean(np.asarray(alpha) < OPAQUE) > TRANSPARENT else None


def _background(scene: NDArray[np.float32]) -> tuple[NDArray[np.float32], float, float]:
    """The colour of the background everywhere: a plane through the outermost pixels, for light falls unevenly.

    Pixels of a garment that reaches the edge are left out step by step, as in trimmed least squares.

    Returns:
        float32 (height, width, 3); how far, in the median, the outermost pixels are from it that belong to it; and
        the share of those.
    """
    height, width, _ = scene.shape
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    outermost = np.ones((height, width), bool)
    outermost[1:-1, 1:-1] = False
    at = np.stack([np.ones_like(rows), rows / height - 0.5, columns / width - 0.5], axis=-1)
    points, seen = at[outermost], scene[outermost]
    plane = np.zeros((3, 3), np.float32)
    plane[0] = np.median(seen, axis=0)
    tolerance: float = UNEVEN
    for _ in range(4):
        distance = np.abs(seen - points @ plane).max(axis=1)
        near = distance < tolerance
        if near.mean() < ENOUGH:
            break
        tolerance = max(GARMENT / 2, 3 * float(np.median(distance[near])))
        plane = np.linalg.lstsq(points[near], seen[near], rcond=None)[0]
    return at @ plane, float(np.median(distance[near])) if near.any() else 0.0, float(near.mean())


def _span(garment: NDArray[np.bool_]) -> Box | None:
    """Left, top, right and bottom of the rows and columns that hold enough of it."""
    rows, columns = (np.flatnonzero(garment.mean(axis=axis) > SHARE) for axis in (1, 0))
    if not len(rows) or not len(columns):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def _in_parts(garment: NDArray[np.bool_]) -> bool:
    """Whether rows or columns without a pixel of it part it in two, neither of them a trifle."""
    for axis in (0, 1):
        covered = garment.sum(axis=axis)
        so_far = np.cumsum(covered)[covered == 0] / max(1, covered.sum())
        if np.any((so_far > PART) & (so_far < 1 - PART)):
            return True
    return False


def _filled(garment: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The garment and what lies inside it: between two of its pixels in its row and in its column."""
    either = np.logical_or.accumulate
    in_row = either(garment, axis=1) & either(garment[:, ::-1], axis=1)[:, ::-1]
    in_column = either(garment, axis=0) & either(garment[::-1], axis=0)[::-1]
    return in_row & in_column


def _done(said: dict[str, Any]) -> str:
    """What was done to a picture, in one line for people."""
    parts = []
    if said["background"] == "transparent":
        parts.append("cut-out, put on white and negated" if said["negated"] else "white cut-out, put on black")
    elif said["background"] in ("grey", "coloured") and not said["negated"]:
        parts.append("background as bright as the garment, so seen by its colour")
    elif said["negated"]:
        parts.append(f"{said['background']} background, so negated")
    if said["trimmed"]:
        left, top, right, bottom = said["trimmed"]
        width, height = said["size"]
        parts.append(f"trimmed to {right - left} × {bottom - top} of {width} × {height} pixels")
    return "; ".join(parts)


WARNINGS = {
    "grey-background": "the background is neither dark nor light: what of the garment is as bright may be missing",
    "busy-background": "the background is not even: parts of it may be taken for the garment",
    "low-contrast": "the garment hardly differs from the background",
    "fills-the-picture": "the garment fills the picture, or no background was found around it",
    "several-things": "the picture shows more than one thing: cut it to one garment",
    "few-pixels": f"the garment has fewer than {SIZE // 2} pixels in height and in width",
    "unsure-direction": "a shoe; the network is unsure which way it points, and so of its kind",
    "unsure-class": f"the network is unsure: the class's probability is below {UNSURE:.0%}",
}


def _warning(code: str) -> dict[str, str]:
    return {"code": code, "message": WARNINGS[code]}


DECODERS: dict[str, Callable[[bytes], NDArray[np.uint8]]] = {
    "application/json": _decode_json,
    "application/x-npy": _decode_npy,
}
