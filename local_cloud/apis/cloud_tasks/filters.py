"""The filter of ListQueues: comparisons of a queue's fields, joined by AND.

A subset of the logging filter syntax that the reference names (`state: PAUSED`); what is outside it is refused.
"""

import operator
import re
from collections.abc import Callable
from typing import Any

from local_cloud.descriptors import Message
from local_cloud.errors import invalid

_TERM = re.compile(r'\s*([A-Za-z_.]+)\s*(<=|>=|!=|=|:|<|>)\s*("[^"]*"|[^\s"]+)\s*(AND\b)?', re.IGNORECASE)
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def predicate(text: str) -> Callable[[Message], bool]:
    """Reads a filter; an empty one takes every queue."""
    terms: list[tuple[list[str], str, str]] = []
    at, more = 0, bool(text.strip())
    while more:
        match = _TERM.match(text, at)
        if not match:
            raise invalid(
                f"Invalid filter at position {at}: '{text[at:]}'. Terms look like 'state: PAUSED', joined by AND."
            )
        terms.append((match[1].split("."), match[2], match[3].strip('"')))
        at = match.end()
        more = bool(match[4]) or bool(text[at:].strip())
    return lambda queue: all(_holds(_value(queue, path), how, wanted) for path, how, wanted in terms)


def _value(queue: Message, path: list[str]) -> Any:
    from google.protobuf import json_format  # costs a start 20 ms, and few lists have a filter

    value: Any = json_format.MessageToDict(queue)
    for part in path:
        head, *rest = part.split("_")
        name = head + "".join(word.capitalize() for word in rest)
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _holds(value: Any, how: str, wanted: str) -> bool:
    if value is None:
        return how == "!="
    if how == ":":
        return wanted.lower() in str(value).lower()
    try:
        return _COMPARE[how](float(str(value).removesuffix("s")), float(wanted.removesuffix("s")))
    except ValueError:
        return _COMPARE[how](str(value), wanted)
