"""Recording payments: event, payment, channel access, ledger and outbox in one transaction, many payments at a time.

The idempotency key of a payment is its order's unique_id; that of an event is the processor's payment_id, or the
order's unique_id for a redirect, which is recorded and moves no money. A second event for a payment that is there
changes nothing, but is recorded, and is reported where it says something else than the first did. A client of
THRESHOLD_BY_CHANNEL is paid by threshold: the choice is stored with the payment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from service_code.kit import ledger, logs
from service_code.kit.batch import Batcher
from service_code.kit.clock import to_millis
from service_code.kit.db import Connection, again
from service_code.kit.money import Amount, MoneyError, read
from service_code.kit.order_token import Order
from service_code.kit.orders import GrantAccess, SplitOrder
from service_code.kit.outbox import Row
from service_code.kit.outcomes import Send
from service_code.kit.runtime import Kit
from service_code.kit.settings import Settings, SettingsError
from service_code.kit.threshold import UNIT, Accumulate

SPLIT_QUEUE = "split-payment-queue"
ACCUMULATE_QUEUE = "gcaccumulator-queue"
ACCESS_QUEUE = "channel-access-queue"

_log = logs.get("payments")


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrival:
    """A payment as one event tells of it."""

    event_key: str
    source: str
    payment_id: str | None
    order: Order
    paid: Amount
    notice_at: datetime
    received_at: datetime
    trace: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Recorded:
    """What became of an arrival: rows to send if the payment is new, or how it differs from the one that is there."""

    new: bool
    rows: Sequence[Row] = ()
    difference: str | None = None


def split_order(unique_id: str, order: Order, paid: Amount, received_at: datetime) -> SplitOrder:
    """Make the message that has a payment split."""
    return SplitOrder(
        unique_id=unique_id,
        channel_id=order.channel_id,
        amount=paid,
        client_wallet=order.client_wallet,
        payout_currency=order.payout_currency,
        payout_network=order.payout_network,
        received_at=to_millis(received_at),
    )


def accumulate(unique_id: str, order: Order, paid: Amount, threshold: int, received_at: datetime) -> Accumulate:
    """Make the message that has a payment wait for its client's threshold."""
    return Accumulate(
        unique_id=unique_id,
        channel_id=order.channel_id,
        amount=paid,
        threshold=Amount(currency=UNIT, units=threshold),
        client_wallet=order.client_wallet,
        payout_currency=order.payout_currency,
        payout_network=order.payout_network,
        received_at=to_millis(received_at),
    )


def thresholds_of(settings: Settings) -> dict[int, int]:
    """Read THRESHOLD_BY_CHANNEL, a JSON object of channels and what each waits for in USDT; in base units."""
    name = "THRESHOLD_BY_CHANNEL"
    try:
        given = json.loads(settings.config(name, "{}"))
        found = {int(channel): read(str(usdt), UNIT).units for channel, usdt in given.items()}
    except (ValueError, AttributeError, MoneyError) as error:
        raise SettingsError(f'{name} must be a JSON object such as {{"-100123": "250"}}: {error}') from error
    if not all(found.values()):
        raise SettingsError(f"{name} has a threshold of nothing: leave the channel out, and it is paid at once")
    return found


def grant_access(order: Order) -> GrantAccess:
    """Make the message that lets the buyer in."""
    return GrantAccess(
        unique_id=order.unique_id,
        user_id=order.user_id,
        channel_id=order.channel_id,
        subscription_days=order.subscription_days,
    )


class Payments:
    """Records arrivals by group commit."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit
        self._thresholds = thresholds_of(kit.settings)
        self._batcher: Batcher[Arrival, Recorded] = Batcher(self._flush)

    async def record(self, arrival: Arrival) -> Recorded:
        """Record an arrival durably, once."""
        return await self._batcher.submit(arrival)

    async def recorded(self, unique_id: str) -> bool:
        """Tell whether the processor's notice of this payment is recorded."""
        sql = "SELECT 1 FROM split_payout_request WHERE unique_id = $1"
        return await self._kit.db.row(sql, unique_id) is not None

    async def note(self, arrival: Arrival) -> None:
        """Record an event that moves no money, once."""
        await self._kit.db.fetch(
            """
            INSERT INTO webhook_events
                (event_key, source, payment_id, unique_id, currency, amount, notice_at, received_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (event_key) DO NOTHING
            """,
            *(arrival.event_key, arrival.source, arrival.payment_id, arrival.order.unique_id, arrival.paid.currency),
            *(arrival.paid.units, arrival.notice_at, arrival.received_at),
        )

    async def known(self, unique_id: str, event_key: str) -> bool:
        """Tell whether this very event is recorded."""
        sql = "SELECT 1 FROM webhook_events WHERE event_key = $1 AND unique_id = $2"
        return await self._kit.db.row(sql, event_key, unique_id) is not None

    async def _flush(self, arrivals: list[Arrival]) -> list[Recorded]:
        """Record arrivals; of several for one payment, or of one event, the first goes first."""
        results: dict[int, Recorded] = {}
        waiting = list(enumerate(arrivals))
        while waiting:
            round_: list[tuple[int, Arrival]] = []
            later: list[tuple[int, Arrival]] = []
            seen = set[str]()
            for index, arrival in waiting:
                keys = {f"payment {arrival.order.unique_id}", f"event {arrival.event_key}"}
                (later if keys & seen else round_).append((index, arrival))
                seen |= keys
            recorded = await again(partial(self._write, [arrival for _, arrival in round_]))
            results.update(zip((index for index, _ in round_), recorded, strict=True))
            waiting = later
        return [results[index] for index in range(len(arrivals))]

    async def _write(self, arrivals: list[Arrival]) -> list[Recorded]:
        async with self._kit.db.transaction() as connection:
            new = await _insert(connection, arrivals, self._thresholds)
            fresh = [arrival for arrival in arrivals if arrival.order.unique_id in new]
            sends = [send for arrival in fresh for send in self._sends(arrival)]
            rows: list[Row] = []
            if fresh:
                at = fresh[0].received_at
                postings = [ledger.notice(one.order.unique_id, one.paid, one.event_key) for one in fresh]
                await ledger.post(connection, postings, at)
                rows = await self._kit.outbox.write(connection, sends, at, taken_in=True)
            repeats = [arrival for arrival in arrivals if arrival.order.unique_id not in new]
            differences = await _differences(connection, repeats) if repeats else {}
        by_payment: dict[str, list[Row]] = {}
        for row in rows:
            by_payment.setdefault(row.unique_id, []).append(row)
        return [
            Recorded(new=True, rows=by_payment.get(arrival.order.unique_id, []))
            if arrival.order.unique_id in new
            else Recorded(new=False, difference=differences.get(arrival.order.unique_id))
            for arrival in arrivals
        ]

    def _sends(self, arrival: Arrival) -> list[Send]:
        order, unique_id = arrival.order, arrival.order.unique_id
        threshold = self._thresholds.get(order.channel_id)
        onward = onward_of(unique_id, order, arrival.paid, threshold, arrival.received_at)
        return [
            Send(queue=queue_of(threshold), message=onward, unique_id=unique_id, trace=arrival.trace),
            Send(queue=ACCESS_QUEUE, message=grant_access(order), unique_id=unique_id, trace=arrival.trace),
        ]


