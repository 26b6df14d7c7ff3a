"""Asking once more for a host payment that nobody has signed: the next generation, and an exchange order that waits.

Shared by the replay of the dead and by the fallback of the living (`fallback`). The caller holds the payout
(`hold_payout`): whoever signs holds it too and looks for a newer generation, so of all generations one is paid.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from service_code.gcsplit.rules import GRACE, HOSTPAY_QUEUES, Rules
from service_code.gcsplit.split import pending_of
from service_code.kit.changenow import WAITING, ChangeNow, ExchangeOrder, ExchangeRefusedError, Route
from service_code.kit.db import Connection
from service_code.kit.money import Amount
from service_code.kit.orders import PendingHostPay
from service_code.kit.outbox import Row
from service_code.kit.outcomes import Send
from service_code.kit.runtime import Kit

#: Deaths by which the exchange order itself is wrong, whatever the exchange says of it now.
WRONG_ORDER = frozenset(("EXCHANGE_MISMATCH", "INVALID_ADDRESS"))


class Anew:
    """Makes the next generation of a host payment."""

    def __init__(self, kit: Kit, rules: Rules, exchange: ChangeNow) -> None:
        self._kit = kit
        self._rules = rules
        self._exchange = exchange

    async def order(self, row: Any, now: datetime, *, died_of: str = "") -> ExchangeOrder:
        """Return the old exchange order while it still waits for this payment for long enough, else a fresh one."""
        needed = now + self._rules.windows[row["way"]] + GRACE
        lasts = row["valid_until"] is None or row["valid_until"] > needed
        if lasts and died_of not in WRONG_ORDER and await self._waits(row):
            return ExchangeOrder(
                id=row["cn_api_id"],
                payin_address=row["payin_address"],
                to_amount=row["to_amount"],
                valid_until=row["valid_until"],
            )
        route = Route(
            amount=Amount(currency=row["from_currency"], units=row["from_amount"]),
            from_network=row["from_network"],
            to_currency=row["to_currency"],
            to_network=row["to_network"],
            address=row["payout_address"],
        )
        return await self._exchange.order(route, self._rules.refund_address, fixed=self._rules.fixed(row["way"]))

    async def _waits(self, row: Any) -> bool:
        try:
            state = await self._exchange.state(row["cn_api_id"])
        except ExchangeRefusedError:  # it does not know the order (any more)
            return False
        amount = Amount(currency=row["from_currency"], units=row["from_amount"])
        return state.is_of(amount, row["payin_address"]) and state.status == WAITING

    async def ask(
        self, connection: Connection, row: Any, made: ExchangeOrder, *, since: datetime, at: datetime
    ) -> tuple[PendingHostPay, Sequence[Row]]:
        """Write the next generation and its message in the caller's transaction; it is pending since `since`."""
        again = await connection.fetchrow(
            """
            UPDATE split_payout_que SET generation = generation + 1, cn_api_id = $2, payin_address = $3,
                to_amount = $4, valid_until = $5, status = 'pending_hostpay', pending_since = $6, closed_at = NULL
            WHERE unique_id = $1 RETURNING *
            """,
            *(row["unique_id"], made.id, made.payin_address, made.to_amount, made.valid_until, since),
        )
        pending = pending_of(again)
        return pending, await self.write(connection, pending, row["way"], at)

    async def write(self, connection: Connection, pending: PendingHostPay, way: str, at: datetime) -> Sequence[Row]:
        """Write the message of a host payment."""
        queue, unique_id = HOSTPAY_QUEUES[way], pending.unique_id
        send = Send(queue=queue, message=pending, unique_id=unique_id, key=str(pending.generation))
        return await self._kit.outbox.write(connection, [send], at)
