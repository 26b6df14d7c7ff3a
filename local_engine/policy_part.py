"""A part of an IAM policy as a resource: read, changed and written back under the policy's etag.

Owns what members, bindings and audit configurations have in common, and how each API is asked for a policy.
"""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from .cloud import Cloud, JsonObject
from .errors import NotFoundError
from .resource_type import Inputs, ResourceType, path_of, templated
from .shapes import Shape, block, name_part, required, text

CONDITION = block(
    {
        "title": text(required=True, replaces=True),
        "expression": text(required=True, replaces=True),
        "description": text(replaces=True),
    },
    replaces=True,
)
_ASKED = {"options.requestedPolicyVersion": "3"}
#: Inputs of which only the last part of a path counts.
_NAMES = ("name", "secretId", "topic", "subscription", "repository")


class PolicyPart(ResourceType):
    """What the parts of all policies have in common."""

    #: The path of the thing whose policy it is.
    thing: ClassVar[str]
    #: How the policy is read: method, query, body; and written: method, and what the body carries besides the policy.
    get_method: ClassVar[str] = "GET"
    get_query: ClassVar[dict[str, str] | None] = None
    get_body: ClassVar[JsonObject | None] = None
    set_method: ClassVar[str] = "POST"
    set_extra: ClassVar[JsonObject] = {}
    #: The ends of the URLs that read and write.
    verbs: ClassVar[tuple[str, str]] = (":getIamPolicy", ":setIamPolicy")
    #: The body of a write wraps the policy.
    wrapped: ClassVar[bool] = True

    @abstractmethod
    def add(self, policy: JsonObject, inputs: Inputs) -> bool:
        """Put the part into the policy; whether that changed anything."""

    @abstractmethod
    def remove(self, policy: JsonObject, inputs: Inputs) -> bool:
        """Take the part out of the policy; whether that changed anything."""

    @abstractmethod
    def found(self, policy: JsonObject, inputs: Inputs) -> JsonObject | None:
        """The part as the policy has it, or None."""

    def import_id(self, inputs: Inputs, identity: str) -> str:
        """Thing, role, member and condition, with spaces between them."""
        rest = [inputs["role"], inputs["member"]] if "member" in inputs else [inputs["role"]]
        named = [inputs["condition"]["title"]] if inputs.get("condition") else []
        thing = identity.removesuffix(title(inputs)).removesuffix("/" + "/".join(rest))
        return " ".join([thing, *rest, *named])

    def path(self, inputs: Inputs) -> str:
        """The path of the thing, whether the program gave its short name or its path."""
        return templated(self.thing, {name: _short(name, value) for name, value in inputs.items()})

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Add the part to the policy."""
        policy = self.change(cloud, inputs, lambda policy: self.add(policy, inputs))
        return self.identity(inputs), self.found(policy, inputs) or {}

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """What the policy has of it."""
        try:
            return self.found(self.policy(cloud, inputs), inputs)
        except NotFoundError:
            return None

    def policy(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """The whole policy that the part belongs to."""
        return cloud.policy(self._key(inputs), lambda: self._get(cloud, inputs))

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Add what is new, under the same name."""
        policy = self.change(cloud, inputs, lambda policy: self.add(policy, inputs))
        return self.found(policy, inputs) or {}

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Take the part out of the policy."""
        try:
            self.change(cloud, inputs, lambda policy: self.remove(policy, inputs))
        except NotFoundError:
            return

    def change(self, cloud: Cloud, inputs: Inputs, change: Any) -> JsonObject:
        """Read, change and write the policy."""

        def write(policy: JsonObject) -> JsonObject:
            kept = {name: value for name, value in policy.items() if value not in ([], None)} | {"version": 3}
            body = {"policy": kept} | self.set_extra if self.wrapped else kept
            return cloud.call(self.endpoint, self.set_method, path_of(self.path(inputs)) + self.verbs[1], body=body)

        return cloud.change_policy(self._key(inputs), lambda: self._get(cloud, inputs), write, change)

    def _get(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        path = path_of(self.path(inputs)) + self.verbs[0]
        return cloud.call(self.endpoint, self.get_method, path, query=self.get_query, body=self.get_body, reads=True)

    def _key(self, inputs: Inputs) -> str:
        return f"policy {self.endpoint} {self.path(inputs)}"


class OfProject(PolicyPart):
    """The project's policy."""

    endpoint = "cloudResourceManager"
    thing = "projects/{project}"
    get_method, get_body = "POST", {"options": {"requestedPolicyVersion": 3}}
    set_extra: ClassVar[JsonObject] = {"updateMask": "bindings,etag,auditConfigs"}


