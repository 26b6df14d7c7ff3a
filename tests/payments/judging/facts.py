"""What a judge is told: notices as they were sent, the exchange's orders, the wallet, and the deployment's terms."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

#: Base units of a coin, as a power of ten.
DECIMALS = {"eth": 18, "usdt": 6}
#: What products are worth in points, as the tests' deployments have it.
PRODUCTS = {"points-100": 100, "points-1000": 1000, "monthly": 500}
#: The currency of gas, whose accounts are named without it.
ETHER = "eth"

Lines = dict[str, int]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What the deployment is configured to do: shares, fee, and what products are worth."""

    client_percent: int = 95
    by_channel: Mapping[int, int] = field(default_factory=dict)
    flat_fee: int = 3
    products: Mapping[str, int] = field(default_factory=lambda: PRODUCTS)


@dataclass(frozen=True, kw_only=True)
class Notice:
    """One payment as the processor announced it."""

    unique_id: str
    payment_id: str
    channel: int
    wallet: str
    currency: str
    units: int
    acknowledged: bool


@dataclass(frozen=True, kw_only=True)
class Event:
    """One event of PayNow's; `key` is what it pays for once, None for kinds that pay for nothing."""

    event_id: str
    key: str | None
    customer: str
    user: str | None
    lines: tuple[tuple[str, int], ...]
    acknowledged: bool


@dataclass(frozen=True, kw_only=True)
class Order:
    """One order of the exchange: who pays in where, and who gets the result."""

    id: str
    payin: str
    client: str


@dataclass(frozen=True, kw_only=True)
class Sent:
    """Coins that left the wallet."""

    currency: str
    to: str
    units: int


@dataclass(frozen=True, kw_only=True)
class Spent:
    """One mined transaction of the wallet, and what it moved to others."""

    hash: str
    nonce: int
    block_hash: str
    gas: int
    good: bool
    out: tuple[Sent, ...]


@dataclass(frozen=True, kw_only=True)
class Wallet:
    """The host wallet on chain; `owned` is what it had and was given, by currency, where that is known."""

    address: str
    spent: list[Spent]
    mined: int
    pending: int
    balances: Mapping[str, int]
    owned: Mapping[str, int]
    #: Tokens of ours that somebody else's transaction moved.
    moved: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Facts:
    """Everything that is known from outside."""

    notices: list[Notice]
    wallet: Wallet
    orders: list[Order]
    events: list[Event] = field(default_factory=list)
    terms: Terms = field(default_factory=Terms)


def notice_of(body: str | bytes, *, acknowledged: bool) -> Notice | None:
    """Read a notice from its body and token; None unless it says that a payment is finished."""
    told = json.loads(body)
    if told.get("payment_status") != "finished":
        return None
    token = told["order_id"]
    data = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    wallet_at = 75 + 1 + data[75]  # after version, ids, times, days and amount comes the currency, then the wallet
    units = Decimal(str(told["actually_paid"])) * 10 ** DECIMALS[told["pay_currency"]]
    return Notice(
        unique_id=data[1:17].decode(),
        payment_id=str(told["payment_id"]),
        channel=int.from_bytes(data[25:33], "big", signed=True),
        wallet=data[wallet_at + 1 : wallet_at + 1 + data[wallet_at]].decode().lower(),
        currency=told["pay_currency"],
        units=int(units),
        acknowledged=acknowledged,
    )


def event_of(body: str | bytes, *, acknowledged: bool) -> Event:
    """Read an event of PayNow's from its body."""
    told = json.loads(body)
    about: dict[str, Any] = told["body"]
    kind, key, lines = told["event_type"], None, []
    if kind == "ON_ORDER_COMPLETED":
        key = f"order:{about['id']}"
        lines = [(one["product_id"], one["quantity"]) for one in about["lines"] if not one.get("subscription_id")]
    elif kind in ("ON_SUBSCRIPTION_ACTIVATED", "ON_SUBSCRIPTION_RENEWED"):
        key = f"subscription:{about['id']}:{about['current_period_start_at']}"
        lines = [(about["product_id"], 1)]
    return Event(
        event_id=told["event_id"],
        key=key,
        customer=about["customer"]["id"],
        user=about["customer"].get("metadata", {}).get("uid"),
        lines=tuple(lines),
        acknowledged=acknowledged,
    )
