"""The model server: SageMaker's container contract, GET /ping and POST /invocations, on an unpacked archive.

It plays AWS's TensorFlow Serving container: the archive's own inference.py in front and, in the same process,
TensorFlow Serving's part behind it, which answers REST calls too: a handler may send them itself.

Source: docs.aws.amazon.com, "Use your own inference code with hosting services"; github.com/aws/
deep-learning-containers, scripts/docker/tensorflow/inference/sagemaker/python_service.py, at commit 86bef99963.
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import asyncio
import hmac
import importlib.util
import io
import ipaddress
import logging
import os
import re
import secrets
import socket
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO, Any, Final, NamedTuple

import falcon
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fashion_cnn.core.errors import UserError
from fashion_cnn.serving import bodies, connections, tensorflow_serving
from fashion_cnn.serving.tensorflow_serving import Models, Prediction

SHUTDOWN_SECONDS: Final = 60
MAX_CONNECTIONS: Final = 128
CUSTOM_ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"
# What a handler sends to TensorFlow Serving may be larger than what the client sent: a picture becomes numbers.
MAX_REST_BYTES: Final = 16 * bodies.MAX_BYTES
REST_CALL: Final = re.compile(r"(?P<name>[^/:]+)(?:/versions/(?P<version>[0-9]+))?:(?P<method>[a-z]+)")
# The container's rules for what a client may ask of TensorFlow Serving, in custom attributes.
MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
METHODS: Final = ("predict", "classify", "regress")

log = logging.getLogger("fashion_cnn.serving")


class Context(NamedTuple):
    """What the container tells a handler about a request, by the container's names."""

    model_name: str | None = None
    model_version: str | None = None
    method: str | None = None
    rest_uri: str = "http://localhost:8501/v1/models/model:predict"
    grpc_port: str | None = None
    channel: None = None
    custom_attributes: str | None = None
    request_content_type: str = "application/json"
    accept_header: str = "application/json"
    content_length: int | None = None
    timeout: int = 60


Handler = Callable[[IO[bytes], Context], tuple[Any, str]]


class Service(NamedTuple):
    """An archive, loaded: its models, and what answers a request's body and context with a body and a content type."""

    models: Models
    handler: Handler


def load(folder: Path) -> Service:
    """Load an unpacked archive: its models first, whose libraries the handler's folders must not replace.

    Raises:
        UserError: as `load_models` and `load_handler`.
    """
    models = tensorflow_serving.load_models(folder)
    return Service(models, load_handler(folder, models))


def load_handler(folder: Path, models: Models) -> Handler:
    """Import `code/inference.py` of an unpacked archive, as the container does: `handler`, or the other two.

    It may import what lies in `code/` and, where this environment lacks it, in `code/lib/`: in the container that
    folder comes first, but what is compiled there need not fit this processor and this Python.

    Raises:
        UserError: it has neither.
    """
    code = folder / "code"
    path = code / "inference.py"
    sys.path[:] = [str(code), *sys.path, str(code / "lib")]

    def ask(body: str | bytes, context: Context) -> Prediction:
        """TensorFlow Serving's answer, which reaches nobody but the client where it is bad."""
        name = context.model_name or models.default
        response = models.call(name, context.model_version, context.method or METHODS[0], body)
        if response.status_code != 200:
            raise falcon.HTTPError(falcon.code_to_http_status(response.status_code), description=response.text)
        return response

    if not path.is_file():
        return lambda data, context: _without_handler(ask, data, context)
    spec = importlib.util.spec_from_file_location("inference", path)
    assert spec is not None  # noqa: S101 (a .py file has a spec and a loader)
    assert spec.loader is not None  # noqa: S101
    inference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(inference)
    if hasattr(inference, "handler"):
        return inference.handler
    if not (hasattr(inference, "input_handler") and hasattr(inference, "output_handler")):
        raise UserError(f"{path}: has neither handler nor both input_handler and output_handler")
    return lambda data, context: inference.output_handler(ask(inference.input_handler(data, context), context), context)


