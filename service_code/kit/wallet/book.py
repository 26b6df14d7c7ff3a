"""The wallet's book: nonces, signed variants and payouts as rows, under one row lock per wallet and chain.

One nonce has one intent and one or more signed variants; any mined variant settles it. Whoever allocates a nonce or
adds a variant holds the wallet's row. Statements only: what is decided with them stands in `signing`, `settle`, `bump`.
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
#: Greater than every nonce.
NO_NONCE = 2**63 - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Wallet:
    """The wallet's row, locked by whoever holds this."""

    address: str
    chain_id: int
    next_nonce: int
    stopped_why: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Intent:
    """What a nonce is taken for: `value` in wei, `currency` of what is paid."""

    unique_id: str
    value: int
    currency: str


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
        """Lock the wallet's row until the transaction ends; one that has signed nothing starts at the chain's nonce.

        What the chain said of it before may have been reorganised away, or a lie: nothing of ours depends on it yet.
        """
        sql = "SELECT next_nonce, stopped_why FROM wallets WHERE address = $1 AND chain_id = $2 FOR UPDATE"
        row = await connection.fetchrow(sql, *self.key)
        if row is None:
            await connection.execute(
                "INSERT INTO wallets (address, chain_id, next_nonce) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
                *(*self.key, first_nonce),
            )
            row = await connection.fetchrow(sql, *self.key)
        elif row["next_nonce"] != first_nonce and await self.unused(connection):
            update = "UPDATE wallets SET next_nonce = $3 WHERE address = $1 AND chain_id = $2"
            await connection.execute(update, *self.key, first_nonce)
            row = await connection.fetchrow(sql, *self.key)
        if row is None:
            raise RuntimeError("the wallet's row is gone")
        return Wallet(
            address=self.address, chain_id=self.chain_id, next_nonce=row["next_nonce"], stopped_why=row["stopped_why"]
        )

    async def unused(self, connection: Connection) -> bool:
        """Tell whether nothing was ever signed by this wallet, as far as the book knows."""
        sql = "SELECT NOT EXISTS (SELECT 1 FROM wallet_nonces WHERE address = $1 AND chain_id = $2)"
        return bool(await connection.fetchval(sql, *self.key))

    async def stop(self, connection: Connection, why: str, at: datetime) -> bool:
        """Stop the wallet: no further nonce until an operator resumes it. False if it was stopped before."""
        sql = """
            UPDATE wallets SET stopped_at = $3, stopped_why = $4
            WHERE address = $1 AND chain_id = $2 AND stopped_at IS NULL
            """
        return (await connection.execute(sql, *self.key, at, why)).endswith(" 1")

    async def first_open(self, connection: Connection) -> int:
        """Return the lowest nonce that a balance read after this may still include."""
        sql = """
            SELECT coalesce(
                (SELECT min(nonce) FROM wallet_nonces WHERE address = $1 AND chain_id = $2 AND state = 'open'),
                (SELECT next_nonce FROM wallets WHERE address = $1 AND chain_id = $2), 0)
            """
        return int(await connection.fetchval(sql, *self.key))

    async def held(self, connection: Connection, since: int | None = None) -> int:
        """Return what open nonces may still take, gas included.

        With `since`, all from that nonce on count, mined meanwhile or not: a balance read when it was the first open
        one may not know of them.
        """
        sql = """
            SELECT coalesce(sum(most), 0) FROM wallet_nonces
            WHERE address = $1 AND chain_id = $2 AND (state = 'open' OR nonce >= $3)
            """
        return int(await connection.fetchval(sql, *self.key, NO_NONCE if since is None else since))

    async def held_tokens(self, connection: Connection, currency: str, since: int | None = None) -> int:
        """Return what open nonces may still take of a token; `since` as in `held`."""
        sql = """
            SELECT coalesce(sum(token_most), 0) FROM wallet_nonces
            WHERE address = $1 AND chain_id = $2 AND currency = $4 AND (state = 'open' OR nonce >= $3)
            """
        return int(await connection.fetchval(sql, *self.key, NO_NONCE if since is None else since, currency))

    async def spent(self, connection: Connection, now: datetime, without: int | None = None) -> int:
        """Return what was signed in the last day, gas included: the most it may take, and once final what it took.

        An abandoned payout counts until that is final, since it may still be mined. `without` leaves a nonce out.
        """
        sql = """
            SELECT coalesce(sum(most), 0) FROM wallet_nonces
            WHERE address = $1 AND chain_id = $2 AND allocated_at > $3 AND nonce IS DISTINCT FROM $4::bigint
            """
        return int(await connection.fetchval(sql, *self.key, now - DAY, without))

    async def spent_tokens(
        self, connection: Connection, currency: str, now: datetime, without: int | None = None
    ) -> int:
        """Return what was signed of a token in the last day, as `spent` counts it."""
        sql = """
            SELECT coalesce(sum(token_most), 0) FROM wallet_nonces
            WHERE address = $1 AND chain_id = $2 AND currency = $5 AND allocated_at > $3
              AND nonce IS DISTINCT FROM $4::bigint
            """
        return int(await connection.fetchval(sql, *self.key, now - DAY, without, currency))

    async def allocate(self, connection: Connection, nonce: int, intent: Intent, at: datetime) -> None:
        """Take the next nonce for a payment; the wallet's row is held."""
        await connection.execute(
            """
            WITH taken AS (
                INSERT INTO wallet_nonces (address, chain_id, nonce, intent, unique_id, value, state, allocated_at,
                    currency)
                VALUES ($1, $2, $3, 'payout', $4, $5, 'open', $6, $7)
            )
            UPDATE wallets SET next_nonce = $3 + 1 WHERE address = $1 AND chain_id = $2
            """,
            *(*self.key, nonce, intent.unique_id, intent.value, at, intent.currency),
        )

    async def add_variant(self, connection: Connection, signed: SignedTransfer, kind: str, at: datetime) -> None:
        """Store a signed transaction before anybody hears of it."""
        transfer = signed.transfer
        await connection.execute(
            """
            WITH reserved AS (
                UPDATE wallet_nonces
                SET most = greatest(most, $14::numeric), token_most = greatest(token_most, $15::numeric)
                WHERE address = $2 AND chain_id = $3 AND nonce = $4
            )
            INSERT INTO tx_variants (tx_hash, address, chain_id, nonce, kind, raw, recipient, value, gas_limit, max_fee,
                max_priority_fee, signed_at, data)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
            """,
            *(signed.tx_hash, *self.key, transfer.nonce, kind, signed.raw, transfer.to, transfer.value),
            *(transfer.gas_limit, transfer.max_fee, transfer.max_priority_fee, at, transfer.data, transfer.most),
            transfer.token_units,
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

    async def mark_mined(
        self, connection: Connection, nonce: int, receipt: Receipt, token_moved: int, at: datetime
    ) -> None:
        """Note which variant was mined, and how."""
        await connection.execute(
            """
            WITH settled AS (
                UPDATE wallet_nonces SET state = 'mined', closed_at = $4
                WHERE address = $1 AND chain_id = $2 AND nonce = $3
            )
            UPDATE tx_variants SET mined_block = $6, mined_block_hash = $7, receipt_status = $8, gas_used = $9,
                gas_price = $10, token_moved = $11, broadcast_at = coalesce(broadcast_at, $4)
            WHERE tx_hash = $5
            """,
            *(*self.key, nonce, at, receipt.tx_hash, receipt.block_number, receipt.block_hash, receipt.status),
            *(receipt.gas_used, receipt.gas_price, token_moved),
        )

    async def open_nonces(self, connection: Connection, limit: int, before: datetime) -> Sequence[Any]:
        """Return open nonces that were allocated before a moment, the lowest first."""
        return await connection.fetch(
            "SELECT * FROM wallet_nonces WHERE address = $1 AND chain_id = $2 AND state = 'open' "
            "AND allocated_at <= $4 ORDER BY nonce LIMIT $3",
            *(*self.key, limit, before),
        )

    async def reopen(self, connection: Connection, nonce: int) -> None:
        """Make a mined nonce open again: to be broadcast anew, and mined perhaps as another variant."""
        await connection.execute(
            """
            WITH variants AS (
                UPDATE tx_variants SET mined_block = NULL, mined_block_hash = NULL, receipt_status = NULL,
                    gas_used = NULL, gas_price = NULL, token_moved = 0, broadcast_at = NULL
                WHERE address = $1 AND chain_id = $2 AND nonce = $3
            ), payout AS (
                UPDATE split_payout_hostpay SET status = 'broadcast', block_number = NULL, block_hash = NULL,
                    gas_used = NULL, gas_price = NULL, mined_at = NULL, error_code = NULL, confirmations = NULL,
                    tx_status = 'removed'
                WHERE wallet = $1 AND chain_id = $2 AND nonce = $3
            )
            UPDATE wallet_nonces SET state = 'open', closed_at = NULL
            WHERE address = $1 AND chain_id = $2 AND nonce = $3
            """,
            *(*self.key, nonce),
        )

    async def unfinal_blocks(self, connection: Connection, after: tuple[int, str], limit: int) -> list[tuple[int, str]]:
        """Return the blocks, the oldest first, that hold transactions of ours which are not known to be final."""
        rows = await connection.fetch(
            """
            SELECT DISTINCT v.mined_block, v.mined_block_hash COLLATE "C" AS hash
            FROM wallet_nonces n JOIN tx_variants v USING (address, chain_id, nonce)
            WHERE n.address = $1 AND n.chain_id = $2 AND n.state = 'mined' AND n.final_at IS NULL
              AND (v.mined_block, v.mined_block_hash COLLATE "C") > ($3, $4)
            ORDER BY 1, 2 LIMIT $5
            """,
            *(*self.key, *after, limit),
        )
        return [(row["mined_block"], row["hash"]) for row in rows]

    async def mined_in(self, connection: Connection, block: tuple[int, str]) -> list[Any]:
        """Return the variants that were mined in a block and are not final."""
        return await connection.fetch(
            """
            SELECT v.nonce, v.tx_hash, v.mined_block, v.mined_block_hash
            FROM wallet_nonces n JOIN tx_variants v USING (address, chain_id, nonce)
            WHERE n.address = $1 AND n.chain_id = $2 AND n.state = 'mined' AND n.final_at IS NULL
              AND v.mined_block = $3 AND v.mined_block_hash = $4 ORDER BY v.nonce
            """,
            *(*self.key, *block),
        )

    async def mined_among(self, connection: Connection, blocks: Sequence[tuple[int, str]]) -> list[Any]:
        """Return the variants that were mined in some blocks and are not final, each with its nonce's verdict."""
        return await connection.fetch(
            """
            SELECT v.*, n.currency, h.error_code
            FROM wallet_nonces n JOIN tx_variants v USING (address, chain_id, nonce)
            LEFT JOIN split_payout_hostpay h
                ON h.wallet = n.address AND h.chain_id = n.chain_id AND h.nonce = n.nonce
            JOIN unnest($3::bigint[], $4::text[]) AS block (number, hash)
                ON v.mined_block = block.number AND v.mined_block_hash = block.hash
            WHERE n.address = $1 AND n.chain_id = $2 AND n.state = 'mined' AND n.final_at IS NULL ORDER BY v.nonce
            """,
            *(*self.key, [number for number, _ in blocks], [hash_ for _, hash_ in blocks]),
        )

    async def mark_final(self, connection: Connection, blocks: Sequence[tuple[int, str]], at: datetime) -> list[Any]:
        """Close what was mined in blocks that are final; its payouts that did not pay have failed from now on."""
        return await connection.fetch(
            """
            WITH due AS (
                SELECT n.nonce, v.tx_hash, v.token_moved, v.gas_used * v.gas_price
                    + CASE WHEN v.receipt_status = 1 AND v.recipient <> v.address THEN v.value ELSE 0 END AS took
                FROM wallet_nonces n JOIN tx_variants v USING (address, chain_id, nonce)
                JOIN unnest($4::bigint[], $5::text[]) AS block (number, hash)
                    ON v.mined_block = block.number AND v.mined_block_hash = block.hash
                WHERE n.address = $1 AND n.chain_id = $2 AND n.state = 'mined' AND n.final_at IS NULL
                ORDER BY n.nonce FOR UPDATE OF n
            ), closed AS (
                UPDATE wallet_nonces n SET final_at = $3, most = due.took, token_most = due.token_moved FROM due
                WHERE n.address = $1 AND n.chain_id = $2 AND n.nonce = due.nonce
            ), payout AS (
                UPDATE split_payout_hostpay h SET final_at = $3,
                    status = CASE WHEN h.error_code IS NULL THEN h.status ELSE 'failed' END
                FROM due WHERE h.wallet = $1 AND h.chain_id = $2 AND h.nonce = due.nonce
                RETURNING h.nonce, h.unique_id, h.error_code
            )
            SELECT due.nonce, due.tx_hash, payout.unique_id, payout.error_code FROM due LEFT JOIN payout USING (nonce)
            """,
            *(*self.key, at, [number for number, _ in blocks], [hash_ for _, hash_ in blocks]),
        )


async def unsettled(connection: Connection, chain_id: int) -> list[Book]:
    """Return the books on a chain that have open nonces, or mined ones that are not known to be final."""
    rows = await connection.fetch(
        """
        SELECT address FROM wallets w WHERE chain_id = $1 AND (
            EXISTS (
                SELECT FROM wallet_nonces n
                WHERE n.address = w.address AND n.chain_id = w.chain_id AND n.state = 'open'
            ) OR EXISTS (
                SELECT FROM wallet_nonces n
                WHERE n.address = w.address AND n.chain_id = w.chain_id AND n.state = 'mined' AND n.final_at IS NULL
            )
        ) ORDER BY address
        """,
        chain_id,
    )
    return [Book(row["address"], chain_id) for row in rows]


async def mark_broadcast(connection: Connection, tx_hash: str, at: datetime) -> None:
    """Note that a node has taken a variant.

    The payout is found by the variant's row, which is therefore locked before it, as wherever both are written.
    """
    await connection.execute(
        """
        WITH variant AS (
            UPDATE tx_variants SET broadcast_at = coalesce(broadcast_at, $2) WHERE tx_hash = $1
            RETURNING address, chain_id, nonce
        )
        UPDATE split_payout_hostpay h SET status = 'broadcast', broadcast_at = $2 FROM variant
        WHERE h.wallet = variant.address AND h.chain_id = variant.chain_id AND h.nonce = variant.nonce
          AND h.status = 'signed'
        """,
        *(tx_hash, at),
    )
