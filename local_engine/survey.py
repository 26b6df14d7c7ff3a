"""A pass that looks: each declared resource as it is declared and as the cloud has it. Nothing is written.

Owns how a resource is found without a state: by its name, or among those of its kind by the name that people see.
What depends on a resource is compared with what the cloud says of it, so that ids that only the cloud knows are known.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from spec.adopted import COMPONENT_TYPE

from . import checks
from .cloud import JsonObject
from .deployment import Deployment
from .errors import CloudError, Problem
from .model import Change, Goal, Record
from .resource_type import ResourceType
from .rest_type import RestType
from .steps import Registered
from .values import UNKNOWN, has_unknown, plain

#: The resources of an import file: type and name -> the id by which ``pulumi import`` finds it.
Ids = Mapping[tuple[str, str], str]

#: By what people tell apart what the cloud names itself.
_SEEN_AS: Final = ("displayName", "display_name")
_QUEUE: Final = "gcp:cloudtasks/queue:Queue"
#: What stands outside of the project is not looked at, since who may read the project may not read that.
OUTSIDE: Final[Mapping[str, str]] = {"gcp:billing/budget:Budget": "it is the billing account's, not the project's"}


@dataclass(frozen=True, kw_only=True)
class Sight:
    """One declared resource, and what of it the cloud has otherwise."""

    goal: Goal
    #: What the program declares, as the cloud would get it.
    inputs: Mapping[str, Any]
    identity: str = ""
    live: JsonObject | None = None
    changes: tuple[Change, ...] = ()
    #: Why it could not be looked at.
    unseen: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def missing(self) -> bool:
        """Whether the cloud has no such thing."""
        return self.live is None and not self.unseen


class Survey(Deployment):
    """Looks at what the program registers."""

    def __init__(self, *given: Any, ids: Ids | None = None, **named: Any) -> None:
        super().__init__(*given, **named)
        self.sights: dict[str, Sight] = {}
        #: Resources that are left out on purpose.
        self.left_out: list[Goal] = []
        self._ids = ids or {}

    def _custom(self, goal: Goal) -> Registered:
        kind = checks.kind_of(goal)
        inputs = checks.checked(goal, kind, None, self.defaults, final=False)
        if goal.type in OUTSIDE or kind.previewed_only:
            with self._lock:
                self.left_out.append(goal)
            identity = kind.identity(dict(plain(inputs))) if kind.previewed_only else ""
            return Registered(goal.urn, identity, {name: UNKNOWN for name in _computed(kind)} | inputs)
        sent = dict(plain(inputs))
        sight = Sight(goal=goal, inputs=sent)
        try:
            sight = self._seen(sight, kind)
        except CloudError as error:
            sight = replace(sight, unseen=str(error))
        with self._lock:
            self.sights[goal.urn] = sight
        if sight.live is None:
            known = {name: UNKNOWN for name in _computed(kind)}
            return Registered(goal.urn, sight.identity, {**known, **inputs, **kind.predicted(inputs)})
        return Registered(goal.urn, sight.identity, {**inputs, **sight.outputs})

    def _seen(self, sight: Sight, kind: ResourceType) -> Sight:
        assert self.cloud is not None
        inputs, old = dict(sight.inputs), self.records.get(sight.goal.urn)
        identity = kind.identity(inputs) or (old.id if old else "") or self._ids.get(_key(sight.goal), "")
        if not identity and isinstance(kind, RestType) and kind.names_itself:
            identity = self._named_by_people(kind, inputs)
        if not identity:
            what = (
                "" if isinstance(kind, RestType) and kind.names_itself else "its name is the cloud's and not known here"
            )
            return replace(sight, unseen=what)
        live = kind.read(self.cloud, identity, inputs)
        if live is None:
            return replace(sight, identity=identity)
        outputs = kind.outputs(inputs, live)
        ignored = set(sight.goal.options.ignore_changes)
        found = [
            change
            for change in [*kind.drift(self.cloud, inputs, live), *_rests(sight.goal, inputs, live)]
            if not has_unknown(change.new) and change.path.split(".")[0].split("[")[0] not in ignored
        ]
        return replace(sight, identity=identity, live=live, outputs=outputs, changes=tuple(found))

    def _named_by_people(self, kind: RestType, inputs: Mapping[str, Any]) -> str:
        assert self.cloud is not None
        listed: list[JsonObject] = self.cloud.once(
            f"listed {kind.token}",
            lambda: list(kind.listed(self.cloud, self.defaults)),  # type: ignore[arg-type]
        )
        wanted = shown_as(kind.body(self.cloud, inputs))
        return next((str(one["name"]) for one in listed if wanted and shown_as(one) == wanted), "")

    def record(self, sight: Sight) -> Record:
        """What a state keeps of a resource that is just as declared."""
        goal = sight.goal
        inputs = checks.checked(goal, checks.kind_of(goal), None, self.defaults, final=True)
        return Record.of(goal, identity=sight.identity, inputs=inputs, outputs=sight.outputs, retain=self.retains(goal))

    def take(self, ids: Ids) -> None:
        """Put the resources of an import file into the state; nothing at all where one of them is not as declared."""
        sights = {_key(sight.goal): sight for sight in self.sights.values()}
        chosen = []
        for key in ids:
            sight = sights.get(key)
            fault = _untakable(sight)
            if sight is None or fault:
                place = sight.goal.where if sight else "the import file"
                what, fix = fault or ("the program does not declare it", "declare it, or leave it out of the file")
                self.refuse(Problem(what=f"{key[0]} {key[1]}: {what}", where=place, fix=fix))
            else:
                chosen.append(sight)
        if self.result.problems or self.state is None:
            return
        for urn, goal in self.seen.items():
            if not goal.custom and any(sight.goal.parent == urn for sight in chosen):
                self.state.put(Record(urn=urn, type=goal.type, name=goal.name, custom=False, parent=goal.parent))
        for sight in chosen:
            self.state.put(self.record(sight))


def shown_as(body: Mapping[str, Any]) -> str:
    """The name that people see."""
    return next((str(body[name]) for name in _SEEN_AS if body.get(name)), "")


def _rests(goal: Goal, inputs: Mapping[str, Any], live: JsonObject) -> Iterator[Change]:
    """Whether a queue rests that should run: the provider does not look. One that was found so may rest."""
    found_so = f"{COMPONENT_TYPE}::" in goal.parent and inputs.get("desiredState") == "PAUSED"
    if goal.type == _QUEUE and live.get("state", "RUNNING") != "RUNNING" and not found_so:
        yield Change(path="state", kind="update", old=live["state"], new="RUNNING", drift=True)


def _key(goal: Goal) -> tuple[str, str]:
    return goal.type, goal.name


def _computed(kind: ResourceType) -> list[str]:
    return list(kind.computed) if isinstance(kind, RestType) else []


def _untakable(sight: Sight | None) -> tuple[str, str] | None:
    if sight is None or (sight.live is not None and not sight.changes):
        return None
    if sight.unseen:
        return sight.unseen, "make it readable, and import again"
    if sight.live is None:
        return f"there is no {sight.identity} to import", "correct the import file"
    paths = ", ".join(change.path for change in sight.changes)
    return f"{sight.identity} is not as declared in {paths}", "adopt again: somebody has changed it since"
