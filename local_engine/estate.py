"""What a project has, whoever made it: every resource of the kinds that a team makes by hand, with its policy.

Owns the listing: which kinds, page by page, and what could not be looked at and why. What a resource's inputs would be,
its type says. No secret's data is read, and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final

from spec.adopted import MEMBERS, PROJECT

from .cloud import Cloud, JsonObject
from .errors import CloudError
from .policy_part import PolicyPart
from .resource_type import Defaults
from .resources import registry
from .rest_type import RestType

#: The kinds, in the order in which one names another: accounts before those who run as them.
KINDS: Final = (
    "gcp:serviceaccount/account:Account",
    "gcp:projects/iAMCustomRole:IAMCustomRole",
    "gcp:secretmanager/secret:Secret",
    "gcp:cloudtasks/queue:Queue",
    "gcp:pubsub/topic:Topic",
    "gcp:pubsub/subscription:Subscription",
    "gcp:cloudrunv2/service:Service",
    "gcp:cloudrunv2/job:Job",
    "gcp:cloudscheduler/job:Job",
    "gcp:logging/metric:Metric",
    "gcp:monitoring/notificationChannel:NotificationChannel",
    "gcp:monitoring/alertPolicy:AlertPolicy",
    "gcp:monitoring/dashboard:Dashboard",
)
#: Policies that are asked for at once.
PARALLEL: Final = 16


@dataclass(frozen=True, kw_only=True)
class Thing:
    """One resource as it stands."""

    type: str
    identity: str
    live: JsonObject
    #: The inputs that declare it as it is.
    inputs: Mapping[str, Any]
    #: The bindings of its policy.
    bindings: Sequence[JsonObject] = ()
    #: What is set there that the type's inputs cannot say.
    unmodelled: Sequence[str] = ()

    @property
    def name(self) -> str:
        """What people call it."""
        return named(self.type, self.identity, self.live)


@dataclass(kw_only=True)
class Estate:
    """Everything that was found, and what could not be looked at."""

    things: list[Thing] = field(default_factory=list)
    #: The project's own policy.
    bindings: list[JsonObject] = field(default_factory=list)
    #: APIs that are not enabled: nothing can stand there.
    disabled: list[str] = field(default_factory=list)
    #: What failed, and how.
    unseen: list[str] = field(default_factory=list)

    def of(self, token: str) -> Iterator[Thing]:
        """The resources of one type."""
        return (thing for thing in self.things if thing.type == token)


def named(token: str, identity: str, body: Mapping[str, Any]) -> str:
    """What people call it: its own name, or the one that they see where the cloud has chosen that."""
    kind = registry().get(token)
    seen = body.get("displayName") if isinstance(kind, RestType) and kind.names_itself else ""
    return str(seen or identity.rpartition("/")[2].partition("@")[0])


def look(cloud: Cloud, places: Sequence[Defaults], kinds: Sequence[str] = KINDS, *, policies: bool = True) -> Estate:
    """Everything of these kinds in a project, in each of the places."""
    estate = Estate()
    for token in kinds:
        kind = registry()[token]
        assert isinstance(kind, RestType)
        regional = "{location}" in kind.collection or "{region}" in kind.collection
        for given in places if regional else places[:1]:
            try:
                estate.things += [_thing(kind, live, given) for live in kind.listed(cloud, given)]
            except CloudError as error:
                _failed(estate, kind, given, error)
                break
    if policies:
        estate.things = _with_policies(cloud, estate)
        try:
            estate.bindings = bindings_of(cloud, PROJECT, {"project": places[0].project})
        except CloudError as error:
            estate.unseen.append(f"the project's policy: {error}")
    return estate


def bindings_of(cloud: Cloud, token: str, inputs: Mapping[str, Any]) -> list[JsonObject]:
    """The bindings of one thing's policy."""
    member = registry()[MEMBERS[token].type]
    assert isinstance(member, PolicyPart)
    found: list[JsonObject] = member.policy(cloud, MEMBERS[token].place(inputs)).get("bindings", [])
    return found


def _thing(kind: RestType, live: JsonObject, given: Defaults) -> Thing:
    inputs = kind.declared(live, given)
    identity = kind.identity(inputs) or str(live["name"])
    return Thing(type=kind.token, identity=identity, live=live, inputs=inputs, unmodelled=kind.unmodelled(live))


def _with_policies(cloud: Cloud, estate: Estate) -> list[Thing]:
    def policied(thing: Thing) -> Thing:
        if thing.type not in MEMBERS:
            return thing
        try:
            found = bindings_of(cloud, thing.type, thing.inputs)
        except CloudError as error:
            estate.unseen.append(f"the policy of {thing.identity}: {error}")
            return thing
        given = {name: getattr(thing, name) for name in ("type", "identity", "live", "inputs", "unmodelled")}
        return Thing(**given, bindings=found)

    with ThreadPoolExecutor(PARALLEL, thread_name_prefix="policies") as pool:
        return list(pool.map(policied, estate.things))


def _failed(estate: Estate, kind: RestType, given: Defaults, error: CloudError) -> None:
    product = kind.token.split(":")[1].split("/")[0]
    if error.status == 403 and ("SERVICE_DISABLED" in str(error) or "has not been used" in str(error)):
        if product not in estate.disabled:
            estate.disabled.append(product)
    elif error.status == 404 and kind.endpoint != "cloudResourceManager":
        estate.unseen.append(f"{kind.token} in {given.region}: {error}")
    else:
        estate.unseen.append(f"{kind.token}: {error}")
