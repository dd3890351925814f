"""Pictures that a person names: files, folders and standard input, made smaller where a request can't hold them."""

import io
import sys
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from fashion_cnn.core.errors import UserError
from fashion_cnn.serving import bodies

STANDARD_INPUT: Final = "-"
# What is looked for in a folder; a file that is named goes to the endpoint whatever it is called.
SUFFIXES: Final = (
    ".avif", ".bmp", ".gif", ".heic", ".heif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"
)  # fmt: skip
# These have types that every deployment knows; of anything else the handler itself finds out what it is.
SIGNATURES: Final = {b"\x89PNG\r\n\x1a\n": "image/png", b"\xff\xd8\xff": "image/jpeg"}
ANY_PICTURE: Final = "application/x-image"
LONGER_SIDE: Final = 1024  # pixels of what was made smaller: as PNG at most 4 MB, and the network sees 28


class Picture(NamedTuple):
    """A request about a picture.

    Attributes:
        body: a picture file, which fits into a request.
        content_type: of the body.
        made_smaller: what was done to make it fit; empty where it is the file as it was.
    """

    body: bytes
    content_type: str
    made_smaller: str


def named(arguments: Iterable[str]) -> Iterator[str]:
    """The pictures that arguments name: those in a folder stand for it, sorted by name.

    A folder where none is found stands for itself, so that `read` refuses it alone.
    """
    for argument in arguments:
        folder = Path(argument)
        try:
            listed = folder.iterdir() if argument != STANDARD_INPUT and folder.is_dir() else ()
            found = sorted(path for path in listed if path.suffix.lower() in SUFFIXES)
        except OSError:  # as it is for `read`, which says so
            found = []
        yield from map(str, found) if found else [argument]


def read(name: str) -> Picture:
    """A picture that fits into a request.

    Args:
        name: of a file, or - for standard input.

    Raises:
        UserError: it can't be read, is empty or a folder, or is too large and nothing that could be made smaller.
    """
    try:
        body = sys.stdin.buffer.read() if name == STANDARD_INPUT else Path(name).read_bytes()
    except IsADirectoryError:
        raise UserError(f"holds no picture; looked for: *{', *'.join(SUFFIXES)}") from None
    except OSError as error:
        raise UserError(f"can't be read: {error.strerror}") from None
    if not body:
        raise UserError("is empty; allowed: a picture")
    smaller, done = _made_smaller(body)
    kind = next((kind for start, kind in SIGNATURES.items() if smaller.startswith(start)), ANY_PICTURE)
    return Picture(smaller, kind, done)


def _made_smaller(body: bytes) -> tuple[bytes, str]:
    from PIL import Image, ImageOps  # noqa: PLC0415 (after what can be refused without them)

    from fashion_cnn.serving import inference  # noqa: PLC0415

    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            file = Image.open(io.BytesIO(body))
            before = file.size
            if len(body) <= bodies.MAX_BYTES and before[0] * before[1] <= inference.MAX_PICTURE_PIXELS:
                return body, ""
            file.draft(None, (LONGER_SIDE, LONGER_SIDE))  # a JPEG is decoded at a fraction of its size
            picture: Image.Image = ImageOps.exif_transpose(file)
            if picture.mode not in ("L", "LA", "RGB", "RGBA", "I;16", "I;16B"):
                picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
            picture.thumbnail((LONGER_SIDE, LONGER_SIDE), reducing_gap=None)  # Pillow reduces none of 16 bits
            made = io.BytesIO()
            picture.save(made, "PNG")
    except Image.DecompressionBombError as error:
        pixels = str(error).partition(", could be")[0]  # Image size (… pixels) exceeds limit of … pixels
        raise UserError(f"can't be made smaller here to send it: {pixels}") from None
    except Exception:  # Pillow raises nearly anything on a damaged file, and does not know every format
        if len(body) <= bodies.MAX_BYTES:
            return body, ""  # the endpoint may know it, or says what ails it
        raise UserError(
            f"{len(body)} bytes, and it could not be made smaller here; allowed: up to {bodies.MAX_BYTES} bytes"
        ) from None
    return made.getvalue(), f"made smaller to send it, from {before[0]} × {before[1]} pixels"
