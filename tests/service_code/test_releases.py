"""A release that is tried: its share of the payments goes to the canary's tag, each stays on its side, and nobody pays
for it while nothing is tried."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service_code.kit.clock import moment
from service_code.kit.news import ChainNews
from service_code.kit.outbox import Row
from service_code.kit.outcomes import Send
from service_code.kit.releases import HEADER, LONGEST_HEADER, MOST_PINS, STABLE, decode, encode
from service_code.kit.routes import takes_new_way
from spec import load
from tests.service_code import flow
from tests.service_code.notices import ipn, notify, order
from tests.service_code.outer import Task
from tests.service_code.test_register import invite, register
from tests.service_code.test_staged import CHECKS, STATUSES, triggered
from tests.service_code.world import BASE, CANARY, Running, World, routes

ROOT = Path(__file__).parents[2]
SPLITS, ACCESS = "split-payment-queue", "channel-access-queue"
TRIED = "gcsplit-t"
Lines = list[dict[str, Any]]


def tried(world: World, percent: int, service: str = "gcsplit") -> None:
    """Try a revision of a service; services learn of it."""
    world.rollout(releases={service: (percent, f"{service}-t")})
    world.clock.at += 5


def over(world: World) -> None:
    """Nothing is tried any more: rolled back, or promoted."""
    world.rollout()
    world.clock.at += 5


async def came_in(world: World, webhook: Running) -> str:
    sold = order(world)
    assert (await notify(webhook, ipn(world, sold)))[0] == 200
    return sold.unique_id


async def anew(world: World, webhook: Running) -> Task:
    """Have the sweeper put the one payment's split anew."""
    world.clock.at += 301
    await webhook.sweep()
    (task,) = world.outer.take(SPLITS)
    return task


async def pins(sql: Any, service: str = "gcsplit") -> dict[str, str]:
    rows = await sql.fetch("SELECT unique_id, revision FROM release_pins WHERE service = $1", service)
    return {row["unique_id"]: row["revision"] for row in rows}


async def test_a_share_of_the_payments_goes_to_the_canarys_tag_with_the_services_own_audience(
    world: World, sql: Any
) -> None:
    tried(world, 50)
    async with world.run("gcwebhook") as webhook:
        ids = [order(world) for _ in range(30)]
        await asyncio.gather(*(notify(webhook, ipn(world, one)) for one in ids))
    tasks = {task.json()["unique_id"]: task for task in world.outer.take(SPLITS)}
    expected = {one.unique_id: takes_new_way(TRIED, one.unique_id, 50) for one in ids}
    assert {unique_id: task.tag == "canary" for unique_id, task in tasks.items()} == expected
    assert {task.audience for task in tasks.values()} == {BASE.format("gcsplit")}
    assert {task.path for task in tasks.values()} == {"/process_split"}
    assert await pins(sql) == {one: TRIED if canary else STABLE for one, canary in expected.items()}
    assert {task.tag for task in world.outer.take(ACCESS)} == {""}


async def test_a_payment_stays_on_its_side_when_the_percent_is_raised_and_lowered(world: World) -> None:
    tried(world, 0)
    async with world.run("gcwebhook") as webhook:
        await came_in(world, webhook)
        assert world.outer.take(SPLITS)[0].tag == ""
        tried(world, 100)
        assert (await anew(world, webhook)).tag == ""
    over(world)


async def test_a_payment_of_the_canary_stays_there_when_the_percent_is_lowered(world: World) -> None:
    tried(world, 100)
    async with world.run("gcwebhook") as webhook:
        await came_in(world, webhook)
        assert world.outer.take(SPLITS)[0].tag == "canary"
        tried(world, 0)
        assert (await anew(world, webhook)).tag == "canary"


async def test_a_payment_that_met_the_receiver_before_the_release_stays_with_what_is_stable(
    world: World, sql: Any
) -> None:
    async with world.run("gcwebhook") as webhook:
        unique_id = await came_in(world, webhook)
        assert world.outer.take(SPLITS)[0].tag == ""
    tried(world, 100)
    async with world.run("gcwebhook") as webhook:
        assert (await anew(world, webhook)).tag == ""
    assert await pins(sql) == {unique_id: STABLE}


async def test_what_could_not_be_sent_goes_to_its_side_later_and_to_stable_when_the_release_is_over(
    world: World,
) -> None:
    tried(world, 100)
    async with world.run("gcwebhook") as webhook:
        for ended, tag in ((False, "canary"), (True, "")):
            world.outer.tasks_status = 503
            await came_in(world, webhook)
            world.outer.tasks_status = 200
            world.clock.at += 11
            if ended:
                over(world)
            await webhook.sweep()
            assert [task.tag for task in world.outer.take(SPLITS)] == [tag]
            tried(world, 100)


async def test_another_release_is_not_met_by_who_was_with_the_one_before(world: World, sql: Any) -> None:
    tried(world, 100)
    async with world.run("gcwebhook") as webhook:
        unique_id = await came_in(world, webhook)
        assert world.outer.take(SPLITS)[0].tag == "canary"
        world.rollout(releases={"gcsplit": (100, "gcsplit-u")})
        assert (await anew(world, webhook)).tag == ""
    assert await pins(sql) == {unique_id: TRIED}


