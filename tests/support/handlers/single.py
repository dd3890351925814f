"""One `handler`, which asks TensorFlow Serving itself and imports from `code` and `code/lib`."""

from typing import Any

import beside  # type: ignore[import-not-found]
import falcon
import only_in_lib  # type: ignore[import-not-found]
import requests


def handler(data: Any, context: Any) -> tuple[bytes, str]:
    body = data.read()
    if body == b"tea":
        raise falcon.HTTPError("418 teapot", description=f"{beside.NAME} and {only_in_lib.NAME}")
    if body == b"half a character":
        raise ValueError("\ud800")
    response = requests.post(context.rest_uri, data=body, timeout=context.timeout)
    return response.content, "application/json"
