"""Deployments: real ones, on the embedded SageMaker and S3, by the code and the parameters that AWS gets.

Most tests put a linear model in NumPy in TensorFlow's place, which starts in a second; the archive, the handler, the
model server around it and everything else are the project's own. The last test does without that.
"""

import contextlib
import json
import os
import shlex
import socket
import subprocess
import sys
import tarfile
import threading
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import boto3
import numpy as np
import pytest
from botocore.awsrequest import AWSResponse
from moto.server import ThreadedMotoServer
from PIL import Image

from benchmarks.workspace import free_ports
from fashion_cnn.cloud import __main__ as commands
from fashion_cnn.cloud import asking, deployment, preflight
from fashion_cnn.cloud.answering import network
from fashion_cnn.cloud.params import Deploy
from fashion_cnn.cloud.target import Target, connect
from fashion_cnn.cloud.verification import verify
from fashion_cnn.core import dataset, params, results
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.fashion_mnist import CLASS_NAMES
from fashion_cnn.ingest import splits
from fashion_cnn.localcloud import s3, sagemaker
from fashion_cnn.localsagemaker.protocol import check, operation
from fashion_cnn.serving import archive, bundle
from fashion_cnn.stages import deploy as stage
from support import hostile, linear_model
from support.cloud import EmbeddedCloud
from support.repository import REPOSITORY, SOURCE, random_images

ACCOUNT = "123456789012"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/fashion-cnn-endpoint"
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "sagemaker.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
STARTUP_SECONDS = 4
IMAGES = random_images(230).images


class Model(NamedTuple):
    """A linear model's archive, and its predictions of IMAGES."""

    archive: Path
    probabilities: np.ndarray


def make_model(folder: Path, seed: int, behaviour: str = "good") -> Model:
    path = folder / f"{seed}-{behaviour}.tar.gz"
    linear_model.pack(path, seed, behaviour)
    if behaviour == "broken":
        path.write_bytes(path.read_bytes()[:-1000])
    return Model(path, linear_model.probabilities(IMAGES, linear_model.weights(seed)).astype(np.float32))


class Proxy:
    """Stands before S3 for the embedded SageMaker; answers longer than `cut_after` bytes break off, as if S3 died."""

    def __init__(self, port: int, behind: int) -> None:
        self.cut_after, self.behind, self.cuts = 1 << 40, behind, 0
        self.open: list[socket.socket] = []
        self.listener = socket.create_server(("127.0.0.1", port))
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(("127.0.0.1", self.behind))
                self.open += [client, server]
                for ends in ((client, server, 1 << 40), (server, client, self.cut_after)):
                    threading.Thread(target=self.pump, args=ends, daemon=True).start()

    def cut(self, after: int) -> None:
        """Cut from now on; connections that are kept from before are closed."""
        self.cut_after = after
        for end in self.open:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self.open = []

    def pump(self, source: socket.socket, sink: socket.socket, limit: int) -> None:
        with contextlib.suppress(OSError):
            while limit > 0 and (content := source.recv(2048)):
                sink.sendall(content[:limit])
                limit -= len(content)
        self.cuts += limit <= 0
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def settings(endpoint: str = "fashion-cnn", **changes: Any) -> Deploy:
    aws = {"role": ROLE, "region": s3.REGION, "bucket": s3.BUCKET} | changes.pop("aws", {})
    return Deploy.model_validate({"target": "aws", "endpoint": endpoint, "aws": aws, **changes})


def deploy(model: Model, endpoint: str, *, expected: Model | None = None, **changes: Any) -> dict[str, Any]:
    """What the stage does, after packing."""
    check = partial(verify, images=IMAGES, expected=(expected or model).probabilities, tolerance=1e-5)
    return deployment.deploy(model.archive, connect(settings(endpoint, **changes)), check)


def serves(model: Model, target: Target) -> bool:
    answer = deployment.invoke(target, json.dumps({"instances": IMAGES[:1].tolist()}).encode(), "application/json")
    (prediction,) = json.loads(answer)["predictions"]
    return np.allclose(list(prediction["probabilities"].values()), model.probabilities[0], atol=1e-5)


def left(target: Target) -> dict[str, list[str]]:
    """Names of everything that there is of an endpoint."""
    client, store = target.session.client("sagemaker"), target.session.client("s3")
    listed = {
        "endpoints": client.list_endpoints(NameContains=target.endpoint)["Endpoints"],
        "configs": client.list_endpoint_configs(NameContains=target.endpoint)["EndpointConfigs"],
        "models": client.list_models(NameContains=target.endpoint)["Models"],
        "archives": store.list_objects_v2(Bucket=s3.BUCKET, Prefix=target.prefix).get("Contents", []),
    }
    names = ("EndpointName", "EndpointConfigName", "ModelName", "Key")
    return {kind: [one[name] for one in listed[kind]] for kind, name in zip(listed, names, strict=True)}


def exactly(deployed: dict[str, Any]) -> dict[str, list[str]]:
    return {
        "endpoints": [deployed["endpoint"]],
        "configs": [deployed["endpoint_config"]],
        "models": [deployed["model"]],
        "archives": [deployed["archive"].removeprefix(f"s3://{s3.BUCKET}/")],
    }


