"""The ledger keeps itself: unbalanced, empty, changed or deleted postings are impossible in the database."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_code.kit import ledger
from service_code.kit.ledger import Posting
from service_code.kit.money import LARGEST, Amount, split

AT = datetime(2026, 11, 22, tzinfo=UTC)
ACCOUNTS = (
    "processor_receivable", "unsplit_funds", "exchange_clearing", "platform_fees", "rounding", "host_wallet",
    "gas_expense", "dead_payouts", "settled_outside", "points_issued", "user_points", "accumulated_funds",
    "strayed_funds",
)  # fmt: skip


@given(st.integers(1, LARGEST), st.integers(1, 100), st.integers(0, 10**18))
def test_every_posting_balances_and_a_paid_payment_leaves_only_income_and_gas(
    units: int, percent: int, gas: int
) -> None:
    whole = Amount(currency="eth", units=units)
    parts = split(whole, percent)
    postings = [
        ledger.notice("p", whole, "ipn:1"),
        ledger.split("p", whole, parts, "cn"),
        ledger.dead("p", 1, parts.client, ledger.EXCHANGE_CLEARING, "X"),
        ledger.revive("p", 1, parts.client, ledger.EXCHANGE_CLEARING, "replayed"),
        ledger.payout("p", parts.client, "0xt", "0xb"),
        ledger.gas("p", Amount(currency="eth", units=gas), "0xt", "0xb"),
    ]
    total = dict.fromkeys(ACCOUNTS, 0)
    for posting in postings:
        assert sum(amount for _, amount in posting.lines) == 0
        for account, amount in posting.lines:
            total[account] += amount
    assert total["unsplit_funds"] == total["exchange_clearing"] == total["dead_payouts"] == 0
    assert total["host_wallet"] == -(parts.client.units + gas)


@given(st.integers(1, LARGEST), st.integers(1, LARGEST))
def test_what_strayed_is_settled_with_the_payment_that_is_recovered(owed: int, moved: int) -> None:
    held, strayed = Amount(currency="usdt", units=owed), Amount(currency="usdt", units=moved)
    total = dict.fromkeys(ACCOUNTS, 0)
    for posting in (
        ledger.stray("p", strayed, "0xt", "0xb"),
        ledger.dead("p", 1, held, ledger.EXCHANGE_CLEARING, "STRAY_TRANSFER"),
        ledger.recovered("p", 1, held, "settled"),
        ledger.stray_settled("p", 1, strayed, "settled"),
    ):
        for account, amount in posting.lines:
            total[account] += amount
    assert (total["strayed_funds"], total["dead_payouts"], total["host_wallet"]) == (0, 0, -moved)
    assert total["settled_outside"] == moved - owed  # what else the operator has paid


def test_an_unbalanced_posting_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="balance"):
        Posting(key="k", kind="k", unique_id="p", currency="eth", lines=(("rounding", 1),))


async def test_postings_are_written_once_each_even_at_once(database: str, sql: Any) -> None:
    postings = [ledger.notice(f"p{n}", Amount(currency="eth", units=n + 1), "ipn") for n in range(5)]

    async def write() -> None:
        connection: Any = await asyncpg.connect(database.format(user="gcwebhook"))
        await connection.set_type_codec("numeric", schema="pg_catalog", encoder=str, decoder=int, format="text")
        async with connection.transaction():
            await ledger.post(connection, postings, AT)
        await connection.close()

    await asyncio.gather(*(write() for _ in range(4)))
    assert await sql.fetchval("SELECT count(*) FROM ledger_postings") == 5
    assert await sql.fetchval("SELECT sum(amount) FROM ledger_entries WHERE amount > 0") == 15
    for key in ("notice:p1", "notice:p1"):
        await ledger.reverse(sql, key, AT)
    assert await sql.fetchval("SELECT balance FROM ledger_balances WHERE account = 'unsplit_funds'") == -13


@pytest.mark.parametrize("lines", [[("rounding", 5)], [("rounding", 5), ("host_wallet", -4)], []])
async def test_the_database_refuses_an_unbalanced_posting_at_commit(sql: Any, lines: list[tuple[str, int]]) -> None:
    async def write() -> None:
        async with sql.transaction():
            await sql.execute("INSERT INTO ledger_postings VALUES ('k', 'k', 'p', NULL, $1)", AT)
            for account, amount in lines:
                await sql.execute("INSERT INTO ledger_entries VALUES ('k', $1, 'eth', $2)", account, amount)

    with pytest.raises(asyncpg.CheckViolationError):
        await write()
    assert await sql.fetchval("SELECT count(*) FROM ledger_postings") == 0


@pytest.mark.parametrize(
    "statement", ["UPDATE ledger_entries SET amount = 1", "DELETE FROM ledger_entries", "TRUNCATE ledger_entries"]
)
async def test_the_ledger_is_insert_only_even_for_its_owner(sql: Any, statement: str) -> None:
    async with sql.transaction():
        await ledger.post(sql, [ledger.notice("p", Amount(currency="eth", units=5), "ipn")], AT)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await sql.execute(statement)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("gcsplit", "UPDATE split_payout_hostpay SET status = 'failed'"),
        ("gcsplit", "SELECT * FROM tx_variants"),
        ("gcwebhook", "UPDATE split_payout_que SET status = 'dead'"),
        ("gchostpay", "SELECT * FROM split_payout_request"),
        ("gchostpay", "DELETE FROM outbox"),
        ("gchostpay", "CREATE TABLE mine (a int)"),
    ],
)
async def test_a_service_may_touch_its_own_tables_alone(database: str, role: str, statement: str) -> None:
    connection: Any = await asyncpg.connect(database.format(user=role))
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_the_chart_of_accounts_is_the_one_of_the_adr(sql: Any) -> None:
    from pathlib import Path

    text = (Path(__file__).parents[2] / "docs/adr/ledger-accounts.md").read_text()
    rows = await sql.fetch("SELECT account, kind FROM ledger_accounts")
    assert {row["account"] for row in rows} == set(ACCOUNTS)
    for row in rows:
        assert f"| `{row['account']}` | {row['kind']} |" in text