async def test_the_direct_way_calls_the_canarys_tag_and_what_fails_there_goes_there_by_the_queue(
    world: World,
) -> None:
    tried(world, 100)
    shares = routes(split_hop=0)
    async with world.run("gcwebhook", ROUTES=shares) as webhook, world.run("gcsplit"):
        async with world.run("gcsplit", door=CANARY, K_REVISION=TRIED):
            await came_in(world, webhook)
            assert world.doors.calls == [(CANARY.format("gcsplit"), 200)]
        await came_in(world, webhook)
        world.clock.at += 11
        await webhook.sweep()
        assert [task.tag for task in world.outer.take(SPLITS)] == ["canary"]
        over(world)
        await came_in(world, webhook)
        assert world.doors.calls[-1] == (BASE.format("gcsplit"), 200)


@pytest.mark.parametrize(("revision", "tag"), [("gcwebhook-t", "canary"), ("gcwebhook-s", "")])
async def test_who_takes_a_payment_in_keeps_it_whatever_the_percent_is(
    world: World, sql: Any, revision: str, tag: str
) -> None:
    tried(world, 0 if tag else 100, "gcwebhook")
    async with world.run("gcwebhook", K_REVISION=revision) as webhook:
        unique_id = await came_in(world, webhook)
    assert [task.tag for task in world.outer.take(ACCESS)] == [tag]
    assert await pins(sql, "gcwebhook") == {unique_id: revision}


async def test_a_registration_stays_with_the_revision_that_took_it_in_though_the_other_is_told_again(
    world: World, sql: Any
) -> None:
    tried(world, 0, "gcregister")
    later = routes(registration=100)
    async with world.run("gcregister", K_REVISION="gcregister-t", ROUTES=later) as canary:
        invitation = await invite(canary)
        world.outer.tasks_status = 503
        assert (await register(canary, invitation)).status == 202
        world.outer.tasks_status = 200
    async with world.run("gcregister", K_REVISION="gcregister-s", ROUTES=later) as stable:
        assert (await register(stable, invitation)).status == 202
    assert [task.tag for task in world.outer.take("registration-processing-queue")] == ["canary"]
    assert list((await pins(sql, "gcregister")).values()) == ["gcregister-t"]


async def test_a_service_without_a_database_hands_the_payments_pins_on(world: World, sql: Any) -> None:
    _, trigger = await triggered(world)
    tried(world, 100, "gchostpay1")
    await sql.execute("DELETE FROM outbox WHERE queue = 'gcsplit-hostpay-trigger-queue'")  # as if not met before
    async with world.run("gchostpay1", K_REVISION="gchostpay1-t") as accepting, world.run("gchostpay2") as asking:
        assert (await accepting.deliver(trigger)).status == 200
        (check,) = world.outer.take(CHECKS)
        assert (check.tag, check.headers[HEADER]) == ("", "gchostpay1=gchostpay1-t")
        for header, tag in ((check.headers[HEADER], "canary"), ("gchostpay1=gchostpay1-u", ""), ("\u00ff,=,;", "")):
            world.outer.names.clear()
            check.headers[HEADER] = header
            assert (await asking.deliver(check)).json() == {"status": "next"}
            assert [task.tag for task in world.outer.take(STATUSES)] == [tag]
        over(world)
        world.outer.names.clear()
        check.headers[HEADER] = "gchostpay1=gchostpay1-t"
        assert (await asking.deliver(check)).json() == {"status": "next"}
        assert [task.tag for task in world.outer.take(STATUSES)] == [""]


async def written(running: Running, world: World, *sends: Send) -> list[Row]:
    async with running.kit.db.transaction() as connection:
        return await running.kit.outbox.write(connection, sends, moment(world.clock))


def news(unique_id: str, key: str = "1") -> Send:
    message = ChainNews(unique_id=unique_id, generation=1, said="mined")
    return Send(queue="gchostpay4-news-queue", message=message, unique_id=unique_id, key=key)


async def test_who_may_see_nobody_elses_messages_still_knows_that_a_payment_was_met(world: World, sql: Any) -> None:
    met, _ = await flow.split(world)
    tried(world, 100, "gchostpay")
    async with world.run("gchostpay4") as hearing:
        rows = await written(hearing, world, news(met), news("pay-of-now"), news(met, "2"))
        assert [row.pins for row in rows] == [
            {"gchostpay": STABLE},
            {"gchostpay": "gchostpay-t"},
            {"gchostpay": STABLE},
        ]
        async with hearing.kit.db.transaction() as connection:
            assert await connection.fetch("SELECT 1 FROM outbox WHERE service <> 'gchostpay4'") == []


