"""Which embedded cloud the clone in the working folder is connected to: `connect` writes it, DVC is asked for it."""

import configparser
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Final

import platformdirs

from fashion_cnn.core.errors import UserError

FOLDER_VARIABLE: Final = "FASHION_CNN_CLOUD"
REMOTE: Final = "store"  # in .dvc/config
PROFILE: Final = "fashion-cnn-embedded"
SAGEMAKER_PROFILE: Final = "fashion-cnn-embedded-sagemaker"  # the same user; its keys start SageMaker too
AWS_CONFIG: Final = Path(".dvc/localcloud-aws-config")  # git-ignored, as .dvc/config.local
STARTUP: Final = "fashion_cnn.localcloud.dvc_startup"


def connect(region: str, process: list[str], endpoints: dict[str, str]) -> None:
    """Point the remote of the clone in the working folder at the store, in files that git ignores.

    Args:
        region: of S3 and SageMaker.
        process: the command that starts S3 and prints the keys; with `--sagemaker`, SageMaker too.
        endpoints: services, as botocore names them, to their addresses.

    Raises:
        UserError: the working folder is not the root of a DVC repository, its remote is missing, or a file can't be
            written; .dvc/config.local is as it was then.
    """
    if not AWS_CONFIG.parent.is_dir():
        raise UserError(f"{Path.cwd()}: not a DVC repository; run connect in the root of the clone")
    options = {"profile": PROFILE, "configpath": str(AWS_CONFIG), "endpointurl": endpoints["s3"]}
    try:
        _enter_startup()
        # In the bytes of the system, because botocore reads it in the locale's encoding, whichever that is by then.
        AWS_CONFIG.write_bytes(os.fsencode(aws_config_text(region, process, endpoints)))
        configure(*(["remote", "modify", "--local", REMOTE, *option] for option in options.items()))
    except UserError as error:
        raise UserError(
            f"{error}; so this clone is not connected; .dvc/config must name the remote {REMOTE!r}"
        ) from None
    except OSError as error:
        raise UserError(
            f"{error.filename}: can't be written ({error.strerror}), so this clone is not connected"
        ) from None


def _enter_startup() -> None:
    """Have every Python of this environment run STARTUP first; Source: docs.python.org/3/library/site.html."""
    code = f"try: import {STARTUP}\nexcept ImportError: pass"  # a checkout may be older
    path, line = Path(sysconfig.get_path("purelib"), "fashion_cnn.pth"), f"import sys; exec({code!r})\n"
    if not path.exists() or path.read_text(encoding="utf-8") != line:
        partial = path.with_suffix(".partial")
        partial.write_text(line, encoding="utf-8")
        partial.replace(path)


def configure(*commands: list[str]) -> None:
    """Have DVC's commands write .dvc/config.local: into a copy, because DVC empties a file that it fails to write.

    Raises:
        UserError: one of them failed; the file is as it was.
    """
    local = AWS_CONFIG.with_name("config.local")
    with tempfile.TemporaryDirectory(dir=local.parent) as folder:
        copy = Path(folder, local)
        copy.parent.mkdir()
        for path in (local, local.with_name("config")):
            if path.exists():
                shutil.copy(path, copy.with_name(path.name))
        try:
            _dvc(*commands, folder=folder)
        except UserError as error:
            raise UserError(f"{local}: left as it was: {error}; DVC writes ASCII letters alone") from None
        copy.replace(local)


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


def cloud_folder() -> Path:
    """The embedded cloud's folder: FASHION_CNN_CLOUD, else what the clone is connected to, else the user's."""
    return _chosen_folder() or connected_folder() or _users_folder()


def shared_folder() -> Path:
    """The folder of the embedded cloud for work that goes together with what DVC does.

    Raises:
        UserError: the clone is connected to another one than FASHION_CNN_CLOUD names.
    """
    chosen, connected = _chosen_folder(), connected_folder()
    if chosen and connected and chosen.resolve() != connected.resolve():
        raise UserError(
            f"this clone is connected to the embedded cloud in {connected}, but {FOLDER_VARIABLE} names {chosen}; "
            "unset it, or connect the clone to it: python -m fashion_cnn.localcloud connect"
        )
    return chosen or connected or _users_folder()


def _chosen_folder() -> Path | None:
    chosen = os.environ.get(FOLDER_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else None


def _users_folder() -> Path:
    return Path(platformdirs.user_data_dir("fashion-cnn", appauthor=False))


def connected_folder() -> Path | None:
    """The folder of the embedded cloud that the clone is connected to; None where it is not.

    DVC is asked: a queued experiment runs in a copy that has the clone's local configuration in another form.
    """
    if not AWS_CONFIG.with_name("config.local").exists():
        return None
    path = _dvc(["config", f"remote.{REMOTE}.configpath"])
    return folder_in(Path(path)) if path and Path(path).is_file() else None


def default_remote() -> str | None:
    """The address of DVC's default remote, where that is the one that `connect` points at the store."""
    options = dict(line.split("=", 1) for line in _dvc(["config", "--list"]).splitlines())
    return options.get(f"remote.{REMOTE}.url") if options.get("core.remote") == REMOTE else None


def remote_url() -> str | None:
    """The address of the clone's remote, s3://bucket/key; None where it has none in S3, or nobody connected it."""
    if not AWS_CONFIG.with_name("config.local").exists():
        return None
    url = _dvc(["config", f"remote.{REMOTE}.url"])
    return url if url.startswith("s3://") else None


def folder_in(aws_config: Path) -> Path | None:
    """The folder of the embedded cloud in an AWS configuration file that `connect` wrote; None in another one."""
    aws = configparser.RawConfigParser()
    aws.read_string(os.fsdecode(aws_config.read_bytes()))
    process = shlex.split(aws.get(f"profile {PROFILE}", "credential_process", fallback=""))
    return Path(process[process.index("--folder") + 1]) if "--folder" in process else None


def _dvc(*commands: list[str], folder: str | None = None) -> str:
    """What commands of DVC's print, one after the other in one process, up to the first that fails.

    Raises:
        UserError: one failed, with its reason.
    """
    program = "import json, sys; from dvc.cli import main; sys.exit(any(map(main, json.loads(sys.argv[1]))))"
    encoding, errors = "utf-8", "surrogateescape"  # a path, whatever the terminal can show
    result = subprocess.run(
        [sys.executable, "-c", program, json.dumps(commands)],
        cwd=folder,
        env=os.environ | {"PYTHONIOENCODING": f"{encoding}:{errors}", "PYTHONINSPECT": ""},
        capture_output=True,
        encoding=encoding,
        errors=errors,
        check=False,
    )
    if result.returncode:
        reason = result.stderr.strip().partition("\n")[0].removeprefix("ERROR: ")
        raise UserError(f"dvc {' '.join(commands[0])}: {reason}")
    return result.stdout.strip()
