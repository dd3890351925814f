"""The networks are the notebook's, one fit is deterministic, and what is saved is what was trained."""

import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
from conftest import random_images

from fashion_cnn import models, params, training
from fashion_cnn.evaluation import evaluate
from fashion_cnn.params import Params

SPLITS = {name: random_images(60, seed) for seed, name in enumerate(("train", "validation", "test"))}


@pytest.fixture
def settings(workspace: Path) -> Params:  # noqa: ARG001
    return params.load()


def quick(settings: Params, **changes: object) -> params.Train:
    return settings.train.model_copy(update={"epochs": 1, "batch_size": 16, **changes})


def layers(network: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in network.layers]


def test_the_dense_network_is_the_notebooks(settings: Params) -> None:
    network = models.dense(settings.baseline)
    assert layers(network) == ["Rescaling", "Flatten", "Dense", "Dropout", "Dense"]
    assert network.count_params() == 101_770


@pytest.mark.parametrize(("kernel", "parameters"), [(3, 220_234), (5, 253_514)])
def test_the_cnn_is_the_notebooks(settings: Params, kernel: int, parameters: int) -> None:
    network = models.cnn(settings.cnn, kernel)
    assert layers(network)[2:] == [
        "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dropout", "Dense"
    ]  # fmt: skip
    assert network.count_params() == parameters
    assert network.get_layer("convolution_1").kernel.shape == (kernel, kernel, 1, 32)


def test_a_network_takes_the_bytes_on_disk_and_scales_them_itself(settings: Params) -> None:
    network = models.cnn(settings.cnn, 3)
    inside = keras.Model(network.inputs, network.get_layer("rescaling").output)
    images = SPLITS["test"].images[:4]
    np.testing.assert_allclose(inside.predict(images, verbose=0), images / 255, atol=1e-6)
    np.testing.assert_allclose(network.predict(images, verbose=0).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 2, 27])
def test_every_allowed_kernel_builds(settings: Params, kernel: int) -> None:
    assert models.cnn(settings.cnn, kernel).output_shape == (None, 10)


def test_evaluation_agrees_with_keras(settings: Params) -> None:
    network = models.dense(settings.baseline)
    network.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = network.evaluate(*SPLITS["test"], verbose=0)
    ours = evaluate(network.predict(SPLITS["test"].images, verbose=0), SPLITS["test"].labels)
    assert ours["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert ours["loss"] == pytest.approx(loss, rel=1e-5)


def test_a_wrong_answer_given_with_certainty_has_a_finite_loss() -> None:
    certain = np.eye(10, dtype=np.float32)
    assert evaluate(certain, np.arange(10, dtype=np.uint8)) == {
        "accuracy": 1.0, "loss": pytest.approx(1e-7, rel=1e-3)
    }  # fmt: skip
    wrong = evaluate(certain, np.roll(np.arange(10, dtype=np.uint8), 1))
    assert wrong == {"accuracy": 0.0, "loss": pytest.approx(-np.log(1e-7))}


def test_training_twice_gives_the_same_file_and_figures(settings: Params, tmp_path: Path) -> None:
    files, results = [], []
    for name in ("first.keras", "second.keras"):
        network, result = training.train(lambda: models.cnn(settings.cnn, 3), SPLITS, quick(settings), {})
        training.save_network(network, tmp_path / name)
        files.append((tmp_path / name).read_bytes())
        results.append(result)
    assert files[0] == files[1]
    assert results[0].metrics == results[1].metrics
    np.testing.assert_array_equal(results[0].probabilities, results[1].probabilities)


def test_the_saved_network_answers_as_the_trained_one_and_carries_no_date(settings: Params, tmp_path: Path) -> None:
    network, result = training.train(lambda: models.dense(settings.baseline), SPLITS, quick(settings), {})
    path = tmp_path / "model.keras"
    training.save_network(network, path)
    loaded = keras.saving.load_model(path)
    assert not loaded.compiled
    np.testing.assert_array_equal(loaded.predict(SPLITS["test"].images, verbose=0), result.probabilities[0])
    with zipfile.ZipFile(path) as archive:
        assert b"date_saved" not in archive.read("metadata.json")
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert [file.name for file in tmp_path.glob("*.keras")] == ["model.keras"]


def test_seeds_are_repetitions_whose_mean_is_reported(settings: Params) -> None:
    _, result = training.train(
        lambda: models.dense(settings.baseline), SPLITS, quick(settings, seeds=2, epochs=2), {"threads": 2}
    )
    assert result.probabilities.shape == (2, 60, 10)
    assert not np.array_equal(*result.probabilities)
    assert result.history[["seed", "epoch"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 1], [1, 2]]
    each = [evaluate(probabilities, result.labels)["accuracy"] for probabilities in result.probabilities]
    assert result.metrics["test_accuracy"] == pytest.approx(np.mean(each))
    last = result.history[result.history["epoch"] == 2]
    assert result.metrics["validation_loss"] == pytest.approx(last["validation_loss"].mean())
    assert result.metrics["environment"] == {"threads": 2}


def test_the_fit_lowers_the_training_loss(settings: Params) -> None:
    _, result = training.train(lambda: models.dense(settings.baseline), SPLITS, quick(settings, epochs=5), {})
    losses = result.history["train_loss"].to_numpy()
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_allowed_optimizer_trains_with_the_learning_rate_given(settings: Params, optimizer: str) -> None:
    network, _ = training.train(
        lambda: models.dense(settings.baseline),
        SPLITS,
        quick(settings, optimizer=optimizer, learning_rate=0.125),
        {},
    )
    assert type(network.optimizer).__name__.lower() == optimizer
    assert float(network.optimizer.learning_rate) == 0.125
