"""The embedded SageMaker, started for real beside the embedded S3 and spoken to by AWS's own clients.

They serve with a stand-in for the model server, which starts in half a second; the real one serves in the end-to-end
story, where the answers are those of the candidate, and where the endpoint is back after the cloud was stopped.
"""

import datetime
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import botocore.auth
import psutil
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from benchmarks.workspace import free_ports
from fashion_cnn.localcloud import connection, daemon, s3, sagemaker
from fashion_cnn.localsagemaker import server
from fashion_cnn.localsagemaker.operations import OPERATIONS
from fashion_cnn.localsagemaker.protocol import java_pattern, operation
from support.cloud import ROLE, EmbeddedCloud, listens, wait_until
from support.repository import REPOSITORY, SOURCE

STARTUP_SECONDS = 5


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """A running cloud with the models healthy, other, crash and sick, and the endpoint shared of healthy."""
    cloud = EmbeddedCloud(tmp_path_factory.mktemp("shared") / "cloud", "echo", STARTUP_SECONDS)
    cloud.start()
    cloud.model("healthy")
    cloud.model("other")
    cloud.model("crash", crash=True)
    cloud.model("sick", sick=True)
    cloud.model("noarchive", content=b"this is no archive")
    cloud.deploy("shared", "healthy")
    yield cloud
    cloud.end(kill=False)
    s3.stop(cloud.store)


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[EmbeddedCloud]:
    """A cloud whose SageMaker the test ends."""
    cloud = EmbeddedCloud(tmp_path / "cloud", "echo", STARTUP_SECONDS)
    cloud.start()
    yield cloud
    cloud.end(kill=True)
    s3.stop(cloud.store)


def code_of(refusal: pytest.ExceptionInfo[ClientError]) -> tuple[str, str]:
    error = refusal.value.response["Error"]
    return error["Code"], error["Message"]


def test_an_endpoint_lives_from_create_to_delete_and_leaves_nothing(cloud: EmbeddedCloud) -> None:
    servers, deployments = set(cloud.model_servers()), cloud.deployments()
    client = cloud.client()
    client.create_endpoint(EndpointName="life", EndpointConfigName="healthy")
    assert client.describe_endpoint(EndpointName="life")["EndpointStatus"] == "Creating"
    with pytest.raises(ClientError) as early:
        cloud.invoke("life")
    assert code_of(early) == ("ValidationError", "Endpoint life of account 000000000000 not found.")
    description = cloud.settled("life")
    assert description["EndpointStatus"] == "InService"
    assert description["ProductionVariants"][0]["CurrentInstanceCount"] == 1
    assert cloud.invoke("life")["model"] == "healthy"

    cloud.remove("life")
    with pytest.raises(ClientError) as gone:
        client.describe_endpoint(EndpointName="life")
    message = 'Could not find endpoint "arn:aws:sagemaker:us-east-1:000000000000:endpoint/life".'
    assert code_of(gone) == ("ValidationException", message)
    assert set(cloud.model_servers()) == servers
    assert cloud.deployments() == deployments
    assert not (cloud.folder / "sagemaker" / "logs" / "life.log").exists()


def test_the_model_server_gets_body_headers_and_environment_and_the_client_its_answer(cloud: EmbeddedCloud) -> None:
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(
        EndpointName="shared",
        Body=b"12345",
        ContentType="application/x-npy",
        Accept="application/json",
        CustomAttributes="trace=1",
    )
    seen = json.loads(answer["Body"].read())
    assert (seen["bytes"], seen["variable"]) == (5, "healthy")
    assert seen["headers"]["content-type"] == "application/x-npy"
    assert seen["headers"]["accept"] == "application/json"
    assert seen["headers"]["x-amzn-sagemaker-custom-attributes"] == "trace=1"
    assert "authorization" not in seen["headers"]
    assert (answer["ContentType"], answer["InvokedProductionVariant"]) == ("application/json", "AllTraffic")


@pytest.mark.parametrize(("status", "side"), [(415, "client"), (500, "server")])
def test_an_error_of_the_model_is_a_model_error_that_carries_it(cloud: EmbeddedCloud, status: int, side: str) -> None:
    with pytest.raises(ClientError) as refusal:
        cloud.invoke("shared", b"status %d" % status)
    response = refusal.value.response
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert response["OriginalStatusCode"] == status
    assert response["OriginalMessage"] == "no such thing"
    code, message = code_of(refusal)
    assert code == "ModelError"
    assert message.startswith(f'Received {side} error ({status}) from primary with message "no such thing".')


