"""The wallet's book: nonces, signed variants and payouts as rows, under one row lock per wallet and chain.

One nonce has one intent and one or more signed variants; any mined variant settles it. Whoever allocates a nonce or
adds a variant holds the wallet's row. Statements only: what is decided with them stands in `pay`, `settle`, `bump`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from service_code.kit.chain import Receipt
from service_code.kit.db import Connection
from service_code.kit.signer import SignedTransfer
from service_code.kit.tokens import HostPayClaim

#: The span of the signer's daily limit.
DAY = timedelta(hours=24)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wallet:
    """The wallet's row, locked by whoever holds this."""

    address: str
    chain_id: int
    next_nonce: int
    stopped_why: str | None


class Book:
    """The rows of one wallet on one chain."""

    def __init__(self, address: str, chain_id: int) -> None:
        self.address = address
        self.chain_id = chain_id

    @property
    def key(self) -> tuple[str, int]:
        """Return what names the wallet's rows."""
        return self.address, self.chain_id

    async def lock(self, connection: Connection, first_nonce: int) -> Wallet:
        """Lock the wallet's row until the transaction ends; a wallet never seen starts at the chain's nonce."""
        sql = "SELECT next_nonce, stopped_why FROM wallets WHERE address = $1 AND chain_id = $2 FOR UPDATE"
        row = await connection.fetchrow(sql, *self.key)
        if row is None:
            await connection.execute(
                "INSERT INTO wallets (address, chain_id, next_nonce) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                *(*self.key, first_nonce),
            )
            row = await connection.fetchrow(sql, *self.key)
        if row is None:
            raise RuntimeError("the wallet's row is gone")
        return Wallet(
            address=self.address, chain_id=self.chain_id, next_nonce=row["next_nonce"], stopped_why=row["stopped_why"]
        )

    async def stop(self, connection: Connection, why: str, at: datetime) -> bool:
        """Stop the wallet: no further nonce until an operator resumes it. False if it was stopped before."""
        sql = """
            UPDATE wallets SET stopped_at = $3, stopped_why = $4
            WHERE address = $1 AND chain_id = $2 AND stopped_at IS NULL
            """
        return (await connection.execute(sql, *self.key, at, why)).endswith(" 1")

    async def exposure(self, connection: Connection, now: datetime) -> tuple[int, int]:
        """Return what was signed in the last day, and what open nonces may still take, gas included."""
        row = await connection.fetchrow(
            """
            SELECT
                (SELECT coalesce(sum(value), 0) FROM wallet_nonces
                 WHERE address = $1 AND chain_id = $2 AND allocated_at > $3 AND intent = 'payout') AS spent,
                (SELECT coalesce(sum(most), 0) FROM (
                    SELECT max(v.value + v.gas_limit * v.max_fee) AS most
                    FROM wallet_nonces n JOIN tx_variants v USING (address, chain_id, nonce)
                    WHERE n.address = $1 AND n.chain_id = $2 AND n.state = 'open' GROUP BY n.nonce) AS open) AS held
            """,
            *(*self.key, now - DAY),
        )
        return (int(row["spent"]), int(row["held"])) if row else (0, 0)

    async def allocate(self, connection: Connection, nonce: int, unique_id: str, value: int, at: datetime) -> None:
        """Take the next nonce for a payment; the wallet's row is held."""
        await connection.execute(
            """
            WITH taken AS (
                INSERT INTO wallet_nonces (address, chain_id, nonce, intent, unique_id, value, state, allocated_at)
                VALUES ($1, $2, $3, 'payout', $4, $5, 'open', $6)
            )
            UPDATE wallets SET next_nonce = $3 + 1 WHERE address = $1 AND chain_id = $2
            """,
            *(*self.key, nonce, unique_id, value, at),
        )

    async def add_variant(self, connection: Connection, signed: SignedTransfer, kind: str, at: datetime) -> None:
        """Store a signed transaction before anybody hears of it."""
        transfer = signed.transfer
        await connection.execute(
            """
            INSERT INTO tx_variants (tx_hash, address, chain_id, nonce, kind, raw, recipient, value, gas_limit, max_fee,
                max_priority_fee, signed_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
            """,
            *(signed.tx_hash, *self.key, transfer.nonce, kind, signed.raw, transfer.to, transfer.value),
            *(transfer.gas_limit, transfer.max_fee, transfer.max_priority_fee, at),
        )

    async def add_payout(
        self, connection: Connection, claim: HostPayClaim, signed: SignedTransfer, at: datetime
    ) -> None:
        """Write the payout's row; the index on open payouts makes a second one for the payment impossible."""
        await connection.execute(
            """
            INSERT INTO split_payout_hostpay (unique_id, generation, cn_api_id, from_currency, from_network,
                from_amount, payin_address, status, wallet, chain_id, nonce, tx_hash, signed_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 'signed', $8, $9, $10, $11, $12)
            """,
            *(claim.unique_id, claim.generation, claim.cn_api_id, claim.amount.currency, claim.network),
            *(claim.amount.units, claim.payin_address, *self.key, signed.transfer.nonce, signed.tx_hash, at),
        )

    async def variants(self, connection: Connection, nonce: int) -> list[Any]:
        """Return a nonce's variants, the newest first."""
        return await connection.fetch(
            "SELECT * FROM tx_variants WHERE address = $1 AND chain_id = $2 AND nonce = $3 "
            "ORDER BY signed_at DESC, max_fee DESC",
            *(*self.key, nonce),
        )

    async def lock_nonce(self, connection: Connection, nonce: int) -> Any:
        """Lock a nonce's row."""
        return await connection.fetchrow(
            "SELECT * FROM wallet_nonces WHERE address = $1 AND chain_id = $2 AND nonce = $3 FOR UPDATE",
            *(*self.key, nonce),
        )

    async def mark_broadcast(self, connection: Connection, tx_hash: str, nonce: int, at: datetime) -> None:
        """Note that a node has taken a variant."""
        await connection.execute(
            """
            WITH variant AS (
                UPDATE tx_variants SET broadcast_at = $4 WHERE tx_hash = $3 AND broadcast_at IS NULL
            )
            UPDATE split_payout_hostpay SET status = 'broadcast', broadcast_at = $4
            WHERE wallet = $1 AND chain_id = $2 AND nonce = $5 AND status = 'signed'
            """,
            *(*self.key, tx_hash, at, nonce),
        )

    async def mark_mined(self, connection: Connection, nonce: int, receipt: Receipt, at: datetime) -> None:
        """Note which variant was mined, and how."""
        await connection.execute(
            """
            WITH settled AS (
                UPDATE wallet_nonces SET state = 'mined', closed_at = $4
                WHERE address = $1 AND chain_id = $2 AND nonce = $3
            )
            UPDATE tx_variants SET mined_block = $6, mined_block_hash = $7, receipt_status = $8, gas_used = $9,
                gas_price = $10, broadcast_at = coalesce(broadcast_at, $4)
            WHERE tx_hash = $5
            """,
            *(*self.key, nonce, at, receipt.tx_hash, receipt.block_number, receipt.block_hash, receipt.status),
            *(receipt.gas_used, receipt.gas_price),
        )

    async def open_nonces(self, connection: Connection, limit: int, before: datetime) -> Sequence[Any]:
        """Return open nonces that were allocated before a moment, the lowest first."""
        return await connection.fetch(
            "SELECT * FROM wallet_nonces WHERE address = $1 AND chain_id = $2 AND state = 'open' "
            "AND allocated_at <= $4 ORDER BY nonce LIMIT $3",
            *(*self.key, limit, before),
        )
