"""The whole of params.yaml, every room's part in one."""

from pydantic import ConfigDict

from fashion_cnn.cloud.params import Cloud, Where
from fashion_cnn.core.params import Params
from fashion_cnn.reporting.params import Reporting


class Parameters(Params, Reporting, Cloud, Where):
    """All that params.yaml may name, and must."""

    model_config = ConfigDict(extra="forbid")
