"""SageMaker's operations on models, endpoint configurations and endpoints, and their state on disk."""

import asyncio
import base64
import json
import logging
import math
import secrets
import shutil
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

from botocore.credentials import Credentials
from botocore.exceptions import BotoCoreError, ClientError

from fashion_cnn.localcloud import daemon, s3
from fashion_cnn.localsagemaker import hosting, jobs
from fashion_cnn.localsagemaker.hosting import Fleet, HostingError, Variant
from fashion_cnn.localsagemaker.jobs import Run
from fashion_cnn.localsagemaker.protocol import ACCOUNT, AwsError, operation

MAX_INSTANCES: Final = 4  # the account's quota, so to speak: each is a process of its own
PAGE: Final = 10

log = logging.getLogger("fashion_cnn.localcloud")

Record = dict[str, Any]


class Kind(NamedTuple):
    """A kind of resource, by the names that the operations on it use."""

    name: str
    noun: str
    arn_part: str
    status: str = "EndpointStatus"  # the member that holds its state, where it has any
    order: str = "Descending"  # of its list, by default

    @property
    def key(self) -> str:
        """The parameter that names one."""
        return f"{self.name}Name"


MODEL: Final = Kind("Model", "model", "model")
CONFIG: Final = Kind("EndpointConfig", "endpoint configuration", "endpoint-config")
ENDPOINT: Final = Kind("Endpoint", "endpoint", "endpoint")
KINDS: Final = (MODEL, CONFIG, ENDPOINT)
TRAINING_JOB: Final = Kind("TrainingJob", "training job", "training-job", "TrainingJobStatus", "Ascending")
ALL_KINDS: Final = (*KINDS, TRAINING_JOB)


@dataclass(eq=False)
class Cloud:
    """The running server.

    Attributes:
        folder: the embedded cloud's.
        state: kind name to resource name to record, as in sagemaker.json. A record is what Describe answers, and
            its Tags; an endpoint's also holds its Deployment: id and variants.
        credentials: of the one user.
        hosting: what every fleet shares.
        startup_seconds: that a model server has, where the endpoint configuration does not say.
        jobs: what every training job shares.
        fleets: the one of each endpoint that serves.
        runs: of the training jobs that have not ended.
        tasks: deployments, removals and training jobs under way.
    """

    folder: Path
    state: dict[str, dict[str, Record]]
    credentials: Credentials
    hosting: hosting.Settings
    startup_seconds: float
    calls: logging.Logger
    jobs: jobs.Settings
    fleets: dict[str, Fleet] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)

    @property
    def state_file(self) -> Path:
        """The resources, in JSON."""
        return self.folder / "sagemaker.json"

    @property
    def deployments(self) -> Path:
        """Unpacked archives, a folder each deployment."""
        return self.folder / "sagemaker" / "deployments"

    def log(self, endpoint: str) -> Path:
        """What the model servers of an endpoint print."""
        return self.folder / "sagemaker" / "logs" / f"{endpoint}.log"

    def save(self) -> None:
        """Write the state, all or nothing."""
        daemon.write_private(self.state_file, json.dumps(self.state, indent=1).encode() + b"\n")

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it in the background."""
        task = asyncio.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def arn(kind: Kind, name: str) -> str:
    """The resource's ARN; AWS writes names in lower case there."""
    return f"arn:aws:sagemaker:{s3.REGION}:{ACCOUNT}:{kind.arn_part}/{name.lower()}"


def find(cloud: Cloud, kind: Kind, name: str) -> Record:
    """The record of a resource.

    Raises:
        AwsError: there is none of that name.
    """
    try:
        return cloud.state[kind.name][name]
    except KeyError:
        raise AwsError("ValidationException", f'Could not find {kind.noun} "{arn(kind, name)}".') from None


def create(cloud: Cloud, kind: Kind, request: Record) -> Record:
    """Make a record of what the request says.

    Raises:
        AwsError: the name is taken; AWS compares without regard to case.
    """
    name = request[kind.key]
    if name.lower() in map(str.lower, cloud.state[kind.name]):
        raise AwsError("ValidationException", f'Cannot create already existing {kind.noun} "{arn(kind, name)}".')
    record = {**request, f"{kind.name}Arn": arn(kind, name), "CreationTime": time.time()}
    record["Tags"] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", [])}
    cloud.state[kind.name][name] = record
    cloud.save()
    return {f"{kind.name}Arn": record[f"{kind.name}Arn"]}


