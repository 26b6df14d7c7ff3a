"""Where cases of `chain_cases` are played: one chain, one database and one node's door for all of them.

Owns: making payments that wait for their payout, without the services before the payer; reading and arranging the
chain, and a connection that shows a judge one case's payments alone. Each case has a wallet of its own, so that many
share the ground.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import aiohttp
import asyncpg
from aiohttp import web
from eth_account import Account

from service_code.kit import ledger, logs, minting
from service_code.kit.clock import moment
from service_code.kit.money import Amount, Split
from service_code.kit.orders import PendingHostPay
from service_code.kit.staged import PendingExecute
from service_code.kit.tokens import HostPayClaim, Purpose, Tokens
from tests.service_code import tether
from tests.service_code.chain_cases import Case, Wish
from tests.service_code.chain_door import LyingDoor
from tests.service_code.conftest import Chain
from tests.service_code.outer import Outer, Task, serve
from tests.service_code.tether import Tether
from tests.service_code.world import BASE, INVOKER, QUEUES, SECRETS, Clock, World

#: The queue that asks each payer.
ASKED_BY = {"single": "hostpay-execution-queue", "staged": "gchostpay-payment-execute-queue"}
#: Blocks after which nothing of before can be taken away.
FINAL = 70
#: What keeps a chain small: it remembers the states of so many blocks, more than a reorganisation takes away. Without
#: it anvil gets old states from its disk, and a contract that comes back from there has lost its code.
LEAN = ("--prune-history", "128")
#: Calls in one request.
BATCH = 200
#: Somebody who has tokens too.
HOLDER = "0x" + "55" * 20
#: Tables in which the judge of a case sees its own payments alone.
NARROWED = (
    "split_payout_request", "split_payout_que", "split_payout_hostpay", "failed_transactions", "wallet_nonces",
    "ledger_postings",
)  # fmt: skip


class Errors:
    """Keeps what services log as an unexpected error."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, text: str) -> int:
        if "unexpected_error" in text:
            self.lines.append(text.strip())
        return len(text)

    def flush(self) -> None:
        return None


@dataclass
class Ground:
    """Everything that cases share."""

    outer: Outer
    database: str
    sql: asyncpg.Connection[Any]
    #: Shows one case alone: the one that `look_at` named last.
    narrowed: asyncpg.Connection[Any]
    chain: str
    usdt: Tether
    session: aiohttp.ClientSession
    door: LyingDoor
    rpc: str
    clock: Clock
    errors: Errors
    #: Makes the wallets of one run differ from those of another on the same chain.
    salt: str = field(default_factory=lambda: os.urandom(8).hex())

    def world(self, seed: int) -> World:
        """The surroundings of one case, with its own wallet."""
        world = World(self.outer, self.database, self.rpc, self.clock)
        world.wallet = Account.from_key(hashlib.sha256(f"{self.salt}:{seed}".encode()).digest())
        world.usdt = self.usdt.address
        return world

    async def ask(self, method: str, *params: Any) -> Any:
        """Call the chain itself; AssertionError where it refuses."""
        return (await self.ask_all((method, *params)))[0]

    async def ask_all(self, *calls: tuple[Any, ...]) -> list[Any]:
        """Make several calls of the chain itself, in order."""
        found: list[Any] = []
        for start in range(0, len(calls), BATCH):
            part = calls[start : start + BATCH]
            wish = [{"jsonrpc": "2.0", "id": i, "method": m, "params": p} for i, (m, *p) in enumerate(part)]
            async with self.session.post(self.chain, json=wish) as response:
                said = {one["id"]: one for one in json.loads(await response.read())}
            for place, (method, *_) in enumerate(part):
                assert "error" not in said[place], (method, said[place]["error"])
                found.append(said[place]["result"])
        return found

    async def number(self, method: str, *params: Any) -> int:
        return int(await self.ask(method, *params), 16)

    async def prepare(self, cases: Sequence[Case]) -> None:
        """Fund the wallets of cases for good: no reorganisation may take the coins away."""
        for case in cases:
            wallet = self.world(case.seed).wallet.address
            await self.fund(wallet, case.funds)
            await self.usdt.give(wallet, case.tokens)
        await self.ask("anvil_mine", hex(FINAL))

    async def fund(self, address: str, wei: int) -> None:
        """Give an address coins from nowhere."""
        await self.ask("anvil_setBalance", address, hex(await self.number("eth_getBalance", address, "latest") + wei))

    async def look_at(self, ids: Sequence[str]) -> None:
        """Have `narrowed` show these payments alone."""
        await self.narrowed.execute("DELETE FROM looked_at")
        await self.narrowed.execute("INSERT INTO looked_at SELECT unnest($1::text[])", ids)

    async def payment(self, unique_id: str, payin: str, wish: Wish) -> Task:
        """Make a payment that was received and split, all of it the client's; the task that asks for its payout."""
        amount, now = Amount(currency=wish.currency, units=wish.units), moment(self.clock)
        order_id = f"order{unique_id}"
        self.outer.orders[order_id] = {
            "id": order_id, "status": "waiting", "payinAddress": payin, "fromAmount": 0.0, "toAmount": 42.5,
            "expectedAmountFrom": _coins(amount), "exact": Decimal(0), "flow": "standard", "validUntil": None,
            "client": client_of(unique_id),
        }  # fmt: skip
        nothing = Amount(currency=wish.currency, units=0)
        parts = Split(client=amount, platform_fee=nothing, rounding=nothing)
        pending = {
            "unique_id": unique_id, "generation": 1, "cn_api_id": order_id, "amount": amount, "network": "eth",
            "payin_address": payin,
        }  # fmt: skip
        asked = "gcsplit-hostpay-trigger-queue" if wish.way == "staged" else ASKED_BY["single"]
        async with self.sql.transaction():
            values = (unique_id, wish.currency, wish.units, now, order_id, payin, wish.way, client_of(unique_id))
            await self.sql.execute(PAYMENT, *values)
            await self.sql.execute(OUTBOX, f"{asked}:{unique_id}:1", asked, unique_id, now)
            posted = [ledger.notice(unique_id, amount, unique_id), ledger.split(unique_id, amount, parts, order_id)]
            await ledger.post(self.sql, posted, now)
        message = PendingExecute if wish.way == "staged" else PendingHostPay
        return asking(wish.way, message.model_validate(pending), now)