def test_a_body_of_six_megabytes_passes_and_a_larger_one_is_refused(cloud: EmbeddedCloud) -> None:
    limit = 6 * 1024**2
    assert cloud.invoke("shared", bytes(limit))["bytes"] == limit
    with pytest.raises(ClientError) as over:
        cloud.invoke("shared", bytes(limit + 1))
    assert code_of(over)[0] == "ValidationError"
    assert "'body' failed to satisfy constraint: Member must have length less than" in code_of(over)[1]
    with pytest.raises(ClientError) as far_over:
        cloud.invoke("shared", bytes(limit + 5000))
    assert code_of(far_over) == ("413", "HTTP content length exceeded 6295552 bytes.")


DESCRIBE_SHARED = b'{"EndpointName": "shared"}'


class Signed:
    """A request signed by botocore, which a test then spoils."""

    def __init__(
        self, cloud: EmbeddedCloud, service: str = "sagemaker", region: str = s3.REGION, body: bytes = DESCRIBE_SHARED
    ) -> None:
        self.body = body
        self.port = cloud.port
        request = AWSRequest(
            "POST",
            f"http://127.0.0.1:{self.port}/",
            {"X-Amz-Target": "SageMaker.DescribeEndpoint", "Content-Type": "application/x-amz-json-1.1"},
            self.body,
        )
        keys = Credentials(cloud.settings.access_key, cloud.settings.secret_key)
        SigV4Auth(keys, service, region).add_auth(request)
        self.headers = dict(request.headers.items())

    def send(self) -> tuple[int, str, str]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        connection.request("POST", "/", self.body, self.headers)
        response = connection.getresponse()
        content = json.loads(response.read())
        connection.close()
        return response.status, content.get("__type", ""), content.get("message", "")


def test_a_signed_request_is_served(cloud: EmbeddedCloud) -> None:
    assert Signed(cloud).send()[0] == 200


def test_an_unsigned_request_is_refused(cloud: EmbeddedCloud) -> None:
    request = Signed(cloud)
    del request.headers["Authorization"]
    assert request.send()[:2] == (403, "MissingAuthenticationTokenException")


def test_a_tampered_body_is_refused(cloud: EmbeddedCloud) -> None:
    request = Signed(cloud)
    request.body = request.body.replace(b"shared", b"stolen")
    assert request.send()[:2] == (403, "InvalidSignatureException")


def test_a_tampered_target_is_refused(cloud: EmbeddedCloud) -> None:
    request = Signed(cloud)
    request.headers["X-Amz-Target"] = "SageMaker.DeleteEndpoint"
    assert request.send()[:2] == (403, "InvalidSignatureException")


def test_a_target_that_is_not_signed_is_refused(cloud: EmbeddedCloud) -> None:
    request = Signed(cloud)
    request.headers["X-Amz-Unsigned"] = "1"
    status, code, message = request.send()
    assert (status, code) == (403, "InvalidSignatureException")
    assert "'x-amz-unsigned' must be a 'SignedHeader'" in message


@pytest.mark.parametrize(("minutes", "words"), [(-16, "Signature expired"), (16, "Signature not yet current")])
def test_a_signature_of_another_time_is_refused(
    cloud: EmbeddedCloud, monkeypatch: pytest.MonkeyPatch, minutes: int, words: str
) -> None:
    then = datetime.datetime.now(datetime.UTC) + datetime.timedelta(minutes=minutes)
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda: then)
    status, code, message = Signed(cloud).send()
    assert (status, code) == (403, "InvalidSignatureException")
    assert message.startswith(words)


@pytest.mark.parametrize("scope", [{"service": "s3"}, {"region": "eu-west-1"}])
def test_a_signature_for_another_service_or_region_is_refused(cloud: EmbeddedCloud, scope: dict[str, Any]) -> None:
    assert Signed(cloud, **scope).send()[:2] == (403, "InvalidSignatureException")


def test_a_header_that_is_no_signature_is_refused(cloud: EmbeddedCloud) -> None:
    request = Signed(cloud)
    request.headers["Authorization"] = "Basic dXNlcjpwYXNz"
    assert request.send()[:2] == (400, "IncompleteSignatureException")


