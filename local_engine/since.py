"""Two plans of one stack, compared: what a deployment of the second would change where the first was deployed.

The first comes as its ``as_json``, as another commit's program printed it; what neither knows before the apply counts
as equal. Nothing is read from a cloud, so that drift is not seen. What the first guards, an apply of the second may
not lose: that is a problem of the second, as it will be one of the apply.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import diff, guards
from .errors import Problem
from .model import Change, Op, Record, Result, Step
from .resources import registry
from .shapes import replacing
from .values import masked


def compare(before: Mapping[str, Any] | None, after: Result, since: str) -> Result:
    """The second plan's steps as changes to the first's resources; ``before`` is None where the stack was not there."""
    old = {step["urn"]: step for step in before["steps"]} if before else {}
    steps = [_step(old.get(step.urn), step) for step in after.steps]
    kept = {step.urn for step in after.steps}
    steps += [_gone(step) for urn, step in old.items() if urn not in kept]
    steps.sort(key=lambda step: (step.op is Op.DELETE, step.parent, step.type, step.name))
    problems = [*after.problems, *(found for step in steps if (found := _refused(old.get(step.urn), step)))]
    return replace(after, steps=steps, compared_with=since, outputs={}, warnings=[], problems=problems)


def _step(old: Mapping[str, Any] | None, new: Step) -> Step:
    if old is None or not new.custom:
        return replace(new, op=Op.CREATE if old is None else Op.SAME)
    shape = registry()[new.type].inputs if new.type in registry() else {}
    found = tuple(
        replace(change, replaces=replacing(shape, change.path))
        for change in diff.changes(old["inputs"], masked(dict(new.inputs)))
    )
    if old.get("protect", False) is not new.protect:
        # No apply writes for it, and a reader wants to know of it more than of most that is written.
        found += (Change(path="protect", kind="update", old=old.get("protect", False), new=new.protect),)
    if not found:
        return replace(new, op=Op.SAME, changes=())
    return replace(new, op=Op.REPLACE if any(change.replaces for change in found) else Op.UPDATE, changes=found)


def _refused(old: Mapping[str, Any] | None, step: Step) -> Problem | None:
    """Why an apply will refuse the step, if so."""
    if old is None or old["component"] or step.op not in (Op.DELETE, Op.REPLACE):
        return None
    record = Record(
        **{name: old[name] for name in ("urn", "type", "name", "parent", "inputs", "protect")},
        custom=True,
        retain=old.get("retain", False),
    )
    if step.op is Op.DELETE:
        return guards.deletion(record, "the specs")
    return guards.replacement(record, "the specs", step.changes, stays_protected=step.protect)


def _gone(old: Mapping[str, Any]) -> Step:
    return Step(
        op=Op.DELETE,
        urn=old["urn"],
        type=old["type"],
        name=old["name"],
        custom=not old["component"],
        parent=old["parent"],
        inputs=old["inputs"],
        protect=old["protect"],
        changes=(),
    )