def running(cloud: EmbeddedCloud, endpoint: str) -> tuple[int, int]:
    """How many model servers an endpoint has, and how many archives unpacked for them."""
    return len(cloud.model_servers(f"{endpoint}-")), len(cloud.deployments(f"{endpoint}-"))


NOTHING: dict[str, list[str]] = {"endpoints": [], "configs": [], "models": [], "archives": []}


@pytest.fixture(scope="module")
def calls() -> list[tuple[str, str, dict[str, Any]]]:
    """Every call that a session of boto3 made so far: service, operation, parameters."""
    return []


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    cloud = EmbeddedCloud(tmp_path_factory.mktemp("embedded") / "cloud", "linear", STARTUP_SECONDS)
    yield cloud
    s3.stop(cloud.store)


@pytest.fixture(scope="module")
def proxy(embedded: EmbeddedCloud) -> Iterator[Proxy]:
    proxy = Proxy(embedded.port + 1, embedded.settings.port)
    behind_it = embedded.settings._replace(port=embedded.port + 1)._asdict()
    (embedded.folder / "s3.json").write_text(
        json.dumps(behind_it), encoding="utf-8"
    )  # SageMaker reads it when it starts
    yield proxy
    proxy.listener.close()


@pytest.fixture(scope="module")
def cloud(embedded: EmbeddedCloud, proxy: Proxy, calls: list[Any]) -> Iterator[EmbeddedCloud]:  # noqa: ARG001
    """SageMaker, which reaches S3 by the proxy; the addresses in the environment alone lead to both, and to moto."""

    class Session(boto3.Session):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            self.events.register("provide-client-params", self.record)

        def record(self, params: Any, model: Any, **_: Any) -> None:
            calls.append((model.service_model.service_name, model.name, dict(params)))

    moto_port = embedded.port + 2
    moto = ThreadedMotoServer("127.0.0.1", moto_port, verbose=False)
    moto.start()
    embedded.start()
    environment = {
        "AWS_ACCESS_KEY_ID": embedded.settings.access_key,
        "AWS_SECRET_ACCESS_KEY": embedded.settings.secret_key,
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{moto_port}",
        "AWS_ENDPOINT_URL_S3": embedded.settings.endpoint,
        "AWS_ENDPOINT_URL_SAGEMAKER": embedded.address,
        "AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME": embedded.address,
    }
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setattr(boto3, "Session", Session)
        patch.setattr(deployment, "POLL_SECONDS", 0.05)
        boto3.Session(region_name=s3.REGION).client("iam").create_role(
            RoleName=ROLE.rpartition("/")[2], AssumeRolePolicyDocument=json.dumps(TRUST)
        )
        yield embedded
    embedded.end(kill=False)
    moto.stop()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Model]:
    folder = tmp_path_factory.mktemp("models")
    bad = ("broken", "crash", "silent")
    return {
        "first": make_model(folder, 1), "second": make_model(folder, 2),
        **{behaviour: make_model(folder, 3 + number, behaviour) for number, behaviour in enumerate(bad)},
    }  # fmt: skip


@pytest.fixture(scope="module")
def served(cloud: EmbeddedCloud, models: dict[str, Model]) -> dict[str, Any]:  # noqa: ARG001
    """An endpoint, fashion-cnn-served, on which the first model was deployed."""
    return deploy(models["first"], "fashion-cnn-served", aws={"tags": {"owner": "me"}})


def test_what_was_deployed_is_in_service_and_answers_as_the_model_does(
    served: dict[str, Any], models: dict[str, Model]
) -> None:
    target = connect(settings("fashion-cnn-served"))
    assert left(target) == exactly(served)
    assert serves(models["first"], target)
    assert served["verification"]["images"] == len(IMAGES)
    assert served["verification"]["top1_agreement"] == 1
    assert 0 < served["verification"]["max_probability_difference"] < 1e-6
    stored = target.session.client("s3").get_object(Bucket=s3.BUCKET, Key=exactly(served)["archives"][0])
    assert stored["Body"].read() == models["first"].archive.read_bytes()


def test_everything_carries_the_projects_tag_and_the_users(served: dict[str, Any]) -> None:
    client = connect(settings()).session.client("sagemaker")
    for kind, name in {"endpoint": "endpoint", "endpoint_config": "endpoint-config", "model": "model"}.items():
        arn = f"arn:aws:sagemaker:{s3.REGION}:000000000000:{name}/{served[kind]}"
        tags = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=arn)["Tags"]}
        assert tags == {"project": "fashion-cnn", "owner": "me"}


def test_the_same_again_makes_changes_and_uploads_nothing_and_reports_the_same(
    served: dict[str, Any], models: dict[str, Model], calls: list[Any]
) -> None:
    before = len(calls)
    assert deploy(models["first"], "fashion-cnn-served", aws={"tags": {"owner": "me"}}) == served
    operations = {operation for _, operation, _ in calls[before:]}
    assert "InvokeEndpoint" in operations
    assert not {name for name in operations if name.startswith(("Create", "Update", "Delete", "Put"))}


