"""What operators may do: see an event with its postings, list those that failed or died, replay them or put them
aside, name a user.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import asyncpg

from service_code.kit import actions, logs
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.messages import UnreadableError, parse_json
from service_code.kit.paynow import book
from service_code.kit.paynow.event import TOPIC, PayNowEvent
from service_code.kit.paynow.notice import LONGEST_ID
from service_code.kit.publications import Publish
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

#: Events that one listing shows.
LISTED = 500
#: How an event ends that waits for somebody.
ENDED = ("failed", "dead")

_log = logs.get("operate")


class Desk:
    """Answers operators."""

    def __init__(self, kit: Kit, catalogue: Mapping[str, int]) -> None:
        self._kit = kit
        self._catalogue = catalogue

    async def dead(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /dead?status=&after=: the oldest first; by default those that wait for somebody.

        What a page leaves out comes `after` the event in `next`.
        """
        status, after = incoming.query.get("status", "open"), incoming.query.get("after", "")
        if status not in ("open", "all", "failed", "dead", "archived"):
            return Reply(400, {"error": "BAD_REQUEST", "reason": "status must be open, all, failed, dead or archived"})
        rows = await self._kit.db.fetch(
            f"""
            {book.EVENTS}
            WHERE status IN ('failed', 'dead')
              AND CASE WHEN archived_at IS NULL THEN $1 IN ('all', 'open', status) ELSE $1 IN ('all', 'archived') END
              AND ($3 = '' OR (received_at, event_id) > (
                  SELECT received_at, event_id FROM paynow_events WHERE event_id = $3
              ))
            ORDER BY received_at, event_id LIMIT $2
            """,
            *(status, LISTED, after),
        )
        following = rows[-1]["event_id"] if len(rows) == LISTED else None
        return Reply(200, {"dead": [book.shown(row, self._catalogue) for row in rows], "next": following})

    async def replay(self, incoming: Incoming, call: Call) -> Reply:
        """POST /dead/{event_id}/replay: publish it anew; once, however often it is asked for."""
        event_id, wish = incoming.path["event_id"], actions.texts(incoming.body)
        call.about(event_id)
        connection = await call.begin()
        row = await connection.fetchrow("SELECT * FROM paynow_events WHERE event_id = $1 FOR UPDATE", event_id)
        if row is None:
            return _unknown()
        if (refused := _not_now(row)) is not None:
            return refused
        await connection.execute(
            """
            UPDATE paynow_events SET status = 'queued', queued_at = $2, closed_at = NULL, code = NULL, why = NULL,
                replays = replays + 1
            WHERE event_id = $1
            """,
            *(event_id, call.now),
        )
        publish = Publish(
            topic=TOPIC,
            message=PayNowEvent.read(row["message"]),
            unique_id=event_id,
            ordering_key=row["ordering_key"],
            key=str(row["replays"] + 2),
        )
        await self._kit.publications.write(connection, publish, call.now)
        done = Action(
            verb="replay", kind="event", subject=event_id, before=f"{row['status']}: {row['code']}", after="replayed",
            why=wish.get("why"),
        )  # fmt: skip
        await actions.note(incoming, call, done, by=wish.get("by"))
        await call.commit()
        await self._kit.publications.send(TOPIC, publish.line)
        _log.info("replayed", what="event_replayed", status="queued", code=row["code"])
        return Reply(200, {"status": "replayed", "event_id": event_id})

    async def archive(self, incoming: Incoming, call: Call) -> Reply:
        """POST /dead/{event_id}/archive with {"why"}: nobody waits for it any more, and no delivery counts."""
        return await self._mark(incoming, call, archived=True)

    async def restore(self, incoming: Incoming, call: Call) -> Reply:
        """POST /dead/{event_id}/restore with {"why"}: take that back."""
        return await self._mark(incoming, call, archived=False)

    async def _mark(self, incoming: Incoming, call: Call, *, archived: bool) -> Reply:
        event_id, wish = incoming.path["event_id"], actions.texts(incoming.body)
        call.about(event_id)
        if not wish.get("why"):
            return Reply(400, {"error": "NO_REASON", "reason": "say why: {'why': ...}"})
        connection = await call.begin()
        row = await connection.fetchrow("SELECT * FROM paynow_events WHERE event_id = $1 FOR UPDATE", event_id)
        if row is None:
            return _unknown()
        status = row["status"]
        if status not in ENDED:
            reason = f"it is {status}: only what failed or died is put aside"
            return Reply(409, {"error": status.upper(), "reason": reason})
        after = "archived" if archived else status
        if archived == (row["archived_at"] is not None):
            return Reply(200, {"status": f"already_{after}", "event_id": event_id})
        at = call.now if archived else None
        await connection.execute("UPDATE paynow_events SET archived_at = $2 WHERE event_id = $1", event_id, at)
        done = Action(
            verb="archive" if archived else "restore", kind="event", subject=event_id,
            before=status if archived else "archived", after=after, why=wish["why"],
        )  # fmt: skip
        await actions.note(incoming, call, done, by=wish.get("by"))
        _log.info("put aside or taken back", what="event_marked", status=after)
        return Reply(200, {"status": after, "event_id": event_id})

    async def event(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /events/{event_id}: what became of it, to the posting."""
        event_id = incoming.path["event_id"]
        row = await self._kit.db.row(f"{book.EVENTS} WHERE event_id = $1", event_id)
        if row is None:
            return _unknown()
        sent = await self._kit.db.fetch(
            "SELECT created_at, sent_at, attempts, last_error FROM outbox WHERE queue = $1 AND unique_id = $2 "
            "ORDER BY place",
            *(TOPIC, event_id),
        )
        credits_ = await self._kit.db.fetch(
            "SELECT credit_key, user_id, points, balance, credited_at FROM wallet_credits WHERE event_id = $1", event_id
        )
        lines = await self._kit.db.fetch(
            """
            SELECT entry_key, account, currency, amount FROM ledger_postings JOIN ledger_entries USING (entry_key)
            WHERE unique_id = $1 ORDER BY entry_key, account
            """,
            event_id,
        )
        done = await self._kit.db.fetch(
            "SELECT at, service, account, said_by, verb, kind, subject, before, after, why FROM operator_actions "
            "WHERE kind = 'event' AND subject = $1 ORDER BY id LIMIT 200",
            event_id,
        )
        found = {"publications": sent, "credits": credits_, "ledger": lines, "actions": done}
        shown = {name: [_plain(one) for one in rows] for name, rows in found.items()}
        return Reply(200, {**book.shown(row, self._catalogue), **shown, "replay": self._verdict(row)})

    def _verdict(self, row: Any) -> dict[str, Any]:
        """Whether a replay may, why not, and what it would do."""
        refused = _not_now(row)
        if refused is not None:
            code = str(refused.body.get("error") or refused.body["status"])
            return {"may": False, "code": code, "why": refused.body.get("reason") or f"it is {row['status']}"}
        would = "publishes the same event anew, after whatever of its key is queued"
        again = book.as_things_are(row, self._catalogue)
        look = f"it is refused again until the reason is gone: {again.code}, {again.why}" if again else None
        return {"may": True, "code": None, "why": look, "would": would}

    async def register(self, incoming: Incoming, call: Call) -> Reply:
        """POST /users/{user_id} with {"customer_id"}: who may have a wallet, and as whom PayNow knows him."""
        user_id = incoming.path["user_id"]
        try:
            body = parse_json(incoming.body or b"{}")
        except UnreadableError as error:
            return Reply(400, {"error": error.code, "reason": error.why})
        customer = body.get("customer_id") if isinstance(body, dict) else ""
        if len(user_id) > LONGEST_ID or not (customer is None or (isinstance(customer, str) and _is_id(customer))):
            return Reply(400, {"error": "BAD_FIELD", "reason": f"ids have at most {LONGEST_ID} printable characters"})
        connection = await call.begin()
        try:
            row = await connection.fetchrow(
                """
                INSERT INTO wallet_users (user_id, customer_id, created_at) VALUES ($1, $2, $3)
                ON CONFLICT (user_id) DO UPDATE SET customer_id = coalesce($2, wallet_users.customer_id)
                RETURNING user_id, customer_id, points
                """,
                *(user_id, customer, call.now),
            )
        except asyncpg.UniqueViolationError:
            return Reply(409, {"error": "CUSTOMER_TAKEN", "reason": "this customer is another user's"})
        assert row is not None
        return Reply(200, _plain(row))


def _unknown() -> Reply:
    return Reply(404, {"error": "NO_SUCH_EVENT", "reason": "no such event was received"})


def _not_now(row: Any) -> Reply | None:
    """Answer for an event that is not to be replayed, or not now; nothing for one that is."""
    if row["status"] not in ENDED:
        return Reply(200, {"status": f"already_{row['status']}", "event_id": row["event_id"]})
    if row["archived_at"] is not None:
        return Reply(409, {"error": "ARCHIVED", "reason": "it was put aside: take that back before it is replayed"})
    return None


def _is_id(text: str) -> bool:
    return 0 < len(text) <= LONGEST_ID and text.isascii() and text.isprintable()


def _plain(row: Any) -> dict[str, Any]:
    """Return a row as JSON takes it: units as digits, times as text."""
    return {
        name: value.isoformat() if hasattr(value, "isoformat") else str(value) if name in UNITS else value
        for name, value in dict(row).items()
    }


#: Columns of units, which JSON readers would turn into doubles.
UNITS = ("points", "balance", "amount")
