"""Batches for operators: those that are not paid; one that the exchange has refused, ordered once more; and one that is
not ordered, recorded as paid by other means. Each is done once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from service_code.gcbatchprocessor.batches import Batches
from service_code.kit import actions, ledger, logs
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.changenow import ExchangeAwayError
from service_code.kit.clock import stamp
from service_code.kit.money import Amount
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply
from service_code.kit.threshold import client_of

LISTED = 500
#: A batch, until the transaction ends.
HELD = "SELECT * FROM payout_batches WHERE batch_id = $1 FOR UPDATE"
STANDS = "SELECT status, error_code, error_message FROM payout_batches WHERE batch_id = $1"
#: How one stands that nobody is paid for yet.
UNSENT = ("assembled", "refused")

_log = logs.get("operate")


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
            FROM payout_batches WHERE status <> 'paid' AND status <> 'settled' ORDER BY assembled_at LIMIT $1
            """,
            LISTED,
        )
        shown = [
            {key: stamp(value) if isinstance(value, datetime) else value for key, value in dict(row).items()}
            for row in rows
        ]
        return Reply(200, {"batches": shown})

    async def retry(self, incoming: Incoming, call: Call) -> Reply:
        """POST /batches/{batch_id}/retry: order a refused batch once more. A dead payout is gcsplit's to replay.

        Of several who ask one does it; the others are told how it stands. From then on the batch is one that is
        assembled, so that a crash here, or an exchange that is away, leaves it to the sweeper.
        """
        batch_id, wish = incoming.path["batch_id"], actions.texts(incoming.body)
        call.about(batch_id)
        async with self._kit.db.transaction() as connection:
            row = await connection.fetchrow(HELD, batch_id)
            if row is None:
                return Reply(404, {"error": "NO_SUCH_BATCH", "reason": "no batch of this id was assembled"})
            if row["status"] != "refused":
                return Reply(200, {"status": f"already_{row['status']}", "batch_id": batch_id})
            await connection.execute(
                "UPDATE payout_batches SET status = 'assembled', error_code = NULL, error_message = NULL "
                "WHERE batch_id = $1",
                batch_id,
            )
            done = Action(
                verb="replay", kind="batch", subject=batch_id, before=_stood(row), after="assembled",
                why=wish.get("why"),
            )  # fmt: skip
            await actions.note(incoming, call, done, by=wish.get("by"), connection=connection)
        return await self._order(row, call)

    async def settle(self, incoming: Incoming, call: Call) -> Reply:
        """POST /batches/{batch_id}/settle {"tx_hash": ..., "note": ...}: one not ordered was paid by other means.

        An exchange that is gone for good refuses nothing, so that one which is assembled is settled, too. An order that
        is on its way meanwhile is dropped: whoever sends a batch looks at its row under this lock.
        """
        batch_id, wish = incoming.path["batch_id"], actions.texts(incoming.body, ("tx_hash", "note"))
        call.about(batch_id)
        if (how := actions.how_settled(wish)) is None:
            return Reply(400, {"error": "BAD_REQUEST", "reason": actions.NOT_HOW})
        connection = await call.begin()
        row = await connection.fetchrow(HELD, batch_id)
        if row is None:
            return Reply(404, {"error": "NO_SUCH_BATCH", "reason": "no batch of this id was assembled"})
        if row["status"] == "settled":
            return Reply(200, {"status": "settled", "already": "settled", "batch_id": batch_id})
        if row["status"] not in UNSENT:
            reason = f"it is {row['status']}, and only what is not ordered at the exchange is settled"
            return Reply(409, {"error": "NOT_REFUSED", "reason": reason})
        await connection.execute(
            "UPDATE payout_batches SET status = 'settled', closed_at = $2 WHERE batch_id = $1", batch_id, call.now
        )
        held = Amount(currency=row["currency"], units=row["amount"])
        await ledger.post(connection, [ledger.settled(batch_id, held, how.reference)], call.now)
        done = Action(verb="settle", kind="batch", subject=batch_id, before=_stood(row), after="settled", why=how.told)
        await actions.note(incoming, call, done, by=wish.get("by"))
        _log.warning("a batch was settled outside", what="batch_settled", status="settled")
        return Reply(200, {"status": "settled", "batch_id": batch_id})

    async def _order(self, row: Any, call: Call) -> Reply:
        """Have it ordered, and answer by its own row: somebody else may have been quicker, or have settled it."""
        batch_id, why = row["batch_id"], "another works on it at this moment"
        try:
            await self._batches.advance(client_of(row), call)
        except ExchangeAwayError as error:
            why = f"the exchange gives no answer ({error})"
        now = await self._kit.db.row(STANDS, batch_id)
        assert now is not None
        if now["status"] == "assembled":
            reason = f"{why}: the schedule of gcbatchprocessor asks it each minute"
            return Reply(502, {"error": "EXCHANGE_AWAY", "reason": reason})
        if now["status"] == "refused":
            return Reply(409, {"error": now["error_code"], "reason": now["error_message"]})
        if now["status"] == "settled":
            return Reply(200, {"status": "already_settled", "batch_id": batch_id})
        # By this request, or by a sweep that took it up meanwhile.
        _log.warning("a refused batch was ordered after all", what="batch_retried", status="sent")
        return Reply(200, {"status": "sent", "batch_id": batch_id})


def _stood(row: Any) -> str:
    """How a batch stood before, in an action's words."""
    return f"refused: {row['error_code']}" if row["status"] == "refused" else str(row["status"])