def test_an_update_replaces_the_model_and_removes_what_it_replaced(
    cloud: EmbeddedCloud, models: dict[str, Model]
) -> None:
    deploy(models["first"], "fashion-cnn-updated")
    after = deploy(models["second"], "fashion-cnn-updated")
    target = connect(settings("fashion-cnn-updated"))
    assert serves(models["second"], target)
    assert left(target) == exactly(after)
    deployment.undeploy(target)
    assert left(target) == NOTHING
    assert running(cloud, "fashion-cnn-updated") == (0, 0)


FAILURES = {
    "broken": "did not come into service .* Failed to extract model data archive",
    "crash": "did not come into service .* error: this model can't be loaded",
    "silent": f"did not come into service .* did not pass the ping health check in {STARTUP_SECONDS} s",
    "S3 gone": "did not come into service .* Failed to download model data",
    "wrong": r"answers otherwise than the model: the same class for \d.*allowed: 100 %",
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failed_update_says_why_and_leaves_what_served_before_and_nothing_else(
    cloud: EmbeddedCloud, proxy: Proxy, served: dict[str, Any], models: dict[str, Model], failure: str
) -> None:
    target = connect(settings("fashion-cnn-served"))
    proxy.cut(5000 if failure == "S3 gone" else 1 << 40)
    with pytest.raises(UserError, match=FAILURES[failure]) as error:
        deploy(
            models.get(failure, models["second"]),
            "fashion-cnn-served",
            expected=models["first" if failure == "wrong" else "second"],
        )
    proxy.cut(1 << 40)
    assert "\n" not in str(error.value)
    assert (failure == "S3 gone") == bool(proxy.cuts)
    proxy.cuts = 0
    assert serves(models["first"], target)
    assert left(target) == exactly(served)
    assert running(cloud, "fashion-cnn-served") == (1, 1)


@pytest.mark.parametrize("failure", ["crash", "wrong"])
def test_a_failed_first_deployment_leaves_nothing(cloud: EmbeddedCloud, models: dict[str, Model], failure: str) -> None:
    name = f"fashion-cnn-none-{failure}"
    with pytest.raises(UserError):
        deploy(models.get(failure, models["second"]), name, expected=models["first"])
    assert left(connect(settings(name))) == NOTHING
    assert running(cloud, name) == (0, 0)


def test_a_deployment_that_takes_too_long_is_rolled_back(cloud: EmbeddedCloud, models: dict[str, Model]) -> None:
    with pytest.raises(UserError, match=r"still Creating after 0\.6 s; deploy\.timeout_minutes"):
        deploy(models["silent"], "fashion-cnn-slow", timeout_minutes=0.01)
    assert left(connect(settings("fashion-cnn-slow"))) == NOTHING
    assert running(cloud, "fashion-cnn-slow") == (0, 0)


@pytest.mark.parametrize("ended", ["the stage, by a signal", "its DVC, killed"])
def test_an_ended_deployment_is_rolled_back_before_it_ends(
    cloud: EmbeddedCloud, models: dict[str, Model], tmp_path: Path, ended: str
) -> None:
    script = tmp_path / "deploy.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom fashion_cnn.cloud import deployment\n"
        "from fashion_cnn.cloud.params import Deploy\nfrom fashion_cnn.cloud.target import connect\n"
        "from fashion_cnn.stages.executor import end_with_dvc\n"
        "end_with_dvc()\n"
        "target = connect(Deploy.model_validate_json(sys.argv[2]))\n"
        "deployment.deploy(Path(sys.argv[1]), target, None)\n",
        encoding="utf-8",
    )
    chosen = settings("fashion-cnn-ended")
    command = [sys.executable, str(script), str(models["silent"].archive), chosen.model_dump_json()]
    if ended.startswith("its DVC"):
        # As `dvc queue stop --kill` does it: DVC starts a shell, which starts the stage, and is killed alone.
        dvc = "import os, subprocess, sys; subprocess.run(sys.argv[1:], env=os.environ | {'DVC_STAGE': 'deploy'})"
        command = [sys.executable, "-c", dvc, "sh", "-c", f"{shlex.join(command)}; true"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as run:
        assert run.stdout
        while "Creating" not in run.stdout.readline():
            assert run.poll() is None
        run.kill() if ended.startswith("its DVC") else run.terminate()
        _, errors = run.communicate(timeout=60)
    assert errors.strip().endswith("KeyboardInterrupt")
    assert left(connect(chosen)) == NOTHING
    assert running(cloud, "fashion-cnn-ended") == (0, 0)


def test_what_a_killed_deployment_left_goes_with_the_next(served: dict[str, Any], models: dict[str, Model]) -> None:
    target = connect(settings("fashion-cnn-served"))
    plan = deployment.plan_for(models["second"].archive, target)
    deployment.create_model(plan, deployment.upload(models["second"].archive, plan, target), target)
    deployment.create_config(plan, target)
    assert left(target) != exactly(served)
    deploy(models["first"], "fashion-cnn-served")
    assert left(target) == exactly(served)


@pytest.mark.usefixtures("cloud")
def test_a_failed_endpoint_is_replaced(models: dict[str, Model]) -> None:
    target = connect(settings("fashion-cnn-failed"))
    plan = deployment.plan_for(models["broken"].archive, target)
    deployment.create_model(plan, deployment.upload(models["broken"].archive, plan, target), target)
    deployment.create_config(plan, target)
    with pytest.raises(UserError, match="Failed to extract"):
        deployment.bring_into_service(plan.name, target, 60, guarded=True)
    deployed = deploy(models["first"], "fashion-cnn-failed")
    assert left(target) == exactly(deployed)
    deployment.undeploy(target)


@pytest.mark.usefixtures("cloud")
def test_what_others_made_is_never_touched_even_under_the_projects_names(
    models: dict[str, Model],
) -> None:
    target = connect(settings("fashion-cnn-foreign"))
    plan = deployment.plan_for(models["first"].archive, target)
    uri = deployment.upload(models["first"].archive, plan, target)
    client = target.session.client("sagemaker")
    client.create_model(
        ModelName=plan.name, ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image", "ModelDataUrl": uri}
    )
    with pytest.raises(UserError, match=r"model/fashion-cnn-foreign-.* lacks the tag project = fashion-cnn"):
        deploy(models["first"], "fashion-cnn-foreign")
    client.create_endpoint_config(
        EndpointConfigName="theirs",
        ProductionVariants=[
            {"VariantName": "a", "ModelName": plan.name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        ],
    )
    deployment.upload(models["first"].archive, plan, target)
    client.create_endpoint(EndpointName="fashion-cnn-foreign", EndpointConfigName="theirs")
    for attempt in (lambda: deploy(models["first"], "fashion-cnn-foreign"), lambda: deployment.undeploy(target)):
        with pytest.raises(UserError, match=r"endpoint/fashion-cnn-foreign exists and was not made by this project"):
            attempt()
    assert client.describe_endpoint(EndpointName="fashion-cnn-foreign")["EndpointConfigName"] == "theirs"
    assert client.describe_model(ModelName=plan.name)["ModelName"] == plan.name
    client.delete_endpoint(EndpointName="fashion-cnn-foreign")


def test_undeploy_removes_the_endpoint_and_its_parts_and_nothing_else(
    served: dict[str, Any], models: dict[str, Model]
) -> None:
    target = connect(settings("fashion-cnn-short"))
    store = target.session.client("s3")
    store.put_object(Bucket=s3.BUCKET, Key="dvc/files", Body=b"kept")
    # Names that begin as the endpoint's do.
    longer = deploy(models["first"], "fashion-cnn-short-lived")
    deployed = deploy(models["second"], "fashion-cnn-short")
    assert deployment.endpoints(target)[:2] == ["fashion-cnn-short", "fashion-cnn-short-lived"]
    assert sorted(deployment.undeploy(target)) == sorted([
        f"archive {deployed['archive']}",
        "endpoint fashion-cnn-short",
        f"endpoint configuration {deployed['endpoint_config']}",
        f"model {deployed['model']}",
    ])  # fmt: skip
    assert deployment.undeploy(target) == []
    assert store.get_object(Bucket=s3.BUCKET, Key="dvc/files")["Body"].read() == b"kept"
    for other, endpoint in {"fashion-cnn-short-lived": longer, "fashion-cnn-served": served}.items():
        assert left(connect(settings(other))) == exactly(endpoint)
    deployment.undeploy(connect(settings("fashion-cnn-short-lived")))


@pytest.mark.usefixtures("cloud")
def test_a_request_that_aws_refuses_is_one_line_and_leaves_nothing(models: dict[str, Model]) -> None:
    with pytest.raises(UserError, match="CreateEndpoint: ResourceLimitExceeded: .* Instances") as error:
        deploy(models["first"], "fashion-cnn-refused", aws={"instances": 9})
    assert "\n" not in str(error.value)
    assert left(connect(settings("fashion-cnn-refused"))) == NOTHING


CHECKED = partial(verify, images=IMAGES[:20], expected=np.eye(10, dtype=np.float32)[np.arange(20) % 10], tolerance=0.1)


def answering(probabilities: np.ndarray) -> Any:
    """An endpoint that answers these probabilities, whatever it is sent, in the order of the requests."""
    rest = iter(np.concatenate([probabilities, probabilities[:10], probabilities[:5]]))

    def invoke(body: bytes, content_type: str, attributes: str = "") -> bytes:  # noqa: ARG001 (of the endpoint's)
        count = {"application/x-npy": 20, "application/json": 10, "image/png": 1}[content_type]
        rows = [dict(zip(CLASS_NAMES, next(rest).tolist(), strict=True)) for _ in range(count)]
        assert body
        return json.dumps({"predictions": [{"probabilities": row} for row in rows]}).encode()

    return invoke


def test_answers_within_the_tolerance_are_accepted() -> None:
    agreement = CHECKED(answering(np.eye(10)[np.arange(20) % 10] * 0.95))
    assert agreement.top1_agreement == 1
    assert agreement.max_probability_difference == pytest.approx(0.05)


@pytest.mark.parametrize("wrong", [0.89, float("nan")])
def test_one_probability_beyond_the_tolerance_is_refused(wrong: float) -> None:
    probabilities = np.eye(10)[np.arange(20) % 10]
    probabilities[19, 9] = wrong
    with pytest.raises(UserError, match="answers otherwise than the model"):
        CHECKED(answering(probabilities))


def test_one_other_class_is_refused_whatever_the_tolerance() -> None:
    probabilities = np.eye(10)[np.arange(20) % 10]
    probabilities[15] = probabilities[14]
    with pytest.raises(UserError, match=r"the same class for 97\.14% of 35 answers"):
        CHECKED(answering(probabilities), tolerance=1)


@pytest.mark.parametrize("answer", [b"", b"{}", b"[]", b'{"predictions": [{"probabilities": {"Bag": 1}}]}'])
def test_an_answer_that_is_no_prediction_is_refused(answer: bytes) -> None:
    with pytest.raises(UserError, match="is no prediction"):
        CHECKED(lambda *_: answer)


def test_too_few_predictions_are_refused() -> None:
    with pytest.raises(UserError, match="answered 0 predictions to 35 images"):
        CHECKED(lambda *_: b'{"predictions": []}')


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"aws": {"role": None, "bucket": None}}, "deploy.target = 'aws' needs deploy.aws.role, deploy.aws.bucket"),
        (
            {"aws": {"serverless": {"memory_mb": 2048, "max_concurrency": 5}, "instances": 2, "canary_percent": 10}},
            "deploy.aws.serverless excludes canary_percent, instances",
        ),
        (
            {"aws": {"serverless": {"memory_mb": 2048, "max_concurrency": 5}, "network_isolation": True}},
            "deploy.aws.serverless excludes network_isolation",
        ),
        ({"aws": {"canary_percent": 10}}, "deploy.aws.canary_percent = 10 needs at least 2 instances"),
        ({"aws": {"tags": {"project": "x"}}}, "deploy.aws.tags names project"),
        ({"aws": {"tags": {"AWS:x": "x"}}}, "deploy.aws.tags names AWS:x"),
        ({"aws": {"serverless": {"memory_mb": 1500, "max_concurrency": 5}}}, "memory_mb"),
        ({"endpoint": "other"}, "endpoint"),
        ({"endpoint": "fashion-cnn--a"}, "endpoint"),
        ({"endpoint": f"fashion-cnn-{'a' * 39}"}, "endpoint"),
        ({"timeout_minutes": 0}, "timeout_minutes"),
    ],
)
def test_parameters_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        settings(**changes)


