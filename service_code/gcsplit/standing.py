"""What is not at its end, for `sluice reconcile`: each payment that is older than its stage usually takes, in pages.
The sweeper says each minute of each stage how many wait in it and since when, which alerts go by: no metric of
Google's says how old the oldest task of a queue is.

Reads and never writes. A stage has a window, the time within which a healthy system is through with it; what is younger
is counted as in flight. `last` is the last message of a payment: by its task's name Cloud Tasks is asked for it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from service_code.gcsplit.onward import onward
from service_code.gcsplit.refused import is_hopeful
from service_code.gcsplit.rules import Rules
from service_code.kit import logs
from service_code.kit.call import Call
from service_code.kit.changenow import TOO_SMALL
from service_code.kit.clock import stamp
from service_code.kit.deaths import OPEN
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply
from service_code.kit.settings import DIRECT
from service_code.kit.stations import STAGES
from service_code.kit.tasks import task_id
from service_code.kit.threshold import BEHIND

#: Payments of one page.
PAGE = 500
#: How long a healthy system is in each stage. `staged` waits for four queues, `mined` for two epochs of the chain,
#: `convert` until an hour, after which gcsplit2's sweeper alerts; what is dead, and what the exchange has refused of a
#: threshold's, waits for an operator alone. `small` waits for company, so that nobody is woken in its first week.
WINDOWS = {
    "split": timedelta(minutes=10),
    "gather": timedelta(minutes=10),
    "single": timedelta(minutes=5),
    "staged": timedelta(minutes=10),
    "signed": timedelta(minutes=10),
    "mined": timedelta(hours=1),
    "convert": timedelta(hours=1),
    "small": timedelta(days=7),
    "batch": timedelta(minutes=10),
    "batch_due": timedelta(minutes=10),
    "access": timedelta(hours=1),
    "dead": timedelta(0),
    "refused": timedelta(0),
    "unsent": timedelta(minutes=2),
}
#: What `say` counts by: what waits for an operator alone is named at once, and an alarm stands for as long as it does.
USUAL = {**WINDOWS, "refused": timedelta(minutes=10)}
#: Every stage's payments: id, flow, stage, since, code, currency and amount. One payment may stand in two of
#: them. What PayNow's entry publishes is its own to tell.
STANDING = f"""
    SELECT unique_id, CASE WHEN threshold_usdt IS NULL THEN 'split' ELSE 'threshold' END AS flow,
        CASE WHEN threshold_usdt IS NULL THEN 'split' ELSE 'gather' END AS stage,
        received_at AS since, NULL AS code, currency, amount
    FROM split_payout_request AS r
    WHERE NOT split_done
      AND NOT EXISTS (SELECT 1 FROM split_payout_que q WHERE q.unique_id = r.unique_id)
      AND NOT EXISTS (SELECT 1 FROM payout_accumulation a WHERE a.unique_id = r.unique_id)
      AND NOT EXISTS (SELECT 1 FROM failed_transactions f WHERE f.unique_id = r.unique_id)
    UNION ALL
    SELECT q.unique_id,
        CASE WHEN b.batch_id IS NOT NULL THEN 'threshold' WHEN q.way = 'staged' THEN 'staged' ELSE 'split' END,
        CASE WHEN h.status IS NULL THEN q.way WHEN h.status = 'completed' THEN 'mined' ELSE 'signed' END,
        CASE WHEN h.status IS NULL THEN q.pending_since ELSE coalesce(h.mined_at, h.signed_at) END,
        CASE WHEN h.status IS NULL THEN s.state ELSE h.tx_hash END, q.from_currency, q.from_amount
    FROM split_payout_que AS q
    LEFT JOIN split_payout_hostpay AS h ON h.unique_id = q.unique_id AND h.status <> 'failed'
    LEFT JOIN hostpay_stages AS s ON s.unique_id = q.unique_id AND s.generation = q.generation
    LEFT JOIN payout_batches AS b ON b.batch_id = q.unique_id
    WHERE q.status = 'pending_hostpay'
    UNION ALL
    SELECT unique_id, 'threshold', CASE WHEN conversion_status = 'failed' THEN 'refused'
            WHEN too_small AND starts_with(conversion_error, '{TOO_SMALL}') THEN 'small' ELSE 'convert' END, created_at,
        coalesce(conversion_error, conversion_status), currency, accumulated_eth
    FROM payout_accumulation WHERE conversion_status <> 'completed'
    UNION ALL
    SELECT batch_id, 'threshold', CASE status WHEN 'refused' THEN 'refused' ELSE 'batch' END, assembled_at,
        CASE status WHEN 'refused' THEN error_code ELSE status END, currency, amount
    FROM payout_batches WHERE status IN ('assembled', 'refused')
    UNION ALL
    SELECT min(unique_id), 'threshold', 'batch_due', max(converted_at), NULL, currency, sum(accumulated_eth)
    FROM payout_accumulation AS a WHERE conversion_status = 'completed' AND batch_id IS NULL
      AND NOT EXISTS (
          SELECT 1 FROM payout_batches b WHERE b.status IN ('assembled', 'refused') AND b.client_id = a.client_id
            AND b.client_wallet = a.client_wallet AND b.currency = a.currency
      )
    GROUP BY client_id, client_wallet, payout_currency, payout_network, currency
    HAVING max(converted_at) IS NOT NULL
        AND sum(accumulated_usdt) >= (array_agg(threshold_usdt ORDER BY created_at DESC))[1]
    UNION ALL
    SELECT unique_id, CASE WHEN stage = 'split' THEN 'split' ELSE 'payout' END, 'dead', failed_at, error_code,
        currency, amount
    FROM failed_transactions WHERE status IN ('dead', 'investigating')
    UNION ALL
    SELECT a.unique_id, 'access', 'access', r.received_at, NULL, r.currency, r.amount
    FROM channel_access AS a JOIN split_payout_request AS r USING (unique_id)
    WHERE a.granted_at IS NULL AND a.refused_at IS NULL
    UNION ALL
    SELECT unique_id, 'message', 'unsent', greatest(created_at, coalesce(due_at, created_at)), queue, NULL, NULL
    FROM outbox WHERE sent_at IS NULL AND cancelled_at IS NULL AND queue <> 'paynow-events'
