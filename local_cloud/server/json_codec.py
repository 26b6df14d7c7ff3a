"""Protobuf messages from and to Google's JSON, with Google's own words for what is wrong.

One closure a field, made once a message type: this is on the path of every REST call. Rules: the proto3 JSON mapping
(https://protobuf.dev/programming-guides/json/); wording: as esf, Google's front end, answers.
"""

import base64
import binascii
import math
import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import orjson
from google.protobuf.descriptor import Descriptor, FieldDescriptor

from local_cloud.descriptors import Message, is_map, message
from local_cloud.server import wellknown

Errors = list[tuple[str, str]]
Decoder = Callable[[Any, str, Errors, int], Any]

#: Nesting above this is refused, as Google's parser does.
MAX_DEPTH = 100

FD = FieldDescriptor
_INTEGERS = {
    FD.TYPE_INT32: ("TYPE_INT32", -(2**31), 2**31),
    FD.TYPE_SINT32: ("TYPE_SINT32", -(2**31), 2**31),
    FD.TYPE_SFIXED32: ("TYPE_SFIXED32", -(2**31), 2**31),
    FD.TYPE_UINT32: ("TYPE_UINT32", 0, 2**32),
    FD.TYPE_FIXED32: ("TYPE_FIXED32", 0, 2**32),
    FD.TYPE_INT64: ("TYPE_INT64", -(2**63), 2**63),
    FD.TYPE_SINT64: ("TYPE_SINT64", -(2**63), 2**63),
    FD.TYPE_SFIXED64: ("TYPE_SFIXED64", -(2**63), 2**63),
    FD.TYPE_UINT64: ("TYPE_UINT64", 0, 2**64),
    FD.TYPE_FIXED64: ("TYPE_FIXED64", 0, 2**64),
}


class BadValueError(Exception):
    """A value that does not fit; the text ends Google's message."""


def decode_into(target: Message, value: Any, path: str, errors: Errors, depth: int = 0) -> None:
    """Fills a message from parsed JSON; what is wrong is added to `errors` as (field, description)."""
    descriptor = target.DESCRIPTOR
    special = wellknown.DECODERS.get(descriptor.full_name)
    if special is not None:
        try:
            special(target, value, lambda t, v: decode_into(t, v, path, errors, depth + 1))
        except (ValueError, TypeError, OverflowError) as error:
            text = f"Invalid value at '{path}' (type.googleapis.com/{descriptor.full_name}), {error}"
            errors.append((path, text))
        return
    if not isinstance(value, dict):
        if isinstance(value, list):
            errors.append(
                (
                    path,
                    f'Invalid JSON payload received. Unknown name "{path.rpartition(".")[2]}"'
                    f"{_at(path.rpartition('.')[0])}: Proto field is not repeating, cannot start list.",
                )
            )
        else:
            errors.append((path, _invalid(path, f"type.googleapis.com/{descriptor.full_name}", value)))
        return
    if depth > MAX_DEPTH:
        errors.append((path, "Message too deep. Max recursion depth reached."))
        return
    fields = _fields(descriptor)
    seen: dict[str, str] = {}
    for name, item in value.items():
        found = fields.get(name)
        if found is None:
            text = f'Invalid JSON payload received. Unknown name "{name}"{_at(path)}: Cannot find field.'
            errors.append((path, text))
            continue
        field, setter = found
        if item is None and not wellknown.takes_null(field):
            continue
        oneof = field.containing_oneof
        if oneof is not None:
            if oneof.name in seen and seen[oneof.name] != field.name:
                text = (
                    f"Invalid value at '{path}' (oneof), oneof field '{oneof.name}' is already set. Cannot set '{name}'"
                )
                errors.append((path, text))
                continue
            seen[oneof.name] = field.name
        setter(target, item, f"{path}.{field.name}" if path else field.name, errors, depth)


