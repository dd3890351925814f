"""Bring a model archive into service on a SageMaker endpoint, or leave everything as it was; remove it again.

Every name derives from content, so that the same archive on the same hosting is never deployed twice. Whatever is
made carries the tag `project: fashion-cnn`; what does not carry it is never touched, whatever its name.

Source: docs.aws.amazon.com/sagemaker/latest/APIReference, CreateModel, CreateEndpointConfig, CreateEndpoint,
UpdateEndpoint, DescribeEndpoint. The SDK takes five seconds to import: who imports this module does so late.
"""

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeVar

from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError
from sagemaker.core import image_uris, shapes
from sagemaker.core.resources import Endpoint, EndpointConfig, Model, Tag

from fashion_cnn.cloud.params import PROJECT, Aws
from fashion_cnn.cloud.target import Target
from fashion_cnn.cloud.verification import Agreement
from fashion_cnn.core.errors import UserError

# The newest inference image that the SDK knows. Source: sagemaker.core.image_uris.
TENSORFLOW_SERVING: Final = "2.20"
VARIANT: Final = "AllTraffic"
POLL_SECONDS: Final = 0.5
# SageMaker ends an update by itself, but can't be told to: a roll-back waits for that as long as it may take.
ROLLBACK_SECONDS: Final = 3600
BAKING_SECONDS: Final = 300
NO_LABELS: Final[Mapping[str, str]] = MappingProxyType({})
IN_TRANSITION: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")

Check = Callable[[Callable[..., bytes]], Agreement]
Resource = TypeVar("Resource")


class Plan(NamedTuple):
    """What shall serve.

    Attributes:
        name: of the model and of the endpoint configuration.
        archive_sha256: of the archive, in hexadecimal.
        key: where the archive goes in the bucket.
        image: the container that runs it.
    """

    name: str
    archive_sha256: str
    key: str
    image: str


def deploy(archive: Path, target: Target, check: Check, labels: Mapping[str, str] = NO_LABELS) -> dict[str, Any]:
    """Have an endpoint serve a model archive, and prove that it does.

    An endpoint that serves already is updated: it answers without interruption, with the old model until the new one
    is ready. A failure, a time-out, a check that fails or an interruption brings back what served before, or nothing.

    Args:
        archive: a model archive, as `serving.archive.pack` writes it.
        target: where to.
        check: given a function that sends a body of a content type to the endpoint, it raises where the answers
            are wrong.
        labels: tags of the endpoint configuration, which say what network it is.

    Returns:
        What was deployed, where, and the agreement that `check` returned; the same for the same input.

    Raises:
        UserError: it failed, with SageMaker's reason; or something of that name is not this project's.
    """
    with explained("deploying"):
        plan = plan_for(archive, target)
        endpoint = settled(target, target.timeout)
        before = endpoint.endpoint_config_name if endpoint and endpoint.endpoint_status != "Failed" else None
    try:
        with explained("deploying"):
            uri = upload(archive, plan, target)
            create_model(plan, uri, target)
            create_config(plan, target, labels)
            bring_into_service(plan.name, target, target.timeout, guarded=True)
            say(f"endpoint {target.endpoint}: in service; its answers are compared with the model's")
            agreement = check(partial(invoke, target))
    except BaseException as failure:
        roll_back(before, target, failure)
        raise
    with explained("removing what it replaces"):
        remove_all_but(plan.name, target)
    return {
        "endpoint": target.endpoint,
        "model": plan.name,
        "endpoint_config": plan.name,
        "archive": uri,
        "archive_sha256": plan.archive_sha256,
        "verification": agreement._asdict(),
    }


def undeploy(target: Target) -> list[str]:
    """Remove the endpoint and its configurations, models and archives; what is not there does no harm.

    Returns:
        What was removed, one entry a resource.

    Raises:
        UserError: something of the endpoint's name is not this project's, or AWS refuses.
    """
    with explained("removing the endpoint"):
        endpoint = settled(target, ROLLBACK_SECONDS)
        if endpoint:
            delete_endpoint(endpoint, target)
        removed = remove_all_but(None, target)
        return [f"endpoint {target.endpoint}", *removed] if endpoint else removed


