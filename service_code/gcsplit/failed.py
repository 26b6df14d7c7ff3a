"""Failed transactions for operators: listed by what is wrong with them, marked as looked into, or as paid otherwise.

A retry is `replay`'s. Everything here is idempotent: asked twice, it is answered twice and done once (seeds/004).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from service_code.kit import ledger, logs
from service_code.kit.call import Call
from service_code.kit.clock import stamp
from service_code.kit.deaths import OPEN, SIGNED, hold_payout
from service_code.kit.messages import UnreadableError, parse_json
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
_CODE = re.compile(r"[A-Z0-9_]{1,60}")
_HASH = re.compile(r"0x[0-9a-f]{64}")

_log = logs.get("failed")


class Failed:
    """Answers operators about failed transactions."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def listed(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /failed-transactions?status=&code=&retryable=: the oldest first; by default those that stand."""
        query = incoming.query
        status, code, retryable = query.get("status", "open"), query.get("code"), query.get("retryable")
        if status not in ("open", "all", *STATUSES):
            return _refused(f"status must be open, all, {', '.join(STATUSES)}, not {status[:40]}")
        if code is not None and not _CODE.fullmatch(code):
            return _refused("code must be one such as INVALID_ADDRESS")
        if retryable not in (None, "true", "false"):
            return _refused("retryable must be true or false")
        rows = await self._kit.db.fetch(
            f"""
            SELECT * FROM failed_transactions
            WHERE CASE $1 WHEN 'all' THEN true WHEN 'open' THEN {OPEN} ELSE status = $1 END
              AND ($2::text IS NULL OR error_code = $2) AND ($3::boolean IS NULL OR retryable = $3)
            ORDER BY failed_at LIMIT $4
            """,
            *(status, code, None if retryable is None else retryable == "true", LISTED),
        )
        return Reply(200, {"failed_transactions": [_shown(row) for row in rows]})

    async def mark(self, incoming: Incoming, call: Call) -> Reply:
        """POST /failed-transactions/{unique_id}/status {"status": "investigating" or "dead", "note": ...}."""
        try:
            wish = _wish(incoming.body, {"status", "note"})
        except UnreadableError as error:
            return _refused(error.why)
        if wish.get("status") not in BY_HAND:
            why = "the others follow from what happens: a retry, a payout, or /recovered"
            return _refused(f"status must be {' or '.join(BY_HAND)}; {why}")
        connection = await call.begin()
        row = await connection.fetchrow(
            f"""
            UPDATE failed_transactions SET status = $2, note = coalesce($3, note)
            WHERE unique_id = $1 AND {OPEN} RETURNING *
            """,
            *(incoming.path["unique_id"], wish["status"], wish.get("note")),
        )
        return Reply(200, _shown(row)) if row is not None else await self._not_open(incoming.path["unique_id"])

    async def recovered(self, incoming: Incoming, call: Call) -> Reply:
        """POST /failed-transactions/{unique_id}/recovered {"tx_hash": ..., "note": ...}: it was paid by other means."""
        unique_id = incoming.path["unique_id"]
        call.about(unique_id)
        try:
            wish = _wish(incoming.body, {"tx_hash", "note"})
        except UnreadableError as error:
            return _refused(error.why)
        tx_hash = wish.get("tx_hash")
        if not (tx_hash or wish.get("note")) or (tx_hash is not None and not _HASH.fullmatch(tx_hash)):
            return _refused("say how: tx_hash, 0x and 64 hex digits, or a note")
        connection = await call.begin()
        await hold_payout(connection, unique_id)
        if await connection.fetchrow(SIGNED, unique_id) is not None:
            reason = "a payout of it is signed: the next sweep takes the death back"
            return Reply(409, {"error": "BEING_PAID", "reason": reason})
        row = await connection.fetchrow(
            f"""
            UPDATE failed_transactions SET status = 'recovered', recovery_tx_hash = $2, note = coalesce($3, note),
                closed_at = $4
            WHERE unique_id = $1 AND {OPEN} RETURNING *
            """,
            *(unique_id, tx_hash, wish.get("note"), call.now),
        )
        if row is None:
            return await self._not_open(unique_id)
        held = Amount(currency=row["currency"], units=row["amount"])
        how = str(tx_hash or wish.get("note"))[:200]
        postings = [ledger.recovered(unique_id, row["generation"], held, how)]
        if row["error_code"] == STRAY_TRANSFER:
            strayed = Amount(currency=held.currency, units=await connection.fetchval(STRAYED, unique_id, held.currency))
            postings.append(ledger.stray_settled(unique_id, row["generation"], strayed, how))
        await ledger.post(connection, postings, call.now)
        _log.warning("a dead payment was settled outside", what="payment_recovered", status="recovered")
        return Reply(200, _shown(row))

    async def _not_open(self, unique_id: str) -> Reply:
        sql = "SELECT * FROM failed_transactions WHERE unique_id = $1 ORDER BY generation DESC LIMIT 1"
        row = await self._kit.db.row(sql, unique_id)
        if row is None:
            return Reply(404, {"error": "NOT_DEAD", "reason": "no death of this payment is recorded"})
        return Reply(200, {**_shown(row), "already": row["status"]})


def _wish(body: bytes, known: set[str]) -> dict[str, Any]:
    wish = parse_json(body or b"{}")
    if not isinstance(wish, dict) or not set(wish) <= known or not all(isinstance(v, str) for v in wish.values()):
        raise UnreadableError("BAD_BODY", f"the body is a JSON object of {', '.join(sorted(known))}, all texts")
    if any(len(value) > 1000 or "\0" in value for value in wish.values()):
        raise UnreadableError("BAD_BODY", "a text has at most 1000 characters")
    return wish


def _refused(why: str) -> Reply:
    return Reply(400, {"error": "BAD_REQUEST", "reason": why})


def _shown(row: Any) -> dict[str, Any]:
    found = {key: value for key, value in dict(row).items() if key != "id"}
    for key, value in found.items():
        if isinstance(value, datetime):
            found[key] = stamp(value)
    return {**found, "amount": str(found["amount"])}
