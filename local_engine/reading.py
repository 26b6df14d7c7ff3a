"""From what the cloud says of a resource back to the inputs that declare it: the inverse of ``shapes.body``.

Owns the way back only. What a type calls its collection, and where its name stands, are the type's own (``rest_type``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .shapes import Input, Shape


def declared(shape: Shape, live: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that say what ``live`` says; what is empty, virtual or secret is left out."""
    found: dict[str, Any] = {}
    for name, known in shape.items():
        if known.virtual or known.secret:
            continue
        value = _value(known, live.get(known.api or name))
        # Where the empty value is no statement, the absence of it says the same.
        if value is not None and (known.keep or known.required or value not in ("", 0, False, [], {})):
            found[name] = value
    return found


def _value(known: Input, given: Any) -> Any:
    if given is None:
        return None
    if known.listed:
        given = given[0] if given else {}
    if known.fields and known.kind == "object":
        return declared(known.fields, given)
    if known.fields:
        return [declared(known.fields, item) for item in given]
    if known.kind in ("integer", "number"):
        number = float(given)  # int64 travels as text
        return int(number) if number.is_integer() else number
    return given


def unmodelled(shape: Shape, live: Mapping[str, Any], ours: frozenset[str], at: str = "") -> Iterator[str]:
    """Paths of ``live`` that no input says; ``ours`` are the fields that only the cloud sets."""
    known_by = {known.api or name: known for name, known in shape.items()}
    for name, value in live.items():
        path = f"{at}.{name}" if at else name
        if name in ours or path in ours or value in (None, "", 0, False, [], {}):
            continue
        known = known_by.get(name)
        if known is None:
            yield path
        elif known.fields:
            inner = value if isinstance(value, list) else [value]
            for item in inner:
                yield from unmodelled(known.fields, item, ours, path)
