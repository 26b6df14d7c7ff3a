"""Which annotation of a Knative object is which field of the v2 resource, and how its text is read.

A table for each kind of object. An annotation that is in none stays what it is, an annotation.
Source: metadata.annotations of Service, RevisionTemplate and Job, https://cloud.google.com/run/docs/reference/rest/v1.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from local_cloud.errors import bad_request, invalid
from local_cloud.run.rules import SYSTEM_NAMESPACES

RUN, AUTOSCALING = "run.googleapis.com", "autoscaling.knative.dev"
CLIENT_NAME, CLIENT_VERSION = f"{RUN}/client-name", f"{RUN}/client-version"
THROTTLING, BOOST = f"{RUN}/cpu-throttling", f"{RUN}/startup-cpu-boost"
CLOUD_SQL, DEPENDENCIES, SECRETS = f"{RUN}/cloudsql-instances", f"{RUN}/container-dependencies", f"{RUN}/secrets"


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the v2 message (dotted, lowerCamelCase) with its text form; `read` raises ValueError."""

    path: str
    read: Callable[[str], Any]
    write: Callable[[Any], str]


def _text(path: str) -> Field:
    return Field(path, str, str)


def _whole(path: str) -> Field:
    return Field(path, _count, str)


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise ValueError("must be a whole number.")
    return int(text)


def _flag(path: str) -> Field:
    return Field(path, truth, lambda value: str(value).lower())


def truth(text: str) -> bool:
    """The value of a flag."""
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false.")
    return text.lower() == "true"


def _one_of(path: str, values: Mapping[str, str]) -> Field:
    shown = {there: here for here, there in values.items()}

    def read(text: str) -> str:
        if text not in values:
            raise ValueError(f"must be one of {', '.join(values)}.")
        return values[text]

    return Field(path, read, lambda value: shown.get(value, str(value)))


def structure(kind: type) -> Callable[[str], Any]:
    """Reads JSON text of one kind."""

    def read(text: str) -> Any:
        try:
            value = json.loads(text)
        except (json.JSONDecodeError, RecursionError):
            raise ValueError("must be JSON.") from None
        if not isinstance(value, kind):
            raise ValueError(f"must be a JSON {'list' if kind is list else 'object'}.")
        return value

    return read


def _json(path: str) -> Field:
    return Field(path, structure(list), lambda value: json.dumps(value, separators=(",", ":")))


#: Where a container reaches the network and on what it runs: revisions and tasks alike.
PLACEMENT = {
    f"{RUN}/vpc-access-connector": _text("vpcAccess.connector"),
    f"{RUN}/vpc-access-egress": _one_of(
        "vpcAccess.egress",
        {"all": "ALL_TRAFFIC", "all-traffic": "ALL_TRAFFIC", "private-ranges-only": "PRIVATE_RANGES_ONLY"},
    ),
    f"{RUN}/network-interfaces": _json("vpcAccess.networkInterfaces"),
    f"{RUN}/execution-environment": _one_of(
        "executionEnvironment", {"gen1": "EXECUTION_ENVIRONMENT_GEN1", "gen2": "EXECUTION_ENVIRONMENT_GEN2"}
    ),
    f"{RUN}/encryption-key": _text("encryptionKey"),
    f"{RUN}/gpu-zonal-redundancy-disabled": _flag("gpuZonalRedundancyDisabled"),
}
REVISION = PLACEMENT | {
    f"{AUTOSCALING}/minScale": _whole("scaling.minInstanceCount"),
    f"{AUTOSCALING}/maxScale": _whole("scaling.maxInstanceCount"),
    f"{RUN}/sessionAffinity": _flag("sessionAffinity"),
    f"{RUN}/health-check-disabled": _flag("healthCheckDisabled"),
    f"{RUN}/mesh": _text("serviceMesh.mesh"),
}
_CLIENT = {
    CLIENT_NAME: _text("client"),
    CLIENT_VERSION: _text("clientVersion"),
    f"{RUN}/launch-stage": _text("launchStage"),
    f"{RUN}/binary-authorization": Field(
        "binaryAuthorization",
        lambda text: {"useDefault": True} if text == "default" else {"policy": text},
        lambda value: str(value.get("policy", "default")),
    ),
}
SERVICE = _CLIENT | {
    f"{RUN}/description": _text("description"),
    f"{RUN}/ingress": _one_of(
        "ingress",
        {
            "all": "INGRESS_TRAFFIC_ALL",
            "internal": "INGRESS_TRAFFIC_INTERNAL_ONLY",
            "internal-and-cloud-load-balancing": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
            "none": "INGRESS_TRAFFIC_NONE",
        },
    ),
    f"{RUN}/minScale": _whole("scaling.minInstanceCount"),
    f"{RUN}/maxScale": _whole("scaling.maxInstanceCount"),
    f"{RUN}/manualInstanceCount": _whole("scaling.manualInstanceCount"),
    f"{RUN}/scalingMode": _one_of("scaling.scalingMode", {"automatic": "AUTOMATIC", "manual": "MANUAL"}),
    f"{RUN}/custom-audiences": _json("customAudiences"),
    f"{RUN}/invoker-iam-disabled": _flag("invokerIamDisabled"),
    f"{RUN}/default-url-disabled": _flag("defaultUriDisabled"),
    f"{RUN}/iap-enabled": _flag("iapEnabled"),
}
JOB = _CLIENT


def take(annotations: Mapping[str, str], table: Mapping[str, Field], at: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The fields that annotations mean, as v2 JSON, and the annotations that are left."""
    fields: dict[str, Any] = {}
    left: dict[str, str] = {}
    for name, text in annotations.items():
        field = table.get(name)
        if field is None:
            left[name] = text
            continue
        value = parsed(field.read, text, f"{at}[{name}]")
        target = fields
        *above, last = field.path.split(".")
        for part in above:
            target = target.setdefault(part, {})
        target[last] = value
    return fields, left


def own(names: Mapping[str, str]) -> dict[str, str]:
    """The caller's own labels or annotations: what is the platform's and says nothing here is passed over."""
    return {name: value for name, value in names.items() if name.partition("/")[0] not in SYSTEM_NAMESPACES}


def parsed(read: Callable[[str], Any], text: str, where: str) -> Any:
    """The value of an annotation, or INVALID_ARGUMENT with its name."""
    try:
        return read(text)
    except ValueError as error:
        raise refused(where, f"'{text}' {error}") from None


def refused(where: str, why: str) -> Exception:
    """Cloud Run v1's refusal of a field; gcloud prints each violation on a line of its own."""
    return invalid("The request has errors", bad_request([(where, why)]))


def show(resource: Mapping[str, Any], table: Mapping[str, Field]) -> dict[str, str]:
    """The annotations of a v2 resource's fields."""
    made: dict[str, str] = {}
    for name, field in table.items():
        value: Any = resource
        for part in field.path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        if value is not None:
            made[name] = field.write(value)
    return made
