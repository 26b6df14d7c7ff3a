"""What may not be deleted or replaced, and the word by which this project allows it.

Owns the refusals of the engine, which are those of Pulumi's own: a protected resource is not deleted, one that stays
protected is not replaced. A resource of a component that the specs guard is told of by its word (``spec.unprotect``);
any other by the option that its program sets.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from spec import unprotect

from .errors import Problem
from .model import Change, Record
from .resources import registry

#: The components whose things have words, by the last part of their types.
KINDS = {
    "TaskQueue": "tasks",
    "Topic": "topics",
    "RunService": "services",
    "Secret": "secrets",
    "Database": unprotect.DATABASE,
    "Edge": unprotect.EDGE,
    "RolloutBucket": unprotect.ROLLOUT,
}
_COMPONENTS = "sluice:components:"


def word_of(urn: str, parent: str) -> str:
    """The word of a guarded thing; empty where it has none."""
    component, child, _ = urn.split("::")[2].partition("$")
    kind = KINDS.get(component.removeprefix(_COMPONENTS), "") if component.startswith(_COMPONENTS) and child else ""
    return unprotect.word(kind, parent.rpartition("::")[2]) if kind else ""


def deletion(record: Record, where: str) -> Problem | None:
    """Why ``record`` may not be deleted, if so."""
    if record.protect:
        fix = "keep declaring it; or apply it once with protect=False, and only then remove it"
        return _refused(record, where, "is protected", fix)
    if record.retain or not record.custom:
        return None
    kind = registry().get(record.type)
    if kind is None:
        what = f"{record.type} {record.name} would be deleted and the local engine does not model its type"
        return Problem(what=what, where=where, fix="model the type in local_engine/resources", urn=record.urn)
    if record.inputs.get("deletionPolicy") == "PREVENT":
        fix = "apply it once with deletion_policy='DELETE', and only then remove it"
        return _refused(record, where, "has the deletion policy PREVENT", fix)
    if kind.deletion_protection is not None and record.inputs.get("deletionProtection", kind.deletion_protection):
        fix = "apply it once with deletion_protection=False, and only then remove it"
        return _refused(record, where, "has deletion protection", fix)
    return None


def replacement(record: Record, where: str, changes: Iterable[Change], *, stays_protected: bool) -> Problem | None:
    """Why ``record`` may not be replaced by what the program declares now, if so.

    As Pulumi has it, protection that goes in the same apply does not stand in the way; the provider's own does.
    """
    if not (record.protect and stays_protected):
        return deletion(replace(record, protect=False), where)
    moved = ", ".join(change.path for change in changes if change.replaces)
    why = f" since {moved} changes" if moved else ""
    fix = "change it back; or apply it once with protect=False, and only then change it"
    return _refused(record, where, "is protected", fix, f"replaced{why}")


def _refused(record: Record, where: str, guard: str, fix: str, fate: str = "deleted") -> Problem:
    word, what = word_of(record.urn, record.parent), f"{record.type} {record.name} {guard} and would be {fate}"
    if word:
        stack = record.urn.split("::")[0].removeprefix("urn:pulumi:")
        what += f": {unprotect.GUARDED[unprotect.parts(word)[0]].loses}"
        fix = unprotect.advice(word, stack)
    return Problem(what=what, where=where, fix=fix, urn=record.urn)
