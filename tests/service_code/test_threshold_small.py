"""Small payments are converted together by exact shares; rows of the old shape go on; money.shares is exact."""

from __future__ import annotations

import asyncio
from decimal import Decimal
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_code.kit import migrate
from service_code.kit.money import MoneyError, shares
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH
from tests.service_code.gathering import BATCH, CONVERT, TRIGGER, Gathering, books, gathered, gathering
from tests.service_code.servers import execute, on
from tests.service_code.world import World

#: What the exchange takes at least, and a payment below it.
LEAST, SMALL = Decimal("0.001"), ETH // 2000
MICRO = "gcmicrobatchprocessor"


async def small(world: World, line: Gathering, count: int, threshold: str = "100000", units: int = SMALL) -> None:
    """Have payments gathered that the exchange finds too small alone."""
    world.outer.smallest = LEAST
    for task in await gathered(world, threshold, units=units, count=count):
        await line.deliver(task)
    for question in world.outer.take(CONVERT):
        assert await line.status(question) == "too_small"
        assert await line.status(question) == "already_pending"


# A machine under load draws slowly; that says nothing of the shares.
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.integers(0, 10**30), st.lists(st.integers(0, 10**24), min_size=1, max_size=30).filter(any))
def test_shares_sum_to_the_whole_and_none_is_a_unit_from_its_due(total: int, weights: list[int]) -> None:
    found = shares(total, weights)
    assert sum(found) == total
    whole = sum(weights)
    assert all(abs(share * whole - total * weight) < whole for share, weight in zip(found, weights, strict=True))
    assert all(share == 0 for share, weight in zip(found, weights, strict=True) if weight == 0)


def test_nothing_is_divided_among_nobody() -> None:
    for weights in ([], [0], [-1, 2]):
        with pytest.raises(MoneyError if weights else ValueError):
            shares(1, weights)
    assert shares(100, [1, 1, 1]) == [34, 33, 33]


async def test_small_payments_wait_until_they_are_worth_it_and_are_divided_exactly(
    world: World, chain: Chain, sql: Any
) -> None:
    world.outer.price = Decimal("2999.999999")
    async with gathering(world) as line:
        micro = line.running[MICRO]
        await small(world, line, 2)
        assert (await micro.sweep("/convert-pending"))["status"] == "not_worth_it"
        for number in range(25):
            await small(world, line, 1, units=SMALL + 7919 * number)
        asked = len(world.outer.estimates)
        done = await micro.sweep("/convert-pending")
        assert (done["status"], done["payments"], done["due"]) == ("converted", 27, 0)
        assert len(world.outer.estimates) == asked + 1
        assert (await micro.sweep("/convert-pending"))["status"] == "not_worth_it"
    rows = await sql.fetch("SELECT accumulated_eth AS eth, accumulated_usdt AS usdt FROM payout_accumulation")
    eth, usdt = sum(row["eth"] for row in rows), sum(row["usdt"] for row in rows)
    assert str(usdt) == done["usdt"]
    assert usdt == int(float(Decimal(eth) / ETH * world.outer.price) * 10**6)
    assert all(abs(row["usdt"] * eth - usdt * row["eth"]) < eth for row in rows)
    assert (await books(sql))["accumulated_funds"] == -eth


async def test_small_payments_that_meet_a_threshold_together_are_paid_once(
    world: World, chain: Chain, sql: Any
) -> None:
    async with gathering(world) as line:
        await small(world, line, 30, threshold="40")
        micro = line.running[MICRO]
        world.outer.changenow_status = 503
        assert (await micro.sweep("/convert-pending"))["status"] == "exchange_away"
        world.outer.changenow_status = None
        rounds = await asyncio.gather(*(micro.sweep("/convert-pending") for _ in range(3)))
        assert sum(one["status"] == "converted" for one in rounds) == 1
        await line.run(world.outer.take(BATCH))
    assert await sql.fetchval("SELECT members FROM payout_batches") == 30
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay WHERE status = 'completed'") == 1
    assert (await books(sql))["accumulated_funds"] == 0


