"""The networks are the notebook's, one fit is deterministic, and what is saved is what was trained."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from fashion_cnn.core import params, results
from fashion_cnn.core.dataset import Images
from fashion_cnn.core.evaluation import evaluate
from fashion_cnn.core.lean_keras import keras, tf
from fashion_cnn.core.params import Params
from fashion_cnn.training import architectures, controls, fitting, processor
from fashion_cnn.training.checkpoints import Checkpoint
from support import shells
from support.repository import REPOSITORY, random_images
from support.results import drawn, result

SPLITS = {name: random_images(60, seed) for seed, name in enumerate(("train", "validation", "test"))}


@pytest.fixture(scope="module")
def settings() -> Params:
    return params.load(Params, REPOSITORY / "params.yaml")


@pytest.fixture(scope="module")
def small(settings: Params) -> Params:
    """A CNN of few filters, where its size is not what is asked."""
    return settings.model_copy(update={"cnn": settings.cnn.model_copy(update={"filters": [4, 8]})})


def train_small(small: Params, seeds: int) -> fitting.Trained:
    return fitting.train(
        lambda _: architectures.cnn(small.cnn, 3), SPLITS, quick(small, seeds=seeds, epochs=3), {"threads": 2}
    )


@pytest.fixture(scope="module")
def two_seeds(small: Params) -> fitting.Trained:
    return train_small(small, 2)


def quick(settings: Params, **changes: object) -> params.Train:
    return settings.train.model_copy(update={"epochs": 1, "batch_size": 16, **changes})


def layers(network: keras.Model) -> list[str]:
    return [type(layer).__name__ for layer in network.layers]


def test_the_dense_network_is_the_notebooks(settings: Params) -> None:
    network = architectures.dense(settings.baseline)
    assert layers(network) == ["Rescaling", "Flatten", "Dense", "Dropout", "Dense"]
    assert network.count_params() == 101_770


@pytest.mark.parametrize(("kernel", "parameters"), [(3, 220_234), (5, 253_514)])
def test_the_cnn_is_the_notebooks(settings: Params, kernel: int, parameters: int) -> None:
    network = architectures.cnn(settings.cnn, kernel)
    assert layers(network)[2:] == [
        "Conv2D", "MaxPooling2D", "Conv2D", "MaxPooling2D", "Flatten", "Dense", "Dropout", "Dense"
    ]  # fmt: skip
    assert network.count_params() == parameters
    assert network.get_layer("convolution_1").kernel.shape == (kernel, kernel, 1, 32)


def test_a_network_takes_the_bytes_on_disk_and_scales_them_itself(settings: Params) -> None:
    network = architectures.cnn(settings.cnn, 3)
    inside = keras.Model(network.inputs, network.get_layer("rescaling").output)
    images = SPLITS["test"].images[:4]
    np.testing.assert_allclose(inside.predict(images, verbose=0), images / 255, atol=1e-6)
    np.testing.assert_allclose(network.predict(images, verbose=0).sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("kernel", [1, 2, 27])
def test_every_allowed_kernel_builds(settings: Params, kernel: int) -> None:
    assert architectures.cnn(settings.cnn, kernel).output_shape == (None, 10)


def test_evaluation_agrees_with_keras(settings: Params) -> None:
    network = architectures.dense(settings.baseline)
    network.compile(loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    loss, accuracy = network.evaluate(*SPLITS["test"], verbose=0)
    ours = evaluate(network.predict(SPLITS["test"].images, verbose=0), SPLITS["test"].labels)
    assert ours["accuracy"] == pytest.approx(accuracy, abs=1e-6)
    assert ours["loss"] == pytest.approx(loss, rel=1e-5)


def test_a_wrong_answer_given_with_certainty_has_a_finite_loss() -> None:
    certain = np.eye(10, dtype=np.float32)
    assert evaluate(certain, np.arange(10, dtype=np.uint8)) == {
        "accuracy": 1.0, "loss": pytest.approx(1e-7, rel=1e-3), "calibration_error": 0.0
    }  # fmt: skip
    wrong = evaluate(certain, np.roll(np.arange(10, dtype=np.uint8), 1))
    assert wrong == {"accuracy": 0.0, "loss": pytest.approx(-np.log(1e-7)), "calibration_error": 1.0}


def test_calibration_error_is_the_gap_between_confidence_and_accuracy_averaged_over_images() -> None:
    # Four answers of confidence 0.8, three of them right, and one of confidence 0.3, wrong: 0.8 * 0.05 + 0.2 * 0.3.
    probabilities = np.full((5, 10), 0.2 / 9)
    probabilities[:, 0] = 0.8
    probabilities[4] = 0.7 / 9
    probabilities[4, 0] = 0.3
    labels = np.array([0, 0, 0, 1, 1], np.uint8)
    assert evaluate(probabilities, labels)["calibration_error"] == pytest.approx(0.1)


def test_the_saved_network_answers_as_the_trained_one_and_carries_no_date(settings: Params, tmp_path: Path) -> None:
    network, result = fitting.train(lambda _: architectures.dense(settings.baseline), SPLITS, quick(settings), {})
    path = tmp_path / "model.keras"
    fitting.save_network(network, path)
    loaded = keras.saving.load_model(path)
    assert not loaded.compiled
    # In batches as when it was measured: a processor may round another size of batch otherwise.
    answers = loaded.predict(SPLITS["test"].images, batch_size=fitting.PREDICTION_BATCH, verbose=0)
    np.testing.assert_array_equal(answers, result.probabilities[0])
    with zipfile.ZipFile(path) as archive:
        assert b"date_saved" not in archive.read("metadata.json")
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert [file.name for file in tmp_path.glob("*.keras")] == ["model.keras"]


def test_seeds_are_repetitions_whose_mean_is_reported(two_seeds: fitting.Trained) -> None:
    result = two_seeds.result
    assert result.probabilities.shape == (2, 60, 10)
    assert not np.array_equal(*result.probabilities)
    assert {name: curve.shape for name, curve in result.history.items()} == dict.fromkeys(results.CURVES, (2, 3))
    each = [evaluate(probabilities, result.labels)["accuracy"] for probabilities in result.probabilities]
    assert result.metrics["test_accuracy"] == pytest.approx(np.mean(each))
    assert result.metrics["validation_loss"] == pytest.approx(result.history["validation_loss"][:, -1].mean())
    assert result.metrics["environment"] == {"threads": 2, "precision": "float32"}


def test_the_first_seed_is_the_same_each_time_and_however_many_follow(
    small: Params, two_seeds: fitting.Trained, tmp_path: Path
) -> None:
    one = train_small(small, 1)
    for name, trained in {"one": one, "two": two_seeds}.items():
        fitting.save_network(trained.network, tmp_path / f"{name}.keras")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()
    for name in ("probabilities", "correct_on_training", "correct_when_shifted", "answers_when_mirrored"):
        np.testing.assert_array_equal(getattr(one.result, name)[0], getattr(two_seeds.result, name)[0])
    for name in results.CURVES:
        np.testing.assert_array_equal(one.result.history[name][0], two_seeds.result.history[name][0])


def test_a_fit_that_was_interrupted_goes_on_to_the_same_bytes(small: Params, tmp_path: Path) -> None:
    chosen = quick(small, epochs=3, batch_size=2, schedule="cosine", precision="float32")
    build = partial(architectures.build, "cnn3", small)

    class Killed(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:  # noqa: ARG002
            if epoch == 1:
                raise KeyboardInterrupt

    def fit(*checkpoints: Path) -> fitting.Fitted:
        return fitting.fit_seed(0, build, SPLITS, chosen, *checkpoints)

    whole = fit()
    keras.utils.set_random_seed(0)
    with pytest.raises(KeyboardInterrupt):
        fitting.fit(build("float32"), SPLITS, chosen, [Checkpoint(tmp_path / "seed-0.npz"), Killed()])
    for resumed in (fit(tmp_path), fit(tmp_path)):  # the second time every epoch was fitted before
        assert resumed.history == whole.history
        for ours, theirs in zip((*resumed.weights, *resumed.measured), (*whole.weights, *whole.measured), strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_seeds_that_were_fitted_each_by_itself_are_joined_to_the_same_bytes(settings: Params, tmp_path: Path) -> None:
    chosen = quick(settings, seeds=2, precision="float32")
    build = partial(architectures.build, "baseline", settings)
    single = {seed: fitting.fit_seed(seed, build, SPLITS, chosen, tmp_path) for seed in (1, 0)}
    for seed, joined in enumerate(fitting._fit_seeds(build, SPLITS, chosen, tmp_path)):
        np.testing.assert_equal(joined._asdict(), single[seed]._asdict())


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = result(drawn(0.8, 60, seed=1, seeds=2), 5)
    results.save(written, tmp_path)
    read = results.load(tmp_path)
    assert read.metrics == written.metrics
    for name in results.CURVES:
        np.testing.assert_allclose(read.history[name], written.history[name], atol=1e-6)
    for name in results.ARRAYS:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))


def test_controls_are_of_the_network_that_is_saved(two_seeds: fitting.Trained) -> None:
    network, result = two_seeds

    def correct(name: str, images: np.ndarray) -> np.ndarray:
        return network.predict(images, fitting.PREDICTION_BATCH, verbose=0).argmax(-1) == SPLITS[name].labels

    np.testing.assert_array_equal(result.correct_on_training[0], correct("train", SPLITS["train"].images))
    np.testing.assert_array_equal(
        result.correct_when_shifted[0, 2, 5], correct("test", controls.shift(SPLITS["test"].images, -5, 0))
    )
    np.testing.assert_array_equal(
        result.correct_when_mirrored[0], correct("test", np.flip(SPLITS["test"].images, axis=2))
    )
    np.testing.assert_array_equal(result.first_layer[3], network.get_layer("convolution_1").kernel[:, :, 0, 3])


def test_nothing_tunes_how_images_in_memory_are_read() -> None:
    """For what tunes sleeps, and the next epoch waits until it wakes."""
    from keras.src.backend.tensorflow.trainer import TFEpochIterator  # here: lean_keras must import Keras

    batches = TFEpochIterator(tf.distribute.get_strategy(), *SPLITS["train"], batch_size=16, shuffle=True)
    assert batches._distributed_dataset.options().autotune.enabled is False


def test_the_fit_lowers_the_training_loss(settings: Params) -> None:
    _, result = fitting.train(lambda _: architectures.dense(settings.baseline), SPLITS, quick(settings, epochs=5), {})
    losses = result.history["train_loss"][0]
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_every_allowed_optimizer_trains_with_the_learning_rate_given(settings: Params, optimizer: str) -> None:
    network = architectures.dense(settings.baseline)
    fitting.fit(network, SPLITS, quick(settings, optimizer=optimizer, learning_rate=0.125))
    assert isinstance(network.optimizer, type(keras.optimizers.get(optimizer)))
    assert float(network.optimizer.learning_rate) == 0.125


def test_the_cosine_schedule_rises_to_the_learning_rate_and_falls_to_zero(settings: Params) -> None:
    rates = [float(fitting.cosine_with_warm_up(0.125, 200)(step)) for step in range(201)]
    assert rates[0] == 0
    assert rates[20] == pytest.approx(0.125) == max(rates)
    assert rates[110] == pytest.approx(0.125 / 2)
    assert rates[200] == pytest.approx(0, abs=1e-9)
    network = architectures.dense(settings.baseline)
    fitting.fit(network, SPLITS, quick(settings, epochs=2, schedule="cosine"))
    assert float(network.optimizer.learning_rate) == pytest.approx(0, abs=1e-9)  # it ends where training ends


@pytest.mark.usefixtures("prepared")
def test_lower_precision_is_confined_to_the_training_steps_with_either_kernels(
    set_params: Callable[..., Path],
) -> None:
    """As a stage, which chooses its kernels before TensorFlow is imported: oneDNN can't do it on every processor."""

    def trained(precision: str, environment: Mapping[str, str]) -> results.Result:
        set_params(**{"train.precision": precision, "train.epochs": 1, "train.batch_size": 16, "cnn.filters": [8, 16]})
        command = [sys.executable, "-m", "fashion_cnn.stages", "train", "cnn3"]
        assert subprocess.run(command, env=environment, check=False).returncode == 0
        network = keras.saving.load_model("models/cnn3/model.keras")
        assert {layer.compute_dtype for layer in network.layers} == {"float32"}
        found = results.load(Path("models/cnn3"))
        assert found.metrics["environment"]["precision"] == precision
        return found

    exact = trained("float32", os.environ)
    for environment in (os.environ, shells.other_kernels()):
        mixed = trained("mixed_bfloat16", environment)
        assert not np.array_equal(exact.probabilities, mixed.probabilities)
        np.testing.assert_allclose(exact.probabilities, mixed.probabilities, atol=0.05)


