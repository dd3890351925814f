"""Fetching, reading and splitting the images: bad content is refused, good content keeps every byte."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from fashion_cnn.core import dataset
from fashion_cnn.core.dataset import Images
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import SHA256, TEST_IMAGES, TEST_LABELS
from fashion_cnn.ingest import download, idx, splits
from support.repository import random_images, write_idx


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Twenty images and their labels as IDX files."""
    images, labels = random_images(20)
    return write_idx(tmp_path / "images", images), write_idx(tmp_path / "labels", labels)


@given(array=npst.arrays(np.uint8, npst.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=9)))
def test_reading_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, array: np.ndarray) -> None:
    path = write_idx(tmp_path_factory.mktemp("idx") / "file", array)
    np.testing.assert_array_equal(idx.read(path, array.ndim), array)


@given(content=st.binary(max_size=64) | st.binary(max_size=9).map(lambda tail: b"\0\0\x08\x01\0\0\0\x05" + tail))
def test_arbitrary_bytes_are_an_array_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("idx") / "file"
    path.write_bytes(content)
    is_idx = content[:4] == bytes([0, 0, 8, 1]) and content[4:8] == struct.pack(">I", len(content) - 8)
    if is_idx:
        assert idx.read(path, 1).tobytes() == content[8:]
    else:
        with pytest.raises(UserError, match=str(path)):
            idx.read(path, 1)


def test_a_truncated_file_is_refused(pair: tuple[Path, Path]) -> None:
    pair[0].write_bytes(pair[0].read_bytes()[:-1])
    with pytest.raises(UserError, match=r"truncated: 15695 bytes, 15696 expected for shape \(20, 28, 28\)"):
        idx.read_labelled_images(*pair)


def test_a_file_with_too_much_is_refused(pair: tuple[Path, Path]) -> None:
    pair[1].write_bytes(pair[1].read_bytes() + b"\0")
    with pytest.raises(UserError, match="longer than its header says"):
        idx.read_labelled_images(*pair)


def test_a_wrong_magic_number_is_refused(pair: tuple[Path, Path]) -> None:
    with pytest.raises(UserError, match="magic number 00000801, expected 00000803"):
        idx.read_labelled_images(pair[1], pair[1])


def test_labels_out_of_range_are_refused(pair: tuple[Path, Path]) -> None:
    labels = np.zeros(20, np.uint8)
    labels[7] = 10
    write_idx(pair[1], labels)
    with pytest.raises(UserError, match="label 10 at position 7; allowed: 0 to 9"):
        idx.read_labelled_images(*pair)


def test_counts_that_differ_are_refused(pair: tuple[Path, Path]) -> None:
    write_idx(pair[1], np.zeros(19, np.uint8))
    with pytest.raises(UserError, match="20 images, .* 19 labels"):
        idx.read_labelled_images(*pair)


def test_images_of_another_size_are_refused(pair: tuple[Path, Path]) -> None:
    write_idx(pair[0], np.zeros((20, 28, 27), np.uint8))
    with pytest.raises(UserError, match=r"images of \(28, 27\) pixels, expected \(28, 28\)"):
        idx.read_labelled_images(*pair)


def test_the_split_is_the_notebooks() -> None:
    training, test = random_images(100), random_images(30, seed=1)
    made = splits.split(training, test, validation_fraction=0.2, limit=None)
    np.testing.assert_array_equal(made["train"].images, training.images[:80])
    np.testing.assert_array_equal(made["validation"].labels, training.labels[80:])
    np.testing.assert_array_equal(made["test"].images, test.images)


def test_a_limit_keeps_the_first_images_of_each_split() -> None:
    training, test = random_images(100), random_images(30, seed=1)
    made = splits.split(training, test, validation_fraction=0.2, limit=5)
    assert [len(split.labels) for split in made.values()] == [5, 5, 5]
    np.testing.assert_array_equal(made["validation"].images, training.images[80:85])


@pytest.mark.parametrize("fraction", [1e-17, 0.999])
def test_a_split_without_images_is_refused(fraction: float) -> None:
    with pytest.raises(UserError, match="leaves no images in the (train|validation) split"):
        splits.split(random_images(20), random_images(20), fraction, None)


