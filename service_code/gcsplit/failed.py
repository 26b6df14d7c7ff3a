"""Failed transactions for operators: listed by what is wrong with them, marked as looked into, or as paid otherwise.

A retry is `replay`'s. Everything here is idempotent: asked twice, it is answered twice and done once (seeds/004).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from service_code.kit import actions, ledger, logs
from service_code.kit.actions import Action
from service_code.kit.call import Call
from service_code.kit.clock import stamp
from service_code.kit.deaths import OPEN, SIGNED, hold_payout
from service_code.kit.money import Amount
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

LISTED = 500
#: What an operator may set by hand: both keep the payment dead.
BY_HAND = ("dead", "investigating")
STATUSES = (*BY_HAND, "replayed", "paid_late", "recovered")
#: The payer's code of a death whose coins left the wallet otherwise than asked, and what of them is not settled.
STRAY_TRANSFER = "STRAY_TRANSFER"
STRAYED = """
    SELECT coalesce(sum(amount), 0) FROM ledger_entries JOIN ledger_postings USING (entry_key)
    WHERE unique_id = $1 AND account = 'strayed_funds' AND currency = $2
"""
#: What a standing death is marked as, held until the transaction ends: a replay holds it too.
STANDS = f"SELECT status FROM failed_transactions WHERE unique_id = $1 AND {OPEN} FOR UPDATE"
#: How a payment goes, or went: `split` where it died before a way was chosen.
FLOW = """
    CASE WHEN EXISTS (SELECT 1 FROM payout_batches b WHERE b.batch_id = {id})
            OR EXISTS (SELECT 1 FROM split_payout_request r WHERE r.unique_id = {id} AND r.threshold_usdt IS NOT NULL)
        THEN 'threshold'
        ELSE coalesce((SELECT q.way FROM split_payout_que q WHERE q.unique_id = {id}), 'split') END
"""
_CODE = re.compile(r"[A-Z0-9_]{1,60}")

_log = logs.get("failed")


class Failed:
    """Answers operators about failed transactions."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def listed(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /failed-transactions?status=&code=&retryable=&after=: the oldest first; by default those that stand.

        What a page leaves out begins `after` the number in `next`.
        """
        query = incoming.query
        status, code, retryable = query.get("status", "open"), query.get("code"), query.get("retryable")
        if status not in ("open", "all", *STATUSES):
            return _refused(f"status must be open, all, {', '.join(STATUSES)}, not {status[:40]}")
        if code is not None and not _CODE.fullmatch(code):
            return _refused("code must be one such as INVALID_ADDRESS")
        if retryable not in (None, "true", "false"):
            return _refused("retryable must be true or false")
        if (after := number(query.get("after", "0"))) is None:
            return _refused("after must be the number that another page gave")
        rows = await self._kit.db.fetch(
            f"""
            SELECT f.*, {FLOW.format(id="f.unique_id")} AS flow FROM failed_transactions AS f
            WHERE CASE $1 WHEN 'all' THEN true WHEN 'open' THEN {OPEN} ELSE status = $1 END
              AND ($2::text IS NULL OR error_code = $2) AND ($3::boolean IS NULL OR retryable = $3)
              AND ($5 = 0 OR (failed_at, id) > (SELECT failed_at, id FROM failed_transactions WHERE id = $5))
            ORDER BY failed_at, id LIMIT $4
            """,
            *(status, code, None if retryable is None else retryable == "true", LISTED, after),
        )
        following = rows[-1]["id"] if len(rows) == LISTED else None
        return Reply(200, {"failed_transactions": [shown(row) for row in rows], "next": following})

    async def mark(self, incoming: Incoming, call: Call) -> Reply:
        """POST /failed-transactions/{unique_id}/status {"status": "investigating" or "dead", "note": ...}."""
        wish = actions.texts(incoming.body, ("status", "note"))
        if wish.get("status") not in BY_HAND:
            why = "the others follow from what happens: a retry, a payout, or /recovered"
            return _refused(f"status must be {' or '.join(BY_HAND)}; {why}")
        unique_id, connection = incoming.path["unique_id"], await call.begin()
        before = await connection.fetchval(STANDS, unique_id)
        if before is None:
            return await self._not_open(unique_id)
        row = await connection.fetchrow(
            f"""
            UPDATE failed_transactions SET status = $2, note = coalesce($3, note)
            WHERE unique_id = $1 AND {OPEN} RETURNING *
            """,
            *(unique_id, wish["status"], wish.get("note")),
        )
        said = wish.get("note") or wish.get("why")
        if before != wish["status"] or said:
            done = Action(verb="mark", kind="payment", subject=unique_id, before=before, after=wish["status"], why=said)
            await actions.note(incoming, call, done, by=wish.get("by"))
        return Reply(200, shown(row))

    async def recovered(self, incoming: Incoming, call: Call) -> Reply:
        """POST /failed-transactions/{unique_id}/recovered {"tx_hash": ..., "note": ...}: it was paid by other means."""
        unique_id = incoming.path["unique_id"]
        call.about(unique_id)
        wish = actions.texts(incoming.body, ("tx_hash", "note"))
        if (how := actions.how_settled(wish)) is None:
            return _refused(actions.NOT_HOW)
        connection = await call.begin()
        await hold_payout(connection, unique_id)
        if await connection.fetchrow(SIGNED, unique_id) is not None:
            reason = "a payout of it is signed: the next sweep takes the death back"
            return Reply(409, {"error": "BEING_PAID", "reason": reason})
        before = await connection.fetchval(STANDS, unique_id)
        row = await connection.fetchrow(
            f"""
            UPDATE failed_transactions SET status = 'recovered', recovery_tx_hash = $2, note = coalesce($3, note),
                closed_at = $4
            WHERE unique_id = $1 AND {OPEN} RETURNING *
            """,
            *(unique_id, wish.get("tx_hash"), wish.get("note"), call.now),
        )
        if row is None:
            return await self._not_open(unique_id)
        held = Amount(currency=row["currency"], units=row["amount"])
        postings = [ledger.recovered(unique_id, row["generation"], held, how.reference)]
        if row["error_code"] == STRAY_TRANSFER:
            strayed = Amount(currency=held.currency, units=await connection.fetchval(STRAYED, unique_id, held.currency))
            postings.append(ledger.stray_settled(unique_id, row["generation"], strayed, how.reference))
        await ledger.post(connection, postings, call.now)
        done = Action(verb="settle", kind="payment", subject=unique_id, before=before, after="recovered", why=how.told)
        await actions.note(incoming, call, done, by=wish.get("by"))
        _log.warning("a dead payment was settled outside", what="payment_recovered", status="recovered")
        return Reply(200, shown(row))

    async def _not_open(self, unique_id: str) -> Reply:
        sql = "SELECT * FROM failed_transactions WHERE unique_id = $1 ORDER BY generation DESC LIMIT 1"
        row = await self._kit.db.row(sql, unique_id)
        if row is None:
            return Reply(404, {"error": "NOT_DEAD", "reason": "no death of this payment is recorded"})
        return Reply(200, {**shown(row), "already": row["status"]})


def number(text: str) -> int | None:
    """Read the number of a row; nothing where it is none that a row can have."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


def _refused(why: str) -> Reply:
    return Reply(400, {"error": "BAD_REQUEST", "reason": why})


def shown(row: Any) -> dict[str, Any]:
    """Return a death as operators see it."""
    found = {key: value for key, value in dict(row).items() if key != "id"}
    for key, value in found.items():
        if isinstance(value, datetime):
            found[key] = stamp(value)
    return {**found, "amount": str(found["amount"])}