def encode(source: Message, enum_ints: bool = False) -> Any:
    """A message as JSON values: lowerCamelCase names, defaults left out."""
    special = wellknown.ENCODERS.get(source.DESCRIPTOR.full_name)
    if special is not None:
        return special(source, lambda m: encode(m, enum_ints))
    result: dict[str, Any] = {}
    for field, value in source.ListFields():
        result[field.json_name] = _encoder(field, enum_ints)(value)
    return result


def repeated(field: Any) -> bool:
    """Whether a field is a list or a map."""
    return bool(field.is_repeated)


Setter = Callable[[Message, Any, str, Errors, int], None]


@cache
def _fields(descriptor: Descriptor) -> dict[str, tuple[Any, Setter]]:
    """Every name that JSON may call a field by, with its setter."""
    made: dict[str, tuple[Any, Setter]] = {}
    for field in descriptor.fields:
        setter = _setter(field)
        made[field.name] = made[field.json_name] = (field, setter)
    return made


def _setter(field: Any) -> Setter:
    name = field.name
    if is_map(field):
        return _map_setter(field)
    if field.message_type is not None:
        if not repeated(field):
            return partial(_set_message, name)

        def add_messages(target: Message, value: Any, path: str, errors: Errors, depth: int) -> None:
            items = getattr(target, name)
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                decode_into(items.add(), item, f"{path}[{index}]", errors, depth + 1)

        return add_messages
    convert = scalar(field)
    if repeated(field):

        def add_scalars(target: Message, value: Any, path: str, errors: Errors, _depth: int) -> None:
            made = []
            for index, item in enumerate(value if isinstance(value, list) else [value]):
                if (one := _converted(convert, item, f"{path}[{index}]", errors)) is not None:
                    made.append(one)
            getattr(target, name).extend(made)

        return add_scalars

    def set_scalar(target: Message, value: Any, path: str, errors: Errors, _depth: int) -> None:
        if isinstance(value, list):
            text = "Proto field is not repeating, cannot start list."
            shown, _, parent = path.rpartition(".")[2], "", path.rpartition(".")[0]
            errors.append((path, f'Invalid JSON payload received. Unknown name "{shown}"{_at(parent)}: {text}'))
        elif (one := _converted(convert, value, path, errors)) is not None:
            setattr(target, name, one)

    return set_scalar


def _set_message(name: str, target: Message, value: Any, path: str, errors: Errors, depth: int) -> None:  # noqa: PLR0917
    part = getattr(target, name)
    part.SetInParent()
    decode_into(part, value, path, errors, depth + 1)


def _map_setter(field: Any) -> Setter:
    name = field.name
    key_field, value_field = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
    convert_key = scalar(key_field)
    convert = None if value_field.message_type is not None else scalar(value_field)

    def set_map(target: Message, value: Any, path: str, errors: Errors, depth: int) -> None:
        if not isinstance(value, dict):
            errors.append((path, _invalid(path, "Map", value)))
            return
        items = getattr(target, name)
        for raw, item in value.items():
            at = f"{path}[{raw}]"
            key = _converted(convert_key, raw, at, errors)
            if key is None:
                continue
            if convert is None:
                decode_into(items[key], item, at, errors, depth + 1)
            elif (one := _converted(convert, item, at, errors)) is not None:
                items[key] = one

    return set_map


def _converted(convert: Callable[[Any], Any], value: Any, path: str, errors: Errors) -> Any:
    try:
        return convert(value)
    except BadValueError as bad:
        errors.append((path, f"Invalid value at '{path}' ({bad.args[0]}), {bad.args[1]}"))
        return None


def scalar(field: Any) -> Callable[[Any], Any]:
    """A converter for one value of a scalar or enum field; raises BadValueError."""
    kind = field.type
    if kind in _INTEGERS:
        return _integer(*_INTEGERS[kind])
    if kind in (FD.TYPE_DOUBLE, FD.TYPE_FLOAT):
        return _float("TYPE_DOUBLE" if kind == FD.TYPE_DOUBLE else "TYPE_FLOAT", kind == FD.TYPE_FLOAT)
    if kind == FD.TYPE_BOOL:
        return _bool
    if kind == FD.TYPE_STRING:
        return _string
    if kind == FD.TYPE_BYTES:
        return _bytes
    return _enum(field.enum_type)


