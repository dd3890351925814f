"""A request's body: how large SageMaker lets it be, reading it to its end, and whose a model server reads."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.requests import Request

MAX_BYTES: Final = 6 * 1024**2  # of a real-time request. Source: docs.aws.amazon.com, InvokeEndpoint
# Who starts a model server may give it a key in its environment; it reads the requests that bear it, and no others.
KEY_VARIABLE: Final = "FASHION_CNN_MODEL_SERVER_KEY"
KEY_HEADER: Final = "X-Fashion-CNN-Key"


async def read(request: "Request", limit: int = MAX_BYTES) -> bytes | None:
    """Read a body, to its end even where it is too large, else the client would see a reset.

    Returns:
        None where it is larger than the limit.

    Raises:
        ClientDisconnect: the client left before its end.
    """
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= limit:
            body += chunk
    return bytes(body) if size <= limit else None
