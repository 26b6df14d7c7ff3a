"""One run from its seed to its verdict, in a database of its own."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import asyncpg

from service_code.kit import logs, migrate
from tests.service_code import tether
from tests.service_code.conftest import Chain
from tests.service_code.outer import Outer, serve
from tests.service_code.servers import execute, on
from tests.service_code.simulation import hands
from tests.service_code.simulation.outside import Weather, with_weather
from tests.service_code.simulation.run import Simulation
from tests.service_code.simulation.verdict import FUNDED, at_rest, dead, open_things
from tests.service_code.world import Clock, World

#: Events of PayNow for a payment.
EVENTS = 0.3


@dataclass(eq=False)
class Played:
    """What a run was made of, and what is wrong after it."""

    seed: int
    payments: int
    events: int = 0
    steps: int = 0
    crashes: int = 0
    #: Database connections that were ended under the services.
    cuts: int = 0
    deliveries: int = 0
    seconds: float = 0
    troubles: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    #: Messages that operators had sent once more, by queue.
    resent: Counter[str] = field(default_factory=Counter)
    #: Errors that no code of ours expected, by type and place.
    unexpected: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)

    def write(self, text: str) -> int:
        """Take a line of the services' log."""
        if '"unexpected_error"' in text and "_check_conn_validity" not in text:  # that of one who is dead already
            error = json.loads(text)["error"]
            self.unexpected[f"{error['type']} {error['frames'][-1]}"] += 1
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""


@asynccontextmanager
async def fresh_database(postgres: str, template: str) -> AsyncIterator[tuple[str, Any]]:
    """A copy of the migrated database: a URL with {user} left open, and its owner's connection."""
    name = f"run_{time.monotonic_ns()}"
    await execute(on(postgres, "postgres"), f"CREATE DATABASE {name} TEMPLATE {template}")
    sql: asyncpg.Connection[Any] = await asyncpg.connect(on(postgres, name))
    await sql.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")
    try:
        yield on(postgres, name, "{user}"), sql
    finally:
        await sql.close()
        await execute(on(postgres, "postgres"), f"DROP DATABASE {name} WITH (FORCE)")


async def migrated(postgres: str, name: str) -> str:
    """Make the database that runs copy."""
    await execute(on(postgres, "postgres"), f"CREATE DATABASE {name}")
    assert await asyncio.to_thread(migrate.main, ["up"], {"DATABASE_URL": on(postgres, name)}) == 0
    return name


async def play(postgres: str, template: str, anvil: str, seed: int, payments: int) -> Played:
    """Let payments live under faults, heal, judge, replay what died, judge again."""
    played, began = Played(seed, payments), time.monotonic()
    logs.configure("simulated", "p", played)
    dice = random.Random(seed)
    weather, outer, chain = Weather(dice), Outer(price=Decimal(3000), smallest=Decimal("0.002")), Chain(anvil)
    async with (
        fresh_database(postgres, template) as (database, sql),
        serve(with_weather(outer.app(), weather, chain.door.handle)) as port,
    ):
        outer.port = port
        world = World(outer, database, f"{outer.url}/rpc", Clock())
        await chain.ask("anvil_setBalance", world.wallet.address, hex(FUNDED["eth"]))
        world.usdt = (await tether.issue(chain, world.wallet.address, FUNDED["usdt"] // tether.COIN)).address
        world.began = (anvil, int(await chain.ask("eth_blockNumber"), 16) + 1)
        chain.door.after["eth_sendRawTransaction"] = chain.sent
        simulation = Simulation(world, chain, sql, weather, dice)
        await simulation.open()
        try:
            await _through(simulation, sql, played)
        finally:
            await simulation.close()
            await chain.ask("anvil_dropAllTransactions")
            await chain.ask("anvil_setNextBlockBaseFeePerGas", hex(10**9))
            await chain.close()
        await _count(simulation, sql, played)
    played.seconds = time.monotonic() - began
    return played


async def _through(simulation: Simulation, sql: Any, played: Played) -> None:
    async def quiet() -> bool:
        return not await open_things(sql)

    played.events = int(played.payments * EVENTS)
    await simulation.live(played.payments, played.events)
    await simulation.heal(quiet)
    played.wrong += await at_rest(simulation, sql)
    refused: dict[str, str] = {}
    for _ in range(hands.ROUNDS):
        if await dead(sql, refused):
            refused = await hands.replay_all(simulation)
            await simulation.heal(quiet)
    left = await dead(sql, refused)
    played.wrong += [f"after the replays: {one}" for one in (*await at_rest(simulation, sql), *left)]


async def _count(simulation: Simulation, sql: Any, played: Played) -> None:
    figures = simulation.figures
    played.steps, played.crashes, played.cuts = figures.steps, figures.crashes, figures.cuts
    played.resent = figures.resent
    played.deliveries, played.troubles = simulation.queues.attempts, simulation.weather.troubles
    for row in await sql.fetch("SELECT way || ' ' || status AS how, count(*) AS n FROM split_payout_que GROUP BY 1"):
        played.ends[row["how"]] = row["n"]
    for row in await sql.fetch("SELECT 'batch ' || status AS how, count(*) AS n FROM payout_batches GROUP BY 1"):
        played.ends[row["how"]] = row["n"]
    for row in await sql.fetch("SELECT error_code, count(*) AS n FROM failed_transactions GROUP BY 1"):
        played.ends[row["error_code"]] = row["n"]
