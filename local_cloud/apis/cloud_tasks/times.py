"""Timestamps and durations between protobuf and seconds."""

import math
from typing import Any

from local_cloud.descriptors import Message


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
