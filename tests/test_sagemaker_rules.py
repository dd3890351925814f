"""What the embedded SageMaker accepts and refuses: AWS's rules, and that no value of any member does it harm."""

import copy
import http.client
import itertools
import json
import string
from collections.abc import Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError
from botocore.model import Shape
from hypothesis import given, settings
from hypothesis import strategies as st

from fashion_cnn.localcloud import s3
from fashion_cnn.localsagemaker.operations import KINDS, OPERATIONS
from fashion_cnn.localsagemaker.protocol import operation
from support.cloud import ROLE, EmbeddedCloud, wait_until

ARN = "arn:aws:sagemaker:us-east-1:000000000000:"
VARIANT = {"VariantName": "v", "ModelName": "healthy", "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedCloud]:
    """A running cloud with the models healthy, other and noarchive, and the endpoint shared of healthy."""
    cloud = EmbeddedCloud(tmp_path_factory.mktemp("rules") / "cloud", "echo")
    cloud.start()
    cloud.model("healthy")
    cloud.model("other")
    cloud.model("noarchive", content=b"this is no archive")
    cloud.deploy("shared", "healthy")
    yield cloud
    cloud.end(kill=False)
    s3.stop(cloud.store)


def refusal(call: Any, **parameters: Any) -> tuple[str, str]:
    with pytest.raises(ClientError) as refused:
        call(**parameters)
    error = refused.value.response["Error"]
    return error["Code"], error["Message"]


class Answer(NamedTuple):
    status: int
    content: dict[str, Any]

    @property
    def code(self) -> str:
        return self.content.get("__type", "")

    @property
    def message(self) -> str:
        return self.content.get("message", "")


class Wire:
    """A client that sends what it is given, signed, and keeps one connection: a second one fails the test."""

    def __init__(self, cloud: EmbeddedCloud) -> None:
        self.address = cloud.address
        self.signer = SigV4Auth(
            Credentials(cloud.settings.access_key, cloud.settings.secret_key), "sagemaker", s3.REGION
        )
        self.connection = http.client.HTTPConnection(s3.HOST, cloud.port, timeout=60)
        self.connection.connect()
        self.socket = self.connection.sock

    def post(self, path: str, body: bytes, headers: dict[str, str]) -> Answer:
        request = AWSRequest("POST", f"{self.address}{path}", headers, body)
        self.signer.add_auth(request)
        self.connection.request("POST", path, body, dict(request.headers.items()))
        response = self.connection.getresponse()
        content = response.read()
        assert self.connection.sock is self.socket, "the connection was closed"
        return Answer(response.status, json.loads(content))

    def call(self, name: str, body: bytes) -> Answer:
        headers = {"X-Amz-Target": f"SageMaker.{name}", "Content-Type": "application/x-amz-json-1.1"}
        return self.post("/", body, headers)

    def works(self) -> bool:
        return self.call("DescribeEndpoint", b'{"EndpointName": "shared"}').content["EndpointName"] == "shared"


@pytest.fixture
def wire(cloud: EmbeddedCloud) -> Iterator[Wire]:
    wire = Wire(cloud)
    yield wire
    wire.connection.close()


# Lists


def test_a_walk_that_deletes_what_it_meets_leaves_nothing_and_meets_nothing_twice(cloud: EmbeddedCloud) -> None:
    client = cloud.client()
    names = [cloud.config(f"walk-{number:02}", AllTraffic=("healthy", 1.0)) for number in range(23)]
    met = []
    for page in client.get_paginator("list_endpoint_configs").paginate(NameContains="walk-"):
        for config in page["EndpointConfigs"]:
            met.append(config["EndpointConfigName"])
            client.delete_endpoint_config(EndpointConfigName=met[-1])
        cloud.config(f"walk-new-{len(met)}", AllTraffic=("healthy", 1.0))
    assert met == names[::-1]
    left = client.list_endpoint_configs(NameContains="walk-")["EndpointConfigs"]
    assert {config["EndpointConfigName"] for config in left} == {"walk-new-10", "walk-new-20", "walk-new-23"}


def test_a_token_belongs_to_its_list_and_its_order(cloud: EmbeddedCloud) -> None:
    client = cloud.client()
    token = client.list_models(MaxResults=1)["NextToken"]
    assert client.list_models(MaxResults=1, NextToken=token)["Models"]
    for call, parameters in [
        (client.list_endpoint_configs, {}),
        (client.list_models, {"SortBy": "Name"}),
        (client.list_models, {"SortOrder": "Ascending"}),
    ]:
        assert refusal(call, NextToken=token, **parameters) == ("ValidationException", "Invalid pagination token")
    junk = refusal(client.list_tags, ResourceArn=f"{ARN}model/healthy", NextToken=token)
    assert junk == ("ValidationException", "Invalid pagination token")


def test_a_time_filter_leaves_out_its_own_moment(wire: Wire) -> None:
    # The exact time is in the protocol's seconds; boto3 sends whole ones.
    created = json.dumps(wire.call("DescribeModel", b'{"ModelName": "healthy"}').content["CreationTime"])

    def listed(bound: str) -> list[str]:
        request = f'{{"{bound}": {created}, "NameContains": "healthy"}}'
        return [model["ModelName"] for model in wire.call("ListModels", request.encode()).content["Models"]]

    assert listed("CreationTimeBefore") == listed("CreationTimeAfter") == []
    created = str(float(created) + 0.001)
    assert listed("CreationTimeBefore") == ["healthy"]


# What a request may say


@pytest.mark.parametrize(
    ("name", "body", "code"),
    [
        ("ListModels", '{"NextToken": "%s"}' % ("9" * 5000), "ValidationException"),
        ("ListModels", '{"MaxResults": %s}' % ("9" * 5000), "SerializationException"),
        ("ListModels", '{"CreationTimeBefore": 1e300}', "SerializationException"),
        ("ListModels", '{"CreationTimeBefore": "2026-01-01"}', "SerializationException"),
        ("ListModels", '{"MaxResults": true}', "SerializationException"),
        ("ListModels", '{"NameContains": "\\ud800"}', "SerializationException"),
    ],
)  # fmt: skip
def test_what_python_cannot_convert_is_refused_as_aws_does(wire: Wire, name: str, body: str, code: str) -> None:
    answer = wire.call(name, body.encode())
    assert (answer.status, answer.code) == (400, code)
    assert wire.works()


def test_a_member_that_is_null_counts_as_not_given(wire: Wire) -> None:
    assert wire.call("ListModels", b'{"NextToken": null, "NameContains": "healthy"}').content["Models"]
    answer = wire.call("DescribeModel", b'{"ModelName": null}')
    assert answer.message == (
        "1 validation error detected: Value null at 'modelName' failed to satisfy constraint: Member must not be null"
    )


@pytest.mark.parametrize("weight", ["NaN", "1e999", "-1e999", "1e39", "true", '"1"'])
def test_a_weight_that_is_no_number_is_refused_and_nothing_is_made(wire: Wire, weight: str) -> None:
    variant = json.dumps({**VARIANT, "InitialVariantWeight": 0}).replace(": 0", f": {weight}")
    answer = wire.call(
        "CreateEndpointConfig", f'{{"EndpointConfigName": "odd", "ProductionVariants": [{variant}]}}'.encode()
    )
    assert (answer.status, answer.code) == (400, "SerializationException")
    assert wire.call("DescribeEndpointConfig", b'{"EndpointConfigName": "odd"}').status == 400


def test_violations_are_named_in_the_words_of_aws(cloud: EmbeddedCloud) -> None:
    client = cloud.client()
    code, message = refusal(client.list_endpoints, SortBy="Size", MaxResults=101)
    assert code == "ValidationException"
    assert message.startswith("2 validation errors detected: ")
    enumeration = "Value 'Size' at 'sortBy' failed to satisfy constraint: Member must satisfy enum value set: [Name, "
    assert enumeration in message
    bound = "Value '101' at 'maxResults' failed to satisfy constraint: Member must have value less than or equal to 100"
    assert bound in message


@pytest.mark.parametrize(
    ("value", "fits"), [("a b", True), ("a\u00a0b", True), ("é٣", True), ("a\nb", False), ("a\tb", False)]
)
def test_a_tag_holds_separators_and_no_line_breaks(cloud: EmbeddedCloud, value: str, fits: bool) -> None:
    client, arn = cloud.client(), f"{ARN}model/other"
    tags = [{"Key": "k", "Value": value}]
    if fits:
        assert client.add_tags(ResourceArn=arn, Tags=tags)["Tags"] == tags
    else:
        code, message = refusal(client.add_tags, ResourceArn=arn, Tags=tags)
        assert code == "ValidationException"
        assert "'tags.1.member.value' failed to satisfy constraint: Member must satisfy regular exp" in message


@pytest.mark.parametrize(
    ("call", "parameters", "words"),
    [
        ("create_model", {"EnableNetworkIsolation": True}, "knows EnableNetworkIsolation only as false"),
        ("create_model", {"VpcConfig": {"SecurityGroupIds": ["a"], "Subnets": ["b"]}}, "does not know VpcConfig of Cr"),
        ("create_model", {"Containers": [{"Image": "i", "Mode": "MultiModel"}]}, 'knows Mode only as "SingleModel"'),
        ("create_model", {"Containers": [{"Image": "i"}, {"Image": "i"}]}, "needs one container"),
        ("create_model", {"PrimaryContainer": {"Image": "i"}, "Containers": [{"Image": "i"}]}, "needs one container"),
        ("create_model", {"PrimaryContainer": {"Image": "i"}}, "either ModelDataUrl or ModelDataSource"),
        (
            "create_model",
            {"PrimaryContainer": {"Image": "i", "ModelDataUrl": "s3://b/k", "Environment": {"A": "\0"}}},
            "NUL character",
        ),
        (
            "create_endpoint_config",
            {"ProductionVariants": [{**VARIANT, "ServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 1}}]},
            "v has both instances and ServerlessConfig",
        ),
        ("update_endpoint", {"RetainAllVariantProperties": True}, "knows RetainAllVariantProperties only as false"),
    ],
)
def test_what_would_be_ignored_is_refused(
    cloud: EmbeddedCloud, call: str, parameters: dict[str, Any], words: str
) -> None:
    names = {
        "create_model": {"ModelName": "new"},
        "create_endpoint_config": {"EndpointConfigName": "new"},
        "update_endpoint": {"EndpointName": "shared", "EndpointConfigName": "other"},
    }
    code, message = refusal(getattr(cloud.client(), call), **names[call], **parameters)
    assert code == "ValidationException"
    assert words in message


# Archives


def test_an_archive_is_found_by_its_key_to_the_letter(cloud: EmbeddedCloud) -> None:
    store, client = cloud.objects(), cloud.client()
    url = cloud.archive("letter")
    content = store.get_object(Bucket=s3.BUCKET, Key="letter.tar.gz")["Body"].read()
    decoy = cloud.archive("decoy")
    odd = "odd/a#b?c\nd%41 e+[f"
    for key in ("odd/a", "odd/a#b?cd%41 e+[f", "odd/a#b?c\ndA e+[f"):
        store.copy_object(Bucket=s3.BUCKET, Key=key, CopySource={"Bucket": s3.BUCKET, "Key": "decoy.tar.gz"})
    for absent in ("odd/a?b", "odd/a#", "odd/a\n", "[x", "odd/b/../a", "odd//a", "odd/./a"):
        container = {"Image": "i", "ModelDataUrl": f"s3://{s3.BUCKET}/{absent}"}
        code, message = refusal(client.create_model, ModelName="absent", PrimaryContainer=container)
        assert code == "ValidationException"
        assert absent in message
    for malformed in ("s3://[x/y", "s3://", "s3://bucket", "https://host/key"):
        container = {"Image": "i", "ModelDataUrl": malformed}
        assert refusal(client.create_model, ModelName="absent", PrimaryContainer=container)[0] == "ValidationException"

    store.put_object(Bucket=s3.BUCKET, Key=odd, Body=content)
    container = {"Image": "i", "ModelDataUrl": f"s3://{s3.BUCKET}/{odd}"}
    client.create_model(ModelName="odd", PrimaryContainer=container, ExecutionRoleArn=ROLE)
    cloud.deploy("odd", cloud.config("odd", AllTraffic=("odd", 1.0)))
    assert cloud.invoke("odd")["model"] == "letter"
    assert decoy != url
    cloud.remove("odd")


# Endpoints


def test_containers_of_one_a_data_source_defaults_and_serverless_are_served(cloud: EmbeddedCloud) -> None:
    client = cloud.client()
    source = {"S3Uri": cloud.archive("modern"), "S3DataType": "S3Object", "CompressionType": "Gzip"}
    container = {"Image": "i", "Mode": "SingleModel", "ModelDataSource": {"S3DataSource": source}}
    client.create_model(ModelName="modern", Containers=[container], ExecutionRoleArn=ROLE, EnableNetworkIsolation=False)
    assert client.describe_model(ModelName="modern")["Containers"] == [container]
    serverless = {"MemorySizeInMB": 2048, "MaxConcurrency": 5}
    variant = {"VariantName": "AllTraffic", "ModelName": "modern", "ServerlessConfig": serverless}
    client.create_endpoint_config(EndpointConfigName="serverless", ProductionVariants=[variant])
    (described,) = cloud.deploy("modern", "serverless")["ProductionVariants"]
    assert described["CurrentServerlessConfig"] == described["DesiredServerlessConfig"] == serverless
    assert cloud.invoke("modern")["model"] == "modern"
    log = (cloud.folder / "sagemaker" / "logs" / "modern.log").read_text(encoding="utf-8")
    assert log.startswith("AllTraffic is serverless: one model server, which runs all the time, serves it here")

    client.update_endpoint(EndpointName="modern", EndpointConfigName="other", RetainAllVariantProperties=False)
    (described,) = cloud.settled("modern")["ProductionVariants"]
    assert described["CurrentInstanceCount"] == 1
    code, message = refusal(client.update_endpoint, EndpointName="modern", EndpointConfigName="serverless")
    assert code == "ValidationException"
    assert "with instances to a serverless one" in message
    cloud.remove("modern")


def test_weights_and_capacities_of_what_serves_are_changed(cloud: EmbeddedCloud) -> None:
    client = cloud.client()
    cloud.deploy("weighed", cloud.config("weighed", most=("healthy", 3.0), rest=("other", 1.0)))
    before = cloud.invoke("weighed", TargetVariant="rest")["pid"]

    def change(**variants: dict[str, Any]) -> dict[str, Any]:
        desired = [{"VariantName": name, **values} for name, values in variants.items()]
        client.update_endpoint_weights_and_capacities(EndpointName="weighed", DesiredWeightsAndCapacities=desired)
        return {one["VariantName"]: one for one in cloud.settled("weighed")["ProductionVariants"]}

    described = change(most={"DesiredWeight": 0.0})
    assert (described["most"]["CurrentWeight"], described["rest"]["CurrentWeight"]) == (0.0, 1.0)
    assert {cloud.invoke("weighed")["pid"] for _ in range(4)} == {before}
    assert cloud.invoke("weighed", TargetVariant="most")["model"] == "healthy"

    change(rest={"DesiredWeight": 0.0})
    code, message = refusal(cloud.invoke, endpoint="weighed")
    assert code == "ValidationError"
    assert "has the weight 0; name one with TargetVariant" in message

    described = change(rest={"DesiredWeight": 1.0, "DesiredInstanceCount": 2})
    assert (described["rest"]["CurrentInstanceCount"], described["most"]["CurrentInstanceCount"]) == (2, 1)
    wait_until(lambda: len(cloud.model_servers("weighed-")) == 3)
    assert len({cloud.invoke("weighed")["pid"] for _ in range(4)}) == 2
    assert client.describe_endpoint(EndpointName="weighed")["EndpointConfigName"] == "weighed"

    for variants, words in [
        ([{"VariantName": "none"}], "Could not find variant none"),
        ([{"VariantName": "rest"}, {"VariantName": "rest"}], "a VariantName occurs twice"),
        ([{"VariantName": "rest", "DesiredInstanceCount": 0}], "DesiredInstanceCount of rest = 0; allowed: 1 or more"),
        ([{"VariantName": "rest", "DesiredInstanceCount": 9}], "current utilization of"),
    ]:
        refused = refusal(
            client.update_endpoint_weights_and_capacities,
            EndpointName="weighed",
            DesiredWeightsAndCapacities=variants,
        )
        assert words in refused[1]
    cloud.remove("weighed")


def test_a_target_model_of_an_endpoint_of_one_model_is_refused(cloud: EmbeddedCloud) -> None:
    message = "Endpoint shared is not a multi-model endpoint and does not support target model header."
    assert refusal(cloud.invoke, endpoint="shared", TargetModel="x.tar.gz") == ("ValidationError", message)
    code, message = refusal(cloud.invoke, endpoint="shared", TargetContainerHostname="x")
    assert code == "ValidationError"
    assert "does not know TargetContainerHostname of InvokeEndpoint" in message


@pytest.mark.parametrize(
    ("call", "parameters"),
    [
        ("invoke_endpoint_async", {"InputLocation": "s3://bucket/key"}),
        ("invoke_endpoint_with_response_stream", {"Body": b"x"}),
    ],
)
def test_the_other_ways_to_invoke_are_refused_with_the_one_that_is_known(
    cloud: EmbeddedCloud, call: str, parameters: dict[str, Any]
) -> None:
    code, message = refusal(getattr(cloud.client("sagemaker-runtime"), call), EndpointName="shared", **parameters)
    assert code == "UnknownOperationException"
    assert "it knows InvokeEndpoint" in message
    guessed = cloud.client("sagemaker-runtime", aws_secret_access_key="guessed")
    assert refusal(getattr(guessed, call), EndpointName="shared", **parameters)[0] == "InvalidSignatureException"


def test_a_header_of_the_model_in_any_bytes_reaches_the_client(cloud: EmbeddedCloud) -> None:
    answer = cloud.client("sagemaker-runtime").invoke_endpoint(EndpointName="shared", Body=b"attributes \xc3\xa9\xff")
    assert answer["CustomAttributes"].encode("latin-1") == b"\xc3\xa9\xff"


# Every member of every operation

BASE: dict[str, dict[str, Any]] = {
    "CreateModel": {
        "ModelName": "drawn",
        "PrimaryContainer": {"Image": "i", "ModelDataUrl": f"s3://{s3.BUCKET}/healthy.tar.gz"},
        "ExecutionRoleArn": ROLE,
    },
    "CreateEndpointConfig": {"EndpointConfigName": "drawn", "ProductionVariants": [VARIANT]},
    "CreateEndpoint": {"EndpointName": "drawn", "EndpointConfigName": "noarchive"},
    "UpdateEndpoint": {"EndpointName": "shared", "EndpointConfigName": "absent"},
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": "shared",
        "DesiredWeightsAndCapacities": [{"VariantName": "AllTraffic", "DesiredWeight": 1.0}],
    },
    **{f"Delete{kind.name}": {kind.key: "absent"} for kind in KINDS},
    **{
        f"Describe{kind.name}": {kind.key: name}
        for kind, name in zip(KINDS, ("healthy", "healthy", "shared"), strict=True)
    },
    **{f"List{kind.name}s": {} for kind in KINDS},
    "AddTags": {"ResourceArn": f"{ARN}model/healthy", "Tags": [{"Key": "a", "Value": "b"}]},
    "ListTags": {"ResourceArn": f"{ARN}model/healthy"},
    "DeleteTags": {"ResourceArn": f"{ARN}model/healthy", "TagKeys": ["a"]},
}
TAGGED = {("ResourceArn", f"{ARN}model/healthy"): ("ModelName", "healthy")}
ODD_TEXTS = (
    "", " ", "\0", "\ud800", "a\nb", "a\r\nX: y", "../../x", "..", "/", "s3://[x/y", "s3://b/../k", "9" * 5000, "-1",
    "٣", "é", "\U0001f600", "#?", "%00", "%s{0}", '"><', "shared ", "SHARED", "healthy\n", "NaN", "null",
)  # fmt: skip
OTHER_TYPES: tuple[Any, ...] = (7, 1.5, True, "x", [], {}, [[]], {"a": {}})

Path = tuple[str | int, ...]


def members(shape: Shape, path: Path = (), seen: tuple[str, ...] = ()) -> Iterator[tuple[Path, Shape]]:
    """Every member below a shape that is no structure, with the way to it."""
    if shape.name in seen:
        return
    if shape.type_name != "structure":
        yield path, shape
    inner: dict[str | int, Shape] = dict(getattr(shape, "members", {}))
    inner |= {0: shape.member} if shape.type_name == "list" else {}
    inner |= {"VARIABLE": shape.value} if shape.type_name == "map" else {}
    for name, one in inner.items():
        yield from members(one, (*path, name), (*seen, shape.name))


def with_value(request: Any, path: Path, value: Any) -> Any:
    """A copy of a request in which the member has the value; what leads to it is made where it is missing."""
    if not path:
        return value
    name, *rest = path
    if isinstance(name, int):
        return [with_value(request[0] if request else None, tuple(rest), value)]
    return {**(request or {}), name: with_value((request or {}).get(name), tuple(rest), value)}


def bounds(shape: Shape) -> Iterator[tuple[Any, bool]]:
    """Values at and just beyond the limits of a shape, and whether they lie within."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    ends = [] if low is None else [(low, True)]
    ends += [(low - 1, False)] if low else []
    ends += [] if high is None else [(high, True), (high + 1, False)]
    for size, within in ends:
        match shape.type_name:
            case "string":
                yield "a" * size, within
            case "list":
                yield [example(shape.member)] * size, within
            case "map":
                yield {f"V{number}": "" for number in range(size)}, within
            case _:
                yield size, within


def example(shape: Shape) -> Any:
    """A value of a shape's type."""
    match shape.type_name:
        case "structure":
            return {name: example(shape.members[name]) for name in shape.required_members}
        case "list" | "map":
            return [] if shape.type_name == "list" else {}
        case "string":
            return shape.metadata["enum"][0] if "enum" in shape.metadata else "a" * max(1, shape.metadata.get("min", 1))
        case "boolean":
            return False
    return 1


class Witness:
    """Sends requests and looks whether they did what they say and nothing else."""

    def __init__(self, cloud: EmbeddedCloud, wire: Wire) -> None:
        self.cloud, self.wire, self.sent = cloud, wire, 0

    def state(self) -> dict[str, dict[str, Any]]:
        return json.loads((self.cloud.folder / "sagemaker.json").read_text(encoding="utf-8"))

    def send(self, name: str, request: Any) -> Answer:
        before = self.state()
        answer = self.wire.call(name, json.dumps(request).encode())
        self.sent += 1
        assert answer.status in (200, 400), (name, request, answer)
        assert answer.status == 200 or answer.code, (name, request, answer)
        assert self.wire.works()
        self.require_nothing_else_changed(name, request, before)
        return answer

    def require_nothing_else_changed(self, name: str, request: Any, before: dict[str, dict[str, Any]]) -> None:
        after = self.state()
        changed = {
            (kind.key, one)
            for kind in KINDS
            for one in before[kind.name].keys() | after[kind.name].keys()
            if before[kind.name].get(one) != after[kind.name].get(one)
        }
        key = next(iter(BASE[name]), "")
        named = (key, str(request.get(key)))
        assert changed <= {TAGGED.get(named, named)}, (name, request, changed)
        for key, one in changed:
            if one not in before[key.removesuffix("Name")]:
                self.remove(key.removesuffix("Name"), one)

    def remove(self, kind: str, name: str) -> None:
        if kind == "Endpoint":
            self.cloud.settled(name)
            self.cloud.remove(name)
        else:
            self.wire.call(f"Delete{kind}", json.dumps({f"{kind}Name": name}).encode())


def test_every_member_at_and_beyond_its_limits_is_accepted_or_refused_and_nothing_else_happens(
    cloud: EmbeddedCloud, wire: Wire
) -> None:
    witness = Witness(cloud, wire)
    odd, other = itertools.cycle(ODD_TEXTS), itertools.cycle(OTHER_TYPES)
    assert BASE.keys() == OPERATIONS.keys()
    for name, base in BASE.items():
        for path, shape in members(operation("sagemaker", name).input_shape):
            for value, within in bounds(shape):
                answer = witness.send(name, with_value(base, path, value))
                assert ("Member must have" in answer.message) != within, (name, path, value, answer)
            values: list[Any] = [next(other), None]
            if shape.type_name == "string":
                values += [next(odd) for _ in range(5)]
            elif shape.type_name not in ("boolean", "list", "map"):
                values += [10**400, -(10**400), 2**31, -(2**63), 1e300, float("nan"), float("inf"), 0.5, -0.0]
            for value in values:
                witness.send(name, with_value(base, path, value))
    assert witness.sent > 2000


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(ODD_TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
DRAWN = settings(max_examples=300, deadline=None, database=None, derandomize=True)


def test_any_value_of_any_member_is_accepted_or_refused_and_nothing_else_happens(
    cloud: EmbeddedCloud, wire: Wire
) -> None:
    witness = Witness(cloud, wire)
    every = [(name, path) for name in BASE for path, _ in members(operation("sagemaker", name).input_shape)]

    @DRAWN
    @given(st.sampled_from(every), VALUES)
    def send(member: tuple[str, Path], value: Any) -> None:
        name, path = member
        witness.send(name, with_value(copy.deepcopy(BASE[name]), path, value))

    send()
    assert cloud.invoke("shared")["model"] == "healthy"


HEADERS = {
    shape.serialization["name"]
    for shape in operation("sagemaker-runtime", "InvokeEndpoint").input_shape.members.values()
    if shape.serialization.get("location") == "header"
}


def test_any_name_and_header_of_an_invocation_is_answered(wire: Wire) -> None:
    texts = st.text(string.printable[:95] + "éÿ\u00a0", max_size=80) | st.just("a" * 2000)

    @DRAWN
    @given(st.just("shared") | st.text(), st.dictionaries(st.sampled_from(sorted(HEADERS)), texts, max_size=2))
    def invoke(name: str, headers: dict[str, str]) -> None:
        path = f"/endpoints/{quote(name.encode(errors='replace'), safe='')}/invocations"
        answer = wire.post(path, b"x", {key: value.strip() for key, value in headers.items()})
        refused = {400: "ValidationError", 404: "UnknownOperationException"}  # no route has a line break
        assert answer.status == 200 or answer.code == refused[answer.status], (name, headers, answer)
        assert answer.status != 200 or name == "shared"
        assert wire.works()

    invoke()
