"""The dead letters of all services, for operators: what died where and why; and what operators did.

A letter is kept for ever and is replayed by what it is about, a payment or an event. One that is about neither waits
for a person, who puts it aside when it is understood: that is a mark, and can be taken back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service_code.gcsplit.failed import FLOW, number
from service_code.gcsplit.showing import ACTIONS, plain
from service_code.kit import actions, logs
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

#: Letters, or actions, that one listing shows.
LISTED = 500
SHOWN = (
    *("id", "service", "endpoint", "unique_id", "code", "why", "task_name", "attempt_number", "created_at"),
    "archived_at",
)
#: The flow that a service works for alone; a letter of another is of its payment's.
FLOWS: Mapping[str, str] = {
    "gchostpay": "single",
    **dict.fromkeys(("gchostpay1", "gchostpay2", "gchostpay3"), "staged"),
    **dict.fromkeys(("gcaccumulator", "gcbatchprocessor", "gcmicrobatchprocessor"), "threshold"),
    **dict.fromkeys(("paynowwebhook", "paynowworker"), "paynow"),
    "gcregister": "registration",
}
#: What else stands for a letter in a list: the death of its payment, its event, what the exchange refused, which only
#: its keeper's letter of that tells of, or a grant that was asked for again.
ABOUT = """
    CASE WHEN l.service = 'gcwebhook' AND l.code IN ('TELEGRAM_REFUSED', 'ACCESS_NOT_GRANTED') THEN (
            SELECT 'access' FROM channel_access a WHERE a.unique_id = l.unique_id
                AND (a.granted_at IS NOT NULL OR a.refused_at IS NULL))
        WHEN EXISTS (SELECT 1 FROM failed_transactions f WHERE f.unique_id = l.unique_id) THEN 'payment'
        WHEN EXISTS (SELECT 1 FROM paynow_events e WHERE e.event_id = l.unique_id) THEN 'event'
        WHEN starts_with(l.code, 'EXCHANGE_') AND l.service = 'gcbatchprocessor'
            AND EXISTS (SELECT 1 FROM payout_batches b WHERE b.batch_id = l.unique_id) THEN 'batch'
        WHEN starts_with(l.code, 'EXCHANGE_') AND l.service = 'gcsplit2'
            AND EXISTS (SELECT 1 FROM payout_accumulation a WHERE a.unique_id = l.unique_id) THEN 'conversion' END
"""
STATUS = f"CASE WHEN l.archived_at IS NOT NULL THEN 'archived' ELSE coalesce('of ' || {ABOUT}, 'open') END"
STATUSES = ("all", "open", "archived", "of payment", "of event", "of batch", "of conversion", "of access")

_log = logs.get("letters")


class Letters:
    """Answers operators about dead letters."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def listed(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /dead-letters?status=&before=: the newest first; those `before` the number in `next` are the next page.

        `open` are those for which nothing else stands.
        """
        status, before = incoming.query.get("status", "all"), number(incoming.query.get("before", "0"))
        if status not in STATUSES or before is None:
            reason = f"status must be one of {', '.join(STATUSES)}, before the number that another page gave"
            return Reply(400, {"error": "BAD_REQUEST", "reason": reason})
        rows = await self._kit.db.fetch(
            f"""
            SELECT * FROM (
                SELECT {", ".join(SHOWN)}, {STATUS} AS status, {FLOW.format(id="l.unique_id")} AS flow
                FROM dead_letters AS l WHERE $3 = 0 OR id < $3
            ) AS letters WHERE $1 IN ('all', status) ORDER BY id DESC LIMIT $2
            """,
            *(status, LISTED, before),
        )
        following = rows[-1]["id"] if len(rows) == LISTED else None
        return Reply(200, {"dead_letters": [_shown(row) for row in rows], "next": following})

    async def one(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /dead-letters/{number}: with its body, tokens struck out, and what was done to it."""
        row = await self._row(incoming)
        if row is None:
            return _unknown()
        done = await self._kit.db.fetch(ACTIONS, str(row["id"]), "letter")
        return Reply(200, {**_shown(row), "actions": [plain(one) for one in done]})

    async def archive(self, incoming: Incoming, call: Call) -> Reply:
        """POST /dead-letters/{number}/archive with {"why"}: nobody waits for it any more."""
        return await self._mark(incoming, call, archived=True)

    async def restore(self, incoming: Incoming, call: Call) -> Reply:
        """POST /dead-letters/{number}/restore with {"why"}: take that back."""
        return await self._mark(incoming, call, archived=False)

    async def _mark(self, incoming: Incoming, call: Call, *, archived: bool) -> Reply:
        wish = actions.texts(incoming.body)
        if not (why := wish.get("why")):
            return Reply(400, {"error": "NO_REASON", "reason": "say why: {'why': ...}"})
        row = await self._row(incoming)
        if row is None:
            return _unknown()
        connection = await call.begin()
        changed = await connection.fetchval(
            """
            UPDATE dead_letters SET archived_at = $2
            WHERE id = $1 AND (archived_at IS NULL) = ($2::timestamptz IS NOT NULL) RETURNING id
            """,
            *(row["id"], call.now if archived else None),
        )
        before, after = ("open", "archived") if archived else ("archived", "open")
        if changed is None:
            return Reply(200, {"status": f"already_{after}", "id": row["id"]})
        done = Action(
            verb="archive" if archived else "restore", kind="letter", subject=str(row["id"]), before=before,
            after=after, why=why,
        )  # fmt: skip
        await actions.note(incoming, call, done, by=wish.get("by"))
        _log.info("a dead letter was put aside or taken back", what="letter_marked", status=after)
        return Reply(200, {"status": after, "id": row["id"]})

    async def actions(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /operator-actions?subject=&before=: what operators did, the newest first."""
        before = number(incoming.query.get("before", "0"))
        if before is None:
            return Reply(400, {"error": "BAD_REQUEST", "reason": "before must be the number that another page gave"})
        rows = await self._kit.db.fetch(
            """
            SELECT * FROM operator_actions
            WHERE ($1::text IS NULL OR subject = $1) AND ($2 = 0 OR id < $2) ORDER BY id DESC LIMIT $3
            """,
            *(incoming.query.get("subject"), before, LISTED),
        )
        following = rows[-1]["id"] if len(rows) == LISTED else None
        return Reply(200, {"actions": [plain(row) for row in rows], "next": following})

    async def _row(self, incoming: Incoming) -> Any:
        known = number(incoming.path["number"])
        sql = f"""
            SELECT {", ".join(SHOWN)}, generation, body, {STATUS} AS status, {FLOW.format(id="l.unique_id")} AS flow
            FROM dead_letters AS l WHERE id = $1
        """
        return None if known is None else await self._kit.db.row(sql, known)


def _shown(row: Any) -> dict[str, Any]:
    return {**plain(row), "flow": FLOWS.get(row["service"], row["flow"])}


def _unknown() -> Reply:
    return Reply(404, {"error": "NO_SUCH_LETTER", "reason": "no dead letter has this number"})
