"""Migrations: they go up and down, a second run does nothing, and two at once do no harm."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service_code.kit import deadletters, migrate
from service_code.kit.app import SCHEMA
from tests.service_code.servers import execute, on


async def tables(url: str) -> set[str]:
    connection: Any = await asyncpg.connect(url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        return {row["tablename"] for row in rows}
    finally:
        await connection.close()


async def test_up_twice_at_once_and_down_again(postgres: str) -> None:
    await execute(on(postgres, "postgres"), "CREATE DATABASE migrated")
    url = on(postgres, "migrated")
    run = [asyncio.to_thread(migrate.run, "up", url) for _ in range(2)]
    assert await asyncio.gather(*run) == [0, 0]
    before = await tables(url)
    assert {"split_payout_request", "split_payout_que", "split_payout_hostpay", "failed_transactions"} <= before
    assert migrate.run("up", url) == 0
    assert await tables(url) == before
    for _ in migrate.MIGRATIONS.glob("*.sql"):
        assert migrate.run("down", url) == 0
    assert await tables(url) == {"schema_migrations"}
    assert migrate.run("up", url) == 0
    assert await tables(url) == before


async def test_an_iam_login_of_a_service_gets_its_role(postgres: str, template: str) -> None:
    owner = on(postgres, "postgres")
    await execute(owner, 'CREATE ROLE "gcsplit@p.iam" LOGIN')
    try:
        await migrate.admit_logins(owner)
        connection: Any = await asyncpg.connect(owner)
        assert await connection.fetchval("SELECT pg_has_role('gcsplit@p.iam', 'gcsplit', 'MEMBER')")
        assert not await connection.fetchval("SELECT pg_has_role('gcsplit@p.iam', 'gchostpay', 'MEMBER')")
        await connection.close()
    finally:
        await execute(owner, 'DROP ROLE "gcsplit@p.iam"')


async def test_a_service_writes_its_own_outbox_rows_alone_and_reads_all(database: str, sql: Any) -> None:
    insert = """
        INSERT INTO outbox (id, service, queue, message, unique_id, created_at, minted_at)
        VALUES ($1, $2, 'q', '{}', 'u', $3, $3)
        ON CONFLICT (id) DO UPDATE SET minted_at = EXCLUDED.minted_at WHERE outbox.sent_at IS NULL RETURNING id
        """
    at = datetime(2026, 11, 22, tzinfo=UTC)
    await sql.execute('CREATE ROLE "gcsplit@q.iam" LOGIN IN ROLE gcsplit')
    try:
        for user, own, other in (("gcwebhook", "gcwebhook", "gcsplit"), ("gcsplit@q.iam", "gcsplit", "gcwebhook")):
            connection: Any = await asyncpg.connect(database.format(user=user.replace("@", "%40")))
            for _ in range(2):
                assert await connection.fetchval(insert, own, own, at) == own
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(insert, "forged", other, at)
            assert await connection.execute("UPDATE outbox SET cancelled_at = $1", at) == "UPDATE 1"
            await connection.close()
        reader: Any = await asyncpg.connect(database.format(user="gchostpay"))
        assert await reader.fetchval("SELECT count(*) FROM outbox") == 2
        await reader.close()
        assert await sql.fetchval("SELECT count(*) FROM outbox WHERE cancelled_at IS NOT NULL") == 2
    finally:
        await sql.execute('DROP ROLE "gcsplit@q.iam"')


#: Services that strangers talk to.
OPEN_DOORS = ("gchostpay4", "gcregister")
LETTER = deadletters.Letter(service="", endpoint="/x", code="REVERTED", why="w", body=b"{}", unique_id="u")


async def test_a_service_writes_its_own_dead_letters_alone(database: str, sql: Any) -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    for number, role in enumerate(migrate.ROLES):
        other = migrate.ROLES[number - 1]
        connection: Any = await asyncpg.connect(database.format(user=role))
        try:
            assert await deadletters.store(connection, replace(LETTER, service=role), at)
            assert not await deadletters.store(connection, replace(LETTER, service=role), at)
            for body in (LETTER.body, b"[]"):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await deadletters.store(connection, replace(LETTER, service=other, body=body), at)
        finally:
            await connection.close()
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == len(migrate.ROLES)


@pytest.mark.parametrize("role", OPEN_DOORS)
async def test_whoever_strangers_talk_to_reads_nobody_elses_rows(database: str, sql: Any, role: str) -> None:
    at = datetime(2026, 11, 22, tzinfo=UTC)
    for service in ("gcwebhook", role):
        await deadletters.store(sql, replace(LETTER, service=service), at)
        await sql.execute(
            "INSERT INTO outbox (id, service, queue, message, unique_id, created_at, minted_at) "
            "VALUES ($1, $1, 'q', '{}', 'u', $2, $2)",
            *(service, at),
        )
    connection: Any = await asyncpg.connect(database.format(user=role))
    try:
        assert [row["service"] for row in await connection.fetch("SELECT service FROM outbox")] == [role]
        assert await connection.execute("UPDATE outbox SET cancelled_at = $1", at) == "UPDATE 1"
        assert await connection.fetchval("SELECT count(fingerprint) FROM dead_letters") == 1
        for column in ("body", "code", "unique_id", "*"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.fetch(f"SELECT {column} FROM dead_letters")
    finally:
        await connection.close()


def test_the_code_asks_for_the_newest_migration() -> None:
    newest = max(path.name for path in migrate.MIGRATIONS.glob("*.sql"))
    assert newest.startswith(SCHEMA)


def test_no_statement_of_ours_asks_the_database_for_the_time() -> None:
    folder = Path(migrate.__file__).parents[1]
    for path in [*folder.rglob("*.py"), *folder.rglob("*.sql")]:
        text = path.read_text().lower().replace("never now()", "")
        for word in ("now()", "current_timestamp", "clock_timestamp", "current_date"):
            assert word not in text, f"{path.name} uses {word}"


@pytest.mark.parametrize("argv", [[], ["sideways"], ["up", "down"]])
def test_a_wrong_command_says_how_it_is_used(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert migrate.main(argv, {"DATABASE_URL": "postgresql://x"}) == 2
    assert migrate.main(["up"], {}) == 2
    assert "usage:" in capsys.readouterr().err
