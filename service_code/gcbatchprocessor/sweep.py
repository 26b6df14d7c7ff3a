"""The batches' sweeper: sends what is unsent and still in its window, takes up clients whose threshold is met and whose
message was lost, and notes what became of the payouts (the rows of split_payout_que, which gcsplit's sweeper keeps).

The oldest goes first, and nobody holds up the rest: clients behind a refused batch are left out, and a pair that the
exchange gives no answer for is asked once a round, after those that it was not away for, each in its turn.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from service_code.gcbatchprocessor.batches import TRIGGER_QUEUE, Batches
from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.changenow import ExchangeAwayError
from service_code.kit.runtime import Kit
from service_code.kit.threshold import COLUMNS, PAIR, PAYABLE, SAME, client_of

#: Clients that one sweep takes up, and the seconds after which it begins no more.
AT_ONCE, LONGEST = 50, 20.0
#: So many pairs in a row without an answer end a round: the exchange is away, and each would wait its time out.
AWAY = 3
#: As gcsplit's: the trigger's token lives for a day, and a handler may hold it for some seconds more.
WINDOW, GRACE = timedelta(hours=24), timedelta(seconds=30)
#: Conversions of the last seconds have their message in hand.
IN_HAND = timedelta(seconds=30)

#: Clients who are due, or whose batch is assembled and not sent. $1: the latest conversion that nobody has in hand; $3:
#: pairs that go last, in this order.
DUE = f"""
    SELECT {COLUMNS} FROM (
        SELECT {COLUMNS}, max(coalesce(converted_at, created_at)) AS since FROM payout_accumulation AS a
        WHERE {PAYABLE} AND NOT EXISTS (
            SELECT 1 FROM payout_batches AS b WHERE status IN ('assembled', 'refused') AND {SAME}
        )
        GROUP BY {COLUMNS}
        HAVING sum(accumulated_usdt) >= (array_agg(threshold_usdt ORDER BY created_at DESC, unique_id DESC)
            FILTER (WHERE threshold_usdt IS NOT NULL))[1] AND max(coalesce(converted_at, created_at)) < $1
        UNION ALL
        SELECT {COLUMNS}, assembled_at FROM payout_batches WHERE status = 'assembled' AND assembled_at < $1
    ) AS due
    ORDER BY array_position($3::text[], {PAIR}) NULLS FIRST, since, {COLUMNS} LIMIT $2
    """
#: What a payout's row says of its batch.
NOTE = """
    UPDATE payout_batches AS batch SET status = now_is.status, closed_at = now_is.closed_at
    FROM (
        SELECT unique_id, closed_at,
            CASE status WHEN 'pending_hostpay' THEN 'sent' WHEN 'completed' THEN 'paid' ELSE 'failed' END AS status
        FROM split_payout_que
    ) AS now_is
    WHERE now_is.unique_id = batch.batch_id AND batch.status IN ('sent', 'failed') AND batch.status <> now_is.status
    RETURNING batch_id
    """
_log = logs.get("sweep")


class Sweeper:
    """Handles POST /sweep."""

    def __init__(self, kit: Kit, batches: Batches) -> None:
        self._kit = kit
        self._batches = batches
        #: Pairs without an answer, the one that was asked the longest ago first.
        self._away: dict[str, None] = {}

    async def sweep(self, call: Call) -> Mapping[str, Any]:
        """Do one round."""
        resent = await self._kit.outbox.resend(queue=TRIGGER_QUEUE, created_after=call.now - WINDOW - GRACE)
        noted = len(await self._kit.db.fetch(NOTE))
        return {"status": "swept", "resent": resent, "sent": await self._advance(call), "noted": noted}

    async def _advance(self, call: Call) -> int:
        """Bring clients' batches as far as they go; how many were sent."""
        until, sent, away = time.monotonic() + LONGEST, 0, set[str]()
        in_a_row = 0
        for row in await self._kit.db.fetch(DUE, call.now - IN_HAND, AT_ONCE, list(self._away)):
            client = client_of(row)
            if (pair := client.pair) in away:
                continue
            if in_a_row == AWAY or time.monotonic() >= until:
                break
            self._away.pop(pair, None)
            try:
                sent += await self._batches.advance(client, call) == "sent"
                in_a_row = 0
            except ExchangeAwayError as error:
                self._away[pair] = None
                away.add(pair)
                in_a_row += 1
                _log.warning(
                    "batches wait for the exchange", status="retry", what="batch_waits", pair=pair, why=str(error)
                )
        return sent