def test_permuting_moves_every_image_s_pixels_alike_and_loses_none() -> None:
    images = random_images(2).images
    images[1] = 255 - images[0]
    permuted = splits.permute_pixels(images)
    assert not np.array_equal(permuted, images)
    np.testing.assert_array_equal(np.sort(permuted[0], axis=None), np.sort(images[0], axis=None))
    np.testing.assert_array_equal(permuted[1], 255 - permuted[0])


def test_saving_twice_writes_the_same_bytes_and_loading_gives_them_back(tmp_path: Path) -> None:
    made = {name: random_images(10) for name in dataset.SPLITS}
    for folder in (tmp_path / "a", tmp_path / "b"):
        folder.mkdir()
        splits.save(made, folder)
    assert (tmp_path / "a" / "test.npz").read_bytes() == (tmp_path / "b" / "test.npz").read_bytes()
    np.testing.assert_array_equal(dataset.load(tmp_path / "a", "test").images, made["test"].images)


def test_the_manifest_counts_and_digests() -> None:
    images = np.zeros((4, 28, 28), np.uint8)
    images[0] = 255
    manifest = splits.describe({"train": Images(images, np.array([0, 0, 9, 3], np.uint8))})["train"]
    assert manifest["images"] == 4
    assert manifest["classes"] == {
        **dict.fromkeys(manifest["classes"], 0), "T-shirt/top": 2, "Dress": 1, "Ankle boot": 1,
    }  # fmt: skip
    assert manifest["pixel_mean"] == 63.75
    assert manifest["pixel_std"] == pytest.approx(255 * (0.25 * 0.75) ** 0.5, abs=1e-4)
    assert len(manifest["sha256"]) == 64


class TestFetch:
    """The sources and their failures. Web and Debian are cut off: what a folder lacks is not found elsewhere."""

    @pytest.fixture(autouse=True)
    def nothing_elsewhere(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(download, "WEB_SOURCES", ("http://127.0.0.1:1/",))
        monkeypatch.setattr(download, "RETRIES", 0)
        monkeypatch.setattr(download, "DEBIAN_FOLDER", tmp_path / "not-installed")
        monkeypatch.setenv("PATH", "")

    def test_a_named_folder_comes_first_whether_plain_or_packed(
        self, real_raw_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.mkdir()
        target.mkdir()
        for name in SHA256:
            content = (real_raw_data / name).read_bytes()
            if name == TEST_LABELS:
                (source / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
            else:
                (source / name).write_bytes(content)
        monkeypatch.setenv(download.FOLDER_VARIABLE, str(source))
        assert str(source) in download.fetch(target)
        assert sorted(path.name for path in target.iterdir()) == sorted(SHA256)
        assert (target / TEST_LABELS).read_bytes() == (real_raw_data / TEST_LABELS).read_bytes()

    @pytest.mark.parametrize(
        ("name", "content", "answer"),
        [
            ("train-images-idx3-ubyte", b"other content", "train-images-idx3-ubyte fails its digest"),
            ("train-images-idx3-ubyte.gz", b"no gzip", "train-images-idx3-ubyte.gz is not a whole gzip file"),
            ("train-images-idx3-ubyte.gz", gzip.compress(b"cut", mtime=0)[:-5], "is not a whole gzip file"),
            (TEST_IMAGES, b"", "neither train-images-idx3-ubyte nor train-images-idx3-ubyte.gz is there"),
        ],
    )
    def test_when_all_fail_it_says_what_each_source_answered(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes, answer: str
    ) -> None:
        (tmp_path / "source").mkdir()
        (tmp_path / "source" / name).write_bytes(content)
        (tmp_path / "target").mkdir()
        monkeypatch.setenv(download.FOLDER_VARIABLE, str(tmp_path / "source"))
        with pytest.raises(UserError) as error:
            download.fetch(tmp_path / "target")
        message = str(error.value)
        assert answer in message
        assert "http://127.0.0.1:1/: " in message
        assert "Connection refused" in message
        assert "apt-get and dpkg-deb are not on this machine" in message
        assert download.FOLDER_VARIABLE in message
        assert "\n" not in message
