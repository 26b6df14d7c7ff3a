"""A plan written out as the Pulumi program that a person would have typed: one call of pulumi_gcp a resource.

No specs, no components, no loop: each value stands where it is used, and what comes of another resource is a reference
to it, as it is in the components. The program declares what the plan declares; ``same`` says whether it does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from local_engine import Result, Step
from local_engine.resources import registry
from local_engine.shapes import Input, Shape
from local_engine.values import has_unknown, plain

_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


def program(plan: Result) -> str:
    """The source of a module that declares every resource of ``plan`` when it is imported."""
    steps = _in_order([step for step in plan.steps if step.custom])
    variables = {step.urn: f"r{number}" for number, step in enumerate(steps)}
    outputs = {step.urn: _outputs(step) for step in steps}
    rooms = sorted({_room(step) for step in steps})
    head = ["import pulumi", f"from pulumi_gcp import {', '.join(rooms)}", ""]
    return "\n".join([*head, *(_call(step, variables, outputs) for step in steps)]) + "\n"


def same(one: Result, other: Result) -> bool:
    """Whether two plans declare the same resources with the same inputs and guards, under whatever parents."""
    return _declared(one) == _declared(other)


def _declared(plan: Result) -> dict[tuple[str, str], tuple[Any, bool]]:
    return {(step.type, step.name): (step.inputs, step.protect) for step in plan.steps if step.custom}


def _in_order(steps: list[Step]) -> list[Step]:
    """What others wait for first."""
    by_urn = {step.urn: step for step in steps}
    placed: dict[str, Step] = {}

    def place(step: Step) -> None:
        if step.urn not in placed:
            for urn in step.dependencies:
                if urn in by_urn:
                    place(by_urn[urn])
            placed[step.urn] = step

    for step in steps:
        place(step)
    return list(placed.values())


def _room(step: Step) -> str:
    return step.type.split(":")[1].split("/")[0]


def _outputs(step: Step) -> dict[str, str]:
    """Text that others may refer to -> the attribute that has it."""
    known = {"name": step.inputs.get("name"), **registry()[step.type].predicted(plain(dict(step.inputs)))}
    return {value: _snake(name) for name, value in known.items() if isinstance(value, str)}


def _call(step: Step, variables: Mapping[str, str], outputs: Mapping[str, Mapping[str, str]]) -> str:
    arguments = [repr(step.name)]
    for name, value in step.inputs.items():
        known = registry()[step.type].inputs[name]
        sources = [urn for urn in step.property_dependencies.get(name, ()) if urn in variables]
        found = {text: f"{variables[urn]}.{name}" for urn in sources for text, name in outputs[urn].items()}
        unknown = f"{variables[sources[0]]}.id" if sources else ""
        arguments.append(f"{_snake(name)}={_literal(known, value, found, unknown)}")
    waits = {urn for urn in step.dependencies if urn in variables}
    waits -= {urn for urns in step.property_dependencies.values() for urn in urns}
    options = [f"{name}=True" for name, on in (("protect", step.protect), ("retain_on_delete", step.retain)) if on]
    if waits:
        options.append(f"depends_on=[{', '.join(sorted(variables[urn] for urn in waits))}]")
    if options:
        arguments.append(f"opts=pulumi.ResourceOptions({', '.join(options)})")
    return f"{variables[step.urn]} = {_room(step)}.{step.type.rpartition(':')[2]}({', '.join(arguments)})"


def _literal(known: Input, value: Any, found: Mapping[str, str], unknown: str) -> str:
    if isinstance(value, str) and value in found:
        return found[value]
    if unknown and not isinstance(value, dict | list) and has_unknown(value):
        return unknown
    if isinstance(value, dict):
        return "{" + ", ".join(_items(known.fields, value, found, unknown)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_item(known, item, found, unknown) for item in value) + "]"
    return repr(value)


def _item(known: Input, item: Any, found: Mapping[str, str], unknown: str) -> str:
    if isinstance(item, dict):
        return "{" + ", ".join(_items(known.fields, item, found, unknown)) + "}"
    return _literal(known, item, found, unknown)


def _items(fields: Shape, value: Mapping[str, Any], found: Mapping[str, str], unknown: str) -> Iterator[str]:
    for name, item in value.items():
        inner = fields.get(name)
        key = name if inner is None else _snake(name)  # a map's keys are the program's own
        shape = inner or Input(kind="string")
        yield f"{key!r}: {_literal(shape, item, found, unknown)}"


def _snake(name: str) -> str:
    return _HUMP.sub("_", name).lower()
