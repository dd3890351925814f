"""Test images in disguise, as people's pictures are: how often is the endpoint right, and does it warn where it is not?

The handler's rule was chosen on validation images; here it meets the first test images. The network is the trained one
in models/, the handler the one that the archive packs.
"""

import argparse
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from benchmarks import data
from fashion_cnn.serving import inference
from fashion_cnn.serving.server import Context
from fashion_cnn.serving.tensorflow_serving import Prediction

ARM: Final = "cnn3"
IMAGES: Final = 500
BATCH: Final = 500
SCALE: Final = 10  # times as large as the data set's images
MARGIN: Final = 6  # of the data set's pixels on every side: a fifth of 28

Grey = NDArray[np.uint8]
Colour = tuple[int, int, int]


def png(image: Grey, scale: int = SCALE) -> bytes:
    """A picture file, its sides so many times as long."""
    return _file(Image.fromarray(image), scale, "PNG")


def jpeg(image: Grey, scale: int = SCALE, quality: int = 50) -> bytes:
    """The same as JPEG."""
    return _file(Image.fromarray(image), scale, "JPEG", quality=quality)


def _file(picture: Image.Image, scale: int, file_format: str, **options: int) -> bytes:
    stream = io.BytesIO()
    size = picture.width * scale, picture.height * scale
    picture.resize(size, Image.Resampling.BICUBIC).save(stream, file_format, **options)
    return stream.getvalue()


def margin(image: Grey, background: int) -> Grey:
    """The image with a margin on every side."""
    return np.asarray(ImageOps.expand(Image.fromarray(image), MARGIN, background))


def on_grey(image: Grey, background: int) -> Grey:
    """The garment as it was before the data set's authors negated it, on a grey background."""
    return np.where(image > 0, 255 - image, background).astype(np.uint8)


def dyed(image: Grey, garment: Colour, background: Colour) -> NDArray[np.uint8]:
    """The garment in a colour on a background of another: uint8 (28, 28, 3)."""
    covers = image[..., np.newaxis] / 255
    return (np.array(garment) * covers + np.array(background) * (1 - covers)).round().astype(np.uint8)


