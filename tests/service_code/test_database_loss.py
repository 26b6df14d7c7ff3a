"""A database that is away, or ends a connection: a retry or 503, never an error of ours."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service_code.kit.db import Database, unavailable
from tests.service_code import flow
from tests.service_code.world import INVOKER, World

ROOT = Path(__file__).parents[2]


async def test_a_database_that_is_away_is_a_retry_behind_a_queue(world: World, log_lines: list[dict[str, Any]]) -> None:
    _, task = await flow.received(world)
    async with world.run("gcsplit", DATABASE_URL="postgresql://gcsplit@127.0.0.1:9/none") as service:
        answer = await service.deliver(task)
    assert (answer.status, answer.json()) == (500, {"status": "error"})
    assert any(line.get("event") == "database_unavailable" for line in log_lines)


async def test_a_connection_that_is_lost_with_its_transaction_is_a_retry_behind_a_queue(
    world: World, sql: Any, monkeypatch: pytest.MonkeyPatch, log_lines: list[dict[str, Any]]
) -> None:
    _, task = await flow.received(world)

    async def cut(connection: Any, *_: Any) -> None:
        await sql.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
        await connection.execute("SELECT 1")

    async with world.run("gcsplit") as service:
        with monkeypatch.context() as patch:
            patch.setattr("service_code.kit.ledger.post", cut)
            answer = await service.deliver(task)
        assert (answer.status, answer.json()) == (500, {"status": "error"})
        assert (await service.deliver(task)).json() == {"status": "next"}
    assert [line["event"] for line in log_lines if line["severity"] == "ERROR"] == ["database_unavailable"]


@pytest.mark.parametrize("between", [False, True])
async def test_a_connection_that_the_server_ends_is_told_from_an_error_of_ours_at_the_schedulers_door(
    world: World, sql: Any, monkeypatch: pytest.MonkeyPatch, log_lines: list[dict[str, Any]], between: bool
) -> None:
    async def cut(database: Database, *_: Any, **__: Any) -> int:
        async with database.transaction() as connection:
            await sql.execute("SELECT pg_terminate_backend($1)", connection.get_server_pid())
            if between:  # as where the server's last word is read and its end is not yet
                raise asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")
            await connection.execute("SELECT 1")
        return 0

    async with world.run("gcsplit") as service:
        token = world.token("gcsplit", INVOKER)
        monkeypatch.setattr(service.kit.outbox, "resend", partial(cut, service.kit.db))
        assert (await service.request("POST", "/sweep", Authorization=f"Bearer {token}")).status == 503
    assert [line["event"] for line in log_lines if line["severity"] == "ERROR"] == ["unavailable"]


def test_an_error_of_ours_at_the_driver_is_not_taken_for_a_database_that_is_away() -> None:
    lost = asyncpg.InternalClientError("cannot switch to state 15; another operation (2) is in progress")
    ours = asyncpg.InternalClientError("no binary format encoder for type x (OID 5)")
    busy = asyncpg.InterfaceError("cannot perform operation: another operation is in progress")
    assert [unavailable(error) for error in (lost, ours, busy, ValueError())] == [True, False, False, False]
