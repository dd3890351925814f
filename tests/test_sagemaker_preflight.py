"""The preflight, against moto's IAM, S3, KMS, CloudWatch and STS: it names all that is missing, and makes nothing."""

import json
import os
from collections.abc import Iterator
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from benchmarks.workspace import free_ports
from fashion_cnn.cloud import preflight
from fashion_cnn.cloud.params import Deploy
from fashion_cnn.cloud.target import Target, connect
from fashion_cnn.core.errors import UserError

REGION = "eu-west-1"
BUCKET = "our-bucket"
ROLE = "arn:aws:iam::123456789012:role/fashion-cnn-endpoint"


def trust(service: str, **changes: Any) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"} | changes
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture(scope="module")
def aws() -> Iterator[dict[str, str]]:
    """An account with a role, a bucket, a key and an alarm; the names of the key."""
    port = free_ports()
    server = ThreadedMotoServer("127.0.0.1", port, verbose=False)
    server.start()
    # Its state belongs to the process.
    urlopen(Request(f"http://127.0.0.1:{port}/moto-api/reset", method="POST")).close()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "anyone")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "anything")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        try:
            session = boto3.Session(region_name=REGION)
            iam = session.client("iam")
            for name, document in {
                "fashion-cnn-endpoint": trust("sagemaker.amazonaws.com"),
                "several": trust("x", Principal={"Service": ["ec2.amazonaws.com", "sagemaker.amazonaws.com"]}),
                "of-lambda": trust("lambda.amazonaws.com"),
                "denying": trust("sagemaker.amazonaws.com", Effect="Deny"),
            }.items():
                iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)
            for bucket, region in {BUCKET: REGION, "bucket-elsewhere": "eu-central-1"}.items():
                place = {"LocationConstraint": region}
                boto3.Session(region_name=region).client("s3").create_bucket(
                    Bucket=bucket, CreateBucketConfiguration=place
                )
            kms = session.client("kms")
            good, disabled = (kms.create_key()["KeyMetadata"]["KeyId"] for _ in range(2))
            kms.disable_key(KeyId=disabled)
            session.client("cloudwatch").put_metric_alarm(
                AlarmName="errors", ComparisonOperator="GreaterThanThreshold", EvaluationPeriods=1, Threshold=0,
                MetricName="Invocation5XXErrors", Namespace="AWS/SageMaker", Period=60, Statistic="Sum",
            )  # fmt: skip
            yield {"good": good, "disabled": disabled}
        finally:
            server.stop()


def target(**changes: Any) -> Target:
    hosting = {"role": ROLE, "region": REGION, "bucket": BUCKET} | changes
    return connect(Deploy.model_validate({"target": "aws", "aws": hosting}))


def refusal(**changes: Any) -> str:
    with pytest.raises(UserError) as error:
        preflight.require(target(**changes))
    message = str(error.value)
    assert message.startswith("not ready to deploy on AWS, nothing was made: 1) ")
    assert "\n" not in message
    return message


def test_an_account_that_has_everything_is_ready(aws: dict[str, str]) -> None:
    preflight.require(target())
    preflight.require(target(kms_key=aws["good"], alarms=["errors"], instances=2, canary_percent=50))
    preflight.require(target(serverless={"memory_mb": 1024, "max_concurrency": 1}))
    preflight.require(target(role=ROLE.replace("fashion-cnn-endpoint", "several")))


@pytest.mark.usefixtures("aws")
@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"role": ROLE.replace("cnn", "cmm")}, f"deploy.aws.role = {ROLE.replace('cnn', 'cmm')}: no such role"),
        ({"role": ROLE.replace("role/", "role/path/")}, f"its ARN is {ROLE}"),
        ({"role": ROLE.replace("123", "999")}, "of another account; your credentials belong to 123456789012"),
        ({"role": ROLE.replace("fashion-cnn-endpoint", "of-lambda")}, "does not let sagemaker.amazonaws.com assume"),
        ({"role": ROLE.replace("fashion-cnn-endpoint", "denying")}, "does not let sagemaker.amazonaws.com assume"),
        ({"bucket": "no-such-bucket"}, "deploy.aws.bucket = no-such-bucket: no such bucket"),
        ({"bucket": "bucket-elsewhere"}, "lies in eu-central-1; it must lie in deploy.aws.region = eu-west-1"),
        ({"region": "eu-west-9"}, "deploy.aws.region = eu-west-9: SageMaker is not there; allowed: "),
        ({"instance_type": "ml.c7g.large"}, "no TensorFlow Serving 2.20 container for deploy.aws.region = eu-west-1"),
        ({"kms_key": "no-such-key"}, "deploy.aws.kms_key = no-such-key: no such key in eu-west-1"),
        ({"alarms": ["errors", "latency"]}, "deploy.aws.alarms: no alarm latency in eu-west-1"),
    ],
)
def test_what_is_missing_is_named_with_its_parameter(changes: dict[str, Any], problem: str) -> None:
    assert problem in refusal(**changes)


def test_a_disabled_key_is_refused(aws: dict[str, str]) -> None:
    assert "is Disabled; it must be Enabled" in refusal(kms_key=aws["disabled"])


@pytest.mark.usefixtures("aws")
def test_everything_that_is_missing_is_named_at_once() -> None:
    message = refusal(
        role=ROLE.replace("cnn", "cmm"), bucket="no-such-bucket", kms_key="no-such-key", alarms=["latency"],
        instance_type="ml.c7g.large",
    )  # fmt: skip
    named = ("instance_type", "role", "bucket", "kms_key", "alarms")
    positions = [message.index(f"deploy.aws.{name}") for name in named]
    assert positions == sorted(positions)
    assert "5) " in message
    assert "6) " not in message


@pytest.mark.usefixtures("aws")
def test_without_credentials_the_rest_that_can_be_checked_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    message = refusal(region="eu-west-9")
    assert "1) no valid AWS credentials" in message
    assert "AWS_PROFILE" in message
    assert "2) deploy.aws.region = eu-west-9" in message


@pytest.mark.usefixtures("aws")
def test_the_preflight_makes_nothing() -> None:
    session, allowed = target().session, ("Describe", "Get", "Head")
    made: list[str] = []
    session.events.register("before-call", lambda model, **_: made.append(model.name))
    preflight.require(target()._replace(session=session))
    assert made
    assert all(name.startswith(allowed) for name in made)


@pytest.mark.parametrize(
    ("changes", "facts"),
    [
        ({"instances": 3}, ["3 x ml.m5.large", "by the hour, used or not", "make undeploy"]),
        ({"serverless": {"memory_mb": 2048, "max_concurrency": 5}}, ["serverless, 2048 MB, up to 5", "make undeploy"]),
    ],
)
def test_the_costs_are_named_with_where_to_see_the_price(changes: dict[str, Any], facts: list[str]) -> None:
    line = preflight.costs(target(**changes))
    assert all(fact in line for fact in [*facts, REGION, "https://aws.amazon.com/sagemaker/"])
