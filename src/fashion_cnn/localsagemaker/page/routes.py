"""The demo page's routes: the page itself, the bundle from S3, pictures to 28×28 pixels, and those to an endpoint.

They are for browsers on this machine. A browser signs nothing, so another site's page must not reach them: a foreign
name that resolves to loopback is refused by its Host header, a foreign page's request by its Origin.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.localcloud import s3
from fashion_cnn.localsagemaker import hosting
from fashion_cnn.localsagemaker.operations import CONFIG, ENDPOINT, Cloud, Record
from fashion_cnn.localsagemaker.protocol import AwsError, json_error
from fashion_cnn.reporting.colors import COLORS
from fashion_cnn.serving import bodies, bundle, inference

SCRIPTS: Final = ("answers", "gallery", "network", "occlusion", "page", "pictures", "requests", "server", "words")
FILES: Final = {
    "/": ("page.html", "text/html"),
    "/demo/page.css": ("page.css", "text/css"),
    **{f"/demo/{name}.js": (f"{name}.js", "text/javascript") for name in SCRIPTS},
}
ARMS_CSS: Final = "".join(f".{arm} {{ --arm: {color}; }}\n" for arm, color in COLORS.items())
# Source: owasp.org, HTTP Security Response Headers Cheat Sheet.
HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

# The report is one file: it runs nothing and asks for nothing, but has its style and pictures within.
REPORT_HEADERS: Final = HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
}
STUDIES: Final = "The page of several runs lies in the repository, beside the report: reports/studies/index.html"

ATTRIBUTES: Final = "X-Amzn-SageMaker-Custom-Attributes"
AS_IS: Final = "fashion-cnn-picture=as-is"

PIECE: Final = 64 * 1024

Read = Callable[[Request, int], Awaitable[bytes]]
Invoke = Callable[[Cloud, Mapping[str, str], bytes], Awaitable[Response]]


def routes(read: Read, invoke: Invoke) -> list[Route]:
    """The routes, for the embedded SageMaker's application.

    Args:
        read: reads a request's body up to a number of bytes, or raises AwsError.
        invoke: InvokeEndpoint: its parameters and body; the model's answer, or AwsError.
    """
    loopback = [Middleware(TrustedHostMiddleware, allowed_hosts=[s3.HOST, "localhost"])]
    large = [*loopback, Middleware(FewAtOnce, count=8)]
    return [
        *(Route(path, partial(file, *content), middleware=loopback) for path, content in FILES.items()),
        Route("/demo/arms.css", arms_css, middleware=loopback),
        Route("/demo/state", state, middleware=loopback),
        Route("/demo/bundle", partial(stored, bundle.KEY, "application/octet-stream", HEADERS), middleware=large),
        Route("/demo/report", partial(stored, bundle.REPORT_KEY, "text/html", REPORT_HEADERS), middleware=large),
        Route("/demo/studies/index.html", studies, middleware=loopback),  # to which the report links
        Route("/demo/picture", partial(picture, read), methods=["POST"], middleware=large),
        Route("/demo/endpoints/{name}", partial(predict, read, invoke), methods=["POST"], middleware=large),
    ]


class FewAtOnce:
    """Refuses what comes while `count` requests are served: the page signs nothing, and may not fill the memory."""

    def __init__(self, app: ASGIApp, count: int) -> None:
        self.app, self.places = app, asyncio.Semaphore(count)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request."""
        if self.places.locked():
            refusal = _refusal(AwsError("TooManyRequests", "The page asks for too much at once; try again.", 503))
            return await refusal(scope, receive, send)
        async with self.places:
            return await self.app(scope, receive, send)


async def file(name: str, media_type: str, _: Request) -> Response:
    """GET: one of the page's files."""
    return FileResponse(Path(__file__).with_name(name), headers=HEADERS, media_type=media_type)


async def arms_css(_: Request) -> Response:
    """GET: the arms' colours."""
    return Response(ARMS_CSS, headers=HEADERS, media_type="text/css")


async def state(request: Request) -> Response:
    """GET: names of the classes; the endpoints and what they serve; limits of pictures and of sureness."""
    cloud: Cloud = request.app.state.cloud
    # By name: that without an ending, which is the production's, is the one that the page asks first.
    endpoints = [described(cloud, record) for _, record in sorted(cloud.state[ENDPOINT.name].items())]
    limits = {"bytes": bodies.MAX_BYTES, "pixels": inference.MAX_PICTURE_PIXELS}
    content = {"classes": CLASS_NAMES, "endpoints": endpoints, "limits": limits, "unsure": inference.UNSURE}
    return JSONResponse(content, headers=HEADERS)


