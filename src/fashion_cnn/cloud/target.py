"""Where a deployment goes: the one place that tells the embedded cloud and AWS apart."""

import os
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fashion_cnn.cloud.params import Aws, Deploy
from fashion_cnn.localcloud import connection, s3, sagemaker
from fashion_cnn.localcloud.daemon import Daemon

if TYPE_CHECKING:
    import boto3

LOCAL_ROLE: Final = "arn:aws:iam::000000000000:role/fashion-cnn"


class Target(NamedTuple):
    """What a deployment needs to know.

    Attributes:
        session: for clients of S3, SageMaker and its runtime.
        hosting: role, region, bucket and what the endpoint shall run on.
        endpoint: the endpoint's name.
        timeout: seconds that an endpoint has to come into service.
        turn: entered by whoever changes the endpoint. Of two local experiments, one waits until the other has
            deployed, or rolled back.
        folder: what of this project's is shared on this machine; stages take turns in it.
        poll_seconds: between two looks at a training job.
    """

    session: "boto3.Session"
    hosting: Aws
    endpoint: str
    timeout: float
    turn: AbstractContextManager[Any]
    folder: Path
    poll_seconds: float

    @property
    def sdk(self) -> dict[str, Any]:
        """What every call of the SageMaker SDK is given."""
        return {"session": self.session, "region": self.hosting.region}

    @property
    def prefix(self) -> str:
        """Where the endpoint's archives lie in the bucket."""
        return f"fashion-cnn/endpoints/{self.endpoint}/"


def connect(settings: Deploy) -> Target:
    """The target that the parameters name. A local one is started where it does not run.

    Raises:
        UserError: the embedded cloud can't start, or is not the one that the clone is connected to.
    """
    if settings.target == "local":
        hosting = Aws(role=LOCAL_ROLE, region=s3.REGION, bucket=s3.BUCKET)
        folder, poll_seconds = connection.shared_folder(), 0.5
        store = s3.store(folder)
        _point_at(store)
        turn: AbstractContextManager[Any] = Daemon(store.folder, f"endpoint-{settings.endpoint}").lock
    else:
        hosting, turn = settings.aws, nullcontext()
        folder, poll_seconds = connection.cloud_folder(), 5.0
    import boto3  # noqa: PLC0415 (it takes half a second, which a mistake in the parameters should not wait for)
    import botocore.session  # noqa: PLC0415

    if settings.target == "aws":
        session = boto3.Session(region_name=hosting.region)
    else:
        core = botocore.session.get_session()
        core.register_component("data_loader", s3.service_models())
        session = boto3.Session(region_name=hosting.region, botocore_session=core)
        s3.name_full_disks(store, session.events)
    return Target(session, hosting, settings.endpoint, settings.timeout_minutes * 60, turn, folder, poll_seconds)


def _point_at(store: Daemon) -> None:
    """Start an embedded cloud, and let this process's AWS clients know it and nothing else."""
    address = sagemaker.start(store)
    chosen = s3.settings(store)
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        del os.environ[name]
    os.environ |= {
        "AWS_ACCESS_KEY_ID": chosen.access_key,
        "AWS_SECRET_ACCESS_KEY": chosen.secret_key,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        # For SageMaker, its runtime and STS, and so that no request at all leaves the machine.
        "AWS_ENDPOINT_URL": address,
        "AWS_ENDPOINT_URL_S3": chosen.endpoint,
        # A proxy for the internet does not know this machine's loopback.
        "NO_PROXY": ",".join(filter(None, [os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), s3.HOST])),
    }
    os.environ.pop("no_proxy", None)
