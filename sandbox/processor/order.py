"""The order token (success-url token), minted as the bot does.

Owns: the bytes of layout version 1. Written from its description alone and not shared with the services, so
that a mistake of theirs cannot hide here. Leaves alone: who may accept it.

Layout, big endian, then URL-safe base64 without padding: version u8 = 1, unique_id 16 ascii bytes, user_id
i64, channel_id i64, issued_at u64 seconds, subscription_days u16, amount u256 in base units, then currency,
client wallet, payout currency, payout network (each a length byte and ascii), then the first 16 bytes of
HMAC-SHA256 over all before.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import struct
from dataclasses import dataclass

VERSION = 1
_HEAD = struct.Struct(">B16sqqQH32s")
_SIGNATURE_BYTES = 16


@dataclass(frozen=True, kw_only=True)
class Order:
    """What the client ordered and how the money leaves again."""

    unique_id: str
    user_id: int
    channel_id: int
    issued_at: int
    subscription_days: int
    amount: int
    currency: str
    client_wallet: str
    payout_currency: str
    payout_network: str

    def token(self, key: str) -> str:
        """The signed token."""
        body = _HEAD.pack(
            VERSION, self.unique_id.encode("ascii"), self.user_id, self.channel_id, self.issued_at,
            self.subscription_days, self.amount.to_bytes(32, "big"),
        )  # fmt: skip
        for value in (self.currency, self.client_wallet, self.payout_currency, self.payout_network):
            body += bytes([len(value)]) + value.encode("ascii")
        signature = hmac.new(key.encode(), body, hashlib.sha256).digest()[:_SIGNATURE_BYTES]
        return base64.urlsafe_b64encode(body + signature).rstrip(b"=").decode()