@pytest.mark.parametrize("service", ["sagemaker", "sagemaker-runtime", "sts"])
@pytest.mark.parametrize("replaced", [{"aws_access_key_id": "GUESSED"}, {"aws_secret_access_key": "guessed"}])
def test_guessed_keys_are_refused_by_every_service(
    cloud: EmbeddedCloud, service: str, replaced: dict[str, str]
) -> None:
    client = cloud.client(service, **replaced)
    call, parameters = {
        "sagemaker": ("list_models", {}),
        "sagemaker-runtime": ("invoke_endpoint", {"EndpointName": "shared", "Body": b"x"}),
        "sts": ("get_caller_identity", {}),
    }[service]
    with pytest.raises(ClientError) as refusal:
        getattr(client, call)(**parameters)
    codes = {
        ("sts", "aws_access_key_id"): "InvalidClientTokenId",
        ("sts", "aws_secret_access_key"): "SignatureDoesNotMatch",
    }
    (replaced_key,) = replaced
    expected = {"aws_access_key_id": "UnrecognizedClientException"}.get(replaced_key, "InvalidSignatureException")
    assert code_of(refusal)[0] == codes.get((service, replaced_key), expected)


def test_a_caller_learns_who_it_is(cloud: EmbeddedCloud) -> None:
    identity = cloud.client("sts").get_caller_identity()
    assert identity["Account"] == "000000000000"
    assert identity["Arn"] == "arn:aws:iam::000000000000:user/fashion-cnn"


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"\xff", b"null", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_refused(cloud: EmbeddedCloud, body: bytes) -> None:
    assert Signed(cloud, body=body).send()[:2] == (400, "SerializationException")


VARIANT = {"VariantName": "v", "ModelName": "healthy", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}


@pytest.mark.parametrize(
    ("call", "parameters", "words"),
    [
        ("describe_model", {"ModelName": "-bad-"}, "'modelName' failed to satisfy constraint: Member must satisfy reg"),
        ("describe_model", {"ModelName": "a" * 64}, "have length less than or equal to 63"),
        ("list_endpoints", {"MaxResults": 101}, "have value less than or equal to 100"),
        (
            "create_endpoint_config",
            {"EndpointConfigName": "new", "ProductionVariants": [{**VARIANT, "InstanceType": "ml.huge"}]},
            "'productionVariants.1.member.instanceType' failed to satisfy constraint: Member must satisfy enum value",
        ),
        (
            "create_endpoint_config",
            {"EndpointConfigName": "new", "ProductionVariants": [{**VARIANT, "ModelName": "absent"}]},
            'Could not find model "arn:aws:sagemaker:us-east-1:000000000000:model/absent".',
        ),
        (
            "create_endpoint_config",
            {"EndpointConfigName": "new", "ProductionVariants": [VARIANT, VARIANT]},
            "a VariantName occurs twice",
        ),
        (
            "create_endpoint_config",
            {"EndpointConfigName": "new", "ProductionVariants": [{"VariantName": "v", "ModelName": "healthy"}]},
            "v lacks InitialInstanceCount, InstanceType",
        ),
        (
            "create_model",
            {"ModelName": "new", "PrimaryContainer": {"Image": "i", "ModelDataUrl": "s3://fashion-cnn/absent"}},
            "Could not find model data at s3://fashion-cnn/absent.",
        ),
        ("create_endpoint", {"EndpointName": "new", "EndpointConfigName": "absent"}, "Could not find endpoint config"),
        (
            "create_endpoint",
            {"EndpointName": "Shared", "EndpointConfigName": "healthy"},
            'Cannot create already existing endpoint "arn:aws:sagemaker:us-east-1:000000000000:endpoint/shared".',
        ),
        ("update_endpoint", {"EndpointName": "absent", "EndpointConfigName": "healthy"}, "Could not find endpoint"),
        ("update_endpoint", {"EndpointName": "shared", "EndpointConfigName": "absent"}, "Could not find endpoint conf"),
        ("delete_endpoint", {"EndpointName": "absent"}, "Could not find endpoint"),
        ("delete_model", {"ModelName": "absent"}, "Could not find model"),
        ("delete_endpoint_config", {"EndpointConfigName": "absent"}, "Could not find endpoint configuration"),
        ("list_models", {"NextToken": "nonsense"}, "Invalid pagination token"),
        ("list_tags", {"ResourceArn": "arn:aws:sagemaker:us-east-1:000000000000:model/absent"}, "Could not find res"),
    ],
)
def test_a_request_that_cannot_be_done_is_refused_with_the_reason(
    cloud: EmbeddedCloud, call: str, parameters: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClientError) as refusal:
        getattr(cloud.client(), call)(**parameters)
    code, message = code_of(refusal)
    assert code == "ValidationException"
    assert words in message