def queue_of(threshold: int | None) -> str:
    """The queue of a payment's way: split at once, or gathered until its threshold."""
    return SPLIT_QUEUE if threshold is None else ACCUMULATE_QUEUE


def onward_of(
    unique_id: str, order: Order, paid: Amount, threshold: int | None, received_at: datetime
) -> SplitOrder | Accumulate:
    """The message of a payment's way."""
    if threshold is None:
        return split_order(unique_id, order, paid, received_at)
    return accumulate(unique_id, order, paid, threshold, received_at)


async def _insert(connection: Connection, arrivals: Sequence[Arrival], thresholds: Mapping[int, int]) -> set[str]:
    rows = await connection.fetch(
        """
        WITH arrival AS (
            SELECT * FROM unnest(
                $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::bigint[], $7::int[], $8::text[],
                $9::numeric[], $10::text[], $11::text[], $12::text[], $13::timestamptz[], $14::timestamptz[],
                $15::numeric[]
            ) AS a (event_key, source, payment_id, unique_id, user_id, channel_id, subscription_days, currency, amount,
                client_wallet, payout_currency, payout_network, notice_at, received_at, threshold_usdt)
        ), event AS (
            INSERT INTO webhook_events
                (event_key, source, payment_id, unique_id, currency, amount, notice_at, received_at)
            SELECT event_key, source, payment_id, unique_id, currency, amount, notice_at, received_at FROM arrival
            ON CONFLICT (event_key) DO NOTHING RETURNING event_key
        ), payment AS (
            INSERT INTO split_payout_request
                (unique_id, source_event, user_id, channel_id, subscription_days, currency, amount, client_wallet,
                 payout_currency, payout_network, received_at, split_queued_at, threshold_usdt)
            SELECT unique_id, event_key, user_id, channel_id, subscription_days, currency, amount, client_wallet,
                payout_currency, payout_network, received_at, received_at, threshold_usdt
            FROM arrival JOIN event USING (event_key)
            ON CONFLICT (unique_id) DO NOTHING RETURNING unique_id, received_at
        ), access AS (
            INSERT INTO channel_access (unique_id, queued_at) SELECT unique_id, received_at FROM payment
        )
        SELECT unique_id FROM payment
        """,
        [one.event_key for one in arrivals],
        [one.source for one in arrivals],
        [one.payment_id for one in arrivals],
        [one.order.unique_id for one in arrivals],
        [one.order.user_id for one in arrivals],
        [one.order.channel_id for one in arrivals],
        [one.order.subscription_days for one in arrivals],
        [one.paid.currency for one in arrivals],
        [one.paid.units for one in arrivals],
        [one.order.client_wallet for one in arrivals],
        [one.order.payout_currency for one in arrivals],
        [one.order.payout_network for one in arrivals],
        [one.notice_at for one in arrivals],
        [one.received_at for one in arrivals],
        [thresholds.get(one.order.channel_id) for one in arrivals],
    )
    return {row["unique_id"] for row in rows}


async def _differences(connection: Connection, arrivals: Sequence[Arrival]) -> dict[str, str]:
    """Say which repeats tell of other money than what is recorded; the event that made the payment is no second one."""
    rows = await connection.fetch(
        "SELECT unique_id, source_event, currency, amount FROM split_payout_request WHERE unique_id = ANY($1)",
        [arrival.order.unique_id for arrival in arrivals],
    )
    recorded = {row["unique_id"]: row for row in rows}
    found: dict[str, str] = {}
    for arrival in arrivals:
        unique_id, row = arrival.order.unique_id, recorded.get(arrival.order.unique_id)
        if row is None:
            found[unique_id] = "PAYMENT_ID_REUSED"
        elif arrival.event_key != row["source_event"]:
            found[unique_id] = "SECOND_PAYMENT"
        elif (arrival.paid.currency, arrival.paid.units) != (row["currency"], row["amount"]):
            found[unique_id] = "AMOUNT_DIFFERS"
        else:
            continue
        _log.warning(
            "a repeat tells of other money",
            what="difference",
            status="difference",
            unique_id=unique_id,
            trace=arrival.trace,
            code=found[unique_id],
        )
    return found
