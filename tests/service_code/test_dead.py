"""`sluice dead` against the services: one table, each done once, whoever asks, and an action's row for each."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import pytest

from ops import app
from tests.service_code import flow
from tests.service_code.dead_here import Command
from tests.service_code.flow import balances
from tests.service_code.paynow import balanced, notify, order, points, register, states, waiting
from tests.service_code.world import World

pytestmark = pytest.mark.asyncio
HOSTPAY = "hostpay-execution-queue"
#: A payout of a payment that is dead, as a payer whose clock is behind would sign it.
SIGNED = """
    INSERT INTO split_payout_hostpay (unique_id, generation, cn_api_id, from_currency, from_network, from_amount,
        payin_address, status, wallet, chain_id, nonce, tx_hash, signed_at)
    SELECT unique_id, 1, cn_api_id, from_currency, from_network, from_amount, payin_address, 'signed', '0xw', 1, 0,
        '0xh', '2026-11-23' FROM split_payout_que WHERE unique_id = $1
"""


async def died(dead: Command, *, count: int = 1) -> list[str]:
    """Payments whose window passed unpaid."""
    world, splitter = dead.here.world, dead.here.running["gcsplit"]
    found = []
    for _ in range(count):
        unique_id, task = await flow.received(world)
        await splitter.deliver(task)
        found.append(unique_id)
    world.outer.tasks.clear()
    world.clock.at += 120
    await splitter.sweep()
    return found


async def dead_event(dead: Command, number: int = 1, **more: Any) -> str:
    """An event that the worker refused for ever, with its letter in the dead-letter topic."""
    webhook, worker = dead.here.running["paynowwebhook"], dead.here.running["paynowworker"]
    await register(webhook)
    notice = order(number, product="hat") | more
    await notify(webhook, notice)
    for event in waiting(dead.here.world):
        await worker.push(event)
    dead.here.carry()
    return str(notice["event_id"])


def rows(found: Any) -> list[tuple[str, str, str]]:
    return [(one["kind"], one["id"], one["standing"]) for one in found["dead"]]


async def test_one_table_shows_payments_events_and_letters_and_filters_choose(dead: Command, world: World) -> None:
    (payment,) = await died(dead)
    event = await dead_event(dead)
    rubbish = dead.here.put(b"\x00rubbish", key="k", a="b")
    _, task = await flow.received(world)
    task.body = b"{"
    await dead.here.running["gcsplit"].deliver(task)
    found = await dead("list")
    letter = next(one["id"] for one in found["dead"] if one["id"].startswith("letter-"))
    assert set(rows(found)) == {
        ("payment", payment, "dead"), ("event", event, "dead, look first"), ("letter", letter, "open"),
        ("letter", f"message-{rubbish}", "only in Pub/Sub"),
    }  # fmt: skip
    by_id = {one["id"]: one for one in found["dead"]}
    assert (by_id[payment]["flow"], by_id[event]["flow"]) == ("single", "paynow")
    assert dead.here.held == set()

    async def ids(*words: str) -> list[str]:
        return [one["id"] for one in (await dead("list", *words))["dead"]]

    assert await ids("--kind", "payment") == [payment]
    assert await ids("--flow", "single") == [payment]
    assert await ids("--code", "UNKNOWN_PRODUCT") == [event]
    assert await ids("--older-than", "1m", "--kind", "payment") == []
    assert await ids("--newer-than", "1m", "--kind", "payment") == [payment]
    assert await ids("--status", "investigating") == []
    # The worker told of its letter twice over: in the table, and in Pub/Sub. The event stands for both.
    of_event = await ids("--status", "of event")
    assert len(of_event) == 2
    assert await ids("--status", "all", "--kind", "letter") != await ids("--kind", "letter")
    for wrong in (["--kind", "cat"], ["--status", "gone"], ["--flow", "up"], ["--older-than", "x"]):
        await dead("list", *wrong, ends=2)


async def test_two_operators_and_a_repeat_replay_a_payment_once(dead: Command, world: World, sql: Any) -> None:
    (payment,) = await died(dead)
    before = await balances(sql)
    assert before["dead_payouts"] < 0
    shown = await dead("show", payment)
    assert (shown["replay"]["may"], shown["record"]["deaths"][0]["status"]) == (True, "dead")
    assert {line["account"] for line in shown["record"]["ledger"]} >= {"dead_payouts"}
    assert (await dead("replay", payment, "--dry-run"))["would_replay"] == [payment]
    assert (await balances(sql)) == before
    door = dead.here.running["gcsplit"]
    said = await asyncio.gather(*(door.operate("POST", f"/dead/{payment}/replay", {"by": w}) for w in ("ann", "bob")))
    assert sorted(one.json()["status"] for one in said) == ["already_replayed", "replayed"]
    again = await dead("replay", payment, "--yes")
    assert (again["replayed"], again["answers"][0]["status"]) == (0, "already_replayed")
    assert len(world.outer.take(HOSTPAY)) == 1
    assert (await balances(sql))["dead_payouts"] == 0
    (done,) = (await dead("history", payment))["actions"]
    assert (done["verb"], done["before"], done["after"]) == ("replay", "dead: WINDOW_PASSED", "replayed")
    assert (done["account"], done["said_by"] in ("ann", "bob")) == ("operator@p.iam.gserviceaccount.com", True)


async def test_all_that_may_go_well_are_replayed_and_a_run_that_was_cut_short_goes_on(
    dead: Command, world: World, sql: Any
) -> None:
    payments = await died(dead, count=4)
    await sql.execute("UPDATE failed_transactions SET retryable = false WHERE unique_id = $1", payments[3])
    assert (await dead("replay", "--all", "--kind", "payment", "--limit", "1", "--dry-run"))["would_replay"] == [
        payments[0]
    ]
    calls = []

    def cut(what: str) -> None:
        if what.endswith("/replay"):
            calls.append(what)
            if len(calls) == 2:
                raise ConnectionError("the caller was killed")

    dead.here.before = cut
    with pytest.raises(ConnectionError):
        await dead("replay", "--all", "--yes", "--why", "the payer is back")
    dead.here.before = lambda _what: None
    assert (await dead("replay", "--all", "--yes", "--why", "the payer is back"))["replayed"] == 2
    assert (await dead("replay", "--all", "--yes"))["replayed"] == 0
    assert len(world.outer.take(HOSTPAY)) == 3
    assert [one["id"] for one in (await dead("list"))["dead"]] == [payments[3]]
    done = (await dead("history"))["actions"]
    assert [one["why"] for one in done] == ["the payer is back"] * 3
    left = -int(await sql.fetchval("SELECT amount FROM failed_transactions WHERE unique_id = $1", payments[3]))
    assert (await balances(sql))["dead_payouts"] == left


async def test_two_operators_who_replay_all_at_once_replay_each_once(dead: Command, world: World, sql: Any) -> None:
    payments = await died(dead, count=6)
    await asyncio.gather(*(asyncio.to_thread(app.main, ["dead", "replay", "--all", "--yes"]) for _ in range(2)))
    sent = [flow.tokens().read(task.json()["token"]).unique_id for task in world.outer.take(HOSTPAY)]
    assert sorted(sent) == sorted(payments)
    assert await sql.fetchval("SELECT count(*) FROM operator_actions") == 6
    assert (await balances(sql))["dead_payouts"] == 0


async def test_one_that_is_signed_for_is_refused_and_its_revision_and_way_are_shown(
    dead: Command, world: World, sql: Any
) -> None:
    (payment,) = await died(dead)
    await sql.execute(
        """
        INSERT INTO release_pins (unique_id, service, revision, pinned_by, pinned_at)
        VALUES ($1, 'gchostpay', 'gchostpay-T', 'gcsplit', '2026-11-23');
        """,
        payment,
    )
    await sql.execute(SIGNED, payment)
    found = await dead("show", payment)
    assert (found["replay"]["may"], found["record"]["replay"]["code"]) == (False, "BEING_PAID")
    shown = await dead.text("show", payment)
    for text in (
        "gchostpay: gchostpay-T, chosen by gcsplit",
        "dead_payouts",
        "hostpay-execution-queue",
        "is refused: a payout",
    ):
        assert text in shown
    assert "dead replay" not in shown
    before = await balances(sql)
    assert (await dead("replay", payment, "--dry-run"))["would_replay"] == []
    refused = (await dead("replay", payment, "--yes", ends=1))["answers"][0]
    assert (refused["status"], refused["error"]) == ("refused", 409)
    await dead("settle", payment, "--note", "x", "--yes", ends=1)
    assert (await balances(sql), (await dead("history"))["actions"]) == (before, [])


async def test_a_payments_money_is_never_put_aside(dead: Command, sql: Any) -> None:
    (payment,) = await died(dead)
    before = await balances(sql)
    refused = await dead("drop", payment, "--why", "tired of it", "--yes", ends=1)
    assert "settle" in refused["answers"][0]["reason"]
    assert await balances(sql) == before
    await dead("drop", payment, "--yes", ends=2)  # no reason
    await dead("mark", payment, "investigating", "--note", "asked the exchange")
    assert (await dead("show", payment))["replay"] == {
        "may": False, "why": "somebody looks into it: mark it dead again before it is replayed",
    }  # fmt: skip
    await dead("replay", payment, "--yes", ends=1)
    await dead("settle", payment, "--note", "paid by hand", "--yes")
    assert (await balances(sql))["dead_payouts"] == 0
    verbs = [one["verb"] for one in (await dead("history", payment))["actions"]]
    assert verbs == ["settle", "mark"]


async def test_an_event_is_dropped_and_taken_back_and_its_message_leaves_pubsub_only_then(
    dead: Command, sql: Any
) -> None:
    event = await dead_event(dead)
    (message,) = dead.here.messages
    assert (await dead("drop", event, "--why", "refunded", "--dry-run"))["would_archive"] == [event]
    assert (await dead("list", "--kind", "event"))["dead"]

    def away(what: str) -> None:
        if what.endswith("/archive"):
            raise ConnectionError("killed")

    dead.here.before = away
    with pytest.raises(ConnectionError):
        await dead("drop", event, "--why", "refunded", "--yes")
    assert (list(dead.here.messages), dead.here.held) == ([message], set())
    dead.here.before = lambda _what: None
    for status in ("archived", "already_archived"):
        assert (await dead("drop", event, "--why", "refunded", "--yes"))["answers"][0]["status"] == status
    assert dead.here.messages == {}
    assert dead.here.audited == [("dead archive", "paynow-events-dlq", {"acknowledged": [message]})]
    assert (await dead("list"))["dead"] == []
    assert (await dead("replay", event, "--yes", ends=1))["answers"][0]["error"] == 409
    assert (await dead("drop", event, "--undo", "--why", "not refunded", "--yes"))["answers"][0]["status"] == "dead"
    assert [one["id"] for one in (await dead("list"))["dead"]] == [event]
    verbs = [one["verb"] for one in (await dead("history", event))["actions"]]
    assert verbs == ["restore", "archive"]
    assert await states(sql) == {event: "dead"}


async def test_what_was_put_aside_is_not_credited_by_a_late_delivery(dead: Command, world: World, sql: Any) -> None:
    webhook, worker = dead.here.running["paynowwebhook"], dead.here.running["paynowworker"]
    await register(webhook)
    await notify(webhook, order())
    (late,) = waiting(world)
    world.clock.at += 7300
    await webhook.sweep()
    await dead("drop", "event-1", "--why", "refunded", "--yes")
    assert (await worker.push(late)).json() == {"status": "already_archived"}
    assert await points(sql) == 0
    await dead("drop", "event-1", "--undo", "--why", "was no refund", "--yes")
    assert (await dead("replay", "event-1", "--yes"))["replayed"] == 1
    (again,) = waiting(world)
    for _ in range(2):
        await worker.push(again)
    await worker.push(late)
    assert await points(sql) == 100
    await balanced(sql)


async def test_a_strangers_message_is_published_again_as_it_was_and_a_crash_before_the_ack_harms_nothing(
    dead: Command, world: World, sql: Any
) -> None:
    webhook, worker = dead.here.running["paynowwebhook"], dead.here.running["paynowworker"]
    await register(webhook)
    await notify(webhook, order(2))
    (genuine,) = waiting(world)
    await sql.execute("DELETE FROM outbox WHERE unique_id = 'event-2'")
    await sql.execute("DELETE FROM paynow_events")  # of another database, say: no row knows it
    message = dead.here.put(
        genuine.data, genuine.ordering_key, CloudPubSubDeadLetterSourceDeliveryCount="5", **genuine.attributes
    )

    def killed(what: str) -> None:
        if what == "acknowledge":
            raise ConnectionError("killed")

    dead.here.before = killed
    with pytest.raises(ConnectionError):
        await dead("replay", f"message-{message}", "--yes")
    dead.here.before = lambda _what: None
    assert list(dead.here.messages) == [message]
    again = await dead("replay", f"message-{message}", "--yes")
    assert (again["answers"][0]["status"], dead.here.messages) == ("already_replayed", {})
    (published,) = waiting(world)
    assert (published.data, published.ordering_key) == (genuine.data, genuine.ordering_key)
    assert published.attributes == genuine.attributes
    # The services lost only the row: with the event there, both copies credit it once.
    await notify(webhook, order(2))
    for copy in (published, published, *waiting(world)):
        assert (await worker.push(copy)).status == 200
    assert await points(sql) == 100
    await balanced(sql)


async def test_a_publication_whose_answer_is_lost_is_made_twice_and_credited_once(
    dead: Command, world: World, sql: Any
) -> None:
    webhook, worker = dead.here.running["paynowwebhook"], dead.here.running["paynowworker"]
    message = dead.here.put(b'{"message": "PayNowEvent", "unique_id": "nobody"}', key="user:u1")
    world.outer.publish_faults = ["lost"]
    refused = await dead("replay", f"message-{message}", "--yes", ends=1)
    assert (refused["answers"][0]["error"], len(waiting(world))) == (502, 1)
    assert list(dead.here.messages) == [message]
    assert (await dead("history"))["actions"] == []
    assert (await dead("replay", f"message-{message}", "--yes"))["replayed"] == 1
    (published,) = waiting(world)
    for _ in range(2):  # what nobody can read comes back as a letter of the worker's, once
        assert (await worker.push(published)).status == 200
    assert len(dead.here.carry()) == 1
    found = await dead("list")
    assert [(one["kind"], one["standing"]) for one in found["dead"]] == [("letter", "open")]
    await dead("drop", found["dead"][0]["id"], "--why", "rubbish", "--yes")
    assert (dead.here.messages, (await dead("list"))["dead"]) == ({}, [])
    assert (await webhook.operate("GET", "/dead")).json()["dead"] == []
    await balanced(sql)


async def test_a_strangers_message_is_kept_as_a_letter_before_it_is_acknowledged(
    dead: Command, world: World, sql: Any
) -> None:
    message = dead.here.put(b"\xff\x00rubbish [bold]", key="k", a="b")
    assert "rubbish" in await dead.text("show", f"message-{message}")
    said = await dead("drop", f"message-{message}", "--why", "a test of ann's", "--yes")
    (answer,) = said["answers"]
    assert (answer["status"], dead.here.messages) == ("archived", {})
    letter = answer["reason"].removeprefix("kept as ")
    shown = await dead("show", letter)
    assert shown["standing"] == "archived"
    assert "rubbish" in shown["record"]["body"]
    assert '"a": "b"' in shown["record"]["why"]
    assert (await dead("list"))["dead"] == []
    await dead("drop", letter, "--undo", "--why", "look again", "--yes")
    assert rows(await dead("list")) == [("letter", letter, "open")]
    assert "dead show" not in (await dead("replay", letter, "--yes", ends=1))["answers"][0]["reason"]
    await dead("replay", f"message-{message}", "--yes", ends=2)  # it is no longer there


async def test_messages_of_any_size_are_listed_and_what_no_door_can_take_is_refused(dead: Command) -> None:
    ids = [dead.here.put(b"x" * size) for size in (300_000, 400_000, 300_000, 900_000)]
    ids += [dead.here.put(b"y%d" % number) for number in range(120)]
    found = await dead("list")
    assert {one["id"] for one in found["dead"]} == {f"message-{id_}" for id_ in ids}
    said = await dead("drop", *(f"message-{id_}" for id_ in ids[2:4]), "--why", "rubbish", "--yes", ends=1)
    assert [one.get("error") for one in said["answers"]] == [None, 413]
    assert set(dead.here.messages) == {*ids} - {ids[2]}


@pytest.mark.parametrize(
    "id_",
    ["nosuch", "a/../b", "%2e%2e/x", "letter-99", "letter-" + "9" * 40, "x" * 5000, "\u20ac" * 9000, "\u00e9 ?#&"],
)
async def test_an_id_that_is_none_is_said_before_anybody_is_asked(dead: Command, id_: str) -> None:
    for verb in (["replay"], ["drop", "--why", "x"], ["settle", "--note", "x"], ["show"]):
        said = await dead.text(verb[0], id_, *verb[1:], ends=2)
        assert "not dead: " in said


async def test_an_id_with_slashes_and_spaces_is_found_and_replayed(dead: Command, world: World, sql: Any) -> None:
    event = await dead_event(dead, event_id="a/b/../replay ?%2F")
    assert (await dead("show", event))["id"] == event
    await dead("drop", event, "--why", "x", "--yes")
    await dead("drop", event, "--undo", "--why", "x", "--yes")
    assert (await dead("replay", event, "--yes"))["replayed"] == 1
    assert await states(sql) == {event: "queued"}


async def test_actions_are_never_changed_and_no_service_writes_anothers(dead: Command, database: str, sql: Any) -> None:
    await died(dead)
    insert = """
        INSERT INTO operator_actions (at, service, account, verb, kind, subject)
        VALUES ('2026-11-23', $1, 'x', 'replay', 'payment', 's')
    """
    connection: Any = await asyncpg.connect(database.format(user="gcsplit"))
    await connection.execute(insert, "gcsplit")
    for sql_, *given in (
        (insert, "gchostpay"), ("UPDATE operator_actions SET account = 'y'",), ("DELETE FROM operator_actions",),
    ):  # fmt: skip
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(sql_, *given)
    await connection.close()


async def test_a_body_that_is_none_changes_nothing(dead: Command) -> None:
    (payment,) = await died(dead)
    splitter, webhook = dead.here.running["gcsplit"], dead.here.running["paynowwebhook"]
    said: list[Any] = [[1], {"by": 5}, {"by": "x" * 1001}, {"why": "a\0b"}, {"else": "x"}]
    for body in said:
        assert (await splitter.operate("POST", f"/dead/{payment}/replay", body)).status == 400
    handed: list[Any] = [{}, {"message": None}, {"message": {"messageId": ""}}]
    for body in [*handed, {"message": {"messageId": "1", "data": "%"}}]:
        assert (await webhook.operate("POST", "/dead-messages/replay", body)).status == 400
    assert (await webhook.operate("POST", "/dead-messages/known", {"messages": [{}] * 101})).status == 400
    assert rows(await dead("list")) == [("payment", payment, "dead")]
