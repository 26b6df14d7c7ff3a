"""The exchange's orders.

Owns: their rows, their states and how they are shown. Leaves alone: coins (sandbox/exchange/settlement.py).
States: new, waiting, confirming, exchanging, sending, finished, failed, refunded, expired, as v2 has them
(verifying, a human's check, does not happen here).
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from eth_utils.address import to_checksum_address

from sandbox.clock import Clock
from sandbox.keys import Keys
from sandbox.store import Store
from sandbox.wire import from_units

#: A fixed rate stands for this long, as a rate id does.
FIXED_RATE_SECONDS = 20 * 60

#: States in which nothing happens any more.
FINAL = ("finished", "failed", "refunded", "expired")


class Book:
    """All orders of the exchange."""

    def __init__(self, store: Store, clock: Clock, keys: Keys) -> None:
        self._store = store
        self._clock = clock
        self._keys = keys
        known = store.row("SELECT count(*) AS n FROM exchanges")
        self._count = int(known["n"]) if known else 0

    def open(self, order: dict[str, Any]) -> dict[str, Any]:
        """Write a new order with an address of its own and return it."""
        self._count += 1
        order_id = self._keys.secret(f"exchange {self._count}").hex()[:14]
        now = self._clock.now()
        row = order | {
            "id": order_id, "status": "waiting", "payin_address": self._keys.account(f"payin {order_id}").address,
            "created_at": now, "updated_at": now,
        }  # fmt: skip
        columns = ", ".join(row)
        marks = ", ".join("?" for _ in row)
        self._store.run(f"INSERT INTO exchanges ({columns}) VALUES ({marks})", *row.values())
        return row

    def get(self, order_id: str) -> dict[str, Any] | None:
        """One order, expired if its time is over."""
        self.expire()
        return self._store.row("SELECT * FROM exchanges WHERE id = ?", order_id)

    def expire(self) -> None:
        """Fixed-rate orders that nobody paid in time."""
        self._store.run(
            "UPDATE exchanges SET status = 'expired', updated_at = valid_until WHERE status = 'waiting'"
            " AND valid_until IS NOT NULL AND valid_until < ?",
            self._clock.now(),
        )

    def by_payin_address(self, address: str | None) -> str | None:
        """The order whose coins are expected at an address, in any notation."""
        if address is None:
            return None
        row = self._store.row("SELECT id FROM exchanges WHERE payin_address = ?", to_checksum_address(address))
        return str(row["id"]) if row else None

    def deposits(self, order_id: str) -> list[dict[str, Any]]:
        """Everything that ever arrived at the order's address."""
        return self._store.rows("SELECT * FROM deposits WHERE exchange_id = ? ORDER BY position", order_id)

    def payout(self, order_id: str) -> dict[str, Any] | None:
        """What the exchange sent for the order: a payout or a refund."""
        return self._store.row("SELECT * FROM payouts WHERE exchange_id = ?", order_id)

    def show(self, row: dict[str, Any]) -> dict[str, Any]:
        """An order as GET /v2/exchange/by-id shows it."""
        deposits, sent = self.deposits(row["id"]), self.payout(row["id"])
        refund = sent if sent and sent["kind"] == "refund" else None
        payout = sent if sent and sent["kind"] == "payout" else None
        coins = self._coins
        return {
            "id": row["id"],
            "status": row["status"],
            "actionsAvailable": row["status"] == "failed",
            "fromCurrency": row["from_currency"],
            "fromNetwork": row["from_network"],
            "toCurrency": row["to_currency"],
            "toNetwork": row["to_network"],
            "expectedAmountFrom": coins(row["expected_from"], row["from_currency"]),
            "expectedAmountTo": coins(row["expected_to"], row["to_currency"]),
            "amountFrom": coins(row["amount_from"], row["from_currency"]),
            "amountTo": coins(row["amount_to"], row["to_currency"]),
            "payinAddress": row["payin_address"],
            "payoutAddress": row["payout_address"],
            "payinExtraId": None,
            "payoutExtraId": row["extra_id"],
            "refundAddress": row["refund_address"],
            "refundExtraId": row["refund_extra_id"],
            "createdAt": self._clock.iso(row["created_at"]),
            "updatedAt": self._clock.iso(row["updated_at"]),
            "validUntil": self._clock.iso(row["valid_until"]) if row["valid_until"] else None,
            "depositReceivedAt": self._clock.iso(row["deposit_received_at"]) if row["deposit_received_at"] else None,
            "payinHash": deposits[0]["hash"] if deposits else None,
            "payoutHash": payout["hash"] if payout else None,
            "fromLegacyTicker": row["from_currency"],
            "toLegacyTicker": row["to_currency"],
            "refundHash": refund["hash"] if refund else None,
            "refundAmount": coins(refund["units"], refund["currency"]) if refund else None,
            "userId": row["user_id"],
            "originalExchangeInfo": None,
            "relatedExchangesInfo": [],
            "repeatedExchangesInfo": [
                {"payinHash": extra["hash"], "amountFrom": coins(extra["units"], row["from_currency"])}
                for extra in deposits[1:]
            ],
        }

    @staticmethod
    def _coins(units: str | None, currency: str) -> Decimal | None:
        return None if units is None else from_units(int(units), currency)

    def records(self) -> list[dict[str, Any]]:
        """The exchange's own books, in base units as strings: what a judge reads."""
        self.expire()
        return [
            row | {"deposits": self.deposits(row["id"]), "payout": self.payout(row["id"])}
            for row in self._store.rows("SELECT * FROM exchanges ORDER BY rowid")
        ]

    # Rate ids

    def keep_rate(self, from_currency: str, to_currency: str, from_units: int, to_units: int) -> tuple[str, float]:
        """Promise a rate; returns its id and until when it stands."""
        number = int(self._store.fact("rates") or "0") + 1
        self._store.remember("rates", str(number))
        rate_id = self._keys.secret(f"rate {number}").hex()[:32]
        until = self._clock.now() + FIXED_RATE_SECONDS
        self._store.run(
            "INSERT INTO rates VALUES (?, ?, ?, ?, ?, ?)",
            rate_id, from_currency, to_currency, str(from_units), str(to_units), until,
        )  # fmt: skip
        return rate_id, until

    def rate(self, rate_id: str) -> dict[str, Any] | None:
        """A promised rate, None if it is unknown or over."""
        row = self._store.row("SELECT * FROM rates WHERE id = ?", rate_id)
        return row if row and row["valid_until"] >= self._clock.now() else None

    def totals(self) -> dict[str, int]:
        """Orders by state, for the summary page."""
        self.expire()
        found = self._store.rows("SELECT status, count(*) AS n FROM exchanges GROUP BY status")
        return {row["status"]: row["n"] for row in found}
