"""A batch's payout that was given up: noted on the batch, beside its death, so that whoever looks at it sees why.

Its money stands in dead_payouts, and a replay is gcsplit's, as of every payout. A replay that was faster is left alone.
"""

from __future__ import annotations

from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.clock import from_millis
from service_code.kit.outcomes import Dead, Done, Outcome
from service_code.kit.staged import PayoutFailed

_log = logs.get("failed")


class BatchFailures:
    """Handles POST /batch-payment-failed."""

    async def note(self, news: PayoutFailed, call: Call) -> Outcome:
        """Note it, once."""
        logs.about(cn_api_id=news.cn_api_id)
        connection = await call.begin()
        row = await connection.fetchrow(
            "SELECT status, members FROM payout_batches WHERE batch_id = $1 FOR UPDATE", news.unique_id
        )
        if row is None:
            return Dead("UNKNOWN_BATCH", "no batch of this id was assembled")
        standing = await connection.fetchrow(
            """
            SELECT 1 FROM split_payout_que WHERE unique_id = $1 AND generation = $2 AND status = 'dead'
            """,
            *(news.unique_id, news.generation),
        )
        if standing is None or row["status"] not in ("sent", "failed"):
            return Done("no_longer_failed")
        await connection.execute(
            """
            UPDATE payout_batches SET status = 'failed', error_code = $2, error_message = $3, closed_at = $4
            WHERE batch_id = $1
            """,
            *(news.unique_id, news.error_code, news.error_message, from_millis(news.failed_at)),
        )
        _log.warning(
            "a batch's payout failed",
            what="batch_failed",
            status="failed",
            code=news.error_code,
            members=row["members"],
        )
        return Done("failed")