def endpoints(target: Target) -> list[str]:
    """Names of all endpoints that this project made, in the target's account and region."""
    with explained("listing the endpoints"):
        found = Endpoint.get_all(name_contains=PROJECT, **target.sdk)
        return [one.endpoint_name for one in found if _is_ours(one.endpoint_arn, target)]


def invoke(target: Target, body: bytes, content_type: str, attributes: str = "") -> bytes:
    """Send a request to the endpoint, with custom attributes where there are any.

    Raises:
        ClientError, BotoCoreError: it was not answered, or with an error.
    """
    endpoint = Endpoint(endpoint_name=target.endpoint)
    asked = {"custom_attributes": attributes} if attributes else {}
    return endpoint.invoke(body=body, content_type=content_type, **asked, **target.sdk).body.read()


def say(what: str) -> None:
    """Tell the person how far it is, at once."""
    print(what, flush=True)


@contextmanager
def explained(work: str) -> Iterator[None]:
    """Turn what AWS, or the way there, refuses into one line."""
    try:
        yield
    except ClientError as error:
        answer = error.response["Error"]
        message = " ".join(answer.get("Message", "").split())
        raise UserError(f"{work} failed: {error.operation_name}: {answer.get('Code')}: {message}") from error
    except (BotoCoreError, Boto3Error) as error:
        raise UserError(f"{work} failed: {' '.join(str(error).split())}") from error


def plan_for(archive: Path, target: Target) -> Plan:
    """Names and places that derive from what is deployed.

    Raises:
        UserError: the SDK knows no container for the region and the instance type.
    """
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    image = container(target.hosting)
    hosting = target.hosting.model_dump(exclude={"canary_percent", "alarms", "tags"})  # how it gets there, and labels
    whole = json.dumps([digest, image, hosting], sort_keys=True)
    name = f"{target.endpoint}-{hashlib.sha256(whole.encode()).hexdigest()[:12]}"
    return Plan(name, digest, f"{target.prefix}{digest}/model.tar.gz", image)


def container(hosting: Aws) -> str:
    """The address of AWS's TensorFlow Serving container.

    Raises:
        UserError: there is none for the region and the instance type.
    """
    try:
        return image_uris.retrieve(
            "tensorflow",
            region=hosting.region,
            version=TENSORFLOW_SERVING,
            image_scope="inference",
            instance_type="ml.m5.large" if hosting.serverless else hosting.instance_type,
        )
    except ValueError as error:
        raise UserError(
            f"the SageMaker SDK knows no TensorFlow Serving {TENSORFLOW_SERVING} container for deploy.aws.region = "
            f"{hosting.region}, deploy.aws.instance_type = {hosting.instance_type}: {' '.join(str(error).split())}"
        ) from None


def upload(archive: Path, plan: Plan, target: Target) -> str:
    """Bring the archive to its place, where it is not yet; its place holds its digest.

    Returns:
        Its s3:// address.
    """
    client = target.session.client("s3")
    place = {"Bucket": target.hosting.bucket, "Key": plan.key}
    try:
        client.head_object(**place)
    except ClientError as error:
        if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
            raise
        client.put_object(Body=archive.read_bytes(), **place, **encryption(target.hosting))
    return f"s3://{target.hosting.bucket}/{plan.key}"


def encryption(hosting: Aws) -> dict[str, str]:
    """How S3 shall encrypt an archive: its own way, where no key is given."""
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": hosting.kms_key} if hosting.kms_key else {}


def create_model(plan: Plan, uri: str, target: Target) -> None:
    """Make the model where it does not exist."""
    existing = _get(Model, target, model_name=plan.name)
    if existing:
        _require_ours(existing.model_arn, target)
        return
    Model.create(
        model_name=plan.name,
        primary_container=shapes.ContainerDefinition(image=plan.image, model_data_url=uri),
        execution_role_arn=target.hosting.role,
        enable_network_isolation=target.hosting.network_isolation or None,
        tags=tags(target),
        **target.sdk,
    )


