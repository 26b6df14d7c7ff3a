"""The unix-cron syntax of Cloud Scheduler, checked before Google sees it.

Owns the five fields and their ranges, and what share of the minutes an entry names; leaves the computing of times to
the scheduler.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spec.errors import Refused


@dataclass(frozen=True, slots=True)
class CronField:
    """One of the five fields: its range, and the words that may stand for its numbers."""

    name: str
    low: int
    high: int
    words: tuple[str, ...] = ()


#: The fields in order.
FIELDS = (
    CronField("minute", 0, 59),
    CronField("hour", 0, 23),
    CronField("day of month", 1, 31),
    CronField("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    CronField("day of week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)

_ITEM = re.compile(r"(?:\*|(\w{1,3})(?:-(\w{1,3}))?)(?:/(\d{1,3}))?", re.ASCII)


def check(text: str) -> None:
    """Raise `Refused` unless the text is five fields that Cloud Scheduler takes."""
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise _refuse(f"{text!r} has {len(fields)} fields, not 5")
    for value, field in zip(fields, FIELDS, strict=True):
        for item in value.split(","):
            _check_item(item, field)


def share(text: str) -> float:
    """Return the share of all minutes at which a checked entry runs."""
    minute, hour, day, month, weekday = map(_named, text.split(), FIELDS)
    # Day of the month and day of the week: either may match where both are given.
    days = day * weekday if 1.0 in (day, weekday) else 1 - (1 - day) * (1 - weekday)
    return minute * hour * days * month


def _named(value: str, field: CronField) -> float:
    """Return the share of a field's values that an entry names; the week's 7 is its 0."""
    high = field.high - 1 if field is FIELDS[-1] else field.high
    named: set[int] = set()
    for item in value.split(","):
        match = _ITEM.fullmatch(item)
        assert match is not None
        first, last, step = _number(match[1], item, field), _number(match[2], item, field), int(match[3] or 1)
        if first is None:
            first, last = field.low, high
        elif last is None:
            last = high if match[3] else first
        named |= {0 if field is FIELDS[-1] and one == field.high else one for one in range(first, last + 1, step)}
    return len(named) / (high - field.low + 1)


def _check_item(item: str, field: CronField) -> None:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise _refuse(f"{item!r} is no {field.name}")
    first, last, step = match.groups()
    first_number, last_number = _number(first, item, field), _number(last, item, field)
    if first_number is not None and last_number is not None and first_number > last_number:
        raise _refuse(f"{item!r} runs backwards in the {field.name}")
    if step is not None and not 1 <= int(step) <= field.high:
        raise _refuse(f"{item!r} has a step that no {field.name} meets")


def _number(word: str | None, item: str, field: CronField) -> int | None:
    if word is None:
        return None
    if word.lower() in field.words:
        return field.words.index(word.lower()) + field.low
    if not word.isdigit() or not field.low <= int(word) <= field.high:
        raise _refuse(f"{item!r} is no {field.name}, which runs from {field.low} to {field.high}")
    return int(word)


def _refuse(what: str) -> Refused:
    return Refused(
        what,
        breaks="Cloud Scheduler refuses the job, so what it should sweep would stay",
        fix='write minute, hour, day of month, month, day of week: "*/5 * * * *" is every five minutes',
        rule="SL507",
    )
