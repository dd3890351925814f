"""Fleets of model servers: from archives in S3 to processes that answer, are restarted, drained and removed."""

import asyncio
import contextlib
import os
import re
import secrets
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import botocore.session
import psutil
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from fashion_cnn.core.errors import UserError
from fashion_cnn.localcloud import s3
from fashion_cnn.serving import archive, bodies

PING_SECONDS: Final = 2
INVOCATION_SECONDS: Final = 60  # SageMaker's limit for a container's answer
# A model server that died loads TensorFlow again, some ten seconds; a client of AWS's waits sixty.
READY_SECONDS: Final = 30
# Half of what a model server takes: in a burst, requests wait for their turn and are not refused.
CONNECTIONS: Final = 64
DRAIN_SECONDS: Final = INVOCATION_SECONDS + 5
STOP_SECONDS: Final = 8
POLL_SECONDS: Final = 0.05
STABLE_SECONDS: Final = 10
LONGEST_PAUSE_SECONDS: Final = 10.0
# A server closes an idle connection after five seconds; a request must not meet that.
KEEP_ALIVE_SECONDS: Final = 3
SERVERLESS: Final = (
    "{} is serverless: one model server, which runs all the time, serves it here, whatever its memory and concurrency\n"
)
S3_URL: Final = re.compile(r"s3://(?P<bucket>[^/]+)/(?P<key>.+)", re.DOTALL)


class HostingError(Exception):
    """Why a fleet could not be started, in SageMaker's words where they are known."""


class UnansweredError(Exception):
    """No model server answered a request."""


class Variant(NamedTuple):
    """What one production variant runs.

    Attributes:
        name: of the variant.
        image: the container's, which here stands for this project's model server.
        model_data_url: s3://bucket/key of the model archive.
        environment: variables for the model server.
        instances: number of model servers.
        weight: of the variant, in the division of requests.
        startup_seconds: that a model server has until its ping must succeed.
        serverless: memory and concurrency, as the endpoint configuration names them; None for instances.
        instance_type: what AWS would run it on.
    """

    name: str
    image: str
    model_data_url: str
    environment: Mapping[str, str]
    instances: int
    weight: float
    startup_seconds: float
    serverless: Mapping[str, int] | None = None
    instance_type: str = "serverless"


class Settings(NamedTuple):
    """What every fleet shares.

    Attributes:
        s3: where the archives are.
        session: for requests to model servers.
        model_server: the module that is one: --archive-folder DIR --port N.
    """

    s3: s3.Settings
    session: aiohttp.ClientSession
    model_server: str


@dataclass(eq=False)
class Instance:
    """One model server. `ready` is whether it may be sent requests, `served` how many it was sent."""

    variant: Variant
    port: int = 0
    process: asyncio.subprocess.Process | None = None
    ready: bool = False
    served: int = 0


@dataclass(eq=False)
class Fleet:
    """The model servers of one deployment, below one folder. `under_way` counts requests."""

    folder: Path
    log: Path
    instances: list[Instance]
    under_way: int = 0
    supervisors: list[asyncio.Task[None]] = field(default_factory=list)


