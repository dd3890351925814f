"""AWS's wire protocols as far as SageMaker's calls need them: signatures, checks of requests, forms of errors.

What a request and an answer may hold comes from botocore's own service models.
"""

import datetime
import hashlib
import hmac
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel, Shape
from starlette.requests import Request
from starlette.responses import Response

from fashion_cnn.localcloud import s3

ACCOUNT: Final = "000000000000"
CLOCK_SKEW: Final = datetime.timedelta(minutes=15)

AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=(?P<key>[^/\s]+)/(?P<date>\d{8})/(?P<region>[^/\s]+)/(?P<service>[^/\s]+)"
    r"/aws4_request,\s*SignedHeaders=(?P<headers>[^,\s]+),\s*Signature=(?P<signature>[0-9a-f]{64})"
)
# What Python's patterns lack, as the service models use it. A line break is white space, but no separator, \p{Z}.
JAVA_CLASSES: Final = {
    r"\p{L}\p{Z}\p{N}": r"\w \u00A0\u1680\u2000-\u200A\u2028\u2029\u202F\u205F\u3000",
    r"[\p{Print}]": r"[\x20-\x7E]",
    r"\p{ASCII}": r"[\x00-\x7F]",
    r"\z": r"\Z",
}
JSON_TYPES: Final[Mapping[str, type | tuple[type, ...]]] = {
    "structure": dict,
    "map": dict,
    "list": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "long": int,
    "float": (int, float),
    "timestamp": (int, float),
}
# Of 32 and 64 bits, and the last second that a date of four digits has.
LARGEST: Final = {"integer": 2**31 - 1, "long": 2**63 - 1, "float": 3.4028235e38, "timestamp": 253402300799}
# STS has names of its own for what the other services say of a signature.
STS_CODES: Final = {
    "MissingAuthenticationTokenException": "MissingAuthenticationToken",
    "IncompleteSignatureException": "IncompleteSignature",
    "UnrecognizedClientException": "InvalidClientTokenId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
}


class AwsError(Exception):
    """What AWS answers instead of a result.

    Attributes:
        code: AWS's name of the error, as clients see it.
        message: AWS's wording where it is known.
        status: the HTTP status.
        members: further members of the error's shape.
    """

    def __init__(self, code: str, message: str, status: int = 400, **members: Any) -> None:
        super().__init__(message)
        self.code, self.message, self.status, self.members = code, message, status, members


@cache
def operation(service: str, name: str) -> OperationModel:
    """The description of one operation; service: sagemaker, sagemaker-runtime or sts."""
    return _service(service).operation_model(name)


@cache
def _service(name: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(name, "service-2"), name)


def check(parameters: Mapping[str, Any], shape: Shape) -> None:
    """Check a request, or an answer, against its shape, in AWS's words where they are known.

    Raises:
        AwsError: SerializationException: a value is of another type, or none that its type can hold;
            ValidationException, with every violation: a member is missing or not known, or a constraint is not met.
    """
    if found := list(_violations(parameters, shape, "")):
        raise AwsError("ValidationException", detected(found))


def detected(violations: Sequence[str]) -> str:
    """AWS's message on the violations of one request."""
    count = len(violations)
    return f"{count} validation error{'s' if count > 1 else ''} detected: {'; '.join(violations)}"


def violation(value: Any, path: str, constraint: str) -> str:
    """AWS's words on one value; `constraint` continues 'Member must'."""
    shown = value if isinstance(value, str) else json.dumps(value)
    return f"Value '{shown}' at '{path}' failed to satisfy constraint: Member must {constraint}"


