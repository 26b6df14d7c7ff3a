"""Conditions of bindings: CEL, compiled and type-checked when a policy is set, evaluated at each decision.

The language is cel-cpp's own (the package cel-expr-python, which Google publishes); here are the attributes that IAM
gives it. request.time, resource.name, resource.type and resource.service are there, with extract(). What needs things
that this cloud does not have is refused when set: tags, access levels, destination, principal, api.getAttribute().
Sources: https://cloud.google.com/iam/docs/conditions-attribute-reference, .../conditions-resource-attributes (names of
secrets carry the project's number), https://cloud.google.com/iam/quotas (12 logical operators).
"""

import datetime
import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from local_cloud.errors import ApiError, invalid

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

#: Logical operators that one condition may have.
MAX_OPERATORS = 12

#: resource.service and resource.type by the collection that a name ends with.
_TYPES = {
    "queues": ("cloudtasks.googleapis.com", "cloudtasks.googleapis.com/Queue"),
    "tasks": ("cloudtasks.googleapis.com", "cloudtasks.googleapis.com/Task"),
    "services": ("run.googleapis.com", "run.googleapis.com/Service"),
    "secrets": ("secretmanager.googleapis.com", "secretmanager.googleapis.com/Secret"),
    "versions": ("secretmanager.googleapis.com", "secretmanager.googleapis.com/SecretVersion"),
    "serviceAccounts": ("iam.googleapis.com", "iam.googleapis.com/ServiceAccount"),
    "topics": ("pubsub.googleapis.com", "pubsub.googleapis.com/Topic"),
    "subscriptions": ("pubsub.googleapis.com", "pubsub.googleapis.com/Subscription"),
    "instances": ("sqladmin.googleapis.com", "sqladmin.googleapis.com/Instance"),
    "buckets": ("storage.googleapis.com", "storage.googleapis.com/Bucket"),
    "objects": ("storage.googleapis.com", "storage.googleapis.com/Object"),
    "projects": ("cloudresourcemanager.googleapis.com", "cloudresourcemanager.googleapis.com/Project"),
}

#: Collections whose resource attributes Google fills in; elsewhere only request.time is known to a condition.
GOOGLE_KNOWS = ("secrets", "versions", "instances", "buckets", "objects", "projects")

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"' + r"|'(?:[^'\\]|\\.)*'")
_OPERATOR = re.compile(r"&&|\|\||!(?!=)")

KNOWN = (
    "It knows request.time, resource.name, resource.type and resource.service, extract(), and CEL's own functions and "
    "operators. Tags, access levels, destination, principal and api.getAttribute() are not there."
)


def holds(cloud: "Cloud", expression: str, resource: str) -> bool:
    """Whether a condition holds for a call on a resource now; one that cannot be decided does not."""
    collection = _collection(resource)
    service, kind = _TYPES.get(collection, ("", ""))
    name = resource
    if service == "storage.googleapis.com":
        name = f"projects/_/{resource.split('/', 2)[2]}"
    if service == "secretmanager.googleapis.com":
        name = f"projects/{cloud.settings.project_number}/{resource.split('/', 2)[2]}"
    facts = {
        "request.time": datetime.datetime.fromtimestamp(cloud.now(), datetime.UTC),
        "resource.name": name,
        "resource.service": service,
        "resource.type": kind,
    }
    try:
        return _compiled(expression).eval(data=facts).value() is True
    except (ApiError, RuntimeError):
        return False


def _collection(resource: str) -> str:
    """The collection that a name ends with; an object's own name may have slashes."""
    parts = resource.split("/")
    if parts[2:3] == ["buckets"]:
        return parts[4] if len(parts) > 4 else "buckets"
    return parts[-2] if len(parts) > 1 else ""


def check(expression: str) -> None:
    """Refuses what cannot be evaluated, when a policy is set."""
    operators = len(_OPERATOR.findall(_STRING.sub("", expression)))
    if operators > MAX_OPERATORS:
        raise invalid(
            f"Condition expression has {operators} logical operators; at most {MAX_OPERATORS} are allowed: {expression}"
        )
    _compiled(expression)


def google_would_not_know(resource: str, expression: str) -> bool:
    """Whether a condition speaks of resource attributes on a resource for which Google has none."""
    collection = _collection(resource)
    return collection not in GOOGLE_KNOWS and "resource." in _STRING.sub("", expression)


@lru_cache(maxsize=1000)
def _compiled(expression: str) -> Any:
    try:
        made = _environment().compile(expression)
    except RuntimeError as error:
        reason = str(error).partition(": ")[2].removesuffix(" [INVALID_ARGUMENT]")
        raise invalid(f"Condition expression compilation failed. {reason}\nThis is the local cloud: {KNOWN}") from None
    if made.return_type().name() not in ("BOOL", "bool", "DYN", "dyn"):
        raise invalid(
            f"Condition expression compilation failed. It gives {made.return_type().name()}, not true or false: "
            f"{expression}"
        )
    return made


@cache
def _environment() -> Any:
    """What expressions are compiled against. Imported late: a project without conditions does not need it."""
    from cel_expr_python import cel  # type: ignore[import-untyped]

    kind = cel.Type
    overload = cel.Overload("iam_extract", kind.STRING, [kind.STRING, kind.STRING], is_member=True, impl=extract)
    return cel.NewEnv(
        variables={
            "request.time": kind.TIMESTAMP,
            "resource.name": kind.STRING,
            "resource.type": kind.STRING,
            "resource.service": kind.STRING,
        },
        extensions=[cel.CelExtension("iam", [cel.FunctionDecl("extract", [overload])])],
    )


def extract(text: str, template: str) -> str:
    """What stands in a text where the template has its `{name}`: "" where the template does not fit."""
    before, _, rest = template.partition("{")
    _, _, after = rest.partition("}")
    start = text.find(before)
    if start < 0:
        return ""
    found = text[start + len(before) :]
    if not after:
        return found
    end = found.find(after)
    return found[:end] if end >= 0 else ""
