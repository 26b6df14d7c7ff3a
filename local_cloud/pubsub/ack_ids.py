"""What a delivery is acknowledged by: opaque text that names subscription, message and lease.

A lease's serial counts within one life of the process, so the life's own number is part of it: after a restart no
lease of the life before is valid, as exactly-once delivery has it, though the message it was for is still known.
"""

import base64
import binascii
import struct
from typing import NamedTuple

_LAYOUT = struct.Struct(">IQII")
#: Google's are longer than this, and nobody else's are as long.
_PREFIX = "SLUICE"


class AckId(NamedTuple):
    """The parts of an ack id."""

    subscription: int
    number: int
    serial: int
    life: int


def encode(subscription: int, number: int, serial: int, life: int) -> str:
    """The ack id of a lease."""
    packed = _LAYOUT.pack(subscription, number, serial & 0xFFFFFFFF, life)
    return _PREFIX + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(text: str) -> AckId | None:
    """The parts, None when it is no ack id of ours."""
    if not text.startswith(_PREFIX):
        return None
    try:
        packed = base64.b64decode(text[len(_PREFIX) :] + "=", altchars=b"-_", validate=True)
        return AckId(*_LAYOUT.unpack(packed))
    except (binascii.Error, struct.error, ValueError):
        return None