def test_nothing_goes_to_aws_unless_a_person_writes_so() -> None:
    assert Deploy().target == "local"


class Aws:
    """Answers a session's calls of SageMaker and S3 as AWS does, without sending them; keeps the requests."""

    def __init__(self, session: boto3.Session) -> None:
        self.requests: dict[str, dict[str, Any]] = {}
        session.events.register("provide-client-params", self.keep)
        session.events.register("before-call", self.answer)

    def keep(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.requests[model.name] = params

    def answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]]:
        status = 200
        parsed: dict[str, Any] = {}
        kind = model.name.removeprefix("Describe")
        if model.name == "ListTags":
            parsed = {"Tags": [{"Key": "project", "Value": "fashion-cnn"}]}
        elif model.name == "HeadObject" or (kind != model.name and f"Create{kind}" not in self.requests):
            status, parsed = 404, {"Error": {"Code": "ValidationException", "Message": "Could not find it."}}
        elif kind != model.name:
            known = self.requests[f"Create{kind}"] | {"EndpointStatus": "InService", "CreationTime": 0}
            known |= self.requests.get("UpdateEndpoint", {}) if kind == "Endpoint" else {}
            part = {"Endpoint": "endpoint", "EndpointConfig": "endpoint-config", "Model": "model"}[kind]
            known[f"{kind}Arn"] = f"arn:aws:sagemaker:eu-west-1:{ACCOUNT}:{part}/{known[f'{kind}Name']}"
            known["LastModifiedTime"] = 0
            parsed = {name: value for name, value in known.items() if name in model.output_shape.members}
        return AWSResponse("", status, {}, None), parsed | {"ResponseMetadata": {"HTTPStatusCode": status}}


