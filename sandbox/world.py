"""The sandbox put together: its parts, its two ports, its beginning and end.

Owns: the order in which parts start and stop, the status and the summary page. Leaves alone: what each part
does.
"""

from __future__ import annotations

import errno
import html
import os
import secrets
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from aiohttp import web

from sandbox.alchemy import Sender as AlchemySender
from sandbox.alchemy import Watcher
from sandbox.chain.anvil import find
from sandbox.chain.chain import Chain
from sandbox.chain.door import Door
from sandbox.clock import Clock
from sandbox.config import Config
from sandbox.errors import ChainError, PortInUseError
from sandbox.exchange.api import ExchangeApi
from sandbox.exchange.book import Book
from sandbox.exchange.issuer import Issuer
from sandbox.exchange.settlement import Settlement
from sandbox.exchange.wallet import Wallet
from sandbox.faults import Faults
from sandbox.incidents import Incidents
from sandbox.keys import Keys
from sandbox.paynow import PayNowApi
from sandbox.processor.api import ProcessorApi
from sandbox.processor.sender import Sender
from sandbox.slack import Slack
from sandbox.store import Store
from sandbox.telegram import Telegram

#: Blocks that one reorganisation takes back at most: a few more than the main chain's finality allows.
DEEPEST = 100

#: What the summary page links to.
PAGES = (
    *("/status", "/processor/sent", "/paynow/sent", "/alchemy/sent", "/exchange/records"),
    *("/telegram/sent", "/slack/sent", "/incidents", "/faults"),
)

#: What the host wallet owns at the beginning.
HOST_WEI = 100_000 * 10**18

_SHUTDOWN_SECONDS = 1.0


