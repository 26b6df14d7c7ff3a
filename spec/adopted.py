"""The model of queue_configs/adopted/<env>/<kind>.<name>.yaml: one resource of a cloud, declared as it was found there.

Owns what `sluice adopt` takes over verbatim: a type, its properties, and who has which role on it. Holds no law of
ours: names, roles and settings are those of whoever made it. It is the first station of a migration; each file goes
when a spec of ours declares the same thing (docs/adr/adopt.md). Which properties a type has, the engines check.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from spec.model import Model, Named, field

#: The type that an entry names when it holds bindings of the whole project and nothing else.
PROJECT: Final = "gcp:projects/project:Project"

#: The component whose children the verbatim resources are, by which a later spec finds them again.
COMPONENT_TYPE: Final = "sluice:components:Adopted"
COMPONENT_NAME: Final = "adopted"


@dataclass(frozen=True)
class Members:
    """How one member of a thing's policy is declared: the type, and which of the thing's properties name the thing."""

    type: str
    names: Mapping[str, str]
    #: The thing's full name, of its properties, where the provider wants that.
    path: str = ""

    def place(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """The properties that name the thing."""
        found = {name: properties[own] for name, own in self.names.items() if own in properties}
        return found | ({"serviceAccountId": self.path.format_map(properties)} if self.path else {})


_REGIONAL = {"name": "name", "location": "location", "project": "project"}

#: Type -> how members of its policy are declared; the types that have no policy of their own are missing.
MEMBERS: Final[Mapping[str, Members]] = {
    PROJECT: Members("gcp:projects/iAMMember:IAMMember", {"project": "project"}),
    "gcp:serviceaccount/account:Account": Members(
        "gcp:serviceaccount/iAMMember:IAMMember",
        {},
        "projects/{project}/serviceAccounts/{accountId}@{project}.iam.gserviceaccount.com",
    ),
    "gcp:cloudtasks/queue:Queue": Members("gcp:cloudtasks/queueIamMember:QueueIamMember", _REGIONAL),
    "gcp:cloudrunv2/service:Service": Members("gcp:cloudrunv2/serviceIamMember:ServiceIamMember", _REGIONAL),
    "gcp:cloudrunv2/job:Job": Members("gcp:cloudrunv2/jobIamMember:JobIamMember", _REGIONAL),
    "gcp:secretmanager/secret:Secret": Members(
        "gcp:secretmanager/secretIamMember:SecretIamMember", {"secretId": "secretId", "project": "project"}
    ),
    "gcp:pubsub/topic:Topic": Members(
        "gcp:pubsub/topicIAMMember:TopicIAMMember", {"topic": "name", "project": "project"}
    ),
    "gcp:pubsub/subscription:Subscription": Members(
        "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember", {"subscription": "name", "project": "project"}
    ),
}


class Condition(Model):
    """When a binding counts."""

    title: str = field(..., "Its name.", min_length=1, breaks="Google refuses it", fix="write a title")
    expression: str = field(..., "The rule, in CEL.", min_length=1, breaks="Google refuses it", fix="write the rule")
    description: str = field("", "What it is for.")


class Binding(Model):
    """Who has a role on the resource."""

    role: str = field(
        ...,
        "The role.",
        pattern=r"^(roles|projects/[^/]+/roles|organizations/[^/]+/roles)/[A-Za-z0-9_.]+$",
        breaks="Google knows no such role",
        fix="write roles/..., or projects/<project>/roles/...",
    )
    members: tuple[str, ...] = field(
        ..., "Everybody who has it.", min_length=1, breaks="it would bind nobody", fix="list members, or delete it"
    )
    condition: Condition | None = field(None, "When it counts; without it, always.")


class Adopted(Named):
    """One resource as it was found."""

    type: str = field(
        ...,
        "The provider's type.",
        pattern=r"^gcp:[A-Za-z0-9]+/[A-Za-z0-9]+:[A-Za-z0-9]+$",
        breaks="no engine knows what it is",
        fix="write a type such as gcp:cloudtasks/queue:Queue",
    )
    properties: dict[str, Any] = field(
        ...,
        "Its inputs, by the provider's names.",
        breaks="nobody knows which resource it is",
        fix="write what `sluice adopt` wrote, or what the provider's page lists",
    )
    bindings: tuple[Binding, ...] = field((), "The roles that are granted on it.")

    @property
    def resource(self) -> str:
        """The resource's name in the program: the file's stem without its kind, as our own components name theirs."""
        return self.stem.partition(".")[2] or self.stem

    @property
    def env(self) -> str:
        """The environment that has it: the folder."""
        return self.name.rpartition("/")[0]

    @property
    def stem(self) -> str:
        """The file's stem."""
        return self.name.rpartition("/")[2]

    def members(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Each member of its bindings: its type, a name of its own, and its properties."""
        if self.type not in MEMBERS:
            return
        token, place = MEMBERS[self.type].type, MEMBERS[self.type].place(self.properties)
        for binding in self.bindings:
            condition = binding.condition.model_dump(exclude_defaults=True) if binding.condition else None
            for member in binding.members:
                name = f"{self.stem}-{binding.role.removeprefix('roles/')}-{member}"
                given = place | {"role": binding.role, "member": member}
                if condition:
                    yield token, f"{name}-{condition['title']}", given | {"condition": condition}
                else:
                    yield token, name, given


def urn(stack: str, project: str) -> str:
    """The component whose children a stack's verbatim resources are."""
    return f"urn:pulumi:{stack}::{project}::{COMPONENT_TYPE}::{COMPONENT_NAME}"
