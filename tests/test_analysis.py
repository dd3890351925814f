import numpy as np
import pytest

from fashion_cnn import analysis


def one_hot(*classes: int) -> np.ndarray:
    return np.eye(10, dtype=np.float32)[list(classes)]


def random_images(count: int, seed: int, low: int = 0, high: int = 256) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, (count, 28, 28), dtype=np.uint8)


def test_the_confusion_matrix_has_true_classes_in_its_rows() -> None:
    matrix = analysis.confusion_matrix(np.array([6, 6, 0], np.uint8), np.array([0, 6, 0]))
    assert matrix[6, 0] == matrix[6, 6] == matrix[0, 0] == 1
    assert matrix.sum() == 3


def test_the_confusion_matrix_counts_every_seed() -> None:
    matrix = analysis.confusion_matrix(np.array([9, 1], np.uint8), np.array([[9, 1], [9, 2]]))
    assert (matrix[9, 9], matrix[1, 1], matrix[1, 2]) == (2, 1, 1)


def test_class_accuracy_is_the_diagonal_of_the_confusion_matrix() -> None:
    generator = np.random.default_rng(0)
    labels = generator.permutation(np.arange(200) % 10).astype(np.uint8)
    probabilities = generator.random((1, 200, 10))
    matrix = analysis.confusion_matrix(labels, probabilities.argmax(-1))
    expected = matrix.diagonal() / matrix.sum(1)
    np.testing.assert_allclose(analysis.class_accuracy(probabilities, labels), expected)


def test_class_accuracy_of_a_class_without_images_is_unknown() -> None:
    shares = analysis.class_accuracy(np.stack([one_hot(0, 1), one_hot(0, 3)]), np.array([0, 1]))
    assert shares[:2].tolist() == [1.0, 0.5]
    assert np.isnan(shares[2:]).all()


def test_the_standard_error_of_91_per_cent_of_10000_is_a_quarter_of_a_point() -> None:
    assert analysis.standard_error(0.91, 10_000) == pytest.approx(0.0028618, abs=1e-7)


def test_the_paired_standard_error_agrees_with_the_textbook_formula() -> None:
    # Agresti, section 11.1: b and c count the images that only one of the two gets right.
    labels = np.zeros(100, np.uint8)
    first, second = np.array([0] * 90 + [1] * 10), np.array([0] * 80 + [1] * 12 + [0] * 8)
    b, c, n = 10, 8, 100
    expected = np.sqrt((b + c) - (b - c) ** 2 / n) / n
    assert analysis.paired_standard_error(one_hot(*first)[None], one_hot(*second)[None], labels) == (
        pytest.approx(expected)
    )


def test_a_network_does_not_differ_from_itself() -> None:
    probabilities = one_hot(1, 2, 3)[None]
    assert analysis.paired_standard_error(probabilities, probabilities, np.array([1, 2, 9])) == 0


def test_the_pixel_histogram_holds_shares() -> None:
    images = np.zeros((2, 28, 28), np.uint8)
    images[0, 0, 0] = 255
    histogram = analysis.pixel_histogram(images)
    assert histogram[255] == 1 / (2 * 28 * 28)
    assert histogram.sum() == pytest.approx(1)


def test_class_moments_belong_to_their_class() -> None:
    images = np.stack([np.full((28, 28), value, np.uint8) for value in (10, 30, 200)])
    mean, std = analysis.class_moments(images, np.array([4, 4, 7]))
    assert (mean[4] == 20).all()
    assert (std[4] == 10).all()
    assert (mean[7] == 200).all()
    assert np.isnan(mean[0]).all()


def test_exact_copies_are_found_and_their_labels_compared() -> None:
    images = random_images(5, seed=1)[[0, 1, 2, 0, 3, 1]]
    assert analysis.duplicates_within(images, np.array([5, 6, 7, 5, 8, 9])) == (4, 2)


def test_images_that_differ_in_one_pixel_are_no_copies() -> None:
    images = random_images(1, seed=1, high=255)[[0, 0]]
    images[1, 27, 27] += 1
    assert analysis.duplicates_within(images, np.array([1, 1])) == (0, 0)


def test_test_images_that_are_also_training_images_are_counted() -> None:
    training, new = random_images(4, seed=1), random_images(2, seed=2)
    test = np.concatenate([training[[2, 3, 0]], new])
    found = analysis.duplicates_between(training, np.array([0, 1, 2, 3]), test, np.array([2, 3, 9, 0, 1]))
    assert found == (3, 1)


@pytest.mark.parametrize(("low", "high"), [(0, 256), (0, 2), (254, 256), (126, 131)])
def test_the_nearest_image_is_the_one_that_whole_numbers_find(
    monkeypatch: pytest.MonkeyPatch, low: int, high: int
) -> None:
    monkeypatch.setattr(analysis, "BLOCK", 7)  # several blocks, the last one not full
    queries, images = random_images(20, 1, low, high), random_images(50, 2, low, high)
    difference = queries[:, None].astype(np.int64) - images[None].astype(np.int64)
    squares = np.square(difference).sum((2, 3))
    found = analysis.nearest(queries, images)
    np.testing.assert_array_equal(found.indices, squares.argmin(1))
    np.testing.assert_allclose(found.distances, np.sqrt(squares.min(1) / 784))


def test_one_grey_level_in_one_pixel_decides_which_image_is_nearest() -> None:
    images = random_images(1, seed=3, low=240)[[0, 0, 0]]
    images[0, 0, 0], images[1, 0, 0] = images[2, 0, 0] - 2, images[2, 0, 0] - 1
    found = analysis.nearest(images[2:], images[:2])
    assert found.indices.tolist() == [1]
    assert found.distances[0] == pytest.approx(1 / 28)