"""
LATE = "since <= $1::timestamptz - coalesce($2::interval, ($3::jsonb ->> stage)::interval)"
#: The message of a payment that is furthest on its way, as far as its stage goes: a first one that was put anew
#: meanwhile is not. Of one station it is the newest.
LAST = """
    SELECT id, service, queue, way, minted_at, withheld_at, sent_at, cancelled_at, due_at, last_error FROM outbox AS o
    WHERE o.unique_id = late.unique_id
      AND ($6::jsonb -> late.stage ? o.queue OR late.stage = 'unsent' AND o.queue = late.code)
    ORDER BY coalesce((message ->> 'generation')::int, 0) DESC,
        array_position(ARRAY(SELECT jsonb_array_elements_text($6::jsonb -> late.stage)), o.queue) DESC, minted_at DESC
    LIMIT 1
"""
#: Payments that are paid by a batch, some of them.
MEMBERS = "SELECT a.unique_id FROM payout_accumulation a WHERE a.batch_id = late.unique_id ORDER BY 1 LIMIT 20"

_log = logs.get("standing")


class Standing:
    """Answers operators about what is not at its end."""

    def __init__(self, kit: Kit, rules: Rules) -> None:
        self._kit = kit
        self._rules = rules

    async def payments(self, incoming: Incoming, call: Call) -> Reply:
        """GET /reconcile/payments?after=&older_than=&stage=&unique_id=: what is past its window, of one or of all.

        The first page also counts the rest, and says how long a stage's window is. Of one payment it is also where the
        batch stands that it is paid by.
        """
        query = incoming.query
        older = query.get("older_than", "")
        if older and not (older.isascii() and older.isdigit() and len(older) < 9):
            return Reply(400, {"error": "BAD_REQUEST", "reason": "older_than must be whole seconds"})
        if (stage := query.get("stage", "")) not in ("", *WINDOWS):
            return Reply(400, {"error": "BAD_REQUEST", "reason": f"stage must be one of {', '.join(WINDOWS)}"})
        span = timedelta(seconds=int(older)) if older else None
        windows = {stage: f"{window.total_seconds()} seconds" for stage, window in WINDOWS.items()}
        after = query.get("after", "")
        rows = await self._kit.db.fetch(
            f"""
            WITH late AS (
                SELECT * FROM ({STANDING}) AS standing WHERE {LATE} AND $7 IN ('', stage) AND CASE $8
                    WHEN '' THEN unique_id || ' ' || stage > $4
                    ELSE unique_id IN ($8, (SELECT m.batch_id FROM payout_accumulation AS m WHERE m.unique_id = $8)) END
                ORDER BY unique_id || ' ' || stage LIMIT $5
            )
            SELECT late.*, last.id, last.service, last.queue, last.way, last.minted_at, last.withheld_at, last.sent_at,
                last.cancelled_at, last.due_at, last.last_error, death.status AS death, death.retryable, death.note,
                ARRAY({MEMBERS}) AS payments,
                CASE WHEN late.stage IN ('batch', 'refused') THEN ({BEHIND.format(batch_id="late.unique_id")}) END
                    AS behind
            FROM late LEFT JOIN LATERAL ({LAST}) AS last ON true
            LEFT JOIN failed_transactions AS death
                ON late.stage = 'dead' AND death.unique_id = late.unique_id AND death.{OPEN}
            ORDER BY late.unique_id || ' ' || late.stage
            """,
            *(call.now, span, windows, after, PAGE, STAGES, stage, query.get("unique_id", "")),
        )
        found: dict[str, Any] = {"now": stamp(call.now), "payments": [_shown(row, self._rules) for row in rows]}
        found["next"] = f"{rows[-1]['unique_id']} {rows[-1]['stage']}" if len(rows) == PAGE else None
        if not after:
            counts = await self._kit.db.fetch(
                f"SELECT stage, count(*) AS n FROM ({STANDING}) AS standing WHERE NOT ({LATE}) GROUP BY stage",
                *(call.now, span, windows),
            )
            found["in_flight"] = {row["stage"]: row["n"] for row in counts}
            found["windows"] = {name: window.total_seconds() for name, window in WINDOWS.items()}
        return Reply(200, found)

    async def say(self, now: datetime) -> None:
        """Log each stage in which anything waits: how many, since when, and how many times its window that is."""
        rows = await self._kit.db.fetch(
            f"SELECT stage, count(*) AS n, min(since) AS since FROM ({STANDING}) AS standing GROUP BY stage"
        )
        for row in rows:
            stage, age = row["stage"], (now - row["since"]).total_seconds()
            window = USUAL[stage].total_seconds()
            said = {"overdue": round(age / window, 3)} if window else {}
            _log.info(
                "payments wait", what="waiting", status="waiting", stage=stage, waiting=row["n"],
                oldest=round(age, 1), **said,
            )  # fmt: skip


def _shown(row: Any, rules: Rules) -> dict[str, Any]:
    last, (onwards, at) = None, onward(row, rules)
    if row["id"] is not None:
        last = {
            "service": row["service"],
            "queue": row["queue"],
            "task": task_id(row["id"]),
            "direct": row["way"] == DIRECT,
            "withheld": row["withheld_at"] is not None and row["sent_at"] is None and row["cancelled_at"] is None,
            "sent_at": row["sent_at"] and stamp(row["sent_at"]),
            "cancelled_at": row["cancelled_at"] and stamp(row["cancelled_at"]),
            "due_at": row["due_at"] and stamp(row["due_at"]),
            "error": row["last_error"],
        }
    return {
        "unique_id": row["unique_id"],
        "flow": row["flow"],
        "stage": row["stage"],
        "since": stamp(row["since"]),
        "code": row["code"],
        "currency": row["currency"],
        "amount": None if row["amount"] is None else str(row["amount"]),
        "last": last,
        "by_itself": onwards,
        "by_itself_at": at and stamp(at),
        "death": row["death"],
        "retryable": is_hopeful(row["code"].partition(":")[0]) if row["stage"] == "refused" else row["retryable"],
        "note": row["note"],
        "payments": row["payments"],
        "behind": row["behind"],
    }