def create_config(plan: Plan, target: Target, labels: Mapping[str, str] = NO_LABELS) -> None:
    """Make the endpoint configuration where it does not exist."""
    existing = _get(EndpointConfig, target, endpoint_config_name=plan.name)
    if existing:
        _require_ours(existing.endpoint_config_arn, target)
        return
    # The SDK misspells a serverless variant's memory: github.com/aws/sagemaker-core, issue 225. Its client does not.
    client = target.session.client("sagemaker")
    client.create_endpoint_config(
        EndpointConfigName=plan.name,
        ProductionVariants=[{"VariantName": VARIANT, "ModelName": plan.name, **capacity(target.hosting)}],
        Tags=[{"Key": tag.key, "Value": tag.value} for tag in tags(target, labels)],
        **({"KmsKeyId": target.hosting.kms_key} if target.hosting.kms_key else {}),
    )


def capacity(hosting: Aws) -> dict[str, Any]:
    """What a variant runs on: instances, or none of its own."""
    if hosting.serverless:
        memory, concurrency = hosting.serverless.memory_mb, hosting.serverless.max_concurrency
        return {"ServerlessConfig": {"MemorySizeInMB": memory, "MaxConcurrency": concurrency}}
    return {"InstanceType": hosting.instance_type, "InitialInstanceCount": hosting.instances}


def guard(hosting: Aws, timeout: float) -> shapes.DeploymentConfig | None:
    """How an update moves traffic and what makes SageMaker roll it back; None leaves that to SageMaker."""
    if not (hosting.canary_percent or hosting.alarms):
        return None
    canary = hosting.canary_percent and shapes.CapacitySize(type="CAPACITY_PERCENT", value=hosting.canary_percent)
    return shapes.DeploymentConfig(
        blue_green_update_policy=shapes.BlueGreenUpdatePolicy(
            traffic_routing_configuration=shapes.TrafficRoutingConfig(
                type="CANARY" if canary else "ALL_AT_ONCE", wait_interval_in_seconds=BAKING_SECONDS, canary_size=canary
            ),
            # SageMaker's bounds for it. Source: API_BlueGreenUpdatePolicy.
            maximum_execution_timeout_in_seconds=min(max(int(timeout), 600), 28800),
        ),
        auto_rollback_configuration=shapes.AutoRollbackConfig(
            alarms=[shapes.Alarm(alarm_name=name) for name in hosting.alarms]
        )
        if hosting.alarms
        else None,
    )


def tags(target: Target, labels: Mapping[str, str] = NO_LABELS) -> list[shapes.Tag]:
    """What everything that is made is labelled with, and labels of its own."""
    together = {"project": PROJECT, **target.hosting.tags, **labels}
    return [shapes.Tag(key=key, value=value) for key, value in together.items()]


def bring_into_service(config: str, target: Target, seconds: float, *, guarded: bool) -> None:
    """Have the endpoint serve a configuration, and wait until it does.

    Args:
        config: the endpoint configuration's name.
        target: where.
        seconds: that it may take.
        guarded: whether an update moves the traffic as the parameters say, or all at once.

    Raises:
        UserError: it failed, with SageMaker's reason, or took too long.
    """
    endpoint = settled(target, seconds)
    if endpoint and endpoint.endpoint_status == "Failed":
        delete_endpoint(endpoint, target)
        endpoint = None
    if endpoint:
        Tag.add_tags(resource_arn=endpoint.endpoint_arn, tags=tags(target), **target.sdk)
    if endpoint is None:
        say(f"endpoint {target.endpoint}: create it with {config}")
        Endpoint.create(endpoint_name=target.endpoint, endpoint_config_name=config, tags=tags(target), **target.sdk)
    elif endpoint.endpoint_config_name != config:
        say(f"endpoint {target.endpoint}: update it from {endpoint.endpoint_config_name} to {config}")
        endpoint.endpoint_config_name = config
        endpoint.update(deployment_config=guard(target.hosting, seconds) if guarded else None)
    else:
        say(f"endpoint {target.endpoint}: runs {config} already")
    now = settled(target, seconds)
    if now is None or now.endpoint_status != "InService" or now.endpoint_config_name != config:
        reason = now.failure_reason if now else "it was deleted meanwhile"
        state = now.endpoint_status if now else "gone"
        raise UserError(f"the endpoint {target.endpoint} did not come into service with {config} ({state}): {reason}")


