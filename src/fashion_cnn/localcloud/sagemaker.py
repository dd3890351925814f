"""The embedded SageMaker as a background process beside the embedded S3. `sagemaker_server` is what runs in it."""

import http.client
import json
import os
import sys
from pathlib import Path
from typing import Any, Final

import fashion_cnn
from fashion_cnn.core.errors import UserError
from fashion_cnn.localcloud import daemon, s3
from fashion_cnn.localcloud.daemon import Daemon

SERVER: Final = "fashion_cnn.localsagemaker.server"
READY: Final = "MissingAuthenticationTokenException"


def server(store: Daemon) -> Daemon:
    """The SageMaker that belongs to a store."""
    return Daemon(store.folder, "sagemaker")


def port(settings: s3.Settings) -> int:
    """SageMaker's port: the one after the store's.

    Raises:
        UserError: there is none.
    """
    if settings.ports.stop > 65535:
        raise UserError(
            f"the embedded SageMaker needs the port after {settings.ports[-1]}; move the store: "
            "python -m fashion_cnn.localcloud connect --port NUMBER"
        )
    return settings.ports.stop


def endpoint(settings: s3.Settings) -> str:
    """The address that clients of SageMaker, its runtime and STS are given."""
    return f"http://{s3.HOST}:{port(settings)}"


def endpoints(store: Daemon) -> dict[str, str]:
    """Names and states of the endpoints, as last written: {"fashion-cnn": "InService"}."""
    return {name: record["EndpointStatus"] for name, record in read_state(store.folder).get("Endpoint", {}).items()}


def read_state(folder: Path) -> dict[str, dict[str, Any]]:
    """Every resource, by kind and name, as the server last wrote it to sagemaker.json; empty before that.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / "sagemaker.json"
    try:
        return dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else {}
    except (ValueError, TypeError):
        raise UserError(
            f"{path}: not the state that the embedded SageMaker wrote; mend it, or remove it and deploy again"
        ) from None


def running(store: Daemon) -> bool:
    """Whether SageMaker runs and answers."""
    return daemon.find(server(store)) is not None and _ready(s3.settings(store))


def start(store: Daemon) -> str:
    """Start S3 and SageMaker where they do not run; concurrent callers start one. Returns when both answer.

    Returns:
        SageMaker's address.

    Raises:
        UserError: a port is taken, or one of them did not come up.
    """
    settings = s3.start(store)
    if not running(store):
        own = server(store)
        with own.lock:
            process = daemon.find(own)
            if process and f"--port={port(settings)}" not in process.cmdline():
                # The store moved; it still serves the old address.
                daemon.stop(own)
                process = None
            if process:
                # Whoever started it was interrupted while waiting.
                daemon.wait(own, lambda: _ready(settings))
            else:
                daemon.require_free(
                    [port(settings)],
                    "the embedded SageMaker needs it; "
                    "move the embedded cloud: python -m fashion_cnn.localcloud connect --port NUMBER",
                )
                command = [sys.executable, "-P", "-m", SERVER, f"--folder={own.folder}", f"--port={port(settings)}"]
                daemon.start(own, command, _environment(own.folder), lambda: _ready(settings))
    return endpoint(settings)


def stop(store: Daemon) -> bool:
    """Stop SageMaker and its model servers; whether it was running. The next start brings its endpoints back."""
    own = server(store)
    if not own.folder.exists():
        return False
    with own.lock:
        return daemon.stop(own)


def _ready(settings: s3.Settings) -> bool:
    connection = http.client.HTTPConnection(s3.HOST, port(settings), timeout=5)
    try:
        connection.request("POST", "/")
        return connection.getresponse().getheader("x-amzn-ErrorType") == READY
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _source() -> str:
    """Where the code lies; not that of an experiment's copy of the clone, which is removed while the server runs on."""
    source = str(Path(fashion_cnn.__file__).parents[1])
    clone, copied, _ = source.partition("/.dvc/tmp/exps/")
    return f"{clone}/src" if copied else source


def _environment(folder: Path) -> dict[str, str]:
    # What the person set up for AWS and for Python is not meant for this one, nor for the models that it serves, which
    # outlive the shell that needed them first. In another home folder there are no ~/.aws/models either.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "PYTHON"))}
    path = os.pathsep.join(filter(None, [_source(), os.environ.get("PYTHONPATH")]))
    return inherited | {
        "HOME": str(folder),
        "PYTHONPATH": path,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }
