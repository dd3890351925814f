"""Asks an endpoint some hundred times a second, until standard input ends: the model of every answer, then all of it.

python tests/support/load.py ACCESS ENDPOINT; ACCESS is JSON, what `boto3.client` needs.
"""

import json
import sys
import threading
import time

import boto3
from botocore.config import Config

once = Config(retries={"total_max_attempts": 1})
client = boto3.client("sagemaker-runtime", config=once, **json.loads(sys.argv[1]))
stop = threading.Event()
seen: list[str] = []
failures: list[str] = []


def ask() -> None:
    while not stop.is_set():
        try:
            answer = client.invoke_endpoint(EndpointName=sys.argv[2], Body=b"x")
            model = json.loads(answer["Body"].read())["model"]
            seen.append(model)
        except Exception as error:
            model = "none"
            failures.append(repr(error))
        print(f"{model}\n", end="", flush=True)  # in one piece: others print, too
        time.sleep(0.01)  # leaves the processors to those who are asked


threads = [threading.Thread(target=ask) for _ in range(3)]
for thread in threads:
    thread.start()
sys.stdin.read()
stop.set()
for thread in threads:
    thread.join()
print(json.dumps({"seen": {model: seen.count(model) for model in seen}, "last": seen[-1], "failures": failures}))
