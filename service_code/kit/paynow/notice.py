"""PayNow's webhook as it arrives, checked and read. Pure: the time is an argument, and there is no database.

The signature is HMAC-SHA256 in base64 over `<timestamp>.<body>`, the timestamp in Unix milliseconds, in the headers
paynow-signature and paynow-timestamp. Source: https://docs.paynow.gg/webhooks/validating-incoming-webhooks. Of the body
only ids, product ids and quantities are read on: no name, address or e-mail leaves this module.
"""

from __future__ import annotations

import base64
import hmac
from datetime import datetime, timedelta
from typing import Any

from service_code.kit import strict_json
from service_code.kit.clock import from_millis
from service_code.kit.keys import fits, read_keys, verifying
from service_code.kit.paynow.event import Line, PayNowEvent

SIGNATURE_HEADER = "paynow-signature"
TIMESTAMP_HEADER = "paynow-timestamp"
#: How far a notice's time may be from ours.
REPLAY_WINDOW = timedelta(minutes=5)
ORDER_COMPLETED = "ON_ORDER_COMPLETED"
SUBSCRIPTION_ACTIVATED = "ON_SUBSCRIPTION_ACTIVATED"
SUBSCRIPTION_RENEWED = "ON_SUBSCRIPTION_RENEWED"
#: Events that credit a wallet; the others are acknowledged and come to nothing here.
CREDITING = frozenset((ORDER_COMPLETED, SUBSCRIPTION_ACTIVATED, SUBSCRIPTION_RENEWED))
#: Characters of an id, lines of an order, and pieces of one line.
LONGEST_ID, MOST_LINES, MOST_PIECES = 128, 200, 1_000_000


class NoticeError(ValueError):
    """The notice is refused."""

    def __init__(self, status: int, code: str, reason: str, *, genuine: bool = False) -> None:
        super().__init__(reason)
        self.status = status
        self.code = code
        self.reason = reason
        #: Signed by PayNow, so that money may be behind it: it must not be lost.
        self.genuine = genuine


def verify(body: bytes, signature: str, timestamp: str, secret: str) -> datetime:
    """Check the signature and return the time that it signs, or refuse."""
    if not signature or not timestamp:
        missing = TIMESTAMP_HEADER if signature else SIGNATURE_HEADER
        raise NoticeError(401, "NO_SIGNATURE", f"the header {missing} is missing")
    signed = timestamp.encode("ascii", "replace") + b"." + body
    given = signature.strip().encode("ascii", "replace")
    signs = fits(lambda key: base64.b64encode(hmac.digest(key, signed, "sha256")), given)
    if verifying(read_keys(secret), signs) is None:
        raise NoticeError(401, "BAD_SIGNATURE", "the signature does not match")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 14:
        raise NoticeError(400, "NO_TIME", f"{TIMESTAMP_HEADER} is no time in milliseconds")
    return from_millis(int(timestamp))


def timely(at: datetime, now: datetime) -> bool:
    """Whether a notice is within the replay window."""
    return abs(now - at) <= REPLAY_WINDOW


def event_id(body: bytes) -> tuple[str, dict[str, Any]]:
    """Read a verified notice's id, and all of it."""
    try:
        fields = strict_json.loads(body)
    except ValueError as error:
        raise NoticeError(400, "NOT_JSON", "the body is not JSON", genuine=True) from error
    if not isinstance(fields, dict):
        raise NoticeError(400, "NOT_A_NOTICE", "the body is not a JSON object", genuine=True)
    return _id(fields.get("event_id"), "event_id"), fields


def interpret(fields: dict[str, Any]) -> PayNowEvent | None:
    """Read a verified notice as an event; None for a kind that comes to nothing here."""
    kind = fields.get("event_type")
    if not isinstance(kind, str) or not kind:
        raise NoticeError(422, "INVALID_DATA", "event_type is missing", genuine=True)
    if kind not in CREDITING:
        return None
    body = fields.get("body")
    if not isinstance(body, dict):
        raise NoticeError(422, "INVALID_DATA", "body is missing", genuine=True)
    customer = body.get("customer")
    if not isinstance(customer, dict):
        raise NoticeError(422, "INVALID_DATA", "body.customer is missing", genuine=True)
    metadata = customer.get("metadata")
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    order = kind == ORDER_COMPLETED
    return PayNowEvent(
        unique_id=_id(fields.get("event_id"), "event_id"),
        kind=kind,
        customer_id=_id(customer.get("id"), "body.customer.id"),
        user_id=None if uid is None else _id(uid, "body.customer.metadata.uid"),
        subject=_id(body.get("id"), "body.id"),
        period=None if order else _id(body.get("current_period_start_at"), "body.current_period_start_at"),
        lines=_lines(body) if order else (Line(product=_id(body.get("product_id"), "body.product_id"), quantity=1),),
    )


def _lines(body: dict[str, Any]) -> tuple[Line, ...]:
    """An order's lines; one that starts a subscription is credited by the subscription's own event."""
    lines = body.get("lines")
    if not isinstance(lines, list) or not 1 <= len(lines) <= MOST_LINES:
        raise NoticeError(422, "INVALID_DATA", f"body.lines is no list of 1 to {MOST_LINES}", genuine=True)
    found = []
    for line in lines:
        if not isinstance(line, dict):
            raise NoticeError(422, "INVALID_DATA", "a line of the order is no object", genuine=True)
        quantity = line.get("quantity", 1)
        if type(quantity) is not int or not 1 <= quantity <= MOST_PIECES:
            raise NoticeError(422, "INVALID_DATA", "a line's quantity is no whole number above 0", genuine=True)
        if not line.get("subscription_id"):
            found.append(Line(product=_id(line.get("product_id"), "product_id"), quantity=quantity))
    return tuple(found)


def _id(value: Any, where: str) -> str:
    text = str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not text or len(text) > LONGEST_ID or not (text.isascii() and text.isprintable()):
        raise NoticeError(422, "INVALID_DATA", f"{where} is no id", genuine=True)
    return text