def _violations(value: Any, shape: Shape, path: str) -> Iterator[str]:
    _require_type(value, shape, path)
    if shape.type_name == "structure":
        for name in shape.required_members:
            if name not in value:
                yield f"Value null at '{_below(path, name)}' failed to satisfy constraint: Member must not be null"
        for name, inner in value.items():
            if name in shape.members:
                yield from _violations(inner, shape.members[name], _below(path, name))
            else:
                yield f"Value at '{_below(path, name)}' is not known; known: {', '.join(shape.members)}"
    elif shape.type_name == "map":
        for key, inner in value.items():
            yield from _violations(key, shape.key, path)
            yield from _violations(inner, shape.value, f"{path}.{key}.member")
    elif shape.type_name == "list":
        for number, inner in enumerate(value, start=1):
            yield from _violations(inner, shape.member, f"{path}.{number}.member")
    yield from (violation(value, path, constraint) for constraint in violated(value, shape))


def _below(path: str, member: str) -> str:
    name = member[:1].lower() + member[1:]
    return f"{path}.{name}" if path else name


def _require_type(value: Any, shape: Shape, path: str) -> None:
    kind = shape.type_name
    fits = isinstance(value, JSON_TYPES[kind]) and isinstance(value, bool) == (kind == "boolean")
    limit = LARGEST.get(kind)
    # Written so that what is no number does not fit.
    if not fits or (limit is not None and not -limit - 1 <= value <= limit):
        shown = json.dumps(value)
        raise AwsError("SerializationException", f"{shown[:80]} at '{path}' can not be converted to {kind}")


def violated(value: Any, shape: Shape) -> Iterator[str]:
    """What a value, without what it holds, must be and is not: bounds, enumeration, pattern, in AWS's words."""
    sized = shape.type_name in ("string", "list", "map", "blob")
    what, size = ("length", len(value)) if sized else ("value", value)
    if shape.type_name in ("structure", "boolean", "timestamp"):
        return
    lowest, highest = shape.metadata.get("min"), shape.metadata.get("max")
    if lowest is not None and size < lowest:
        yield f"have {what} greater than or equal to {lowest}"
    if highest is not None and size > highest:
        yield f"have {what} less than or equal to {highest}"
    if shape.type_name == "string":
        allowed, pattern = shape.metadata.get("enum"), shape.metadata.get("pattern")
        if allowed and value not in allowed:
            yield f"satisfy enum value set: [{', '.join(allowed)}]"
        if pattern and not java_pattern(pattern).fullmatch(value):
            yield f"satisfy regular expression pattern: {pattern}"


