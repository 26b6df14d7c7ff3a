"""How one field of a log entry compares with a value of a query.

Owns types and missing fields; the grammar is in query.py. Entries are API JSON as dicts (camelCase names).
Source: https://cloud.google.com/logging/docs/view/logging-query-language#comparisons.
"""

import operator as op
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

Entry = dict[str, Any]

SEVERITIES = {
    "DEFAULT": 0, "DEBUG": 100, "INFO": 200, "NOTICE": 300, "WARNING": 400,
    "ERROR": 500, "CRITICAL": 600, "ALERT": 700, "EMERGENCY": 800,
}  # fmt: skip

_TIME = re.compile(
    r"(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d)?)(?:\.(\d{1,9})\d*)?(Z|[+-]\d\d:?\d\d)?)?", re.IGNORECASE
)
_DURATION = re.compile(r"(-?\d+(?:\.\d+)?)(ns|us|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_RELATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": op.eq, "!=": op.ne, ">": op.gt, ">=": op.ge, "<": op.lt, "<=": op.le,
}  # fmt: skip
_TIMES = {"timestamp", "receiveTimestamp"}


def nanoseconds(text: str) -> int | None:
    """An RFC 3339 time, or a date alone, as nanoseconds since the epoch; None when it is neither."""
    match = _TIME.fullmatch(text.strip())
    if match is None:
        return None
    day, clock, fraction, zone = match.groups()
    zone = "+00:00" if not zone or zone in "Zz" else zone
    try:
        whole = datetime.fromisoformat(f"{day}T{clock or '00:00'}{zone}")
    except ValueError:
        return None
    seconds = (whole.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
    return int(seconds) * 1_000_000_000 + int((fraction or "0").ljust(9, "0"))


def camel(name: str) -> str:
    """`http_request` as the JSON form writes it; other names are left as they are."""
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest) if rest and head else name


def values(entry: Entry, path: Sequence[str]) -> Iterator[Any]:
    """Find what stands at a path; lists on the way are searched through, snake_case names of ours are taken too."""
    found: list[Any] = [entry]
    for depth, name in enumerate(path):
        deeper: list[Any] = []
        for place in found:
            items = place if isinstance(place, list) else [place]
            for item in items:
                if isinstance(item, dict):
                    if name in item:
                        deeper.append(item[name])
                    elif depth < 2 and camel(name) in item:
                        deeper.append(item[camel(name)])
        found = deeper
    if not found and list(path) == ["severity"]:
        yield "DEFAULT"  # an entry that says none has this one
    for place in found:
        if isinstance(place, list):
            yield from place
        elif place is not None:
            yield place


def texts(value: Any) -> Iterator[str]:
    """All text inside a value, for searches without a field."""
    if isinstance(value, dict):
        for item in value.values():
            yield from texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts(item)
    elif isinstance(value, bool):
        yield "true" if value else "false"
    elif value is not None:
        yield str(value)


def holds(path: Sequence[str], field: Any, operator: str, wanted: str) -> bool:
    """Whether one value found at `path` stands in the relation to the query's value."""
    if operator in ("=~", "!~"):
        return bool(re.search(wanted, _text(field))) == (operator == "=~")
    if operator == ":":
        return wanted == "*" or any(wanted.casefold() in text.casefold() for text in texts(field))
    if isinstance(field, dict) or (operator == "=" and wanted == "*"):
        return not isinstance(field, dict)
    return bool(_RELATIONS[operator](*_pair(path, field, wanted)))


def _text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def _pair(path: Sequence[str], field: Any, wanted: str) -> tuple[Any, Any]:
    """Both sides as one comparable type: a time, a severity, a number, a duration, or text without regard to case."""
    if len(path) == 1 and camel(path[0]) in _TIMES:
        left, right = nanoseconds(str(field)), nanoseconds(wanted)
        if left is not None and right is not None:
            return left, right
    if list(path) == ["severity"]:
        return SEVERITIES.get(str(field), 0), _severity(wanted)
    if isinstance(field, bool):
        return _text(field), wanted.casefold()
    try:
        return float(field), float(wanted)
    except ValueError:
        pass
    text = str(field)
    first, second = _DURATION.fullmatch(text), _DURATION.fullmatch(wanted)
    if first and second:
        return float(first[1]) * _UNITS[first[2]], float(second[1]) * _UNITS[second[2]]
    return text.casefold(), wanted.casefold()


def _severity(text: str) -> int:
    if text.upper() in SEVERITIES:
        return SEVERITIES[text.upper()]
    try:
        return int(text)
    except ValueError:
        return -1
