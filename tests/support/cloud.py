"""An embedded S3 and SageMaker of a test's own, started for real and spoken to by AWS's own clients."""

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import psutil
from botocore.config import Config

from benchmarks.workspace import free_ports
from fashion_cnn.localcloud import s3, sagemaker
from support.repository import SOURCE

ROLE = "arn:aws:iam::000000000000:role/sagemaker"
ONCE = Config(retries={"total_max_attempts": 1})  # a lost request is seen, not sent again
TESTS = Path(__file__).parents[1]


def wait_until(condition: Callable[[], Any], seconds: float = 120, pause: float = 0.05) -> Any:
    deadline = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < deadline, "it never came to be"
        time.sleep(pause)
    return result


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((s3.HOST, port)) == 0


class EmbeddedCloud:
    """S3, and a SageMaker that serves with a stand-in of support/model_servers and can be killed."""

    def __init__(
        self, folder: Path, model_server: str, startup_seconds: float = 60, python: str = sys.executable
    ) -> None:
        self.folder, self.startup_seconds, self.python = folder, startup_seconds, python
        self.model_server = f"support.model_servers.{model_server}"
        self.store = s3.store(folder)
        self.settings = s3.settings(self.store, free_ports())
        self.port, self.address = sagemaker.port(self.settings), sagemaker.endpoint(self.settings)
        s3.start(self.store)

    def start(self) -> None:
        command = [self.python, "-m", sagemaker.SERVER, f"--folder={self.folder}", f"--port={self.port}"]
        command += [f"--model-server={self.model_server}", f"--startup-seconds={self.startup_seconds}"]
        path = f"{SOURCE}{os.pathsep}{TESTS}"
        self.server = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path})
        wait_until(lambda: listens(self.port))

    def end(self, *, kill: bool) -> None:
        self.server.kill() if kill else self.server.terminate()
        self.server.wait(30)

    def access(self, **replaced: str) -> dict[str, str]:
        return {
            "endpoint_url": self.address,
            "region_name": s3.REGION,
            "aws_access_key_id": self.settings.access_key,
            "aws_secret_access_key": self.settings.secret_key,
            **replaced,
        }

    def client(self, service: str = "sagemaker", **replaced: str) -> Any:
        return boto3.client(service, config=ONCE, **self.access(**replaced))

    def objects(self) -> Any:
        """A client of S3."""
        return self.client("s3", endpoint_url=self.settings.endpoint)

    def archive(self, name: str, content: bytes | None = None, **model: Any) -> str:
        """Put a model archive, by default one for the stand-in `echo`, into S3."""
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
            member = tarfile.TarInfo("model.json")
            description = json.dumps({"name": name, **model}).encode()
            member.size = len(description)
            tar.addfile(member, io.BytesIO(description))
        self.objects().put_object(Bucket=s3.BUCKET, Key=f"{name}.tar.gz", Body=content or buffer.getvalue())
        return f"s3://{s3.BUCKET}/{name}.tar.gz"

    def model(self, name: str, content: bytes | None = None, **model: Any) -> str:
        """Make a model and an endpoint configuration of that name."""
        container = {"Image": "tensorflow", "ModelDataUrl": self.archive(name, content, **model)}
        self.client().create_model(
            ModelName=name, PrimaryContainer={**container, "Environment": {"VARIABLE": name}}, ExecutionRoleArn=ROLE
        )
        return self.config(name, AllTraffic=(name, 1.0))

    def config(self, name: str, instances: int = 1, **variants: tuple[str, float]) -> str:
        self.client().create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": variant,
                    "ModelName": model,
                    "InitialInstanceCount": instances,
                    "InstanceType": "ml.m5.large",
                    "InitialVariantWeight": weight,
                }
                for variant, (model, weight) in variants.items()
            ],
        )
        return name

    def settled(self, endpoint: str) -> dict[str, Any]:
        def poll() -> Any:
            description = self.client().describe_endpoint(EndpointName=endpoint)
            return description["EndpointStatus"] in ("InService", "Failed") and description

        return wait_until(poll, pause=0.1)

    def deploy(self, endpoint: str, config: str) -> dict[str, Any]:
        self.client().create_endpoint(EndpointName=endpoint, EndpointConfigName=config)
        return self.settled(endpoint)

    def update(self, endpoint: str, config: str) -> dict[str, Any]:
        self.client().update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
        return self.settled(endpoint)

    def invoke(self, endpoint: str, body: bytes = b"x", **parameters: str) -> dict[str, Any]:
        client = self.client("sagemaker-runtime")
        return json.loads(client.invoke_endpoint(EndpointName=endpoint, Body=body, **parameters)["Body"].read())

    def hold(
        self, pool: ThreadPoolExecutor, endpoint: str, count: int = 1
    ) -> tuple[list[Future[dict[str, Any]]], Path]:
        """Have requests under way in the model server, until the test removes the file that is returned."""
        file = self.folder / "held"
        file.touch()
        requests = [pool.submit(self.invoke, endpoint, f"hold {file}".encode()) for _ in range(count)]
        wait_until(lambda: file.stat().st_size >= count)
        return requests, file

    def remove(self, endpoint: str) -> None:
        self.client().delete_endpoint(EndpointName=endpoint)
        wait_until(lambda: not self.client().list_endpoints(NameContains=endpoint)["Endpoints"])

    def train(self, name: str, script: str, **request: Any) -> str:
        """Start a training job that runs a shell script, which is brought as a channel: arguments are short."""
        self.objects().put_object(Bucket=s3.BUCKET, Key=f"scripts/{name}/run", Body=script.encode())
        source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{s3.BUCKET}/scripts/{name}/run"}
        channels = [{"ChannelName": "script", "DataSource": {"S3DataSource": source}}]
        self.client().create_training_job(
            TrainingJobName=name,
            **{
                "AlgorithmSpecification": {
                    "TrainingImage": "tensorflow",
                    "TrainingInputMode": "File",
                    "ContainerEntrypoint": ["/bin/sh", "/opt/ml/input/data/script/run"],
                },
                "RoleArn": ROLE,
                "OutputDataConfig": {"S3OutputPath": f"s3://{s3.BUCKET}/jobs"},
                "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
                "StoppingCondition": {"MaxRuntimeInSeconds": 600},
                **request,
                "InputDataConfig": channels + request.get("InputDataConfig", []),
            },
        )
        return name

    def job(self, name: str, status: str) -> dict[str, Any]:
        """The description of a training job, once its primary or secondary status is that."""

        def poll() -> Any:
            description = self.client().describe_training_job(TrainingJobName=name)
            return status in (description["TrainingJobStatus"], description["SecondaryStatus"]) and description

        return wait_until(poll, pause=0.1)

    def artifact(self, name: str, archive: str = "model.tar.gz") -> dict[str, str]:
        """The files in an artifact of a training job."""
        key = f"jobs/{name}/output/{archive}"
        content = self.objects().get_object(Bucket=s3.BUCKET, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content)) as tar:
            files = {one.name: tar.extractfile(one) for one in tar if one.isfile()}
            return {name: file.read().decode() for name, file in files.items() if file}

    def model_servers(self, prefix: str = "") -> list[psutil.Process]:
        """Those that run; a prefix NAME- leaves those of one endpoint."""
        mark = str(self.folder / "sagemaker" / "deployments" / prefix)
        return [
            process
            for process in psutil.process_iter(["cmdline", "status"])
            if mark in str(process.info["cmdline"]) and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def deployments(self, prefix: str = "") -> list[str]:
        """The folders that archives were unpacked to, likewise."""
        return [path.name for path in (self.folder / "sagemaker" / "deployments").glob(f"{prefix}*")]