@pytest.mark.parametrize(
    ("flags", "limit", "chosen"),
    [
        ("sse avx2 avx512f", None, "float32"),
        ("avx512f amx_bf16", None, "mixed_bfloat16"),
        ("avx512f avx512_bf16", "AVX512_CORE_BF16", "mixed_bfloat16"),
        ("avx512f avx512_bf16", "AVX2", "float32"),
        (None, None, "float32"),
    ],
)
def test_auto_precision_follows_what_the_processor_may_compute(
    settings: Params, monkeypatch: pytest.MonkeyPatch, flags: str | None, limit: str | None, chosen: str
) -> None:
    monkeypatch.setattr(processor, "_described", lambda name: (flags or "") if name == "flags" else "")
    monkeypatch.delenv(processor.ISA_LIMIT, raising=False)
    if limit:
        monkeypatch.setenv(processor.ISA_LIMIT, limit)
    assert fitting.precision(quick(settings, precision="auto")) == chosen


@pytest.mark.parametrize(("kernel", "field", "multiply_adds"), [(3, 10, 4_039_808), (5, 16, 10_863_744)])
def test_a_network_is_described_by_what_it_costs_and_sees(
    settings: Params, kernel: int, field: int, multiply_adds: int
) -> None:
    network = architectures.cnn(settings.cnn, kernel)
    described = architectures.describe(network)
    assert described["parameters"] == network.count_params() == sum(one["parameters"] for one in described["layers"])
    # By hand: 28² · k² · 32 + 14² · k² · 32 · 64 + 3136 · 64 + 64 · 10.
    assert described["multiply_adds"] == multiply_adds
    # By hand: convolution k, pooling +1, convolution +2 (k - 1), pooling +2.
    assert described["receptive_field"] == field
    # Seen: which single bright pixels reach a value that enters the first dense layer, where every weight is 1.
    network.set_weights([np.full(one.shape, one.ndim > 1, np.float32) for one in network.get_weights()])
    pixels = (255 * np.eye(784, dtype=np.uint8)).reshape(784, 28, 28)
    for layer, seen in (("convolution_2", field - 2), ("pooling_2", field)):
        inside = keras.Model(network.inputs, network.get_layer(layer).output)
        reached = inside.predict(pixels, batch_size=784, verbose=0)
        rows, columns = np.nonzero(reached[:, reached.shape[1] // 2, reached.shape[2] // 2, 0].reshape(28, 28))
        assert np.ptp(rows) + 1 == np.ptp(columns) + 1 == seen, layer


@pytest.mark.parametrize("changes", [{}, {"stride": 2}, {"padding": "valid"}])
@pytest.mark.parametrize("kernel", [2, 3, 5])
def test_connections_are_counted_without_those_to_padding(settings: Params, kernel: int, changes: dict) -> None:
    network = architectures.cnn(settings.cnn.model_copy(update={"filters": [4, 6], **changes}), kernel)
    for described in architectures.describe(network)["layers"][:2]:
        layer = network.get_layer(described["name"])
        counting = layer.__class__.from_config(
            layer.get_config() | {"kernel_initializer": "ones", "activation": None, "name": None}
        )
        # With every weight and every pixel 1, padding is 0: each value is the number of its connections.
        assert described["connections"] == counting(np.ones((1, *layer.input.shape[1:]))).numpy().sum(), layer.name


def test_the_dense_network_sees_the_whole_image(settings: Params) -> None:
    described = architectures.describe(architectures.dense(settings.baseline))
    assert (described["receptive_field"], described["multiply_adds"]) == (28, 784 * 128 + 128 * 10)


@pytest.mark.parametrize(
    ("rows", "columns", "expected"),
    [(0, 0, [[1, 2], [3, 4]]), (0, -1, [[2, 0], [4, 0]]), (0, 1, [[0, 1], [0, 3]]),
     (-1, 0, [[3, 4], [0, 0]]), (1, 0, [[0, 0], [1, 2]])],
)  # fmt: skip
def test_a_shift_moves_the_picture_and_fills_with_background(rows: int, columns: int, expected: list) -> None:
    image = np.array([[[1, 2], [3, 4]]], np.uint8)
    assert controls.shift(image, rows, columns).tolist() == [expected]


def test_shifts_are_ordered_by_direction_and_distance() -> None:
    # A classifier that answers with the column of the brightest pixel.
    images = np.zeros((1, 28, 28), np.uint8)
    images[0, 14, 9] = 255

    def column(images: np.ndarray) -> np.ndarray:
        return images.max(1).argmax(-1)

    answers = np.array([controls.correct_when_shifted(column, Images(images, np.array([label], np.uint8)))
                        for label in range(18)])[..., 0]  # fmt: skip
    left, right, up, down = answers.argmax(0)
    assert left.tolist() == [9 - far for far in range(9)]
    assert right.tolist() == [9 + far for far in range(9)]
    assert up.tolist() == down.tolist() == [9] * 9


def test_training_imports_no_library_that_keras_takes_only_because_it_is_there() -> None:
    unneeded = "{'sklearn', 'scipy', 'pandas', 'matplotlib'}"
    code = f"import sys, fashion_cnn.training.fitting; print(*{unneeded} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == ""


def test_what_was_hidden_from_keras_can_still_be_imported() -> None:
    code = "from fashion_cnn.core.lean_keras import keras; import scipy.special, pandas; print(keras.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert done.stdout.strip() == keras.__version__
