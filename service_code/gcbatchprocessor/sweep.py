"""The batches' sweeper: sends what is unsent and still in its window, takes up clients whose threshold is met and whose
message was lost, and notes what became of the payouts (the rows of split_payout_que, which gcsplit's sweeper keeps).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from service_code.gcbatchprocessor.batches import TRIGGER_QUEUE, Batches
from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.changenow import ExchangeAwayError
from service_code.kit.runtime import Kit
from service_code.kit.threshold import COLUMNS, PAYABLE, client_of

#: Clients that one sweep takes up.
AT_ONCE = 50
#: As gcsplit's: the trigger's token lives for a day, and a handler may hold it for some seconds more.
WINDOW, GRACE = timedelta(hours=24), timedelta(seconds=30)
#: Conversions of the last seconds have their message in hand.
IN_HAND = timedelta(seconds=30)

#: Clients who are due, or whose batch is assembled and not sent. $1: the latest conversion that nobody has in hand.
DUE = f"""
    SELECT {COLUMNS} FROM payout_accumulation WHERE {PAYABLE} GROUP BY {COLUMNS}
    HAVING sum(accumulated_usdt) >= (array_agg(threshold_usdt ORDER BY created_at DESC, unique_id DESC)
        FILTER (WHERE threshold_usdt IS NOT NULL))[1] AND max(coalesce(converted_at, created_at)) < $1
    UNION
    SELECT {COLUMNS} FROM payout_batches WHERE status = 'assembled' AND assembled_at < $1
    LIMIT $2
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

    async def sweep(self, call: Call) -> Mapping[str, Any]:
        """Do one round."""
        resent = await self._kit.outbox.resend(queue=TRIGGER_QUEUE, created_after=call.now - WINDOW - GRACE)
        noted = len(await self._kit.db.fetch(NOTE))
        sent = 0
        for row in await self._kit.db.fetch(DUE, call.now - IN_HAND, AT_ONCE):
            try:
                sent += await self._batches.advance(client_of(row), call) == "sent"
            except ExchangeAwayError as error:
                _log.warning("batches wait for the exchange", status="retry", what="batch_waits", why=str(error))
                break
        return {"status": "swept", "resent": resent, "sent": sent, "noted": noted}