def requests_for(archive_file: Path, *configs: str, **aws: Any) -> dict[str, dict[str, Any]]:
    """What AWS would be sent for a deployment, a second time for an update."""
    target = connect(settings("fashion-cnn-shapes", aws=aws))
    stub = Aws(target.session)
    plan = deployment.plan_for(archive_file, target)
    deployment.create_model(plan, deployment.upload(archive_file, plan, target), target)
    deployment.create_config(plan, target)
    for config in configs or (plan.name,):
        deployment.bring_into_service(config, target, 60, guarded=True)
    return stub.requests


@pytest.mark.usefixtures("cloud")
def test_key_isolation_canary_and_alarms_reach_sagemaker(models: dict[str, Model]) -> None:
    requests = requests_for(
        models["first"].archive, "one", "two", kms_key="alias/key", network_isolation=True, instances=4,
        canary_percent=25, alarms=["errors"],
    )  # fmt: skip
    assert requests["PutObject"]["ServerSideEncryption"] == "aws:kms"
    assert requests["PutObject"]["SSEKMSKeyId"] == "alias/key"
    assert requests["CreateModel"]["EnableNetworkIsolation"] is True
    assert requests["CreateEndpointConfig"]["KmsKeyId"] == "alias/key"
    update = requests["UpdateEndpoint"]
    assert update["EndpointConfigName"] == "two"
    assert update["DeploymentConfig"] == {
        "BlueGreenUpdatePolicy": {
            "TrafficRoutingConfiguration": {
                "Type": "CANARY",
                "WaitIntervalInSeconds": 300,
                "CanarySize": {"Type": "CAPACITY_PERCENT", "Value": 25},
            },
            "MaximumExecutionTimeoutInSeconds": 600,
        },
        "AutoRollbackConfiguration": {"Alarms": [{"AlarmName": "errors"}]},
    }
    for name in ("CreateModel", "CreateEndpointConfig", "CreateEndpoint", "UpdateEndpoint"):
        check(requests[name], operation("sagemaker", name).input_shape)


