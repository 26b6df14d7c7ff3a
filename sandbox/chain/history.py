"""The chain's memory on disk: a snapshot, and what was mined after it.

Owns: `chain.json` (anvil's own state format, written whole and renamed into place) and two tables: every raw
transaction that was accepted, and every block with its time and its transactions. Restoring loads the
snapshot and makes the later blocks again, in order, at their times: same numbers, times, transactions, base
fees and gas. A transaction that was accepted and not mined goes back into the pool.

Why not anvil's --state with --state-interval: it writes the file in place (a kill leaves half of it), loses
what came after the last interval, and never keeps the pool. See docs/adr/sandbox-chain-state.md.

What can be lost by kill -9 of everything: a block whose transactions were mined within the same few
milliseconds; they are in the pool then, and the next block takes them. Blocks made again get other hashes.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from pathlib import Path
from typing import Any

from sandbox.chain.node import Node
from sandbox.errors import ChainError
from sandbox.store import Store

log = logging.getLogger("sandbox.chain")


def _write(path: Path, packed: str) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(gzip.decompress(bytes.fromhex(packed.removeprefix("0x"))))
    fresh.replace(path)


class History:
    """Journal and snapshots of one chain."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self.path = folder / "chain.json"

    def accepted(self, tx_hash: str, raw: str) -> None:
        """Remember a transaction that the chain took into its pool."""
        self._store.run("INSERT OR IGNORE INTO raw_transactions VALUES (?, ?, NULL)", tx_hash, raw)

    def mined(self, block: dict[str, Any]) -> None:
        """Remember a block."""
        number, hashes = int(block["number"], 16), [str(tx_hash) for tx_hash in block["transactions"]]
        self._store.run_many(
            (
                "INSERT OR REPLACE INTO blocks VALUES (?, ?, ?)",
                (number, int(block["timestamp"], 16), json.dumps(hashes)),
            ),
            *(("UPDATE raw_transactions SET block = ? WHERE hash = ?", (number, tx_hash)) for tx_hash in hashes),
        )

    def rolled_back(self, number: int) -> None:
        """Forget the blocks above a number; what was in them waits again."""
        self._store.run_many(
            ("DELETE FROM blocks WHERE number > ?", (number,)),
            ("UPDATE raw_transactions SET block = NULL WHERE block > ?", (number,)),
        )

    async def snapshot(self, node: Node) -> None:
        """Write the whole state, then forget the journal that it covers."""
        number = await node.number("eth_blockNumber")
        packed = str(await node.call("anvil_dumpState"))
        await asyncio.to_thread(_write, self.path, packed)
        self._store.run_many(
            ("DELETE FROM blocks WHERE number <= ?", (number,)),
            ("DELETE FROM raw_transactions WHERE block <= ?", (number,)),
        )

    async def restore(self, node: Node) -> int:
        """Make again what came after the snapshot; returns the number of blocks made."""
        made = 0
        top = await node.call("eth_getBlockByNumber", "latest", False)
        best = int(top["number"], 16)
        # A loaded chain refuses times before its own start until it is told the time of its last block.
        await node.call("evm_setTime", int(top["timestamp"], 16))
        for row in self._store.rows("SELECT * FROM blocks WHERE number > ? ORDER BY number", best):
            await self._resend(node, json.loads(row["hashes"]))
            await node.call("evm_mine", {"timestamp": row["timestamp"]})
            block = await node.call("eth_getBlockByNumber", hex(row["number"]), False)
            if block is None or set(block["transactions"]) != set(json.loads(row["hashes"])):
                log.warning("block %s was made again with other transactions", row["number"])
            made += 1
        waiting = self._store.rows("SELECT hash FROM raw_transactions WHERE block IS NULL ORDER BY rowid")
        await self._resend(node, [row["hash"] for row in waiting])
        return made

    async def _resend(self, node: Node, hashes: list[str]) -> None:
        for tx_hash in hashes:
            row = self._store.row("SELECT raw FROM raw_transactions WHERE hash = ?", tx_hash)
            if row is None:
                continue
            try:
                await node.call("eth_sendRawTransaction", row["raw"])
            except ChainError as error:  # replaced or used up meanwhile: the pool would have dropped it too
                log.info("transaction %s did not go back into the pool: %s", tx_hash, error)
                self._store.run("DELETE FROM raw_transactions WHERE hash = ? AND block IS NULL", tx_hash)