@cache
def java_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a service model's pattern, which is written in Java's dialect."""
    for java, python in JAVA_CLASSES.items():
        pattern = pattern.replace(java, python)
    return re.compile(pattern, re.DOTALL)


def authenticate(request: Request, body: bytes, credentials: Credentials, service: str, region: str) -> None:
    """Check a request's signature, version 4, by computing it again.

    Source: docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html and reference_sigv-troubleshooting.html.

    Raises:
        AwsError: the request is not signed, not with these credentials, not for this service, not for this
            content or not now.
    """
    headers = request.headers
    if not (given := headers.get("authorization")):
        raise AwsError("MissingAuthenticationTokenException", "Missing Authentication Token", 403)
    claim, timestamp = AUTHORIZATION.fullmatch(given), headers.get("x-amz-date", "")
    if not claim:
        message = "The Authorization header is not one of Signature Version 4"
        raise AwsError("IncompleteSignatureException", message)
    if claim["key"] != credentials.access_key or "x-amz-security-token" in headers:
        message = "The security token included in the request is invalid."
        raise AwsError("UnrecognizedClientException", message, 403)
    if claim["region"] != region:
        raise _bad_signature(f"Credential should be scoped to a valid region, not {claim['region']!a}.")
    if claim["service"] != service:
        raise _bad_signature(f"Credential should be scoped to correct service: {service!r}.")
    _check_time(timestamp, claim["date"])

    signed = claim["headers"].split(";")
    for name in headers:
        if name not in signed and (name == "host" or name.startswith("x-amz")) and name != "x-amzn-trace-id":
            raise _bad_signature(f"{name!r} must be a 'SignedHeader' in the AWS Authorization.")
    stated = headers.get("x-amz-content-sha256")
    if stated not in (None, hashlib.sha256(body).hexdigest()):
        raise _bad_signature("The x-amz-content-sha256 header is not the SHA-256 of the body.")

    path, query = request.scope["raw_path"].decode("latin-1"), request.scope["query_string"].decode("latin-1")
    signer = SigV4Auth(credentials, service, region)
    again = AWSRequest(
        method=request.method,
        url=f"http://{s3.HOST}{path}{'?' if query else ''}{query}",  # the host counts as a header
        headers=_pairs(request, signed),
        data=body,
    )
    again.context["timestamp"] = timestamp
    signature = signer.signature(signer.string_to_sign(again, signer.canonical_request(again)), again)
    if not hmac.compare_digest(signature, claim["signature"]):
        raise _bad_signature(
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method."
        )


def _pairs(request: Request, names: list[str]) -> dict[str, str]:
    """Headers of these names; a repeated one as SigV4 writes it, its values joined by commas."""
    return {name: ",".join(request.headers.getlist(name)) for name in names if name in request.headers}


def _check_time(timestamp: str, date: str) -> None:
    try:
        then = datetime.datetime.strptime(timestamp, SIGV4_TIMESTAMP).replace(tzinfo=datetime.UTC)
    except ValueError:
        message = "Authorization header requires existence of an 'X-Amz-Date' header."
        raise AwsError("IncompleteSignatureException", message) from None
    now = datetime.datetime.now(datetime.UTC)
    earliest, latest = now - CLOCK_SKEW, now + CLOCK_SKEW
    written = now.strftime(SIGV4_TIMESTAMP)
    if then < earliest:
        bound = f"{earliest.strftime(SIGV4_TIMESTAMP)} ({written} - 15 min.)"
        raise _bad_signature(f"Signature expired: {timestamp} is now earlier than {bound}")
    if then > latest:
        bound = f"{latest.strftime(SIGV4_TIMESTAMP)} ({written} + 15 min.)"
        raise _bad_signature(f"Signature not yet current: {timestamp} is still later than {bound}")
    if not timestamp.startswith(date):
        raise _bad_signature("Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date")


def _bad_signature(message: str) -> AwsError:
    return AwsError("InvalidSignatureException", message, 403)


def json_answer(result: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Response:
    """A result in the JSON 1.1 protocol."""
    return _response(json.dumps(result), 200, "application/x-amz-json-1.1", headers)


def json_error(error: AwsError) -> Response:
    """An error in the JSON protocols: SageMaker's and its runtime's."""
    content = {"__type": error.code, "message": error.message, "Message": error.message, **error.members}
    headers = {"x-amzn-ErrorType": error.code}
    return _response(json.dumps(content), error.status, "application/x-amz-json-1.1", headers)


def body_answer(body: bytes, headers: Mapping[str, str]) -> Response:
    """A result whose body is not the protocol's but a model's."""
    return _response(body, 200, None, headers)


def sts_answer(operation_name: str, result: Mapping[str, str]) -> Response:
    """A result in the query protocol; values are plain text without markup."""
    members = "".join(f"<{name}>{value}</{name}>" for name, value in result.items())
    inner = f"<{operation_name}Result>{members}</{operation_name}Result>"
    return _sts(f"{operation_name}Response", inner, 200)


def sts_error(error: AwsError) -> Response:
    """An error in the query protocol."""
    code = STS_CODES.get(error.code, error.code)
    message = error.message.replace("&", "&amp;").replace("<", "&lt;")
    inner = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    return _sts("ErrorResponse", inner, error.status)


def _sts(root: str, inner: str, status: int) -> Response:
    namespace = _service("sts").metadata["xmlNamespace"]
    request = f"<ResponseMetadata><RequestId>{uuid.uuid4()}</RequestId></ResponseMetadata>"
    return _response(f'<{root} xmlns="{namespace}">{inner}{request}</{root}>', status, "text/xml", None)


def _response(content: str | bytes, status: int, media_type: str | None, headers: Mapping[str, str] | None) -> Response:
    own = {"x-amzn-RequestId": str(uuid.uuid4()), **(headers or {})}
    return Response(content, status, own, media_type)
