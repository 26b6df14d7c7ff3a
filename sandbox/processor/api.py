"""The processor's HTTP API: make payments, see what was sent.

Owns: the request's fields, the identity of a payment (everything about the n-th payment of this sandbox
follows from n and its seed) and the shape of the record. Leaves alone: delivery.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from aiohttp import web

from sandbox.clock import Clock
from sandbox.config import Config
from sandbox.exchange.rates import NETWORKS, PRICES
from sandbox.keys import Keys
from sandbox.processor import notice
from sandbox.processor.order import Order
from sandbox.processor.sender import ATTEMPTS, Sender
from sandbox.store import Store
from sandbox.wire import decimal, from_units, to_units

#: Payment ids of the real one have ten digits.
FIRST_PAYMENT_ID = 5_000_000_000

#: A duplicated notice is sent this often in all.
COPIES = 3

#: Channels have 64 bits.
MOST_CHANNEL = 2**63

#: Most payments of one request.
MOST = 100_000

_PRICE_PLACES = Decimal("0.01")


class BadRequestError(Exception):
    """The request cannot be served; the message names the key."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """One request for payments."""

    units: int
    currency: str
    count: int
    rate: float
    duplicate_every: int
    wait: bool
    notify: bool
    attempts: int
    subscription_days: int
    payout_currency: str
    payout_network: str
    client_wallet: str | None
    channel_id: int | None
    unique_ids: list[str]


def read(raw: Mapping[str, Any]) -> Wanted:
    """Check a request."""
    defaults: dict[str, Any] = {
        "amount": None, "currency": "eth", "count": 1, "rate": 50, "duplicate_every": 0, "wait": True, "notify": True,
        "attempts": ATTEMPTS, "subscription_days": 30, "payout_currency": "usdt", "payout_network": "eth",
        "client_wallet": None, "channel_id": None, "unique_ids": [],
    }  # fmt: skip
    for key in raw:
        if key not in defaults:
            raise BadRequestError(f"unknown key '{key}'; known are {', '.join(defaults)}")
    given = defaults | dict(raw)
    currency = str(given["currency"]).lower()
    if currency not in PRICES:
        raise BadRequestError(f"'currency' must be one of {', '.join(PRICES)}, not {currency!r}")
    amount = decimal(given["amount"])
    units = to_units(amount, currency) if amount is not None else None
    if units is None:
        raise BadRequestError(f"'amount' must be a positive decimal that {currency} can carry, not {given['amount']!r}")
    for key, least, most in (("count", 1, MOST), ("duplicate_every", 0, MOST), ("attempts", 1, 1000)):
        if not isinstance(given[key], int) or not least <= given[key] <= most:
            raise BadRequestError(f"'{key}' must be a whole number from {least} to {most}, not {given[key]!r}")
    if given["channel_id"] is not None and (
        not isinstance(given["channel_id"], int) or abs(given["channel_id"]) >= MOST_CHANNEL
    ):
        raise BadRequestError(f"'channel_id' must be a channel's number, not {given['channel_id']!r}")
    if not isinstance(given["rate"], int | float) or given["rate"] <= 0:
        raise BadRequestError(f"'rate' must be payments a second, above 0, not {given['rate']!r}")
    payout, network = str(given["payout_currency"]).lower(), str(given["payout_network"]).lower()
    if network not in NETWORKS.get(payout, ()):
        raise BadRequestError(f"'payout_currency' {payout} is not paid out on 'payout_network' {network}")
    _check_ids(given)
    del given["amount"]
    checked = {"units": units, "currency": currency, "payout_currency": payout, "payout_network": network}
    return Wanted(**(given | checked))


def _check_ids(given: dict[str, Any]) -> None:
    """Payments may be given their ids, as a merchant's invoices have theirs; then these are as many as are made."""
    ids = given["unique_ids"]
    if not isinstance(ids, list) or not all(isinstance(one, str) and re.fullmatch(r"[!-~]{1,16}", one) for one in ids):
        raise BadRequestError("'unique_ids' must be a list of ids, each of 1 to 16 printable characters")
    if len(set(ids)) != len(ids) or (ids and given["count"] not in (1, len(ids))):
        raise BadRequestError("'unique_ids' must be different, and as many as 'count'")
    given["count"] = len(ids) or given["count"]


