"""The chain as the rest of the sandbox sees it: started, mining, kept.

Owns: when a block is made and which time it bears. A block is due every `block_time`; while nothing waits and
nothing was mined lately, empty blocks come only every `IDLE_SECONDS`, so that a stack at rest costs nothing.
Blocks faster than one a second share a second. When the clock jumps, the skipped time is filled with blocks as
mainnet would have made (one per 12 s, at most `CATCH_UP`), so that confirmations and finality follow the clock.
A `hold` fault on chain/mine stops the making of blocks while the pool goes on.

Leaves alone: what listeners do with a block.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from sandbox.chain.anvil import Anvil
from sandbox.chain.history import History
from sandbox.chain.node import Node
from sandbox.clock import Clock
from sandbox.config import Config
from sandbox.errors import ChainError, SandboxError
from sandbox.faults import Faults
from sandbox.store import Store

log = logging.getLogger("sandbox.chain")

#: An empty block at least this often.
IDLE_SECONDS = 12.0

#: Blocks that follow a block with transactions at full pace: two epochs, mainnet's distance to finality.
PACE_BLOCKS = 66

#: A jump of the clock below this is ordinary running, above it is a move.
JUMP_SECONDS = 5.0

#: Blocks made at most for one jump: enough for finality.
CATCH_UP = 70

#: How often the clock is looked at between blocks.
LOOK_SECONDS = 0.1

#: A snapshot is written when this many seconds passed and something was mined.
SNAPSHOT_SECONDS = 30.0

#: Between two starts of a chain that does not start.
RESTART_PAUSE = 1.0

Listener = Callable[[dict[str, Any]], Awaitable[None]]


class Chain:
    """One chain for the life of the sandbox, whatever happens to its process."""

    def __init__(
        self, config: Config, *, clock: Clock, store: Store, faults: Faults, program: Path, home: Path
    ) -> None:
        self._config = config
        self._clock = clock
        self._faults = faults
        self._home = home
        self._anvil = Anvil(program, home / "anvil", chain_id=config.chain_id)
        self.history = History(store, home)
        self.listeners: list[Listener] = []
        self.restarts = 0
        self._node: Node | None = None
        self._mining = asyncio.Lock()
        #: The time of the newest block, where that is one that was made here.
        self._head: int | None = None
        self._busy = 0
        self._last_mined = 0.0
        self._last_snapshot = 0.0
        self._dirty = False
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def node(self) -> Node:
        """The client of the process that runs now."""
        assert self._node is not None, "the chain was not started"
        return self._node

    @property
    def anvil_pid(self) -> int | None:
        """The chain's process id."""
        return self._anvil.pid

    @property
    def anvil_port(self) -> int:
        """The chain's own port, without door and faults."""
        return self._anvil.port

    async def start(self) -> None:
        """Bring the chain back to where it was."""
        await self._boot()

    def run(self) -> None:
        """Begin to make blocks and to watch the process."""
        self._tasks = [asyncio.create_task(self._mine_forever()), asyncio.create_task(self._watch())]

    async def _boot(self) -> None:
        known = self.history.path if self.history.path.exists() else None
        node = await self._anvil.start(known, int(self._clock.now()))
        old, self._node, self._head = self._node, node, None
        if old is not None:
            await old.close()
        made = await self.history.restore(node)
        if made:
            log.info("%s blocks after the snapshot were made again", made)
        self._last_snapshot = self._last_mined = asyncio.get_running_loop().time()
        self._busy = PACE_BLOCKS
        if known is None:
            await self.history.snapshot(node)

    async def _watch(self) -> None:
        while True:
            status = await self._anvil.wait()
            log.error("anvil ended by itself (%s): it is started again", status)
            try:
                async with self._mining:
                    await self._boot()
                self.restarts += 1
            except (OSError, SandboxError, ChainError) as error:
                log.error("anvil did not start: %s", error)
                await asyncio.sleep(RESTART_PAUSE)

    async def _mine_forever(self) -> None:
        loop = asyncio.get_running_loop()
        before = self._clock.offset()
        due = loop.time() + self._config.block_time
        while True:
            await asyncio.sleep(max(0.0, min(LOOK_SECONDS, due - loop.time())))
            offset = self._clock.offset()
            before = min(before, offset)
            try:
                if offset - before > JUMP_SECONDS:
                    jump, before = offset - before, offset
                    await self._catch_up(jump)
                elif loop.time() >= due:
                    due = max(due + self._config.block_time, loop.time())
                    await self._tick()
            except (OSError, ChainError) as error:
                log.warning("no block was made: %s", error)
            except Exception:  # a listener's mistake must not stop the chain
                log.exception("a block was not taken in")

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        if self._faults.take("chain", "mine"):
            return
        waiting = int((await self.node.call("txpool_status"))["pending"], 16)
        if waiting or self._busy > 0 or loop.time() - self._last_mined >= IDLE_SECONDS:
            self._busy -= 1
            await self.mine()
        if self._dirty and loop.time() - self._last_snapshot >= SNAPSHOT_SECONDS:
            await self._snapshot()

    async def _catch_up(self, jump: float) -> None:
        if self._faults.take("chain", "mine"):
            return
        now = int(self._clock.now())
        count = min(CATCH_UP, int(jump / IDLE_SECONDS))
        for left in range(count, -1, -1):
            await self.mine(now - int(left * IDLE_SECONDS))
        self._busy = max(self._busy, 1)

    async def mine(self, at: int | None = None) -> dict[str, Any]:
        """Make one block now (or at a time, if that is after its parent) and tell the listeners."""
        async with self._mining:
            block = await self._make(int(self._clock.now()) if at is None else at)
        await self._tell(block)
        return block

    async def _make(self, at: int) -> dict[str, Any]:
        parent, self._head = self._head, None  # what goes wrong from here on leaves it unknown
        if parent is None:
            parent = int((await self.node.call("eth_getBlockByNumber", "latest", False))["timestamp"], 16)
        await self.node.call("evm_mine", {"timestamp": max(parent, at)})
        block: dict[str, Any] = await self.node.call("eth_getBlockByNumber", "latest", False)
        self._head = int(block["timestamp"], 16)
        self.history.mined(block)
        self._last_mined = asyncio.get_running_loop().time()
        if block["transactions"]:
            self._busy, self._dirty = PACE_BLOCKS, True
        return block

    async def _tell(self, block: dict[str, Any]) -> None:
        for listener in self.listeners:
            await listener(block)

    async def reorganise(self, *, depth: int = 1, block: int | None = None) -> list[dict[str, Any]]:
        """Take the newest blocks back, make others in their places and one more; what was in them waits again.

        So many of them, or all from `block` on, however many have come since.
        """
        async with self._mining:
            head = await self.node.number("eth_blockNumber")
            depth = min(depth if block is None else max(head - block + 1, 1), head - 1)
            raws = [raw for number in range(head - depth + 1, head + 1) for raw in await self._raws(number)]
            self._head = None
            await self.node.call("anvil_rollback", depth)
            self.history.rolled_back(head - depth)
            made = [await self._make(int(self._clock.now())) for _ in range(depth + 1)]
            for raw in raws:
                with contextlib.suppress(ChainError):  # its nonce was taken meanwhile
                    self.history.accepted(str(await self.node.call("eth_sendRawTransaction", raw)), raw)
            await self.history.snapshot(self.node)
            self._busy = PACE_BLOCKS
        for one in made:
            await self._tell(one)
        return made

    async def _raws(self, number: int) -> list[str]:
        block = await self.node.call("eth_getBlockByNumber", hex(number), False)
        return [str(await self.node.call("eth_getRawTransactionByHash", one)) for one in block["transactions"]]

    async def drop(self, tx_hash: str) -> bool:
        """Forget a transaction that waits, as a node with a full pool does; whether there was one."""
        async with self._mining:
            waits = await self.node.call("eth_getTransactionByHash", tx_hash) is not None
            await self.node.call("anvil_dropTransaction", tx_hash)
            return waits and await self.node.call("eth_getTransactionByHash", tx_hash) is None

    async def _snapshot(self) -> None:
        async with self._mining:
            await self.history.snapshot(self.node)
        self._last_snapshot, self._dirty = asyncio.get_running_loop().time(), False

    async def send(self, raw: str) -> str:
        """Broadcast a signed transaction of the sandbox's own wallets."""
        tx_hash = str(await self.node.call("eth_sendRawTransaction", raw))
        self.history.accepted(tx_hash, raw)
        return tx_hash

    async def fund(self, address: str, wei: int) -> None:
        """Give an address coins from nowhere, as only a development chain can."""
        async with self._mining:
            balance = await self.node.number("eth_getBalance", address, "latest")
            await self.node.call("anvil_setBalance", address, hex(balance + wei))
            await self.history.snapshot(self.node)

    async def stop(self) -> None:
        """Stop making blocks, write the state, end the process."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._node is not None:
            try:
                await self._snapshot()
            except (OSError, ChainError) as error:
                log.warning("no snapshot at the end (%s); the journal has it all", error)
            await self._node.close()
        await self._anvil.kill()
