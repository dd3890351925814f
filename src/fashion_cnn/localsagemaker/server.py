"""The embedded SageMaker's HTTP server: SageMaker's JSON protocol, InvokeEndpoint, and a little of STS."""

from fashion_cnn.core import process  # first: it makes the process ready for what is imported next

# isort: split
import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import parse_qs

import uvicorn
from botocore.credentials import Credentials
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from fashion_cnn.core.errors import UserError
from fashion_cnn.localcloud import daemon, s3, sagemaker
from fashion_cnn.localsagemaker import hosting, jobs, operations, training
from fashion_cnn.localsagemaker.hosting import UnansweredError
from fashion_cnn.localsagemaker.operations import ALL_KINDS, Cloud, serving
from fashion_cnn.localsagemaker.page import routes
from fashion_cnn.localsagemaker.protocol import (
    ACCOUNT,
    AwsError,
    authenticate,
    body_answer,
    check,
    detected,
    json_answer,
    json_error,
    operation,
    sts_answer,
    sts_error,
    violated,
    violation,
)
from fashion_cnn.localsagemaker.supported import require_supported
from fashion_cnn.serving import bodies, connections

# AWS's front server cuts off that much above the limit. Source: github.com/aws/sagemaker-python-sdk, issue 171.
MAX_HTTP_BYTES: Final = bodies.MAX_BYTES + 4096
MAX_JSON_BYTES: Final = 1024**2
MAX_CALLS_BYTES: Final = 4 * 1024**2
STARTUP_SECONDS: Final = 60.0
SHUTDOWN_SECONDS: Final = 8  # less than daemon.stop waits
# Half of the files that a process may have open where the system is strict, so that the rest is there for the work.
MAX_CONNECTIONS: Final = 512

log = logging.getLogger("fashion_cnn.localcloud")

SERVICES: Final = {
    "sagemaker": operations.OPERATIONS | training.OPERATIONS,
    "logs": training.LOG_OPERATIONS,
}
LOGS_PREFIX: Final = operation("logs", "GetLogEvents").service_model.metadata["targetPrefix"]

# The members of InvokeEndpoint that travel as headers.
INVOCATION_HEADERS: Final = {
    name: shape.serialization["name"].lower()
    for name, shape in operation("sagemaker-runtime", "InvokeEndpoint").input_shape.members.items()
    if shape.serialization.get("location") == "header"
}
RUNTIME: Final = operation("sagemaker-runtime", "InvokeEndpoint").service_model
OTHER_INVOCATIONS: Final = {
    name: RUNTIME.operation_model(name).http["requestUri"]
    for name in RUNTIME.operation_names
    if name != "InvokeEndpoint"
}
FORWARDED: Final = {
    "ContentType": "Content-Type",
    "Accept": "Accept",
    "CustomAttributes": "X-Amzn-SageMaker-Custom-Attributes",
    "InferenceId": "X-Amzn-SageMaker-Inference-Id",
}


async def root(request: Request) -> Response:
    """POST /: SageMaker's JSON protocol, and STS's query protocol."""
    headers = request.headers
    if "x-amz-target" not in headers and "form-urlencoded" in headers.get("content-type", ""):
        return await sts(request)
    cloud: Cloud = request.app.state.cloud
    prefix, _, name = headers.get("x-amz-target", "").rpartition(".")
    service, parameters = "logs" if prefix == LOGS_PREFIX else "sagemaker", {}
    try:
        body = await read(request, MAX_JSON_BYTES)
        authenticate(request, body, cloud.credentials, service, s3.REGION)
        parameters = document(body)
        response = json_answer(await call(cloud, service, name, parameters))
    except Exception as error:
        response = json_error(refusal(error))
    if name in SERVICES["sagemaker"]:
        record_call(cloud, name, parameters, response.status_code)
    return response


