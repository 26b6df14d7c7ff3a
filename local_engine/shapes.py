"""What a resource type's inputs look like: names, kinds, what is required, secret, or forces a replacement.

Owns the check of a program's inputs before any call and their translation into the body of a REST call (renames, empty
values dropped as the provider drops them). Each type states its inputs in ``resources/``; a test compares them with
the real provider's schema.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .values import Secret, Unknown

_PYTHON: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (Mapping,),
    "array": (list, tuple),
}


@dataclass(frozen=True, kw_only=True)
class Input:
    """One input property."""

    kind: str
    required: bool = False
    replaces: bool = False
    secret: bool = False
    #: The name in the REST body, where it differs from the program's.
    api: str = ""
    #: Goes into the body even when it is empty.
    keep: bool = False
    #: Means something to the provider only and is never sent.
    virtual: bool = False
    #: The REST body wraps the block in a list of one.
    listed: bool = False
    #: Inputs of a block, or of each block of a list.
    fields: Mapping[str, Input] = field(default_factory=dict)
    #: The kind of an array's items, where they are not blocks.
    items: str = ""


Shape = Mapping[str, Input]


def text(**rules: Any) -> Input:
    """A string."""
    return Input(kind="string", **rules)


def integer(**rules: Any) -> Input:
    """A whole number."""
    return Input(kind="integer", **rules)


def number(**rules: Any) -> Input:
    """A number."""
    return Input(kind="number", **rules)


def flag(**rules: Any) -> Input:
    """A boolean."""
    return Input(kind="boolean", **rules)


def labels(**rules: Any) -> Input:
    """A map of strings."""
    return Input(kind="object", **rules)


def texts(**rules: Any) -> Input:
    """A list of strings."""
    return Input(kind="array", items="string", **rules)


def numbers(**rules: Any) -> Input:
    """A list of numbers."""
    return Input(kind="array", items="number", **rules)


def block(fields: Shape, **rules: Any) -> Input:
    """A nested object."""
    return Input(kind="object", fields=fields, **rules)


def blocks(fields: Shape, **rules: Any) -> Input:
    """A list of nested objects."""
    return Input(kind="array", fields=fields, **rules)


def name_part(**rules: Any) -> Input:
    """A string that stands in the resource's path, so that a change of it is another resource."""
    return text(replaces=True, virtual=True, **rules)


def required(given: Input) -> Input:
    """The same input, required."""
    return replace(given, required=True)


@dataclass(frozen=True)
class Fault:
    """One input that does not fit the shape."""

    path: str
    what: str
    fix: str


def faults(shape: Shape, values: Mapping[str, Any], at: str = "") -> Iterator[Fault]:
    """Everything about ``values`` that the shape refuses: unknown names, missing inputs, wrong kinds."""
    for name, value in values.items():
        known = shape.get(name)
        if known is None:
            near = difflib.get_close_matches(name, shape, n=1, cutoff=0.6)
            fix = f"use {near[0]!r}" if near else f"use one of {', '.join(sorted(shape))}"
            fix += ", or model the input in local_engine/resources"
            yield Fault(at + name, f"unknown input {at + name!r}", fix)
        else:
            yield from _value_faults(known, value, at + name)
    for name, known in shape.items():
        if known.required and values.get(name) is None:
            yield Fault(at + name, f"missing required input {at + name!r}", f"give {name!r} a value")


def _value_faults(known: Input, given: Any, path: str) -> Iterator[Fault]:
    value: Any = given.value if isinstance(given, Secret) else given
    if isinstance(value, Unknown) or value is None:
        return
    if not _is(known.kind, value):
        yield Fault(path, f"input {path!r} is a {type(value).__name__}", f"give it a value of type {known.kind}")
    elif known.kind == "object" and known.fields:
        yield from faults(known.fields, value, path + ".")
    elif known.kind == "array":
        for index, item in enumerate(value):
            yield from _item_faults(known, item, f"{path}[{index}]")


def _is(kind: str, value: Any) -> bool:
    if isinstance(value, bool) and kind in ("integer", "number"):
        return False
    return isinstance(value, _PYTHON[kind])


def _item_faults(known: Input, item: Any, path: str) -> Iterator[Fault]:
    if isinstance(item, Secret | Unknown):
        return
    if known.fields:
        if isinstance(item, Mapping):
            yield from faults(known.fields, item, path + ".")
        else:
            yield Fault(path, f"input {path!r} is a {type(item).__name__}", "give it an object")
    elif known.items and not _is(known.items, item):
        yield Fault(path, f"input {path!r} is a {type(item).__name__}", f"give it a value of type {known.items}")


def sealed(shape: Shape, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` with every input that the provider treats as secret marked so."""
    return {name: _sealed(shape[name], value) if name in shape else value for name, value in values.items()}


def _sealed(known: Input, value: Any) -> Any:
    if known.secret and not isinstance(value, Secret):
        return Secret(value)
    if known.kind == "object" and known.fields and isinstance(value, Mapping):
        return sealed(known.fields, value)
    return value


def body(shape: Shape, values: Mapping[str, Any]) -> dict[str, Any]:
    """``values`` (plain) as the provider sends them: renamed, without what is empty or virtual."""
    sent: dict[str, Any] = {}
    for name, known in shape.items():
        value = values.get(name)
        if value is None or known.virtual:
            continue
        value = _sent(known, value)
        if known.keep or not _is_empty(value):
            sent[known.api or name] = value
    return sent


def _sent(known: Input, value: Any) -> Any:
    if known.fields and known.kind == "object":
        inner = body(known.fields, value)
        return [inner] if known.listed else inner
    if known.fields:
        return [body(known.fields, item) for item in value]
    return list(value) if known.kind == "array" else value


def _is_empty(value: Any) -> bool:
    return value is False or value in ("", 0) or (isinstance(value, list | dict) and not value)


def replacing(shape: Shape, path: str) -> bool:
    """Whether a change at ``path`` (``a.b[0].c``) forces a replacement."""
    for part in path.split("."):
        known = shape.get(part.split("[", 1)[0])
        if known is None:
            return False
        if known.replaces:
            return True
        shape = known.fields
    return False