def described(cloud: Cloud, endpoint: Record) -> dict[str, Any]:
    """What the page says of an endpoint: its model, since when, and its tags, which name the network."""
    model = endpoint["EndpointConfigName"]
    tags = cloud.state[CONFIG.name].get(model, {}).get("Tags", {})
    # Not the time of the last change: that of an update that failed, or of a weight, began no deployment.
    images = [image for variant in endpoint.get("ProductionVariants", []) for image in variant["DeployedImages"]]
    since = max((image["ResolutionTime"] for image in images), default=None)
    name, status = endpoint["EndpointName"], endpoint["EndpointStatus"]
    return {"name": name, "status": status, "since": since, "model": model, "tags": tags}


async def stored(key: str, media_type: str, headers: Mapping[str, str], request: Request) -> Response:
    """GET: what a deployment put into S3 for the page, or that the browser's copy is still the same, or nothing."""
    cloud: Cloud = request.app.state.cloud
    known = request.headers.get("if-none-match")
    try:
        found = await asyncio.to_thread(_open_object, cloud.hosting.s3, key, known)
    except ClientError as error:
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == 304:
            return Response(status_code=304, headers={**headers, "ETag": known or ""})
        if status == 404:  # nothing was deployed yet: no error, which a browser would note in its console
            return Response(status_code=204, headers=headers)
        return _refusal(AwsError("StoreError", f"s3://{s3.BUCKET}/{key}: {error}", 502))
    except BotoCoreError:
        return _refusal(AwsError("NoStore", "The embedded S3 does not answer; make cloud-up starts it.", 503))
    headers = {**headers, "ETag": found["ETag"], "Content-Length": str(found["ContentLength"])}
    # In pieces, as the browser reads them: whole, each reader's copy would wait in the server's memory.
    return StreamingResponse(found["Body"].iter_chunks(PIECE), headers=headers, media_type=media_type)


def _open_object(store: s3.Settings, key: str, known: str | None) -> dict[str, Any]:
    condition = {"IfNoneMatch": known} if known else {}
    return hosting.s3_client(store).get_object(Bucket=s3.BUCKET, Key=key, **condition)


async def studies(_: Request) -> Response:
    """GET: where that page is."""
    return PlainTextResponse(STUDIES, headers=HEADERS, status_code=404)


async def picture(read: Read, request: Request) -> Response:
    """POST a picture: what a network sees of it, as the endpoint would say, where no endpoint does."""
    as_is = AS_IS in request.headers.get(ATTRIBUTES, "").split(",")
    try:
        _require_own_page(request)
        body = await read(request, bodies.MAX_BYTES)
        seen = await asyncio.to_thread(inference.see, body, as_is=as_is)
    except AwsError as error:
        return _refusal(error)
    except inference.BadRequestError as error:
        return _refusal(AwsError("BadPicture", str(error), error.status_code))
    return JSONResponse({"pixels": seen.pixels.tolist(), "picture": seen.picture}, headers=HEADERS)


async def predict(read: Read, invoke: Invoke, request: Request) -> Response:
    """POST what InvokeEndpoint is sent: what it answers."""
    parameters = {
        "EndpointName": request.path_params["name"],
        "ContentType": request.headers.get("content-type", ""),
    }
    if attributes := request.headers.get(ATTRIBUTES):
        parameters["CustomAttributes"] = attributes
    try:
        _require_own_page(request)
        answer = await invoke(request.app.state.cloud, parameters, await read(request, bodies.MAX_BYTES))
    except AwsError as error:
        return _refusal(error)
    answer.headers.update(HEADERS)
    return answer


def _require_own_page(request: Request) -> None:
    """Browsers name the page that sends a POST; what names none, or another, must sign as InvokeEndpoint asks.

    Raises:
        AwsError: it is not the demo page.
    """
    origin = urlsplit(request.headers.get("origin", ""))
    if (origin.scheme, origin.netloc) != ("http", request.headers["host"]):
        raise AwsError("ForeignOrigin", "Only the demo page may ask without a signature.", 403)


def _refusal(error: AwsError) -> Response:
    response = json_error(error)
    response.headers.update(HEADERS)
    return response
