"""What the engine speaks about: a goal of the program, a record of the state, a step between them, a run's result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from .errors import Problem
from .values import masked


class Op(StrEnum):
    """What is done with one resource."""

    SAME = "same"
    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    #: Leaves the state, stays in the cloud (``retain_on_delete``).
    RETAIN = "retain"
    IMPORT = "import"
    READ = "read"
    #: Not attempted, since something that it depends on failed.
    SKIP = "skip"

    @property
    def writes(self) -> bool:
        """Whether the step changes something in the cloud."""
        return self in (Op.CREATE, Op.UPDATE, Op.REPLACE, Op.DELETE)


@dataclass(frozen=True, kw_only=True)
class Options:
    """The resource options that the engine models."""

    protect: bool = False
    retain: bool | None = None
    delete_before_replace: bool | None = None
    ignore_changes: tuple[str, ...] = ()
    replace_on_changes: tuple[str, ...] = ()
    secret_outputs: tuple[str, ...] = ()
    import_id: str = ""
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A resource as the program registers it."""

    urn: str
    type: str
    name: str
    custom: bool
    parent: str
    inputs: Mapping[str, Any]
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    options: Options = field(default_factory=Options)
    #: ``file:line`` of the program that registers it.
    where: str = ""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A resource as the state remembers it."""

    urn: str
    type: str
    name: str
    custom: bool
    parent: str = ""
    id: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    protect: bool = False
    retain: bool = False

    @classmethod
    def of(
        cls, goal: Goal, *, identity: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any], retain: bool
    ) -> Record:
        """What is kept of a resource of the cloud that stands as the program registers it."""
        return cls(
            urn=goal.urn,
            type=goal.type,
            name=goal.name,
            custom=True,
            parent=goal.parent,
            id=identity,
            inputs=inputs,
            outputs=outputs,
            dependencies=goal.dependencies,
            property_dependencies=goal.property_dependencies,
            protect=goal.options.protect,
            retain=retain,
        )

    def as_json(self) -> dict[str, Any]:
        """The form that the state file keeps (secrets still open)."""
        kept: dict[str, Any] = {"urn": self.urn, "type": self.type, "name": self.name, "custom": self.custom}
        rest = {
            "parent": self.parent,
            "id": self.id,
            "inputs": dict(self.inputs),
            "outputs": dict(self.outputs),
            "dependencies": list(self.dependencies),
            "property_dependencies": {name: list(urns) for name, urns in self.property_dependencies.items()},
            "protect": self.protect,
            "retain": self.retain,
        }
        return kept | {name: value for name, value in rest.items() if value}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Record:
        """The inverse of ``as_json``."""
        given = dict(kept)
        given["dependencies"] = tuple(given.get("dependencies", ()))
        urns = given.get("property_dependencies", {})
        given["property_dependencies"] = {name: tuple(of) for name, of in urns.items()}
        return cls(**given)


@dataclass(frozen=True, kw_only=True)
class Change:
    """One property that differs; ``kind`` is add, update or delete."""

    path: str
    kind: str
    old: Any = None
    new: Any = None
    #: The change forces a replacement.
    replaces: bool = False
    #: The cloud's value moved away from the declared one without us.
    drift: bool = False

    def as_json(self) -> dict[str, Any]:
        """The form that ``--json`` prints, secrets masked."""
        shown = {"path": self.path, "kind": self.kind, "old": masked(self.old), "new": masked(self.new)}
        return shown | {name: True for name in ("replaces", "drift") if getattr(self, name)}


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is (to be) done with one resource, and why."""

    op: Op
    urn: str
    type: str
    name: str
    custom: bool = True
    parent: str = ""
    id: str = ""
    changes: tuple[Change, ...] = ()
    inputs: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    #: May not be deleted; stays in the cloud when it is no longer declared.
    protect: bool = False
    retain: bool = False
    #: Urns that must stand before it; those that one input's value comes from, by the input's name.
    dependencies: tuple[str, ...] = ()
    property_dependencies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    seconds: float = 0.0

    def as_json(self) -> dict[str, Any]:
        """The form that ``--json`` prints, secrets masked."""
        shown = {
            "op": str(self.op),
            "urn": self.urn,
            "type": self.type,
            "name": self.name,
            "component": not self.custom,
            "parent": self.parent,
            "id": self.id,
            "reason": self.reason,
            "protect": self.protect,
            "changes": [change.as_json() for change in self.changes],
            "inputs": masked(dict(self.inputs)),
        }
        return shown | {"seconds": round(self.seconds, 4)}


@dataclass(frozen=True, kw_only=True)
class Event:
    """Progress: ``kind`` is start, done or failed."""

    kind: str
    step: Step
    problem: Problem | None = None


@dataclass(kw_only=True)
class Result:
    """What a run did, or would do."""

    stack: str
    mode: str
    #: What the plan compares with: nothing, the saved state, or the saved state and the cloud.
    compared_with: str
    steps: list[Step] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    #: What a preview's outputs are compared with; None where nothing was saved.
    saved_outputs: dict[str, Any] | None = None
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    #: Calls made to the cloud, by whether they write.
    reads: int = 0
    writes: int = 0
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether everything that the program declares stands (or could stand)."""
        return not self.problems

    @property
    def counts(self) -> dict[str, int]:
        """Steps on real resources by operation."""
        found: dict[str, int] = {}
        for step in self.steps:
            if step.custom:
                found[str(step.op)] = found.get(str(step.op), 0) + 1
        return found

    @property
    def changed(self) -> bool:
        """Whether any resource is (to be) created, updated, replaced, deleted or adopted."""
        return any(step.op not in (Op.SAME, Op.READ) for step in self.steps if step.custom)

    def as_json(self) -> dict[str, Any]:
        """The form that ``--json`` prints, secrets masked."""
        return {
            "stack": self.stack,
            "mode": self.mode,
            "compared_with": self.compared_with,
            "ok": self.ok,
            "changed": self.changed,
            "counts": self.counts,
            "calls": {"reads": self.reads, "writes": self.writes},
            "seconds": round(self.seconds, 3),
            "outputs": masked(self.outputs),
            "problems": [problem.as_json() for problem in self.problems],
            "warnings": self.warnings,
            "steps": [step.as_json() for step in self.steps],
        }
