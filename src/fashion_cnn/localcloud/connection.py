"""Which embedded cloud the clone in the working folder is connected to: `connect` writes it, the rest reads it."""

import configparser
import shlex
from pathlib import Path
from typing import Final

REMOTE: Final = "store"  # in .dvc/config
PROFILE: Final = "fashion-cnn"
SAGEMAKER_PROFILE: Final = "fashion-cnn-sagemaker"  # the same user; asking for its keys starts SageMaker too


def aws_config_text(region: str, process: list[str], endpoints: dict[str, str]) -> str:
    """An AWS configuration file whose profiles start the embedded cloud when they are asked for their keys.

    Args:
        region: of both profiles.
        process: the command that starts S3 and prints the keys; with `--sagemaker`, SageMaker too.
        endpoints: services, as botocore names them, to their addresses.

    Source: docs.aws.amazon.com/sdkref/latest/guide, "Process credential provider", "Service-specific endpoints".
    """
    profiles = {PROFILE: process, SAGEMAKER_PROFILE: [*process, "--sagemaker"]}
    return "".join(
        f"[profile {name}]\nregion = {region}\ncredential_process = {shlex.join(command)}\nservices = {PROFILE}\n"
        for name, command in profiles.items()
    ) + "".join(
        [
            f"[services {PROFILE}]\n",
            *(f"{service} =\n  endpoint_url = {address}\n" for service, address in endpoints.items()),
        ]
    )


def connected_folder() -> Path | None:
    """The folder of the embedded cloud that the clone is connected to; None where it is not.

    A queued experiment runs in a copy that has DVC's local configuration, but not the AWS one beside it.
    """
    local, aws = (configparser.ConfigParser(interpolation=None) for _ in range(2))
    local.read(".dvc/config.local")
    aws.read(local.get(f"'remote \"{REMOTE}\"'", "configpath", fallback=""))
    process = shlex.split(aws.get(f"profile {PROFILE}", "credential_process", fallback=""))
    return Path(process[process.index("--folder") + 1]) if "--folder" in process else None
