"""The three IAM methods of an API, declared in one line: `Api.iam_policies`.

google.iam.v1.IAMPolicy is one gRPC service for many APIs (Pub/Sub): there the resource's pattern picks the API.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from local_cloud.descriptors import HttpRule, Message, message, methods
from local_cloud.iam.permissions import check_words
from local_cloud.registry import Api, Binding, Call

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

MIXIN = "google.iam.v1.IAMPolicy"

Exists = Callable[["Cloud", str], None]


@dataclass(frozen=True, slots=True)
class Policies:
    """What one API said about its resources that take policies."""

    pattern: str
    permission: str
    exists: Exists | None


def declare(
    api: Api,
    pattern: str,
    *,
    permission: str,
    exists: Exists | None = None,
    service: str | None = None,
    version: str = "v1",
) -> None:
    """See Api.iam_policies."""
    policies = Policies(pattern, permission, exists)
    api.policies.append(policies)
    fitting = re.compile(re.escape(pattern).replace(r"\*", "[^/]+"))
    handlers = {
        "GetIamPolicy": (f"{permission}.getIamPolicy", _get(policies)),
        "SetIamPolicy": (f"{permission}.setIamPolicy", _set(policies)),
        "TestIamPermissions": (None, test_iam_permissions),
    }
    own = next((s for s in api.services if s != MIXIN and s.rpartition(".")[2] == service), None) if service else None
    for name, (needed, handler) in handlers.items():
        if own:
            api.rpc(f"{service}.{name}", permission=needed)(handler)
            continue
        method = methods(MIXIN)[name]
        verbs = ("GET",) if name == "GetIamPolicy" and version == "v1" else ("POST",)  # as Logging has it
        verb = name[0].lower() + name[1:]
        for http in verbs:
            rule = HttpRule(http, f"/{version}/{{resource={pattern}}}:{verb}", "" if http == "GET" else "*")
            api.routes.append(
                Binding(api, handler, needed, lambda r: str(r.resource), method=method, route=rule, names=fitting)
            )


def _get(policies: Policies) -> Callable[..., object]:
    async def get_iam_policy(cloud: "Cloud", _call: Call, request: Message) -> Message:
        if policies.exists:
            policies.exists(cloud, cloud.canonical(request.resource))
        return cloud.iam.get_policy(request.resource, request.options.requested_policy_version)

    return get_iam_policy


def _set(policies: Policies) -> Callable[..., object]:
    async def set_iam_policy(cloud: "Cloud", _call: Call, request: Message) -> Message:
        if policies.exists:
            policies.exists(cloud, cloud.canonical(request.resource))
        return cloud.iam.set_policy(request.resource, request.policy, request.update_mask.paths)

    return set_iam_policy


async def test_iam_permissions(cloud: "Cloud", call: Call, request: Message) -> Message:
    """Those of the permissions that the caller has; none on a resource that is not there, as documented."""
    check_words(request.permissions)
    granted = cloud.iam.granted(call.principal, request.permissions, request.resource)
    return message("google.iam.v1.TestIamPermissionsResponse")(permissions=granted)
