"""What operators may do: see an event with its postings, list and replay those that failed or died, name a user."""

from __future__ import annotations

from typing import Any

import asyncpg

from service_code.kit import logs
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

_log = logs.get("operate")


class Desk:
    """Answers operators."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def dead(self, _incoming: Incoming, _call: Call) -> Reply:
        """GET /dead: the oldest first."""
        rows = await self._kit.db.fetch(
            "SELECT * FROM paynow_events WHERE status IN ('failed', 'dead') ORDER BY received_at LIMIT $1", LISTED
        )
        return Reply(200, {"dead": [book.shown(row) for row in rows]})

    async def replay(self, incoming: Incoming, call: Call) -> Reply:
        """POST /dead/{event_id}/replay: publish it anew; once, however often it is asked for."""
        event_id = incoming.path["event_id"]
        call.about(event_id)
        connection = await call.begin()
        row = await connection.fetchrow("SELECT * FROM paynow_events WHERE event_id = $1 FOR UPDATE", event_id)
        if row is None:
            return Reply(404, {"error": "NO_SUCH_EVENT", "reason": "no such event was received"})
        if row["status"] not in ("failed", "dead"):
            return Reply(200, {"status": f"already_{row['status']}", "event_id": event_id})
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
        await call.commit()
        await self._kit.publications.send(TOPIC, publish.line)
        _log.info("replayed", what="event_replayed", status="queued", code=row["code"])
        return Reply(200, {"status": "replayed", "event_id": event_id})

    async def event(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /events/{event_id}: what became of it, to the posting."""
        event_id = incoming.path["event_id"]
        row = await self._kit.db.row("SELECT * FROM paynow_events WHERE event_id = $1", event_id)
        if row is None:
            return Reply(404, {"error": "NO_SUCH_EVENT", "reason": "no such event was received"})
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
        found = {"publications": sent, "credits": credits_, "ledger": lines}
        return Reply(200, {**book.shown(row), **{name: [_plain(one) for one in rows] for name, rows in found.items()}})

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
