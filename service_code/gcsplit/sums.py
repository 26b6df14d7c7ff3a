"""The ledger against the rows that its postings were written with, for `sluice reconcile`.

Each posting is written in the transaction of its row, so that in one reading the two never differ, whatever is in
flight: a difference is a row or a posting that somebody has lost, changed or added. The wallet's
accounts are compared with the chain by the payer, points by PayNow's entry.
"""

from __future__ import annotations

from typing import Any

from service_code.kit.call import Call
from service_code.kit.clock import stamp
from service_code.kit.runtime import Kit
from service_code.kit.service import Incoming, Reply

#: Differences that are named.
NAMED = 200
#: Seconds for a reading of the whole ledger: that of 100,000 payments takes some.
PATIENCE = 25
#: What each row says should stand in an account, by payment; fees and rounding are one here.
EXPECTED = """
    SELECT 'processor_receivable' AS account, currency, unique_id, amount AS units FROM split_payout_request
    UNION ALL
    SELECT 'processor_receivable', currency, unique_id, accumulated_eth FROM payout_accumulation AS a
    WHERE NOT EXISTS (SELECT 1 FROM split_payout_request r WHERE r.unique_id = a.unique_id)
    UNION ALL
    SELECT 'unsplit_funds', currency, unique_id, -amount FROM split_payout_request AS r
    WHERE NOT EXISTS (SELECT 1 FROM split_payout_que q WHERE q.unique_id = r.unique_id)
      AND NOT EXISTS (SELECT 1 FROM payout_accumulation a WHERE a.unique_id = r.unique_id)
    UNION ALL
    SELECT 'accumulated_funds', currency, unique_id, -accumulated_eth FROM payout_accumulation
    UNION ALL
    SELECT 'accumulated_funds', currency, batch_id, amount FROM payout_batches
    WHERE status NOT IN ('assembled', 'refused')
    UNION ALL
    SELECT 'fees', r.currency, r.unique_id, q.from_amount - r.amount
    FROM split_payout_que q JOIN split_payout_request r USING (unique_id)
    UNION ALL
    SELECT 'fees', r.currency, r.unique_id, a.accumulated_eth - r.amount
    FROM payout_accumulation a JOIN split_payout_request r USING (unique_id)
    UNION ALL
    SELECT 'exchange_clearing', from_currency, unique_id, -from_amount FROM split_payout_que
    UNION ALL
    SELECT 'exchange_clearing', from_currency, unique_id, from_amount FROM split_payout_hostpay
    WHERE status = 'completed'
    UNION ALL
    SELECT from_account, currency, unique_id, amount FROM failed_transactions
    WHERE status IN ('dead', 'investigating', 'recovered')
    UNION ALL
    SELECT 'dead_payouts', currency, unique_id, -amount FROM failed_transactions
    WHERE status IN ('dead', 'investigating')
    UNION ALL
    SELECT 'settled_outside', currency, unique_id, -amount FROM failed_transactions WHERE status = 'recovered'
    UNION ALL
    SELECT 'settled_outside', currency, batch_id, -amount FROM payout_batches WHERE status = 'settled'
    UNION ALL
    SELECT 'settled_outside', e.currency, p.unique_id, e.amount
    FROM ledger_entries e JOIN ledger_postings p USING (entry_key) JOIN failed_transactions f USING (unique_id)
    WHERE e.account = 'strayed_funds' AND p.kind <> 'stray_settled'
      AND f.status = 'recovered' AND f.error_code = 'STRAY_TRANSFER'
"""
ACCOUNTS = (
    *("processor_receivable", "unsplit_funds", "accumulated_funds", "fees", "exchange_clearing"),
    *("dead_payouts", "settled_outside"),
)
BOTH = "CASE WHEN e.account IN ('platform_fees', 'rounding') THEN 'fees' ELSE e.account END"
SIDES = f"""
    SELECT {BOTH} AS account, e.currency, p.unique_id, e.amount AS ledger, 0 AS rows, p.posted_at AS at
    FROM ledger_entries e JOIN ledger_postings p USING (entry_key)
    UNION ALL
    SELECT account, currency, unique_id, 0, units, NULL FROM ({EXPECTED}) AS expected
"""
#: Sums by account, and payments whose two sides differ: two errors may cancel out in a sum. Both in one reading of all.
COMPARED = f"""
    WITH payment AS MATERIALIZED (
        SELECT account, currency, unique_id, sum(ledger) AS ledger, sum(rows) AS rows, min(at) AS since
        FROM ({SIDES}) AS sides WHERE account = ANY($1) GROUP BY 1, 2, 3
    )
    (SELECT account, currency, NULL AS unique_id, sum(ledger) AS ledger, sum(rows) AS rows, NULL::timestamptz AS since,
        true AS is_sum FROM payment GROUP BY 1, 2 ORDER BY 1, 2)
    UNION ALL
    (SELECT account, currency, unique_id, ledger, rows, since, false FROM payment WHERE ledger <> rows
        ORDER BY unique_id, account LIMIT $2)
"""
#: Postings that do not sum to zero, or have no lines: the database refuses them, its owner can make them.
UNBALANCED = """
    SELECT p.entry_key, p.unique_id, p.posted_at FROM ledger_postings p LEFT JOIN ledger_entries e USING (entry_key)
    GROUP BY p.entry_key, e.currency HAVING coalesce(sum(e.amount), 1) <> 0 ORDER BY p.entry_key LIMIT $1
"""


class Sums:
    """Answers operators about the ledger."""

    def __init__(self, kit: Kit) -> None:
        self._kit = kit

    async def ledger(self, _incoming: Incoming, call: Call) -> Reply:
        """GET /reconcile/ledger: sums by account and currency, both sides, and the payments that make a difference."""
        async with self._kit.db.connection() as connection, connection.transaction(isolation="repeatable_read"):
            await connection.execute(f"SET LOCAL statement_timeout = '{PATIENCE}s'")
            rows = await connection.fetch(COMPARED, list(ACCOUNTS), NAMED, timeout=PATIENCE)
            unbalanced = await connection.fetch(UNBALANCED, NAMED, timeout=PATIENCE)
        sums = [
            {
                "account": row["account"],
                "currency": row["currency"],
                "ledger": str(row["ledger"]),
                "rows": str(row["rows"]),
                "difference": str(row["ledger"] - row["rows"]),
            }
            for row in rows
            if row["is_sum"]
        ]
        differing = [_differing(row) for row in rows if not row["is_sum"]]
        broken = [
            {"entry_key": row["entry_key"], "unique_id": row["unique_id"], "since": stamp(row["posted_at"])}
            for row in unbalanced
        ]
        return Reply(200, {"now": stamp(call.now), "sums": sums, "differing": differing, "unbalanced": broken})


def _differing(row: Any) -> dict[str, Any]:
    return {
        "account": row["account"],
        "currency": row["currency"],
        "unique_id": row["unique_id"],
        "ledger": str(row["ledger"]),
        "rows": str(row["rows"]),
        "since": row["since"] and stamp(row["since"]),
    }