def _without_handler(
    ask: Callable[[bytes, Context], Prediction], data: IO[bytes], context: Context
) -> tuple[bytes, str]:
    """Hand JSON through to TensorFlow Serving, as it is."""
    content_type = context.request_content_type.partition(";")[0].strip().lower()
    if content_type != "application/json":
        description = f"Unsupported Media Type: {content_type}; without inference.py this server takes application/json"
        raise falcon.HTTPUnsupportedMediaType(description=description)
    return ask(data.read(), context).content, context.accept_header


def describe(headers: Mapping[str, str], length: int, rest: str, default_model: str) -> Context:
    """What a handler is told about a request.

    Args:
        headers: the request's.
        length: of its body, in bytes.
        rest: where TensorFlow Serving's part answers: http://host:port/path.
        default_model: the one that is asked where the request names none.

    Raises:
        ValueError: a custom attribute asks for what the container allows nobody to ask for.
    """
    custom = headers.get(CUSTOM_ATTRIBUTES)
    attributes = dict(one.split("=", 1) for one in re.findall(r"(tfs-[a-z\-]+=[^,]+)", custom or ""))
    name, version = attributes.get("tfs-model-name"), attributes.get("tfs-model-version")
    method = attributes.get("tfs-method")
    if name is not None and not MODEL_NAME.fullmatch(name):
        raise ValueError("invalid tfs-model-name")
    if version is not None and not re.fullmatch("[0-9]+", version):
        raise ValueError("invalid tfs-model-version: must be a positive integer")
    if method not in (None, *METHODS):
        raise ValueError(f"invalid tfs-method: must be one of {'|'.join(METHODS)}")
    model = f"{name or default_model}{f'/versions/{version}' if version else ''}"
    return Context(
        model_name=name,
        model_version=version,
        method=method,
        rest_uri=f"{rest}/v1/models/{model}:{method or METHODS[0]}",
        custom_attributes=custom,
        request_content_type=headers.get("Content-Type") or "application/json",
        accept_header=headers.get("Accept") or "application/json",
        content_length=length,
    )


def application(ready: Callable[[], Service | None], workers: int) -> Starlette:
    """Build the web application.

    Args:
        ready: what `load` returned, or None as long as it has not.
        workers: threads that answer requests; reading and writing bodies needs none of them.
    """
    pool = ThreadPoolExecutor(workers)
    handlers = secrets.token_urlsafe()  # only they are told where TensorFlow Serving's part answers
    key = os.environ.get(bodies.KEY_VARIABLE, "")

    def ping(_: Request) -> Response:
        return Response(status_code=200 if ready() else 503)

    async def invocations(request: Request) -> Response:
        if key and not hmac.compare_digest(request.headers.get(bodies.KEY_HEADER, "").encode(), key.encode()):
            return _error(403, "this model server answers only who started it")
        service = ready()
        if service is None:
            return _error(503, "the model is still being loaded")
        try:
            body = await bodies.read(request)
        except ClientDisconnect:
            return _error(400, "the client left before the body was complete")
        if body is None:
            return _error(413, f"the body is too large; allowed: up to {bodies.MAX_BYTES} bytes")
        try:
            rest_uri = f"http://localhost:{request.scope['server'][1]}/{handlers}"
            context = describe(request.headers, len(body), rest_uri, service.models.default)
        except ValueError as error:
            return _error(400, str(error))
        return await asyncio.get_running_loop().run_in_executor(pool, respond, service.handler, body, context)

    async def rest(request: Request) -> Response:
        service, call = ready(), REST_CALL.fullmatch(request.path_params["call"])
        if service is None or call is None:
            return _error(404, "no call of TensorFlow Serving that is known here")
        body = await bodies.read(request, MAX_REST_BYTES)
        if body is None:
            return _error(413, f"the body is too large; allowed: up to {MAX_REST_BYTES} bytes")
        # Not in `pool`, whose threads may be those that wait for it.
        answer = await asyncio.to_thread(service.models.call, **call.groupdict(), body=body)
        return Response(answer.content, answer.status_code, media_type="application/json")

    return Starlette(
        routes=[
            Route("/ping", ping),
            Route("/invocations", invocations, methods=["POST"]),
            Route(f"/{handlers}/v1/models/{{call:path}}", rest, methods=["POST"]),
        ],
    )


