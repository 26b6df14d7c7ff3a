"""The kinds of records in Pub/Sub's log, and their payloads' layout.

Numbers stand for things with names: a topic or a holder (subscription, snapshot) gets one at creation, kept with its
document; a message has one in its topic. What they mean together is replay.py's.
"""

import struct
from array import array
from typing import NamedTuple

#: A message; acknowledgements of one holder; failed deliveries of a message; a holder's marks; a message written again
#: with what is known of it, so that its segment can go; how far topics have counted.
PUBLISHED, ACKED, FAILED, MARKED, MOVED, ENDS = 1, 2, 3, 4, 5, 6

_PUBLISHED = struct.Struct("<IQdH")
_MOVED = struct.Struct("<IQdHI")
_HOLDER = struct.Struct("<II")
_FAILED = struct.Struct("<IQI")
_KEY = struct.Struct("<I")
_END = struct.Struct("<IQ")


class Published(NamedTuple):
    """A message: `at` is where its body begins in the payload; `holders` those that need it, with failed deliveries."""

    topic: int
    number: int
    time: float
    key: str
    at: int
    holders: dict[int, int] | None


def published(topic: int, number: int, when: float, key: bytes) -> bytes:
    """What stands before the body of a new message."""
    return _PUBLISHED.pack(topic, number, when, len(key)) + key


def moved(topic: int, number: int, when: float, key: bytes, holders: dict[int, int]) -> bytes:
    """What stands before the body of a message that is written again."""
    listed = b"".join(_HOLDER.pack(holder, failures) for holder, failures in holders.items())
    return _MOVED.pack(topic, number, when, len(key), len(holders)) + key + listed


def read_published(kind: int, payload: memoryview) -> Published:
    """The head of a message's record, of either kind."""
    if kind == PUBLISHED:
        topic, number, when, length = _PUBLISHED.unpack_from(payload)
        at = _PUBLISHED.size + length
        return Published(topic, number, when, bytes(payload[_PUBLISHED.size : at]).decode(), at, None)
    topic, number, when, length, count = _MOVED.unpack_from(payload)
    at = _MOVED.size + length
    key = bytes(payload[_MOVED.size : at]).decode()
    holders = dict(_HOLDER.unpack_from(payload, at + index * _HOLDER.size) for index in range(count))
    return Published(topic, number, when, key, at + count * _HOLDER.size, holders)


def acked(holder: int, numbers: list[int]) -> bytes:
    """Acknowledgements."""
    return _KEY.pack(holder) + array("Q", numbers).tobytes()


def read_acked(payload: memoryview) -> tuple[int, "array[int]"]:
    """The holder and the messages' numbers."""
    numbers = array("Q")
    numbers.frombytes(payload[_KEY.size :])
    return _KEY.unpack_from(payload)[0], numbers


def failed(holder: int, number: int, failures: int) -> bytes:
    """How often a message's delivery has failed."""
    return _FAILED.pack(holder, number, failures)


def read_failed(payload: memoryview) -> tuple[int, int, int]:
    """The holder, the message and the count."""
    holder, number, failures = _FAILED.unpack(payload)
    return holder, number, failures


def marked(holder: int, marks: bytes) -> bytes:
    """All of a holder's marks."""
    return _KEY.pack(holder) + marks


def read_marked(payload: memoryview) -> tuple[int, memoryview]:
    """The holder and its marks."""
    return _KEY.unpack_from(payload)[0], payload[_KEY.size :]


def ends(topics: list[tuple[int, int]]) -> bytes:
    """The next number of each topic."""
    return b"".join(_END.pack(key, end) for key, end in topics)


def read_ends(payload: memoryview) -> list[tuple[int, int]]:
    """Each topic with its next number."""
    return [_END.unpack_from(payload, at) for at in range(0, len(payload), _END.size)]
