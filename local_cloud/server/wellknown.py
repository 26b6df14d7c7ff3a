"""JSON of google.protobuf's well-known types: times, durations, masks, wrappers, structs and Any."""

import math
import re
from collections.abc import Callable
from typing import Any

from local_cloud.descriptors import Message, message

Recurse = Callable[[Message, Any], None]
Show = Callable[[Message], Any]

_WRAPPERS = ("Double", "Float", "Int64", "UInt64", "Int32", "UInt32", "Bool", "String", "Bytes")
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)")
_DURATION = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s")
MAX_NESTING = 100


def takes_null(field: Any) -> bool:
    """Whether null is a value for this field and not its absence."""
    kind = field.message_type
    return (kind is not None and kind.full_name == "google.protobuf.Value") or (
        field.enum_type is not None and field.enum_type.full_name == "google.protobuf.NullValue"
    )


def float_json(value: float) -> Any:
    """A float, or the strings that JSON has no number for; whole numbers without a fraction, as Google prints them."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _timestamp(target: Message, value: Any, _: Recurse) -> None:
    if not isinstance(value, str):
        raise ValueError(_shown(value))
    if not _TIMESTAMP.fullmatch(value):
        raise ValueError("Illegal timestamp format; timestamps must end with 'Z' or have a valid timezone offset.")
    try:
        target.FromJsonString(value.upper())
    except ValueError:
        raise ValueError(f'Invalid time: "{value}".') from None


def _duration(target: Message, value: Any, _: Recurse) -> None:
    if not isinstance(value, str):
        raise ValueError(_shown(value))
    found = _DURATION.fullmatch(value)
    if found is None:
        ends = "Illegal duration format; duration must end with 's'"
        raise ValueError(ends if not value.endswith("s") else f'Illegal duration format; "{value}".')
    sign = -1 if found[1] else 1
    if int(found[2]) > 315_576_000_000:
        raise ValueError("Duration value exceeds limits.")
    target.seconds = sign * int(found[2])
    target.nanos = sign * int((found[3] or "").ljust(9, "0"))


def _mask(target: Message, value: Any, _: Recurse) -> None:
    if not isinstance(value, str):
        raise ValueError(_shown(value))
    target.paths.extend(snake(path.strip()) for path in value.split(",") if path.strip())


def snake(path: str) -> str:
    """lowerCamelCase to snake_case; names that are snake_case already stay."""
    return re.sub(r"[A-Z]", lambda m: f"_{m[0].lower()}", path)


def camel(path: str) -> str:
    """snake_case to lowerCamelCase."""
    return re.sub(r"_([a-z0-9])", lambda m: m[1].upper(), path)


def _wrapper(target: Message, value: Any, _: Recurse) -> None:
    from local_cloud.server.json_codec import BadValueError, scalar

    try:
        target.value = scalar(target.DESCRIPTOR.fields_by_name["value"])(value)
    except BadValueError as bad:
        raise ValueError(bad.args[1]) from None


def _struct(target: Message, value: Any, _: Recurse, depth: int = 0) -> None:
    if not isinstance(value, dict):
        raise ValueError(_shown(value))
    for key, item in value.items():
        _value(target.fields[key], item, _, depth + 1)


def _list(target: Message, value: Any, _: Recurse, depth: int = 0) -> None:
    if not isinstance(value, list):
        raise ValueError(_shown(value))
    for item in value:
        _value(target.values.add(), item, _, depth + 1)


def _value(target: Message, value: Any, _: Recurse, depth: int = 0) -> None:
    if depth > MAX_NESTING:
        raise ValueError("Message too deep. Max recursion depth reached.")
    if value is None:
        target.null_value = 0
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, int | float):
        target.number_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, dict):
        target.struct_value.SetInParent()
        _struct(target.struct_value, value, _, depth)
    else:
        target.list_value.SetInParent()
        _list(target.list_value, value, _, depth)


def _any(target: Message, value: Any, recurse: Recurse) -> None:
    if not isinstance(value, dict):
        raise ValueError(_shown(value))
    if not value:
        return
    url = value.get("@type")
    if not isinstance(url, str):
        raise ValueError("Missing @type for any field.")
    try:
        inner = message(url.rpartition("/")[2])()
    except KeyError:
        raise ValueError(f"Invalid type URL, unknown type: {url.rpartition('/')[2]}") from None
    if inner.DESCRIPTOR.full_name in DECODERS:
        recurse(inner, value.get("value"))
    else:
        recurse(inner, {k: v for k, v in value.items() if k != "@type"})
    target.Pack(inner)


def _shown(value: Any) -> str:
    import orjson

    return orjson.dumps(value).decode()[:500]


def _value_json(source: Message, show: Show) -> Any:
    kind = source.WhichOneof("kind")
    if kind in (None, "null_value"):
        return None
    if kind == "struct_value":
        return {key: _value_json(item, show) for key, item in source.struct_value.fields.items()}
    if kind == "list_value":
        return [_value_json(item, show) for item in source.list_value.values]
    value = getattr(source, kind)
    return float_json(value) if kind == "number_value" else value


def _any_json(source: Message, show: Show) -> Any:
    if not source.type_url:
        return {}
    try:
        inner = message(source.type_url.rpartition("/")[2]).FromString(source.value)
    except KeyError:
        return {"@type": source.type_url}
    shown = show(inner)
    if inner.DESCRIPTOR.full_name in ENCODERS:
        return {"@type": source.type_url, "value": shown}
    return {"@type": source.type_url, **shown}


def _wrapper_json(source: Message, _: Show) -> Any:
    import base64

    kind = source.DESCRIPTOR.name
    if kind in ("Int64Value", "UInt64Value"):
        return str(source.value)
    if kind == "BytesValue":
        return base64.b64encode(source.value).decode()
    return float_json(source.value) if kind in ("DoubleValue", "FloatValue") else source.value


def _time_json(source: Message, _: Show) -> Any:
    return source.ToJsonString()


DECODERS: dict[str, Callable[[Message, Any, Recurse], None]] = {
    "google.protobuf.Timestamp": _timestamp,
    "google.protobuf.Duration": _duration,
    "google.protobuf.FieldMask": _mask,
    "google.protobuf.Struct": _struct,
    "google.protobuf.ListValue": _list,
    "google.protobuf.Value": _value,
    "google.protobuf.Any": _any,
    **{f"google.protobuf.{name}Value": _wrapper for name in _WRAPPERS},
}

ENCODERS: dict[str, Callable[[Message, Show], Any]] = {
    "google.protobuf.Timestamp": _time_json,
    "google.protobuf.Duration": _time_json,
    "google.protobuf.FieldMask": lambda source, _: ",".join(camel(path) for path in source.paths),
    "google.protobuf.Struct": lambda source, show: {k: _value_json(v, show) for k, v in source.fields.items()},
    "google.protobuf.ListValue": lambda source, show: [_value_json(v, show) for v in source.values],
    "google.protobuf.Value": _value_json,
    "google.protobuf.Any": _any_json,
    **{f"google.protobuf.{name}Value": _wrapper_json for name in _WRAPPERS},
}
