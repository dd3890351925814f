import numpy as np
import pytest

from fashion_cnn.eda import exploration


def random_images(count: int, seed: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (count, 28, 28), dtype=np.uint8)


def test_the_pixel_histogram_holds_shares() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 0, 0] = 255
    histogram = exploration.pixel_histogram(images)
    assert histogram[255] == 1 / (2 * 28 * 28)
    assert histogram.sum() == pytest.approx(1)


def test_class_moments_belong_to_their_class() -> None:
    images = np.stack([np.full((28, 28), value, np.uint8) for value in (10, 30, 200)])
    mean, std = exploration.class_moments(images, np.array([4, 4, 7]))
    assert (mean[4] == 20).all()
    assert (std[4] == 10).all()
    assert (mean[7] == 200).all()
    assert np.isnan(mean[0]).all()


def test_a_class_is_as_one_sided_as_its_images_that_are_nearer_to_their_mean_than_to_its_mirror_image() -> None:
    left = np.zeros((28, 28), np.uint8)
    left[10:20, :9] = 200
    images = np.stack([left, left, left, left[:, ::-1], left + left[:, ::-1]])
    assert exploration.one_sidedness(images, np.array([9, 9, 9, 9, 1])) == {1: 0.0, 9: 0.75}
    mean = images[:4].mean(0)
    nearer = [np.square(one - mean).sum() < np.square(one - mean[:, ::-1]).sum() for one in images[:4]]
    assert np.mean(nearer) == 0.75


def test_exact_copies_are_found_and_their_labels_compared() -> None:
    images = random_images(5, seed=1)[[0, 1, 2, 0, 3, 1]]
    assert exploration.duplicates_within(images, np.array([5, 6, 7, 5, 8, 9])) == (4, 2)


def test_images_that_differ_in_one_pixel_are_no_copies() -> None:
    images = random_images(1, seed=1, high=255)[[0, 0]]
    images[1, 27, 27] += 1
    assert exploration.duplicates_within(images, np.array([1, 1])) == (0, 0)


def test_test_images_that_are_also_training_images_are_counted() -> None:
    training, new = random_images(4, seed=1), random_images(2, seed=2)
    test = np.concatenate([training[[2, 3, 0]], new])
    found = exploration.duplicates_between(training, np.array([0, 1, 2, 3]), test, np.array([2, 3, 9, 0, 1]))
    assert found == (3, 1)


@pytest.mark.parametrize(("low", "high"), [(0, 256), (0, 2), (254, 256), (126, 131)])
def test_the_nearest_image_is_the_one_that_whole_numbers_find(
    monkeypatch: pytest.MonkeyPatch, low: int, high: int
) -> None:
    monkeypatch.setattr(exploration, "BLOCK", 7)  # several blocks, the last one not full
    queries, images = random_images(20, 1, low, high), random_images(50, 2, low, high)
    difference = queries[:, None].astype(np.int64) - images[None].astype(np.int64)
    squares = np.square(difference).sum((2, 3))
    found = exploration.nearest(queries, images)
    np.testing.assert_array_equal(found.indices, squares.argmin(1))
    np.testing.assert_allclose(found.distances, np.sqrt(squares.min(1) / 784))


def test_one_grey_level_in_one_pixel_decides_which_image_is_nearest() -> None:
    images = random_images(1, seed=3, low=240)[[0, 0, 0]]
    images[0, 0, 0], images[1, 0, 0] = images[2, 0, 0] - 2, images[2, 0, 0] - 1
    found = exploration.nearest(images[2:], images[:2])
    assert found.indices.tolist() == [1]
    assert found.distances[0] == pytest.approx(1 / 28)
