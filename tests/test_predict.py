"""Pictures on their way to the endpoint, and what is shown of its answers. test_sagemaker_deploy.py asks a real one."""

import io
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from botocore.exceptions import ClientError
from PIL import Image
from rich.console import Console

from fashion_cnn.cloud import __main__ as command
from fashion_cnn.cloud import answering, asking, pictures
from fashion_cnn.cloud.answering import Network
from fashion_cnn.cloud.asking import Answer
from fashion_cnn.cloud.params import Deploy
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.serving import bodies, inference
from support.repository import REPOSITORY

PREDICTION = {
    "class": "Ankle boot",
    "probabilities": {**dict.fromkeys(CLASS_NAMES, 0.0), "Coat": 0.25, "Ankle boot": 0.75},
}
TREATED = PREDICTION | {
    "picture": {
        "done": "light background, so negated",
        "warnings": [{"code": "unsure-class", "message": "no class is likely"}],
    }
}


def noise(width: int, height: int, mode: str = "RGB") -> Image.Image:
    """A picture that no format makes small."""
    shape = (height, width, len(mode))
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, shape, np.uint8), mode)


def file(path: Path, picture: Image.Image, **options: Any) -> str:
    picture.save(path, **options)
    return str(path)


# Which pictures


def test_a_folder_stands_for_its_pictures_by_name(tmp_path: Path) -> None:
    for name in ("b.PNG", "a.jpeg", "notes.txt", "c.heic"):
        (tmp_path / name).touch()
    too_long = 300 * "a"
    found = list(pictures.named(["first.png", str(tmp_path), "-", too_long]))
    assert found == ["first.png", *(str(tmp_path / name) for name in ("a.jpeg", "b.PNG", "c.heic")), "-", too_long]


def test_a_folder_without_a_picture_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    (name,) = pictures.named([str(tmp_path)])
    with pytest.raises(UserError, match=r"holds no picture; looked for: \*\.avif"):
        pictures.read(name)


def test_a_folder_without_a_picture_and_a_strange_name_leave_the_others_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "connect", lambda _: mock.Mock(endpoint="fashion-cnn"))
    monkeypatch.setattr(answering, "network", lambda _: Network("fashion-cnn-0", 3, 0.5))
    monkeypatch.setattr(answering, "doubt", lambda *_: None)
    monkeypatch.setattr(asking, "invoke", lambda *_: json.dumps({"predictions": [PREDICTION]}).encode())
    empty = tmp_path / "empty"
    empty.mkdir()
    raw = file(tmp_path / "two\nlines.png", noise(28, 28))

    def run(*arguments: str) -> tuple[str, str]:
        options = command._parser().parse_args(["predict", *arguments, str(empty), raw, f"{tmp_path}/no\x1b.png"])
        assert command.predict(options, Deploy(), Console()) == 1
        captured = capsys.readouterr()
        return captured.out, captured.err

    out, said = run()
    assert out.splitlines()[0] == f"{tmp_path}/two\\nlines.png: Ankle boot, 75.0%"
    refused, missing = said.splitlines()
    assert refused.startswith(f"error: {empty}: holds no picture; looked for: ")
    assert missing == f"error: {tmp_path}/no\\x1b.png: can't be read: No such file or directory"
    document, again = run("--json")
    assert again == said
    answers = json.loads(document)["pictures"]
    assert [(one["image"], one["prediction"].get("class")) for one in answers] == [
        (str(empty), None), (raw, "Ankle boot"), (f"{tmp_path}/no\x1b.png", None),
    ]  # fmt: skip


def test_advice_to_the_sender_of_a_request_is_an_option_of_the_command_line(tmp_path: Path) -> None:
    description = str(inference._nothing_there())
    assert asking.AS_IS in description
    refusal = {
        "Error": {"Code": "ModelError", "Message": "refused"}, "OriginalStatusCode": 400,
        "OriginalMessage": json.dumps({"title": "Bad Request", "description": description}),
    }  # fmt: skip
    target = mock.Mock()
    target.session.client.return_value.invoke_endpoint.side_effect = ClientError(refusal, "InvokeEndpoint")
    answer = asking.ask(file(tmp_path / "empty.png", Image.new("L", (28, 28))), target, "")
    assert answer.error.endswith("; send a picture with a garment, or --as-is")


