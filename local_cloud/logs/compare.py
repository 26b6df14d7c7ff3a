"""How one value of a log entry compares with a value of a query: by its type, which the field or the value says.

Owns conversions and relations, made once for a query (`relation`) and called once a value. Which fields there are is
fields.py's, the grammar is query.py's. Entries are API JSON as dicts (camelCase names).
Source: https://cloud.google.com/logging/docs/view/logging-query-language#comparisons.
"""

import math
import operator as op
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from local_cloud.logs.patterns import searcher

Entry = dict[str, Any]
#: Whether a value of an entry stands in the relation of a query.
Check = Callable[[Any], bool]

SEVERITIES = {
    "DEFAULT": 0, "DEBUG": 100, "INFO": 200, "NOTICE": 300, "WARNING": 400,
    "ERROR": 500, "CRITICAL": 600, "ALERT": 700, "EMERGENCY": 800,
}  # fmt: skip

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE
)
_DURATION = re.compile(r"(-?\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?|[+-]?inf(inity)?|nan", re.IGNORECASE)
_RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": op.eq, "!=": op.ne, ">": op.gt, ">=": op.ge, "<": op.lt, "<=": op.le,
}  # fmt: skip
NULL = "NULL_VALUE"


class ConversionError(ValueError):
    """A query's value cannot be what its field is; the text is for the caller."""


def nanoseconds(text: str) -> int | None:
    """An RFC 3339 time, or a date alone, as nanoseconds since the epoch; None when it is neither."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if not zone or zone in "Zz" else zone
    try:
        whole = datetime.fromisoformat(f"{day}T{clock or '00:00'}{zone}")
        seconds = (whole.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    except (ValueError, OverflowError):
        return None
    return int(seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def duration(text: str) -> float | None:
    """Seconds of "1.5s", "20ms" and the like; None when it is none."""
    match = _DURATION.fullmatch(text)
    return float(match[1]) * _UNITS[match[2]] if match else None


def number(text: str) -> float | int | None:
    """A number as a query or a value writes it."""
    if not _NUMBER.fullmatch(text):
        return None
    try:
        return int(text)
    except ValueError:
        return float(text)


def texts(value: Any) -> Iterator[str]:
    """All text inside a value, for searches without a field."""
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif value is not None:
        yield shown(value)


def shown(value: Any) -> str:
    """A scalar as text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def relation(kind: str, operator: str, wanted: str, *, quoted: bool = True) -> Check:
    """The check of values of a kind ("string", "number", "bool", "severity", "time", "duration" or "any")."""
    if operator in ("=~", "!~"):
        search, matched = searcher(wanted), operator == "=~"
        return lambda value: not isinstance(value, dict) and (search(shown(value)) is not None) == matched
    if operator == ":":
        return _has(kind, wanted)
    relate = _RELATIONS[operator]
    if kind == "any":
        return _dynamic(relate, operator, wanted, quoted)
    convert = _KINDS[kind]
    right = convert(wanted)
    if right is None:
        raise ConversionError(f"cannot convert {wanted!r} to the type of the field, which is a {kind}")

    def check(value: Any) -> bool:
        left = convert(shown(value))
        return left is not None and bool(relate(left, right))

    return check


def _has(kind: str, wanted: str) -> Check:
    """Substring of text without regard to case; of a message also one of its keys."""
    needle = wanted.casefold()
    if kind == "severity":
        level = _severity(wanted)
        return lambda value: _severity(shown(value)) == level if level is not None else needle in value.casefold()

    def check(value: Any) -> bool:
        if isinstance(value, dict) and wanted in value:
            return True
        return any(needle in text.casefold() for text in texts(value))

    return check


def _dynamic(relate: Callable[[Any, Any], Any], operator: str, wanted: str, quoted: bool) -> Check:
    """A value of a payload has the type that it has; what cannot be compared with it is only ever unequal."""
    as_number, as_text, as_bool = number(wanted), wanted.casefold(), _bool(wanted)
    as_null = wanted == NULL and not quoted
    unequal = operator == "!="

    def check(value: Any) -> bool:
        if isinstance(value, str):
            return bool(relate(value.casefold(), as_text))
        if isinstance(value, bool):
            return bool(relate(value, as_bool)) if as_bool is not None else unequal
        if isinstance(value, int | float):
            return bool(relate(value, as_number)) if as_number is not None else unequal
        return unequal if value is not None or not as_null else operator in ("=", "<=", ">=")

    return check


def _bool(text: str) -> bool | None:
    return {"true": True, "false": False}.get(text.casefold())


def _severity(text: str) -> int | None:
    if text.upper() in SEVERITIES:
        return SEVERITIES[text.upper()]
    return int(text) if text.isascii() and text.isdigit() else None


def _finite(text: str) -> float | int | None:
    found = number(text)
    return None if found is not None and math.isnan(found) else found


_KINDS: dict[str, Callable[[str], Any]] = {
    "string": str.casefold,
    "number": _finite,
    "bool": _bool,
    "severity": _severity,
    "time": nanoseconds,
    "duration": duration,
}
