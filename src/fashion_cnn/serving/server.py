"""The model server: SageMaker's container contract, GET /ping and POST /invocations, on an unpacked archive.

It plays AWS's TensorFlow Serving container: the archive's own inference.py in front and, in the same process,
the SavedModel behind it, which answers as TensorFlow Serving's REST predict call does. One thing differs: a
request that the handler refuses gets the status that the handler names, where the container says 500.

Source: docs.aws.amazon.com, "Use your own inference code with hosting services";
github.com/aws/sagemaker-tensorflow-serving-container, docker/build_artifacts/sagemaker/python_service.py.
"""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import asyncio
import hmac
import importlib.util
import io
import ipaddress
import json
import logging
import os
import socket
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Final, NamedTuple

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import IMAGE_SHAPE
from fashion_cnn.serving import bodies, connections

SHUTDOWN_SECONDS: Final = 60
MAX_CONNECTIONS: Final = 128
REST_URI: Final = "http://localhost:8501/v1/models/model:predict"

log = logging.getLogger("fashion_cnn.serving")

Predict = Callable[[str], "Prediction"]
Answer = Callable[[bytes, "Context"], tuple[str, str]]


class Context(NamedTuple):
    """What the container tells a handler about a request, by the container's names."""

    model_name: str | None = None
    model_version: str | None = None
    method: str | None = None
    rest_uri: str = REST_URI
    grpc_port: str | None = None
    channel: None = None
    custom_attributes: str | None = None
    request_content_type: str = "application/json"
    accept_header: str = "application/json"
    content_length: int | None = None


class Prediction(NamedTuple):
    """TensorFlow Serving's response, as far as a handler reads it."""

    status_code: int
    content: bytes


def load_handler(folder: Path) -> ModuleType:
    """Import `code/inference.py` of an unpacked archive, as the container does.

    Raises:
        UserError: the file is missing or lacks one of the two functions.
    """
    path = folder / "code" / "inference.py"
    if not path.is_file():
        raise UserError(f"{path}: not found; the archive must hold code/inference.py")
    spec = importlib.util.spec_from_file_location("inference", path)
    assert spec is not None  # noqa: S101 (a .py file has a spec and a loader)
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in ("input_handler", "output_handler"):
        if not callable(getattr(module, name, None)):
            raise UserError(f"{path}: has no function {name}; a handler needs input_handler and output_handler")
    return module


def load_model(folder: Path) -> Predict:
    """Load the newest version of an unpacked archive's SavedModel.

    Returns:
        TensorFlow Serving's REST predict call: `{"instances": [...]}` in, `{"predictions": [...]}` out.

    Raises:
        UserError: there is no SavedModel, or TensorFlow can't load it.
    """
    from fashion_cnn.core.lean_keras import tf  # noqa: PLC0415 (takes seconds, in which the server already listens)

    versions = [path for path in folder.iterdir() if path.name.isdecimal() and path.is_dir()]
    if not versions:
        raise UserError(f"{folder}: holds no model; the archive must hold <number>/saved_model.pb")
    newest = max(versions, key=lambda path: int(path.name))
    try:
        model = tf.saved_model.load(str(newest))
        signature = model.signatures["serving_default"]
    except (OSError, ValueError, KeyError, RuntimeError, tf.errors.OpError) as error:
        raise UserError(f"{newest}: cannot be loaded: {' '.join(str(error).split())}") from error
    (name,) = signature.structured_input_signature[1]
    (output,) = signature.structured_outputs

    def predict(body: str) -> Prediction:
        images = np.array(json.loads(body)["instances"], np.uint8)
        probabilities = signature(**{name: tf.constant(images)})[output].numpy()
        return Prediction(200, json.dumps({"predictions": probabilities.tolist()}).encode())

    return predict


def load(folder: Path) -> Answer:
    """Load handler and model and try them with one black image.

    Returns:
        A function that answers a request: its body and context in, body and content type out.

    Raises:
        UserError: as `load_handler` and `load_model`.
    """
    handler = load_handler(folder)
    predict = load_model(folder)

    def answer(body: bytes, context: Context) -> tuple[str, str]:
        return handler.output_handler(predict(handler.input_handler(io.BytesIO(body), context)), context)

    answer(json.dumps({"instances": np.zeros((1, *IMAGE_SHAPE), int).tolist()}).encode(), Context())
    return answer


def application(ready: Callable[[], Answer | None], workers: int) -> Starlette:
    """Build the web application.

    Args:
        ready: what `load` returned, or None as long as it has not.
        workers: threads that answer requests; reading and writing bodies needs none of them.
    """
    pool = ThreadPoolExecutor(workers)
    key = os.environ.get(bodies.KEY_VARIABLE, "")

    def ping(_: Request) -> Response:
        return Response(status_code=200 if ready() else 503)

    async def invocations(request: Request) -> Response:
        if key and not hmac.compare_digest(request.headers.get(bodies.KEY_HEADER, "").encode(), key.encode()):
            return _error(403, "this model server answers only who started it")
        answer = ready()
        if answer is None:
            return _error(503, "the model is still being loaded")
        try:
            body = await bodies.read(request)
        except ClientDisconnect:
            return _error(400, "the client left before the body was complete")
        if body is None:
            return _error(413, f"the body is too large; allowed: up to {bodies.MAX_BYTES} bytes")
        context = Context(
            custom_attributes=request.headers.get("X-Amzn-SageMaker-Custom-Attributes"),
            request_content_type=request.headers.get("Content-Type") or "application/json",
            accept_header=request.headers.get("Accept") or "application/json",
            content_length=len(body),
        )
        try:
            content, content_type = await asyncio.get_running_loop().run_in_executor(pool, answer, body, context)
        except Exception as error:  # the container catches as widely and answers with the message
            status = getattr(error, "status", 500)
            if status >= 500:
                log.exception("a request failed")
            return _error(status, str(error))
        return Response(content, media_type=content_type)

    return Starlette(
        routes=[Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])],
    )


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


async def serve(folder: Path, host: str, port: int, workers: int) -> None:
    """Listen at once, load meanwhile, answer until SIGTERM or SIGINT; then finish what is under way.

    Raises:
        UserError: the address is not a loopback address or is taken, or the archive can't be loaded.
    """
    with _listen(host, port) as listener:
        loaded: asyncio.Future[Answer] = asyncio.get_running_loop().run_in_executor(None, load, folder)

        def ready() -> Answer | None:
            return loaded.result() if loaded.done() and not loaded.exception() else None

        def stop_if_failed(future: asyncio.Future[Answer]) -> None:
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
        server = uvicorn.Server(config)
        loaded.add_done_callback(stop_if_failed)
        log.info("listening on http://%s:%d", *listener.getsockname()[:2])
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
    asyncio.run(serve(arguments.archive_folder, arguments.host, arguments.port, arguments.workers))


if __name__ == "__main__":
    process.run(main)
