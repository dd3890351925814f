"""What must be there on AWS before anything is made, and what it will cost. Asks only, changes nothing."""

import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from fashion_cnn.cloud.costs import PRICES
from fashion_cnn.cloud.deployment import container
from fashion_cnn.cloud.params import DOCS
from fashion_cnn.cloud.target import Target
from fashion_cnn.core.errors import UserError

Check = Callable[[Target, str], list[str]]  # of a target, which a section of params.yaml describes: what is wrong


def require(target: Target) -> None:
    """Check credentials, region, container, role, bucket, encryption key and alarms for an endpoint.

    Raises:
        UserError: names everything that is missing, at once.
    """
    check(target, "deploy", "deploy", here=[_container], there=[_alarms])


def check(target: Target, section: str, purpose: str, *, here: Sequence[Check], there: Sequence[Check]) -> None:
    """Check what an endpoint and a training job both need, and what one of them needs besides.

    Args:
        target: where.
        section: of params.yaml.
        purpose: what it is to be ready for.
        here: checks that need no credentials.
        there: checks that need them.

    Raises:
        UserError: names everything that is missing, at once.
    """
    checks = [_region, *here]
    account, problems = _credentials(target)
    if account:
        checks += [partial(_role, account=account), _bucket, _key, *there]
    for one in checks:
        try:
            problems += one(target, f"{section}.aws")
        except (ClientError, BotoCoreError) as error:
            problems.append(_said(error))
    if problems:
        listed = "; ".join(f"{number}) {problem}" for number, problem in enumerate(problems, start=1))
        raise UserError(
            f"not ready to {purpose} on AWS, nothing was made: {listed}; {DOCS[section]} says how to mend it"
        )


def costs(target: Target) -> str:
    """What a person agrees to pay for, in one line; AWS's page has the price."""
    hosting = target.hosting
    if hosting.serverless:
        what = f"serverless, {hosting.serverless.memory_mb} MB, up to {hosting.serverless.max_concurrency} at a time"
        when = "costs for the time it answers and for the data it moves"
    else:
        what = f"{hosting.instances} x {hosting.instance_type}"
        when = "costs by the hour, used or not"
    return f"on AWS in {hosting.region}: {what}; it {when}, until `make undeploy`; prices: {PRICES}"


def _said(error: ClientError | BotoCoreError) -> str:
    if isinstance(error, ClientError):
        return f"{error.operation_name}: {error.response['Error'].get('Message') or error.response['Error']['Code']}"
    return " ".join(str(error).split())


def _credentials(target: Target) -> tuple[str | None, list[str]]:
    """The account that the credentials belong to, or why there is none."""
    try:
        return target.session.client("sts").get_caller_identity()["Account"], []
    except (ClientError, BotoCoreError) as error:
        return None, [f"no valid AWS credentials ({_said(error)}): sign in, or set AWS_PROFILE"]


def _region(target: Target, section: str) -> list[str]:
    region = target.hosting.region
    if region in (known := _regions(target)):
        return []
    return [f"{section}.region = {region}: SageMaker is not there; allowed: {', '.join(known)}"]


def _regions(target: Target) -> list[str]:
    partitions = target.session.get_available_partitions()
    return [
        name for one in partitions for name in target.session.get_available_regions("sagemaker", partition_name=one)
    ]


def _container(target: Target, _section: str) -> list[str]:
    if target.hosting.region not in _regions(target):
        return []  # which is said already
    try:
        container(target.hosting)
    except UserError as error:
        return [str(error)]
    return []


def _role(target: Target, section: str, *, account: str) -> list[str]:
    arn = target.hosting.role or ""
    if arn.split(":")[4] != account:
        return [f"{section}.role = {arn}: of another account; your credentials belong to {account}"]
    try:
        role = target.session.client("iam").get_role(RoleName=arn.rsplit("/", 1)[-1])["Role"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchEntity":
            return [f"{section}.role = {arn}: no such role"]
        raise
    if role["Arn"] != arn:
        return [f"{section}.role = {arn}: no such role; its ARN is {role['Arn']}"]
    document = role["AssumeRolePolicyDocument"]
    if not _trusts_sagemaker(json.loads(document) if isinstance(document, str) else document):
        return [f"{section}.role = {arn}: its trust policy does not let sagemaker.amazonaws.com assume it"]
    return []


def _trusts_sagemaker(policy: Mapping[str, Any]) -> bool:
    return any(
        statement["Effect"] == "Allow"
        and "sts:AssumeRole" in _listed(statement["Action"])
        and isinstance(statement.get("Principal"), dict)
        and "sagemaker.amazonaws.com" in _listed(statement["Principal"].get("Service", []))
        for statement in _listed(policy["Statement"])
    )


def _listed(value: Any) -> list[Any]:
    """IAM writes a list of one as that one."""
    return value if isinstance(value, list) else [value]


def _bucket(target: Target, section: str) -> list[str]:
    bucket, region = target.hosting.bucket, target.hosting.region
    try:
        headers = target.session.client("s3").head_bucket(Bucket=bucket)["ResponseMetadata"]["HTTPHeaders"]
    except ClientError as error:
        headers = error.response["ResponseMetadata"]["HTTPHeaders"]
        match error.response["ResponseMetadata"]["HTTPStatusCode"]:
            case 404:
                return [f"{section}.bucket = {bucket}: no such bucket"]
            case 403:
                return [f"{section}.bucket = {bucket}: you may not use it, or it is another account's"]
            case 301 | 400 if "x-amz-bucket-region" in headers:
                pass
            case _:
                raise
    lies_in = headers.get("x-amz-bucket-region", region)
    if lies_in != region:
        return [f"{section}.bucket = {bucket}: lies in {lies_in}; it must lie in {section}.region = {region}"]
    return []


def _key(target: Target, section: str) -> list[str]:
    key = target.hosting.kms_key
    if key is None:
        return []
    try:
        state = target.session.client("kms").describe_key(KeyId=key)["KeyMetadata"]["KeyState"]
    except ClientError as error:
        if error.response["Error"]["Code"] == "NotFoundException":
            return [f"{section}.kms_key = {key}: no such key in {target.hosting.region}"]
        raise
    return [] if state == "Enabled" else [f"{section}.kms_key = {key}: is {state}; it must be Enabled"]


def _alarms(target: Target, section: str) -> list[str]:
    names = target.hosting.alarms
    if not names:
        return []
    described = target.session.client("cloudwatch").describe_alarms(
        AlarmNames=list(names), AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    found = {alarm["AlarmName"] for kind in ("MetricAlarms", "CompositeAlarms") for alarm in described.get(kind, [])}
    missing = [name for name in names if name not in found]
    return [f"{section}.alarms: no alarm {', '.join(missing)} in {target.hosting.region}"] if missing else []