async def test_a_conversion_that_its_queue_gave_up_is_taken_with_the_small_ones(
    world: World, chain: Chain, sql: Any
) -> None:
    (task,) = await gathered(world, "100")
    async with gathering(world) as line:
        await line.deliver(task)
        (question,) = world.outer.take(CONVERT)
        assert (await line.running[MICRO].sweep("/convert-pending"))["status"] == "not_worth_it"
        world.clock.at += 26 * 3600
        assert (await line.running[MICRO].sweep("/convert-pending"))["status"] == "converted"
        assert await line.status(question) == "next"
        await line.run(world.outer.take(BATCH) + world.outer.take(TRIGGER))
    assert (await books(sql))["accumulated_funds"] == 0
    assert await sql.fetchval("SELECT count(*) FROM payout_batches") == 1


#: The table before conversions were asked by queue (the migration says so too).
OLD_SHAPE = """
    CREATE TABLE payout_accumulation (
        unique_id text PRIMARY KEY, client_id bigint NOT NULL, client_wallet text NOT NULL,
        payout_currency text NOT NULL, payout_network text NOT NULL, currency text NOT NULL,
        accumulated_eth numeric(78, 0) NOT NULL, accumulated_usdt numeric(78, 0) NOT NULL,
        eth_to_usdt_rate numeric NOT NULL, created_at timestamptz NOT NULL
    );
    INSERT INTO payout_accumulation
    SELECT 'old' || n, -100123, '0x' || repeat('cd', 20), 'usdt', 'eth', 'eth', n * 1000000000000000, n * 3000000,
        3000.5, '2025-10-30T00:00:00Z' FROM generate_series(1, 3) AS n
    """


async def test_rows_of_the_old_shape_are_completed_and_enter_the_ledger(
    postgres: str, template: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = sorted(migrate.MIGRATIONS.glob("*.sql"))
    before = [path for path in files if path.name < "20261123000003"]
    for path in before:
        (tmp_path / path.name).write_text(path.read_text())
    await execute(on(postgres, "postgres"), "CREATE DATABASE old_shape")
    url = on(postgres, "old_shape")
    with monkeypatch.context() as patch:
        patch.setattr(migrate, "MIGRATIONS", tmp_path)
        assert migrate.run("up", url) == 0
    await execute(url, OLD_SHAPE)
    assert migrate.run("up", url) == 0
    connection: Any = await asyncpg.connect(url)
    rows = await connection.fetch(
        "SELECT conversion_status, conversion_attempts, last_conversion_attempt, batch_id FROM payout_accumulation"
    )
    assert [tuple(row) for row in rows] == [("completed", 0, None, None)] * 3
    index = "SELECT count(*) FROM pg_indexes WHERE indexname = 'idx_payout_accumulation_conversion_status'"
    assert await connection.fetchval(index) == 1
    held = await connection.fetchval("SELECT sum(amount) FROM ledger_entries WHERE account = 'accumulated_funds'")
    assert held == -6 * 10**15
    new = "INSERT INTO payout_accumulation (unique_id, client_id, client_wallet, payout_currency, payout_network, "
    values = "currency, accumulated_eth, created_at) SELECT 'new', 1, 'w', 'usdt', 'eth', 'eth', 1, created_at "
    await connection.execute(f"{new}{values}FROM payout_accumulation LIMIT 1")
    assert await connection.fetchval("SELECT conversion_status FROM payout_accumulation WHERE unique_id = 'new'") == (
        "pending"
    )
    await connection.close()
    await execute(on(postgres, "postgres"), "DROP DATABASE old_shape WITH (FORCE)")


async def test_rows_of_the_old_shape_are_paid_with_the_next_payment(world: World, chain: Chain, sql: Any) -> None:
    await sql.execute(
        """
        WITH old AS (
            INSERT INTO payout_accumulation (unique_id, client_id, client_wallet, payout_currency, payout_network,
                currency, accumulated_eth, accumulated_usdt, eth_to_usdt_rate, conversion_status, created_at)
            VALUES ('old1', -100123, '0x' || repeat('cd', 20), 'usdt', 'eth', 'eth', 1000000000000000, 3000000, 3000.5,
                'completed', '2025-10-30T00:00:00Z')
        ), posting AS (
            INSERT INTO ledger_postings VALUES ('opening:old1', 'opening', 'old1', NULL, '2025-10-30T00:00:00Z')
        )
        INSERT INTO ledger_entries VALUES ('opening:old1', 'processor_receivable', 'eth', 1000000000000000),
            ('opening:old1', 'accumulated_funds', 'eth', -1000000000000000)
        """
    )
    async with gathering(world) as line:
        await line.run(await gathered(world, "148.5"))
    assert await sql.fetchval("SELECT members FROM payout_batches") == 2
    assert (await books(sql))["accumulated_funds"] == 0