def test_an_operation_that_is_not_there_is_refused_with_those_that_are(cloud: EmbeddedCloud) -> None:
    with pytest.raises(ClientError) as refusal:
        cloud.client().list_notebook_instances()
    assert code_of(refusal)[0] == "UnknownOperationException"
    assert "CreateEndpoint" in code_of(refusal)[1]


def test_more_instances_than_the_quota_are_refused(cloud: EmbeddedCloud) -> None:
    cloud.config("many", 4, AllTraffic=("healthy", 1.0))
    with pytest.raises(ClientError) as refusal:
        cloud.client().create_endpoint(EndpointName="many", EndpointConfigName="many")
    assert code_of(refusal)[0] == "ResourceLimitExceeded"
    assert "current utilization of 1 Instances and a request delta of 4 Instances" in code_of(refusal)[1]


def test_every_pattern_of_the_operations_is_one_of_pythons() -> None:
    def walk(shape: Any, seen: tuple[str, ...]) -> None:
        if shape is None or shape.name in seen:
            return
        if pattern := shape.metadata.get("pattern"):
            java_pattern(pattern)
        inner = [shape.member] if shape.type_name == "list" else []
        inner += [shape.key, shape.value] if shape.type_name == "map" else []
        inner += shape.members.values() if shape.type_name == "structure" else []
        for one in inner:
            walk(one, (*seen, shape.name))

    for name in OPERATIONS:
        walk(operation("sagemaker", name).input_shape, ())
    walk(operation("sagemaker-runtime", "InvokeEndpoint").input_shape, ())


def test_lists_are_filtered_sorted_and_paged(cloud: EmbeddedCloud) -> None:
    client = cloud.client()
    for number in range(12):
        cloud.config(f"page-{number:02}", AllTraffic=("healthy", 1.0))
    names = [f"page-{number:02}" for number in range(12)]

    def listed(**parameters: Any) -> list[str]:
        pages = client.get_paginator("list_endpoint_configs").paginate(NameContains="page-", **parameters)
        return [config["EndpointConfigName"] for page in pages for config in page["EndpointConfigs"]]

    assert listed() == names[::-1]
    assert listed(SortBy="Name", SortOrder="Ascending", PaginationConfig={"PageSize": 5}) == names
    assert len(client.list_endpoint_configs(NameContains="page-")["EndpointConfigs"]) == 10
    created = client.describe_endpoint_config(EndpointConfigName="page-05")["CreationTime"]
    later = created + datetime.timedelta(hours=1)
    assert listed(CreationTimeAfter=later) == []
    assert listed(CreationTimeBefore=later) == names[::-1]
    assert client.list_endpoints(StatusEquals="Failed", NameContains="shared")["Endpoints"] == []


def test_tags_are_added_replaced_and_deleted(cloud: EmbeddedCloud) -> None:
    client = cloud.client()
    arn = client.describe_endpoint(EndpointName="shared")["EndpointArn"]
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}])
    client.add_tags(ResourceArn=arn, Tags=[{"Key": "a", "Value": "3"}])
    client.delete_tags(ResourceArn=arn, TagKeys=["b", "absent"])
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "3"}]


def test_requests_are_divided_by_weight_unless_they_name_a_variant(cloud: EmbeddedCloud) -> None:
    cloud.config("two", most=("healthy", 3.0), rest=("other", 1.0))
    cloud.deploy("two", "two")
    answers = [cloud.invoke("two")["model"] for _ in range(40)]
    assert (answers.count("healthy"), answers.count("other")) == (30, 10)
    assert {cloud.invoke("two", TargetVariant="rest")["model"] for _ in range(5)} == {"other"}
    with pytest.raises(ClientError) as refusal:
        cloud.invoke("two", TargetVariant="none")
    assert code_of(refusal)[0] == "ValidationError"
    cloud.remove("two")