def container_of(request: Record) -> Record:
    """A model's one container, whichever way it is named.

    Raises:
        AwsError: it has none or several.
    """
    containers = [
        *([request["PrimaryContainer"]] if "PrimaryContainer" in request else []),
        *request.get("Containers", []),
    ]
    if len(containers) != 1:
        message = "The embedded SageMaker needs one container: PrimaryContainer, or Containers with one"
        raise AwsError("ValidationException", message)
    return containers[0]


def archive_of(container: Record) -> str:
    """Where a container's archive is, whichever way it is named.

    Raises:
        AwsError: it is named not at all or twice.
    """
    source = container.get("ModelDataSource", {}).get("S3DataSource", {})
    (url, *others) = [*filter(None, [container.get("ModelDataUrl"), source.get("S3Uri")])] or [""]
    if not url or others or not container.get("Image"):
        message = "The embedded SageMaker needs a container with Image and either ModelDataUrl or ModelDataSource"
        raise AwsError("ValidationException", message)
    return url


async def create_model(cloud: Cloud, request: Record) -> Record:
    """CreateModel: one container, its archive in the embedded S3."""
    container = container_of(request)
    url = archive_of(container)
    if any("\0" in value for value in container.get("Environment", {}).values()):
        raise AwsError("ValidationException", "Environment: no process can be given a NUL character.")
    try:
        exists = await asyncio.to_thread(hosting.model_data_exists, url, cloud.hosting.s3)
    except (BotoCoreError, ClientError, ValueError) as error:
        raise AwsError("ValidationException", f"Could not access model data at {url}: {error}") from error
    if not exists:
        raise AwsError("ValidationException", f"Could not find model data at {url}.")
    return create(cloud, MODEL, request)


async def create_endpoint_config(cloud: Cloud, request: Record) -> Record:
    """CreateEndpointConfig: variants of existing models."""
    variants = request["ProductionVariants"]
    for variant in variants:
        _require_capacity(variant)
        find(cloud, MODEL, variant["ModelName"])
    if len({variant["VariantName"] for variant in variants}) < len(variants):
        raise AwsError("ValidationException", "ProductionVariants: a VariantName occurs twice")
    return create(cloud, CONFIG, request)


def _require_capacity(variant: Record) -> None:
    serverless = variant.get("ServerlessConfig")
    needed = {"ModelName"} if serverless else {"ModelName", "InitialInstanceCount", "InstanceType"}
    if missing := needed - variant.keys():
        message = f"ProductionVariants: {variant['VariantName']} lacks {', '.join(sorted(missing))}"
        raise AwsError("ValidationException", message)
    if serverless and {"InitialInstanceCount", "InstanceType"} & variant.keys():
        message = f"ProductionVariants: {variant['VariantName']} has both instances and ServerlessConfig"
        raise AwsError("ValidationException", message)
    if serverless and serverless["MemorySizeInMB"] % 1024:
        raise AwsError("ValidationException", "ServerlessConfig: MemorySizeInMB must be a multiple of 1024")


async def create_endpoint(cloud: Cloud, request: Record) -> Record:
    """CreateEndpoint: answers at once; the deployment follows."""
    config = request["EndpointConfigName"]
    deployment = plan(cloud, request["EndpointName"], config)
    answer = create(cloud, ENDPOINT, request)
    endpoint = find(cloud, ENDPOINT, request["EndpointName"])
    endpoint |= {"EndpointStatus": "Creating", "LastModifiedTime": endpoint["CreationTime"]}
    _begin(cloud, endpoint, config, deployment)
    return answer


async def update_endpoint(cloud: Cloud, request: Record) -> Record:
    """UpdateEndpoint: the present fleet serves until the new one is ready."""
    endpoint = find(cloud, ENDPOINT, request["EndpointName"])
    config = request["EndpointConfigName"]
    _require_in_service(endpoint)
    # The one in service must exist too. Source: API_UpdateEndpoint, "You must not delete an EndpointConfig in use".
    find(cloud, CONFIG, endpoint["EndpointConfigName"])
    deployment = plan(cloud, endpoint["EndpointName"], config)
    has_instances = any(not variant.serverless for variant in _variants(endpoint["Deployment"]))
    if has_instances and any(variant.serverless for variant in _variants(deployment)):
        # Source: docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints.html.
        message = f'Cannot update endpoint "{endpoint["EndpointArn"]}" with instances to a serverless one.'
        raise AwsError("ValidationException", message)
    return _update(cloud, endpoint, config, deployment)


