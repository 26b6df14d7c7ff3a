"""Taking one step: create, import, update, replace, or leave as it is; in a plan the step is only said.

Owns the order within a step (look, begin, call, record) that makes a run resumable after a crash at any point, and
create before delete unless the two would share a name, as the provider does. Which step it is, ``deployment`` decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from . import deletions, guards
from .checks import problem
from .cloud import Cloud, JsonObject
from .errors import AlreadyExistsError, RefusedError
from .model import Change, Goal, Op, Record, Step
from .resource_type import ResourceType
from .state import State
from .values import Secret, plain

if TYPE_CHECKING:
    from .deployment import Deployment


@dataclass
class Registered:
    """What became of a registration."""

    urn: str
    id: str = ""
    outputs: dict[str, Any] = field(default_factory=dict)
    failed: bool = False


@dataclass(frozen=True, kw_only=True)
class Work:
    """One resource that is to be brought about."""

    goal: Goal
    kind: ResourceType
    inputs: Mapping[str, Any]
    #: Whether it stays in the cloud when it is no longer declared.
    retain: bool = False
    old: Record | None = None
    changes: tuple[Change, ...] = ()
    reason: str = ""

    @property
    def sent(self) -> dict[str, Any]:
        """The inputs as the cloud gets them."""
        return dict(plain(self.inputs))

    @property
    def expected(self) -> Registered:
        """What is known of it before it exists."""
        return Registered(self.goal.urn, "", {**self.inputs, **self.kind.predicted(self.inputs)})

    def step(self, op: Op) -> Step:
        """The step that ``op`` is for this work."""
        goal = self.goal
        return Step(
            op=op,
            urn=goal.urn,
            type=goal.type,
            name=goal.name,
            parent=goal.parent,
            id=self.old.id if self.old else "",
            changes=self.changes,
            inputs=self.inputs,
            reason=self.reason,
            protect=goal.options.protect,
            retain=self.retain,
            dependencies=goal.dependencies,
            property_dependencies=goal.property_dependencies,
        )


def create(deployment: Deployment, work: Work) -> Registered:
    """Make it, or adopt it where the program says so."""
    goal = work.goal
    imports = bool(goal.options.import_id) and goal.urn not in deployment.records
    step = work.step(Op.IMPORT if imports else Op.REPLACE if goal.urn in deployment.cleared else Op.CREATE)
    if not deployment.acts:
        deployment.note(step)
        return work.expected
    cloud, state = deployment.tools
    begun = deployment.begin(step)
    identity, live = _adopt(work, cloud) if imports else _make(work, cloud, state)
    made = record(work, identity, live)
    deployment.keep(made, None)
    return deployment.done(step, begun, made)


def update(deployment: Deployment, work: Work) -> Registered:
    """Bring it to the declared inputs in place."""
    old = work.old
    assert old is not None
    step = work.step(Op.UPDATE)
    if not deployment.acts:
        deployment.note(step)
        return Registered(work.goal.urn, old.id, {**old.outputs, **work.inputs})
    cloud, _ = deployment.tools
    begun = deployment.begin(step)
    live = work.kind.update(cloud, old.id, plain(dict(old.inputs)), work.sent, _tops(work.changes))
    made = record(work, old.id, live)
    deployment.keep(made, old)
    return deployment.done(step, begun, made)


def swap(deployment: Deployment, work: Work) -> Registered:
    """Replace it: the new one first, unless the two would share a name."""
    old = work.old
    assert old is not None
    step, first = work.step(Op.REPLACE), _deletes_first(work, old)
    doomed = deletions.dependents(deployment.records, old, deployment.cleared) if first else []
    refused = [guards.replacement(old, work.goal.where, work.changes, stays_protected=work.goal.options.protect)]
    refused += [guards.deletion(of, work.goal.where) for of in doomed]
    if found := [problem for problem in refused if problem is not None]:
        raise RefusedError(found)
    for of in doomed:
        deployment.cleared[of.urn] = f"{old.name}, which it depends on, is deleted before its replacement"
    if not deployment.acts:
        deployment.note(step)
        return work.expected
    cloud, state = deployment.tools
    begun = deployment.begin(step)
    if first:
        for of in [*doomed, old]:
            deletions.delete(cloud, of)
            deployment.forget(of)
    identity, live = _make(work, cloud, state)
    made = record(work, identity, live)
    if first:
        deployment.keep(made, None)
    else:
        deployment.supersede(made, replace(old, protect=False))
    return deployment.done(step, begun, made)


def same(deployment: Deployment, work: Work) -> Registered:
    """Nothing to do in the cloud; the state may learn new dependencies or options."""
    old = work.old
    assert old is not None
    deployment.keep(replace(record(work, old.id, {}), outputs=old.outputs), old)
    deployment.note(work.step(Op.SAME))
    return Registered(work.goal.urn, old.id, {**work.inputs, **old.outputs})


def record(work: Work, identity: str, live: JsonObject) -> Record:
    """What the state keeps of the resource."""
    goal = work.goal
    outputs = {
        name: Secret(value) if name in goal.options.secret_outputs and not isinstance(value, Secret) else value
        for name, value in work.kind.outputs(work.sent, live).items()
    }
    return Record.of(goal, identity=identity, inputs=work.inputs, outputs=outputs, retain=work.retain)


def _make(work: Work, cloud: Cloud, state: State) -> tuple[str, JsonObject]:
    sent, kind, urn = work.sent, work.kind, work.goal.urn
    identity = kind.identity(sent)
    if urn in state.begun:
        found = kind.interrupted(cloud, identity, sent)
        if found is not None:
            identity, live = found
            moved = kind.drift(cloud, sent, live)
            return identity, kind.update(cloud, identity, {}, sent, _tops(moved)) if moved else live
    state.begin(record(work, identity, {}))
    try:
        return kind.create(cloud, sent)
    except AlreadyExistsError as error:
        state.abandon(urn)
        what = f"it exists already and this stack did not make it ({error.call})"
        fix = "delete it from the cloud, or adopt it with the resource option import_"
        raise RefusedError([problem(work.goal, what, fix)]) from error


def _adopt(work: Work, cloud: Cloud) -> tuple[str, JsonObject]:
    identity = work.goal.options.import_id
    if not work.kind.importable:
        fix = "leave out import_: the first apply writes what is declared over it"
        raise RefusedError([problem(work.goal, "the provider cannot import this type", fix)])
    live = work.kind.read(cloud, identity, work.sent)
    if live is None:
        raise RefusedError([problem(work.goal, f"there is no {identity} to import", "correct import_")])
    moved = work.kind.drift(cloud, work.sent, live)
    if moved:
        what = f"{identity} differs from what is declared in {', '.join(change.path for change in moved)}"
        raise RefusedError([problem(work.goal, what, "declare what is there, import it, and change it then")])
    return identity, live


def _deletes_first(work: Work, old: Record) -> bool:
    wanted = work.goal.options.delete_before_replace
    return work.kind.identity(work.sent) == old.id if wanted is None else wanted


def _tops(changes: tuple[Change, ...] | list[Change]) -> frozenset[str]:
    return frozenset(change.path.split(".")[0].split("[")[0] for change in changes)