FAILURES = {
    "crash": "for production variant AllTraffic did not pass the ping health check: error: these weights are broken",
    "sick": f"did not pass the ping health check in {STARTUP_SECONDS} s",
    "noarchive": "Please ensure that the object located at the URL is a valid tar.gz archive",
}


@pytest.mark.parametrize("config", FAILURES)
def test_an_endpoint_that_cannot_be_created_is_failed_with_the_reason_and_leaves_no_process(
    cloud: EmbeddedCloud, config: str
) -> None:
    servers, deployments = set(cloud.model_servers()), cloud.deployments()
    description = cloud.deploy("failing", config)
    assert description["EndpointStatus"] == "Failed"
    assert FAILURES[config] in description["FailureReason"]
    assert (set(cloud.model_servers()), cloud.deployments()) == (servers, deployments)
    with pytest.raises(ClientError) as refusal:
        cloud.client().update_endpoint(EndpointName="failing", EndpointConfigName="healthy")
    assert "can only be deleted" in code_of(refusal)[1]
    cloud.remove("failing")


def test_an_update_that_fails_leaves_the_endpoint_as_it_was_with_the_reason(cloud: EmbeddedCloud) -> None:
    cloud.deploy("kept", "healthy")
    before = cloud.invoke("kept")["pid"]
    description = cloud.update("kept", "crash")
    assert (description["EndpointStatus"], description["EndpointConfigName"]) == ("InService", "healthy")
    assert FAILURES["crash"] in description["FailureReason"]
    assert cloud.invoke("kept")["pid"] == before
    description = cloud.update("kept", "other")
    assert (cloud.invoke("kept")["model"], "FailureReason" in description) == ("other", False)
    cloud.remove("kept")


def test_what_is_being_deployed_can_be_neither_updated_nor_deleted(cloud: EmbeddedCloud) -> None:
    client = cloud.client()
    client.create_endpoint(EndpointName="busy", EndpointConfigName="sick")
    for call, parameters in [(client.update_endpoint, {"EndpointConfigName": "healthy"}), (client.delete_endpoint, {})]:
        with pytest.raises(ClientError) as refusal:
            call(EndpointName="busy", **parameters)
        assert code_of(refusal)[1].startswith("Cannot update in-progress endpoint")
    cloud.settled("busy")
    cloud.remove("busy")


