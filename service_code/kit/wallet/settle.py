"""Settling: what the chain says of a nonce becomes rows and postings, once, and is taken back if the chain does so.

Any mined variant settles its nonce. Postings follow what is mined; a payout that was mined without paying (reverted, or
filled by a transfer to oneself) counts as failed only when that is final, since until then a reorganisation could still
pay it. A nonce below the chain's count without a receipt of ours was used by somebody else: the wallet stops.
Settling needs no key: what an earlier wallet has signed on this chain is settled as this one's, by its own book.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

from service_code.kit import ledger, logs
from service_code.kit.call import Call
from service_code.kit.chain import NodeAwayError, NodeRefusedError, Receipt
from service_code.kit.clock import moment
from service_code.kit.db import Connection
from service_code.kit.orders import ConfirmPayout
from service_code.kit.outcomes import Dead, Done, Outcome, Retry
from service_code.kit.wallet import confirmations
from service_code.kit.wallet.book import Book
from service_code.kit.wallet.payer import Payer
from service_code.kit.wallet.verdict import BY_EVENTS, Verdict, judge, postings

#: Blocks by which nodes behind one address may lag: a count is believed only as of so long ago.
LAG = 2

#: Blocks looked at in one step, and seconds after which a sweep takes no further step.
BLOCKS = 100
FINALITY_TIME = 10.0

#: A transaction is left for so long to the node that has taken it, or to the request that has just signed it.
PATIENCE = timedelta(seconds=10)

_log = logs.get("settle")


class Settler:
    """Handles POST /confirm, and settles nonces for the sweeper."""

    def __init__(self, payer: Payer) -> None:
        self._payer = payer
        self._kit = payer.kit

    async def confirm(self, order: ConfirmPayout, _call: Call) -> Outcome:
        """Settle one payout, or have the queue ask again."""
        row = await self._kit.db.row(
            """
            SELECT h.status, h.wallet, h.chain_id, h.nonce, n.state FROM split_payout_hostpay h
            JOIN wallet_nonces n ON n.address = h.wallet AND n.chain_id = h.chain_id AND n.nonce = h.nonce
            WHERE h.unique_id = $1 AND h.generation = $2
            """,
            *(order.unique_id, order.generation),
        )
        if row is None:
            return Dead("UNKNOWN_PAYOUT", "no payout of this id and generation is signed")
        if row["status"] in ("completed", "failed") or row["state"] != "open":
            return Done("already_settled")
        try:
            book = await self._payer.book_of(row["wallet"], row["chain_id"])
            settled = await self.look(book, row["nonce"])
        except (NodeAwayError, NodeRefusedError) as error:
            return Retry(str(error))
        return Done("settled") if settled else Retry("not mined yet")

    async def count(self, book: Book) -> int:
        """Return a wallet's transactions on chain as of a block that every node has."""
        head = await self._payer.node.head()
        return await self._payer.node.nonce(book.address, hex(max(head - LAG, 0)))

    async def look(self, book: Book, nonce: int) -> bool:
        """Settle a nonce if one of its variants is mined; else see that the node has one."""
        now = moment(self._kit.clock)
        async with self._kit.db.connection() as connection:
            variants = await book.variants(connection, nonce)
        if await self._settled(book, nonce, variants):
            return True
        newest = variants[0]
        if now - (newest["broadcast_at"] or newest["signed_at"]) < PATIENCE:
            return False
        # The count comes before the receipts: what was mined for it must by then have a receipt.
        if await self.count(book) > nonce:
            if await self._settled(book, nonce, variants):
                return True
            await self._payer.stop(book, f"nonce {nonce} was used by somebody else", now)
        else:
            await self._bring([variant for variant in variants if variant["kind"] == newest["kind"]])
        return False

    async def _bring(self, variants: Sequence[Any]) -> None:
        """See that the node has one of these variants: the dearest that it does not refuse."""
        for variant in sorted(variants, key=lambda one: int(one["max_fee"]), reverse=True):
            if variant["broadcast_at"] is not None and await self._payer.node.known(variant["tx_hash"]):
                return
            if await self._payer.broadcast(variant["tx_hash"], variant["raw"]):
                return

    async def _settled(self, book: Book, nonce: int, variants: Sequence[Any]) -> bool:
        receipts = await asyncio.gather(*(self._payer.node.receipt(variant["tx_hash"]) for variant in variants))
        for receipt in receipts:
            if receipt is not None:
                await self.record(book, nonce, receipt)
                return True
        return False

    async def in_block(self, book: Book, nonce: int) -> bool:
        """Tell whether the node has a variant of this nonce in a block, whatever it says of receipts."""
        async with self._kit.db.connection() as connection:
            variants = await book.variants(connection, nonce)
        found = await asyncio.gather(*(self._payer.node.in_block(variant["tx_hash"]) for variant in variants))
        return any(found)

    async def record(self, book: Book, nonce: int, receipt: Receipt) -> None:
        """Write what was mined: rows and postings in one transaction, once."""
        now = moment(self._kit.clock)
        async with self._kit.db.transaction() as connection:
            row = await book.lock_nonce(connection, nonce)
            if row["state"] != "open":
                return
            variant = await _variant(connection, receipt.tx_hash, row["unique_id"])
            if variant is None:
                raise RuntimeError("a receipt of a transaction that is not ours")
            verdict = judge(variant, row["currency"], receipt)
            error = verdict.error
            await book.mark_mined(connection, nonce, receipt, verdict.token_moved, now)
            await connection.execute(
                """
                UPDATE split_payout_hostpay SET status = $4, tx_hash = $5, block_number = $6, block_hash = $7,
                    gas_used = $8, gas_price = $9, mined_at = $10, error_code = $11,
                    broadcast_at = coalesce(broadcast_at, $10), confirmations = 1,
                    tx_status = CASE $12::integer WHEN 1 THEN 'success' ELSE 'reverted' END
                WHERE wallet = $1 AND chain_id = $2 AND nonce = $3
                """,
                *(*book.key, nonce, "broadcast" if error else "completed", receipt.tx_hash, receipt.block_number),
                *(receipt.block_hash, receipt.gas_used, receipt.gas_price, now, error, receipt.status),
            )
            written = postings(row["unique_id"], row["currency"], receipt, verdict)
            await ledger.post(connection, [ledger.turn(one, variant["taken_back"]) for one in written], now)
        if error in BY_EVENTS or verdict.strayed:
            _log.error(
                "a token's transfer was mined and moved other than asked", what="transfer_astray",
                status=error or "completed", unique_id=row["unique_id"], tx_hash=receipt.tx_hash,
                currency=row["currency"], strayed=str(verdict.strayed),
            )  # fmt: skip
        _log.info(
            "mined",
            what="payout_mined",
            status=error or "completed",
            unique_id=row["unique_id"],
            tx_hash=receipt.tx_hash,
            block=receipt.block_number,
        )

    async def finalize(self) -> tuple[int, int]:
        """Confirm mined nonces whose block is final, and take back those in whose block's place another stands.

        Block by block, the oldest first, to the end or until the time is used up; the next round goes on.
        """
        started = time.monotonic()
        finalized = await self._payer.node.finalized()
        final = gone = 0
        for book in await self._payer.books():
            more = await self._finalize(book, finalized, started)
            final, gone = final + more[0], gone + more[1]
        return final, gone

    async def _finalize(self, book: Book, finalized: int, started: float) -> tuple[int, int]:
        node = self._payer.node
        final = gone = 0
        last: tuple[int, str] = (-1, "")
        while time.monotonic() - started < FINALITY_TIME:
            async with self._kit.db.connection() as connection:
                blocks = await book.unfinal_blocks(connection, last, BLOCKS)
            if not blocks:
                break
            last = blocks[-1]
            stand = await node.block_hashes(sorted({number for number, _ in blocks}))
            # A node that lags knows nothing of a number yet: that says nothing about the block.
            lost = [(number, hash_) for number, hash_ in blocks if stand[number] not in (None, hash_)]
            standing = [(number, hash_) for number, hash_ in blocks if stand[number] == hash_]
            await confirmations.note(self._payer, book, standing)
            kept = [block for block in standing if block[0] <= finalized]
            sure = await self._sure(book, kept) if kept else []
            final += await self._final(book, sure) if sure else 0
            for block in lost:
                async with self._kit.db.connection() as connection:
                    rows = await book.mined_in(connection, block)
                gone += sum([await self.take_back(book, row) for row in rows])
        return final, gone

    async def _final(self, book: Book, blocks: Sequence[tuple[int, str]]) -> int:
        async with self._kit.db.transaction() as connection:
            rows = await book.mark_final(connection, blocks, moment(self._kit.clock))
        for row in rows:
            if row["error_code"]:
                _log.error(
                    "a payout failed for good", what="payout_failed", status="failed", code=row["error_code"],
                    unique_id=row["unique_id"], tx_hash=row["tx_hash"],
                )  # fmt: skip
        return len(rows)

    async def _sure(self, book: Book, blocks: Sequence[tuple[int, str]]) -> list[tuple[int, str]]:
        """Ask for all receipts again before they are final: a payout that fails may be paid once more.

        Returns the blocks of which the node says what it said before. What it now says otherwise is written anew.
        """
        async with self._kit.db.connection() as connection:
            rows = await book.mined_among(connection, blocks)
        receipts = await self._payer.node.receipts([row["tx_hash"] for row in rows])
        unsure: set[tuple[int, str]] = set()
        for row, receipt in zip(rows, receipts, strict=True):
            if _as_written(row, receipt):
                continue
            _log.warning("a receipt is no longer what it was", what="receipt_changed", tx_hash=row["tx_hash"])
            unsure.add((row["mined_block"], row["mined_block_hash"]))
            if receipt is None or receipt.block_hash != row["mined_block_hash"]:  # a node that lags or strays
                continue
            if await self._undo(book, row) is not None:
                await self.record(book, row["nonce"], receipt)
        return [block for block in blocks if block not in unsure]

    async def take_back(self, book: Book, row: Any) -> int:
        """Undo what was written of a transaction whose block is gone, and give it to the node again."""
        variant = await self._undo(book, row)
        if variant is None:
            return 0
        _log.error(
            "a reorganisation took a transaction back", what="reorganised", status="open",
            unique_id=variant["unique_id"], tx_hash=row["tx_hash"], block=row["mined_block"],
        )  # fmt: skip
        await self._payer.broadcast(row["tx_hash"], variant["raw"])
        return 1

    async def _undo(self, book: Book, row: Any) -> Any:
        """Take rows and postings back; the variant, or nothing where it is no longer as it was judged."""
        now = moment(self._kit.clock)
        async with self._kit.db.transaction() as connection:
            nonce = await book.lock_nonce(connection, row["nonce"])
            if nonce["state"] != "mined" or nonce["final_at"] is not None:
                return None
            # What was judged may be old: another sweep may have taken it back, and it may be mined elsewhere by now.
            variant = await _variant(connection, row["tx_hash"], nonce["unique_id"])
            if variant is None or variant["mined_block_hash"] != row["mined_block_hash"]:
                return None
            await book.reopen(connection, row["nonce"])
            # By their keys: what was not posted is not there to be taken back.
            for posting in postings(nonce["unique_id"], nonce["currency"], _mined(variant), Verdict(error=None)):
                await ledger.reverse(connection, ledger.turn(posting, variant["taken_back"]).key, now)
        return {**dict(variant), "unique_id": nonce["unique_id"]}


async def _variant(connection: Connection, tx_hash: str, unique_id: str) -> Any:
    """Return a variant, and with it the keys of all postings that its payment has had taken back."""
    return await connection.fetchrow(
        """
        SELECT *, ARRAY(
            SELECT entry_key FROM ledger_postings WHERE unique_id = $2 AND kind = 'reversal'
        ) AS taken_back
        FROM tx_variants WHERE tx_hash = $1
        """,
        *(tx_hash, unique_id),
    )


def _as_written(row: Any, receipt: Receipt | None) -> bool:
    """Tell whether a mined variant's row says what the receipt does."""
    if receipt is None or replace(receipt, logs=()) != _mined(row):
        return False
    verdict = judge(row, row["currency"], receipt)
    return (verdict.error, verdict.token_moved) == (row["error_code"], row["token_moved"])


def _mined(variant: Any) -> Receipt:
    return Receipt(
        tx_hash=variant["tx_hash"],
        block_number=variant["mined_block"],
        block_hash=variant["mined_block_hash"],
        status=variant["receipt_status"],
        gas_used=int(variant["gas_used"]),
        gas_price=int(variant["gas_price"]),
    )
