"""A grant that was given up, or that the Bot API has refused, once more, on an operator's word.

Its letter tells of it; what lets it through is mended outside, mostly the bot's rights in the channel. Source:
docs/adr/dead-letters.md.
"""

from __future__ import annotations

from service_code.gcwebhook.payments import ACCESS_QUEUE
from service_code.gcwebhook.sweep import send_of
from service_code.kit import actions, logs
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

_log = logs.get("operate")


class Grants:
    """Answers operators."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def again(self, incoming: Incoming, call: Call) -> Reply:
        """POST /payments/{unique_id}/grant."""
        unique_id, wish = incoming.path["unique_id"], actions.texts(incoming.body)
        call.about(unique_id)
        connection = await call.begin()
        row = await connection.fetchrow(
            """
            SELECT r.*, a.tries + 1 AS try, a.granted_at, a.refused_at
            FROM channel_access a JOIN split_payout_request r USING (unique_id)
            WHERE a.unique_id = $1 FOR UPDATE OF a
            """,
            unique_id,
        )
        if row is None:
            return Reply(404, {"error": "NO_SUCH_PAYMENT", "reason": "no payment of this id is recorded here"})
        if row["granted_at"] is not None or row["refused_at"] is None:
            status = "already_asked" if row["granted_at"] is None else "already_granted"
            return Reply(200, {"status": status, "unique_id": unique_id})
        await connection.execute(
            "UPDATE channel_access SET refused_at = NULL, tries = $2, queued_at = $3 WHERE unique_id = $1",
            *(unique_id, row["try"], call.now),
        )
        done = Action(
            verb="replay", kind="payment", subject=unique_id, before="access given up", after="access asked for",
            why=wish.get("why"),
        )  # fmt: skip
        await actions.note(incoming, call, done, by=wish.get("by"))
        rows = await self._kit.outbox.write(connection, [send_of(row, ACCESS_QUEUE)], call.now)
        await call.commit()
        await self._kit.outbox.send(rows)
        _log.warning("the Bot API is asked once more to let a buyer in", what="access_asked", status="asked")
        return Reply(200, {"status": "asked", "unique_id": unique_id})