class ProcessorApi:
    """The handlers of the processor."""

    def __init__(self, config: Config, store: Store, clock: Clock, keys: Keys, sender: Sender) -> None:
        self._config = config
        self._store = store
        self._clock = clock
        self._keys = keys
        self._sender = sender

    def routes(self) -> list[web.RouteDef]:
        """The processor's paths."""
        return [
            web.post("/processor/payments", self._create),
            web.get("/processor/payments/{unique_id}", self._one),
            web.get("/processor/sent", self._sent),
        ]

    def mint(self, wanted: Wanted, unique_id: str | None = None) -> str:
        """Make the next payment and write it down; returns its unique_id."""
        number = int(self._store.fact("payments") or "0") + 1
        unique_id = unique_id or base64.b32encode(self._keys.secret(f"payment {number}")[:10]).decode()
        now = self._clock.now()
        # A channel that is asked for is one client with one wallet; the others are ten channels of many clients.
        own = wanted.channel_id is not None
        channel_id = wanted.channel_id if wanted.channel_id is not None else -1_001_000_000_000 - number % 10
        client = self._keys.address(f"channel {channel_id}" if own else f"client {number}")
        order = Order(
            unique_id=unique_id, user_id=100_000_000 + number, channel_id=channel_id,
            issued_at=int(now), subscription_days=wanted.subscription_days, amount=wanted.units,
            currency=wanted.currency, client_wallet=wanted.client_wallet or client,
            payout_currency=wanted.payout_currency, payout_network=wanted.payout_network,
        )  # fmt: skip
        token = order.token(self._config.success_url_signing_key)
        price = (from_units(order.amount, order.currency) * PRICES[order.currency]).quantize(_PRICE_PLACES)
        payment_id = FIRST_PAYMENT_ID + 3 * number
        address = self._keys.address(f"pay {number}")
        body = notice.body(order, payment_id=payment_id, pay_address=address, price=price,
                           created_ms=int(now * 1000), token=token)  # fmt: skip
        duplicated = wanted.duplicate_every and number % wanted.duplicate_every == 0
        copies = (COPIES if duplicated else 1) if wanted.notify else 0
        self._store.run_many(
            ("INSERT INTO facts VALUES ('payments', ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
             (str(number),)),
            ("INSERT INTO payments VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
             (unique_id, str(payment_id), token, body, notice.signature(body, self._config.processor_ipn_key), copies,
              wanted.attempts, now, json.dumps(vars(order)))),
            *(("INSERT INTO notices VALUES (?, ?, 'open')", (unique_id, copy)) for copy in range(copies)),
        )  # fmt: skip
        return unique_id

    async def _create(self, request: web.Request) -> web.Response:
        try:
            raw = await request.json()
            wanted = read(raw if isinstance(raw, dict) else {"": raw})
        except (BadRequestError, ValueError) as error:
            return web.json_response({"error": f"refused: {error}"}, status=400)
        loop = asyncio.get_running_loop()
        begin, made, tasks = loop.time(), [], []
        for index in range(wanted.count):
            due = begin + index / wanted.rate
            if due - loop.time() > 0:
                await asyncio.sleep(due - loop.time())
            unique_id = self.mint(wanted, wanted.unique_ids[index] if wanted.unique_ids else None)
            made.append(unique_id)
            row = self._store.row("SELECT copies FROM payments WHERE unique_id = ?", unique_id)
            tasks += [self._sender.send(unique_id, copy, 0.0) for copy in range(row["copies"] if row else 0)]
        if wanted.wait and tasks:
            await asyncio.wait(tasks)
        return web.json_response({"payments": [self.show(unique_id) for unique_id in made]})

    def show(self, unique_id: str) -> dict[str, Any]:
        """One payment with everything sent and answered, or an empty object."""
        row = self._store.row("SELECT * FROM payments WHERE unique_id = ?", unique_id)
        if row is None:
            return {}
        notices = self._store.rows("SELECT copy, state FROM notices WHERE unique_id = ? ORDER BY copy", unique_id)
        answers = self._store.rows(
            "SELECT copy, attempt, status, body, milliseconds, at FROM answers WHERE unique_id = ? ORDER BY id",
            unique_id,
        )
        return {
            "unique_id": unique_id,
            "payment_id": row["payment_id"],
            "sent_at": self._clock.iso(row["sent_at"]),
            "acknowledged": any(200 <= (reply["status"] or 0) < 300 for reply in answers),
            "copies": notices,
            "answers": answers,
            "order": json.loads(row["request"]) | {"amount": str(json.loads(row["request"])["amount"])},
            "body": row["body"],
            "signature": row["signature"],
            "success_url": f"{self._config.webhook_url}/?token={row['token']}",
        }

    async def _one(self, request: web.Request) -> web.Response:
        found = self.show(request.match_info["unique_id"])
        if not found:
            return web.json_response({"error": "no such payment"}, status=404)
        return web.json_response(found)

    async def _sent(self, _: web.Request) -> web.Response:
        rows = self._store.rows("SELECT unique_id FROM payments ORDER BY rowid")
        return web.json_response({"webhooks": [self.show(row["unique_id"]) for row in rows]})
