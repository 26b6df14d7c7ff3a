"""The unix-cron syntax of Cloud Scheduler, checked before Google sees it.

Owns the five fields and their ranges; leaves the computing of times to the scheduler.
"""

from __future__ import annotations

import re

from spec.errors import Refused

#: The fields in order, with their ranges and the names that may stand for numbers.
FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")),
    ("day of week", 0, 7, ("sun", "mon", "tue", "wed", "thu", "fri", "sat")),
)

_ITEM = re.compile(r"(?:\*|(\w{1,3})(?:-(\w{1,3}))?)(?:/(\d{1,3}))?", re.ASCII)


def check(text: str) -> None:
    """Raise `Refused` unless the text is five fields that Cloud Scheduler takes."""
    fields = text.split()
    if len(fields) != len(FIELDS):
        raise _refuse(f"{text!r} has {len(fields)} fields, not 5")
    for value, (name, low, high, words) in zip(fields, FIELDS, strict=True):
        for item in value.split(","):
            _check_item(item, name, low, high, words)


def _check_item(item: str, name: str, low: int, high: int, words: tuple[str, ...]) -> None:
    match = _ITEM.fullmatch(item)
    if match is None:
        raise _refuse(f"{item!r} is no {name}")
    first, last, step = match.groups()
    first_number = _number(first, item, name, low, high, words)
    last_number = _number(last, item, name, low, high, words)
    if first_number is not None and last_number is not None and first_number > last_number:
        raise _refuse(f"{item!r} runs backwards in the {name}")
    if step is not None and (int(step) == 0 or int(step) > high):
        raise _refuse(f"{item!r} has a step that no {name} meets")


def _number(word: str | None, item: str, name: str, low: int, high: int, words: tuple[str, ...]) -> int | None:
    if word is None:
        return None
    if word.lower() in words:
        return words.index(word.lower()) + low
    if not word.isdigit() or not low <= int(word) <= high:
        raise _refuse(f"{item!r} is no {name}, which runs from {low} to {high}")
    return int(word)


def _refuse(what: str) -> Refused:
    return Refused(
        what,
        breaks="Cloud Scheduler refuses the job, so what it should sweep would stay",
        fix='write minute, hour, day of month, month, day of week: "*/5 * * * *" is every five minutes',
    )