class OfAccount(PolicyPart):
    """A service account's policy."""

    endpoint = "iamBeta"
    thing = "{serviceAccountId}"
    get_method, get_query = "POST", _ASKED


class OfQueue(PolicyPart):
    """A queue's policy."""

    endpoint = "cloudTasks"
    thing = "projects/{project}/locations/{location}/queues/{name}"
    get_method = "POST"


class OfRunService(PolicyPart):
    """A Cloud Run service's policy."""

    endpoint = "cloudRunV2"
    thing = "projects/{project}/locations/{location}/services/{name}"


class OfRunJob(PolicyPart):
    """A Cloud Run job's policy."""

    endpoint = "cloudRunV2"
    thing = "projects/{project}/locations/{location}/jobs/{name}"


class OfSecret(PolicyPart):
    """A secret's policy."""

    endpoint = "secretManager"
    thing = "projects/{project}/secrets/{secretId}"
    get_query: ClassVar[dict[str, str] | None] = _ASKED


class OfRepository(PolicyPart):
    """A repository's policy."""

    endpoint = "artifactRegistry"
    thing = "projects/{project}/locations/{location}/repositories/{repository}"
    get_query: ClassVar[dict[str, str] | None] = _ASKED


class OfTopic(PolicyPart):
    """A topic's policy."""

    endpoint = "pubsub"
    thing = "projects/{project}/topics/{topic}"


class OfSubscription(PolicyPart):
    """A subscription's policy."""

    endpoint = "pubsub"
    thing = "projects/{project}/subscriptions/{subscription}"


class OfCryptoKey(PolicyPart):
    """A key's policy."""

    endpoint = "kms"
    thing = "{cryptoKeyId}"
    get_query: ClassVar[dict[str, str] | None] = _ASKED


class OfBucket(PolicyPart):
    """A bucket's policy, in Storage's own manner."""

    endpoint = "storage"
    thing = "b/{bucket}"
    get_query: ClassVar[dict[str, str] | None] = {"optionsRequestedPolicyVersion": "3"}
    set_method, wrapped = "PUT", False
    verbs = ("/iam", "/iam")


def place(*names: str) -> Shape:
    """The inputs that name a thing; the first is required, what the provider's configuration knows is not."""
    return {name: required(name_part()) if index == 0 else name_part() for index, name in enumerate(names)}


def _short(name: str, value: Any) -> Any:
    return value.rsplit("/", 1)[-1] if name in _NAMES and isinstance(value, str) else value


def title(inputs: Inputs) -> str:
    """The condition's title, as ids end with it."""
    return f"/{inputs['condition']['title']}" if inputs.get("condition") else ""


def condition(given: Any) -> tuple[str, str, str]:
    """A condition in a form that compares."""
    given = given or {}
    return given.get("title", ""), given.get("expression", ""), given.get("description", "") or ""


def bindings(policy: JsonObject, inputs: Inputs) -> list[JsonObject]:
    """The bindings of the role under the condition."""
    wanted = (inputs["role"], condition(inputs.get("condition")))
    return [of for of in policy.get("bindings", ()) if (of["role"], condition(of.get("condition"))) == wanted]


def fresh(inputs: Inputs, members: list[str]) -> JsonObject:
    """A new binding of the role under the condition."""
    made: JsonObject = {"role": inputs["role"], "members": members}
    given: Mapping[str, Any] | None = inputs.get("condition")
    return made | ({"condition": dict(given)} if given else {})
