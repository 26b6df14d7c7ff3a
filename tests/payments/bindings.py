"""The IAM bindings of a deployed stack: read from the cloud's own policies, taken away, put back, and who was refused.

Speaks Google's REST alone, as any tool would: Cloud Storage has a way of its own to read and set a policy
(https://cloud.google.com/storage/docs/json_api/v1/buckets/setIamPolicy). A binding's condition is part of it. Which hop
needs which binding is `test_bindings`' to say.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.payments.stack import Stack, http

#: Where Cloud Storage lists buckets; their policies are below.
BUCKETS = "/storage/v1/b"
#: The version of policies that may have conditions (https://cloud.google.com/iam/docs/policies#versions).
WITH_CONDITIONS = 3


@dataclass(frozen=True, kw_only=True)
class Binding:
    """One member with one role on one resource."""

    #: Where the policy is read and set, before `:getIamPolicy`; of a bucket the whole path.
    path: str
    resource: str
    role: str
    member: str
    #: Secret Manager, Cloud Run and Pub/Sub read policies by GET.
    read_by: str = "POST"
    #: As JSON; empty where there is none.
    condition: str = ""

    def __str__(self) -> str:
        return f"{self.role.rpartition('/')[2]} for {self.account} on {self.kind} {self.name}"

    @property
    def kind(self) -> str:
        """The collection that the resource is in, such as queues; projects for the project."""
        return self.resource.split("/")[-2]

    @property
    def name(self) -> str:
        return self.resource.split("/")[-1]

    @property
    def account(self) -> str:
        """The account's id, or allUsers."""
        return self.member.removeprefix("serviceAccount:").partition("@")[0]


def resources(stack: Stack) -> Iterator[tuple[str, str, str]]:
    """Everything in the project that may hold a policy: path, name, and the verb that reads the policy."""
    status = stack.admin("GET", "status")
    project, numbered = (f"projects/{status[key]}" for key in ("project", "project_number"))
    location = f"{project}/locations/{status['location']}"
    yield f"/v1/{project}", project, "POST"
    for version, parent, collection, verb in (
        ("v2", location, "queues", "POST"),
        ("v1", project, "serviceAccounts", "POST"),
        ("v2", location, "services", "GET"),
        ("v1", project, "secrets", "GET"),
        ("v1", location, "repositories", "GET"),
        ("v1", project, "topics", "GET"),
        ("v1", project, "subscriptions", "GET"),
    ):
        code, listed = http("GET", f"{stack.rest}/{version}/{parent}/{collection}?pageSize=100")
        assert code == 200, (collection, code, listed)
        assert "nextPageToken" not in listed, collection
        key = "accounts" if collection == "serviceAccounts" else collection
        for one in listed.get(key, []):
            name = one["name"].replace(f"{numbered}/", f"{project}/")  # secrets name their project by number
            yield f"/{version}/{name}", name, verb
    code, listed = http("GET", f"{stack.rest}{BUCKETS}?project={status['project']}")
    assert code == 200, listed
    assert "nextPageToken" not in listed
    for one in listed.get("items", []):
        yield f"{BUCKETS}/{one['name']}/iam", f"{project}/buckets/{one['name']}", "GET"


def every(stack: Stack) -> list[Binding]:
    """Every binding that is there now."""
    return [
        Binding(
            path=path,
            resource=resource,
            role=binding["role"],
            member=member,
            read_by=verb,
            condition=_condition(binding),
        )
        for path, resource, verb in resources(stack)
        for binding in policy(stack, path, verb).get("bindings", [])
        for member in binding["members"]
    ]


def policy(stack: Stack, path: str, verb: str) -> dict[str, Any]:
    """The policy of a resource, in the version that shows conditions."""
    url, options = f"{stack.rest}{path}", {"requestedPolicyVersion": WITH_CONDITIONS}
    if path.startswith(BUCKETS):
        code, found = http("GET", f"{url}?optionsRequestedPolicyVersion={WITH_CONDITIONS}")
    elif verb == "POST":
        code, found = http("POST", f"{url}:getIamPolicy", {"options": options})
    else:
        code, found = http("GET", f"{url}:getIamPolicy?options.requestedPolicyVersion={WITH_CONDITIONS}")
    assert code == 200, (path, found)
    return dict(found)


def _condition(binding: dict[str, Any]) -> str:
    return json.dumps(binding["condition"], sort_keys=True) if "condition" in binding else ""


