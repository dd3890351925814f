"""Puts the endpoint in service under load, or under malformed requests. Not part of the suite: `make soak`.

    python tests/soak_endpoint.py malformed --requests 10000
    python tests/soak_endpoint.py load --seconds 60

Both print what they counted and end with status 1 where a request was lost or the endpoint failed.
"""

import argparse
import collections
import io
import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fashion_cnn.cloud.params import Cloud, Deploy
from fashion_cnn.cloud.target import connect
from fashion_cnn.core import dataset, params
from fashion_cnn.localcloud import daemon, s3, sagemaker
from fashion_cnn.serving import inference

MEGABYTE = 1024**2
GROWTH_ALLOWED = 64 * MEGABYTE  # what an allocator keeps; a leak of 10 kB a request would be more


def images() -> np.ndarray:
    return dataset.load(Path("data/prepared"), "test").images


def npy(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def picture(image: np.ndarray, file_format: str) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(255 - image).resize((84, 84)).save(stream, file_format)
    return stream.getvalue()


def client_of(endpoint: Deploy) -> Any:
    once = Config(retries={"total_max_attempts": 1}, read_timeout=60)  # no request is sent twice in secret
    return connect(endpoint).session.client("sagemaker-runtime", config=once)


@st.composite
def mutated(draw: st.DrawFn, valid: bytes) -> bytes:
    """A valid body with some bytes cut out, replaced or put in."""
    body = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(body)))
        body[at : at + draw(st.integers(0, 40))] = draw(st.binary(max_size=40))
    return bytes(body)


def malformed(image: np.ndarray) -> st.SearchStrategy[tuple[bytes, str]]:
    """Bodies and content types, most of them wrong in one way or another."""
    as_json = json.dumps({"instances": [image.tolist()]}).encode()
    pictures = {f"image/{name.lower()}": picture(image, name) for name in inference.FORMATS if name != "HEIF"}
    heic = Path(__file__).parent.joinpath("support", "boot.heic").read_bytes()
    valid = {"application/json": as_json, "application/x-npy": npy(image), "image/heic": heic, **pictures}
    documents = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    )
    types = st.sampled_from([*valid, "application/x-image", "text/csv", "application/octet-stream"])
    return st.one_of(
        *(st.tuples(mutated(body), st.just(content_type)) for content_type, body in valid.items()),
        st.tuples(documents.map(lambda inner: json.dumps(inner).encode()), st.just("application/json")),
        st.tuples(documents.map(lambda inner: json.dumps({"instances": inner}).encode()), st.just("application/json")),
        st.tuples(st.binary(max_size=300), types),
        st.tuples(st.sampled_from([*valid.values()]), types),
    )


def memory() -> int:
    """Resident bytes of the embedded SageMaker and its model servers together."""
    server = daemon.find(sagemaker.server(s3.store()))
    assert server, "the embedded SageMaker runs"
    return sum(process.memory_info().rss for process in [server, *server.children(recursive=True)])


def soak_malformed(deploy: Deploy, requests: int) -> bool:
    client, seen, sizes = client_of(deploy), collections.Counter[str](), []

    @settings(
        max_examples=requests, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(malformed(images()[0]))
    def send(request: tuple[bytes, str]) -> None:
        body, content_type = request
        try:
            client.invoke_endpoint(EndpointName=deploy.endpoint, Body=body, ContentType=content_type)
            seen["200"] += 1
        except ClientError as error:
            answered = error.response
            status = answered.get("OriginalStatusCode") or answered["ResponseMetadata"]["HTTPStatusCode"]
            seen[f"{status}"] += 1
        if sum(seen.values()) % 1000 == 0:
            sizes.append(memory())

    send()
    warm, last = max(sizes[:2]), sizes[-1]
    print(f"{sum(seen.values())} requests, answers by status: {dict(sorted(seen.items()))}")
    print(
        f"memory after {1000 * len(sizes[:2])} requests {warm / MEGABYTE:.0f} MB, at the end {last / MEGABYTE:.0f} MB"
    )
    return not any(status.startswith("5") for status in seen) and last - warm < GROWTH_ALLOWED


def soak_load(deploy: Deploy, seconds: float) -> bool:
    client, body = client_of(deploy), npy(images()[:1])
    answered, errors = collections.Counter[str](), collections.Counter[str]()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            answer = client.invoke_endpoint(EndpointName=deploy.endpoint, Body=body, ContentType="application/x-npy")
            (prediction,) = json.loads(answer["Body"].read())["predictions"]
            answered[f"{max(prediction['probabilities'].values()):.6f}"] += 1
        except (ClientError, BotoCoreError) as error:
            errors[str(error)] += 1
    print(f"{answered.total()} requests answered, by the highest probability: {dict(answered)}")
    print(f"{errors.total()} errors: {dict(errors)}")
    return not errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("malformed").add_argument("--requests", type=int, default=10_000)
    commands.add_parser("load").add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    deploy = params.load(Cloud).deploy
    if options.command == "malformed":
        return 0 if soak_malformed(deploy, options.requests) else 1
    return 0 if soak_load(deploy, options.seconds) else 1


if __name__ == "__main__":
    sys.exit(main())