def photograph(image: Grey, random: np.random.Generator) -> bytes:
    """As a phone would take it: off the middle, in uneven light, with a shadow, noise, and JPEG's artefacts."""
    around = int(random.integers(3, 9))
    top, left = around + random.integers(-(around // 2), around // 2 + 1, 2)
    scene = np.zeros((28 + 2 * around, 28 + 2 * around), np.uint8)
    scene[top : top + 28, left : left + 28] = image
    large = Image.fromarray(scene).resize([SCALE * side for side in scene.shape], Image.Resampling.BICUBIC)
    garment = np.asarray(large, np.float64)
    down, across = np.mgrid[0 : garment.shape[0], 0 : garment.shape[1]] / len(garment) - 0.5
    towards = random.uniform(0, 2 * np.pi)
    light = random.uniform(205, 240) * (0.88 - 0.17 * (np.cos(towards) * across + np.sin(towards) * down))
    covers = garment > 20
    blurred = Image.fromarray(covers).convert("L").filter(ImageFilter.GaussianBlur(1.2 * SCALE))
    fallen = np.roll(np.asarray(blurred) / 255, (SCALE + SCALE // 2, SCALE), (0, 1))
    shadow = np.where(covers, 1, 1 - 0.2 * fallen)
    seen = light * shadow * (1 - garment / 255) + random.normal(0, 6, garment.shape)
    return jpeg(seen.clip(0, 255).astype(np.uint8), scale=1, quality=30)


DISGUISES: Final[dict[str, Callable[[Grey, np.random.Generator], bytes]]] = {
    "the data set's own 28×28, PNG": lambda image, _: png(image, scale=1),
    "the same as JPEG of quality 50": lambda image, _: jpeg(image, scale=1),
    "on black, 280×280": lambda image, _: png(image),
    "on black, with a margin of a fifth": lambda image, _: png(margin(image, 0)),
    "negated, 28×28": lambda image, _: png(255 - image, scale=1),
    "on white": lambda image, _: png(255 - image),
    "on white, JPEG of quality 50": lambda image, _: jpeg(255 - image),
    "on white, with a margin of a fifth": lambda image, _: png(margin(255 - image, 255)),
    "on grey 200": lambda image, _: png(on_grey(image, 200)),
    "on grey 128": lambda image, _: png(on_grey(image, 128)),
    "red on a green as bright": lambda image, _: jpeg(dyed(image, (200, 0, 0), (0, 102, 0))),
    "blue on black": lambda image, _: jpeg(dyed(image, (0, 0, 255), (0, 0, 0))),
    "yellow on white": lambda image, _: jpeg(dyed(image, (255, 255, 0), (255, 255, 255))),
    "as a phone takes it": photograph,
    "mirrored, on white": lambda image, _: png(255 - image[:, ::-1]),
    "mirrored, as a phone takes it": lambda image, random: photograph(image[:, ::-1], random),
}
# What a request asks for; in the column of the same name.
WAYS: Final = {"as_is": "fashion-cnn-picture=as-is", "one_direction": "fashion-cnn-mirror=no", "usual": None}


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Ask about every disguised image in every way."""
    every_image, every_label = (array[: 100 if options.quick else None] for array in data.load()[1])
    images, labels = (array[: 20 if options.quick else IMAGES] for array in (every_image, every_label))
    network = load(Path("models"))
    rows = {}
    for name, disguise in DISGUISES.items():
        print(f"photographs: {name}", flush=True)
        bodies = [disguise(image, np.random.default_rng([0, number])) for number, image in enumerate(images)]
        answers = {way: [ask(network, body, wanted) for body in bodies] for way, wanted in WAYS.items()}
        rows[name] = {way: summary(of_way, labels) for way, of_way in answers.items()}
    both = directions(network, every_image, every_label)
    return {"arm": ARM, "images": len(labels), "rows": rows, "all_images": len(every_label), "directions": both}


Network = Callable[[Grey], NDArray[np.float32]]


def load(models: Path) -> Network:
    """The trained network, as it answers a few images at a time: uint8 (n, 28, 28) to float32 (n, 10)."""
    from fashion_cnn.core.lean_keras import keras, tf  # noqa: PLC0415 (seconds)

    path = models / ARM / "model.keras"
    if not path.is_file():
        raise SystemExit(f"error: {path}: not found; `dvc pull {ARM}` or `dvc repro {ARM}` brings it")
    network = keras.models.load_model(path, compile=False)
    signature = [tf.TensorSpec((None, 28, 28), tf.uint8)]
    compute = tf.function(lambda pixels: network(pixels, training=False), input_signature=signature)
    return lambda pixels: compute(tf.constant(pixels)).numpy()


def ask(network: Network, body: bytes, attributes: str | None = None) -> dict[str, Any]:
    """What the endpoint's handler answers to a picture; without a class where it refuses it."""
    context = Context(request_content_type="application/x-image", custom_attributes=attributes)
    try:
        instances = json.loads(inference.input_handler(io.BytesIO(body), context))["instances"]
    except inference.BadRequestError:
        return {"label": None, "picture": {"warnings": []}}
    predictions = json.dumps({"predictions": network(np.array(instances, np.uint8)).tolist()}).encode()
    (answer,) = json.loads(inference.output_handler(Prediction(200, predictions), context)[0])["predictions"]
    return answer


def summary(answers: list[dict[str, Any]], labels: Grey) -> dict[str, Any]:
    """The share of right answers, and of wrong and of right ones that come with a warning."""
    right = np.array([answer["label"] for answer in answers]) == labels
    warned = np.array([bool(answer.get("picture", {}).get("warnings")) for answer in answers])
    return {
        "right": float(right.mean()),
        "wrong_warned": float(warned[~right].mean()) if not right.all() else None,
        "right_warned": float(warned[right].mean()) if right.any() else None,
    }


def directions(network: Network, images: Grey, labels: Grey) -> dict[str, dict[str, float]]:
    """Accuracies of the 28×28 images as they are and mirrored: asked in one direction, and with the mirror's rule."""
    batches = np.split(images, range(BATCH, len(images), BATCH))
    given = np.concatenate([network(batch) for batch in batches]).tolist()
    mirror = np.concatenate([network(batch[:, :, ::-1]) for batch in batches]).tolist()

    def right(first: list[list[float]], second: list[list[float]], *, both: bool) -> float:
        chosen = [q if both and inference.mirrored(p, q) else p for p, q in zip(first, second, strict=True)]
        return float(np.mean(np.argmax(chosen, axis=1) == labels))

    return {
        "as they are": {"one": right(given, mirror, both=False), "both": right(given, mirror, both=True)},
        "mirrored": {"one": right(mirror, given, both=False), "both": right(mirror, given, both=True)},
    }