def _is_of(binding: Binding, held: dict[str, Any]) -> bool:
    """Whether this entry of a policy is where the member stands, or stood."""
    return bool(held["role"] == binding.role and _condition(held) == binding.condition)


def remove(stack: Stack, binding: Binding) -> None:
    """Take one member out of one binding; the etag guards what others changed meanwhile."""
    current = policy(stack, binding.path, binding.read_by)
    for one in current["bindings"]:
        if _is_of(binding, one):
            one["members"].remove(binding.member)
    _set(stack, binding, current)
    assert binding not in every(stack)


def put_back(stack: Stack, binding: Binding) -> None:
    """Give it back; nothing happens where it is there."""
    current = policy(stack, binding.path, binding.read_by)
    held = current.setdefault("bindings", [])
    same = next((one for one in held if _is_of(binding, one)), None)
    if same is None:
        condition = {"condition": json.loads(binding.condition)} if binding.condition else {}
        held.append({"role": binding.role, "members": [binding.member], **condition})
    elif binding.member not in same["members"]:
        same["members"].append(binding.member)
    else:
        return
    _set(stack, binding, current)


def _set(stack: Stack, binding: Binding, wanted: dict[str, Any]) -> None:
    wanted["bindings"] = [one for one in wanted["bindings"] if one["members"]]
    wanted["version"] = WITH_CONDITIONS
    url = f"{stack.rest}{binding.path}"
    if binding.path.startswith(BUCKETS):
        code, answer = http("PUT", url, wanted)
    else:
        code, answer = http("POST", f"{url}:setIamPolicy", {"policy": wanted})
    assert code == 200, (binding.path, answer)


@contextlib.contextmanager
def without(stack: Stack, *bindings: Binding) -> Iterator[None]:
    """These bindings are missing inside the block, and there again after it, come what may."""
    try:
        for binding in bindings:
            remove(stack, binding)
        yield
    finally:
        for binding in bindings:
            put_back(stack, binding)


def granted(stack: Stack, binding: Binding, permissions: list[str]) -> set[str]:
    """Which permissions the account finds that it has, asked with its own token at the services' door."""
    email = binding.member.removeprefix("serviceAccount:")
    token = http(
        "POST",
        f"{stack.rest}/v1/projects/-/serviceAccounts/{email}:generateAccessToken",
        {"scope": ["https://www.googleapis.com/auth/cloud-platform"]},
    )[1]["accessToken"]
    door = f"http://127.0.0.1:{stack.ports['service_rest']}"
    answer = http(
        "POST",
        f"{door}{binding.path}:testIamPermissions",
        {"permissions": permissions},
        headers={"Authorization": f"Bearer {token}"},
    )
    assert answer[0] == 200, answer
    return set(answer[1].get("permissions", []))


def now(stack: Stack) -> str:
    """The cloud's time."""
    return str(stack.admin("GET", "clock")["now"])


def next_minute(stack: Stack) -> str:
    """Go on to just after the sweepers' next turn, so that they leave the next half minute alone; the time then."""
    passed = datetime.fromisoformat(now(stack)).second
    stack.advance(61 - passed if passed < 60 else 1)
    stack.idle()
    return now(stack)


def entries(stack: Stack, since: str, wanted: str) -> list[dict[str, Any]]:
    """Log entries since a time, oldest first."""
    project = stack.admin("GET", "status")["project"]
    body = {
        "resourceNames": [f"projects/{project}"],
        "filter": f'timestamp>="{since}" AND ({wanted})',
        "orderBy": "timestamp asc",
        "pageSize": 1000,
    }
    found: list[dict[str, Any]] = []
    while True:
        code, answer = http("POST", f"{stack.rest}/v2/entries:list", body)
        assert code == 200, answer
        found += answer.get("entries", [])
        if not answer.get("nextPageToken"):
            return found
        body["pageToken"] = answer["nextPageToken"]


def refusals(stack: Stack, since: str) -> list[dict[str, Any]]:
    """What the cloud refused since a time, as its log tells it."""
    found = entries(stack, since, 'log_id("local-cloud") AND jsonPayload.permission:*')
    return [entry["jsonPayload"] for entry in found]


def fix_of(refusal: dict[str, Any]) -> tuple[str, str, str]:
    """Role, resource and member of the binding that a refusal says would help."""
    fix = refusal["fix"]
    return fix["fix_role"], fix["fix_resource"], fix["fix_member"]