async def test_no_service_changes_a_pin_or_makes_one_in_anothers_name(database: str, sql: Any) -> None:
    insert = "INSERT INTO release_pins VALUES ($1, 'gchostpay', 'r', $2, now())"
    connection: Any = await asyncpg.connect(database.format(user="gcsplit"))
    try:
        await connection.execute(insert, "pay1", "gcsplit")
        for statement, *args in (
            (insert, "pay2", "gcwebhook"),
            ("UPDATE release_pins SET revision = 'other'",),
            ("DELETE FROM release_pins",),
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement, *args)
    finally:
        await connection.close()


async def test_whoever_sends_and_has_a_database_may_pin(sql: Any) -> None:
    system = load(ROOT)
    senders = [name for name, one in system.services.items() if one.database and system.queues_out_of(name)]
    rights = """
        SELECT has_table_privilege($1, 'release_pins', 'SELECT') AND has_table_privilege($1, 'release_pins', 'INSERT')
            AND has_function_privilege($1, 'payment_met(text, text[])', 'EXECUTE')
            AND $1 = ANY (SELECT unnest(roles) FROM pg_policies WHERE tablename = 'release_pins' AND cmd = 'INSERT')
    """
    assert [name for name in senders if not await sql.fetchval(rights, name)] == []
    assert len(senders) > 5


async def test_two_that_send_a_payment_at_once_agree_on_its_side(world: World, sql: Any) -> None:
    tried(world, 100, "gchostpay")
    payments = [f"pay-at-once-{number}" for number in range(6)]
    async with world.run("gchostpay4") as one, world.run("gchostpay4") as other:
        sends = [news(payment) for payment in payments]
        again = [news(payment, "2") for payment in reversed(payments)]
        first, second = await asyncio.gather(written(one, world, *sends), written(other, world, *again))
    assert {row.unique_id: row.pins for row in first} == {row.unique_id: row.pins for row in second}


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the services ask of the database with parameters."""
    found: list[str] = []
    ask = vars(asyncpg.Connection)["_do_execute"]

    async def noted(self: Any, query: str, *args: Any, **named: Any) -> Any:
        if "SET sent_at" not in query:  # as many as there are commits at once, which is chance
            found.append(query)
        return await ask(self, query, *args, **named)

    monkeypatch.setattr(asyncpg.Connection, "_do_execute", noted)
    return found


async def test_a_release_that_is_not_tried_costs_no_statement_and_one_that_is_costs_one(
    world: World, statements: list[str]
) -> None:
    async with world.run("gcwebhook") as webhook:
        await came_in(world, webhook)
    without = [one for one in statements if "release_pins" not in one]
    assert statements == without
    for releases, more in (({}, 0), ({"gchostpay": (50, "gchostpay-t")}, 0), ({"gcsplit": (50, TRIED)}, 1)):
        world.rollout({"payout": 50}, releases)
        async with world.run("gcwebhook") as webhook:
            statements.clear()
            await came_in(world, webhook)
        assert sum("release_pins" in one for one in statements) == more
        assert len(statements) == len(without) + more


async def test_the_record_is_read_before_any_transaction(world: World, sql: Any) -> None:
    seen: list[int] = []

    async def look() -> None:
        open_ = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state LIKE 'idle in%'"
        seen.append(await sql.fetchval(open_))

    tried(world, 50)
    world.outer.during_record = look
    async with world.run("gcwebhook") as webhook:
        await came_in(world, webhook)
    assert seen == [0]


async def test_an_environment_of_the_release_before_starts_and_sends_to_the_base_url(world: World, sql: Any) -> None:
    tried(world, 100)
    edges = json.loads(world.environ("gcwebhook")["QUEUES"])
    older = {
        name: {key: value for key, value in edge.items() if key not in ("canary_url", "receiver", "meets")}
        for name, edge in edges.items()
    }
    async with world.run("gcwebhook", QUEUES=json.dumps(older)) as webhook:
        await came_in(world, webhook)
    assert [task.tag for task in world.outer.take(SPLITS)] == [""]
    assert await pins(sql) == {}


async def test_what_is_sent_for_tomorrow_goes_to_the_tag_and_so_wherever_it_points_by_then(world: World) -> None:
    tried(world, 100, "gchostpay")
    async with world.run("gchostpay4") as hearing:
        tomorrow = replace(news("pay-of-tomorrow"), after=timedelta(hours=24))
        await hearing.kit.outbox.send(await written(hearing, world, tomorrow))
    (task,) = world.outer.take("gchostpay4-news-queue")
    assert (task.tag, task.scheduled) == ("canary", world.clock.at + 86_400)


@settings(deadline=None)
@given(st.dictionaries(st.from_regex(r"[a-z][a-z0-9]{0,20}", fullmatch=True), st.just("gcsplit-0a1b2c3d"), max_size=10))
def test_pins_are_read_as_they_were_written(found: dict[str, str]) -> None:
    assert decode(encode(found)) == found


@settings(deadline=None)
@given(st.text(max_size=100) | st.text(alphabet="abc=,-;", max_size=3 * LONGEST_HEADER))
def test_no_header_breaks_its_reader_or_makes_it_keep_much(header: str) -> None:
    found = decode(header)
    assert len(found) <= MOST_PINS
    assert all(len(service) + len(revision) < 120 for service, revision in found.items())