def respond(handler: Handler, body: bytes, context: Context) -> Response:
    """What a handler answers, or how it failed; the container catches as widely and answers with the message."""
    try:
        return _answer(handler, body, context)
    except Exception as error:
        log.exception("a request failed")
        return _error(500, str(error))


def _answer(handler: Handler, body: bytes, context: Context) -> Response:
    try:
        content, content_type = handler(io.BytesIO(body), context)
    except falcon.HTTPError as error:  # a handler's way to choose the status
        return Response(error.to_json(), error.status_code, dict(error.headers or {}), "application/json")
    return Response(content, media_type=content_type)


def _error(status: int, message: str) -> Response:
    # A message may hold half a Unicode character.
    return JSONResponse({"error": message.encode(errors="backslashreplace").decode()}, status)


async def serve(folder: Path, host: str, port: int, workers: int) -> None:
    """Listen at once, load meanwhile, answer until SIGTERM or SIGINT; then finish what is under way.

    Raises:
        UserError: the address is not a loopback address or is taken, or the archive can't be loaded.
    """
    with _listen(host, port) as listener:

        def ready() -> Service | None:
            return loaded.result() if loaded.done() and not loaded.exception() else None

        def stop_if_failed(future: asyncio.Future[Service]) -> None:
            server.should_exit = server.should_exit or future.exception() is not None

        config = uvicorn.Config(
            application(ready, workers),
            workers=1,  # WEB_CONCURRENCY is meant for other servers
            log_level="warning",
            access_log=False,
            lifespan="off",
            http=connections.limited(MAX_CONNECTIONS),
            backlog=connections.BACKLOG,
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        config.load()
        server = uvicorn.Server(config)
        log.info("listening on http://%s:%d", *listener.getsockname()[:2])
        # Only now: TensorFlow, while it is imported, holds standard error and locks that imports and logging need.
        loaded: asyncio.Future[Service] = asyncio.get_running_loop().run_in_executor(None, load, folder)
        loaded.add_done_callback(stop_if_failed)
        await server.serve(sockets=[listener])
    await loaded


def _listen(host: str, port: int) -> socket.socket:
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UserError(f"--host {host}: not a loopback address; allowed: 127.0.0.1 or ::1")
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=connections.BACKLOG)
    except (OSError, OverflowError) as error:
        raise UserError(f"--port {port}: cannot listen on {host}: {error}; choose another port") from error
    # Connections inherit it; asyncio sets it only on sockets made with IPPROTO_TCP. Without it answers take 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def main() -> None:
    """Run the server from the command line."""
    parser = argparse.ArgumentParser(description="The model server: GET /ping and POST /invocations")
    parser.add_argument("--archive-folder", type=Path, required=True, help="a model archive, unpacked")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one and logs it")
    parser.add_argument("--workers", type=int, default=2, help="threads that answer requests")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(levelname)s %(message)s")
    log.setLevel(logging.INFO)
    # A handler that asks TensorFlow Serving finds it on this machine, not behind a person's proxy.
    direct = os.environ.get("NO_PROXY") or os.environ.get("no_proxy")
    os.environ["NO_PROXY"] = ",".join(filter(None, [direct, "localhost"]))
    os.environ.pop("no_proxy", None)
    asyncio.run(serve(arguments.archive_folder, arguments.host, arguments.port, arguments.workers))


if __name__ == "__main__":
    process.run(main)
