"""IAM members: one member in one role of one thing's policy, changed by read-modify-write under the policy's etag."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..errors import NotFoundError
from ..resource_type import Inputs, ResourceType, path_of, templated
from ..shapes import Shape, block, name_part, required, text

_CONDITION = block(
    {
        "title": text(required=True, replaces=True),
        "expression": text(required=True, replaces=True),
        "description": text(replaces=True),
    },
    replaces=True,
)
_MEMBER: Shape = {"member": required(name_part()), "role": required(name_part()), "condition": _CONDITION}
_ASKED = {"options.requestedPolicyVersion": "3"}


class IamMember(ResourceType):
    """What the members of all policies have in common."""

    #: The path of the thing whose policy it is.
    thing: ClassVar[str]
    #: The method of ``getIamPolicy`` and what it is asked with.
    get_method: ClassVar[str] = "GET"
    get_query: ClassVar[dict[str, str] | None] = None
    get_body: ClassVar[JsonObject | None] = None
    #: What a write carries besides the policy.
    set_extra: ClassVar[JsonObject] = {}

    def path(self, inputs: Inputs) -> str:
        """The path of the thing, whether the program gave its short name or its path."""
        return templated(self.thing, {name: _short(name, value) for name, value in inputs.items()})

    def identity(self, inputs: Inputs) -> str:
        """Thing, role, member, as the provider writes it."""
        thing = self.path(inputs)
        return templated(f"{thing}/{{role}}/{{member}}", inputs) + _title(inputs) if thing else ""

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Add the member to the policy."""
        self._change(cloud, inputs, add=True)
        return self.identity(inputs), {}

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """Whether the policy has the member."""
        try:
            policy = cloud.policy(self._key(inputs), lambda: self._get(cloud, inputs))
        except NotFoundError:
            return None
        return {} if any(inputs["member"] in of["members"] for of in _bindings(policy, inputs)) else None

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Every change of a member is another member."""
        return {}

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Take the member out of the policy."""
        try:
            self._change(cloud, inputs, add=False)
        except NotFoundError:
            return

    def _change(self, cloud: Cloud, inputs: Inputs, *, add: bool) -> None:
        def change(policy: JsonObject) -> bool:
            return _add(policy, inputs) if add else _remove(policy, inputs)

        def write(policy: JsonObject) -> JsonObject:
            kept = {name: value for name, value in policy.items() if value not in ([], None)} | {"version": 3}
            path = path_of(f"{self.path(inputs)}:setIamPolicy")
            return cloud.call(self.endpoint, "POST", path, body={"policy": kept} | self.set_extra)

        cloud.change_policy(self._key(inputs), lambda: self._get(cloud, inputs), write, change)

    def _get(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        path = path_of(f"{self.path(inputs)}:getIamPolicy")
        return cloud.call(self.endpoint, self.get_method, path, query=self.get_query, body=self.get_body, reads=True)

    def _key(self, inputs: Inputs) -> str:
        return f"policy {self.endpoint} {self.path(inputs)}"


class ProjectMember(IamMember):
    """A member of the project's policy."""

    token = "gcp:projects/iAMMember:IAMMember"
    endpoint = "cloudResourceManager"
    thing = "projects/{project}"
    get_method, get_body = "POST", {"options": {"requestedPolicyVersion": 3}}
    set_extra: ClassVar[JsonObject] = {"updateMask": "bindings,etag,auditConfigs"}
    inputs: ClassVar[Shape] = {"project": required(name_part()), **_MEMBER}

    def identity(self, inputs: Inputs) -> str:
        """Without the collection, as the provider writes it."""
        return super().identity(inputs).removeprefix("projects/")


class AccountMember(IamMember):
    """A member of a service account's policy."""

    token = "gcp:serviceaccount/iAMMember:IAMMember"
    endpoint = "iamBeta"
    thing = "{serviceAccountId}"
    get_method, get_query = "POST", _ASKED
    inputs: ClassVar[Shape] = {"serviceAccountId": required(name_part()), **_MEMBER}


class QueueMember(IamMember):
    """A member of a queue's policy."""

    token = "gcp:cloudtasks/queueIamMember:QueueIamMember"
    endpoint = "cloudTasks"
    thing = "projects/{project}/locations/{location}/queues/{name}"
    get_method = "POST"
    inputs: ClassVar[Shape] = {"name": name_part(), "location": name_part(), "project": name_part(), **_MEMBER}


class RunServiceMember(IamMember):
    """A member of a Cloud Run service's policy."""

    token = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember"
    endpoint = "cloudRunV2"
    thing = "projects/{project}/locations/{location}/services/{name}"
    inputs: ClassVar[Shape] = {"name": name_part(), "location": name_part(), "project": name_part(), **_MEMBER}


class SecretMember(IamMember):
    """A member of a secret's policy."""

    token = "gcp:secretmanager/secretIamMember:SecretIamMember"
    endpoint = "secretManager"
    thing = "projects/{project}/secrets/{secretId}"
    get_query: ClassVar[dict[str, str] | None] = _ASKED
    inputs: ClassVar[Shape] = {"secretId": required(name_part()), "project": name_part(), **_MEMBER}


def _short(name: str, value: Any) -> Any:
    return value.rsplit("/", 1)[-1] if name in ("name", "secretId") and isinstance(value, str) else value


def _title(inputs: Inputs) -> str:
    return f"/{inputs['condition']['title']}" if inputs.get("condition") else ""


def _condition(given: Any) -> tuple[str, str, str]:
    given = given or {}
    return given.get("title", ""), given.get("expression", ""), given.get("description", "") or ""


def _bindings(policy: JsonObject, inputs: Inputs) -> list[JsonObject]:
    wanted = (inputs["role"], _condition(inputs.get("condition")))
    return [of for of in policy.get("bindings", ()) if (of["role"], _condition(of.get("condition"))) == wanted]


def _add(policy: JsonObject, inputs: Inputs) -> bool:
    found = _bindings(policy, inputs)
    if any(inputs["member"] in of["members"] for of in found):
        return False
    if found:
        found[0]["members"] = sorted({*found[0]["members"], inputs["member"]})
        return True
    fresh: JsonObject = {"role": inputs["role"], "members": [inputs["member"]]}
    if inputs.get("condition"):
        fresh["condition"] = dict(inputs["condition"])
    policy["bindings"] = [*policy.get("bindings", ()), fresh]
    return True


def _remove(policy: JsonObject, inputs: Inputs) -> bool:
    found = [of for of in _bindings(policy, inputs) if inputs["member"] in of["members"]]
    for of in found:
        of["members"] = [member for member in of["members"] if member != inputs["member"]]
    policy["bindings"] = [of for of in policy.get("bindings", ()) if of["members"]]
    return bool(found)