def _integer(label: str, low: int, high: int) -> Callable[[Any], int]:
    def convert(value: Any) -> int:
        number: Any = value
        if isinstance(value, str):
            try:
                number = int(value) if value == value.strip() and "_" not in value else None
            except ValueError:
                number = None
        elif isinstance(value, float):
            number = int(value) if value.is_integer() else None
        if number is None or isinstance(value, bool) or not isinstance(number, int) or not low <= number < high:
            raise BadValueError(label, _shown(value))
        return number

    return convert


def _float(label: str, single: bool) -> Callable[[Any], float]:
    def convert(value: Any) -> float:
        if isinstance(value, str):
            try:
                number = float(value) if "_" not in value else None
            except ValueError:
                number = None
        else:
            number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        if number is None or (single and math.isfinite(number) and abs(number) > 3.4028235677973366e38):
            raise BadValueError(label, _shown(value))
        return number

    return convert


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in ("true", "false"):  # gcloud writes "False" in queries
        return value.lower() == "true"
    raise BadValueError("TYPE_BOOL", _shown(value))


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValueError("TYPE_STRING", _shown(value))
    return value


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str):
        raise BadValueError("TYPE_BYTES", _shown(value))
    try:
        text = value.rstrip("=").replace("-", "+").replace("_", "/")
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadValueError("TYPE_BYTES", f"Base64 decoding failed for {_shown(value)}") from None


def _enum(enum: Any) -> Callable[[Any], int]:
    names = {value.name: value.number for value in enum.values}
    label = f"type.googleapis.com/{enum.full_name}"

    def convert(value: Any) -> int:
        number: Any = names.get(value) if isinstance(value, str) else value
        if number is None and re.fullmatch(r"-?[0-9]{1,10}", value):
            number = int(value)
        if isinstance(number, int) and not isinstance(number, bool) and -(2**31) <= number < 2**31:
            return number
        raise BadValueError(label, _shown(value))

    return convert


def _invalid(path: str, label: str, value: Any) -> str:
    return f"Invalid value at '{path}' ({label}), {_shown(value)}"


def _shown(value: Any) -> str:
    return orjson.dumps(value).decode()[:500]


def _at(path: str) -> str:
    return f" at '{path}'" if path else ""


@cache
def _encoder(field: Any, enum_ints: bool) -> Callable[[Any], Any]:
    if is_map(field):
        one = _encode_one(field.message_type.fields_by_name["value"], enum_ints)
        return lambda items: {_key(k): one(items[k]) for k in sorted(items)}
    one = _encode_one(field, enum_ints)
    if repeated(field):
        return lambda items: [one(item) for item in items]
    return one


def _encode_one(field: Any, enum_ints: bool) -> Callable[[Any], Any]:
    kind = field.type
    if field.message_type is not None:
        return lambda value: encode(value, enum_ints)
    if kind == FD.TYPE_ENUM:
        names = {value.number: value.name for value in field.enum_type.values}
        return (lambda value: value) if enum_ints else (lambda value: names.get(value, value))
    if kind in _INTEGERS and _INTEGERS[kind][2] > 2**32:
        return str
    if kind == FD.TYPE_BYTES:
        return lambda value: base64.b64encode(value).decode()
    if kind in (FD.TYPE_DOUBLE, FD.TYPE_FLOAT):
        return wellknown.float_json
    return lambda value: value


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(key).lower() if isinstance(key, bool) else str(key)


def parse(full_name: str, data: bytes) -> Message:
    """A message from JSON text; raises ValueError with the first violation. For tools and tests."""
    made, errors = message(full_name)(), Errors()
    decode_into(made, orjson.loads(data), "", errors)
    if errors:
        raise ValueError(errors[0][1])
    return made
