"""What the exchange has refused beside the dead, for operators: a client's batch, or the conversion of one payment.

Neither is dead: no money has moved, it stands in accumulated_funds, and the batch holds up all that its client is paid
later. Each waits for somebody who asks again, at the door of the service that keeps it: gcbatchprocessor's
`/batches/{batch_id}/retry`, gcsplit2's `/conversions/{unique_id}/retry`; or who has paid it by other means, and says so
at gcbatchprocessor's `/settle` of either. Reads and never writes.
"""

from __future__ import annotations

from typing import Any

from service_code.gcsplit.showing import ACTIONS, LETTERS, OUTBOX, SUMS, plain
from service_code.kit.call import Call
from service_code.kit.deaths import HOPELESS
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply
from service_code.kit.threshold import BEHIND

LISTED = 500
#: What was refused is known by its letters: of their keepers no other names it, but of what nobody accumulated.
LETTER = """
    SELECT code, why, count(*) OVER () AS number FROM dead_letters AS l
    WHERE l.unique_id = {id} AND l.service = '{service}' AND starts_with(l.code, 'EXCHANGE_') ORDER BY l.id DESC LIMIT 1
"""
BATCH = f"""
    SELECT 'batch' AS kind, b.batch_id AS id, b.assembled_at AS since, b.status,
        coalesce(CASE WHEN b.status = 'refused' THEN b.error_code END, said.code) AS code,
        coalesce(CASE WHEN b.status = 'refused' THEN b.error_message END, said.why) AS why,
        b.currency, b.amount::text AS amount, b.members,
        ({BEHIND.format(batch_id="b.batch_id")}) AS behind, coalesce(said.number, 0) AS attempts
    FROM payout_batches AS b
    LEFT JOIN LATERAL ({LETTER.format(id="b.batch_id", service="gcbatchprocessor")}) AS said ON true
"""
CONVERSION = f"""
    SELECT 'conversion' AS kind, a.unique_id AS id, a.created_at AS since,
        CASE WHEN a.conversion_status = 'failed' THEN 'refused' WHEN own.batch_id IS NOT NULL THEN 'settled'
            ELSE a.conversion_status END AS status,
        coalesce(CASE WHEN a.conversion_status = 'failed' THEN split_part(a.conversion_error, ': ', 1) END, said.code),
        coalesce(CASE WHEN a.conversion_status = 'failed' THEN a.conversion_error END, said.why),
        a.currency, a.accumulated_eth::text, 1, 0, a.conversion_attempts
    FROM payout_accumulation AS a
    LEFT JOIN payout_batches AS own ON own.batch_id = a.batch_id AND own.status = 'settled'
    LEFT JOIN LATERAL ({LETTER.format(id="a.unique_id", service="gcsplit2")}) AS said ON true
"""
#: How it may be listed: what waits, or all that ever waited.
LISTS = {
    "open": f"{BATCH} WHERE b.status = 'refused' UNION ALL {CONVERSION} WHERE a.conversion_status = 'failed'",
    "all": f"{BATCH} WHERE b.status = 'refused' OR said.code IS NOT NULL UNION ALL {CONVERSION} "
    "WHERE a.conversion_status = 'failed' OR said.code IS NOT NULL",
}
LISTS["refused"] = LISTS["open"]
#: One, by its own id or by that of a payment that is in the batch; by its own also a batch that was never refused: an
#: exchange that is gone for good leaves it as it is.
ONE = f"""
    SELECT * FROM (
        {BATCH} WHERE b.batch_id IN ($1, (SELECT batch_id FROM payout_accumulation WHERE unique_id = $1))
        UNION ALL {CONVERSION} WHERE a.unique_id = $1
    ) AS one WHERE status = 'refused' OR code IS NOT NULL OR (status = 'assembled' AND id = $1)
    ORDER BY status = 'refused' DESC, kind LIMIT 1
"""
MEMBERS = "SELECT unique_id FROM payout_accumulation WHERE batch_id = $1 ORDER BY created_at, unique_id LIMIT 500"


class Refused:
    """Answers operators about what was refused."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def listed(self, incoming: Incoming, _call: Call) -> Reply:
        """GET /refused?status=&after=: those `after` what `next` says are the next page."""
        status, after = incoming.query.get("status", "open"), incoming.query.get("after", "")
        if status not in LISTS:
            return Reply(400, {"error": "BAD_REQUEST", "reason": f"status must be one of {', '.join(LISTS)}"})
        sql = f"SELECT * FROM ({LISTS[status]}) AS refused WHERE kind || ' ' || id > $1 ORDER BY kind, id LIMIT $2"
        rows = [_shown(row) for row in await self._kit.db.fetch(sql, after, LISTED)]
        following = f"{rows[-1]['kind']} {rows[-1]['id']}" if len(rows) == LISTED else None
        return Reply(200, {"refused": rows, "next": following})

    async def one(self, incoming: Incoming, call: Call) -> Reply:
        """GET /refused/{unique_id}: with its payments, letters, and what was done to it."""
        row = await self._kit.db.row(ONE, incoming.path["unique_id"])
        if row is None:
            return Reply(404, {"error": "NOT_REFUSED", "reason": "the exchange has refused nothing of this id"})
        id_, kind = row["id"], row["kind"]
        call.about(id_)
        rows = {
            "ledger": await self._kit.db.fetch(SUMS, id_),
            "outbox": await self._kit.db.fetch(OUTBOX, id_),
            "letters": await self._kit.db.fetch(LETTERS, id_),
            "actions": await self._kit.db.fetch(ACTIONS, id_, kind),
        }
        found: dict[str, Any] = {name: [plain(one) for one in some] for name, some in rows.items()}
        found["payments"] = [one["unique_id"] for one in await self._kit.db.fetch(MEMBERS, id_)]
        return Reply(200, {**_shown(row), **found, "replay": _verdict(row)})


def is_hopeful(code: str | None) -> bool:
    """Whether a refusal may have been of the moment: judged as a death of this code is."""
    return code not in HOPELESS


def _shown(row: Any) -> dict[str, Any]:
    return {**plain(row), "retryable": is_hopeful(row["code"])}


def _verdict(row: Any) -> dict[str, Any]:
    """Whether it may be asked for again, why not, and what that does."""
    if row["status"] == "assembled":
        why = "it waits for nobody any more: the schedule of gcbatchprocessor asks the exchange each minute"
        return {"may": False, "code": "already_assembled", "why": why}
    if row["status"] != "refused":
        why = f"it waits for nobody any more: its {row['kind']} is {row['status']}"
        return {"may": False, "code": f"already_{row['status']}", "why": why}
    would = "asks the exchange what it is worth once more; nothing is paid by that"
    if row["kind"] == "batch":
        would = "asks the exchange for an order once more; the host wallet pays it in stages then, for all its payments"
    look = None if is_hopeful(row["code"]) else "as things are it is refused again: look first, and replay it by its id"
    return {"may": True, "code": None, "why": look, "would": would}
