"""Tokens between the payout's services: who signs, for which door, in which of two envelopes.

TPS_HOSTPAY orders a host payment (gcsplit to the payer); four internal tokens go between gchostpay1, 2 and 3 (seeds/001
section 6). What each says, and its two layouts, stand in `token_layouts`.

Old envelope, read for old producers and written when asked: unique_id (16, null-padded) | the kind's old layout |
timestamp (u32 seconds) | the first 16 bytes of HMAC-SHA256 over all before. Big-endian, URL-safe base64 unpadded.

Successor, written by default (version byte 2, which no printable unique_id can begin with): version u8 | purpose u8 |
key id 4 | unique_id 16 | generation u16 | the kind's new layout | issued_at u64 ms | the whole HMAC-SHA256. A token is
refused at a service for whose purpose it was not made: old tokens 1 and 3 share a layout and a key and cannot tell.
Time is judged by the caller (`age`), since a signed payout outlives its token.
"""

from __future__ import annotations

import hmac
import struct
from datetime import timedelta
from enum import IntEnum
from typing import Any, Generic, TypeVar, cast

from service_code.kit import token_layouts as layouts
from service_code.kit.binary import Reader, TokenError, armour, fixed, unarmour
from service_code.kit.clock import to_millis
from service_code.kit.keys import fits, key_id, read_keys, used, verifying
from service_code.kit.settings import Settings
from service_code.kit.token_layouts import NEW, OLD, Claim, ExecuteClaim, HostPayClaim, Kind, PaidClaim, StatusClaim

__all__ = ["Claim", "ExecuteClaim", "HostPayClaim", "PaidClaim", "Purpose", "StatusClaim", "Tokens", "takes_old"]

#: Bytes of the signatures of the two envelopes.
_SIGNATURE, _OLD_SIGNATURE = 32, 16
C = TypeVar("C", bound=Claim)


class Purpose(IntEnum):
    """What a token is for: each value is accepted at one door only."""

    HOSTPAY_EXECUTION = 1
    HOSTPAY_TRIGGER = 2
    STATUS_CHECK = 3
    STATUS_RESULT = 4
    PAYMENT_EXECUTE = 5
    PAYMENT_RESULT = 6


_DAY = timedelta(hours=24)
#: How long a token of each purpose lives (DECISIONS 7, seeds/001 section 6).
WINDOWS = dict.fromkeys(Purpose, _DAY) | {Purpose.HOSTPAY_EXECUTION: timedelta(seconds=60)}
KINDS: dict[Purpose, Kind] = {
    Purpose.HOSTPAY_EXECUTION: layouts.HOSTPAY,
    Purpose.HOSTPAY_TRIGGER: layouts.HOSTPAY,
    Purpose.STATUS_CHECK: layouts.HOSTPAY,
    Purpose.STATUS_RESULT: layouts.STATUS,
    Purpose.PAYMENT_EXECUTE: layouts.EXECUTE,
    Purpose.PAYMENT_RESULT: layouts.PAID,
}


def takes_old(settings: Settings) -> bool:
    """Whether doors at which payouts begin or are signed take the documents' layout: OLD_TOKENS, by default not."""
    return settings.config("OLD_TOKENS", "false") == "true"


class Tokens(Generic[C]):
    """Mints and verifies the tokens of one purpose, whose claims are of one kind."""

    def __init__(self, secret: str, purpose: Purpose, claim: type[C], *, old: bool = True) -> None:
        """`old`: whether the documents' layout is read."""
        self._keys = read_keys(secret)
        self._kind = KINDS[purpose]
        if self._kind.claim is not claim:
            raise TypeError(f"tokens for {purpose.name} carry {self._kind.claim.__name__}")
        self.purpose = purpose
        self.window = WINDOWS[purpose]
        self._old = old

    def mint(self, claim: C, *, version: int = NEW) -> str:
        """Sign a claim with the first key: in the successor's layout, or in the documents' for a reader of theirs."""
        if version == OLD:
            return self._mint_old(claim)
        key = self._keys[0]
        body = b"".join(
            (
                bytes([NEW, self.purpose]),
                key_id(key),
                fixed(claim.unique_id, 16),
                struct.pack(">H", claim.generation),
                self._kind.write(claim, NEW),
                struct.pack(">Q", to_millis(claim.issued_at)),
            )
        )
        return armour(body + hmac.digest(key, body, "sha256"))

    def _mint_old(self, claim: C) -> str:
        body = fixed(claim.unique_id, 16) + self._kind.write(claim, OLD)
        body += struct.pack(">I", int(claim.issued_at.timestamp()))
        return armour(body + hmac.digest(self._keys[0], body, "sha256")[:_OLD_SIGNATURE])

    def read(self, token: str) -> C:
        """Verify a token of either layout and return what it says; its age is the caller's to judge."""
        raw = unarmour(token)
        if raw[0] == NEW:
            return self._read_successor(raw)
        if not self._old:
            raise TokenError("TOKEN_OLD_LAYOUT", "the documents' layout is not taken at this door (OLD_TOKENS)")
        return self._read_old(raw)

    def _read_successor(self, raw: bytes) -> C:
        if len(raw) < 6 + _SIGNATURE:
            raise TokenError("TOKEN_INVALID", "the token is cut short")
        body, signature = raw[:-_SIGNATURE], raw[-_SIGNATURE:]
        key = next((key for key in self._keys if key_id(key) == body[2:6]), None)
        if key is None:
            raise TokenError("TOKEN_UNKNOWN_KEY", "the token was signed by a key that is not known here")
        if not hmac.compare_digest(hmac.digest(key, body, "sha256"), signature):
            raise TokenError("TOKEN_SIGNATURE", "the token's signature does not match")
        used(self._keys, key)
        if body[1] != self.purpose:
            raise TokenError("TOKEN_PURPOSE", "the token was not made for this service")
        reader = Reader(body[6:])
        fields = {"unique_id": reader.fixed(16), "generation": reader.unpack(">H"), **self._kind.read(reader, NEW)}
        return self._claim(reader, fields, reader.unpack(">Q"), NEW)

    def _read_old(self, raw: bytes) -> C:
        if len(raw) <= _OLD_SIGNATURE:
            raise TokenError("TOKEN_INVALID", "the token is cut short")
        body, signature = raw[:-_OLD_SIGNATURE], raw[-_OLD_SIGNATURE:]
        signed = fits(lambda key: hmac.digest(key, body, "sha256")[:_OLD_SIGNATURE], signature)
        if verifying(self._keys, signed) is None:
            raise TokenError("TOKEN_SIGNATURE", "the token's signature does not match")
        reader = Reader(body)
        fields = {"unique_id": reader.fixed(16), **self._kind.read(reader, OLD)}
        return self._claim(reader, fields, reader.unpack(">I") * 1000, OLD)

    def _claim(self, reader: Reader, fields: dict[str, Any], millis: int, version: int) -> C:
        reader.end()
        claim: Any = self._kind.claim  # of the type C, as the constructor has compared
        return cast(C, claim(**fields, issued_at=layouts.moment(millis), version=version))