async def update_endpoint_weights_and_capacities(cloud: Cloud, request: Record) -> Record:
    """UpdateEndpointWeightsAndCapacities: weights change at once; for other capacities a new fleet starts."""
    endpoint = find(cloud, ENDPOINT, request["EndpointName"])
    _require_in_service(endpoint)
    desired = {one["VariantName"]: one for one in request["DesiredWeightsAndCapacities"]}
    if len(desired) < len(request["DesiredWeightsAndCapacities"]):
        raise AwsError("ValidationException", "DesiredWeightsAndCapacities: a VariantName occurs twice")
    before = _variants(endpoint["Deployment"])
    if absent := desired.keys() - {variant.name for variant in before}:
        message = f'Could not find variant {", ".join(sorted(absent))} of endpoint "{endpoint["EndpointArn"]}".'
        raise AwsError("ValidationException", message)
    after = [_desired(variant, desired.get(variant.name, {})) for variant in before]
    deployment = _deployment(cloud, endpoint["EndpointName"], after)
    if [variant.instances for variant in before] != [variant.instances for variant in after]:
        return _update(cloud, endpoint, endpoint["EndpointConfigName"], deployment)
    if fleet := cloud.fleets.get(endpoint["EndpointName"]):
        hosting.rebalance(fleet, after)
    endpoint["Deployment"] = endpoint["Deployment"] | {"Variants": after}
    for summary, variant in zip(endpoint["ProductionVariants"], after, strict=True):
        summary |= {"CurrentWeight": variant.weight, "DesiredWeight": variant.weight}
    endpoint.pop("FailureReason", None)
    _settle(cloud, endpoint, None)
    return {"EndpointArn": endpoint["EndpointArn"]}


def _desired(variant: Variant, change: Record) -> Variant:
    instances = change.get("DesiredInstanceCount", variant.instances)
    if instances < 1 or (variant.serverless and "DesiredInstanceCount" in change):
        allowed = "none, for it is serverless" if variant.serverless else "1 or more"
        message = (
            f"DesiredWeightsAndCapacities: DesiredInstanceCount of {variant.name} = {instances}; allowed: {allowed}"
        )
        raise AwsError("ValidationException", message)
    return variant._replace(instances=instances, weight=change.get("DesiredWeight", variant.weight))


def _update(cloud: Cloud, endpoint: Record, config: str, deployment: Record) -> Record:
    endpoint |= {"EndpointStatus": "Updating", "LastModifiedTime": time.time()}
    endpoint.pop("FailureReason", None)
    _begin(cloud, endpoint, config, deployment)
    return {"EndpointArn": endpoint["EndpointArn"]}


def _require_in_service(endpoint: Record) -> None:
    if endpoint["EndpointStatus"] == "Failed":
        message = f'Cannot update failed endpoint "{endpoint["EndpointArn"]}". It can only be deleted.'
        raise AwsError("ValidationException", message)
    _require_settled(endpoint)


def _require_settled(endpoint: Record) -> None:
    if endpoint["EndpointStatus"] not in ("InService", "Failed"):
        message = f'Cannot update in-progress endpoint "{endpoint["EndpointArn"]}".'
        raise AwsError("ValidationException", message)


def _begin(cloud: Cloud, endpoint: Record, config: str, deployment: Record) -> None:
    endpoint["Planned"] = deployment
    endpoint["PendingDeploymentSummary"] = {
        "EndpointConfigName": config,
        "ProductionVariants": [{"VariantName": variant.name} for variant in _variants(deployment)],
        "StartTime": time.time(),
    }
    cloud.save()
    cloud.run(deploy(cloud, endpoint, config, deployment))


def _variants(deployment: Record | None) -> list[Variant]:
    return [Variant(*variant) for variant in deployment["Variants"]] if deployment else []


def _instances(deployment: Record | None) -> int:
    return sum(variant.instances for variant in _variants(deployment))


