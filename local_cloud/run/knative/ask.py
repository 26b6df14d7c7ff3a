"""Calls of the v2 surface by those of v1: the same handler, the same permission, the same law.

Owns how v2's answers are read as JSON and how its refusals name the fields of v1.
"""

import re
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message, methods
from local_cloud.errors import ApiError, bad_request, invalid
from local_cloud.registry import Binding, Call
from local_cloud.server import calls
from local_cloud.server.json_codec import Errors, decode_into, encode

Json = dict[str, Any]

_PACKAGE = "google.cloud.run.v2"
#: Where v2's field names are not v1's, in the order they are tried.
_FIELDS = (
    (r"^service_id|^job_id|^service\.name|^job\.name", "metadata.name"),
    (r"^service\.template\.revision", "spec.template.metadata.name"),
    (r"^service\.template\.scaling\.min_instance_count", "spec.template.metadata.annotations[minScale]"),
    (r"^service\.template\.scaling", "spec.template.metadata.annotations[maxScale]"),
    (r"^service\.template\.max_instance_request_concurrency", "spec.template.spec.containerConcurrency"),
    (r"^service\.template", "spec.template.spec"),
    (r"^service\.traffic(\[\d+\])\.revision", r"spec.traffic\1.revisionName"),
    (r"^service\.traffic", "spec.traffic"),
    (r"^job\.template\.template", "spec.template.spec.template.spec"),
    (r"^job\.template", "spec.template.spec"),
)
_NAMES = {
    ".timeout": ".timeoutSeconds", ".service_account": ".serviceAccountName", ".startup_probe": ".startupProbe",
    ".value_source.secret_key_ref": ".valueFrom.secretKeyRef", ".liveness_probe": ".livenessProbe",
    ".volume_mounts": ".volumeMounts", ".mount_path": ".mountPath", ".max_retries": ".maxRetries",
    ".task_count": ".taskCount",
}  # fmt: skip
_VIOLATION = re.compile(r"Violation in \w+Request\.([^:]+): (.*)", re.DOTALL)


async def ask(cloud: Cloud, call: Call, method: str, **fields: Any) -> Message:
    """What a v2 method (`Services.GetService`) answers to this caller."""
    service, _, name = method.partition(".")
    found = methods(f"{_PACKAGE}.{service}")[name]
    binding = next((api.rpcs[found.path] for api in cloud.apis if found.path in api.rpcs), None)
    if binding is None:
        owner = next(api for api in cloud.apis if api.name == "run")
        raise calls.unimplemented(Binding(owner, None, None, None, method=found))
    try:
        return await calls.invoke(cloud, call.door, binding, found.request(**fields), call.metadata)
    except ApiError as error:
        raise _renamed(error) from None


async def ask_all(cloud: Cloud, call: Call, method: str, items: str, **fields: Any) -> list[Json]:
    """Every item of a v2 list, as JSON."""
    found: list[Json] = []
    token = ""
    while True:
        answer = await ask(cloud, call, method, page_token=token, **fields)
        found += [encode(item) for item in getattr(answer, items)]
        token = answer.next_page_token
        if not token:
            return found


def read(kind: str, value: Json) -> Message:
    """A v2 message from JSON; what does not fit is refused with its field."""
    made, errors = message(f"{_PACKAGE}.{kind}")(), Errors()
    decode_into(made, value, "", errors)
    if errors:
        raise invalid("\n".join(text for _, text in errors), bad_request(errors))
    return made


def begun(operation: Message, kind: str) -> Message:
    """The resource as a write left it: v1 answers at once, and its client watches the conditions."""
    made = message(f"{_PACKAGE}.{kind}")()
    operation.metadata.Unpack(made)
    return made


def _renamed(error: ApiError) -> ApiError:
    """A refusal of v2 with v1's field in the place of v2's."""
    found = _VIOLATION.match(error.text)
    if found is None:
        return error
    field, why = found.groups()
    for pattern, replacement in _FIELDS:
        field, changed = re.subn(pattern, replacement, field)
        if changed:
            break
    for old, new in _NAMES.items():
        field = field.replace(old, new)
    return invalid("The request has errors", bad_request([(field, why)]))