def settled(target: Target, seconds: float) -> Endpoint | None:
    """Wait until nothing is under way; the endpoint then, or None where there is none.

    Raises:
        UserError: something is under way for longer, or the endpoint is not this project's.
    """
    deadline, seen = time.monotonic() + seconds, None
    while True:
        endpoint = _get(Endpoint, target, endpoint_name=target.endpoint)
        if endpoint is None or endpoint.endpoint_status not in IN_TRANSITION:
            break
        if endpoint.endpoint_status != seen:
            seen = endpoint.endpoint_status
            say(f"endpoint {target.endpoint}: {seen}")
        if time.monotonic() > deadline:
            raise UserError(
                f"the endpoint {target.endpoint} is still {endpoint.endpoint_status} after {seconds:g} s; "
                "deploy.timeout_minutes says how long it may take"
            )
        time.sleep(POLL_SECONDS)
    if endpoint:
        _require_ours(endpoint.endpoint_arn, target)
    return endpoint


def delete_endpoint(endpoint: Endpoint, target: Target) -> None:
    """Delete the endpoint and wait until it is gone."""
    endpoint.delete()
    settled(target, ROLLBACK_SECONDS)


def roll_back(before: str | None, target: Target, failure: BaseException) -> None:
    """Have the endpoint serve what it served before, or delete it where it did not exist; remove all else.

    Raises:
        UserError: that failed too.
    """
    say(f"endpoint {target.endpoint}: failed; back to {before or 'no endpoint'}")
    try:
        with explained("rolling back"):
            endpoint = settled(target, ROLLBACK_SECONDS)
            if before:
                bring_into_service(before, target, ROLLBACK_SECONDS, guarded=False)
            elif endpoint:
                delete_endpoint(endpoint, target)
            remove_all_but(before, target)
    except (UserError, KeyboardInterrupt) as second:
        raise UserError(
            f"{str(failure) or 'interrupted'}; and then {str(second) or 'the roll-back was interrupted'}; "
            "deploy again, or remove everything with `make undeploy`"
        ) from failure


def remove_all_but(config: str | None, target: Target) -> list[str]:
    """Remove the endpoint's configurations, models and archives, but for what one configuration uses.

    Args:
        config: the endpoint configuration to keep, with its models and their archives; None keeps nothing.
        target: where.

    Returns:
        What was removed.
    """
    kept = _get(EndpointConfig, target, endpoint_config_name=config) if config else None
    kept_models = {variant.model_name for variant in kept.production_variants} if kept else set()
    kept_archives, removed = set(), []
    for one in EndpointConfig.get_all(name_contains=target.endpoint, **target.sdk):
        name = one.endpoint_config_name
        if name != config and _is_named_by_us(name, target) and _is_ours(one.endpoint_config_arn, target):
            one.delete()
            removed.append(f"endpoint configuration {name}")
    for model in Model.get_all(name_contains=target.endpoint, **target.sdk):
        if model.model_name in kept_models:
            kept_archives.add(model.primary_container.model_data_url)
        elif _is_named_by_us(model.model_name, target) and _is_ours(model.model_arn, target):
            model.delete()
            removed.append(f"model {model.model_name}")
    client, bucket = target.session.client("s3"), target.hosting.bucket
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=target.prefix):
        for entry in page.get("Contents", []):
            uri = f"s3://{bucket}/{entry['Key']}"
            if uri not in kept_archives:
                client.delete_object(Bucket=bucket, Key=entry["Key"])
                removed.append(f"archive {uri}")
    return removed


def _is_named_by_us(name: str, target: Target) -> bool:
    # Another endpoint's name may begin with this one's.
    return bool(re.fullmatch(rf"{re.escape(target.endpoint)}-[0-9a-f]{{12}}", name))


def _is_ours(arn: str, target: Target) -> bool:
    return any((tag.key, tag.value) == ("project", PROJECT) for tag in Tag.get_all(resource_arn=arn, **target.sdk))


def _require_ours(arn: str, target: Target) -> None:
    if not _is_ours(arn, target):
        raise UserError(
            f"{arn} exists and was not made by this project: it lacks the tag project = {PROJECT}; "
            "choose another name with deploy.endpoint"
        )


def _get(kind: type[Resource], target: Target, **name: str) -> Resource | None:
    """A resource by its name; None where there is none."""
    try:
        return kind.get(**name, **target.sdk)  # type: ignore[attr-defined]
    except ClientError as error:
        if "Could not find" in error.response["Error"]["Message"]:
            return None
        raise