def plan(cloud: Cloud, endpoint: str, config_name: str) -> Record:
    """What an endpoint shall run: kept whole, for its configuration and models may be deleted while it runs.

    Raises:
        AwsError: the configuration or a model is missing, or more instances would run than allowed.
    """
    variants = []
    config = find(cloud, CONFIG, config_name)
    for one in config["ProductionVariants"]:
        container = container_of(find(cloud, MODEL, one["ModelName"]))
        variants.append(
            Variant(
                name=one["VariantName"],
                image=container["Image"],
                model_data_url=archive_of(container),
                environment=container.get("Environment", {}),
                instances=one.get("InitialInstanceCount", 1),
                weight=one.get("InitialVariantWeight", 1.0),
                startup_seconds=one.get("ContainerStartupHealthCheckTimeoutInSeconds", cloud.startup_seconds),
                serverless=one.get("ServerlessConfig"),
                instance_type=one.get("InstanceType", "serverless"),
            )
        )
    return _deployment(cloud, endpoint, variants)


def _deployment(cloud: Cloud, endpoint: str, variants: Sequence[Variant]) -> Record:
    used = sum(
        max(_instances(other.get("Deployment")), _instances(other.get("Planned")))
        for name, other in cloud.state[ENDPOINT.name].items()
        if name != endpoint
    )
    asked = sum(variant.instances for variant in variants)
    if used + asked > MAX_INSTANCES:
        raise AwsError(
            "ResourceLimitExceeded",
            f"The account-level service limit '{variants[0].instance_type} for endpoint usage' is {MAX_INSTANCES} "
            f"Instances, with current utilization of {used} Instances and a request delta of {asked} Instances. "
            "Delete an endpoint, or ask for fewer instances.",
        )
    return {"Id": f"{endpoint}-{secrets.token_hex(4)}", "Variants": variants}


async def deploy(cloud: Cloud, endpoint: Record, config: str, deployment: Record) -> None:
    """Start a fleet and let it serve the endpoint; on failure everything stays as it was, with the reason."""
    name = endpoint["EndpointName"]
    variants = _variants(deployment)
    try:
        fleet = await hosting.launch(variants, cloud.deployments / deployment["Id"], cloud.log(name), cloud.hosting)
    except HostingError as error:
        _settle(cloud, endpoint, str(error))
        return
    except Exception as error:
        log.exception("the deployment of %s failed", name)
        _settle(cloud, endpoint, f"The embedded SageMaker failed: {error!r}; see its sagemaker.log")
        return
    before = cloud.fleets.get(name)
    cloud.fleets[name] = fleet
    now = time.time()
    endpoint["EndpointConfigName"] = config
    endpoint["Deployment"] = deployment
    endpoint["ProductionVariants"] = [_summary(variant, now) for variant in variants]
    _settle(cloud, endpoint, None)
    if before:
        await hosting.retire(before)


async def bring_back(cloud: Cloud, endpoint: Record) -> None:
    """Let what served when the server last ended serve again; its times stay those of its deployment."""
    as_it_was = {key: endpoint[key] for key in ("ProductionVariants", "LastModifiedTime")}
    await deploy(cloud, endpoint, endpoint["EndpointConfigName"], endpoint["Deployment"])
    if endpoint["EndpointStatus"] == "InService":
        endpoint |= as_it_was
        cloud.save()


def _summary(variant: Variant, now: float) -> Record:
    capacity = {"ServerlessConfig": variant.serverless} if variant.serverless else {"InstanceCount": variant.instances}
    of_the_moment = {"Weight": variant.weight, **capacity}
    return {
        "VariantName": variant.name,
        "DeployedImages": [{"SpecifiedImage": variant.image, "ResolvedImage": variant.image, "ResolutionTime": now}],
        **{f"{when}{name}": value for when in ("Current", "Desired") for name, value in of_the_moment.items()},
    }


def _settle(cloud: Cloud, endpoint: Record, failure: str | None) -> None:
    """End a deployment: InService where something serves, else Failed; with the failure's reason."""
    endpoint["EndpointStatus"] = "InService" if endpoint["EndpointName"] in cloud.fleets else "Failed"
    if failure:
        endpoint["FailureReason"] = failure[:1024]
    endpoint["LastModifiedTime"] = time.time()
    unneeded = ["PendingDeploymentSummary", "Planned"]
    for key in unneeded + (["Deployment"] if endpoint["EndpointStatus"] == "Failed" else []):
        endpoint.pop(key, None)
    cloud.save()


