"""Which parameters of SageMaker's operations count here; all others are refused."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fashion_cnn.localsagemaker.protocol import AwsError

# A parameter that is accepted and ignored would be a lie: what is not here is refused. A tuple holds the values that
# change nothing, which many tools send; a mapping says the same of what is inside; ANY is any value.
ANY: Final = None
CONTAINER: Final[Mapping[str, Any]] = {
    "Image": ANY,
    "ModelDataUrl": ANY,
    "ModelDataSource": {"S3DataSource": {"S3Uri": ANY, "S3DataType": ("S3Object",), "CompressionType": ("Gzip",)}},
    "Environment": ANY,
    "Mode": ("SingleModel",),
    "ImageConfig": {"RepositoryAccessMode": ("Platform",)},
}
CHANNEL: Final[Mapping[str, Any]] = {
    "ChannelName": ANY,
    "DataSource": {
        "S3DataSource": {"S3DataType": ("S3Prefix",), "S3Uri": ANY, "S3DataDistributionType": ("FullyReplicated",)}
    },
    "ContentType": ANY,
    "CompressionType": ("None",),
    "RecordWrapperType": ("None",),
    "InputMode": ("File",),
}
SUPPORTED: Final[Mapping[str, Mapping[str, Any]]] = {
    "CreateModel": {
        "ModelName": ANY,
        "PrimaryContainer": CONTAINER,
        "Containers": CONTAINER,
        "InferenceExecutionConfig": {"Mode": ("Serial",)},
        "ExecutionRoleArn": ANY,
        "EnableNetworkIsolation": (False,),
        "Tags": ANY,
    },
    "CreateEndpointConfig": {
        "EndpointConfigName": ANY,
        "ProductionVariants": {
            "VariantName": ANY,
            "ModelName": ANY,
            "InitialInstanceCount": ANY,
            "InstanceType": ANY,
            "ServerlessConfig": {"MemorySizeInMB": ANY, "MaxConcurrency": ANY},
            "InitialVariantWeight": ANY,
            "ContainerStartupHealthCheckTimeoutInSeconds": ANY,
            "EnableSSMAccess": (False,),
        },
        "EnableNetworkIsolation": (False,),
        "Tags": ANY,
    },
    "CreateEndpoint": {"EndpointName": ANY, "EndpointConfigName": ANY, "Tags": ANY},
    "UpdateEndpoint": {
        "EndpointName": ANY,
        "EndpointConfigName": ANY,
        "RetainAllVariantProperties": (False,),
        "ExcludeRetainedVariantProperties": ([],),
        "RetainDeploymentConfig": (False,),
    },
    "UpdateEndpointWeightsAndCapacities": {
        "EndpointName": ANY,
        "DesiredWeightsAndCapacities": {"VariantName": ANY, "DesiredWeight": ANY, "DesiredInstanceCount": ANY},
    },
    "InvokeEndpoint": {
        "EndpointName": ANY,
        "ContentType": ANY,
        "Accept": ANY,
        "CustomAttributes": ANY,
        "TargetVariant": ANY,
        "TargetModel": ANY,
        "InferenceId": ANY,
    },
    "CreateTrainingJob": {
        "TrainingJobName": ANY,
        "HyperParameters": ANY,
        "AlgorithmSpecification": {
            "TrainingImage": ANY,
            "TrainingInputMode": ("File",),
            "ContainerEntrypoint": ANY,
            "ContainerArguments": ANY,
            "EnableSageMakerMetricsTimeSeries": (False,),
        },
        "RoleArn": ANY,
        "InputDataConfig": CHANNEL,
        "OutputDataConfig": {"S3OutputPath": ANY, "CompressionType": ("GZIP",), "KmsKeyId": ("",)},
        "ResourceConfig": {
            "InstanceType": ANY,
            "InstanceCount": (1,),
            "VolumeSizeInGB": ANY,
            "KeepAlivePeriodInSeconds": (0,),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": ANY, "MaxWaitTimeInSeconds": ANY},
        "Tags": ANY,
        "EnableNetworkIsolation": (False,),
        "EnableInterContainerTrafficEncryption": (False,),
        "EnableManagedSpotTraining": ANY,
        "CheckpointConfig": {"S3Uri": ANY, "LocalPath": ANY},
        "Environment": ANY,
    },
    "ListTrainingJobs": {
        "NextToken": ANY,
        "MaxResults": ANY,
        "CreationTimeAfter": ANY,
        "CreationTimeBefore": ANY,
        "LastModifiedTimeAfter": ANY,
        "LastModifiedTimeBefore": ANY,
        "NameContains": ANY,
        "StatusEquals": ANY,
        "SortBy": ANY,
        "SortOrder": ANY,
    },
    "GetLogEvents": {
        "logGroupName": ANY,
        "logStreamName": ANY,
        "startTime": ANY,
        "endTime": ANY,
        "nextToken": ANY,
        "limit": ANY,
        "startFromHead": ANY,
    },
    "DescribeLogStreams": {
        "logGroupName": ANY,
        "logStreamNamePrefix": ANY,
        "orderBy": ("LogStreamName",),
        "descending": (False,),
        "nextToken": ANY,
        "limit": ANY,
    },
}


def require_supported(name: str, request: Mapping[str, Any], code: str = "ValidationException") -> None:
    """Refuse what AWS knows and this server would ignore.

    Raises:
        AwsError: of that code, naming it.
    """
    if name in SUPPORTED:
        for message in _unsupported(request, SUPPORTED[name], name):
            raise AwsError(code, f"The embedded SageMaker {message}.")


def _unsupported(value: Any, known: Any, path: str) -> Iterator[str]:
    if isinstance(known, tuple):
        if value not in known:
            yield f"knows {path} only as {json.dumps(known[0])}"
    elif known is not ANY:
        for part in value if isinstance(value, list) else [value]:
            if unknown := part.keys() - known.keys():
                yield f"does not know {', '.join(sorted(unknown))} of {path}; it knows {', '.join(sorted(known))}"
            for name, inner in part.items():
                yield from _unsupported(inner, known.get(name), name)
