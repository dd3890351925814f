"""A person's shell and home folder at their worst for AWS clients, and servers that tell who went astray."""

import http.server
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiobotocore
import boto3
import botocore
import s3fs


class Recorder(http.server.ThreadingHTTPServer):
    """Stands where a person's proxy or another S3 is: refuses every request, and keeps it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Refusal)
        self.requests: list[str] = []
        self.address = f"http://127.0.0.1:{self.server_port}"


class _Refusal(http.server.BaseHTTPRequestHandler):
    def refuse(self) -> None:
        assert isinstance(self.server, Recorder)
        self.server.requests.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = do_CONNECT = refuse  # noqa: N815 (http.server's names)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def recorder() -> Iterator[Recorder]:
    with Recorder() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def network(recorder: Recorder) -> dict[str, str]:
    """A proxy for everything: `curl`'s variables, without no_proxy."""
    names = [f"{scheme}_proxy" for scheme in ("http", "https", "all")]
    return dict.fromkeys([*names, *(name.upper() for name in names)], recorder.address)


def aws(recorder: Recorder, folder: Path) -> dict[str, str]:
    """Another S3, keys, profiles, regions, certificates: all exported, and in files that know our profile too."""
    sections = "".join(
        f"[{kind}{name}]\naws_access_key_id = THEIRS\naws_secret_access_key = theirs\nregion = eu-west-3\n"
        for kind in ("", "profile ")
        for name in ("fashion-cnn", "fashion-cnn-embedded", "default")
    )
    for name in ("config", "credentials"):
        (folder / name).write_text(sections, encoding="utf-8")
    return {
        **dict.fromkeys(("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL_STS"), recorder.address),
        **dict.fromkeys(("AWS_PROFILE", "AWS_DEFAULT_PROFILE"), "of-another-machine"),
        **dict.fromkeys(("AWS_REGION", "AWS_DEFAULT_REGION"), "eu-west-3"),
        "AWS_CA_BUNDLE": str(folder / "no-such-file.pem"),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_ACCESS_KEY_ID": "THEIRS",
        "AWS_SECRET_ACCESS_KEY": "theirs",
        "AWS_SESSION_TOKEN": "theirs",
    }


def fsspec(recorder: Recorder, folder: Path) -> dict[str, str]:
    """What fsspec passes to every file system for s3."""
    (folder / "s3.json").write_text('{"s3": {"anon": true}}', encoding="utf-8")
    return {
        "FSSPEC_CONFIG_DIR": str(folder),
        "FSSPEC_S3": '{"client_kwargs": {"verify": "/no-such-file"}}',
        "FSSPEC_S3_ENDPOINT_URL": recorder.address,
        "FSSPEC_S3_KEY": "THEIRS",
        "FSSPEC_S3_SECRET": "theirs",
        "FSSPEC_S3_TOKEN": "theirs",
        "FSSPEC_S3_ASYNCHRONOUS": "true",
    }


def nonsense() -> dict[str, str]:
    """Every variable that AWS's clients look at, with a value that none of them allows."""
    sources = [Path(module.__file__).parent.glob("*.py") for module in (botocore, boto3, aiobotocore, s3fs)]
    names = {
        name
        for files in sources
        for file in files
        for name in re.findall(r"""['"]((?:AWS|BOTO)_[A-Z0-9_]+)['"]""", file.read_text(encoding="utf-8"))
    }
    assert {"AWS_PROFILE", "AWS_RETRY_MODE", "AWS_S3_US_EAST_1_REGIONAL_ENDPOINT"} < names
    return dict.fromkeys(names, os.devnull)


def home(folder: Path) -> dict[str, str]:
    """A home folder whose own descriptions of AWS's services know no operation."""
    for service, protocol in {"s3": "rest-xml", "sagemaker": "json"}.items():
        models = folder / ".aws" / "models" / service / "2099-01-01"
        models.mkdir(parents=True)
        metadata = {
            "apiVersion": "2099-01-01", "endpointPrefix": service, "protocol": protocol, "serviceId": service,
            "signatureVersion": "v4",
        }  # fmt: skip
        description = {"metadata": metadata, "operations": {}, "shapes": {}}
        (models / "service-2.json").write_text(json.dumps(description), encoding="utf-8")
    return {"HOME": str(folder)}


def servers() -> dict[str, str]:
    """What a person set for other programs in Python and other servers."""
    return {"PYTHONINSPECT": "1", "PYTHONOPTIMIZE": "2", "WEB_CONCURRENCY": "9"}
