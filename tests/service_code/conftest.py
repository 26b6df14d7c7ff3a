"""Fixtures: one Postgres and one chain a test process, a database and a wallet a test."""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web

from service_code.kit import logs, migrate
from tests.service_code.outer import Outer, Rpc, serve
from tests.service_code.servers import NoAnvilError, anvil_chain, execute, on, postgres_server
from tests.service_code.world import Clock, World

if TYPE_CHECKING:
    from tests.service_code.refusing import Desk


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A server on a socket of its own; its URL."""
    with postgres_server() as uri:
        yield uri


@pytest.fixture(scope="session")
def template(postgres: str) -> str:
    asyncio.run(execute(on(postgres, "postgres"), "CREATE DATABASE sluice_template"))
    assert migrate.main(["up"], {"DATABASE_URL": on(postgres, "sluice_template")}) == 0
    return "sluice_template"


@pytest.fixture
async def database(postgres: str, template: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """A fresh copy of the migrated database: a URL with {user} left open."""
    name = f"test_{os.getpid()}_{time.monotonic_ns()}"
    await execute(on(postgres, "postgres"), f"CREATE DATABASE {name} TEMPLATE {template}")
    yield on(postgres, name, "{user}")
    await execute(on(postgres, "postgres"), f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def sql(database: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection of the database's owner, to look and to arrange."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(database.format(user="postgres"))
    await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A chain that mines when it is told to."""
    try:
        with anvil_chain(tmp_path_factory.mktemp("anvil")) as url:
            yield url
    except NoAnvilError as error:
        pytest.skip(str(error))


@pytest.fixture
async def outer() -> AsyncIterator[Outer]:
    outer = Outer()
    async with serve(outer.app()) as port:
        outer.port = port
        yield outer


@pytest.fixture
def world(outer: Outer, database: str) -> World:
    """The surroundings without a chain."""
    return World(outer, database, "http://127.0.0.1:9/rpc", Clock())


@pytest.fixture
def log_lines() -> list[dict[str, Any]]:
    """The lines that services log, parsed."""
    lines: list[dict[str, Any]] = []

    class Stream:
        def write(self, text: str) -> int:
            lines.extend(json.loads(line) for line in text.splitlines() if line)
            return len(text)

        def flush(self) -> None:
            return None

    logs.configure("tested", "p", Stream())
    return lines


class Chain:
    """The chain as a test arranges it. Each transaction is mined before its sender is answered, while `automine`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.automine = True
        self.door = Rpc(url)
        self._session = aiohttp.ClientSession()

    async def ask(self, method: str, *params: Any) -> Any:
        wish = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with self._session.post(self.url, json=wish) as response:
            body = await response.json()
        assert "error" not in body, (method, body["error"])
        return body["result"]

    async def send(self, raw: bytes) -> None:
        await self.ask("eth_sendRawTransaction", "0x" + raw.hex())
        await self.sent()

    async def sent(self) -> None:
        """What follows a transaction that somebody has sent."""
        if self.automine:
            await self.mine()

    async def balance(self, address: str) -> int:
        return int(await self.ask("eth_getBalance", address, "latest"), 16)

    async def nonce(self, address: str) -> int:
        return int(await self.ask("eth_getTransactionCount", address, "latest"), 16)

    async def mine(self, blocks: int = 1) -> None:
        await self.ask("anvil_mine", hex(blocks))

    async def close(self) -> None:
        await self.door.close()
        await self._session.close()


@pytest.fixture
async def chain(anvil: str, world: World) -> AsyncIterator[Chain]:
    """The chain, and a wallet with 100 ether on it; what a test changes of the chain's ways is undone."""
    chain = Chain(anvil)
    await chain.ask("anvil_setBalance", world.wallet.address, hex(100 * 10**18))
    world.began = (anvil, int(await chain.ask("eth_blockNumber"), 16) + 1)
    chain.door.after["eth_sendRawTransaction"] = chain.sent
    app = web.Application()
    app.add_routes([web.post("/", chain.door.handle)])
    async with serve(app) as port:
        world.rpc = f"http://127.0.0.1:{port}/"
        yield chain
    await chain.ask("anvil_dropAllTransactions")
    await chain.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
    await chain.close()


@pytest.fixture
async def dead(
    world: World, log_lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> AsyncIterator[Any]:
    """`sluice dead` over running services, whose lines are not printed."""
    from tests.service_code import dead_here  # which few tests need, and which imports the command line

    assert log_lines == []
    async with dead_here.commanded(world, monkeypatch, capsys) as command:
        yield command


@pytest.fixture
def rpc(chain: Chain) -> Rpc:
    """The door by which services reach the chain: it counts, and does harm on demand."""
    return chain.door


@pytest.fixture
async def usdt(world: World, chain: Chain) -> Any:
    """The token, with 1000 coins in the wallet."""
    from tests.service_code import tether  # which knows this file's Chain

    issued = await tether.issue(chain, world.wallet.address, 1000)
    world.usdt = issued.address
    return issued


@pytest.fixture
async def desk(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], log_lines: list[dict[str, Any]]
) -> AsyncIterator[Desk]:
    """Services of all flows, and the commands for what the exchange refuses."""
    from tests.service_code.refusing import refusing

    async with refusing(world, monkeypatch, capsys) as found:
        yield found