def serving(cloud: Cloud, name: str, target: str | None) -> Fleet | None:
    """The fleet that serves an endpoint; None while it is being brought back.

    Raises:
        AwsError: ValidationError: nothing serves there, no variant is named `target`, or none takes requests.
    """
    endpoint = cloud.state[ENDPOINT.name].get(name)
    if endpoint is None or endpoint["EndpointStatus"] not in ("InService", "Updating", "SystemUpdating"):
        raise AwsError("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
    variants = _variants(endpoint["Deployment"])
    if target and target not in (variant.name for variant in variants):
        raise AwsError("ValidationError", f"Variant {target} of endpoint {name} not found.")
    if not target and not any(variant.weight for variant in variants):
        message = f"Every variant of endpoint {name} has the weight 0; name one with TargetVariant."
        raise AwsError("ValidationError", message)
    return cloud.fleets.get(name)


async def delete_endpoint(cloud: Cloud, request: Record) -> Record:
    """DeleteEndpoint: answers at once; requests under way finish."""
    endpoint = find(cloud, ENDPOINT, request["EndpointName"])
    _require_settled(endpoint)
    endpoint |= {"EndpointStatus": "Deleting", "LastModifiedTime": time.time()}
    cloud.save()
    cloud.run(remove(cloud, endpoint["EndpointName"]))
    return {}


async def remove(cloud: Cloud, name: str) -> None:
    """Drain and stop an endpoint's servers, and forget it."""
    if fleet := cloud.fleets.pop(name, None):
        await hosting.retire(fleet)
    for log in cloud.log(name).parent.glob(f"{name}.log*"):
        log.unlink()
    del cloud.state[ENDPOINT.name][name]
    cloud.save()


async def delete(kind: Kind, cloud: Cloud, request: Record) -> Record:
    """DeleteModel, DeleteEndpointConfig: as on AWS, what runs from them runs on."""
    find(cloud, kind, request[kind.key])
    del cloud.state[kind.name][request[kind.key]]
    cloud.save()
    return {}


async def describe(kind: Kind, cloud: Cloud, request: Record) -> Record:
    """DescribeModel, DescribeEndpointConfig, DescribeEndpoint."""
    return members(find(cloud, kind, request[kind.key]), f"Describe{kind.name}")


def members(record: Record, operation_name: str) -> Record:
    """What of a record the answer of an operation may hold."""
    shape = operation("sagemaker", operation_name).output_shape
    return {name: value for name, value in record.items() if name in shape.members}


async def list_resources(kind: Kind, cloud: Cloud, request: Record) -> Record:
    """ListModels, ListEndpointConfigs, ListEndpoints: the latest first, by default.

    A token names the last resource of its page and not a position, which moves when others come and go.
    """
    column = {"Name": kind.key, "Status": kind.status}.get(request.get("SortBy", ""), "CreationTime")
    descending = request.get("SortOrder", kind.order) == "Descending"

    def place(record: Record) -> tuple[Any, str]:
        return record[column], record[kind.key]

    records = [record for record in cloud.state[kind.name].values() if _wanted(record, kind, request)]
    records.sort(key=place, reverse=descending)
    order = [kind.name, column, descending]
    if "NextToken" in request:
        last = _read_token(request["NextToken"], order)
        records = [record for record in records if (place(record) < last if descending else place(record) > last)]
    count = request.get("MaxResults", PAGE)
    ((answered, listed),) = (
        (name, member)
        for name, member in operation("sagemaker", f"List{kind.name}s").output_shape.members.items()
        if name != "NextToken"
    )
    page = [
        {name: value for name, value in record.items() if name in listed.member.members} for record in records[:count]
    ]
    more = {"NextToken": _token(order, place(records[count - 1]))} if len(records) > count else {}
    return {answered: page, **more}


def _token(order: list[Any], last: tuple[Any, str]) -> str:
    return base64.urlsafe_b64encode(json.dumps([*order, *last]).encode()).decode()


def _read_token(token: str, order: list[Any]) -> tuple[Any, str]:
    """The place that a token of the same list in the same order names.

    Raises:
        AwsError: it is none.
    """
    try:
        *stated, value, name = json.loads(base64.urlsafe_b64decode(token))
    except (ValueError, TypeError, RecursionError):
        stated = []
    if stated != order or type(value) is not (float if order[1] == "CreationTime" else str) or type(name) is not str:
        raise AwsError("ValidationException", "Invalid pagination token")
    return value, name


def _wanted(record: Record, kind: Kind, request: Record) -> bool:
    def within(column: str) -> bool:
        return (
            request.get(f"{column}After", -math.inf) < record.get(column, 0) < request.get(f"{column}Before", math.inf)
        )

    return (
        request.get("NameContains", "").lower() in record[kind.key].lower()
        and request.get("StatusEquals") in (None, record.get(kind.status))
        and within("CreationTime")
        and within("LastModifiedTime")
    )


def _tagged(cloud: Cloud, request: Record) -> dict[str, str]:
    for kind in ALL_KINDS:
        for name, record in cloud.state[kind.name].items():
            if arn(kind, name) == request["ResourceArn"]:
                return record["Tags"]
    raise AwsError("ValidationException", f'Could not find resource "{request["ResourceArn"]}".')


async def list_tags(cloud: Cloud, request: Record) -> Record:
    """ListTags: all fit one page, so no token is one."""
    if "NextToken" in request:
        raise AwsError("ValidationException", "Invalid pagination token")
    return {"Tags": [{"Key": key, "Value": value} for key, value in _tagged(cloud, request).items()]}


async def add_tags(cloud: Cloud, request: Record) -> Record:
    """AddTags: replaces the values of keys that are there."""
    tags = _tagged(cloud, request)
    new = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    if len(tags | new) > 50:
        raise AwsError("ValidationException", "A resource can have up to 50 tags.")
    tags |= new
    cloud.save()
    return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}


