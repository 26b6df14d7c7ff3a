"""The processor's notice (IPN), in NowPayments' shape.

Owns: its fields and its signature: HMAC-SHA512, in hex, over the JSON with sorted keys and no spaces. The body
is sent in another order than it is signed in, as the real one's is, so a receiver must sort. Amounts are
decimal strings; numbers that differ between JSON libraries would break the signature. Leaves alone: sending.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from decimal import Decimal

from sandbox.processor.order import Order
from sandbox.wire import from_units, text

#: What the order costs in the shop's currency; the notice names both.
PRICE_CURRENCY = "usd"


def body(order: Order, *, payment_id: int, pay_address: str, price: Decimal, created_ms: int, token: str) -> str:
    """The notice that a payment is finished."""
    paid = text(from_units(order.amount, order.currency))
    return json.dumps(
        {
            "payment_id": payment_id,
            "parent_payment_id": None,
            "invoice_id": payment_id - 1,
            "payment_status": "finished",
            "pay_address": pay_address,
            "payin_extra_id": None,
            "price_amount": text(price),
            "price_currency": PRICE_CURRENCY,
            "pay_amount": paid,
            "actually_paid": paid,
            "actually_paid_at_fiat": text(price),
            "pay_currency": order.currency,
            "order_id": token,
            "order_description": f"{order.subscription_days} days of channel {order.channel_id}",
            "purchase_id": str(payment_id + 1),
            "outcome_amount": paid,
            "outcome_currency": order.currency,
            "created_at": created_ms,
            "updated_at": created_ms,
        },
        separators=(",", ":"),
    )


def signature(notice: str, key: str) -> str:
    """The value of the header x-nowpayments-sig."""
    canonical = json.dumps(json.loads(notice), sort_keys=True, separators=(",", ":"))
    return hmac.new(key.encode(), canonical.encode(), hashlib.sha512).hexdigest()
