"""Everything about one dead payment, for operators: its deaths, its way, where its money stands, what a replay does.

Reads and never writes. What a replay may is said by the rules that the replay itself goes by; between the two somebody
else may act, so the replay asks again under its locks.
"""

from __future__ import annotations

from typing import Any

from service_code.gcsplit.failed import FLOW, shown
from service_code.gcsplit.replay import BEING_PAID, not_dead
from service_code.kit.call import Call
from service_code.kit.clock import stamp
from service_code.kit.deaths import SIGNED
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

DEATHS = f"""
    SELECT f.*, {FLOW.format(id="f.unique_id")} AS flow FROM failed_transactions AS f
    WHERE unique_id = $1 ORDER BY generation
"""
#: The batch by which a payment is paid.
BATCH_OF = "SELECT batch_id FROM payout_accumulation WHERE unique_id = $1 AND batch_id IS NOT NULL"
SUMS = """
    SELECT e.account, e.currency, sum(e.amount)::text AS amount
    FROM ledger_postings p JOIN ledger_entries e USING (entry_key) WHERE p.unique_id = $1
    GROUP BY e.account, e.currency HAVING sum(e.amount) <> 0 ORDER BY e.account, e.currency
"""
OUTBOX = """
    SELECT service, queue, way, created_at, attempts, sent_at, cancelled_at, withheld_at, last_error, pins FROM outbox
    WHERE unique_id = $1 ORDER BY created_at, id LIMIT 200
"""
LETTERS = """
    SELECT id, service, endpoint, code, why, attempt_number, created_at, archived_at FROM dead_letters
    WHERE unique_id = $1 ORDER BY id LIMIT 200
"""
PINS = "SELECT service, revision, pinned_by, pinned_at FROM release_pins WHERE unique_id = $1 ORDER BY service"
ACTIONS = """
    SELECT at, service, account, said_by, verb, kind, subject, before, after, why FROM operator_actions
    WHERE kind = $2 AND subject = $1 ORDER BY id LIMIT 200
"""


class Showing:
    """Answers operators about one."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def payment(self, incoming: Incoming, call: Call) -> Reply:
        """GET /dead/{unique_id}: of a payment, or of the batch that it is paid by."""
        unique_id = incoming.path["unique_id"]
        call.about(unique_id)
        deaths = await self._kit.db.fetch(DEATHS, unique_id)
        if not deaths and (batch := await self._kit.db.row(BATCH_OF, unique_id)) is not None:
            unique_id = batch["batch_id"]
            deaths = await self._kit.db.fetch(DEATHS, unique_id)
        if not deaths:
            return Reply(404, {"error": "NOT_DEAD", "reason": "no death of this payment is recorded"})
        rows = {
            "ledger": await self._kit.db.fetch(SUMS, unique_id),
            "outbox": await self._kit.db.fetch(OUTBOX, unique_id),
            "letters": await self._kit.db.fetch(LETTERS, unique_id),
            "pins": await self._kit.db.fetch(PINS, unique_id),
            "actions": await self._kit.db.fetch(ACTIONS, unique_id, "payment"),
        }
        signed = await self._kit.db.row(SIGNED, unique_id) is not None
        found: dict[str, Any] = {name: [plain(row) for row in some] for name, some in rows.items()}
        found["deaths"] = [shown(row) for row in deaths]
        return Reply(200, {"unique_id": unique_id, **found, "replay": _verdict(deaths[-1], signed=signed)})


def _verdict(dead: Any, *, signed: bool) -> dict[str, Any]:
    """Whether a replay may, why not, and what it would do."""
    refused = not_dead(dead["unique_id"], dead["status"], dead["error_code"])
    if refused is not None:
        code = str(refused.body.get("error") or refused.body["status"])
        return {"may": False, "code": code, "why": refused.body.get("reason") or "it is no longer dead"}
    if signed:
        return {"may": False, "code": "BEING_PAID", "why": BEING_PAID}
    held = "the money leaves dead_payouts again"
    if dead["stage"] == "split":
        would = f"orders an exchange, divides the payment and has the host pay it; {held}"
    else:
        following = dead["generation"] + 1
        would = (
            f"makes generation {following}: the exchange order if it still waits, else a fresh one, a new token; {held}"
        )
    look = None if dead["retryable"] else "as things are it dies again: look first, and replay it by its id"
    return {"may": True, "code": None, "why": look, "would": would}


def plain(row: Any) -> dict[str, Any]:
    """Return a row as JSON takes it."""
    return {name: stamp(value) if hasattr(value, "isoformat") else value for name, value in dict(row).items()}
