"""The invitation: an operator's signed word that its holder may register one channel, until a certain time.

Layout v1, big-endian, URL-safe base64 without padding: version u8 = 1 | channel_id i64 | issued_at u64 ms | expires_at
u64 ms | HMAC-SHA256 of "gcregister invitation" 00 and all before. Version 2 has the id of its key (4 bytes) after the
version. REGISTRATION_KEY may hold several keys, one a line: the first signs, all verify. Source: DECISIONS 1 (public
entries verify signatures); docs/adr/registrations.md, secret-rotation.md.
"""

from __future__ import annotations

import hmac
import struct
from dataclasses import dataclass, field
from datetime import datetime

from service_code.kit.binary import TokenError, armour, unarmour
from service_code.kit.clock import from_millis, to_millis
from service_code.kit.keys import PLAIN, fits, labelled, read_keys, unlabelled, verifying

_LAYOUT = ">BqQQ"
_PURPOSE = b"gcregister invitation\0"
_SIGNATURE = 32


@dataclass(frozen=True, kw_only=True, slots=True)
class Invitation:
    """Who may register, and when that was said."""

    channel_id: int
    issued_at: datetime
    expires_at: datetime
    #: The key that signed one that was read.
    key: bytes = field(default=b"", repr=False, compare=False)


def mint(invitation: Invitation, secret: str, *, version: int = PLAIN) -> str:
    """Sign an invitation."""
    times = to_millis(invitation.issued_at), to_millis(invitation.expires_at)
    key = read_keys(secret)[0]
    body = labelled(struct.pack(_LAYOUT, PLAIN, invitation.channel_id, *times), key, version)
    return armour(body + _sign(key, body))


def read(text: str, secret: str) -> Invitation:
    """Verify an invitation; whether it has expired is the caller's to judge."""
    raw = unarmour(text)
    body, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
    plain, named = unlabelled(body)
    key = verifying(read_keys(secret), fits(lambda one: _sign(one, body), signature), named=named)
    if key is None:
        raise TokenError("INVITATION_SIGNATURE", "the invitation's signature does not match")
    try:
        version, channel_id, issued_at, expires_at = struct.unpack(_LAYOUT, plain)
    except struct.error as error:
        raise TokenError("INVITATION_INVALID", "the invitation has another length") from error
    if version != PLAIN:
        raise TokenError("INVITATION_VERSION", "the invitation's version is not known here")
    times = {"issued_at": from_millis(issued_at), "expires_at": from_millis(expires_at)}
    return Invitation(channel_id=channel_id, **times, key=key)


def _sign(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE + body, "sha256")
