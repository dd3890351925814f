"""Parameters: what is allowed loads, what is not is named in one line."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fashion_cnn.core import params
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import CNN
from fashion_cnn.stages.parameters import Parameters

SetParams = Callable[..., Path]
pytestmark = pytest.mark.usefixtures("workspace")


def test_the_defaults_are_the_notebooks() -> None:
    settings = params.load(Parameters)
    assert settings.kernel == 3
    assert settings.data.validation_fraction == 0.2
    assert (settings.train.epochs, settings.train.batch_size, settings.train.optimizer) == (10, 128, "adam")
    assert settings.train.learning_rate == 0.001
    assert (settings.baseline.units, settings.baseline.dropout) == (128, 0.2)
    assert settings.cnn == CNN(filters=(32, 64), padding="same", stride=1, pool=2, units=64, dropout=0.3)
    assert (settings.arms.cnn3.kernel, settings.arms.cnn5.kernel) == (3, 5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("kernel", value) for value in (0, -1, 4.5, 28, "x", True, None, [3])),
        ("arms.cnn5.kernel", 28),
        *(("train.epochs", value) for value in (-1, 0, 1.5, "10")),
        *(("data.validation_fraction", value) for value in (0, 1, 1.0, -0.1, "a", float("nan"))),
        *(("data.limit", value) for value in (0, -5, 2.5, "all")),
        ("data.permute_pixels", "yes"),
        ("train.seeds", 0),
        ("train.batch_size", 0),
        ("train.optimizer", "adamm"),
        *(("train.learning_rate", value) for value in (0, -0.1, float("inf"), float("nan"))),
        ("train.precision", "float8"),
        ("train.schedule", "linear"),
        ("report.language", "fr"),
        ("train.threads", 0),
        ("baseline.dropout", 1),
        *(("cnn.filters", value) for value in ([], [0], [32, "x"], 32)),
        ("cnn.padding", "full"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(set_params: SetParams, name: str, value: Any) -> None:
    with pytest.raises(UserError) as error:
        params.load(Parameters, set_params(**{name: value}))
    message = str(error.value)
    assert message.startswith(f"params.yaml: {name} = ")
    assert "allowed: " in message
    assert "\n" not in message


@pytest.mark.parametrize("name", ["kernl", "train.epoch", "arms.cnn7"])
def test_an_unknown_parameter_is_refused_and_the_known_ones_are_named(set_params: SetParams, name: str) -> None:
    with pytest.raises(UserError, match=rf"{name} is not a parameter; known here: \w+"):
        params.load(Parameters, set_params(**{name: 1}))


def test_a_number_is_read_as_dvc_writes_it(workspace: Path) -> None:
    path = workspace / "params.yaml"
    path.write_text(
        path.read_text(encoding="utf-8").replace("learning_rate: 0.001", "learning_rate: 1e-05"), encoding="utf-8"
    )
    assert params.load(Parameters).train.learning_rate == 1e-5


def test_a_change_replaces_a_value_of_the_file_and_is_checked() -> None:
    assert params.load(Parameters, changes={"deploy.endpoint": "fashion-cnn-2"}).deploy.endpoint == "fashion-cnn-2"
    with pytest.raises(UserError, match="deploy.target = 'azure' is not allowed; allowed: local or aws"):
        params.load(Parameters, changes={"deploy.target": "azure"})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "aws"}, "needs deploy.aws.role, deploy.aws.region, deploy.aws.bucket"),
        ({"aws.serverless": {"memory_mb": 2048}}, "deploy.aws.serverless.max_concurrency is missing"),
        ({"aws.serverless": {"memory_mb": 3, "max_concurrency": 5}}, "deploy.aws.serverless.memory_mb = 3 is not"),
        ({"aws.serverless": 5}, "deploy.aws.serverless = 5 is not allowed; allowed: null or"),
        ({"aws.tags": {"a": 3}}, "deploy.aws.tags = 3 is not allowed; allowed: a mapping"),
        ({"aws.alarms": ["a", ""]}, "deploy.aws.alarms = '' is not allowed; allowed: a list"),
        ({"endpoint": "other"}, "deploy.endpoint = 'other' is not allowed; allowed: fashion-cnn"),
    ],
)
def test_a_mistake_in_the_deployment_is_found_by_the_first_stage(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        params.load(Parameters, changes={f"deploy.{name}": value for name, value in changes.items()})
    assert message in str(error.value)


def test_every_mistake_is_reported_at_once(set_params: SetParams) -> None:
    with pytest.raises(UserError, match=r"kernel = 0 .*; train\.epochs = -1 "):
        params.load(Parameters, set_params(kernel=0, **{"train.epochs": -1}))


def test_layers_that_leave_no_pixels_are_refused(set_params: SetParams) -> None:
    with pytest.raises(UserError, match="leaves no pixels"):
        params.load(Parameters, set_params(**{"cnn.padding": "valid", "kernel": 20}))
    with pytest.raises(UserError, match="leaves no pixels"):
        params.load(Parameters, set_params(**{"cnn.filters": [8] * 5}))


@pytest.mark.parametrize("content", ["", "- 1", "kernel: [", "kernel: {a: 1}", "\t"])
def test_a_file_that_is_no_parameters_file_is_refused_in_one_line(workspace: Path, content: str) -> None:
    (workspace / "params.yaml").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as error:
        params.load(Parameters)
    assert "\n" not in str(error.value)


def test_a_missing_file_is_named(workspace: Path) -> None:
    (workspace / "params.yaml").unlink()
    with pytest.raises(UserError, match="not found"):
        params.load(Parameters)


@given(
    filters=st.integers(1, 6), kernel=st.integers(1, 27), stride=st.integers(1, 4), pool=st.integers(1, 4),
    padding=st.sampled_from(["same", "valid"]),
)  # fmt: skip
def test_the_feature_map_follows_the_definition_of_a_sliding_window(
    filters: int, kernel: int, stride: int, pool: int, padding: str
) -> None:
    shared = CNN.model_validate(
        {
            "filters": [1] * filters,
            "padding": padding,
            "stride": stride,
            "pool": pool,
            "units": 1,
            "dropout": 0,
        }
    )
    size = 28
    for _ in range(filters):
        # Where a window may start: anywhere when the edge is padded, else where it still fits.
        starts = range(0, size if padding == "same" else max(size - kernel + 1, 0), stride)
        size = len(range(0, max(len(starts) - pool + 1, 0), pool))
    assert max(params.smallest_feature_map(shared, kernel), 0) == size