@web.middleware
async def _chain_away(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """While the chain's process is started again, say so."""
    try:
        return await handler(request)
    except (ConnectionError, ChainError) as error:
        return web.json_response({"error": f"try again: {error}"}, status=503)


class World:
    """Everything outside of Sluice."""

    def __init__(self, config: Config, home: Path, root: Path) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._config = config
        self.clock = Clock(config.clock)
        self.store = Store(home / "sandbox.db")
        self.faults = Faults()
        self.keys = Keys(self.store)
        self.key = self.store.fact("rpc_key") or self.store.remember("rpc_key", secrets.token_hex(16))
        self.chain = Chain(
            config, clock=self.clock, store=self.store, faults=self.faults, program=find(root), home=home
        )
        self.book = Book(self.store, self.clock, self.keys)
        self.issuer = Issuer(self.store, self.chain, config.chain_id)
        self.wallet = Wallet(self.store, self.chain, self.keys, self.issuer, config.chain_id)
        self.settlement = Settlement(
            self.store,
            book=self.book,
            chain=self.chain,
            clock=self.clock,
            keys=self.keys,
            wallet=self.wallet,
            confirmations=config.confirmations,
        )
        self.sender = Sender(self.store, self.clock, self.faults, config.webhook_url)
        self.alchemy = AlchemySender(config, self.store, self.clock, self.faults)
        self.watcher = Watcher(
            config, self.store, self.clock, chain=self.chain, sender=self.alchemy, wallet=self.wallet
        )
        self.door = Door(self.chain, self.faults, self.key)
        self._runners: list[web.AppRunner] = []
        self.port = 0
        self.rpc_port = 0

    async def start(self, port: int, rpc_port: int) -> dict[str, Any]:
        """Start everything; returns the line that says it is ready."""
        self.port = await self._serve(self._application(), port, "--port")
        await self.chain.start()
        await self.wallet.prepare()
        if self._config.host_wallet and not self.store.fact(self._funding()):
            await self.chain.fund(self._config.host_wallet, HOST_WEI)
            self.store.remember(self._funding(), str(HOST_WEI))
        if self._config.host_wallet and not self.store.fact(f"coins {self._funding()}"):
            await self.issuer.fund(self._config.host_wallet)
            self.store.remember(f"coins {self._funding()}", "given")
        await self.settlement.catch_up()
        self.chain.listeners.append(self.settlement.on_block)
        if self._config.alchemy_url and self._config.host_wallet:
            self.alchemy.start()
            self.watcher.start()
        self.rpc_port = await self._serve(self.door.application(), rpc_port, "--rpc-port")
        self.chain.run()
        await self.sender.start()
        return {"ready": True, "port": self.port, "rpc": self.rpc_url, "anvil": self.chain.anvil_port}

    @property
    def rpc_url(self) -> str:
        """The chain's door, key included."""
        return f"http://127.0.0.1:{self.rpc_port}/{self.key}"

    def _funding(self) -> str:
        return f"funded {(self._config.host_wallet or '').lower()}"

    async def _serve(self, app: web.Application, port: int, option: str) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, "127.0.0.1", port, backlog=1024).start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise PortInUseError(
                    f"port {port} is in use: stop what listens there or give another {option}"
                ) from error
            raise
        return int(runner.addresses[0][1])

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=4 * 1024 * 1024, middlewares=[_chain_away])
        app.add_routes([
            web.get("/", self._page),
            web.get("/status", self._status),
            web.post("/chain/mine", self._mine),
            web.post("/chain/reorg", self._reorganise),
            web.post("/chain/drop", self._drop),
            *self.alchemy.routes(),
            *self.faults.routes(),
            *ExchangeApi(self.book, self.clock, self.faults, self._config.changenow_api_key).routes(),
            *ProcessorApi(self._config, self.store, self.clock, self.keys, self.sender).routes(),
            *PayNowApi(self._config, self.store, self.clock, self.faults).routes(),
            *Incidents(self.store, self.clock, self.faults).routes(),
            *Slack(self.store, self.clock, self.faults).routes(),
            *Telegram(self.store, self.clock, self.keys, self.faults, self._config.telegram_bot_token).routes(),
        ])  # fmt: skip
        return app

    async def status(self) -> dict[str, Any]:
        """What runs, and the sums."""
        node = self.chain.node
        block = await node.call("eth_getBlockByNumber", "latest", False)
        pool = await node.call("txpool_status")
        host = self._config.host_wallet
        notices = self.store.rows("SELECT state, count(*) AS n FROM notices GROUP BY state")
        return {
            "pid": os.getpid(),
            "now": self.clock.iso(),
            "clock_offset": self.clock.offset(),
            "chain": {
                "anvil_pid": self.chain.anvil_pid,
                "anvil_port": self.chain.anvil_port,
                "anvil_restarts": self.chain.restarts,
                "rpc": self.rpc_url,
                "rpc_calls": self.door.calls,
                "chain_id": self._config.chain_id,
                "block_time": self._config.block_time,
                "block_number": int(block["number"], 16),
                "block_timestamp": int(block["timestamp"], 16),
                "pending": int(pool["pending"], 16),
                "queued": int(pool["queued"], 16),
            },
            "host_wallet": {
                "address": host,
                "balance": str(await node.number("eth_getBalance", host, "latest")) if host else None,
                "funded": self.store.fact(self._funding()) or "0",
                "given": self.issuer.shares() if self.store.fact(f"coins {self._funding()}") else {},
                "tokens": {one: str(await self.issuer.balance(one, host)) for one in self.wallet.tokens if host},
            },
            "exchange": {
                "wallet": self.wallet.address,
                "balance": str(await node.number("eth_getBalance", self.wallet.address, "latest")),
                "tokens": self.wallet.tokens,
                "orders": self.book.totals(),
            },
            "processor": {"notices": {row["state"]: row["n"] for row in notices}, "target": self._config.webhook_url},
            "alchemy": {"events": self.alchemy.totals(), "target": self._config.alchemy_url},
            "faults": self.faults.listing(),
        }

    async def _status(self, _: web.Request) -> web.Response:
        return web.json_response(await self.status())

    async def _mine(self, _: web.Request) -> web.Response:
        block = await self.chain.mine()
        return web.json_response({"block": int(block["number"], 16), "transactions": block["transactions"]})

    async def _reorganise(self, request: web.Request) -> web.Response:
        wish = await request.json()
        depth, block = wish.get("depth", 1), wish.get("block")
        if type(depth) is not int or not 1 <= depth <= DEEPEST or (block is not None and type(block) is not int):
            reason = f"'depth' must be a whole number from 1 to {DEEPEST}, or 'block' the first to be taken back"
            return web.json_response({"error": reason}, status=400)
        made = await self.chain.reorganise(depth=depth, block=block)
        return web.json_response({"blocks": [int(block["number"], 16) for block in made]})

    async def _drop(self, request: web.Request) -> web.Response:
        tx_hash = (await request.json()).get("hash")
        if not isinstance(tx_hash, str):
            return web.json_response({"error": "'hash' must be the hash of a transaction that waits"}, status=400)
        return web.json_response({"dropped": await self.chain.drop(tx_hash)})

    async def _page(self, _: web.Request) -> web.Response:
        rows = []
        for name, value in (await self.status()).items():
            shown = value if isinstance(value, dict) else {"": value}
            for key, item in shown.items():
                rows.append(f"<tr><td>{html.escape(f'{name} {key}')}</td><td>{html.escape(str(item))}</td></tr>")
        links = " ".join(f'<a href="{path}">{path}</a>' for path in PAGES)
        page = f"<!doctype html><title>sandbox</title><h1>Sandbox</h1><p>{links}</p><table>{''.join(rows)}</table>"
        return web.Response(text=page, content_type="text/html")

    async def stop(self) -> None:
        """Stop everything; the chain's state is written last."""
        self.faults.clear()
        await self.sender.stop()
        await self.watcher.stop()
        await self.alchemy.stop()
        for runner in self._runners:
            await runner.cleanup()
        await self.chain.stop()
        self.store.close()