class Answer(NamedTuple):
    """What a model server answered, and the variant that it belongs to."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    variant: str


def client_session() -> aiohttp.ClientSession:
    """The session for `Settings`; connections to model servers are kept, and bear a key that opens them."""
    return aiohttp.ClientSession(
        headers={bodies.KEY_HEADER: secrets.token_urlsafe()},
        connector=aiohttp.TCPConnector(limit=0, limit_per_host=CONNECTIONS, keepalive_timeout=KEEP_ALIVE_SECONDS),
        timeout=aiohttp.ClientTimeout(total=INVOCATION_SECONDS),
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=["User-Agent", "Content-Type", "Accept", "Accept-Encoding"],
    )


def model_data_exists(url: str, settings: s3.Settings) -> bool:
    """Whether there is an object at s3://bucket/key.

    Raises:
        ValueError: as `bucket_and_key`.
    """
    bucket, key = bucket_and_key(url)
    try:
        s3_client(settings).head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] in (403, 404):
            return False
        raise
    return True


async def launch(variants: Sequence[Variant], folder: Path, log: Path, settings: Settings) -> Fleet:
    """Bring the archives, unpack them below `folder` where they are not yet, start the servers, see them ready.

    Raises:
        HostingError: one of that failed; nothing of it remains then.
    """
    instances = [Instance(variant) for variant in variants for _ in range(variant.instances)]
    fleet = Fleet(folder, log, instances)
    log.parent.mkdir(parents=True, exist_ok=True)
    for variant in variants:
        if variant.serverless:
            with log.open("ab") as file:
                file.write(SERVERLESS.format(variant.name).encode())
    try:
        for variant in variants:
            await asyncio.to_thread(_download_and_unpack, variant, folder, settings.s3)
        async with asyncio.TaskGroup() as group:
            for instance in instances:
                group.create_task(_start(instance, fleet, settings))
    except BaseExceptionGroup as group_error:
        await retire(fleet)
        raise group_error.exceptions[0] from None
    except BaseException as error:
        # Cancelled means shut down: the next start finds what is unpacked.
        await retire(fleet, keep_archives=isinstance(error, asyncio.CancelledError))
        raise
    fleet.supervisors += [asyncio.create_task(_supervise(one, fleet, settings)) for one in instances]
    return fleet


def rebalance(fleet: Fleet, variants: Sequence[Variant]) -> None:
    """Divide the requests by other weights from now on; the servers run on."""
    weights = {variant.name: variant.weight for variant in variants}
    for instance in fleet.instances:
        instance.variant = instance.variant._replace(weight=weights[instance.variant.name])
        instance.served = 0  # else a variant would catch up with what it did not get before


async def retire(fleet: Fleet, *, keep_archives: bool = False) -> None:
    """Let requests under way finish, stop the servers, remove what they were unpacked from."""
    deadline = time.monotonic() + DRAIN_SECONDS
    while fleet.under_way and time.monotonic() < deadline:
        await asyncio.sleep(POLL_SECONDS)
    for supervisor in fleet.supervisors:
        supervisor.cancel()
    await asyncio.gather(*fleet.supervisors, return_exceptions=True)
    await asyncio.gather(*(_stop(instance) for instance in fleet.instances))
    if not keep_archives:
        await asyncio.to_thread(shutil.rmtree, fleet.folder, ignore_errors=True)


async def forward(
    fleet: Callable[[], Fleet | None],
    session: aiohttp.ClientSession,
    target: str | None,
    headers: Mapping[str, str],
    body: bytes,
) -> Answer:
    """Have a request answered by the fleet of the moment.

    A request that no server has seen waits for one. One that a server saw and did not answer, because it died, is
    sent once more, for a prediction changes nothing; not twice more, for it may be the request that kills.

    Args:
        fleet: gives the fleet, which an update may replace meanwhile; None while there is none yet.
        session: from `client_session`.
        target: the variant that shall answer; None leaves it to the weights.
        headers: for the model server.
        body: the same.

    Raises:
        UnansweredError: no server came up in time, or two ended over it.
        TimeoutError: a server took too long.
    """
    deadline, lost = time.monotonic() + READY_SECONDS, 0
    while True:
        now = fleet()
        instance = _pick(now, target) if now else None
        if now and instance:
            instance.served += 1
            now.under_way += 1
            try:
                async with session.post(
                    f"http://{s3.HOST}:{instance.port}/invocations", data=body, headers=headers
                ) as response:
                    content = await response.read()
                return Answer(response.status, response.headers, content, instance.variant.name)
            except aiohttp.ClientConnectorError:
                pass  # It was never sent.
            except aiohttp.ClientError as error:
                lost += 1
                if lost == 2:
                    raise UnansweredError("two model servers ended over this request") from error
            finally:
                now.under_way -= 1
        if time.monotonic() > deadline:
            raise UnansweredError("no model server is ready")
        await asyncio.sleep(POLL_SECONDS)


def _pick(fleet: Fleet, target: str | None) -> Instance | None:
    """The ready server that is furthest behind its share of requests."""
    ready = [
        one
        for one in fleet.instances
        if one.ready and (one.variant.name == target if target else one.variant.weight > 0)
    ]
    return min(ready, key=_share, default=None) if len(ready) != 1 else ready[0]


def _share(instance: Instance) -> float:
    return (instance.served + 1) * instance.variant.instances / (instance.variant.weight or 1)


async def _start(instance: Instance, fleet: Fleet, settings: Settings) -> None:
    """Start the server and wait for its ping.

    Raises:
        HostingError: it ended or was not ready in time; it is stopped then.
    """
    variant = instance.variant
    instance.port = _free_port()
    with fleet.log.open("ab") as log:
        instance.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",  # An archive, or the working folder, must not stand in for a module.
            "-m",
            "fashion_cnn.localsagemaker.child",
            settings.model_server,
            "--archive-folder",
            str(fleet.folder / variant.name),
            "--port",
            str(instance.port),
            stdin=asyncio.subprocess.PIPE,
            stdout=log,
            stderr=log,
            env={
                **os.environ,
                **variant.environment,
                bodies.KEY_VARIABLE: settings.session.headers[bodies.KEY_HEADER],
            },
        )
    deadline = time.monotonic() + variant.startup_seconds
    while not (_listens(instance.process.pid, instance.port) and await _ping(instance.port, settings.session)):
        if instance.process.returncode is not None or time.monotonic() > deadline:
            ended = instance.process.returncode is not None
            await _stop(instance)
            raise HostingError(
                f"The primary container for production variant {variant.name} did not pass the ping health check"
                f"{_last_words(fleet) if ended else f' in {variant.startup_seconds:g} s'}; "
                f"its log: {fleet.log.name} in the embedded cloud's sagemaker/logs"
            )
        await asyncio.sleep(POLL_SECONDS)
    instance.ready = True


async def _supervise(instance: Instance, fleet: Fleet, settings: Settings) -> None:
    """Start the server again whenever it ends, after a pause where it ends soon again."""
    pause = 0.0
    while True:
        started = time.monotonic()
        assert instance.process is not None  # noqa: S101 (launch saw it start)
        await instance.process.wait()
        instance.ready = False
        lived = time.monotonic() - started
        pause = 0.0 if lived > STABLE_SECONDS else min(max(2 * pause, 0.1), LONGEST_PAUSE_SECONDS)
        await asyncio.sleep(pause)
        # Why it did not come up stands in its log; the next round pauses longer.
        with contextlib.suppress(HostingError, OSError):
            await _start(instance, fleet, settings)


async def _stop(instance: Instance) -> None:
    instance.ready = False
    process = instance.process
    if process is None or process.returncode is not None:
        return
    await end(process, STOP_SECONDS)


async def end(process: asyncio.subprocess.Process, seconds: float) -> None:
    """Ask a process to end, and make it after so many seconds."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), seconds)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _listens(pid: int, port: int) -> bool:
    """Whether it is this process that answers on the port, and not one that was quicker to take it."""
    try:
        return any(
            connection.status == psutil.CONN_LISTEN and connection.laddr.port == port
            for connection in psutil.Process(pid).net_connections("tcp")
        )
    except psutil.Error:
        return False


