"""PayNow's books for `sluice reconcile`: events without an end, credits that miss or differ, wallets and the ledger.

Reads and never writes. An event's end, its credit, the wallet and the posting are one transaction, so that in one
reading they agree whatever is in flight; only how long an event may be queued is a matter of time.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from service_code.kit.call import Call
from service_code.kit.clock import stamp
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

#: Events of one page, and differences that are named.
PAGE, NAMED = 500, 200
#: Within which a healthy system is through with an event.
WINDOW = timedelta(minutes=10)

EVENTS = """
    SELECT e.event_id, e.status, e.code, coalesce(e.closed_at, e.queued_at) AS since, e.ordering_key,
        EXISTS (SELECT 1 FROM outbox o WHERE o.queue = 'paynow-events' AND o.unique_id = e.event_id) AS has_row,
        EXISTS (
            SELECT 1 FROM outbox o
            WHERE o.queue = 'paynow-events' AND o.unique_id = e.event_id AND o.sent_at IS NOT NULL
        ) AS published
    FROM paynow_events AS e
    WHERE (e.status = 'queued' AND e.queued_at < $1 OR e.status IN ('failed', 'dead') AND e.archived_at IS NULL)
        AND e.event_id > $2
    ORDER BY e.event_id LIMIT $3
"""
#: An order is credited once, a subscription once a period; what has no line of its own credits nothing.
CREDIT_KEY = """
    CASE WHEN message ->> 'period' IS NULL THEN 'order:' || (message ->> 'subject')
        ELSE 'subscription:' || (message ->> 'subject') || ':' || (message ->> 'period') END
"""
UNCREDITED = f"""
    SELECT event_id, closed_at AS since FROM paynow_events AS e
    WHERE status = 'processed' AND jsonb_array_length(message -> 'lines') > 0
      AND NOT EXISTS (SELECT 1 FROM wallet_credits c WHERE c.credit_key = {CREDIT_KEY})
    ORDER BY event_id LIMIT $1
"""
WALLETS = """
    SELECT user_id, points, credited FROM (
        SELECT u.user_id, u.points,
            coalesce((SELECT sum(c.points) FROM wallet_credits c WHERE c.user_id = u.user_id), 0) AS credited
        FROM wallet_users u
    ) AS wallets WHERE points <> credited ORDER BY user_id LIMIT $1
"""
POSTED = """
    SELECT key, sum(credited) AS credited, sum(posted) AS posted, min(event_id) AS event_id, min(at) AS since FROM (
        SELECT credit_key AS key, points AS credited, 0 AS posted, event_id, credited_at AS at FROM wallet_credits
        UNION ALL
        SELECT substr(p.entry_key, 8), 0, -e.amount, p.unique_id, p.posted_at
        FROM ledger_postings p JOIN ledger_entries e USING (entry_key)
        WHERE p.kind = 'points' AND e.account = 'user_points'
    ) AS sides GROUP BY key HAVING sum(credited) <> sum(posted) ORDER BY key LIMIT $1
"""
SUMS = """
    SELECT (SELECT coalesce(sum(points), 0) FROM wallet_users) AS wallets,
        (SELECT coalesce(sum(points), 0) FROM wallet_credits) AS credits,
        (SELECT coalesce(sum(amount), 0) FROM ledger_entries WHERE account = 'user_points') AS ledger
"""
IN_FLIGHT = "SELECT count(*) FROM paynow_events WHERE status = 'queued' AND queued_at >= $1"


class Reconciling:
    """Answers operators."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def events(self, incoming: Incoming, call: Call) -> Reply:
        """GET /reconcile/events?after=&older_than=: those without an end past their window, failed and dead ones."""
        older, after = incoming.query.get("older_than", ""), incoming.query.get("after", "")
        if older and not (older.isascii() and older.isdigit() and len(older) < 9):
            return Reply(400, {"error": "BAD_REQUEST", "reason": "older_than must be whole seconds"})
        until = call.now - (timedelta(seconds=int(older)) if older else WINDOW)
        rows = await self._kit.db.fetch(EVENTS, until, after, PAGE)
        events = [{**dict(row), "since": stamp(row["since"])} for row in rows]
        found: dict[str, Any] = {"now": stamp(call.now), "events": events}
        found["next"] = rows[-1]["event_id"] if len(rows) == PAGE else None
        if not after:
            count = await self._kit.db.row(IN_FLIGHT, until)
            found["in_flight"] = count[0] if count else 0
        return Reply(200, found)

    async def points(self, _incoming: Incoming, call: Call) -> Reply:
        """GET /reconcile/points: wallets, credits and ledger against one another."""
        async with self._kit.db.connection() as connection, connection.transaction(isolation="repeatable_read"):
            sums = await connection.fetchrow(SUMS)
            uncredited = await connection.fetch(UNCREDITED, NAMED)
            wallets = await connection.fetch(WALLETS, NAMED)
            posted = await connection.fetch(POSTED, NAMED)
        assert sums is not None
        return Reply(
            200,
            {
                "now": stamp(call.now),
                "sums": {name: str(sums[name]) for name in ("wallets", "credits", "ledger")},
                "uncredited": [{"event_id": row["event_id"], "since": stamp(row["since"])} for row in uncredited],
                "wallets": [
                    {"user_id": row["user_id"], "points": str(row["points"]), "credits": str(row["credited"])}
                    for row in wallets
                ],
                "posted": [
                    {
                        "credit_key": row["key"],
                        "event_id": row["event_id"],
                        "credited": str(row["credited"]),
                        "posted": str(row["posted"]),
                        "since": stamp(row["since"]),
                    }
                    for row in posted
                ],
            },
        )
