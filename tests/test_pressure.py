"""Clients that hold connections and never finish: others are served, memory and logs stay small."""

import asyncio
import contextlib
import http.client
import resource
import socket
import threading
from collections.abc import Iterator

import numpy as np
import psutil
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from fashion_cnn.localcloud import daemon, s3
from fashion_cnn.serving import bodies, bundle, connections
from support import linear_model
from support.cloud import EmbeddedCloud, wait_until

LIMIT = 3
HEAD = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"
OPEN_FILES = 1024


class Server:
    """uvicorn in a thread, with small limits."""

    def __init__(self, seconds: float) -> None:
        self.may_answer = threading.Event()
        routes = [Route("/echo", self.echo, methods=["POST"]), Route("/held", self.held), Route("/large", self.large)]
        protocol = connections.limited(LIMIT, seconds)
        self.uvicorn = uvicorn.Server(
            uvicorn.Config(Starlette(routes=routes), port=0, log_level="error", http=protocol, lifespan="off")
        )
        self.listener = socket.create_server((s3.HOST, 0))
        self.thread = threading.Thread(target=self.uvicorn.run, args=([self.listener],))
        self.thread.start()

    async def echo(self, request: Request) -> Response:
        return Response(await request.body())

    async def held(self, _: Request) -> Response:
        await asyncio.to_thread(self.may_answer.wait)
        return Response("at last")

    async def large(self, _: Request) -> Response:
        return Response(bytes(50_000_000))

    def stop(self) -> None:
        self.may_answer.set()
        self.uvicorn.should_exit = True
        self.thread.join()

    def connect(self, *sent: bytes) -> socket.socket:
        client = socket.create_connection(self.listener.getsockname(), timeout=20)
        for part in sent:
            client.sendall(part)
        return client

    @property
    def connected(self) -> int:
        return len(self.uvicorn.server_state.connections)


@pytest.fixture
def impatient() -> Iterator[Server]:
    server = Server(seconds=0.3)
    yield server
    server.stop()


@pytest.fixture
def patient() -> Iterator[Server]:
    server = Server(seconds=60)
    yield server
    server.stop()


def ended(client: socket.socket) -> bool:
    """Whether the server ended the connection; waits for what it sends."""
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def answer(client: socket.socket) -> bytes:
    response = http.client.HTTPResponse(client)
    response.begin()
    return response.read()


@pytest.mark.parametrize("sent", [b"", b"POST /echo HTTP/1.1\r\nHos", HEAD, HEAD + b"12345"])
def test_a_request_that_does_not_arrive_ends_its_connection(impatient: Server, sent: bytes) -> None:
    assert ended(impatient.connect(sent))


def test_a_request_that_arrives_byte_by_byte_is_not_waited_for_any_longer(impatient: Server) -> None:
    client = impatient.connect(b"POST /echo HTTP/1.1\r\nX: ")
    client.settimeout(0.02)

    def sent_in_vain() -> bool:
        try:
            client.sendall(b"x")
            return client.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True

    wait_until(sent_in_vain)