async def call(cloud: Cloud, service: str, name: str, parameters: dict[str, Any]) -> dict[str, Any]:
    """Check the parameters, run the operation of a service, check its result.

    Raises:
        AwsError: the operation is not known, the parameters are not allowed, or what the operation raises.
        RuntimeError: the result is not what the operation's description says.
    """
    known = SERVICES[service]
    if name not in known:
        message = f"The embedded SageMaker does not know {name!r}; it knows {', '.join(known)}."
        raise AwsError("UnknownOperationException", message)
    model = operation(service, name)
    check(parameters, model.input_shape)
    require_supported(name, parameters)
    result = await known[name](cloud, parameters)
    if model.output_shape:
        try:
            check(result, model.output_shape)
        except AwsError as error:
            raise RuntimeError(f"{name} answers what its description does not allow: {error}") from error
    return result


def document(body: bytes) -> dict[str, Any]:
    """Read a request of the JSON protocol; a member that is null counts as not given.

    Raises:
        AwsError: it is not a JSON object, or holds what is no number or half a character.
    """
    try:
        parameters = json.loads(body, object_hook=_given, parse_constant=_refuse_constant)
        json.dumps(parameters, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        parameters = None
    if not isinstance(parameters, dict):
        raise AwsError("SerializationException", "The body is not a JSON object in UTF-8.")
    return parameters


def _given(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is not None}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


async def sts(request: Request) -> Response:
    """GetCallerIdentity, with which clients ask whether their credentials are good."""
    cloud: Cloud = request.app.state.cloud
    try:
        body = await read(request, MAX_JSON_BYTES)
        authenticate(request, body, cloud.credentials, "sts", s3.REGION)
    except AwsError as error:
        return sts_error(error)
    if parse_qs(body.decode("latin-1")).get("Action") != ["GetCallerIdentity"]:
        return sts_error(AwsError("InvalidAction", "The embedded STS knows GetCallerIdentity alone."))
    record_call(cloud, "GetCallerIdentity", {}, 200)
    user = {"Arn": f"arn:aws:iam::{ACCOUNT}:user/{s3.BUCKET}", "UserId": s3.BUCKET, "Account": ACCOUNT}
    return sts_answer("GetCallerIdentity", user)


async def invocations(request: Request) -> Response:
    """InvokeEndpoint: POST /endpoints/NAME/invocations."""
    cloud: Cloud = request.app.state.cloud
    headers = request.headers
    parameters = {name: headers[header] for name, header in INVOCATION_HEADERS.items() if header in headers}
    parameters["EndpointName"] = request.path_params["name"]
    try:
        body = await read(request, MAX_HTTP_BYTES)
        authenticate(request, body, cloud.credentials, "sagemaker", s3.REGION)
        response = await invoke(cloud, parameters, body)
    except Exception as error:
        response = json_error(refusal(error))
    record_call(cloud, "InvokeEndpoint", parameters, response.status_code)
    return response


async def other_invocations(name: str, request: Request) -> Response:
    """InvokeEndpointAsync and its like, which are refused."""
    error = AwsError(
        "UnknownOperationException", f"The embedded SageMaker does not know {name}; it knows InvokeEndpoint."
    )
    try:
        body = await read(request, MAX_HTTP_BYTES)
        authenticate(request, body, request.app.state.cloud.credentials, "sagemaker", s3.REGION)
    except Exception as earlier:
        error = refusal(earlier)
    return json_error(error)


async def invoke(cloud: Cloud, parameters: Mapping[str, str], body: bytes) -> Response:
    """Have a model server answer.

    Raises:
        AwsError: ValidationError, ModelError or ServiceUnavailable, as InvokeEndpoint has them.
    """
    check_invocation(parameters, body)
    name, target = parameters["EndpointName"], parameters.get("TargetVariant")
    serving(cloud, name, target)
    if "TargetModel" in parameters:
        message = f"Endpoint {name} is not a multi-model endpoint and does not support target model header."
        raise AwsError("ValidationError", message, ErrorCode="TARGET_MODEL_HEADER_NOT_SUPPORTED")
    headers = {FORWARDED[member]: value for member, value in parameters.items() if member in FORWARDED}
    try:
        answer = await hosting.forward(
            lambda: serving(cloud, name, target), cloud.hosting.session, target, headers, body
        )
    except TimeoutError:
        message = "Your invocation timed out while waiting for a response from container primary."
        raise model_error(name, 0, message) from None
    except UnansweredError as error:
        raise AwsError("ServiceUnavailable", f"Endpoint {name}: {error}.", 503) from error
    if answer.status != 200:
        raise model_error(name, answer.status, answer.body.decode(errors="replace"))
    passed = ("Content-Type", FORWARDED["CustomAttributes"])
    # aiohttp reads a header's bytes as UTF-8, Starlette writes them as Latin-1.
    own = {
        key: answer.headers[key].encode(errors="surrogateescape").decode("latin-1")
        for key in passed
        if key in answer.headers
    }
    return body_answer(answer.body, {**own, "x-Amzn-Invoked-Production-Variant": answer.variant})


def check_invocation(parameters: Mapping[str, str], body: bytes) -> None:
    """Check what InvokeEndpoint's shape says of its headers and body.

    Raises:
        AwsError: ValidationError.
    """
    require_supported("InvokeEndpoint", parameters, "ValidationError")
    found = [
        violation(parameters[name], f"{name[0].lower()}{name[1:]}", constraint)
        for name, shape in operation("sagemaker-runtime", "InvokeEndpoint").input_shape.members.items()
        if name in parameters
        for constraint in violated(parameters[name], shape)
    ]
    if len(body) > bodies.MAX_BYTES:
        constraint = f"Member must have length less than or equal to {bodies.MAX_BYTES}"
        found.append(f"Value at 'body' failed to satisfy constraint: {constraint}")
    if found:
        raise AwsError("ValidationError", detected(found))


def model_error(endpoint: str, status: int, message: str) -> AwsError:
    """What InvokeEndpoint answers where the model server answered an error, or (status 0) nothing."""
    side = "client" if 400 <= status < 500 else "server"
    return AwsError(
        "ModelError",
        f'Received {side} error ({status}) from primary with message "{message}". See the log of {endpoint} in the '
        f"embedded cloud's sagemaker/logs in account {ACCOUNT} for more information.",
        424,
        OriginalStatusCode=status,
        OriginalMessage=message,
        LogStreamArn=f"arn:aws:logs:{s3.REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{endpoint}",
        ErrorCode=f"{side.upper()}_ERROR_FROM_MODEL",
    )


async def read(request: Request, limit: int) -> bytes:
    """Read the body of a signed request to its end.

    One that does not name our key is not read, so it takes no memory; `authenticate` refuses it whatever it holds.

    Raises:
        AwsError: as `read_unsigned`.
    """
    cloud: Cloud = request.app.state.cloud
    signed = f"Credential={cloud.credentials.access_key}/" in request.headers.get("authorization", "")
    return await read_unsigned(request, limit) if signed else b""


async def read_unsigned(request: Request, limit: int) -> bytes:
    """Read a body to its end.

    Raises:
        AwsError: it is larger than the limit, or the client left; its wording is AWS's.
    """
    try:
        body = await bodies.read(request, limit)
    except ClientDisconnect:
        raise AwsError("RequestAbortedException", "The client left before the body was complete.") from None
    if body is None:
        raise AwsError("413", f"HTTP content length exceeded {limit} bytes.", 413)
    return body


def refusal(error: Exception) -> AwsError:
    """What a request that failed is answered; Starlette would answer too, but end the connection."""
    if isinstance(error, AwsError):
        return error
    log.error("a request failed", exc_info=error)
    message = "The request processing has failed because of an unknown error, exception or failure."
    return AwsError("InternalFailure", message, 500)


async def unknown_path(request: Request, _: Exception) -> Response:
    """What nobody serves; AWS names an operation here, too."""
    known = "SageMaker's operations at /, InvokeEndpoint at /endpoints/NAME/invocations, and the page"
    message = f"The embedded SageMaker does not know {request.method} {request.url.path}; it knows {known}."
    return json_error(AwsError("UnknownOperationException", message, 404))


async def internal_failure(_: Request, error: Exception) -> Response:
    """What AWS answers to a fault of its own; the server's log has the traceback."""
    return json_error(AwsError("InternalFailure", f"The embedded SageMaker failed: {error!r}", 500))


def record_call(cloud: Cloud, name: str, parameters: Mapping[str, Any], status: int) -> None:
    """Note a call in sagemaker-calls.jsonl: operation, parameters without bodies, HTTP status."""
    cloud.calls.info(json.dumps({"operation": name, "parameters": parameters, "status": status}))


ROUTES: Final[list[BaseRoute]] = [
    Route("/endpoints/{name:path}/invocations", invocations, methods=["POST"]),
    *(
        Route(uri.replace("{EndpointName}", "{name:path}"), partial(other_invocations, name), methods=["POST"])
        for name, uri in OTHER_INVOCATIONS.items()
    ),
    Route("/", root, methods=["POST"]),
    *routes.routes(read_unsigned, invoke),
]


def application(folder: Path, model_server: str, startup_seconds: float) -> Starlette:
    """Build the web application.

    Args:
        folder: the embedded cloud's.
        model_server: the module that is run on an unpacked archive.
        startup_seconds: that a model server has, where the endpoint configuration does not say.
    """

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        store, state = s3.settings(s3.store(folder)), sagemaker.read_state(folder)
        s3.name_full_disks(s3.store(folder), hosting.s3_client(store).meta.events)
        async with hosting.client_session() as session:
            cloud = app.state.cloud = Cloud(
                folder=folder,
                state={kind.name: dict(state.get(kind.name, {})) for kind in ALL_KINDS},
                credentials=Credentials(store.access_key, store.secret_key),
                hosting=hosting.Settings(store, session, model_server),
                startup_seconds=startup_seconds,
                calls=_calls(folder / "sagemaker-calls.jsonl"),
                jobs=jobs.Settings(
                    store,
                    folder / "sagemaker" / "jobs",
                    folder / "sagemaker" / "job-logs",
                    asyncio.Semaphore(len(os.sched_getaffinity(0))),
                ),
            )
            operations.recover(cloud)
            training.recover(cloud)
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, training.interrupt_spot, cloud)
            cloud.run(_bound_logs(folder))
            yield
            for task in cloud.tasks:
                task.cancel()
            await asyncio.gather(*cloud.tasks, return_exceptions=True)
            retired = [hosting.retire(fleet, keep_archives=True) for fleet in cloud.fleets.values()]
            await asyncio.gather(*retired)

    # Read now: the first caller should not wait for it.
    for service, known in SERVICES.items():
        for name in known:
            operation(service, name)
    return Starlette(
        routes=ROUTES, exception_handlers={404: unknown_path, Exception: internal_failure}, lifespan=lifespan
    )


