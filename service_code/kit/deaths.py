"""The deaths of payments: written together with their money's move into the liability account, and taken back with it.

A death is numbered by its generation: 0 before the split, then that of the host payment. Dead is not final: the row in
failed_transactions is closed by a replay, by finding that the chain has paid after all, or by an operator who has
settled it otherwise. A payment is split or dies before its split, never both: whoever does either holds `hold_split`
and looks for the other first. A payout is signed or dies, never both: `hold_payout` likewise.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from service_code.kit import ledger, logs
from service_code.kit.db import Connection
from service_code.kit.money import Amount

#: A death that stands.
OPEN = "status IN ('dead', 'investigating')"
#: A payout that somebody has buried: $1 the payment, $2 the generation. It is never signed again, whatever the death
#: was closed by: a replay goes on with the next generation, and what was settled otherwise must not be paid as well.
BURIED = "SELECT status FROM failed_transactions WHERE unique_id = $1 AND generation >= $2"
#: A payout in whose place its sender has put another: $1 the payment, $2 the generation. It is never signed any more.
SUPERSEDED = "SELECT 1 FROM split_payout_que WHERE unique_id = $1 AND generation > $2"
#: A payout that is signed or paid and has not failed: $1 the payment.
SIGNED = "SELECT 1 FROM split_payout_hostpay WHERE unique_id = $1 AND status <> 'failed'"
#: Deaths of which a replay as things are would die again, or could pay twice: the exchange takes no such amount or
#: address, the wallet pays nothing like it, or coins have left it. They are replayed by name alone, after a look.
HOPELESS = frozenset((
    *("EXCHANGE_DEPOSIT_TOO_SMALL", "EXCHANGE_NOT_VALID_ADDRESS", "AMOUNT_TOO_SMALL"),
    *("INVALID_ADDRESS", "INVALID_AMOUNT", "UNSUPPORTED_CURRENCY", "SIMULATION_REVERTED", "TRANSFER_REFUSED"),
    *("OVER_PAYMENT_LIMIT", "OVER_FEE_LIMIT", "STRAY_TRANSFER", "NO_TRANSFER"),
))  # fmt: skip

_log = logs.get("deaths")


@dataclass(frozen=True, kw_only=True, slots=True)
class Death:
    """What died, of what, and where its money stood."""

    unique_id: str
    generation: int
    stage: str
    account: str
    held: Amount
    code: str
    why: str
    service: str
    cn_api_id: str | None = None
    network: str | None = None
    payin_address: str | None = None
    retryable: bool = True
    attempts: int = 0
    first_attempt_at: datetime | None = None


async def hold_split(connection: Connection, unique_id: str) -> None:
    """Keep everybody else from splitting or burying this payment until the caller's transaction ends."""
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended('split:' || $1::text, 0))", unique_id)


async def hold_payout(connection: Connection, unique_id: str, *, patient: bool = True) -> bool:
    """Keep everybody else from signing or burying this payout; False where another holds it and we are not patient."""
    wait = "pg_advisory_xact_lock" if patient else "pg_try_advisory_xact_lock"
    got = await connection.fetchval(f"SELECT {wait}(hashtextextended('payout:' || $1::text, 0))", unique_id)
    return patient or bool(got)


async def bury(connection: Connection, death: Death, at: datetime) -> bool:
    """Record a death in the caller's transaction; False if it was recorded before, or was split instead of dying.

    The log line is the alert.
    """
    if death.generation == 0:
        await hold_split(connection, death.unique_id)
        split = "SELECT 1 FROM split_payout_que WHERE unique_id = $1"
        if await connection.fetchrow(split, death.unique_id) is not None:
            return False
    status = await connection.execute(
        """
        INSERT INTO failed_transactions
            (unique_id, generation, stage, error_code, error_message, cn_api_id, currency, amount, from_account, status,
             failed_at, service, network, payin_address, retryable, attempt_count, first_attempt_at, last_attempt_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'dead', $10::timestamptz, $11, $12, $13, $14, $15::integer, $16,
                CASE WHEN $15 > 0 THEN $10::timestamptz END)
        ON CONFLICT (unique_id, generation) DO NOTHING
        """,
        *(death.unique_id, death.generation, death.stage, death.code, death.why[:1000], death.cn_api_id),
        *(death.held.currency, death.held.units, death.account, at, death.service, death.network),
        *(death.payin_address, death.retryable and death.code not in HOPELESS, death.attempts, death.first_attempt_at),
    )
    if status.endswith(" 0"):
        return False
    await ledger.post(
        connection, [ledger.dead(death.unique_id, death.generation, death.held, death.account, death.code)], at
    )
    _log.error(
        "a payment is dead", what="payment_dead", status="dead", unique_id=death.unique_id, stage=death.stage,
        code=death.code, why=death.why, cn_api_id=death.cn_api_id, attempts=death.attempts,
    )  # fmt: skip
    return True


async def revive(connection: Connection, unique_id: str, generation: int, *, status: str, at: datetime) -> bool:
    """Take a death back in the caller's transaction; False if it was not standing."""
    row = await connection.fetchrow(
        f"""
        UPDATE failed_transactions SET status = $3, closed_at = $4
        WHERE unique_id = $1 AND generation = $2 AND {OPEN}
        RETURNING currency, amount, from_account
        """,
        *(unique_id, generation, status, at),
    )
    if row is None:
        return False
    held = Amount(currency=row["currency"], units=row["amount"])
    await ledger.post(connection, [ledger.revive(unique_id, generation, held, row["from_account"], status)], at)
    return True
