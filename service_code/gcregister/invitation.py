"""The invitation: an operator's signed word that its holder may register one channel, until a certain time.

Layout v1, big-endian, URL-safe base64 without padding: version u8 = 1 | channel_id i64 | issued_at u64 ms | expires_at
u64 ms | HMAC-SHA256 of "gcregister invitation" 00 and all before. REGISTRATION_KEY may hold several keys, one a line:
the first signs, all verify. Source: DECISIONS 1 (public entries verify signatures); docs/adr/registrations.md.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass
from datetime import datetime

from service_code.kit.binary import TokenError, armour, unarmour
from service_code.kit.clock import from_millis, to_millis
from service_code.kit.tokens import read_keys

VERSION = 1
_LAYOUT = ">BqQQ"
_PURPOSE = b"gcregister invitation\0"
_SIGNATURE = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """Who may register, and when that was said."""

    channel_id: int
    issued_at: datetime
    expires_at: datetime


def mint(invitation: Invitation, secret: str) -> str:
    """Sign an invitation."""
    times = to_millis(invitation.issued_at), to_millis(invitation.expires_at)
    body = struct.pack(_LAYOUT, VERSION, invitation.channel_id, *times)
    return armour(body + _sign(read_keys(secret)[0], body))


def read(text: str, secret: str) -> Invitation:
    """Verify an invitation; whether it has expired is the caller's to judge."""
    raw = unarmour(text)
    body, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
    if not any(hmac.compare_digest(_sign(key, body), signature) for key in read_keys(secret)):
        raise TokenError("INVITATION_SIGNATURE", "the invitation's signature does not match")
    try:
        version, channel_id, issued_at, expires_at = struct.unpack(_LAYOUT, body)
    except struct.error as error:
        raise TokenError("INVITATION_INVALID", "the invitation has another length") from error
    if version != VERSION:
        raise TokenError("INVITATION_VERSION", "the invitation's version is not known here")
    return Invitation(channel_id=channel_id, issued_at=from_millis(issued_at), expires_at=from_millis(expires_at))


def _sign(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + body, "sha256")
