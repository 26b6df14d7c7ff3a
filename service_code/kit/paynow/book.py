"""The books of PayNow: each event is processed once, and what it paid for is credited once, in one transaction.

Both ways, sync and queue, go through `process`, so they leave the same rows. What it refuses for ever (`Terminal`) is
recorded with the event; everything else that goes wrong is an error, and whoever called tries again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from service_code.kit import ledger
from service_code.kit.db import Connection
from service_code.kit.messages import UnreadableError, parse_json
from service_code.kit.paynow.event import PayNowEvent
from service_code.kit.settings import Settings, SettingsError

#: What a product may be worth at most.
MOST_POINTS = 10**12
#: The user whom an event `e` is of, if he is known; events with theirs; an event that is asked about.
USER = """(
    SELECT u.user_id FROM wallet_users AS u
    WHERE u.user_id = e.user_id OR (e.user_id IS NULL AND u.customer_id = e.customer_id)
)"""
EVENTS = f"SELECT e.*, {USER} AS known_user FROM paynow_events AS e"
ASKED_FOR = "SELECT $1::text AS user_id, $2::text AS customer_id"


@dataclass(frozen=True, slots=True)
class Terminal:
    """Why an event can never be processed as it is."""

    code: str
    why: str


def catalogue_of(settings: Settings) -> Mapping[str, int]:
    """Read what each product is worth in points from config: a JSON object."""
    try:
        products = parse_json(settings.config("PAYNOW_PRODUCTS", "{}").encode())
    except UnreadableError:
        products = None
    if not isinstance(products, dict) or not all(
        type(points) is int and 0 < points <= MOST_POINTS for points in products.values()
    ):
        raise SettingsError("PAYNOW_PRODUCTS must be a JSON object of product ids and their points, each above 0")
    return dict(products)


async def ordering_key(connection: Connection, event: PayNowEvent) -> str:
    """Return the key in whose order an event is processed: its user's if one is known, else its customer's."""
    if event.user_id:
        return f"user:{event.user_id}"
    user = await connection.fetchval("SELECT user_id FROM wallet_users WHERE customer_id = $1", event.customer_id)
    return f"user:{user}" if user else f"customer:{event.customer_id}"


async def record(connection: Connection, event: PayNowEvent, key: str, mode: str, at: datetime) -> bool:
    """Record an event as queued in the caller's transaction; False if it was recorded before."""
    status = await connection.execute(
        """
        INSERT INTO paynow_events
            (event_id, kind, user_id, customer_id, ordering_key, message, mode, status, received_at, queued_at)
        VALUES ($1, $2, $3, $4, $5, $6::text::jsonb, $7, 'queued', $8, $8) ON CONFLICT (event_id) DO NOTHING
        """,
        *(event.unique_id, event.kind, event.user_id, event.customer_id, key, json.dumps(event.wire()), mode, at),
    )
    return not str(status).endswith(" 0")


async def process(
    connection: Connection, event: PayNowEvent, catalogue: Mapping[str, int], at: datetime
) -> str | Terminal:
    """Process an event in the caller's transaction, once: what became of it, or why nothing ever will."""
    row = await connection.fetchrow(
        "SELECT status, archived_at FROM paynow_events WHERE event_id = $1 FOR UPDATE", event.unique_id
    )
    if row is None:
        return Terminal("UNKNOWN_EVENT", "no such event was received")
    if row["status"] == "processed":
        return "already_processed"
    if row["status"] == "dead":
        return "already_dead"
    if row["archived_at"] is not None:  # somebody has settled it otherwise: only a replay credits it
        return "already_archived"
    found = await _credit(connection, event, catalogue, at)
    if isinstance(found, Terminal):
        await _close(connection, event, "dead", at, found)
        return found
    await _close(connection, event, "processed", at)
    return found


def refusal(event: PayNowEvent, user: str | None, catalogue: Mapping[str, int]) -> Terminal | None:
    """Say why an event of such a user, None for one that is not known, can never be processed as things are."""
    if user is None:
        named = f"id {event.user_id}" if event.user_id else f"customer {event.customer_id}"
        return Terminal("USER_NOT_FOUND", f"no user has the {named}")
    unknown = [line.product for line in event.lines if line.product not in catalogue]
    if unknown:
        return Terminal("UNKNOWN_PRODUCT", f"PAYNOW_PRODUCTS does not name {', '.join(sorted(set(unknown)))}"[:500])
    return None


async def _credit(
    connection: Connection, event: PayNowEvent, catalogue: Mapping[str, int], at: datetime
) -> str | Terminal:
    user = await connection.fetchval(f"SELECT {USER} FROM ({ASKED_FOR}) AS e", event.user_id, event.customer_id)
    if (refused := refusal(event, user, catalogue)) is not None:
        return refused
    points = sum(catalogue[line.product] * line.quantity for line in event.lines)
    if not points:
        return "nothing_to_credit"
    wallet = await connection.fetchval("SELECT points FROM wallet_users WHERE user_id = $1 FOR UPDATE", user)
    new = await connection.execute(
        """
        INSERT INTO wallet_credits (credit_key, event_id, user_id, points, balance, credited_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (credit_key) DO NOTHING
        """,
        *(event.credit_key, event.unique_id, user, points, wallet + points, at),
    )
    if str(new).endswith(" 0"):
        return "credited_before"
    await connection.execute("UPDATE wallet_users SET points = $2 WHERE user_id = $1", user, wallet + points)
    await ledger.post(connection, [ledger.points(event.credit_key, event.unique_id, points, user)], at)
    return "credited"


async def _close(
    connection: Connection, event: PayNowEvent, status: str, at: datetime, why: Terminal | None = None
) -> None:
    await connection.execute(
        """
        UPDATE paynow_events SET status = $2, closed_at = $3, code = $4, why = $5, attempts = attempts + 1
        WHERE event_id = $1
        """,
        *(event.unique_id, status, at, why and why.code, why and why.why),
    )


def shown(row: Any, catalogue: Mapping[str, int]) -> dict[str, Any]:
    """Return an event as operators see it, with whether it would go well as things are."""
    times = {
        name: row[name] and row[name].isoformat() for name in ("received_at", "queued_at", "closed_at", "archived_at")
    }
    names = ("event_id", "kind", "user_id", "customer_id", "mode", "status", "code", "why", "attempts", "replays")
    return {**{name: row[name] for name in names}, **times, "retryable": as_things_are(row, catalogue) is None}


def as_things_are(row: Any, catalogue: Mapping[str, int]) -> Terminal | None:
    """Say why a recorded event would be refused if it were processed now; the row is one of EVENTS."""
    return refusal(PayNowEvent.read(row["message"]), row["known_user"], catalogue)