def test_an_answer_that_nobody_reads_ends_its_connection(impatient: Server) -> None:
    client = impatient.connect(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
    wait_until(lambda: impatient.connected == 0)
    client.close()


def test_a_client_that_did_its_part_is_answered_however_long_that_takes(impatient: Server) -> None:
    client, idle = impatient.connect(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"), impatient.connect()
    assert ended(idle)
    impatient.may_answer.set()
    assert answer(client) == b"at last"


def test_one_connection_more_takes_the_place_of_the_one_that_waits_longest(patient: Server) -> None:
    at_work = patient.connect(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
    longest, other = patient.connect(HEAD), patient.connect(HEAD)
    wait_until(lambda: patient.connected == LIMIT)
    new = patient.connect(HEAD, b"1234567890")
    assert answer(new) == b"1234567890"
    assert ended(longest)
    other.sendall(b"1234567890")
    assert answer(other) == b"1234567890"
    patient.may_answer.set()
    assert answer(at_work) == b"at last"


def test_where_all_are_at_work_a_new_connection_is_ended(patient: Server) -> None:
    at_work = [patient.connect(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n") for _ in range(LIMIT)]
    wait_until(lambda: len(patient.uvicorn.server_state.tasks) == LIMIT)
    assert ended(patient.connect())
    patient.may_answer.set()
    assert all(answer(client) == b"at last" for client in at_work)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """A cloud whose processes may open few files, and the endpoint `served`."""
    folder = tmp_path_factory.mktemp("pressed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(s3, "IDLE_SECONDS", 3)  # the test waits for as long
        cloud = EmbeddedCloud(folder / "cloud", "linear")
    cloud.start()
    linear_model.pack(folder / "model.tar.gz", 0)
    cloud.model("linear", (folder / "model.tar.gz").read_bytes())
    assert cloud.deploy("served", "linear")["EndpointStatus"] == "InService"
    for process in processes(cloud):
        process.rlimit(resource.RLIMIT_NOFILE, (OPEN_FILES, OPEN_FILES))
    yield cloud
    cloud.end(kill=False)
    s3.stop(cloud.store)


def processes(cloud: EmbeddedCloud) -> list[psutil.Process]:
    store = daemon.find(cloud.store)
    assert store
    return [store, psutil.Process(cloud.server.pid), *cloud.model_servers()]


def model_server_port(cloud: EmbeddedCloud) -> int:
    (model_server,) = cloud.model_servers()
    (listening,) = [c for c in model_server.net_connections() if c.status == psutil.CONN_LISTEN]
    return listening.laddr.port


def hold(held: contextlib.ExitStack, port: int, count: int, path: str = "", size: int = 0) -> None:
    """Open connections and send nothing, or all but a byte of a body, as far as the server takes it."""
    head = f"POST {path} HTTP/1.1\r\nHost: {s3.HOST}:{port}\r\nOrigin: http://{s3.HOST}:{port}\r\n"
    for _ in range(count):
        client = held.enter_context(socket.create_connection((s3.HOST, port), timeout=20))
        if size:
            client.settimeout(0.5)
            with contextlib.suppress(OSError):
                client.sendall(f"{head}Content-Length: {size}\r\n\r\n".encode() + bytes(size - 1))


def read_nothing(held: contextlib.ExitStack, port: int, count: int, path: str) -> None:
    """Ask for something large and leave the answer unread."""
    for _ in range(count):
        client = held.enter_context(socket.create_connection((s3.HOST, port), timeout=20))
        client.sendall(f"GET {path} HTTP/1.1\r\nHost: {s3.HOST}:{port}\r\n\r\n".encode())


def ask(cloud: EmbeddedCloud) -> None:
    """One signed call of SageMaker, one of its runtime, both on new connections; no second attempt."""
    assert cloud.client().describe_endpoint(EndpointName="served")["EndpointStatus"] == "InService"
    image = np.zeros((1, 28, 28), int).tolist()
    body = f'{{"instances": {image}}}'.encode()
    assert len(cloud.invoke("served", body, ContentType="application/json")["predictions"]) == 1


def test_a_refused_body_leaves_its_connection_in_order(cloud: EmbeddedCloud) -> None:
    client = http.client.HTTPConnection(s3.HOST, cloud.port)
    for _ in range(2):
        client.request("POST", "/endpoints/served/invocations", bytes(bodies.MAX_BYTES))
        refusal = client.getresponse()
        assert (refusal.status, b"MissingAuthenticationToken" in refusal.read()) == (403, True)
    client.close()


def test_a_model_server_reads_nothing_for_those_who_did_not_start_it(cloud: EmbeddedCloud) -> None:
    client = http.client.HTTPConnection(s3.HOST, model_server_port(cloud))
    for headers in ({}, {bodies.KEY_HEADER: "guessed"}, {bodies.KEY_HEADER: "\xe9"}):
        client.request("POST", "/invocations", bytes(bodies.MAX_BYTES), headers)
        refusal = client.getresponse()
        assert (refusal.status, b"who started it" in refusal.read()) == (403, True)
    client.close()


def test_signed_calls_are_answered_whatever_others_hold_open(cloud: EmbeddedCloud) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 8192)), hard))
    ask(cloud)
    cloud.objects().put_object(Bucket=s3.BUCKET, Key=bundle.KEY, Body=bytes(8_000_000))
    serving = processes(cloud)[1:]
    before = sum(process.memory_info().rss for process in serving)
    inner = model_server_port(cloud)
    with contextlib.ExitStack() as held:
        hold(held, inner, 140)
        hold(held, cloud.port, 1100)
        hold(held, cloud.settings.port, 1100)
        ask(cloud)
        hold(held, cloud.port, 150, "/endpoints/served/invocations", bodies.MAX_BYTES)
        hold(held, cloud.port, 50, "/demo/picture", bodies.MAX_BYTES)
        read_nothing(held, cloud.port, 50, "/demo/bundle")
        hold(held, inner, 50, "/invocations", bodies.MAX_BYTES)
        ask(cloud)
        cloud.objects().put_object(Bucket=s3.BUCKET, Key="new", Body=b"new")
        assert sum(process.memory_info().rss for process in serving) < before + 200e6
    logs = [path for pattern in ("*.log*", "s3-logs/*", "sagemaker/logs/*") for path in cloud.folder.glob(pattern)]
    assert sum(path.stat().st_size for path in logs) < 1e6
