"""What each kind of token says, and how it lies in the bytes between the envelope's head and tail: as tables.

Sources: seeds/001 section 6 (tokens 1 to 4), DECISIONS 7 (TPS_HOSTPAY has the fields of token 1). Every kind has two
layouts: `old`, the documents' own, which carries money and gas as doubles; and `new`, the successor's, which is exact.
Which keys sign, for whom, and how long a token lives is `tokens`' business.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service_code.kit.binary import Reader, TokenError, short
from service_code.kit.clock import from_millis, to_millis
from service_code.kit.money import Amount, MoneyError, read_double

#: The version of a claim that came in the documents' layout, and of one in the successor's.
OLD, NEW = 1, 2
#: A token from further ahead than this was not minted by a clock of ours.
SKEW = timedelta(seconds=30)
_NEVER = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """What every verified token says. The documents' layouts know no generation: it is 1 there."""

    unique_id: str
    generation: int = 1
    cn_api_id: str
    issued_at: datetime
    version: int = NEW

    def age(self, now: datetime) -> timedelta:
        """Return how old the token is; one from the future beyond our clocks' skew is refused."""
        age = now - self.issued_at
        if age < -SKEW:
            raise TokenError("TOKEN_FROM_FUTURE", "the token was issued in the future")
        return max(age, timedelta(0))


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPayClaim(Claim):
    """A payout that is asked for: TPS_HOSTPAY, and token 1, the status check's."""

    amount: Amount
    network: str
    payin_address: str


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusClaim(HostPayClaim):
    """Token 2: what the exchange said of the payout's order."""

    status: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ExecuteClaim(HostPayClaim):
    """Token 3: pay it. The last three fields, the payment's own failures so far (seeds/004), are the successor's."""

    attempt_count: int = 0
    first_attempt_at: datetime | None = None
    last_error_code: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class PaidClaim(Claim):
    """Token 4: what became of the payout on chain."""

    tx_hash: str
    tx_status: str
    gas_used: int
    block_number: int


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a layout: how it is written from a claim, and the fields that reading it gives."""

    write: Callable[[Any], bytes]
    read: Callable[[Reader], dict[str, Any]]


def text(name: str) -> Part:
    """A length byte and the field's text."""
    return Part(lambda claim: short(getattr(claim, name)), lambda reader: {name: reader.short()})


def whole(name: str, layout: str) -> Part:
    """A whole number of a struct layout."""
    return Part(lambda claim: _packed(name, layout, getattr(claim, name)), lambda reader: {name: reader.unpack(layout)})


def _packed(name: str, layout: str, value: float) -> bytes:
    try:
        packed: bytes = struct.pack(layout, value)
    except struct.error as error:
        raise TokenError("TOKEN_INVALID", f"{name} {value} does not fit its place in the token") from error
    return packed


def _write_exact(claim: Any) -> bytes:
    units: int = claim.amount.units
    return short(claim.amount.currency) + short(claim.network) + units.to_bytes(32, "big")


def _read_exact(reader: Reader) -> dict[str, Any]:
    currency, network = reader.short(), reader.short()
    return {"amount": _amount(lambda: Amount(currency=currency, units=reader.u256())), "network": network}


def _write_double(claim: Any) -> bytes:
    # The documents' producers wrote currencies as the exchange shows them, in capitals.
    head = short(claim.amount.currency.upper()) + short(claim.network)
    return head + _packed("from_amount", ">d", float(claim.amount.text()))


def _read_double(reader: Reader) -> dict[str, Any]:
    currency, network, double = reader.short().lower(), reader.short(), reader.double()
    return {"amount": _amount(lambda: read_double(double, currency)), "network": network}


def _amount(make: Callable[[], Amount]) -> Amount:
    try:
        return make()
    except MoneyError as error:
        raise TokenError("TOKEN_AMOUNT", str(error)) from error


def _read_gas(reader: Reader) -> dict[str, Any]:
    gas = reader.double()
    if not (0 <= gas < 2**63 and gas.is_integer()):
        raise TokenError("TOKEN_INVALID", "gas_used is no number of gas")
    return {"gas_used": int(gas)}


def _write_first(claim: Any) -> bytes:
    return struct.pack(">Q", to_millis(claim.first_attempt_at) if claim.first_attempt_at else _NEVER)


def _read_first(reader: Reader) -> dict[str, Any]:
    millis = reader.unpack(">Q")
    return {"first_attempt_at": None if millis == _NEVER else moment(millis)}


def moment(millis: int) -> datetime:
    """Return the time of a token's milliseconds; refuses what is none."""
    try:
        return from_millis(millis)
    except (OverflowError, ValueError, OSError) as error:
        raise TokenError("TOKEN_INVALID", "the token's time is none") from error


_ID, _ADDRESS, _STATUS = text("cn_api_id"), text("payin_address"), text("status")
_EXACT, _DOUBLE = Part(_write_exact, _read_exact), Part(_write_double, _read_double)
_BLOCK = whole("block_number", ">Q")


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One kind of token: its claim and its two layouts."""

    claim: type[Claim]
    old: tuple[Part, ...]
    new: tuple[Part, ...]

    def write(self, claim: Any, version: int) -> bytes:
        """The parts of a claim in the layout of a version."""
        return b"".join(part.write(claim) for part in (self.new if version == NEW else self.old))

    def read(self, reader: Reader, version: int) -> dict[str, Any]:
        """The fields of a claim in the layout of a version."""
        fields: dict[str, Any] = {}
        for part in self.new if version == NEW else self.old:
            fields.update(part.read(reader))
        return fields


HOSTPAY = Kind(claim=HostPayClaim, old=(_ID, _DOUBLE, _ADDRESS), new=(_ID, _EXACT, _ADDRESS))
STATUS = Kind(claim=StatusClaim, old=(_ID, _STATUS, _DOUBLE, _ADDRESS), new=(_ID, _STATUS, _EXACT, _ADDRESS))
EXECUTE = Kind(
    claim=ExecuteClaim,
    old=HOSTPAY.old,
    new=(
        *HOSTPAY.new,
        whole("attempt_count", ">B"),
        Part(_write_first, _read_first),
        text("last_error_code"),
    ),
)
PAID = Kind(
    claim=PaidClaim,
    old=(
        *(_ID, text("tx_hash"), text("tx_status")),
        Part(lambda claim: _packed("gas_used", ">d", float(claim.gas_used)), _read_gas),
        _BLOCK,
    ),
    new=(_ID, text("tx_hash"), text("tx_status"), whole("gas_used", ">Q"), _BLOCK),
)