async def _bound_logs(folder: Path) -> None:
    while True:
        for log in (*folder.glob("*.log"), *folder.glob("sagemaker/logs/*.log")):
            daemon.bound_log(log)
        await asyncio.sleep(1)


def _calls(path: Path) -> logging.Logger:
    calls = logging.getLogger("fashion_cnn.localcloud.calls")
    calls.propagate = False
    calls.setLevel(logging.INFO)
    calls.addHandler(RotatingFileHandler(path, maxBytes=MAX_CALLS_BYTES, backupCount=1, encoding="utf-8"))
    return calls


def main() -> None:
    """Run the server; `sagemaker.start` does."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="the embedded cloud's folder")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model-server", default="fashion_cnn.serving.server", help="a Python module")
    parser.add_argument("--startup-seconds", type=float, default=STARTUP_SECONDS, help="for /ping to succeed")
    options = parser.parse_args()
    folder = options.folder.absolute()
    try:
        sagemaker.read_state(folder)
    except UserError as error:
        sys.exit(str(error))
    uvicorn.run(
        application(folder, options.model_server, options.startup_seconds),
        host=s3.HOST,
        port=options.port,
        workers=1,  # WEB_CONCURRENCY is meant for other servers
        log_level="warning",
        access_log=False,
        server_header=False,
        http=connections.limited(MAX_CONNECTIONS),
        backlog=connections.BACKLOG,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )


if __name__ == "__main__":
    process.run(main)
