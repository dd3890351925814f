"""What AWS is asked before anything is made there, and for a training job, against moto's IAM, S3, KMS and the like.

What moto does not know, training jobs, their logs and quotas, is answered here in AWS's shapes.
"""

import ast
import io
import json
import os
import re
import sys
import tarfile
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from moto.server import ThreadedMotoServer
from rich.console import Console
from sagemaker.core.utils.utils import SageMakerClient

from benchmarks.workspace import free_ports
from fashion_cnn.cloud import __main__ as command
from fashion_cnn.cloud import costs, preflight, training, training_on_aws
from fashion_cnn.cloud.params import Deploy, Training, Where
from fashion_cnn.cloud.target import Target, connect
from fashion_cnn.core import params
from fashion_cnn.core.errors import UserError
from fashion_cnn.core.params import Params
from fashion_cnn.localsagemaker.protocol import check, operation
from fashion_cnn.stages import remote
from support.repository import REPOSITORY

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


# Training jobs

QUOTAS = {"ml.m5.large for training job usage": 4.0, "ml.m5.large for spot training job usage": 2.0}
LONGEST = {"Longest run time for a training job": 432000.0}


class Amazon(boto3.Session):
    """A session that keeps what it asks, and answers for SageMaker, its logs and the quotas as AWS does.

    Two calls that the SDK can do without are denied, as they are to whoever has no more than the policy in the docs.
    """

    calls: list[tuple[str, str, dict[str, Any]]]
    job: dict[str, Any]  # empty: none yet
    quotas: dict[str, float]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.events.register("provide-client-params", self.keep)
        self.events.register("before-call", self.answer)

    def keep(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls.append((model.service_model.service_name, model.name, dict(params)))

    def answer(self, model: Any, **_: Any) -> tuple[Any, dict[str, Any]] | None:
        request = self.calls[-1][2]
        match model.name:
            case "ListBuckets" | "SimulatePrincipalPolicy":
                return AWSResponse("", 403, {}, None), {"Error": {"Code": "AccessDenied", "Message": "denied"}}
            case "ListServiceQuotas" if "NextToken" not in request:
                parsed: dict[str, Any] = {"Quotas": [{"QuotaName": "another", "Value": 0.0}], "NextToken": "2"}
            case "ListServiceQuotas":
                parsed = {"Quotas": [{"QuotaName": name, "Value": value} for name, value in self.quotas.items()]}
            case "ListAWSDefaultServiceQuotas":
                parsed = {"Quotas": [{"QuotaName": name, "Value": value} for name, value in LONGEST.items()]}
            case "CreateTrainingJob":
                Amazon.job = self.completed(request)
                parsed = {"TrainingJobArn": self.job["TrainingJobArn"]}
            case "DescribeTrainingJob":
                parsed = dict(self.job)
            case "ListTrainingJobs":
                parsed = {"TrainingJobSummaries": [self.job] if self.job else []}
            case "DescribeLogStreams":
                parsed = {"logStreams": [{"logStreamName": f"{self.job['TrainingJobName']}/algo-1"}]}
            case "GetLogEvents":
                lines = [] if "nextToken" in request else [training.BEGINS, "epoch 1 of 1"]
                parsed = {"events": [{"message": line} for line in lines], "nextForwardToken": "f"}
            case "StopTrainingJob":
                parsed = {}
            case _:
                return None
        return AWSResponse("", 200, {}, None), parsed | {"ResponseMetadata": {"HTTPStatusCode": 200}}

    def completed(self, request: dict[str, Any]) -> dict[str, Any]:
        """The job's description after half an hour, when its result and a checkpoint are in S3."""
        name, now = request["TrainingJobName"], datetime(2026, 11, 26, tzinfo=UTC)
        url = f"{request['OutputDataConfig']['S3OutputPath']}/{name}/output/model.tar.gz"
        with tarfile.open(fileobj=(archive := io.BytesIO()), mode="w:gz") as tar:
            for file in training.RESULT:
                tar.addfile(tarfile.TarInfo(file))
        checkpoint = f"{request['CheckpointConfig']['S3Uri']}/seed-0"
        for address, content in {url: archive.getvalue(), checkpoint: b""}.items():
            store().put_object(Bucket=BUCKET, Key=address.removeprefix(f"s3://{BUCKET}/"), Body=content)
        return {
            **{name: request[name] for name in ("TrainingJobName", "AlgorithmSpecification", "ResourceConfig")},
            "TrainingJobArn": f"arn:aws:sagemaker:{REGION}:123456789012:training-job/{name}",
            "StoppingCondition": request["StoppingCondition"],
            "ModelArtifacts": {"S3ModelArtifacts": url},
            "TrainingJobStatus": "Completed",
            "SecondaryStatus": "Completed",
            "CreationTime": now,
            "TrainingStartTime": now,
            "TrainingEndTime": now + timedelta(minutes=30),
            "BillableTimeInSeconds": 900,
        }


def store() -> Any:
    """A client of S3 whose calls are not kept."""
    return boto3.session.Session(region_name=REGION).client("s3")


@pytest.fixture
def amazon(aws: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[type[Amazon]]:
    """Every session from here on; what it was asked is in its `calls`."""
    assert aws, "the account is there"
    Amazon.calls, Amazon.job, Amazon.quotas = [], {}, QUOTAS
    monkeypatch.setenv("FASHION_CNN_CLOUD", str(tmp_path / "cloud"))
    monkeypatch.setattr(boto3, "Session", Amazon)
    yield Amazon
    SageMakerClient.reset()  # the SDK keeps the first one that it made, for whoever names no session


def on_aws(**changes: Any) -> dict[str, Any]:
    """Parameters with which arms are trained there."""
    account = {"cloud.aws.role": ROLE, "cloud.aws.region": REGION, "cloud.aws.bucket": BUCKET}
    return {"cloud.train": "sagemaker", "cloud.target": "aws"} | account | changes


def chosen(**changes: Any) -> Training:
    return params.load(Where, REPOSITORY / "params.yaml", on_aws(**changes)).cloud


def needed(service: str, name: str, request: dict[str, Any]) -> list[tuple[str, str]]:
    """The IAM actions that a call needs, each with the resource it is on.

    Source: docs.aws.amazon.com/service-authorization/latest/reference, the pages of these services, and
    docs.aws.amazon.com/sagemaker/latest/dg/api-permissions-reference.html.
    """
    key, role = "arn:aws:kms:REGION:ACCOUNT:key/KEY", "arn:aws:iam::ACCOUNT:role/ROLE"
    bucket = f"arn:aws:s3:::{request.get('Bucket', '')}".replace(BUCKET, "BUCKET")
    file = f"{bucket}/{request.get('Key')}"
    job = f"arn:aws:sagemaker:REGION:ACCOUNT:training-job/{request.get('TrainingJobName')}"
    group = f"arn:aws:logs:REGION:ACCOUNT:log-group:{request.get('logGroupName')}"
    match service, name:
        case "sagemaker", "CreateTrainingJob":
            assert request["ResourceConfig"]["VolumeKmsKeyId"]
            tagged = [("sagemaker:AddTags", job)] if request["Tags"] else []
            return [("sagemaker:CreateTrainingJob", job), *tagged, ("iam:PassRole", role), ("kms:CreateGrant", key)]
        case "s3", "HeadBucket" | "ListObjectsV2":
            return [("s3:ListBucket", bucket)]
        case "s3", "HeadObject":  # without s3:ListBucket, what is not there is forbidden
            return [("s3:GetObject", file), ("s3:ListBucket", bucket)]
        case "s3", "GetObject":
            return [("s3:GetObject", file), ("kms:Decrypt", key)]
        case "s3", "PutObject":
            return [("s3:PutObject", file), ("kms:GenerateDataKey", key)]
    actions = {
        ("sts", "GetCallerIdentity"): ("sts:GetCallerIdentity", "*"),
        ("iam", "GetRole"): ("iam:GetRole", role),
        ("kms", "DescribeKey"): ("kms:DescribeKey", key),
        ("service-quotas", "ListServiceQuotas"): ("servicequotas:ListServiceQuotas", "*"),
        ("service-quotas", "ListAWSDefaultServiceQuotas"): ("servicequotas:ListAWSDefaultServiceQuotas", "*"),
        ("sagemaker", "ListTrainingJobs"): ("sagemaker:ListTrainingJobs", "*"),
        ("sagemaker", "DescribeTrainingJob"): ("sagemaker:DescribeTrainingJob", job),
        ("sagemaker", "StopTrainingJob"): ("sagemaker:StopTrainingJob", job),
        ("logs", "DescribeLogStreams"): ("logs:DescribeLogStreams", f"{group}:*"),
        ("logs", "GetLogEvents"): ("logs:GetLogEvents", f"{group}:log-stream:{request.get('logStreamName')}"),
        ("s3", "DeleteObject"): ("s3:DeleteObject", file),
    }
    return [actions[service, name]]


@pytest.mark.usefixtures("prepared")
def test_a_stage_trains_on_aws_with_all_that_the_parameters_say_and_no_more_than_the_policy_allows(
    aws: dict[str, str],
    amazon: type[Amazon],
    set_params: Callable[..., Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    changes = {"kms_key": aws["good"], "tags": {"team": "vision"}, "volume_gb": 17, "price_per_hour": 0.5}
    set_params(**on_aws(**{"cloud.spot": True} | {f"cloud.aws.{name}": value for name, value in changes.items()}))
    monkeypatch.setattr(sys, "argv", ["train", "cnn3"])
    remote.main()

    assert {path.name for path in Path("models/cnn3").iterdir()} == set(training.RESULT)
    printed = capsys.readouterr().out
    assert printed.startswith(f"cnn3: on AWS in {REGION}: up to 1 training job on spot instances ml.m5.large, ")
    assert "epoch 1 of 1" in printed
    names = [name for _, name, _ in amazon.calls]
    first = next(name for name in names if not name.startswith(("Describe", "Get", "Head", "List")))
    assert names.index("ListAWSDefaultServiceQuotas") < names.index(first), "asked before anything is made"
    (request,) = [request for _, name, request in amazon.calls if name == "CreateTrainingJob"]
    check(request, operation("sagemaker", "CreateTrainingJob").input_shape)
    assert re.fullmatch(r"fashion-cnn-cnn3-[0-9a-f]{12}-\d+", request["TrainingJobName"])
    assert request["RoleArn"] == ROLE
    assert request["ResourceConfig"] == {
        "InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 17, "VolumeKmsKeyId": aws["good"],
    }  # fmt: skip
    assert request["OutputDataConfig"]["KmsKeyId"] == aws["good"]
    assert request["StoppingCondition"] == {"MaxRuntimeInSeconds": 14400, "MaxWaitTimeInSeconds": 28800}
    assert {tag["Key"]: tag["Value"] for tag in request["Tags"]} == {"project": "fashion-cnn", "team": "vision"}
    assert not request.get("EnableNetworkIsolation")
    uploads = [request for _, name, request in amazon.calls if name == "PutObject"]
    assert uploads
    assert {upload["SSEKMSKeyId"] for upload in uploads} == {aws["good"]}

    files_in = store()
    listed = files_in.list_objects_v2(Bucket=BUCKET, Prefix=f"{training.PREFIX}/code/")["Contents"]
    files = {one["Key"].rpartition("/input/")[2]: one["Key"] for one in listed}
    driver = files_in.get_object(Bucket=BUCKET, Key=files["sm_drivers/sm_train.sh"])["Body"].read().decode()
    assert "install_requirements.py requirements.txt" in driver
    pins = files_in.get_object(Bucket=BUCKET, Key=files["code/requirements.txt"])["Body"].read().decode().split()
    assert pins[:3] == ["keras==3.15.1", "numpy==2.4.6", "tensorflow==2.21.0"]

    # What ends a stage early, and what lists the jobs.
    there = connect(chosen().place)
    amazon.job = amazon.job | {"TrainingJobStatus": "InProgress"}
    training.stop("fashion-cnn-cnn3", there)
    command.show_jobs(Console(file=io.StringIO()))

    policy = json.loads((REPOSITORY / "docs/iam-policy-training.json").read_text(encoding="utf-8"))
    allowed = [
        (action, resource)
        for statement in policy["Statement"]
        for action in preflight._listed(statement["Action"])
        for resource in preflight._listed(statement["Resource"])
    ]
    denied = ("ListBuckets", "SimulatePrincipalPolicy")
    used = {pair for call in amazon.calls if call[1] not in denied for pair in needed(*call)}
    assert {action for action, _ in used} == {action for action, _ in allowed}
    for action, resource in used:
        assert any(action == one and fnmatchcase(resource, pattern) for one, pattern in allowed), (action, resource)
    conditions = {statement["Sid"]: statement.get("Condition") for statement in policy["Statement"]}
    assert conditions["PassExecutionRole"] == {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    there.session.client("iam").create_policy(PolicyName="training", PolicyDocument=json.dumps(policy))


def test_a_job_installs_every_package_that_its_code_imports(tmp_path: Path) -> None:
    remote.pack(params.load(Params, REPOSITORY / "params.yaml"), tmp_path)
    imported = {
        name.partition(".")[0]
        for file in tmp_path.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names] if isinstance(node, ast.Import)
            else [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        )
    } - sys.stdlib_module_names - {"fashion_cnn"}  # fmt: skip
    training_on_aws.write_requirements(tmp_path)
    requirements = (tmp_path / "requirements.txt").read_text(encoding="utf-8")
    installed = {line.partition("==")[0] for line in requirements.split()}
    brought_by = [set(packages_distributions()[name]) for name in imported - {"ml_dtypes"}]
    assert [names for names in brought_by if not names & installed] == []
    assert installed <= set().union(*brought_by)


@pytest.mark.usefixtures("amazon")
@pytest.mark.parametrize(
    ("changes", "jobs", "problems"),
    [
        (
            {"cloud.aws.role": ROLE.replace("cnn", "cmm"), "cloud.aws.bucket": "bucket-elsewhere",
             "cloud.aws.kms_key": "no-such-key", "cloud.timeout_minutes": 7201, "cloud.instance_type": "ml.c7g.large"},
            1,
            ["the SageMaker SDK knows no image to train TensorFlow 2.21.0 for cloud.aws.region = eu-west-1, cloud.inst",
             f"cloud.aws.role = {ROLE.replace('cnn', 'cmm')}: no such role",
             "cloud.aws.bucket = bucket-elsewhere: lies in eu-central-1; it must lie in cloud.aws.region = eu-west-1",
             "cloud.aws.kms_key = no-such-key: no such key in eu-west-1",
             "cloud.instance_type = ml.c7g.large: eu-west-1 has no quota 'ml.c7g.large for training job usage'",
             "cloud.timeout_minutes = 7201: your quota 'Longest run time for a training job' is 7200 minutes"],
        ),
        (
            {"cloud.spot": True},
            6,
            ["cloud.max_jobs = 4: 4 at a time are wanted, and your quota 'ml.m5.large for spot training job "],
        ),
        ({"cloud.aws.region": "eu-west-9"}, 1, ["cloud.aws.region = eu-west-9: SageMaker is not there; allowed: "]),
    ],
)  # fmt: skip
def test_all_that_training_lacks_is_named_at_once(changes: dict[str, Any], jobs: int, problems: list[str]) -> None:
    wanted = chosen(**changes)
    with pytest.raises(UserError) as error:
        training_on_aws.require(wanted, connect(wanted.place), jobs)
    message = str(error.value)
    assert message.startswith("not ready to train on AWS, nothing was made: 1) ")
    assert message.endswith("docs/training-on-sagemaker.md says how to mend it")
    for number, problem in enumerate(problems, start=1):
        assert f"{number}) {problem}" in message
    assert "\n" not in message


@pytest.mark.usefixtures("amazon")
def test_quotas_that_suffice_for_the_jobs_that_are_wanted_are_enough() -> None:
    for max_jobs, jobs in [(4, 2), (2, 100)]:
        wanted = chosen(**{"cloud.spot": True, "cloud.max_jobs": max_jobs})
        training_on_aws.require(wanted, connect(wanted.place), jobs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"cloud.aws.role": None, "cloud.aws.bucket": None},
            "cloud.target = 'aws' needs cloud.aws.role, cloud.aws.bucket;",
        ),
        ({"cloud.aws.tags": {"project": "x"}}, "cloud.aws.tags names project"),
        (
            {"cloud.aws.network_isolation": True},
            "cloud.aws.network_isolation = True is not allowed; allowed: false: a job ",
        ),
        (
            {"cloud.aws.price_per_hour": 0},
            "cloud.aws.price_per_hour = 0 is not allowed; allowed: null or a number above 0",
        ),
        ({"cloud.aws.volume_gb": 0}, "cloud.aws.volume_gb = 0 is not allowed"),
    ],
)
def test_parameters_of_training_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as error:
        chosen(**changes)
    assert message in str(error.value)


def test_no_job_starts_on_aws_unless_a_person_writes_so() -> None:
    assert Training().target == "local"
    assert Training(train="sagemaker").place.target == "local"


def test_the_costs_of_jobs_are_hours_and_money_by_a_price_that_the_person_names_alone() -> None:
    line = costs.at_most(chosen(), 6)
    for fact in ("up to 6 training jobs on ml.m5.large", "at most 4 at a time", "tried up to 3 times", "240 minutes",
                 "72 hours", costs.PRICES):  # fmt: skip
        assert fact in line
    assert "price_per_hour" not in line
    assert "which is 36.00 at your cloud.aws.price_per_hour = 0.5" in costs.at_most(
        chosen(**{"cloud.aws.price_per_hour": 0.5}), 6
    )


@pytest.mark.usefixtures("prepared")
def test_jobs_are_listed_with_what_they_cost(
    amazon: type[Amazon], set_params: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    resources = {"InstanceType": "ml.m5.large", "InstanceCount": 1}
    request = {"TrainingJobName": "fashion-cnn-x-1", "AlgorithmSpecification": {}, "ResourceConfig": resources,
               "StoppingCondition": {}, "OutputDataConfig": {"S3OutputPath": f"s3://{BUCKET}/x"},
               "CheckpointConfig": {"S3Uri": f"s3://{BUCKET}/x"}}  # fmt: skip
    amazon.job = amazon().completed(request)

    def listed(**changes: Any) -> list[str]:
        set_params(**on_aws(**changes))
        command.show_jobs(Console(file=(written := io.StringIO()), width=200))
        return [*written.getvalue().splitlines(), capsys.readouterr().out.strip()]

    assert listed()[:-1] == ["fashion-cnn-x-1", "  Completed, 1800 seconds, 900 billed"]
    assert listed()[-1] == f"billed on AWS for these 1 jobs: 0.25 hours; prices: {costs.PRICES}"
    priced = listed(**{"cloud.aws.price_per_hour": 2})
    assert priced[1] == "  Completed, 1800 seconds, 900 billed, cost 0.50"
    assert "1 of them cost 0.50 at cloud.aws.price_per_hour = 2" in priced[-1]
    other = listed(**{"cloud.aws.price_per_hour": 2, "cloud.instance_type": "ml.c5.xlarge"})
    assert "0 of them cost 0.00" in other[-1], "no price is known of another instance type"
