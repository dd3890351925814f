"""Latency and throughput of the endpoint, signed and at its model server, beside `model.predict` in a Flask route."""

import argparse
import asyncio
import io
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import aiohttp
import boto3
import numpy as np
import psutil
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from benchmarks import data, memory, workspace
from benchmarks.report import spread
from benchmarks.workspace import Workspace
from fashion_cnn.localcloud import daemon, s3, sagemaker

ENDPOINT: Final = "fashion-cnn"
CLIENTS: Final = (1, 8, 64)
FEW_CONNECTIONS: Final = 16
PERCENTILES: Final = (50, 90, 99)


class Body(NamedTuple):
    """What is sent: `images` of them in one body."""

    name: str
    images: int
    content: bytes
    content_type: str


class Contestant(NamedTuple):
    """A server: where it is asked, and what makes the headers of a request."""

    url: str
    headers: Callable[[Body], dict[str, str]]


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Load every server with every body and number of clients, in turn, round after round."""
    study: Workspace = options.study()
    seconds, rounds = (0.3, 1) if options.quick else (2.0, 3)
    cloud = s3.store(Path(study.environment["FASHION_CNN_CLOUD"]))
    address, settings = sagemaker.start(cloud), s3.settings(cloud)
    supervisor = daemon.find(sagemaker.server(cloud))
    assert supervisor
    model_servers = listening(supervisor)
    with flask(study.folder / "models/candidate/model.keras") as (flask_process, flask_url):
        contestants = {
            "InvokeEndpoint, signed": invoke_endpoint(address, settings),
            "model server, directly": Contestant(
                f"http://{s3.HOST}:{next(iter(model_servers.values()))}/invocations", plain
            ),
            "Flask and model.predict": Contestant(flask_url, plain),
        }
        measured: dict[tuple[str, str, int], list[dict[str, float]]] = {}
        for number in range(rounds):
            for body in bodies():
                for clients in CLIENTS:
                    print(f"endpoint: round {number + 1}, {body.name}, {clients} clients", flush=True)
                    for name, contestant in contestants.items():
                        # The model server takes so many connections and no more; the embedded SageMaker keeps its own.
                        wait_until_idle(model_servers)
                        row = asyncio.run(load(contestant, body, clients, seconds))
                        measured.setdefault((name, body.name, clients), []).append(row)
                row = through_boto3(address, settings, body, seconds)
                measured.setdefault(("InvokeEndpoint, boto3", body.name, 1), []).append(row)
        served = {f"model server {number}": pid for number, pid in enumerate(model_servers, start=1)}
        pids = {"embedded SageMaker": supervisor.pid, **served, "Flask": flask_process.pid}
        peaks = {name: memory.peak(pid) for name, pid in pids.items()}
    return {
        "seconds_each": seconds,
        "rows": [
            {"server": server, "body": body, "clients": clients}
            | {name: spread([one[name] for one in rows]) for name in rows[0]}
            for (server, body, clients), rows in measured.items()
        ],
        "peak_bytes": peaks,
    }


def wait_until_idle(model_servers: dict[int, int]) -> None:
    """Wait until few connections to the model servers are left over from the measurement before."""
    while any(len(psutil.Process(pid).net_connections("tcp")) > FEW_CONNECTIONS for pid in model_servers):
        time.sleep(0.1)


def bodies() -> list[Body]:
    """One image as JSON and as a NumPy array file, and a hundred as the latter."""
    (_, _), (images, _) = data.load()
    return [
        Body("1 image, JSON", 1, json.dumps({"instances": images[:1].tolist()}).encode(), "application/json"),
        Body("1 image, npy", 1, npy(images[:1]), "application/x-npy"),
        Body("100 images, npy", 100, npy(images[:100]), "application/x-npy"),
    ]


def npy(images: np.ndarray) -> bytes:
    """The images as a NumPy array file."""
    stream = io.BytesIO()
    np.save(stream, images)
    return stream.getvalue()


def plain(body: Body) -> dict[str, str]:
    """Headers of a request that nobody signs."""
    return {"Content-Type": body.content_type}


def invoke_endpoint(address: str, settings: s3.Settings) -> Contestant:
    """InvokeEndpoint; every request is signed by botocore's own signer, as boto3 does it."""
    url = f"{address}/endpoints/{ENDPOINT}/invocations"
    credentials = Credentials(settings.access_key, settings.secret_key)

    def headers(body: Body) -> dict[str, str]:
        request = AWSRequest("POST", url, headers=plain(body), data=body.content)
        SigV4Auth(credentials, "sagemaker", s3.REGION).add_auth(request)
        return dict(request.headers)

    return Contestant(url, headers)


