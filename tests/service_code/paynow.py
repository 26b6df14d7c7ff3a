"""PayNow as a test plays it: signed notices, and what the wallets hold."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

from tests.service_code.outer import Pushed
from tests.service_code.world import SECRETS, Answer, Running, World

WEBHOOK = "/api/paynow/webhook"
SECRET = SECRETS["PAYNOW_WEBHOOK_SECRET"]


def order(number: int = 1, product: str = "points-100", **more: Any) -> dict[str, Any]:
    """An order of one product by the customer c1."""
    body = {
        "id": f"order-{number}",
        "customer": {"id": "c1", "name": "Ann", "metadata": {"email": "ann@example.com"}},
        "lines": [{"product_id": product, "quantity": 1, "price": 500}],
    }
    return {"event_type": "ON_ORDER_COMPLETED", "event_id": f"event-{number}", "body": body | more}


def subscription(number: int, kind: str, period: str) -> dict[str, Any]:
    body = {
        "id": "sub-1",
        "customer": {"id": "c1"},
        "product_id": "monthly",
        "current_period_start_at": period,
    }
    return {"event_type": f"ON_SUBSCRIPTION_{kind}", "event_id": f"event-{number}", "body": body}


def signed(world: World, body: bytes, *, at: float | None = None, secret: str = SECRET) -> dict[str, str]:
    stamp = str(round((world.clock.at if at is None else at) * 1000))
    signature = hmac.digest(secret.encode(), stamp.encode() + b"." + body, "sha256")
    return {"paynow-signature": base64.b64encode(signature).decode(), "paynow-timestamp": stamp}


async def notify(webhook: Running, notice: dict[str, Any], *, at: float | None = None) -> Answer:
    """Send a notice as PayNow does."""
    body = json.dumps(notice).encode()
    return await webhook.post(WEBHOOK, body, **signed(webhook.world, body, at=at))


async def register(webhook: Running, user: str = "u1", customer: str = "c1") -> None:
    answer = await webhook.operate("POST", f"/users/{user}", {"customer_id": customer})
    assert answer.status == 200, answer.text


def waiting(world: World, topic: str = "paynow-events") -> list[Pushed]:
    """Remove and return what was published."""
    found = [message for message in world.outer.published if message.topic == topic]
    world.outer.published = [message for message in world.outer.published if message.topic != topic]
    return found


async def points(sql: Any, user: str = "u1") -> int:
    return int(await sql.fetchval("SELECT points FROM wallet_users WHERE user_id = $1", user))


async def states(sql: Any) -> dict[str, str]:
    return {row["event_id"]: row["status"] for row in await sql.fetch("SELECT event_id, status FROM paynow_events")}


async def balanced(sql: Any) -> None:
    """What the wallets hold is what the ledger says, and what the credits sum to."""
    wallets = await sql.fetchval("SELECT coalesce(sum(points), 0) FROM wallet_users")
    owed = await sql.fetchval("SELECT coalesce(sum(balance), 0) FROM ledger_balances WHERE account = 'user_points'")
    credited = await sql.fetchval("SELECT coalesce(sum(points), 0) FROM wallet_credits")
    assert wallets == -owed == credited
