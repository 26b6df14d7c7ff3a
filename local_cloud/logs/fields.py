"""The fields of log entries as queries and extractors name them: what type each has, and how its values are found.

Owns the laws of missing fields: in a payload or in labels a field that is not there compares with nothing; a field that
LogEntry defines has its default value; one that LogEntry does not have is an error before anything is read.
Source: https://cloud.google.com/logging/docs/view/logging-query-language#missing_fields.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from local_cloud.descriptors import message
from local_cloud.logs.compare import Entry

Reader = Callable[[Entry], Sequence[Any]]

_ENTRY = "google.logging.v2.LogEntry"
#: Fields below which every name is good.
_OPEN = frozenset({"jsonPayload", "protoPayload", "labels"})
#: Fields of entries that stand in the reference but in no proto that is published.
_MORE = {"metadata": "any", "errorGroups": "any", "apphub": "any", "apphubDestination": "any", "apphubSource": "any"}
_DEFAULTS: dict[str, tuple[Any, ...]] = {"string": ("",), "number": (0,), "bool": (False,), "severity": ("DEFAULT",)}
_NOTHING: tuple[Any, ...] = ()


class FieldError(ValueError):
    """LogEntry has no such field."""


@dataclass(frozen=True)
class Field:
    """One field: its kind (see compare.py), its values in an entry, and whether it is set there at all."""

    path: tuple[str, ...]
    kind: str
    read: Reader
    present: Reader


def field(path: Sequence[str]) -> Field:
    """The field that a path names, in snake_case or camelCase."""
    names, kind = _resolve(path)
    default = _DEFAULTS.get(kind, _NOTHING)
    return Field(names, kind, reader(names, default), reader(names))


def free(path: Sequence[str]) -> Field:
    """A field of something that is no log entry: nothing is known of it but its value."""
    names = tuple(_camel(name) for name in path[:1]) + tuple(path[1:])
    read = reader(names)
    return Field(names, "any", read, read)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest) if head else name


def reader(path: tuple[str, ...], default: Sequence[Any] = _NOTHING) -> Reader:
    """Finds what stands at a path; lists on the way are searched through."""

    def read(entry: Entry) -> Sequence[Any]:
        place: Any = entry
        for depth, name in enumerate(path):
            if type(place) is not dict:
                return _spread(place, path[depth:]) if type(place) is list else default
            if name not in place:
                return _dotted(place, path[depth:]) if depth and len(path) - depth > 1 else default
            place = place[name]
        return place if type(place) is list else (place,)

    return read


def _dotted(place: dict[str, Any], rest: Sequence[str]) -> Sequence[Any]:
    """A key that has dots of its own."""
    whole = ".".join(rest)
    return (place[whole],) if whole in place else _NOTHING


def _spread(place: Any, rest: Sequence[str]) -> list[Any]:
    found: list[Any] = [place]
    for name in rest:
        items: Iterable[Any] = (item for one in found for item in (one if isinstance(one, list) else [one]))
        found = [item[name] for item in items if isinstance(item, dict) and name in item]
    return [item for one in found for item in (one if isinstance(one, list) else [one])]


def _resolve(path: Sequence[str]) -> tuple[tuple[str, ...], str]:
    kind = message(_ENTRY).DESCRIPTOR
    names: list[str] = []
    for depth, name in enumerate(path):
        found = _by_name(kind, name)
        if found is None:
            if depth == 0 and name in _MORE:
                return tuple(path), "any"
            raise FieldError(f"Field not found: '{'.'.join(path)}'.")
        names.append(found.json_name)
        rest = path[depth + 1 :]
        inner = found.message_type
        if (found.json_name in _OPEN and depth == 0) or (inner is not None and inner.GetOptions().map_entry):
            return (*names, *rest), "any"
        if inner is None or inner.full_name in ("google.protobuf.Timestamp", "google.protobuf.Duration"):
            if rest:
                raise FieldError(f"Field not found: '{'.'.join(path)}'.")
            return tuple(names), _kind(found)
        kind = inner
    return tuple(names), "any"


def _by_name(kind: Any, name: str) -> Any:
    known = kind.fields_by_name.get(name) or kind.fields_by_camelcase_name.get(name)
    return known or next((one for one in kind.fields if one.json_name == name), None)


def _kind(found: Any) -> str:
    if found.message_type is not None:
        return "time" if found.message_type.full_name.endswith("Timestamp") else "duration"
    if found.enum_type is not None:
        return "severity"
    return {"string": "string", "bool": "bool"}.get(_CPP[found.cpp_type], "number")


#: google.protobuf.descriptor.FieldDescriptor.CPPTYPE_*.
_CPP = {1: "int", 2: "int", 3: "int", 4: "int", 5: "double", 6: "double", 7: "bool", 8: "enum", 9: "string"}
