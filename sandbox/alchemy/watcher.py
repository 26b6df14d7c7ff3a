"""Watching the chain for the host wallet, as Alchemy does for its customers.

Owns: which block stands and which is gone (by their hashes, whatever the cause: a reorganisation, or a chain that was
made again after a kill), the wallet's transfers in each, and its transactions that wait no more and are in no block.
Leaves alone: how events look and how they are sent. What happened while nobody watched is not told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import dataclass
from typing import Any

from eth_account import Account

from sandbox.alchemy import body
from sandbox.alchemy.sender import Sender
from sandbox.chain.chain import Chain
from sandbox.clock import Clock
from sandbox.config import Config
from sandbox.erc20 import TRANSFERRED
from sandbox.errors import ChainError
from sandbox.exchange.wallet import Wallet
from sandbox.store import Store
from sandbox.wire import DECIMALS

log = logging.getLogger("sandbox.alchemy")

#: Blocks that are remembered: more than a chain can take back.
REMEMBERED = 128

#: A transaction that waits for so many blocks is looked at: the next block takes any other.
PATIENCE = 2


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A block as it was told of."""

    number: int
    hash: str
    activity: list[dict[str, Any]]


class Watcher:
    """Turns blocks into events."""

    def __init__(
        self, config: Config, store: Store, clock: Clock, *, chain: Chain, sender: Sender, wallet: Wallet
    ) -> None:
        self._wallet = (config.host_wallet or "").lower()
        self._kinds = config.alchemy_webhooks
        self._store = store
        self._clock = clock
        self._chain = chain
        self._sender = sender
        self._coins = wallet
        self._blocks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._seen: list[Seen] = []
        self._waiting: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Watch from the next block on."""
        self._chain.listeners.append(self.on_block)
        self._task = asyncio.create_task(self._watch())

    async def on_block(self, block: dict[str, Any]) -> None:
        """Remember to look at a block; the chain does not wait for it."""
        self._blocks.put_nowait(block)

    async def _watch(self) -> None:
        while True:
            block = await self._blocks.get()
            try:
                await self._take(block)
            except (OSError, ChainError) as error:
                log.warning("a block was not told of: %s", error)
            except Exception:  # an event's mistake must not end the watching
                log.exception("a block was not told of")

    async def _take(self, block: dict[str, Any]) -> None:
        number = int(block["number"], 16)
        last = self._seen[-1] if self._seen else None
        if last is not None and (last.number, last.hash) != (number - 1, block["parentHash"]):
            await self._gone()
        first = self._seen[-1].number + 1 if self._seen else number
        for one in range(first, number + 1):
            await self._new(one, block)
        await self._dropped(number)

    async def _gone(self) -> None:
        """Tell of blocks in whose place others stand, the newest first."""
        while self._seen:
            last = self._seen[-1]
            stands = await self._chain.node.call("eth_getBlockByNumber", hex(last.number), False)
            if stands is not None and stands["hash"] == last.hash:
                break
            self._seen.pop()
            self._tell_activity([body.removed(one, last.hash) for one in last.activity])

    async def _new(self, number: int, told: dict[str, Any]) -> None:
        """Take in one block; of one that the chain has just told to be empty there is no more to ask."""
        block: dict[str, Any] | None = told
        if int(told["number"], 16) != number or told["transactions"]:
            block = await self._chain.node.call("eth_getBlockByNumber", hex(number), True)
        if block is None:
            return
        activity: list[dict[str, Any]] = []
        if block["transactions"]:
            receipts = await self._chain.node.call("eth_getBlockReceipts", hex(number))
            activity = self._activity(block, receipts)
        self._seen = [*self._seen[1 - REMEMBERED :], Seen(number=number, hash=block["hash"], activity=activity)]
        self._tell_activity(activity)
        for tx in block["transactions"]:
            if tx["from"].lower() == self._wallet:
                self._tell("MINED_TRANSACTION", {"transaction": tx}, tx["hash"])

    def _activity(self, block: dict[str, Any], receipts: list[dict[str, Any]]) -> list[dict[str, Any]]:
        found = []
        symbols = {address.lower(): symbol for symbol, address in self._coins.tokens.items()}
        for tx, receipt in zip(block["transactions"], receipts, strict=True):
            if int(receipt["status"], 16) != 1:
                continue
            if int(tx["value"], 16) and self._wallet in (tx["from"].lower(), (tx["to"] or "").lower()):
                found.append(body.ether(tx))
            for entry in receipt["logs"]:
                symbol, topics = symbols.get(entry["address"].lower()), entry["topics"]
                parties = ["0x" + topic[-40:] for topic in topics[1:]] if topics[:1] == [TRANSFERRED] else []
                if symbol and len(parties) == 2 and self._wallet in parties:
                    found.append(body.token(entry, symbol.upper(), DECIMALS[symbol]))
        return found

    async def _dropped(self, number: int) -> None:
        """Tell of the wallet's transactions that were accepted, wait no more, and are in no block."""
        rows = self._store.rows(
            "SELECT hash, raw FROM raw_transactions WHERE block IS NULL AND hash NOT IN"
            " (SELECT about FROM alchemy WHERE kind = 'DROPPED_TRANSACTION')"
        )
        self._waiting = {row["hash"]: self._waiting.get(row["hash"], number) for row in rows}
        for row in rows:
            since = self._waiting[row["hash"]]
            if number - since < PATIENCE:
                continue
            found = await self._chain.node.call("eth_getTransactionByHash", row["hash"])
            if found is not None:
                self._waiting[row["hash"]] = number
            elif Account.recover_transaction(row["raw"]).lower() == self._wallet:
                told = {"hash": row["hash"], "from": self._wallet, "blockHash": None, "blockNumber": None}
                self._tell("DROPPED_TRANSACTION", {"transaction": told}, row["hash"])

    def _tell_activity(self, activity: list[dict[str, Any]]) -> None:
        if activity:
            self._tell("ADDRESS_ACTIVITY", {"activity": activity}, activity[0]["hash"])

    def _tell(self, kind: str, told: dict[str, Any], about: str) -> None:
        if kind in self._kinds:
            self._sender.send(kind, about, *body.event(kind, told, at=self._clock.iso()))

    async def stop(self) -> None:
        """Stop watching."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
