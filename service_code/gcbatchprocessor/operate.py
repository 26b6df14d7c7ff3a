"""Batches for operators: those that are not paid, and one that the exchange has refused, again."""

from __future__ import annotations

from datetime import datetime

from service_code.gcbatchprocessor.batches import Batches
from service_code.kit.call import Call
from service_code.kit.changenow import ExchangeAwayError
from service_code.kit.clock import stamp
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply
from service_code.kit.threshold import client_of

LISTED = 500


class Operators:
    """Answers operators."""

    def __init__(self, kit: Kit, batches: Batches) -> None:
        self._kit = kit
        self._batches = batches

    async def listed(self, _incoming: Incoming, _call: Call) -> Reply:
        """GET /batches: what is not paid, the oldest first."""
        rows = await self._kit.db.fetch(
            """
            SELECT batch_id, client_id, payout_currency, currency, amount::text, amount_usdt::text, members, status,
                error_code, error_message, assembled_at, sent_at
            FROM payout_batches WHERE status <> 'paid' ORDER BY assembled_at LIMIT $1
            """,
            LISTED,
        )
        shown = [
            {key: stamp(value) if isinstance(value, datetime) else value for key, value in dict(row).items()}
            for row in rows
        ]
        return Reply(200, {"batches": shown})

    async def retry(self, incoming: Incoming, call: Call) -> Reply:
        """POST /batches/{batch_id}/retry: order a refused batch once more. A dead payout is gcsplit's to replay."""
        batch_id = incoming.path["batch_id"]
        call.about(batch_id)
        row = await self._kit.db.row(
            "UPDATE payout_batches SET status = 'assembled' WHERE batch_id = $1 AND status = 'refused' RETURNING *",
            batch_id,
        )
        if row is None:
            return Reply(404, {"error": "NOT_REFUSED", "reason": "the exchange has refused no batch of this id"})
        try:
            return Reply(200, {"status": await self._batches.advance(client_of(row), call), "batch_id": batch_id})
        except ExchangeAwayError as error:
            return Reply(502, {"error": "EXCHANGE_AWAY", "reason": f"{error}: the sweeper goes on with it"})
