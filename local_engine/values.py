"""Values on their way between the program, the state and the cloud.

Owns the two kinds of value that JSON does not know, ``Secret`` and ``UNKNOWN``, and their form in the engine protocol's
protobuf structs (pulumi/pulumi, sdk/go/common/resource/properties.go). Knows nothing of resources.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf import struct_pb2

from .errors import EngineError

#: Marks an object of the protocol that is not a plain object.
SIGNATURE_KEY: Final = "4dabf18193072939515e22adb298388d"
SECRET_SIGNATURE: Final = "1b47061264138c4ac30d75fd1eb44270"
RESOURCE_SIGNATURE: Final = "5cf8f73096256a8f31e491e813e4eb8e"
#: The protocol's text for a value that is known only after the apply.
UNKNOWN_TEXT: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


class Unknown:
    """A value that is known only after the apply."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<computed>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Unknown)

    def __hash__(self) -> int:
        return hash(Unknown)


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that is never shown and never stored in clear."""

    value: Any

    def __repr__(self) -> str:
        return "[secret]"


class UnsupportedValueError(EngineError):
    """Assets and archives are not modelled by the local engine."""


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """The inputs or outputs of a resource as the engine protocol carries them."""
    given = {name: value for name, value in struct.fields.items() if value.WhichOneof("kind") != "null_value"}
    return {name: from_value(given[name]) for name in sorted(given)}


def from_value(value: struct_pb2.Value) -> Any:
    """One value of the protocol; whole numbers become int."""
    kind = value.WhichOneof("kind")
    if kind == "string_value":
        return UNKNOWN if value.string_value == UNKNOWN_TEXT else value.string_value
    if kind == "number_value":
        number = value.number_value
        return int(number) if number.is_integer() else number
    if kind == "bool_value":
        return value.bool_value
    if kind == "list_value":
        return [from_value(item) for item in value.list_value.values]
    if kind == "struct_value":
        return _from_object(value.struct_value)
    return None


def _from_object(struct: struct_pb2.Struct) -> Any:
    if SIGNATURE_KEY not in struct.fields:
        return from_struct(struct)
    signature = struct.fields[SIGNATURE_KEY].string_value
    if signature == SECRET_SIGNATURE:
        inner = from_value(struct.fields["value"])
        return inner if isinstance(inner, Secret) else Secret(inner)
    if signature == RESOURCE_SIGNATURE:
        fields = from_struct(struct)
        return fields.get("id") or fields["urn"]
    raise UnsupportedValueError(f"A value with signature {signature} (an asset, archive or output) is not modelled.")


def to_struct(values: Mapping[str, Any]) -> struct_pb2.Struct:
    """The inverse of ``from_struct``."""
    return struct_pb2.Struct(fields={name: to_value(value) for name, value in values.items()})


def to_value(value: Any) -> struct_pb2.Value:
    """The inverse of ``from_value``."""
    match value:
        case Secret():
            signature = struct_pb2.Value(string_value=SECRET_SIGNATURE)
            marked = struct_pb2.Struct(fields={"value": to_value(value.value), SIGNATURE_KEY: signature})
            made = struct_pb2.Value(struct_value=marked)
        case Unknown():
            made = struct_pb2.Value(string_value=UNKNOWN_TEXT)
        case None:
            made = struct_pb2.Value(null_value=struct_pb2.NULL_VALUE)
        case bool():
            made = struct_pb2.Value(bool_value=value)
        case int() | float():
            made = struct_pb2.Value(number_value=value)
        case str():
            made = struct_pb2.Value(string_value=value)
        case Mapping():
            made = struct_pb2.Value(struct_value=to_struct(value))
        case _:
            made = struct_pb2.Value(list_value=struct_pb2.ListValue(values=[to_value(item) for item in value]))
    return made


def walk(value: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of ``value`` in which ``change`` replaced every ``Secret`` and ``UNKNOWN``."""
    if isinstance(value, Secret | Unknown):
        return change(value)
    if isinstance(value, Mapping):
        return {name: walk(item, change) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [walk(item, change) for item in value]
    return value


def plain(value: Any) -> Any:
    """The value as the cloud gets it: secrets opened, unknowns as they are."""
    return walk(value, lambda item: plain(item.value) if isinstance(item, Secret) else item)


def masked(value: Any) -> Any:
    """The value as people may see it."""
    return walk(value, repr)


def has_unknown(value: Any) -> bool:
    """Whether anything in the value is known only after the apply."""
    if isinstance(value, Unknown):
        return True
    if isinstance(value, Secret):
        return has_unknown(value.value)
    if isinstance(value, Mapping):
        return any(has_unknown(item) for item in value.values())
    return isinstance(value, list | tuple) and any(has_unknown(item) for item in value)


def has_secret(value: Any) -> bool:
    """Whether anything in the value is a secret."""
    if isinstance(value, Secret):
        return True
    if isinstance(value, Mapping):
        return any(has_secret(item) for item in value.values())
    return isinstance(value, list | tuple) and any(has_secret(item) for item in value)