def test_a_picture_of_too_many_pixels_to_open_is_refused_with_both_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = file(tmp_path / "large.png", Image.new("1", (300, 100)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # Pillow refuses twice as many
    with pytest.raises(UserError, match=r"made smaller here .* \(30000 pixels\) exceeds limit of 20000 pixels$"):
        pictures.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read: No such file"),
        (b"", "is empty"),
        (bytes(bodies.MAX_BYTES + 1), f"{bodies.MAX_BYTES + 1} bytes, and it could not be made smaller here"),
    ],
)
def test_what_can_not_be_sent_is_one_line(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "picture"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        pictures.read(str(path))


def test_a_picture_that_fits_is_sent_as_it_is_whatever_its_name(tmp_path: Path) -> None:
    jpeg = Path(file(tmp_path / "a.png", noise(30, 20), format="JPEG"))
    assert pictures.read(str(jpeg)) == (jpeg.read_bytes(), "image/jpeg", "")
    unknown = tmp_path / "b.png"
    unknown.write_bytes(b"of a format that Pillow does not know")
    assert pictures.read(str(unknown)) == (unknown.read_bytes(), "application/x-image", "")


def test_a_picture_comes_from_standard_input(tmp_path: Path) -> None:
    path = file(tmp_path / "a.png", noise(30, 20))
    with Path(path).open("rb") as stream, mock.patch.object(sys, "stdin", io.TextIOWrapper(stream)):
        assert pictures.read("-").body == Path(path).read_bytes()


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "L", "I;16"])
def test_a_picture_of_too_many_pixels_is_made_smaller_and_keeps_what_it_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str
) -> None:
    monkeypatch.setattr(inference, "MAX_PICTURE_PIXELS", 1500 * 1000)  # 16 million take seconds
    half = Image.new("L", (2000, 1600))
    half.paste(255, (1000, 0, 2000, 1600))
    if mode == "I;16":
        half = Image.fromarray(np.asarray(half).astype(np.uint16) << 8)
    path = file(tmp_path / "large.tiff", half if mode == "I;16" else half.convert(mode))
    body, content_type, done = pictures.read(path)
    assert (content_type, done) == ("image/png", "made smaller to send it, from 2000 × 1600 pixels")
    sent = Image.open(io.BytesIO(body))
    assert sent.size == (1024, 819)
    grey = np.asarray(sent) >> 8 if mode == "I;16" else np.asarray(sent.convert("L"))
    assert grey[:, :500].max() < 10
    assert grey[:, 524:].min() > 240


def test_a_file_of_too_many_bytes_is_made_smaller_and_stays_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned
    path = file(tmp_path / "photograph.jpg", noise(2600, 1800), quality=100, exif=exif)
    assert Path(path).stat().st_size > bodies.MAX_BYTES
    body, content_type, done = pictures.read(path)
    assert (content_type, done) == ("image/png", "made smaller to send it, from 2600 × 1800 pixels")
    assert len(body) < bodies.MAX_BYTES
    assert Image.open(io.BytesIO(body)).size == (709, 1024)


def test_make_hands_a_name_on_as_it_was_typed(tmp_path: Path) -> None:
    python = tmp_path / "bin/python"
    python.parent.mkdir()
    python.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n', encoding="utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    command = [shutil.which("make") or "make", "--silent", "--old-file=env", f"VENV={tmp_path}", "predict"]
    for name in ("a shoe.png", 'a "red" $HOME/$(shell id) shoe.png', "it's `id`.png", "-"):
        done = subprocess.run(
            [*command, f"IMAGE={name}"], cwd=REPOSITORY, capture_output=True, text=True, encoding="utf-8", check=True
        )
        assert done.stdout.splitlines() == ["-m", "fashion_cnn.cloud", "predict", "--", name]
    without = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, encoding="utf-8", check=False)
    assert without.returncode == 2
    assert "name a picture: make predict IMAGE=picture.png" in without.stderr


# What is shown


def test_a_line_holds_the_class_and_what_was_done() -> None:
    assert asking.line(Answer("a.png", PREDICTION)) == "a.png: Ankle boot, 75.0%"
    assert asking.line(Answer("a.png", TREATED, made_smaller="made smaller")) == (
        "a.png: Ankle boot, 75.0%; made smaller; light background, so negated; warning: no class is likely"
    )


def test_the_probabilities_are_readable_without_colour() -> None:
    printed = io.StringIO()
    asking.show(Answer("a.png", TREATED), Console(file=printed, no_color=True, width=80))
    first, _, *rows = printed.getvalue().splitlines()
    assert first == "Ankle boot"
    assert [row.split()[-3:-1] for row in rows[:2]] == [["boot", "75.00%"], ["Coat", "25.00%"]]
    assert [row.count("━") for row in rows[:3]] == [30, 10, 0]
    assert rows[10:] == ["light background, so negated", "warning: no class is likely", ""]
