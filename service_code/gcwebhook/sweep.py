"""The entry's sweeper: sends what is unsent, and puts anew what a queue dropped, since nobody is told when it does.

A payment without a split, and a grant without an end, are put into their queues again after five minutes, then at
doubling intervals up to an hour, for 24 hours (DECISIONS 12); both receivers are idempotent. After that gcsplit's
sweeper records the payment as dead, and this one gives the grant up: a dead letter and an alert, so that a person lets
the buyer in. A payment that waits for a threshold is put anew until it is accumulated: that asks nobody outside.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from service_code.gcwebhook.access import REFUSED
from service_code.gcwebhook.payments import (
    ACCESS_QUEUE,
    ACCUMULATE_QUEUE,
    SPLIT_QUEUE,
    grant_access,
    onward_of,
)
from service_code.kit import deadletters, logs
from service_code.kit.call import Call
from service_code.kit.money import Amount
from service_code.kit.order_token import Order
from service_code.kit.outcomes import Send
from service_code.kit.runtime import Kit

AGAIN_AFTER = timedelta(minutes=5)
AGAIN_AT_MOST = timedelta(hours=1)
GIVE_UP = timedelta(hours=24)
GIVEN_UP = "ACCESS_NOT_GRANTED"
GIVEN_UP_WHY = "the buyer could not be let into the channel within 24 hours"
#: Payments that one sweep puts anew.
AT_ONCE = 200

_log = logs.get("sweep")


class Sweeper:
    """Works through what was left behind."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def sweep(self, call: Call) -> Mapping[str, Any]:
        """POST /sweep."""
        resent = await self._kit.outbox.resend()
        await self._settle(call)
        splits = await self._again(call.now, SPLIT_QUEUE)
        gathered = await self._again(call.now, ACCUMULATE_QUEUE)
        grants = await self._again(call.now, ACCESS_QUEUE)
        given_up = await self._give_up(call.now)
        taken_up = {"resent": resent, "splits": splits, "gathered": gathered, "grants": grants, "given_up": given_up}
        if any(taken_up.values()):
            _log.warning("left behind and taken up", status="swept", **taken_up)
        return {"status": "swept", **taken_up}

    async def _settle(self, call: Call) -> None:
        connection = await call.begin()
        await connection.execute(
            """
            UPDATE split_payout_request AS request SET split_done = true
            WHERE NOT split_done AND (
                EXISTS (SELECT 1 FROM split_payout_que q WHERE q.unique_id = request.unique_id)
                OR EXISTS (SELECT 1 FROM failed_transactions f WHERE f.unique_id = request.unique_id)
                OR EXISTS (SELECT 1 FROM payout_accumulation a WHERE a.unique_id = request.unique_id)
            )
            """
        )
        await call.commit()

    async def _again(self, now: datetime, queue: str) -> int:
        split = queue != ACCESS_QUEUE
        table, tries, queued = ("r", "split_tries", "split_queued_at") if split else ("a", "tries", "queued_at")
        way = f"r.threshold_usdt IS {'NULL' if queue == SPLIT_QUEUE else 'NOT NULL'}"
        pending = f"NOT r.split_done AND {way}" if split else "a.granted_at IS NULL AND a.refused_at IS NULL"
        target = "split_payout_request" if split else "channel_access"
        async with self._kit.db.transaction() as connection:
            rows = await connection.fetch(
                f"""
                SELECT r.*, {table}.{tries} + 1 AS try
                FROM split_payout_request r JOIN channel_access a USING (unique_id)
                WHERE {pending} AND (r.received_at > $2 OR $5 = '{ACCUMULATE_QUEUE}')
                  AND {table}.{queued}
                      < $1::timestamptz - least($3::interval * power(2, least({table}.{tries}, 10) - 1), $4::interval)
                  AND NOT EXISTS (
                      SELECT 1 FROM outbox o WHERE o.unique_id = r.unique_id AND o.queue = $5 AND o.sent_at IS NULL
                  )
                ORDER BY {table}.{queued} LIMIT $6 FOR UPDATE OF {table} SKIP LOCKED
                """,
                *(now, now - GIVE_UP, AGAIN_AFTER, AGAIN_AT_MOST, queue, AT_ONCE),
            )
            sends = [send_of(row, queue) for row in rows]
            await connection.execute(
                f"UPDATE {target} SET {tries} = {tries} + 1, {queued} = $2 WHERE unique_id = ANY($1)",
                *([row["unique_id"] for row in rows], now),
            )
            written = await self._kit.outbox.write(connection, sends, now)
        return await self._kit.outbox.send(written)

    async def _give_up(self, now: datetime) -> int:
        """Close grants that did not succeed in time, each with a dead letter."""
        async with self._kit.db.transaction() as connection:
            rows = await connection.fetch(
                """
                UPDATE channel_access AS access SET refused_at = $1
                FROM (
                    SELECT a.unique_id FROM channel_access a JOIN split_payout_request r USING (unique_id)
                    WHERE a.granted_at IS NULL AND a.refused_at IS NULL AND r.received_at <= $2
                      AND (a.queued_at <= $4 OR NOT EXISTS (
                          SELECT 1 FROM dead_letters l
                          WHERE l.unique_id = a.unique_id AND l.service = $5 AND l.code = ANY($6)
                      ))
                    ORDER BY a.queued_at LIMIT $3 FOR UPDATE OF a SKIP LOCKED
                ) AS late JOIN split_payout_request r USING (unique_id)
                WHERE access.unique_id = late.unique_id RETURNING r.*, access.tries
                """,
                # What was given up or refused before was put anew by an operator, and has an hour.
                *(now, now - GIVE_UP, AT_ONCE, now - AGAIN_AT_MOST),
                *(self._kit.settings.service, [GIVEN_UP, REFUSED]),
            )
            for row in rows:
                send = send_of({**row, "try": row["tries"]}, ACCESS_QUEUE)
                letter = deadletters.Letter(
                    service=self._kit.settings.service,
                    endpoint="/sweep",
                    code=GIVEN_UP,
                    why=GIVEN_UP_WHY,
                    body=send.message.encode(),
                    unique_id=send.unique_id,
                    attempt=row["tries"],
                )
                await deadletters.store(connection, letter, now)
                # Before the commit: a crash may repeat the alert, not lose it.
                _log.error(
                    "dead letter",
                    what="dead_letter",
                    status="dead",
                    code=GIVEN_UP,
                    why=GIVEN_UP_WHY,
                    unique_id=send.unique_id,
                )
        return len(rows)


def send_of(row: Any, queue: str) -> Send:
    """Make a payment's first message to a queue once more: `try` says which time it is."""
    order = Order(
        unique_id=row["unique_id"],
        user_id=row["user_id"],
        channel_id=row["channel_id"],
        issued_at=row["received_at"],
        subscription_days=row["subscription_days"],
        amount=Amount(currency=row["currency"], units=row["amount"]),
        client_wallet=row["client_wallet"],
        payout_currency=row["payout_currency"],
        payout_network=row["payout_network"],
    )
    message = (
        grant_access(order)
        if queue == ACCESS_QUEUE
        else onward_of(order.unique_id, order, order.amount, row["threshold_usdt"], row["received_at"])
    )
    return Send(queue=queue, message=message, unique_id=order.unique_id, key=str(row["try"]))
