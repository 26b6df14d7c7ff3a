"""PayNow's webhook, in the shape of its documentation: what is in a body, and how it is signed.

The body names a person and an e-mail address, as the real one's does, so that tests see that neither goes further.
Source: https://docs.paynow.gg/webhooks.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

#: Events that the sandbox makes, by the word that asks for them.
KINDS = {
    "order": "ON_ORDER_COMPLETED",
    "activated": "ON_SUBSCRIPTION_ACTIVATED",
    "renewed": "ON_SUBSCRIPTION_RENEWED",
    "refund": "ON_REFUND",
}


def body(kind: str, *, event_id: str, subject: str, customer: str, user: str | None, product: str, at: str) -> str:
    """One event; `subject` is the order or the subscription, `at` the time, which begins a subscription's period."""
    metadata = {"uid": user} if user else {}
    person = {"id": customer, "name": f"Customer {customer}", "email": f"{customer}@example.com", "metadata": metadata}
    told: dict[str, Any] = {"id": subject, "store_id": "1", "customer": person, "created_at": at}
    if kind == "order":
        told["lines"] = [{"id": f"{subject}-1", "product_id": product, "quantity": 1, "price": 999}]
    else:
        told |= {"product_id": product, "current_period_start_at": at}
    return json.dumps({"event_type": KINDS[kind], "event_id": event_id, "body": told}, separators=(",", ":"))


def headers(text: str, *, now: float, secret: str) -> dict[str, str]:
    """The headers of one attempt: the timestamp is the attempt's."""
    stamp = str(round(now * 1000))
    digest = hmac.new(secret.encode(), f"{stamp}.{text}".encode(), hashlib.sha256).digest()
    signature = base64.b64encode(digest).decode()
    return {"content-type": "application/json", "paynow-timestamp": stamp, "paynow-signature": signature}
