"""The deaths of payments: written together with their money's move into the liability account, and taken back with it.

A death is numbered by its generation: 0 before the split, then that of the host payment. A payment is split or dies
before its split, never both: whoever does either holds the payment's `claim` and looks for the other first. Dead is
not final: the row in failed_transactions is closed by a replay, or by finding that the chain has paid after all.
"""

from __future__ import annotations

from datetime import datetime

from service_code.kit import ledger, logs
from service_code.kit.db import Connection
from service_code.kit.money import Amount

_log = logs.get("deaths")


async def claim(connection: Connection, unique_id: str) -> None:
    """Keep everybody else from splitting or burying this payment until the caller's transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('split:' || $1::text, 0))", unique_id)


async def bury(
    connection: Connection,
    unique_id: str,
    *,
    generation: int,
    stage: str,
    account: str,
    held: Amount,
    code: str,
    why: str,
    at: datetime,
    cn_api_id: str | None = None,
) -> bool:
    """Record a death in the caller's transaction; False if it was recorded before, or was split instead of dying.

    The log line is the alert.
    """
    if generation == 0:
        await claim(connection, unique_id)
        if await connection.fetchrow("SELECT 1 FROM split_payout_que WHERE unique_id = $1", unique_id) is not None:
            return False
    status = await connection.execute(
        """
        INSERT INTO failed_transactions
            (unique_id, generation, stage, error_code, error_message, cn_api_id, currency, amount, from_account, status,
             failed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'dead', $10) ON CONFLICT (unique_id, generation) DO NOTHING
        """,
        *(unique_id, generation, stage, code, why[:1000], cn_api_id, held.currency, held.units, account, at),
    )
    if status.endswith(" 0"):
        return False
    await ledger.post(connection, [ledger.dead(unique_id, generation, held, account, code)], at)
    _log.error(
        "a payment is dead",
        what="payment_dead",
        status="dead",
        unique_id=unique_id,
        stage=stage,
        code=code,
        why=why,
        cn_api_id=cn_api_id,
    )
    return True


async def revive(connection: Connection, unique_id: str, generation: int, *, status: str, at: datetime) -> bool:
    """Take a death back in the caller's transaction; False if it was not standing."""
    row = await connection.fetchrow(
        """
        UPDATE failed_transactions SET status = $3, closed_at = $4
        WHERE unique_id = $1 AND generation = $2 AND status = 'dead'
        RETURNING currency, amount, from_account
        """,
        *(unique_id, generation, status, at),
    )
    if row is None:
        return False
    held = Amount(currency=row["currency"], units=row["amount"])
    await ledger.post(connection, [ledger.revive(unique_id, generation, held, row["from_account"], status)], at)
    return True
