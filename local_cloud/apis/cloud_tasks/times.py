"""Timestamps and durations between protobuf and seconds."""

import math
from typing import Any

from local_cloud.descriptors import Message

#: The range of a Duration: ten thousand years.
_LONGEST = 315_576_000_000
#: The range of a Timestamp: the years 1 to 9999.
_FIRST, _LAST = -62_135_596_800, 253_402_300_799


def is_duration(length: Message) -> bool:
    """Whether a Duration's two fields are in range and agree in sign."""
    whole, nanos = length.seconds, length.nanos
    return bool(abs(whole) <= _LONGEST and abs(nanos) < 10**9 and whole * nanos >= 0)


def is_time(moment: Message) -> bool:
    """Whether a Timestamp's two fields are in range."""
    return bool(_FIRST <= moment.seconds <= _LAST and 0 <= moment.nanos < 10**9)


def seconds(moment: Message) -> float:
    """A Timestamp or Duration in seconds."""
    return float(moment.seconds + moment.nanos / 1e9)


def put_time(field: Message, when: float) -> None:
    """Sets a Timestamp, truncated to the microsecond as the reference says."""
    micros = math.floor(when * 1e6 + 0.01)
    field.seconds, field.nanos = micros // 1_000_000, micros % 1_000_000 * 1000


def put_duration(field: Any, length: float) -> None:
    """Sets a Duration."""
    nanos = round(length * 1e9)
    field.seconds, field.nanos = nanos // 1_000_000_000, nanos % 1_000_000_000