async def delete_tags(cloud: Cloud, request: Record) -> Record:
    """DeleteTags: keys that are not there do no harm."""
    tags = _tagged(cloud, request)
    for key in request["TagKeys"]:
        tags.pop(key, None)
    cloud.save()
    return {}


OPERATIONS: Final[dict[str, Callable[[Cloud, Record], Awaitable[Record]]]] = {
    "CreateModel": create_model,
    "CreateEndpointConfig": create_endpoint_config,
    "CreateEndpoint": create_endpoint,
    "UpdateEndpoint": update_endpoint,
    "UpdateEndpointWeightsAndCapacities": update_endpoint_weights_and_capacities,
    "DeleteEndpoint": delete_endpoint,
    "DeleteModel": partial(delete, MODEL),
    "DeleteEndpointConfig": partial(delete, CONFIG),
    **{f"Describe{kind.name}": partial(describe, kind) for kind in KINDS},
    **{f"List{kind.name}s": partial(list_resources, kind) for kind in KINDS},
    "AddTags": add_tags,
    "ListTags": list_tags,
    "DeleteTags": delete_tags,
}


def recover(cloud: Cloud) -> None:
    """Bring back what served when the server last ended; end what was under way, with the reason."""
    for endpoint in list(cloud.state[ENDPOINT.name].values()):
        status, name = endpoint["EndpointStatus"], endpoint["EndpointName"]
        for key in ("PendingDeploymentSummary", "Planned"):
            endpoint.pop(key, None)
        if status == "Deleting":
            cloud.run(remove(cloud, name))
        elif status == "Creating":
            _settle(cloud, endpoint, "The embedded SageMaker ended while the endpoint was being created.")
        elif status != "Failed":
            if status == "Updating":
                endpoint["FailureReason"] = (
                    "The embedded SageMaker ended while the endpoint was being updated; it was rolled back to its "
                    "previous endpoint configuration."
                )
            endpoint["EndpointStatus"] = "SystemUpdating"
            cloud.run(bring_back(cloud, endpoint))
    kept = {
        endpoint["Deployment"]["Id"] for endpoint in cloud.state[ENDPOINT.name].values() if "Deployment" in endpoint
    }
    cloud.deployments.mkdir(parents=True, exist_ok=True)
    for folder in cloud.deployments.iterdir():
        if folder.name not in kept:
            shutil.rmtree(folder)
    cloud.save()
