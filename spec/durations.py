"""Durations as the specs write them ("5s", "10m", "1h30m", "100ms") and as Google's JSON does ("600s", "0.100s").

Owns the one parser and both spellings. A duration is whole milliseconds, so that equality and JSON are exact.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

from spec.errors import OF_ITS_KIND, Refused

#: The units a duration may use, in milliseconds, largest first.
UNITS = {"d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}

#: The longest duration that a spec may state: no limit of Google is above a year.
LONGEST = 366 * UNITS["d"]

#: Below this a span is said in seconds alone, and below the next in hours: 60s and 24h are how people write them.
SAID_IN_SECONDS = 2 * UNITS["m"]
SAID_IN_HOURS = 2 * UNITS["d"]

#: What a duration looks like, for editors: parts from large to small, each a number and its unit.
PATTERN = r"^(?=\d)(\d+d)?(\d+h)?(\d+m(?!s))?(\d+(\.\d{1,3})?s)?(\d+ms)?$"

_SHAPE = re.compile(PATTERN, re.ASCII)
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|[dhms])", re.ASCII)
_LONGEST_TEXT = 32


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """A span of time in whole milliseconds, read from and written as text."""

    milliseconds: int

    @classmethod
    def parse(cls, text: str) -> Duration:
        """Read "5s", "10m", "1h30m", "0.5s" or "100ms"."""
        if len(text) > _LONGEST_TEXT or not _SHAPE.fullmatch(text):
            raise _refuse(text)
        total = sum(_milliseconds(number, unit) for number, unit in _PART.findall(text))
        if total > LONGEST:
            raise Refused(
                f"{text} is longer than a year",
                breaks="no limit of Google is so long, so the value is surely a slip",
                fix="write a shorter duration",
            )
        return cls(total)

    @classmethod
    def of(cls, *, seconds: float) -> Duration:
        """Return the duration of so many seconds, rounded to the millisecond."""
        return cls(round(seconds * 1000))

    @property
    def seconds(self) -> float:
        """The span in seconds, for arithmetic with clocks."""
        return self.milliseconds / 1000

    @property
    def google(self) -> str:
        """The span as Google's JSON spells it: seconds, with three decimals if it has a fraction."""
        whole, rest = divmod(self.milliseconds, 1000)
        return f"{whole}.{rest:03}s" if rest else f"{whole}s"

    def __str__(self) -> str:
        """Return the span as a person would say it: 100ms, 60s, 10m, 24h, 31d."""
        if self.milliseconds < UNITS["s"] and self.milliseconds:
            return f"{self.milliseconds}ms"
        if self.milliseconds < SAID_IN_SECONDS:
            return f"{self.seconds:g}s"
        left, parts = self.milliseconds, []
        for unit, size in UNITS.items():
            if unit == "d" and left < SAID_IN_HOURS:
                continue
            count, left = divmod(left, size)
            if count:
                parts.append(f"{count}{unit}")
        return "".join(parts)

    def __repr__(self) -> str:
        return f"Duration({str(self)!r})"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(
            cls._validate, serialization=core_schema.to_string_ser_schema()
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": PATTERN}

    @classmethod
    def _validate(cls, value: object) -> Duration:
        if isinstance(value, cls):
            return value
        if isinstance(value, str):
            return cls.parse(value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise Refused(
                f"{value} has no unit",
                breaks="60 may be seconds or minutes, and a wrong guess lets payments expire",
                fix=f"write the unit: {value}s, or {value}m, {value}h",
                rule=OF_ITS_KIND,
            )
        raise _refuse(value)


def _milliseconds(number: str, unit: str) -> int:
    whole, _, fraction = number.partition(".")
    return int(whole) * UNITS[unit] + int((fraction + "000")[:3]) * (UNITS[unit] // 1000 if fraction else 0)


def _refuse(value: object) -> Refused:
    return Refused(
        f"{value!r} is not a duration",
        breaks="the time it should limit would be unlimited or wrong",
        fix='write a number with its unit, large units first: "45s", "10m", "1h30m", "100ms"',
        rule=OF_ITS_KIND,
    )
