"""Splitting a payment: shares, exchange order, ledger, and the host payment's message, once for each payment.

On the new way of the route `estimate`, gcsplit2 asks the exchange for the rate in between, as often as it takes
(docs/adr/estimate-queues.md).

Its own row is looked up first, then the payment's as it was recorded: whoever could put a task of his own into a queue
would else have us pay what never came in, or elsewhere. The exchange order is made before the transaction: a crash
between them leaves an order that nobody pays, and the next attempt makes another; only the one in the row is ever paid.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service_code.gcsplit.rules import HOST_NETWORK, HOSTPAY_QUEUES, PAYOUT, Rules
from service_code.kit import ledger, logs, money
from service_code.kit.call import Call
from service_code.kit.changenow import ChangeNow, ExchangeAwayError, ExchangeOrder, ExchangeRefusedError, Route
from service_code.kit.clock import to_millis
from service_code.kit.db import Connection
from service_code.kit.deaths import Death, bury, hold_split
from service_code.kit.estimates import ASK_QUEUE, ESTIMATE, FIXED, FLOATING, QUEUED, EstimateSplit, SplitEstimated
from service_code.kit.money import Amount
from service_code.kit.orders import PendingHostPay, SplitOrder
from service_code.kit.outcomes import Dead, Done, Next, Outcome, Retry
from service_code.kit.runtime import Kit
from service_code.kit.staged import PendingTrigger

#: A payment as gcwebhook recorded it, which nothing changes any more.
RECORDED = "SELECT * FROM split_payout_request WHERE unique_id = $1"
#: What a message must say as it is recorded; what waits for its client's threshold is split by no message.
COMPARED = (
    *("channel_id", "currency", "amount", "client_wallet", "payout_currency", "payout_network", "received_at"),
    "threshold_usdt",
)
#: A death before the split that no replay has taken back: standing, or settled outside.
DEAD = "SELECT 1 FROM failed_transactions WHERE unique_id = $1 AND generation = 0 AND status <> 'replayed'"

#: What the outbox keeps of a host payment, by way.
PENDING: dict[str, type[PendingHostPay]] = {"single": PendingHostPay, "staged": PendingTrigger}
#: A quoted rate with less time left than this is asked for anew.
RATE_LEFT = timedelta(seconds=60)

_log = logs.get("split")


@dataclass(frozen=True, kw_only=True, slots=True)
class Ordered:
    """A payment divided, and the exchange order for its client's share."""

    route: Route
    parts: money.Split
    made: ExchangeOrder
    way: str


