"""A plan of the local engine beside what Pulumi's own engine holds of the same stack: resource by resource.

Owns the comparison alone. What the provider adds by itself (it lists that in `__defaults`) is no part of the program;
the project and the region are the engine's to add. What is known only after the apply is equal to anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from local_engine import Result, Step
from local_engine.values import SIGNATURE_KEY, UNKNOWN_TEXT, Secret, Unknown

#: Inputs that our engine adds where the provider takes them from its own configuration.
OF_THE_PROVIDER = {"project", "location", "region"}

State = Mapping[str, Any]


def differences(plan: Result, states: Sequence[State]) -> list[str]:
    """Everything in which the two differ."""
    theirs = {state["urn"]: state for state in states if not _is_the_engines(state["type"])}
    ours = {step.urn: step for step in plan.steps if not _is_the_engines(step.type)}
    found = [f"Pulumi alone has {urn}" for urn in sorted(theirs.keys() - ours.keys())]
    found += [f"we alone have {urn}" for urn in sorted(ours.keys() - theirs.keys())]
    for urn in sorted(theirs.keys() & ours.keys()):
        found += [f"{urn}: {text}" for text in _of_one(ours[urn], theirs[urn], ours.keys())]
    return found


def _is_the_engines(kind: str) -> bool:
    return kind.startswith("pulumi:")


def _of_one(step: Step, state: State, ours: Any) -> Iterator[str]:
    if step.parent.split("::")[-2:] != str(state.get("parent", "")).split("::")[-2:]:
        yield f"its parent is {state.get('parent')}, not {step.parent}"
    if not step.custom:
        return
    for name, one, other in (
        ("protect", step.protect, bool(state.get("protect"))),
        ("retain_on_delete", step.retain, bool(state.get("retainOnDelete"))),
        ("dependencies", _own(step.dependencies, ours), _own(state.get("dependencies") or (), ours)),
    ):
        if one != other:
            yield f"{name}: {other}, not {one}"
    named = state.get("propertyDependencies") or {}
    theirs = {name: urns for name, given in named.items() if (urns := _own(given or (), ours))}
    mine = {name: urns for name, given in step.property_dependencies.items() if (urns := _own(given, ours))}
    if theirs != mine:
        yield f"what its inputs come from: {theirs}, not {mine}"
    yield from _values("", dict(step.inputs), stripped(state.get("inputs") or {}), OF_THE_PROVIDER)


def _own(urns: Sequence[str], ours: Any) -> set[str]:
    return {urn for urn in urns if urn in ours}


def stripped(value: Any) -> Any:
    """Inputs without what the provider filled in."""
    if isinstance(value, Mapping):
        added = {"__defaults", *value.get("__defaults", ())}
        return {name: stripped(item) for name, item in value.items() if name not in added and item is not None}
    return [stripped(item) for item in value] if isinstance(value, list) else value


def _values(at: str, ours: Any, theirs: Any, free: set[str] | frozenset[str] = frozenset()) -> Iterator[str]:
    if isinstance(ours, Unknown | Secret) or theirs == UNKNOWN_TEXT:
        return
    if isinstance(theirs, Mapping) and SIGNATURE_KEY in theirs:
        yield f"{at} is secret"
    elif isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for name in sorted(ours.keys() | theirs.keys()):
            here = f"{at}.{name}" if at else name
            if name not in theirs:
                if name not in free and ours[name] not in (None, {}, []):
                    yield f"{here} is missing there"
            elif name not in ours:
                yield f"{here} is {theirs[name]!r} there and missing here"
            else:
                yield from _values(here, ours[name], theirs[name])
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from _values(f"{at}[{index}]", one, other)
    elif ours != theirs:
        yield f"{at} is {theirs!r} there, not {ours!r}"