def client_of(unique_id: str) -> str:
    """The client's own wallet, to which the exchange sends what it was paid."""
    return f"client-of-{unique_id}"


def _coins(amount: Amount) -> float:
    return float(Decimal(amount.units) / 10 ** (18 if amount.currency == "eth" else 6))


def asking(way: str, pending: PendingHostPay, at: datetime) -> Task:
    """The task that asks a payer for a payout."""
    edge: Any = minting.EXECUTE if way == "staged" else minting.ORDER
    secret = SECRETS["HOSTPAY_INTERNAL_SIGNING_KEY" if way == "staged" else "TPS_HOSTPAY_SIGNING_KEY"]
    (mint,) = edge.minter(secret).values()
    to, path, _ = QUEUES[ASKED_BY[way]]
    return Task(
        queue=ASKED_BY[way],
        name=f"ask-{pending.unique_id}-{pending.generation}",
        url=BASE.format(to) + path,
        body=mint(pending.wire(), at).encode(),
        headers={"Content-Type": "application/json"},
        audience=BASE.format(to),
        invoker=INVOKER,
    )


def let_through(trigger: Task, at: datetime) -> Task:
    """What gchostpay1 and 2 make of a trigger whose exchange order waits."""
    tokens = Tokens(SECRETS["TPS_HOSTPAY_SIGNING_KEY"], Purpose.HOSTPAY_TRIGGER, HostPayClaim)
    claim = tokens.read(trigger.json()["token"])
    names = ("unique_id", "generation", "cn_api_id", "amount", "network", "payin_address")
    return asking("staged", PendingExecute.model_validate({name: getattr(claim, name) for name in names}), at)


PAYMENT = """
    WITH event AS (
        INSERT INTO webhook_events (event_key, source, unique_id, currency, amount, notice_at, received_at)
        VALUES ('ipn:' || $1, 'ipn', $1, $2, $3, $4, $4)
    ), request AS (
        INSERT INTO split_payout_request (unique_id, source_event, user_id, channel_id, subscription_days, currency,
            amount, client_wallet, payout_currency, payout_network, received_at, split_queued_at, split_done)
        VALUES ($1, 'ipn:' || $1, 1, 1, 30, $2, $3, $8, 'usdt', 'eth', $4, $4, true)
    )
    INSERT INTO split_payout_que (unique_id, cn_api_id, from_currency, from_network, from_amount, platform_amount,
        client_percent, payin_address, to_currency, to_network, to_amount, payout_address, status, created_at,
        pending_since, way)
    VALUES ($1, $5, $2, 'eth', $3, 0, 100, $6, 'usdt', 'eth', '42.5', $8, 'pending_hostpay', $4, $4, $7)
"""
OUTBOX = """
    INSERT INTO outbox (id, service, queue, message, unique_id, created_at, minted_at, sent_at)
    VALUES ($1, 'gcsplit', $2, '{}', $3, $4, $4, $4)
"""


@asynccontextmanager
async def ground(database: str, chain: str) -> AsyncIterator[Ground]:
    """Open the ground on a migrated database (its URL, {user} left open) and a chain that mines when it is told to."""
    outer, door, errors = Outer(), LyingDoor(chain), Errors()
    logs.configure("tested", "p", errors)
    app = web.Application()
    app.add_routes([web.post("/", door.handle)])
    sql: asyncpg.Connection[Any] = await asyncpg.connect(database.format(user="postgres"))
    # Services are killed here, never the database: nothing needs to wait for its disk.
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    await sql.execute("SET synchronous_commit = off")
    await sql.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")
    narrowed = await _narrowed(database)
    issuing = Chain(chain)
    async with serve(outer.app()) as outer.port, serve(app) as port, aiohttp.ClientSession() as session:
        try:
            yield Ground(
                outer=outer, database=database, sql=sql, narrowed=narrowed, chain=chain,
                usdt=await tether.issue(issuing, HOLDER, 1), session=session, door=door,
                rpc=f"http://127.0.0.1:{port}/", clock=Clock(), errors=errors,
            )  # fmt: skip
        finally:
            await sql.close()
            await narrowed.close()
            await _leave(session, chain)
            await issuing.close()
            await door.close()


async def _narrowed(database: str) -> asyncpg.Connection[Any]:
    """A connection on which some tables have the rows of a few payments alone, whatever is asked of them."""
    connection: asyncpg.Connection[Any] = await asyncpg.connect(database.format(user="postgres"))
    await connection.execute("CREATE TEMP TABLE looked_at (unique_id text PRIMARY KEY)")
    for table in NARROWED:
        # A temporary view is found before the table whose name it has.
        await connection.execute(
            f"CREATE TEMP VIEW {table} AS "
            f"SELECT * FROM public.{table} WHERE unique_id IN (SELECT unique_id FROM looked_at)"
        )
    return connection


async def _leave(session: aiohttp.ClientSession, chain: str) -> None:
    """Leave the chain to others as it was found."""
    for method, *params in (("anvil_dropAllTransactions",), ("anvil_setNextBlockBaseFeePerGas", hex(10**9))):
        wish = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        async with session.post(chain, json=wish) as response:
            await response.read()