class Splitter:
    """Handles POST /process_split and POST /eth-client-swap."""

    def __init__(self, kit: Kit, rules: Rules, exchange: ChangeNow) -> None:
        self._kit = kit
        self._rules = rules
        self._exchange = exchange

    async def split(self, order: SplitOrder, call: Call) -> Outcome:
        """Divide a payment and order its exchange."""
        if (known := await self._known(order)) is not None:
            return known
        if await self._kit.routes.way(ESTIMATE, order.unique_id) != QUEUED:
            return await self._swap(order, None, call)
        try:
            parts = self._divide(order)
        except ExchangeRefusedError as error:
            return await self._refused(order, error.code, error.why, call)
        way = await self._kit.routes.way(PAYOUT, order.unique_id)
        fields = order.model_dump() | {"amount": order.amount, "share": parts.client}
        return Next(
            ASK_QUEUE,
            EstimateSplit(**fields, network=HOST_NETWORK, way=way, flow=FIXED if self._rules.fixed(way) else FLOATING),
        )

    async def estimated(self, answer: SplitEstimated, call: Call) -> Outcome:
        """Order the exchange at what it has quoted, or bury what it refuses."""
        if (known := await self._known(answer)) is not None:
            return known
        if answer.refused_code:
            return await self._refused(answer, answer.refused_code, answer.refused_why, call)
        return await self._swap(answer, answer, call)

    async def _known(self, order: SplitOrder) -> Outcome | None:
        """What is left to do of a payment that was split or buried before, or that did not come in so."""
        row = await self._kit.db.row("SELECT * FROM split_payout_que WHERE unique_id = $1", order.unique_id)
        if row is not None:
            # A crash may have come between the commit and the task: Next sends what is unsent and nothing else.
            again = row["status"] == "pending_hostpay" and row["generation"] == 1
            return Next(HOSTPAY_QUEUES[row["way"]], pending_of(row)) if again else Done("already_processed")
        if await self._kit.db.row(DEAD, order.unique_id) is not None:
            return Done("already_dead")
        recorded = await self._kit.db.row(RECORDED, order.unique_id)
        if recorded is None:
            return Dead("NOT_AS_RECORDED", "no payment of this id came in")
        if (other := differences(order, recorded)) != "":
            return Dead("NOT_AS_RECORDED", f"the payment was recorded otherwise: {other}")
        return None

    async def _swap(self, order: SplitOrder, answer: SplitEstimated | None, call: Call) -> Outcome:
        try:
            ordered = await self.order_exchange(order, answer, call.now)
        except ExchangeAwayError as error:
            return Retry(str(error))
        except ExchangeRefusedError as error:
            return await self._refused(order, error.code, error.why, call)
        connection = await call.begin()
        pending = await self.write(connection, order, ordered, call.now)
        return Next(HOSTPAY_QUEUES[ordered.way], pending) if pending else Done("already_processed")

    async def _refused(self, order: SplitOrder, code: str, why: str, call: Call) -> Outcome:
        death = Death(
            unique_id=order.unique_id,
            generation=0,
            stage="split",
            account=ledger.UNSPLIT_FUNDS,
            held=order.amount,
            code=code,
            why=why,
            service=self._kit.settings.service,
        )
        died = await bury(await call.begin(), death, call.now)
        return Dead(code, why) if died else Done("already_processed")

    def _divide(self, order: SplitOrder) -> money.Split:
        """Divide; a share of nothing is refused."""
        parts = money.split(order.amount, self._rules.client_percent(order.channel_id))
        if parts.client.units == 0:
            raise ExchangeRefusedError("AMOUNT_TOO_SMALL", "the client's share is nothing")
        return parts

    async def order_exchange(self, order: SplitOrder, answer: SplitEstimated | None, now: datetime) -> Ordered:
        """Divide, and create the exchange order for the client's share, at the rate that was quoted while it lives."""
        parts = self._divide(order)
        route = Route(
            amount=parts.client,
            from_network=HOST_NETWORK,
            to_currency=order.payout_currency,
            to_network=order.payout_network,
            address=order.client_wallet,
        )
        way = answer.way if answer else await self._kit.routes.way(PAYOUT, order.unique_id)
        fixed = self._rules.fixed(way)
        quote = answer.quote if answer and (answer.share, answer.fixed) == (parts.client, fixed) else None
        if quote is None or (quote.valid_until is not None and quote.valid_until <= now + RATE_LEFT):
            quote = await self._exchange.quote(route, fixed=fixed)
        made = await self._exchange.place(route, quote, self._rules.refund_address, fixed=fixed)
        _log.info("exchange ordered", status="ordered", cn_api_id=made.id, way=way)
        return Ordered(route=route, parts=parts, made=made, way=way)

    async def write(
        self, connection: Connection, order: SplitOrder, ordered: Ordered, at: datetime
    ) -> PendingHostPay | None:
        """Write the row and the posting; None if another attempt, or a death, was faster."""
        route, made = ordered.route, ordered.made
        await hold_split(connection, order.unique_id)
        if await connection.fetchrow(DEAD, order.unique_id) is not None:
            return None
        status = await connection.execute(
            """
            INSERT INTO split_payout_que
                (unique_id, cn_api_id, from_currency, from_network, from_amount, platform_amount, client_percent,
                 payin_address, to_currency, to_network, to_amount, payout_address, valid_until, status, created_at,
                 pending_since, way)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'pending_hostpay', $14, $14, $15)
            ON CONFLICT (unique_id) DO NOTHING
            """,
            *(order.unique_id, made.id, route.amount.currency, route.from_network, route.amount.units),
            *(order.amount.units - route.amount.units, self._rules.client_percent(order.channel_id)),
            *(made.payin_address, route.to_currency, route.to_network, made.to_amount, route.address),
            *(made.valid_until, at, ordered.way),
        )
        if status.endswith(" 0"):
            return None
        await ledger.post(connection, [ledger.split(order.unique_id, order.amount, ordered.parts, made.id)], at)
        return PENDING[ordered.way](
            unique_id=order.unique_id,
            generation=1,
            cn_api_id=made.id,
            amount=route.amount,
            network=route.from_network,
            payin_address=made.payin_address,
        )


def differences(order: SplitOrder, recorded: Any) -> str:
    """Name what a message says otherwise than the record; nothing where they agree."""
    paid = {"currency": order.amount.currency, "amount": order.amount.units}
    said = order.model_dump() | paid | {"threshold_usdt": None}
    stands = dict(recorded) | {"received_at": to_millis(recorded["received_at"])}
    return ", ".join(name for name in COMPARED if said[name] != stands[name])


def pending_of(row: Any) -> PendingHostPay:
    """Make the message of a host payment from its row."""
    return PENDING[row["way"]](
        unique_id=row["unique_id"],
        generation=row["generation"],
        cn_api_id=row["cn_api_id"],
        amount=Amount(currency=row["from_currency"], units=row["from_amount"]),
        network=row["from_network"],
        payin_address=row["payin_address"],
    )
