"""DVC's S3 file system, which reaches the embedded store whatever AWS and network settings the person has."""

import functools
import os
from functools import cached_property
from pathlib import Path
from typing import Any

import dvc_s3
import s3fs
from aiobotocore.session import AioSession

from fashion_cnn.localcloud import connection, s3


class _EmbeddedS3(s3fs.S3FileSystem):
    """Of a protocol of its own, because settings that fsspec finds for s3 (FSSPEC_S3_*, its files) are not meant."""

    protocol = "fashion-cnn"


class S3FileSystem(dvc_s3.S3FileSystem):
    """DVC's own for every remote but the embedded store."""

    @cached_property
    def fs(self) -> s3fs.S3FileSystem:
        """The connected file system."""
        if self.config.get("profile") != connection.PROFILE:
            return super().fs
        return _connected(self.config["configpath"], self.config["endpointurl"])


@functools.cache  # DVC asks for one for each of its lists, and connecting takes a third of a second
def _connected(configuration: str, address: str) -> _EmbeddedS3:
    filesystem = _EmbeddedS3(
        session=_session(configuration),
        endpoint_url=address,
        config_kwargs={"proxies": {}, "retries": {"total_max_attempts": 2}},
        skip_instance_cache=True,
    )
    filesystem.connect()
    return filesystem


def _session(configuration: str) -> AioSession:
    """A session that knows an AWS configuration file and nothing else: no variable, no other file."""
    variables: dict[str, Any] = {
        name: (in_file, None, default, convert)
        for name, (in_file, _, default, convert) in AioSession.SESSION_VARIABLES.items()
    }
    variables["config_file"] = (None, None, configuration, None)
    variables["credentials_file"] = (None, None, os.devnull, None)
    session = AioSession(variables, profile=connection.PROFILE)
    session.get_component("config_store").set_config_variable("s3", {})
    session.register_component("data_loader", s3.service_models())
    if folder := connection.folder_in(Path(configuration)):
        s3.name_full_disks(s3.store(folder), session.get_component("event_emitter"))
    return session
