"""`sluice resend`: the message of a payment that stands still is sent once more, and the payment is paid once.

Whoever asks, how often and at whatever moment: receivers take a message once, and the payer signs once.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ops.errors import CallFailed, Unreachable
from service_code.kit.clock import moment
from tests.service_code import flow, gathering
from tests.service_code.conftest import Chain
from tests.service_code.judged import violations
from tests.service_code.outer import Task
from tests.service_code.resent import Start, resending
from tests.service_code.test_staged import CHECKS, EXECUTIONS, STATUSES, Line, line, triggered
from tests.service_code.world import World

SPLIT, TRIGGER, ORDER = "split-payment-queue", "gcsplit-hostpay-trigger-queue", "hostpay-execution-queue"
ASK, ANSWER = "gcsplit-estimate-queue", "gcsplit-estimate-response-queue"
ACCESS, RETRY = "channel-access-queue", "gchostpay3-retry-queue"
#: All that stands still, however young.
ALL = ("--all", "--older-than", "0s")
STAGED = ("gcwebhook", "gchostpay1", "gchostpay2", "gchostpay3")


@pytest.fixture
async def start(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], log_lines: list[dict[str, Any]]
) -> AsyncIterator[Start]:
    async with resending(world, monkeypatch, capsys) as found:
        yield found


async def test_whichever_message_came_to_nothing_one_command_sends_it_and_each_payment_is_paid_once(
    world: World, chain: Chain, start: Start, sql: Any
) -> None:
    town = await start()
    lost = [(await town.lose(queue), "staged") for queue in (TRIGGER, CHECKS, STATUSES, EXECUTIONS)]
    lost += [(await town.lose(SPLIT), "split")]
    await town.split("asking")
    lost += [(await town.lose(queue), "split") for queue in (ASK, ANSWER)]
    await town.split("single")
    lost += [(await town.lose(ORDER), "single"), (await town.lose(ACCESS), "access")]
    members = {"channel_id": gathering.CHANNEL}
    for queue, stage in ((gathering.GATHER, "gather"), (gathering.CONVERT, "convert")):
        lost += [(await town.lose(queue, **members), stage)]
    await town.pay("batched", **members)
    await town.lose(TRIGGER, **members)
    (batch,) = await sql.fetch("SELECT batch_id FROM payout_batches")
    lost += [(batch["batch_id"], "staged")]

    world.clock.at += 5
    dry = await town.resend(*ALL, "--dry-run")
    assert sorted(dry["would_resend"]) == sorted(unique_id for unique_id, _ in lost)
    assert world.outer.tasks == []
    first = await town.resend(*ALL, "--why", "a bad release")
    assert sorted((one["unique_id"], one["stage"]) for one in first["answers"]) == sorted(lost)
    assert first["resent"] == len(lost)
    world.clock.at += 5
    again = await town.resend(*ALL)
    assert again["resent"] == 0
    assert {one["status"] for one in again["answers"]} == {"waits"}
    assert all("./sluice queues run" in one["reason"] for one in again["answers"])
    tasks = [*world.outer.tasks]
    assert len(tasks) == len(lost)
    await town.deliver()
    for task in tasks:  # everything once more
        assert (await town.running[task.service].deliver(task)).status == 200
    await town.deliver()
    for _ in range(3):
        world.clock.at += 15
        await chain.mine(70)
        await asyncio.gather(*(town.running[name].sweep() for name in ("gchostpay", "gchostpay3", "gcsplit")))
    assert await violations(world, sql) == []
    assert (await town.resend(*ALL))["answers"] == []
    payouts = await sql.fetch("SELECT unique_id FROM split_payout_hostpay")
    assert len(payouts) == len({row["unique_id"] for row in payouts}) == await chain.nonce(world.wallet.address)
    done = await sql.fetch("SELECT subject, said_by, why FROM operator_actions WHERE verb = 'resend'")
    assert sorted(row["subject"] for row in done) == sorted(unique_id for unique_id, _ in lost)
    assert {(row["said_by"], row["why"]) for row in done} == {("ann@laptop", "a bad release")}
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_what_could_not_be_queued_when_it_was_sent_once_more_goes_out_with_its_senders_sweep(
    world: World, start: Start
) -> None:
    town = await start(*STAGED, "gcsplit2", "gcaccumulator", "gchostpay")
    lost = [await town.lose(queue) for queue in (SPLIT, TRIGGER, CHECKS, EXECUTIONS)]
    await town.split("asking")
    lost += [await town.lose(queue) for queue in (ASK, ANSWER)]
    await town.split("single")
    lost += [await town.lose(queue) for queue in (ORDER, ACCESS)]
    lost += [await town.lose(queue, channel_id=gathering.CHANNEL) for queue in (gathering.GATHER, gathering.CONVERT)]
    world.clock.at += 5
    world.outer.tasks_status = 503
    answers = (await town.resend(*ALL))["answers"]
    assert {(one["unique_id"], one["status"]) for one in answers} == {(unique_id, "written") for unique_id in lost}
    world.outer.tasks_status = 200
    world.clock.at += 15
    await asyncio.gather(*(service.sweep() for name, service in town.running.items() if name != "gchostpay2"))
    waiting = {task.name for task in world.outer.tasks}
    assert [one["queue"] for one in answers if one["task"] not in waiting] == []


async def test_a_split_that_was_put_anew_does_not_hide_what_was_lost_after_it(
    world: World, chain: Chain, start: Start, sql: Any
) -> None:
    town = await start(*STAGED, "gcsplit2", "gchostpay")
    slow = await town.lose(TRIGGER)
    await town.split("asking")
    asked, answered = [await town.lose(queue) for queue in (ASK, ANSWER)]
    world.clock.at += 5
    assert (await town.resend(*ALL, "--stage", "split"))["resent"] == 2
    lost = world.outer.take(ASK) + world.outer.take(ANSWER)  # these, too
    world.clock.at += 400
    assert (await town.running["gcwebhook"].sweep())["splits"] == 2
    # A split was put anew while gcsplit waited for the exchange: what it wrote after that is as old as its request.
    younger = "INSERT INTO outbox (id, service, queue, message, unique_id, trace, created_at, minted_at, sent_at) "
    younger += "SELECT $2, service, queue, message, unique_id, trace, created_at + interval '9 s', minted_at, sent_at "
    younger += "FROM outbox WHERE unique_id = $1 AND queue = $3"
    await sql.execute(younger, slow, f"{SPLIT}:{slow}:2", SPLIT)
    await town.deliver()
    seen = (await town.resend(asked, answered, slow, "--dry-run"))["would_resend"]
    assert sorted(seen) == sorted((asked, answered, slow))
    first = await town.resend(asked, answered, slow)
    found = {(one["unique_id"], one["status"], one["queue"]) for one in first["answers"]}
    assert found == {(asked, "resent", ASK), (answered, "resent", ANSWER), (slow, "resent", TRIGGER)}
    assert not {task.name for task in world.outer.tasks} & {task.name for task in lost}
    await town.deliver()
    paid = await sql.fetch("SELECT unique_id FROM split_payout_hostpay WHERE mined_at IS NOT NULL")
    assert sorted(row["unique_id"] for row in paid) == sorted((asked, answered, slow))
    assert await violations(world, sql) == []


async def ask(stages: Line, task: Task, unique_id: str) -> str:
    """Have the sender of a task send its message once more; what it says."""
    service = {TRIGGER: "gcsplit", CHECKS: "gchostpay1", EXECUTIONS: "gchostpay1", RETRY: "gchostpay3"}[task.queue]
    answer = await stages.running[service].operate("POST", f"/payments/{unique_id}/resend", {"task": task.name})
    return str(answer.json().get("status") or answer.json()["error"])


async def test_a_payout_is_signed_once_however_often_each_of_its_messages_is_sent_and_in_whatever_order(
    world: World, chain: Chain, sql: Any
) -> None:
    unique_id, trigger = await triggered(world)
    async with line(world) as stages, world.run("gcsplit") as splitter:
        stages.running["gcsplit"] = splitter
        task, copies = trigger, list[Task]()
        for queue in (TRIGGER, CHECKS, STATUSES, EXECUTIONS):
            task = await stages.until(queue, task)
            if queue == STATUSES:  # of a service that keeps nothing
                continue
            world.clock.at += 1
            asked = await asyncio.gather(*(ask(stages, task, unique_id) for _ in range(3)))
            assert sorted(asked) == ["already_resent", "already_resent", "resent"]
            (copy,), world.outer.tasks = world.outer.tasks, []
            assert (copy.queue, copy.name == task.name) == (queue, False)
            copies.append(copy)
        await asyncio.gather(*(stages.deliver(one) for one in (copy, task, copy, task)))
        assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay") == 1
        assert await ask(stages, task, unique_id) == "SIGNED"
        executing = stages.running["gchostpay1"].kit
        async with executing.db.transaction() as connection:  # of whoever had asked a moment before it was signed
            late = await executing.outbox.again(connection, f"{EXECUTIONS}:{unique_id}:1:again-1", moment(world.clock))
        assert late is not None
        await executing.outbox.send([late])
        await stages.run([trigger, *copies, *world.outer.tasks])
    assert await chain.nonce(world.wallet.address) == 1
    assert await sql.fetchval("SELECT state FROM hostpay_stages") == "paid"
    assert await violations(world, sql) == []


async def test_a_host_payment_gets_a_fresh_token_and_order_at_once_and_the_old_message_pays_no_more(
    world: World, chain: Chain, start: Start, sql: Any
) -> None:
    town = await start("gcwebhook", "gchostpay")
    await town.split("single")
    unique_id = await town.pay("one")
    await town.running["gcsplit"].deliver(world.outer.take(SPLIT)[0])
    (old,) = world.outer.take(ORDER)
    world.clock.at += 5
    for answer in (await town.resend(unique_id))["answers"]:
        assert (answer["stage"], answer["status"]) in (("single", "resent"), ("access", "waits"))
    (new,) = world.outer.take(ORDER)
    payer = town.running["gchostpay"]
    for task in (old, new, old, new):
        assert (await payer.deliver(task)).status == 200
    await flow.confirm_all(world, payer)
    rows = await sql.fetch("SELECT generation, status FROM split_payout_hostpay")
    assert [tuple(row) for row in rows] == [(2, "completed")]
    # Two who ask for the message that both know: one is sent.
    another = await town.pay("two")
    await town.running["gcsplit"].deliver(world.outer.take(SPLIT)[0])
    (lost,) = world.outer.take(ORDER)
    world.clock.at += 5
    body = {"task": lost.name}
    both = await asyncio.gather(
        *(town.running["gcsplit"].operate("POST", f"/payments/{another}/resend", body) for _ in range(2))
    )
    assert [answer.status for answer in both].count(200) >= 1
    assert len(world.outer.take(ORDER)) == 1
    # What the payer has refused for good is not sent again.
    world.outer.orders.clear()
    refused = "INSERT INTO dead_letters (fingerprint, service, endpoint, unique_id, generation, code, why, body, "
    refused += "attempt_number, created_at) VALUES ('f', 'gchostpay', '/', $1, 2, 'INVALID_ADDRESS', '', '', 1, now())"
    await sql.execute(refused, another)
    world.clock.at += 5
    (answer,) = [one for one in (await town.resend(another, ends=1))["answers"] if one["stage"] == "single"]
    assert "the payer has refused it" in answer["reason"]


async def test_what_has_ended_waits_or_goes_on_by_itself_is_said_and_not_sent(
    world: World, chain: Chain, start: Start, sql: Any
) -> None:
    town = await start(*STAGED)
    waits, lost = await town.pay("waits"), await town.pay("lost")
    await town.deliver(but=(EXECUTIONS,))
    await sql.execute("UPDATE outbox SET sent_at = NULL, withheld_at = minted_at WHERE unique_id = $1", waits)
    (kept,) = (await town.resend(waits, ends=1))["answers"]
    assert kept["reason"].startswith("kept back: ")
    await sql.execute("UPDATE outbox SET withheld_at = NULL WHERE unique_id = $1", waits)
    (unsent,) = (await town.resend(waits, ends=1))["answers"]
    assert unsent["reason"].startswith("not queued yet")
    # The answer of a service that keeps nothing is found by its question.
    asked = await town.pay("asked")
    while not any(task.queue == STATUSES for task in world.outer.tasks):
        tasks, world.outer.tasks = world.outer.tasks, []
        await asyncio.gather(*(town.running[task.service].deliver(task) for task in tasks))
    (answering,) = (await town.resend(asked))["answers"]
    assert (answering["status"], f"waits in {STATUSES}" in answering["reason"]) == ("waits", True)
    await town.deliver()

    async def goes_on(path: str) -> None:
        await sql.execute("UPDATE split_payout_que SET status = 'completed' WHERE unique_id = $1", lost)

    def before(path: str) -> None:
        if path.endswith("/resend"):
            asyncio.run_coroutine_threadsafe(goes_on(path), town.here.loop).result(10)

    town.here.before = before
    assert await town.said(lost) == [("staged", "went_on")]
    town.here.before = lambda _path: None
    dead = await town.lose(EXECUTIONS)
    world.clock.at += 86_400 + 120
    await town.running["gcsplit"].sweep()
    (answer,) = (await town.resend(dead, ends=1))["answers"]
    assert answer["reason"] == f"it is dead: ./sluice dead replay {dead}"
    task = await sql.fetchval("SELECT before FROM operator_actions LIMIT 1")
    assert task is None  # nothing was sent, and nothing is written down
    (nobody,) = (await town.resend("nobody's", ends=1))["answers"]
    assert (nobody["error"], "it stands nowhere" in nobody["reason"]) == (404, True)
    (paid,) = (await town.resend(asked, ends=1))["answers"]
    assert "a payout of it is signed" in paid["reason"]


async def test_sending_it_again_and_again_puts_no_death_off_for_ever(
    world: World, chain: Chain, start: Start, sql: Any
) -> None:
    town = await start(*STAGED)
    lost, hours = await town.lose(TRIGGER), 3600
    for _ in range(2):
        world.clock.at += 11 * hours
        assert await town.said(lost) == [("staged", "resent")]
        await town.deliver(but=(TRIGGER,))
    world.clock.at += 11 * hours
    (late,) = (await town.resend(lost, ends=1))["answers"]
    assert "first sent more than 1 day" in late["reason"]
    assert (await town.running["gcsplit"].sweep())["dead"] == 0  # the last token is good for a while
    world.clock.at += 14 * hours
    assert (await town.running["gcsplit"].sweep())["dead"] == 1
    assert (await town.running["gcsplit"].operate("POST", f"/dead/{lost}/replay")).status == 200
    await town.deliver()
    assert await chain.nonce(world.wallet.address) == 1


async def test_a_release_without_the_door_is_named_and_what_is_left_is_done_by_the_same_command(
    world: World, start: Start, sql: Any
) -> None:
    town = await start(*STAGED)
    lost = [await town.lose(queue) for queue in (TRIGGER, CHECKS)]
    world.clock.at += 5

    def older(path: str) -> None:
        if path.endswith("/resend"):
            raise CallFailed("answered 404", status=404, body=json.dumps({"error": "Not Found"}))

    town.here.before = older
    (first, _) = (await town.resend(*ALL, ends=1))["answers"]
    assert first["reason"] == "gcsplit has no such door (404): its release is older than this command"

    def away(path: str) -> None:
        if path.endswith(f"{lost[1]}/resend"):
            raise Unreachable("nobody answers", fix="")

    town.here.before = away
    assert (await town.resend(*ALL, ends=1))["left"] == [lost[1]]
    town.here.before = lambda _path: None
    world.outer.tasks_status = 503
    found = await town.resend(*ALL)
    assert [(one["unique_id"], one["status"]) for one in found["answers"]] == [(lost[0], "waits"), (lost[1], "written")]
    world.outer.tasks_status = 200
    world.clock.at += 60
    assert (await town.running["gchostpay1"].sweep())["resent"] == 1
    assert {task.queue for task in world.outer.tasks} == {TRIGGER, CHECKS}


async def test_what_a_canary_swallowed_goes_to_the_stable_side_once_the_release_is_taken_back(
    world: World, start: Start, sql: Any
) -> None:
    world.rollout(releases={"gchostpay3": (100, "gchostpay3-bad")})
    town = await start(*STAGED)
    unique_id = await town.pay("tried")
    while not any(task.queue == EXECUTIONS for task in world.outer.tasks):
        tasks, world.outer.tasks = world.outer.tasks, []
        await asyncio.gather(*(town.running[task.service].deliver(task) for task in tasks))
    (swallowed,), world.outer.tasks = world.outer.tasks, []
    assert swallowed.tag == "canary"
    world.rollout()
    world.clock.at += 10
    assert await town.said(unique_id) == [("staged", "resent")]
    (task,) = world.outer.tasks
    assert (task.queue, task.tag) == (EXECUTIONS, "")
