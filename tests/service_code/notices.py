"""The processor's notices: what a buyer ordered, what the processor tells of it, signed and sent to gcwebhook."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

from service_code.kit import order_token
from service_code.kit.money import Amount
from tests.service_code.world import SECRETS, Running, World

ETH = 10**18


def order(world: World, unique_id: str | None = None, units: int = ETH // 20, **more: Any) -> order_token.Order:
    fields: dict[str, Any] = {
        "unique_id": unique_id or world.unique_id(),
        "user_id": 77,
        "channel_id": -100123,
        "issued_at": datetime.fromtimestamp(world.clock.at, UTC),
        "subscription_days": 30,
        "amount": Amount(currency="eth", units=units),
        "client_wallet": "0x" + "cd" * 20,
        "payout_currency": "usdt",
        "payout_network": "eth",
    }
    return order_token.Order(**{**fields, **more})


def ipn(world: World, sold: order_token.Order, **more: Any) -> bytes:
    fields = {
        "payment_id": int.from_bytes(hashlib.sha256(sold.unique_id.encode()).digest()[:6], "big"),
        "payment_status": "finished",
        "order_id": order_token.mint(sold, SECRETS["SUCCESS_URL_SIGNING_KEY"]),
        "pay_currency": sold.amount.currency,
        "actually_paid": sold.amount.text(),
        "price_amount": "100",
        "price_currency": "usd",
        "updated_at": round(world.clock.at * 1000),
    }
    return json.dumps({**fields, **more}).encode()


def sign(body: bytes, key: str = SECRETS["PROCESSOR_IPN_KEY"]) -> str:
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    return hmac.new(key.encode(), canonical.encode(), hashlib.sha512).hexdigest()


async def notify(service: Running, body: bytes) -> tuple[int, dict[str, Any]]:
    answer = await service.post("/", body, x_nowpayments_sig=sign(body))
    return answer.status, answer.json()
