"""The rows of staged payouts: statements only. What is decided with them stands in `orchestrate`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Protocol

from service_code.kit.db import Connection
from service_code.kit.tokens import HostPayClaim


class Payout(Protocol):
    """What names a payout's row."""

    @property
    def unique_id(self) -> str:
        """The payment."""
        ...

    @property
    def generation(self) -> int:
        """Which of its payouts."""
        ...


#: States in which a payout goes on.
CHECKING, EXECUTING = "checking", "executing"


async def accept(connection: Connection, claim: HostPayClaim, at: datetime) -> bool:
    """Write the row of a payout; False if it was there."""
    status = await connection.execute(
        """
        INSERT INTO hostpay_stages
            (unique_id, generation, state, cn_api_id, currency, network, amount, payin_address, accepted_at)
        VALUES ($1, $2, 'checking', $3, $4, $5, $6, $7, $8) ON CONFLICT (unique_id, generation) DO NOTHING
        """,
        *(claim.unique_id, claim.generation, claim.cn_api_id, claim.amount.currency, claim.network),
        *(claim.amount.units, claim.payin_address, at),
    )
    return not status.endswith(" 0")


async def lock(connection: Connection, claim: Payout) -> Any:
    """Return a payout's row, locked until the transaction ends; None where it was never accepted."""
    sql = "SELECT * FROM hostpay_stages WHERE unique_id = $1 AND generation = $2 FOR UPDATE"
    return await connection.fetchrow(sql, claim.unique_id, claim.generation)


async def seen(connection: Connection, claim: Payout, state: str, status: str, at: datetime) -> None:
    """Note what the exchange said, and the state that follows."""
    await connection.execute(
        """
        UPDATE hostpay_stages SET state = $3, exchange_status = $4, checked_at = $5
        WHERE unique_id = $1 AND generation = $2
        """,
        *(claim.unique_id, claim.generation, state, status, at),
    )


async def close(
    connection: Connection, claim: Payout, state: str, at: datetime, *, code: str = "", why: str = "", tx_hash: str = ""
) -> None:
    """Note how a payout ended here."""
    await connection.execute(
        """
        UPDATE hostpay_stages SET state = $3, closed_at = $4, error_code = nullif($5, ''), error_why = nullif($6, ''),
            tx_hash = coalesce(nullif($7, ''), tx_hash)
        WHERE unique_id = $1 AND generation = $2
        """,
        *(claim.unique_id, claim.generation, state, at, code, why[:1000], tx_hash),
    )


async def close_paid(connection: Connection, at: datetime, mined_before: datetime) -> int:
    """Note the end of payouts that the chain has paid and of which nobody has told; returns how many."""
    status = await connection.execute(
        """
        UPDATE hostpay_stages AS stage SET state = 'paid', closed_at = $1, tx_hash = paid.tx_hash
        FROM split_payout_hostpay AS paid
        WHERE stage.state = 'executing' AND paid.status = 'completed' AND paid.mined_at < $2
          AND paid.unique_id = stage.unique_id AND paid.generation = stage.generation
        """,
        *(at, mined_before),
    )
    return int(status.rpartition(" ")[2])