async def _ping(port: int, session: aiohttp.ClientSession) -> bool:
    limit = aiohttp.ClientTimeout(total=PING_SECONDS)
    try:
        async with session.get(f"http://{s3.HOST}:{port}/ping", timeout=limit) as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((s3.HOST, 0))
        return probe.getsockname()[1]


def _last_words(fleet: Fleet) -> str:
    """The last line in the log, its paths as they are in the archive."""
    last = fleet.log.read_text(errors="replace", encoding="utf-8").strip().split("\n")[-1]
    return f": {last.replace(f'{fleet.folder}/', '')[:500]}" if last else ""


def _download_and_unpack(variant: Variant, folder: Path, settings: s3.Settings) -> None:
    """Unpack the variant's archive to its folder, where it is not yet: there it is whole or not at all."""
    unpacked = folder / variant.name
    if unpacked.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    url = variant.model_data_url
    bucket, key = bucket_and_key(url)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as beside:
        downloaded = Path(beside, "model.tar.gz")
        try:
            content = s3_client(settings).get_object(Bucket=bucket, Key=key)["Body"]
            with downloaded.open("wb") as file:
                shutil.copyfileobj(content, file, 1024**2)
        except (BotoCoreError, ClientError, OSError) as error:
            raise HostingError(
                f'Failed to download model data for container "container_1" from URL: "{url}". Please ensure that '
                f"there is an object located at the URL: {archive.without_path(error)}"
            ) from error
        try:
            archive.unpack(downloaded, unpacked)
        except UserError as error:
            reason = str(error).removeprefix(f"{downloaded}: ")
            raise HostingError(
                f'Failed to extract model data archive for container "container_1" from URL "{url}". Please ensure '
                f"that the object located at the URL is a valid tar.gz archive: {reason}"
            ) from error


def bucket_and_key(url: str) -> tuple[str, str]:
    """What s3://bucket/key names, to the letter: a key may hold what has a meaning in web addresses.

    Raises:
        ValueError: it is no such address, or its key has an empty, `.` or `..` part, which the store, whose objects
            are files in folders, can't tell from the key without it.
    """
    match = S3_URL.fullmatch(url)
    if not match or {"", ".", ".."} & set(match["key"].split("/")):
        raise ValueError("an address must be s3://bucket/key, without an empty, '.' or '..' part in its key")
    return match["bucket"], match["key"]


@cache  # a client takes a tenth of a second to make, and serves every thread
def s3_client(settings: s3.Settings) -> Any:
    """The client of the embedded S3, which gives up soon."""
    return botocore.session.get_session().create_client(
        "s3",
        region_name=s3.REGION,
        endpoint_url=settings.endpoint,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
        config=Config(
            connect_timeout=5,
            read_timeout=10,
            retries={"total_max_attempts": 2},
            s3={"addressing_style": "path"},
            proxies={},
        ),
    )
