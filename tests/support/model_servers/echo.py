"""Answers what it was asked, or does what the body says. `model.json` in the archive may make it crash or sick."""

import argparse
import asyncio
import json
import os
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

parser = argparse.ArgumentParser()
parser.add_argument("--archive-folder", type=Path)
parser.add_argument("--port", type=int)
options = parser.parse_args()
model = json.loads((options.archive_folder / "model.json").read_text(encoding="utf-8"))
if model.get("crash"):
    sys.exit("error: these weights are broken")


async def ping(_: Request) -> Response:
    return Response(status_code=503 if model.get("sick") else 200)


async def invocations(request: Request) -> Response:
    body = await request.body()
    if body.startswith(b"status "):
        return Response(b"no such thing", int(body[7:]))
    if body.startswith(b"attributes "):
        answer = Response(b"{}")
        answer.raw_headers.append((b"x-amzn-sagemaker-custom-attributes", body[11:]))
        return answer
    if body == b"die":
        os._exit(1)
    if body.startswith(b"hold "):
        held = Path(body[5:].decode())
        if held.exists():
            held.write_bytes(held.read_bytes() + b".")
        while held.exists():
            await asyncio.sleep(0.01)
    seen = {"model": model["name"], "pid": os.getpid(), "bytes": len(body), "variable": os.environ.get("VARIABLE")}
    return JSONResponse(seen | {"headers": dict(request.headers)})


routes = [Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])]
uvicorn.run(Starlette(routes=routes), port=options.port, log_level="warning")