def listening(supervisor: psutil.Process) -> dict[int, int]:
    """The model servers below the embedded SageMaker: their pids and ports."""
    found = {
        process.pid: connection.laddr.port
        for process in supervisor.children(recursive=True)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    }
    if not found:
        raise RuntimeError("the embedded SageMaker has no model server that listens")
    return found


@contextmanager
def flask(model: Path) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The Flask program on a free port, and the address of its route."""
    port = workspace.free_ports()
    command = [sys.executable, "-m", "benchmarks.flask_route", "--model", str(model), "--port", str(port)]
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, stdout=quiet, stderr=quiet, cwd=workspace.REPOSITORY) as process:
        try:
            while not _answers(f"http://127.0.0.1:{port}/ping"):
                if process.poll() is not None:
                    raise RuntimeError(f"{' '.join(command[1:])} ended")
                time.sleep(0.1)
            yield process, f"http://127.0.0.1:{port}/predict"
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310 (our own http address)
            return True
    except (urllib.error.URLError, OSError):
        return False


async def load(contestant: Contestant, body: Body, clients: int, seconds: float) -> dict[str, float]:
    """Let some clients ask again and again; each waits for an answer before it asks anew."""
    latencies: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> None:
            started = time.perf_counter()
            headers = contestant.headers(body)
            async with session.post(contestant.url, data=body.content, headers=headers) as answer:
                content = await answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{contestant.url}: {answer.status} {content[:300]!r}")
            latencies.append(time.perf_counter() - started)

        async def client() -> None:
            while time.perf_counter() < end:
                await ask()

        await asyncio.gather(*(ask() for _ in range(clients)))  # connections are made, threads started
        latencies.clear()
        begun, used = time.perf_counter(), time.process_time()
        end = begun + seconds
        await asyncio.gather(*(client() for _ in range(clients)))
        elapsed, used = time.perf_counter() - begun, time.process_time() - used
    return figures(latencies, elapsed, body) | {"generator_cores": used / elapsed}


def through_boto3(address: str, settings: s3.Settings, body: Body, seconds: float) -> dict[str, float]:
    """One client that is boto3 itself."""
    client = boto3.client(
        "sagemaker-runtime",
        region_name=s3.REGION,
        endpoint_url=address,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key,
    )
    latencies: list[float] = []

    def ask() -> None:
        started = time.perf_counter()
        answer = client.invoke_endpoint(EndpointName=ENDPOINT, Body=body.content, ContentType=body.content_type)
        answer["Body"].read()
        latencies.append(time.perf_counter() - started)

    ask()
    latencies.clear()
    begun, used = time.perf_counter(), time.process_time()
    while time.perf_counter() < begun + seconds:
        ask()
    elapsed, used = time.perf_counter() - begun, time.process_time() - used
    return figures(latencies, elapsed, body) | {"generator_cores": used / elapsed}


def figures(latencies: list[float], elapsed: float, body: Body) -> dict[str, float]:
    """Percentiles in milliseconds, requests and images a second."""
    percentiles = np.percentile(latencies, PERCENTILES) * 1000
    rate = len(latencies) / elapsed
    named = {f"p{which}_ms": float(value) for which, value in zip(PERCENTILES, percentiles, strict=True)}
    return named | {"requests_a_second": rate, "images_a_second": rate * body.images}
