"""What is refused before any call: types and inputs that the engine does not model or the provider would refuse."""

from __future__ import annotations

from typing import Any

from .errors import EngineError, Problem, RefusedError
from .model import Goal, Record
from .resource_type import Defaults, ResourceType
from .resources import nearest, registry
from .shapes import faults, sealed
from .values import has_unknown


def problem(goal: Goal, what: str, fix: str) -> Problem:
    """A problem of one resource, with its place in the program."""
    return Problem(what=f"{goal.type} {goal.name}: {what}", where=goal.where, fix=fix, urn=goal.urn)


def kind_of(goal: Goal, *, applies: bool = False) -> ResourceType:
    """The modelled type of the goal; with ``applies`` one that the local cloud has."""
    kind = registry().get(goal.type)
    if kind is None:
        fix = f"use a type that it models (nearest: {nearest(goal.type)}), or add it to local_engine/resources"
        raise RefusedError([problem(goal, "the local engine does not model this type", fix)])
    if applies and kind.previewed_only:
        what, fix = "the local cloud does not have this type", "take it out of the local stack: `pulumi up` makes it"
        raise RefusedError([problem(goal, what, f"{fix} on Google Cloud, and previews show it")])
    return kind


def checked(goal: Goal, kind: ResourceType, old: Record | None, given: Defaults, *, final: bool) -> dict[str, Any]:
    """The inputs as the provider's own check leaves them; with ``final`` nothing may be unknown any more."""
    inputs = {**kind.defaults(given), **sealed(kind.inputs, goal.inputs)}
    ignored = [name for name in goal.options.ignore_changes if name in kind.inputs]
    if old is not None:
        inputs = {name: value for name, value in inputs.items() if name not in ignored}
        inputs |= {name: old.inputs[name] for name in ignored if name in old.inputs}
    found = [problem(goal, fault.what, fault.fix) for fault in faults(kind.inputs, inputs)]
    found += [
        problem(goal, f"ignore_changes names {name!r}", "name a top-level input of the resource")
        for name in goal.options.ignore_changes
        if name not in ignored
    ]
    if final and has_unknown(inputs):
        found.append(problem(goal, "an input is still unknown", "depend on the resource that it comes from"))
    if found:
        raise RefusedError(found)
    return inputs


def advice(error: EngineError) -> str:
    """What to do about a call that failed."""
    status = getattr(error, "status", None)
    if status == 0:
        return "start the local cloud (`sluice up` does), or correct the endpoint in the stack's config"
    if "existed too recently" in str(error):
        return (
            "Google keeps a deleted queue's name for 7 days: give the queue another name, or wait; on the local cloud "
            "`sluice clock advance 7d` waits for you"
        )
    if " hold and cannot be " in str(error):
        return (
            "whoever holds the object has to let go of it, and no permission helps. The rollout's record is held by "
            "the rollout that is under way: `sluice rollout status` says who walks it; `sluice rollout resume` goes on "
            "to its end, `sluice rollout abort` takes it back; then run the same command again"
        )
    if status in (401, 403):
        return "give the caller the permission that the answer names"
    return "correct what the answer names; what was done so far is kept, so run the same command again"