def test_no_request_is_lost_while_endpoints_are_updated_under_load(cloud: EmbeddedCloud) -> None:
    cloud.deploy("loaded", "healthy")
    command = [sys.executable, str(REPOSITORY / "tests/support/load.py"), json.dumps(cloud.access()), "loaded"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8") as load:
        assert load.stdout
        models = map(str.strip, iter(load.stdout.readline, ""))
        next(models)
        cloud.update("loaded", "other")
        cloud.update("loaded", "sick")
        cloud.update("loaded", "healthy")
        # What was answered before waits to be read: only after these is an answer the last deployment's.
        next(model for model in models if model == "other")
        next(model for model in models if model == "healthy")
        for _ in range(20):
            next(models)
        result = json.loads(load.communicate()[0].splitlines()[-1])
    assert result["failures"] == []
    assert result["last"] == "healthy"
    assert set(result["seen"]) == {"healthy", "other"}
    wait_until(lambda: len(cloud.deployments()) == len(cloud.model_servers()) == 2)  # of shared and of loaded
    cloud.remove("loaded")


def test_a_request_under_way_is_answered_by_the_server_that_an_update_replaces(cloud: EmbeddedCloud) -> None:
    cloud.deploy("slow", "healthy")
    with ThreadPoolExecutor(1) as pool:
        (slow,), held = cloud.hold(pool, "slow")
        cloud.update("slow", "other")
        assert cloud.invoke("slow")["model"] == "other"
        held.unlink()
        assert slow.result()["model"] == "healthy"
    cloud.remove("slow")


def test_a_model_server_that_dies_is_replaced_and_its_requests_are_answered(cloud: EmbeddedCloud) -> None:
    cloud.deploy("dying", "healthy")
    victim = cloud.invoke("dying")["pid"]
    with ThreadPoolExecutor(4) as pool:
        under_way, held = cloud.hold(pool, "dying", 3)
        psutil.Process(victim).kill()
        held.unlink()
        answers = [pool.submit(cloud.invoke, "dying").result(), *(request.result() for request in under_way)]
    assert {answer["model"] for answer in answers} == {"healthy"}
    assert victim not in {answer["pid"] for answer in answers}
    cloud.remove("dying")


def test_a_request_that_ends_every_model_server_is_given_up_and_the_endpoint_recovers(cloud: EmbeddedCloud) -> None:
    with pytest.raises(ClientError) as refusal:
        cloud.invoke("shared", b"die")
    assert code_of(refusal) == ("ServiceUnavailable", "Endpoint shared: two model servers ended over this request.")
    assert refusal.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert cloud.invoke("shared")["model"] == "healthy"


def test_nothing_listens_beyond_loopback(cloud: EmbeddedCloud) -> None:
    processes = [psutil.Process(cloud.server.pid), *cloud.model_servers()]
    listening = {
        connection.laddr.ip
        for process in processes
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {"127.0.0.1"}


def test_what_runs_outlives_its_model_and_configuration_but_is_not_updated_then(cloud: EmbeddedCloud) -> None:
    cloud.model("brief")
    cloud.deploy("outlives", "brief")
    cloud.client().delete_endpoint_config(EndpointConfigName="brief")
    cloud.client().delete_model(ModelName="brief")
    with pytest.raises(ClientError) as refusal:
        cloud.client().update_endpoint(EndpointName="outlives", EndpointConfigName="healthy")
    message = 'Could not find endpoint configuration "arn:aws:sagemaker:us-east-1:000000000000:endpoint-config/brief".'
    assert code_of(refusal) == ("ValidationException", message)
    assert cloud.invoke("outlives")["model"] == "brief"
    cloud.remove("outlives")


def test_every_call_is_recorded_as_the_service_models_have_it_and_without_bodies(cloud: EmbeddedCloud) -> None:
    cloud.invoke("shared", b"a secret")
    lines = (cloud.folder / "sagemaker-calls.jsonl").read_text(encoding="utf-8").splitlines()
    assert "a secret" not in lines[-1]
    calls = [json.loads(line) for line in lines]
    assert calls[-1] == {"operation": "InvokeEndpoint", "parameters": {"EndpointName": "shared"}, "status": 200}
    assert {"CreateModel", "CreateEndpointConfig", "CreateEndpoint", "DescribeEndpoint"} <= {
        call["operation"] for call in calls
    }
    for call in calls:
        if call["operation"] in OPERATIONS and call["status"] == 200:
            shape = operation("sagemaker", call["operation"]).input_shape
            assert not ParamValidator().validate(call["parameters"], shape).has_errors()


def test_the_record_of_calls_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CALLS_BYTES", 1000)
    calls = server._calls(tmp_path / "calls.jsonl")
    for _ in range(100):
        calls.info("x" * 99)
    calls.handlers[-1].close()
    calls.removeHandler(calls.handlers[-1])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 2000


def test_killed_it_takes_its_model_servers_along_and_brings_its_endpoints_back(mortal: EmbeddedCloud) -> None:
    mortal.model("healthy")
    mortal.model("sick", sick=True)
    served, _ = (mortal.deploy(name, "healthy") for name in ("served", "updated"))
    mortal.client().update_endpoint(EndpointName="updated", EndpointConfigName="sick")
    mortal.client().create_endpoint(EndpointName="created", EndpointConfigName="sick")
    wait_until(lambda: len(mortal.model_servers()) == 4)
    mortal.end(kill=True)
    wait_until(lambda: not mortal.model_servers())

    mortal.start()
    assert mortal.invoke("served")["model"] == mortal.invoke("updated")["model"] == "healthy"
    updated, created = mortal.settled("updated"), mortal.settled("created")
    assert (updated["EndpointStatus"], updated["EndpointConfigName"]) == ("InService", "healthy")
    assert mortal.settled("served") | {"ResponseMetadata": None} == served | {"ResponseMetadata": None}
    assert "rolled back to its previous endpoint configuration" in updated["FailureReason"]
    assert created["EndpointStatus"] == "Failed"
    assert "ended while the endpoint was being created" in created["FailureReason"]
    assert len(mortal.deployments()) == len(mortal.model_servers()) == 2


def test_stopped_it_answers_what_is_under_way_and_leaves_no_process(mortal: EmbeddedCloud) -> None:
    mortal.model("healthy")
    mortal.deploy("served", "healthy")
    with ThreadPoolExecutor(1) as pool:
        (under_way,), held = mortal.hold(pool, "served")
        mortal.server.terminate()
        wait_until(lambda: not listens(mortal.port))
        held.unlink()
        assert under_way.result()["model"] == "healthy"
    mortal.end(kill=False)
    assert mortal.model_servers() == []
    mortal.start()
    assert mortal.invoke("served")["model"] == "healthy"


def test_the_sagemaker_sdk_deploys_asks_and_removes(cloud: EmbeddedCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    from sagemaker.core.resources import Endpoint, EndpointConfig, Model
    from sagemaker.core.shapes import ContainerDefinition, ProductionVariant

    for service in ("SAGEMAKER", "SAGEMAKER_RUNTIME"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", cloud.address)
    session = boto3.Session(**{name: value for name, value in cloud.access().items() if name != "endpoint_url"})
    container = ContainerDefinition(image="tensorflow", model_data_url=f"s3://{s3.BUCKET}/healthy.tar.gz")
    Model.create(model_name="m", primary_container=container, execution_role_arn=ROLE, session=session)
    variant = ProductionVariant(
        variant_name="AllTraffic", model_name="m", initial_instance_count=1, instance_type="ml.m5.large"
    )
    EndpointConfig.create(endpoint_config_name="c", production_variants=[variant], session=session)
    endpoint = Endpoint.create(endpoint_name="sdk", endpoint_config_name="c", session=session)
    endpoint.wait_for_status("InService", poll=1, timeout=120)
    answer = endpoint.invoke(body=b"12345", content_type="application/json")
    assert json.loads(answer.body.read())["bytes"] == 5

    endpoint = Endpoint.get("sdk", session=session)
    endpoint.delete()
    endpoint.wait_for_delete(poll=1, timeout=60)
    EndpointConfig.get("c", session=session).delete()
    Model.get("m", session=session).delete()
    assert "m" not in [model.model_name for model in Model.get_all(session=session)]


def test_the_profiles_of_a_connected_clone_start_what_they_need_and_up_brings_endpoints_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, clone = tmp_path / "cloud", tmp_path / "clone"
    environment = {**os.environ, "FASHION_CNN_CLOUD": str(folder), "PYTHONPATH": str(SOURCE)}

    def command(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "fashion_cnn.localcloud", *arguments]
        return subprocess.run(
            line, env=environment, cwd=clone, capture_output=True, text=True, check=False, encoding="utf-8"
        )

    (clone / ".dvc").mkdir(parents=True)
    (clone / ".dvc" / "config").write_text(
        "[core]\nno_scm = true\n['remote \"store\"']\nurl = s3://fashion-cnn/dvc\n", encoding="utf-8"
    )
    connected = command("connect", "--port", str(free_ports()))
    assert connected.returncode == 0, connected.stderr
    monkeypatch.setenv("AWS_CONFIG_FILE", str(clone / ".dvc" / "localcloud-aws-config"))
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    store = s3.store(folder)
    try:
        bucket = boto3.Session(profile_name=connection.PROFILE).client("s3")
        bucket.put_object(Bucket=s3.BUCKET, Key="model.tar.gz", Body=b"no archive")
        assert daemon.find(sagemaker.server(store)) is None, "S3 alone does not start SageMaker"

        client = boto3.Session(profile_name=connection.SAGEMAKER_PROFILE).client("sagemaker")
        container = {"Image": "tensorflow", "ModelDataUrl": f"s3://{s3.BUCKET}/model.tar.gz"}
        client.create_model(ModelName="m", PrimaryContainer=container, ExecutionRoleArn=ROLE)
        variant = VARIANT | {"ModelName": "m"}
        client.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
        client.create_endpoint(EndpointName="ours", EndpointConfigName="c")

        def status() -> str:
            return client.describe_endpoint(EndpointName="ours")["EndpointStatus"]

        wait_until(lambda: status() == "Failed", pause=0.1)
        assert "endpoint ours: Failed" in command("status").stdout
        assert "SageMaker stopped" in command("down").stdout
        assert "SageMaker answers at" in command("up").stdout
        assert status() == "Failed"
    finally:
        sagemaker.stop(store)
        s3.stop(store)
