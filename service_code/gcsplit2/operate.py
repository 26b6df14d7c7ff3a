"""Conversions that are not done, for operators: how many, since when, what is wrong; and one that has failed, again."""

from __future__ import annotations

from service_code.kit import actions
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.clock import stamp
from service_code.kit.money import Amount
from service_code.kit.outcomes import Send
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply
from service_code.kit.threshold import CONVERT_QUEUE, EstimateAndUpdate

LISTED = 500


class Conversions:
    """Answers operators."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def listed(self, _incoming: Incoming, _call: Call) -> Reply:
        """GET /conversions: what is pending or has failed, the oldest first."""
        rows = await self._kit.db.fetch(
            """
            SELECT unique_id, client_id, currency, accumulated_eth::text AS accumulated, conversion_status AS status,
                conversion_attempts AS attempts, too_small, conversion_error AS error, created_at AS since
            FROM payout_accumulation WHERE conversion_status <> 'completed' ORDER BY created_at LIMIT $1
            """,
            LISTED,
        )
        found = [{**dict(row), "since": stamp(row["since"])} for row in rows]
        return Reply(200, {"conversions": found})

    async def retry(self, incoming: Incoming, call: Call) -> Reply:
        """POST /conversions/{unique_id}/retry: convert what has failed, once more; of several who ask one does it."""
        unique_id, wish = incoming.path["unique_id"], actions.texts(incoming.body)
        call.about(unique_id)
        connection = await call.begin()
        row = await connection.fetchrow(
            """
            SELECT client_id, currency, accumulated_eth, conversion_attempts, conversion_status AS status,
                conversion_error AS error
            FROM payout_accumulation WHERE unique_id = $1 FOR UPDATE
            """,
            unique_id,
        )
        if row is None:
            return Reply(404, {"error": "NO_SUCH_PAYMENT", "reason": "no payment of this id was accumulated"})
        if row["status"] != "failed":
            return Reply(200, {"status": f"already_{row['status']}", "unique_id": unique_id})
        await connection.execute(
            "UPDATE payout_accumulation SET conversion_status = 'pending', conversion_error = NULL "
            "WHERE unique_id = $1",
            unique_id,
        )
        done = Action(
            verb="replay", kind="conversion", subject=unique_id, before=f"refused: {row['error'].partition(':')[0]}",
            after="pending", why=wish.get("why"),
        )  # fmt: skip
        await actions.note(incoming, call, done, by=wish.get("by"))
        question = EstimateAndUpdate(
            unique_id=unique_id,
            client_id=row["client_id"],
            accumulated=Amount(currency=row["currency"], units=row["accumulated_eth"]),
        )
        key = f"retry-{row['conversion_attempts']}"
        sends = [Send(queue=CONVERT_QUEUE, message=question, unique_id=unique_id, key=key)]
        rows = await self._kit.outbox.write(connection, sends, call.now)
        await call.commit()
        await self._kit.outbox.send(rows)
        return Reply(200, {"status": "pending", "unique_id": unique_id})
