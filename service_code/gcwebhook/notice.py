"""The processor's notice as it arrives (NowPayments IPN), checked and read. Pure: no time, no database.

The signature is HMAC-SHA512 in hex over the JSON with its keys sorted, in the header x-nowpayments-sig. `order_id`
carries our own signed order token; `actually_paid` is what came in, and is what the ledger takes.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import Any

from service_code.kit import order_token, strict_json
from service_code.kit.binary import TokenError
from service_code.kit.clock import from_millis
from service_code.kit.keys import read_keys, used
from service_code.kit.money import Amount, MoneyError, read

SIGNATURE_HEADER = "x-nowpayments-sig"
#: The one status that means the money is there; the others are news on the way to it.
FINISHED = "finished"
#: Statuses that are acknowledged and come to nothing here.
OTHER_STATUSES = frozenset(
    ("waiting", "confirming", "confirmed", "sending", "partially_paid", "failed", "refunded", "expired")
)


class NoticeError(ValueError):
    """The notice is refused."""

    def __init__(self, status: int, code: str, reason: str, *, genuine: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason
        #: Signed by the processor, so that money may be behind it: it must not be lost.
        self.genuine = genuine


@dataclass(frozen=True, kw_only=True, slots=True)
class Notice:
    """A payment that the processor has finished, for an order that we signed."""

    payment_id: str
    order: order_token.Order
    paid: Amount
    at: datetime


def verify(body: bytes, signature: str, secret: str) -> dict[str, Any]:
    """Check the signature and return the notice's fields, or refuse."""
    try:
        fields = strict_json.loads(body, parse_number=_Number)
    except ValueError as error:
        raise NoticeError(400, "NOT_JSON", "the body is not JSON") from error
    if not isinstance(fields, dict):
        raise NoticeError(400, "NOT_A_NOTICE", "the body is not a JSON object")
    if not signature:
        raise NoticeError(401, "NO_SIGNATURE", f"the header {SIGNATURE_HEADER} is missing")
    given = signature.strip().lower().encode("ascii", "replace")
    keys = read_keys(secret)
    for signed in _forms(body, fields):
        for key in keys:
            if hmac.compare_digest(hmac.digest(key, signed, "sha512").hex().encode(), given):
                used(keys, key)
                return fields
    raise NoticeError(401, "BAD_SIGNATURE", "the signature does not match")


def _forms(body: bytes, fields: dict[str, Any]) -> Iterator[bytes]:
    """What the processor may have signed: the body as sent if its keys are sorted, else one of two ways to write it."""
    yield body
    for quote in (encode_basestring, encode_basestring_ascii):  # JSON writers differ in what they escape
        yield _write(fields, quote).encode("utf-8", "surrogatepass")


def interpret(fields: dict[str, Any], signing_key: str) -> Notice | None:
    """Read a verified notice; None for a status that comes to nothing here."""
    status = fields.get("payment_status")
    if status in OTHER_STATUSES:
        return None
    if status != FINISHED:
        raise NoticeError(400, "UNKNOWN_STATUS", "payment_status is not one of the processor's")
    payment_id = str(fields.get("payment_id") or "")
    if not payment_id or len(payment_id) > 64 or not payment_id.isprintable():
        raise NoticeError(400, "NO_PAYMENT_ID", "payment_id is missing", genuine=True)
    try:
        order = order_token.read(str(fields.get("order_id") or ""), signing_key)
    except TokenError as error:
        raise NoticeError(400, error.code, f"order_id: {error.why}", genuine=True) from error
    currency = str(fields.get("pay_currency") or "").lower()
    if currency != order.amount.currency:
        reason = "pay_currency is not the order's currency"
        raise NoticeError(422, "WRONG_CURRENCY", reason, genuine=True)
    try:
        paid = read(str(fields.get("actually_paid", "")), currency)
    except MoneyError as error:
        raise NoticeError(422, "BAD_AMOUNT", f"actually_paid: {error}", genuine=True) from error
    if paid.units == 0:
        raise NoticeError(422, "BAD_AMOUNT", "actually_paid: nothing was paid", genuine=True)
    return Notice(payment_id=payment_id, order=order, paid=paid, at=_moment(fields))


def _moment(fields: dict[str, Any]) -> datetime:
    value = fields.get("updated_at") or fields.get("created_at")
    try:
        if isinstance(value, _Number):
            return from_millis(int(value))
        at = datetime.fromisoformat(str(value))
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    except (ValueError, OverflowError, OSError) as error:
        raise NoticeError(400, "NO_TIME", "updated_at is no time", genuine=True) from error


class _Number(str):
    """A JSON number as it was written: `1.50` and `1E-7` would not survive being floats."""

    __slots__ = ()


def _write(value: Any, quote: Callable[[str], str]) -> str:
    """Write JSON with sorted keys, no spaces, and numbers as they came."""
    if type(value) is str:
        return quote(value)
    if isinstance(value, _Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join([f"{quote(key)}:{_write(item, quote)}" for key, item in sorted(value.items())]) + "}"
    if isinstance(value, list):
        return "[" + ",".join([_write(item, quote) for item in value]) + "]"
    return json.dumps(value)
