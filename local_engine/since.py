"""Two plans of one stack, compared: what a deployment of the second would change where the first was deployed.

The first comes as its ``as_json``, as another commit's program printed it; what neither knows before the apply counts
as equal. Nothing is read from a cloud, so that drift is not seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import diff
from .model import Op, Result, Step
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
    return replace(after, steps=steps, compared_with=since, outputs={}, warnings=[])


def _step(old: Mapping[str, Any] | None, new: Step) -> Step:
    if old is None or not new.custom:
        return replace(new, op=Op.CREATE if old is None else Op.SAME)
    shape = registry()[new.type].inputs if new.type in registry() else {}
    found = tuple(
        replace(change, replaces=replacing(shape, change.path))
        for change in diff.changes(old["inputs"], masked(dict(new.inputs)))
    )
    if not found:
        return replace(new, op=Op.SAME, changes=())
    return replace(new, op=Op.REPLACE if any(change.replaces for change in found) else Op.UPDATE, changes=found)


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
