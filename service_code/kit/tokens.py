"""TPS_HOSTPAY, the token by which gcsplit orders a host payment: the documents' layout and its exact successor.

Old layout (DECISIONS 7, token 1 of the staged payout's document), read for old producers: unique_id (16, null-padded),
cn_api_id, from_currency, from_network (a length byte each), from_amount (double), payin_address, timestamp (u32
seconds), the first 16 bytes of HMAC-SHA256 over all before. Big-endian, URL-safe base64 without padding.

Successor (version byte 2, which no printable unique_id can begin with): version u8 | purpose u8 | key id 4 |
unique_id 16 | generation u16 | cn_api_id | from_currency | from_network | from_amount u256 base units | payin_address |
issued_at u64 ms | the whole HMAC-SHA256. A token is refused at a service for whose purpose it was not made. Time is
judged by the caller (`age`), since a signed payout outlives its token.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum

from service_code.kit.binary import Reader, TokenError, armour, fixed, short, unarmour
from service_code.kit.clock import from_millis, to_millis
from service_code.kit.money import Amount, MoneyError, read_double

VERSION = 2
#: A token from further ahead than this was not minted by a clock of ours.
SKEW = timedelta(seconds=30)


class Purpose(IntEnum):
    """What a token is for: each value is accepted at one door only."""

    HOSTPAY_EXECUTION = 1
    HOSTPAY_TRIGGER = 2


#: How long a token of each purpose lives (DECISIONS 7).
WINDOWS = {Purpose.HOSTPAY_EXECUTION: timedelta(seconds=60), Purpose.HOSTPAY_TRIGGER: timedelta(hours=24)}


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPayClaim:
    """What a verified token says. `version` 1 is the documents' layout, which knows no generation."""

    unique_id: str
    generation: int = 1
    cn_api_id: str
    amount: Amount
    network: str
    payin_address: str
    issued_at: datetime
    version: int = VERSION

    def age(self, now: datetime) -> timedelta:
        """Return how old the token is; one from the future beyond our clocks' skew is refused."""
        age = now - self.issued_at
        if age < -SKEW:
            raise TokenError("TOKEN_FROM_FUTURE", "the token was issued in the future")
        return max(age, timedelta(0))


def read_keys(secret: str) -> list[bytes]:
    """Read a signing secret: one key a line, the first signs, all verify, so that a key can be rotated."""
    return [line.strip().encode() for line in secret.splitlines() if line.strip()]


def key_id(key: bytes) -> bytes:
    """Return the four bytes by which a token names its key."""
    return hashlib.sha256(b"TPS_HOSTPAY key id\0" + key).digest()[:4]


class HostPayTokens:
    """Mints and verifies the tokens of one purpose."""

    def __init__(self, secret: str, purpose: Purpose) -> None:
        self._keys = read_keys(secret)
        self.purpose = purpose
        self.window = WINDOWS[purpose]

    def mint(self, claim: HostPayClaim) -> str:
        """Sign a claim in the successor's layout with the first key."""
        key = self._keys[0]
        body = b"".join(
            (
                bytes([VERSION, self.purpose]),
                key_id(key),
                fixed(claim.unique_id, 16),
                struct.pack(">H", claim.generation),
                short(claim.cn_api_id),
                short(claim.amount.currency),
                short(claim.network),
                claim.amount.units.to_bytes(32, "big"),
                short(claim.payin_address),
                struct.pack(">Q", to_millis(claim.issued_at)),
            )
        )
        return armour(body + hmac.digest(key, body, "sha256"))

    def read(self, token: str) -> HostPayClaim:
        """Verify a token of either layout and return what it says; its age is the caller's to judge."""
        raw = unarmour(token)
        return self._read_successor(raw) if raw[0] == VERSION else self._read_old(raw)

    def _read_successor(self, raw: bytes) -> HostPayClaim:
        if len(raw) < 38:
            raise TokenError("TOKEN_INVALID", "the token is cut short")
        body, signature = raw[:-32], raw[-32:]
        key = next((key for key in self._keys if key_id(key) == body[2:6]), None)
        if key is None:
            raise TokenError("TOKEN_UNKNOWN_KEY", "the token was signed by a key that is not known here")
        if not hmac.compare_digest(hmac.digest(key, body, "sha256"), signature):
            raise TokenError("TOKEN_SIGNATURE", "the token's signature does not match")
        if body[1] != self.purpose:
            raise TokenError("TOKEN_PURPOSE", "the token was not made for this service")
        reader = Reader(body[6:])
        unique_id, generation = reader.fixed(16), reader.unpack(">H")
        cn_api_id, currency, network = reader.short(), reader.short(), reader.short()
        units, address, millis = reader.u256(), reader.short(), reader.unpack(">Q")
        reader.end()
        return HostPayClaim(
            unique_id=unique_id,
            generation=generation,
            cn_api_id=cn_api_id,
            amount=_amount(currency, units),
            network=network,
            payin_address=address,
            issued_at=_moment(millis),
        )

    def _read_old(self, raw: bytes) -> HostPayClaim:
        if len(raw) < 17:
            raise TokenError("TOKEN_INVALID", "the token is cut short")
        body, signature = raw[:-16], raw[-16:]
        if not any(hmac.compare_digest(hmac.digest(key, body, "sha256")[:16], signature) for key in self._keys):
            raise TokenError("TOKEN_SIGNATURE", "the token's signature does not match")
        reader = Reader(body)
        unique_id, cn_api_id = reader.fixed(16), reader.short()
        currency, network, double = reader.short().lower(), reader.short(), reader.double()
        address, seconds = reader.short(), reader.unpack(">I")
        reader.end()
        try:
            amount = read_double(double, currency)
        except MoneyError as error:
            raise TokenError("TOKEN_AMOUNT", str(error)) from error
        return HostPayClaim(
            unique_id=unique_id,
            cn_api_id=cn_api_id,
            amount=amount,
            network=network,
            payin_address=address,
            issued_at=_moment(seconds * 1000),
            version=1,
        )


def _amount(currency: str, units: int) -> Amount:
    try:
        return Amount(currency=currency, units=units)
    except MoneyError as error:
        raise TokenError("TOKEN_AMOUNT", str(error)) from error


def _moment(millis: int) -> datetime:
    try:
        return from_millis(millis)
    except (OverflowError, ValueError, OSError) as error:
        raise TokenError("TOKEN_INVALID", "the token's time is none") from error
