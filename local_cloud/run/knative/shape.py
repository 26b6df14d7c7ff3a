"""What a Knative object may hold: the fields of Cloud Run's v1 schemas, and the check of a body against them.

Owns types and names alone; what the values mean is v2's. Fields that Kubernetes knows and Cloud Run passes over
(`imagePullPolicy`, `securityContext`) may stand in a body and are dropped.
Source: the discovery document of run v1; wording: as Google's front end answers.
"""

from collections.abc import Mapping
from typing import Any

from local_cloud.errors import bad_request, invalid

Errors = list[tuple[str, str]]

#: Any JSON value: what is never read.
ANY = object
#: A map from names to strings.
NAMES: Mapping[str, Any] = {"*": str}

_REFERENCE = {"name": str, "key": str, "optional": bool, "localObjectReference": ANY}
_PROBE = {
    "initialDelaySeconds": int, "timeoutSeconds": int, "periodSeconds": int, "failureThreshold": int,
    "successThreshold": int, "exec": ANY,
    "httpGet": {
        "path": str, "port": int, "scheme": str, "host": str, "httpHeaders": [{"name": str, "value": str}],
    },
    "tcpSocket": {"port": int, "host": str},
    "grpc": {"port": int, "service": str},
}  # fmt: skip
_CONTAINER = {
    "name": str, "image": str, "command": [str], "args": [str], "workingDir": str,
    "env": [{"name": str, "value": str, "valueFrom": {"secretKeyRef": _REFERENCE, "configMapKeyRef": ANY}}],
    "ports": [{"name": str, "containerPort": int, "protocol": str}],
    "resources": {"limits": NAMES, "requests": NAMES},
    "volumeMounts": [{"name": str, "mountPath": str, "subPath": str, "readOnly": bool}],
    "startupProbe": _PROBE, "livenessProbe": _PROBE, "readinessProbe": _PROBE,
    "envFrom": ANY, "imagePullPolicy": ANY, "securityContext": ANY, "terminationMessagePath": ANY,
    "terminationMessagePolicy": ANY,
}  # fmt: skip
_VOLUME = {
    "name": str,
    "secret": {
        "secretName": str, "items": [{"key": str, "path": str, "mode": int}], "defaultMode": int, "optional": bool,
    },
    "emptyDir": {"medium": str, "sizeLimit": str},
    "csi": {"driver": str, "readOnly": bool, "volumeAttributes": NAMES},
    "nfs": {"server": str, "path": str, "readOnly": bool},
    "configMap": ANY,
}  # fmt: skip
_POD = {
    "containers": [_CONTAINER], "volumes": [_VOLUME], "serviceAccountName": str, "timeoutSeconds": int,
    "nodeSelector": NAMES, "runtimeClassName": str, "enableServiceLinks": bool, "imagePullSecrets": ANY,
}  # fmt: skip
_METADATA = {
    "name": str, "namespace": str, "labels": NAMES, "annotations": NAMES, "resourceVersion": str,
    "uid": ANY, "generation": ANY, "selfLink": ANY, "creationTimestamp": ANY, "deletionTimestamp": ANY,
    "ownerReferences": ANY, "finalizers": ANY, "generateName": ANY, "clusterName": ANY,
    "deletionGracePeriodSeconds": ANY, "managedFields": ANY,
}  # fmt: skip
_TARGET = {
    "revisionName": str, "latestRevision": bool, "percent": int, "tag": str, "url": str, "configurationName": str,
}  # fmt: skip

SERVICE = {
    "apiVersion": str, "kind": str, "metadata": _METADATA, "status": ANY,
    "spec": {
        "template": {"metadata": _METADATA, "spec": _POD | {"containerConcurrency": int}},
        "traffic": [_TARGET],
    },
}  # fmt: skip
JOB = {
    "apiVersion": str, "kind": str, "metadata": _METADATA, "status": ANY,
    "spec": {
        "template": {
            "metadata": _METADATA,
            "spec": {
                "parallelism": int, "taskCount": int,
                "template": {"metadata": _METADATA, "spec": _POD | {"maxRetries": int}},
            },
        },
        "startExecutionToken": str, "runExecutionToken": str,
    },
}  # fmt: skip
RUN_JOB = {
    "overrides": {
        "taskCount": int, "timeoutSeconds": int,
        "containerOverrides": [{
            "name": str, "args": [str], "clearArgs": bool,
            "env": [{"name": str, "value": str, "valueFrom": ANY}],
        }],
    },
}  # fmt: skip


def checked(value: Any, shape: Any, name: str) -> dict[str, Any]:
    """A copy of a body without nulls and what is never read; all that does not fit is refused at once."""
    errors: Errors = []
    made = _fit({} if value is None else value, shape, name, errors)
    if errors:
        raise invalid("\n".join(text for _, text in errors), bad_request(errors))
    found: dict[str, Any] = made
    return found


def _fit(value: Any, shape: Any, at: str, errors: Errors) -> Any:
    if isinstance(shape, Mapping):
        return _fit_object(value, shape, at, errors)
    if isinstance(shape, list):
        if not isinstance(value, list):
            return _wrong(value, "repeated", at, errors)
        return [_fit(item, shape[0], f"{at}[{index}]", errors) for index, item in enumerate(value)]
    fits = _whole(value) if shape is int else isinstance(value, shape)
    if not fits:
        return _wrong(value, {int: "TYPE_INT32", str: "TYPE_STRING", bool: "TYPE_BOOL"}[shape], at, errors)
    return int(value) if shape is int else value


def _whole(value: Any) -> bool:
    """Whether a value is an int32; a string of digits is one too, as in all of Google's JSON."""
    if isinstance(value, str):
        return value.isascii() and value.isdecimal() and len(value) < 11 and int(value) < 2**31
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return -(2**31) <= value < 2**31 and int(value) == value


def _fit_object(value: Any, shape: Mapping[str, Any], at: str, errors: Errors) -> Any:
    if not isinstance(value, dict):
        return _wrong(value, "object", at, errors)
    made: dict[str, Any] = {}
    for key, item in value.items():
        wanted = shape.get(key, shape.get("*"))
        if wanted is None:
            text = f"Invalid JSON payload received. Unknown name \"{key}\" at '{at}': Cannot find field."
            errors.append((at, text))
        elif wanted is not ANY and item is not None:
            made[key] = _fit(item, wanted, f"{at}.{key}", errors)
    return made


def _wrong(value: Any, kind: str, at: str, errors: Errors) -> None:
    shown = f'"{value}"' if isinstance(value, str) else value
    errors.append((at, f"Invalid value at '{at}' ({kind}), {str(shown)[:500]}"))
