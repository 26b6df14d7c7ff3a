"""The report on bindings: unused, not to be needed here, used. Counts are usage.py's; here is what they mean.

A binding that nothing on this cloud can ask for is not called unused flatly: it may be what the project needs on
Google, so the report says why no call here comes to it.
"""

import datetime
from typing import TYPE_CHECKING, Any

from local_cloud.iam import permissions
from local_cloud.iam.usage import Granted, Use

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

#: Roles whose permissions are needed on Google by something that does not ask here.
ELSEWHERE = {
    "roles/cloudsql.client": "Postgres on this machine trusts loopback: no connector asks Cloud SQL for the way",
    "roles/cloudsql.instanceUser": "Postgres on this machine trusts loopback: nobody logs in by IAM",
    "roles/cloudtrace.agent": "there is no Cloud Trace here",
}


def report(cloud: "Cloud") -> dict[str, Any]:
    """Every member of every binding, in three lists."""
    asked = _asked(cloud)
    made: dict[str, list[dict[str, Any]]] = {"unused": [], "not_needed_here": [], "used": []}
    for granted, use in cloud.iam.usage.uses.items():
        one = {"resource": granted.resource, "role": granted.role, "member": granted.member}
        if granted.condition:
            one["condition"] = granted.condition
        one["since"] = as_time(use.since)
        if use.permissions:
            made["used"].append(one | _used(cloud, granted, use, asked))
        elif why := _why_not(cloud, granted, asked):
            made["not_needed_here"].append(one | {"why": why})
        else:
            made["unused"].append(one)
    return {"now": as_time(cloud.now()), "mode": cloud.iam.mode, **made}


def _used(cloud: "Cloud", granted: Granted, use: Use, asked: frozenset[str]) -> dict[str, Any]:
    held = cloud.iam.roles.permissions(granted.role)
    return {
        "calls": sum(use.permissions.values()),
        "last": as_time(use.last),
        "permissions": dict(sorted(use.permissions.items())),
        "permissions_not_used": sorted((held & asked) - use.permissions.keys()),
        "permissions_held": len(held),
    }


def _why_not(cloud: "Cloud", granted: Granted, asked: frozenset[str]) -> str:
    """Why no call on this cloud can need a binding; "" where one could."""
    held = cloud.iam.roles.permissions(granted.role)
    if granted.role in ELSEWHERE:
        return ELSEWHERE[granted.role]
    if nobody := _nobody(granted.member):
        return nobody
    if not held:
        return "what this role holds is not known here: it grants nothing on this cloud"
    return "" if held & asked else "nothing on this cloud asks for any permission of this role"


def _nobody(member: str) -> str:
    """Why no caller of this cloud counts as a member; "" where one may."""
    kind, _, value = member.partition(":")
    if kind == "deleted":
        return "the account was deleted: the binding grants nothing any more, and can go"
    if kind in ("group", "principal", "principalSet", "projectOwner", "projectEditor", "projectViewer"):
        return f"{kind} has no members on this cloud"
    if kind == "serviceAccount" and value.partition("@")[2].startswith(("gcp-sa-", "serverless-robot-prod")):
        return "Google's own agents do their work here without asking"
    return ""


def _asked(cloud: "Cloud") -> frozenset[str]:
    """Every permission that a call to this cloud can come to need."""
    rules = permissions.rules()
    there = {binding.name for api in cloud.apis for binding in api.rpcs.values() if binding.handler is not None}
    by_route = {b.permission for api in cloud.apis for b in api.routes if b.permission}
    by_rpc = {p for name in there if name in rules for p in rules[name].permissions}
    return frozenset(by_rpc | by_route | {*permissions.ELSEWHERE})


def as_time(seconds: float) -> str:
    """A time as the controls' answers show it."""
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z")