@pytest.mark.usefixtures("cloud")
def test_a_serverless_variant_names_no_instances(models: dict[str, Model]) -> None:
    requests = requests_for(models["first"].archive, serverless={"memory_mb": 2048, "max_concurrency": 5})
    (variant,) = requests["CreateEndpointConfig"]["ProductionVariants"]
    assert variant.pop("ModelName").startswith("fashion-cnn-shapes-")
    assert variant == {"VariantName": "AllTraffic", "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    check(requests["CreateEndpointConfig"], operation("sagemaker", "CreateEndpointConfig").input_shape)


@pytest.mark.usefixtures("cloud")
def test_another_hosting_is_another_deployment_of_the_same_archive(models: dict[str, Model]) -> None:
    changes = [{}, {"instances": 2}, {"instance_type": "ml.c5.large"}, {"kms_key": "key"}, {"network_isolation": True}]
    plans = [deployment.plan_for(models["first"].archive, connect(settings(aws=aws))) for aws in changes]
    assert len({plan.name for plan in plans}) == len(changes)
    assert len({plan.key for plan in plans}) == 1


def needed(service: str, name: str, request: dict[str, Any]) -> list[tuple[str, str]]:
    """The IAM actions that a call needs, each with the resource it is on.

    Source: docs.aws.amazon.com/service-authorization/latest/reference, the pages of these services, and
    docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html.
    """
    kinds = {"EndpointConfigName": "endpoint-config", "ModelName": "model", "EndpointName": "endpoint"}
    if service in ("sagemaker", "sagemaker-runtime"):
        resources = [f"arn:aws:sagemaker:REGION:ACCOUNT:{kinds[key]}/{request[key]}" for key in kinds if key in request]
        if "ResourceArn" in request:
            resources = ["arn:aws:sagemaker:REGION:ACCOUNT:" + request["ResourceArn"].split(":", 5)[5]]
        actions = [(f"sagemaker:{name}", resource) for resource in resources or ["*"]]
        if "Tags" in request:
            actions += [("sagemaker:AddTags", resource) for resource in resources]
        if "ExecutionRoleArn" in request:
            actions.append(("iam:PassRole", "arn:aws:iam::ACCOUNT:role/ROLE"))
        if "KmsKeyId" in request:
            actions.append(("kms:CreateGrant", "arn:aws:kms:REGION:ACCOUNT:key/KEY"))
        return actions
    bucket = f"arn:aws:s3:::{request.get('Bucket', '')}".replace(s3.BUCKET, "BUCKET", 1)
    archive_file = f"{bucket}/{request.get('Key')}"
    key = "arn:aws:kms:REGION:ACCOUNT:key/KEY"
    return {
        ("sts", "GetCallerIdentity"): [("sts:GetCallerIdentity", "*")],
        ("iam", "GetRole"): [("iam:GetRole", "arn:aws:iam::ACCOUNT:role/ROLE")],
        ("cloudwatch", "DescribeAlarms"): [("cloudwatch:DescribeAlarms", "*")],
        ("kms", "DescribeKey"): [("kms:DescribeKey", key)],
        ("s3", "HeadBucket"): [("s3:ListBucket", bucket)],
        ("s3", "ListObjectsV2"): [("s3:ListBucket", bucket)],
        # Without s3:ListBucket, what is not there is forbidden.
        ("s3", "HeadObject"): [("s3:GetObject", archive_file), ("s3:ListBucket", bucket)],
        ("s3", "DeleteObject"): [("s3:DeleteObject", archive_file)],
        ("s3", "PutObject"): [("s3:PutObject", archive_file)]
        + ([("kms:GenerateDataKey", key)] if "SSEKMSKeyId" in request else []),
    }[service, name]


@pytest.mark.usefixtures("cloud")
def test_the_policy_in_the_docs_allows_every_call_and_no_action_that_no_call_needs(
    models: dict[str, Model], calls: list[Any]
) -> None:
    before = len(calls)
    session = boto3.Session(region_name=s3.REGION)
    key = session.client("kms").create_key()["KeyMetadata"]["KeyId"]
    session.client("cloudwatch").put_metric_alarm(
        AlarmName="errors", ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Threshold=0,
        MetricName="Invocation5XXErrors", Namespace="AWS/SageMaker", Period=60, Statistic="Sum",
    )  # fmt: skip
    del calls[before:]
    name = "fashion-cnn-policy"
    preflight.require(connect(settings(name, aws={"kms_key": key, "alarms": ["errors"]})))
    deploy(models["first"], name)
    deploy(models["second"], name)
    with pytest.raises(UserError):
        deploy(models["broken"], name)
    asking.invoke(connect(settings(name)), json.dumps({"instances": IMAGES[:1].tolist()}).encode(), "application/json")
    network(connect(settings(name)))
    deployment.endpoints(connect(settings(name)))
    deployment.undeploy(connect(settings(name)))
    requests_for(models["first"].archive, "fashion-cnn-one", "fashion-cnn-two", kms_key=key, alarms=["errors"])
    used = {pair for call in calls[before:] for pair in needed(*call)}

    policy = json.loads((REPOSITORY / "docs" / "iam-policy.json").read_text(encoding="utf-8"))
    allowed = [
        (action, resource)
        for statement in policy["Statement"]
        for action in preflight._listed(statement["Action"])
        for resource in preflight._listed(statement["Resource"])
    ]
    assert {action for action, _ in used} == {action for action, _ in allowed}
    for action, resource in used:
        assert any(action == one and fnmatchcase(resource, pattern) for one, pattern in allowed), (action, resource)
    conditions = {statement["Sid"]: statement.get("Condition") for statement in policy["Statement"]}
    assert conditions["PassExecutionRole"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    session.client("iam").create_policy(PolicyName="policy", PolicyDocument=json.dumps(policy))


@pytest.fixture
def study(workspace: Path) -> Iterator[Path]:
    """A workspace with a trained candidate, and an embedded cloud of its own that does not run yet."""
    from fashion_cnn.core.lean_keras import keras
    from fashion_cnn.training.fitting import save_network

    for folder in ("data/prepared", "models/candidate"):
        (workspace / folder).mkdir(parents=True)
    test = random_images(130)
    splits.save({"test": test}, workspace / "data/prepared")
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Rescaling(1 / 255), keras.layers.Flatten(), keras.layers.Dense(10, "softmax")]
    network = keras.Sequential([keras.Input((28, 28), dtype="uint8"), *layers])
    for arm in params.ARMS:
        (workspace / "models" / arm).mkdir(parents=True, exist_ok=True)
        save_network(network, workspace / "models" / arm / "model.keras")
    probabilities = network.predict(test.images, verbose=0)[np.newaxis]
    history = dict.fromkeys(results.CURVES, np.zeros((1, 1)))
    unread: list[Any] = [np.zeros(0)] * 4  # the controls: deployment does without them
    result = results.Result({"seeds": 1}, history, probabilities, test.labels, *unread)
    results.save(result, workspace / "models/candidate")
    (workspace / "reports").mkdir()
    headline = {arm: {"kernel": 3, "test_accuracy": 0.5} for arm in params.ARMS}
    (workspace / "reports/metrics.json").write_text(json.dumps(headline), encoding="utf-8")
    (workspace / "reports/index.html").write_text("<p>The report", encoding="utf-8")
    store = s3.store(workspace / "cloud")
    s3.settings(store, free_ports())
    # What a person set up for AWS and for the network must not get in the way.
    with hostile.recorder() as recorder:
        persons = hostile.nonsense() | hostile.aws(recorder, workspace) | hostile.network(recorder)
        persons |= hostile.home(workspace / "home") | hostile.servers()
        with mock.patch.dict(os.environ, {**persons, "FASHION_CNN_CLOUD": str(store.folder)}):
            yield workspace
    assert recorder.requests == []
    sagemaker.stop(store)
    s3.stop(store)


def warned_of_another_report(run: Callable[..., tuple[list[str], list[str]]], path: Path, network: str) -> None:
    """Where the report is not of what serves, the commands say so and name what serves."""
    report = json.loads(path.read_text(encoding="utf-8"))
    for changed, warning in (
        ({"endpoint_config": "fashion-cnn-0"}, "(fashion-cnn-0), and another was deployed since; `make deploy`"),
        ({"endpoint": None}, "is an experiment's, which deploys nothing; `make deploy`"),
        ({"endpoint": "fashion-cnn-other"}, "is of another endpoint, fashion-cnn-other"),
    ):
        path.write_text(json.dumps(report | changed), encoding="utf-8")
        lines, (warned,) = run("predict", "--as-is", "pictures/7.png")
        assert network in lines[-1]
        assert warned.startswith("warning: reports/deployment.json ")
        assert warning in warned
        (line,) = run("status", status=3)[0]
        assert network in line
        assert warning in line
    path.write_text("<<<<<<< HEAD", encoding="utf-8")
    assert run("status", status=1)[1] == [
        "error: reports/deployment.json: not what a deployment wrote; `make deploy` writes it anew"
    ]
    path.write_text(json.dumps(report), encoding="utf-8")


def test_a_candidate_is_deployed_asked_and_removed_by_the_commands(
    study: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str, status: int = 0) -> tuple[list[str], list[str]]:
        assert commands.main([*arguments]) == status
        captured = capsys.readouterr()
        return captured.out.splitlines(), captured.err.splitlines()

    assert run("status", status=3)[0] == ["reports/deployment.json is not there: nothing was deployed"]
    with mock.patch.dict(os.environ, {"DVC_EXP_NAME": "five"}):
        stage.main()
    assert "an experiment deploys nothing" in capsys.readouterr().out
    assert not (study / "cloud/sagemaker.json").exists(), "not even an embedded cloud was started"
    stage.main()
    assert "the same class for all 130 images" in capsys.readouterr().out
    path = study / "reports/deployment.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    assert (report["target"], report["kernel"], report["test_accuracy"]) == ("local", 3, 0.5)
    assert report["verification"]["images"] == 130
    assert report["verification"]["top1_agreement"] == 1
    assert report["verification"]["max_probability_difference"] < 1e-5
    assert {path.name for path in (study / "reports").iterdir()} == {"deployment.json", "index.html", "metrics.json"}
    of_the_page = s3.request("GET", s3.settings(s3.store(study / "cloud")), f"/{s3.BUCKET}/{bundle.REPORT_KEY}")
    assert of_the_page == (200, b"<p>The report")
    network = f"a CNN with 3×3 kernels, test accuracy 0.5000 ({report['endpoint_config']})"
    said, page = run("status")[0]
    assert said == f"The endpoint fashion-cnn serves, as reports/deployment.json says: {network}"
    assert page.startswith("Its page: http://127.0.0.1:")

    test, candidate = dataset.load(study / "data/prepared", "test"), results.load(study / "models/candidate")
    (study / "pictures").mkdir()
    for number in (7, 8):
        Image.fromarray(test.images[number]).save(study / "pictures" / f"{number}.png")
    seven, eight = candidate.probabilities[0, 7:9]
    (first, _, highest, *_, last), warnings = run("predict", "--as-is", "pictures/7.png")
    assert first == CLASS_NAMES[seven.argmax()]
    assert f"{seven.max():.2%}" in highest
    assert last == f"answered by {network} at the endpoint fashion-cnn, local"
    assert warnings == []

    # A folder: one line a picture. What is none is named, and the others are answered.
    (study / "pictures/none.gif").write_bytes(b"GIF89a")
    lines, (refused, missing) = run("predict", "--as-is", "pictures", "nowhere.png", status=1)
    assert [line.partition(";")[0] for line in lines[:2]] == [  # behind it: that so weak a network is unsure
        f"pictures/{number}.png: {CLASS_NAMES[of_it.argmax()]}, {of_it.max():.1%}"
        for number, of_it in ((7, seven), (8, eight))
    ]
    assert refused.startswith("error: pictures/none.gif: ")
    assert "did not answer" not in refused
    assert missing == "error: nowhere.png: can't be read: No such file or directory"
    document = json.loads("".join(run("predict", "--as-is", "--json", "pictures", status=1)[0]))
    assert document["network"] == {
        "deployment": report["endpoint_config"], "kernel": 3, "test_accuracy": 0.5, "endpoint": "fashion-cnn",
        "target": "local", "warning": None,
    }  # fmt: skip
    classes = [one["prediction"].get("class") for one in document["pictures"]]
    assert classes == [CLASS_NAMES[seven.argmax()], CLASS_NAMES[eight.argmax()], None]

    warned_of_another_report(run, path, network)

    assert [line for line in run("undeploy")[0] if line.startswith("removed")] == [
        f"removed endpoint {report['endpoint']}",
        f"removed endpoint configuration {report['endpoint_config']}",
        f"removed model {report['model']}",
        f"removed archive {report['archive']}",
    ]
    assert not path.exists(), "else `dvc repro` would find nothing to do"
    assert run("status", status=3)[0] == ["reports/deployment.json is not there: nothing was deployed"]
    assert run("predict", "--as-is", "pictures/7.png", status=1)[1] == [
        "error: the endpoint fashion-cnn does not exist; `make deploy` deploys the candidate"
    ]
    path.write_text(json.dumps(report), encoding="utf-8")
    (line,) = run("status", status=3)[0]
    assert line == "the endpoint fashion-cnn does not exist; `make deploy` deploys the candidate"


def test_the_archive_brings_its_library_where_the_container_should_install_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fashion_cnn.serving import export

    def bring(folder: Path) -> None:
        folder.mkdir()
        (folder / "pillow.py").touch()

    monkeypatch.setattr(archive, "fetch_library", bring)  # which has a test of its own, with pip
    monkeypatch.setattr(export, "saved_model", bytes)

    def names(hosting: dict[str, Any], **where: str) -> list[str]:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        chosen = settings(aws=hosting).model_copy(update=where)
        with tarfile.open(stage.pack(folder, chosen)) as tar:
            return tar.getnames()

    serverless = {"serverless": {"memory_mb": 1024, "max_concurrency": 1}}
    assert "code/lib/pillow.py" in names({"network_isolation": True})
    assert "code/lib/pillow.py" in names(serverless)
    assert "code/lib/pillow.py" not in names({})
    assert "code/lib/pillow.py" not in names(serverless, target="local")
