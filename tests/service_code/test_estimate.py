"""The estimate between gcsplit and gcsplit2: an exchange that is away costs time alone, and a refusal one death."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.service_code import flow
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH, balances, confirm_all, share
from tests.service_code.outer import Task
from tests.service_code.world import World, routes

ASK, ANSWER = "gcsplit-estimate-queue", "gcsplit-estimate-response-queue"
HOSTPAY = "hostpay-execution-queue"
QUEUED = routes(estimate=100)


async def asked(world: World, **more: Any) -> tuple[str, Task, Task]:
    """A payment whose share's worth is being asked for: its id, its split task, and the question."""
    unique_id, task = await flow.received(world, **more)
    async with world.run("gcsplit", ROUTES=QUEUED) as splitter:
        assert (await splitter.deliver(task)).json() == {"status": "next"}
    (question,) = world.outer.take(ASK)
    return unique_id, task, question


async def answered(world: World, question: Task) -> Task:
    async with world.run("gcsplit2") as estimator:
        assert (await estimator.deliver(question)).json() == {"status": "next"}
    (answer,) = world.outer.take(ANSWER)
    return answer


async def test_a_payment_is_split_at_the_rate_that_was_asked_for_and_paid(world: World, chain: Chain, sql: Any) -> None:
    _, _, question = await asked(world)
    assert await balances(sql) == {"processor_receivable": ETH // 20, "unsplit_funds": -ETH // 20}
    answer = await answered(world, question)
    before = len(world.outer.estimates)
    async with world.run("gcsplit", ROUTES=QUEUED) as splitter, world.run("gchostpay") as payer:
        assert (await splitter.deliver(answer)).json() == {"status": "next"}
        assert len(world.outer.estimates) == before  # at the quoted rate
        (pay,) = world.outer.take(HOSTPAY)
        assert (await payer.deliver(pay)).status == 200
        await confirm_all(world, payer)
    assert (await balances(sql))["exchange_clearing"] == 0
    assert await chain.nonce(world.wallet.address) == 1


async def test_whatever_comes_again_splits_once(world: World, sql: Any) -> None:
    _, task, question = await asked(world)
    answers = []
    async with world.run("gcsplit2") as estimator, world.run("gcsplit", ROUTES=QUEUED) as splitter:
        for retry in range(3):
            assert (await estimator.deliver(question, retry)).status == 200
            assert (await splitter.deliver(task, retry)).status == 200
        answers = world.outer.take(ANSWER)
        assert len(answers) == 1
        assert world.outer.take(ASK) == []
        found = await asyncio.gather(*(splitter.deliver(answers[0], retry) for retry in range(5)))
        assert {answer.status for answer in found} == {200}
        assert (await splitter.deliver(task, 9)).status == 200
    assert len(world.outer.take(HOSTPAY)) == 1
    assert await sql.fetchval("SELECT count(*) FROM split_payout_que") == 1


async def test_a_payment_that_was_split_in_place_meanwhile_is_not_split_again(world: World, sql: Any) -> None:
    _, task, question = await asked(world)
    async with world.run("gcsplit") as splitter:  # the share was set back to 0
        assert (await splitter.deliver(task, 1)).status == 200
        answer = await answered(world, question)
        assert (await splitter.deliver(answer)).status == 200
    assert len(world.outer.take(HOSTPAY)) == 1
    assert await sql.fetchval("SELECT count(*) FROM split_payout_que") == 1


@pytest.mark.parametrize("status", [401, 429, 500, 503])
async def test_an_exchange_that_is_away_is_asked_again_by_the_queue(world: World, sql: Any, status: int) -> None:
    _, _, question = await asked(world)
    world.outer.changenow_status = status
    async with world.run("gcsplit2") as estimator:
        for retry in range(3):
            assert (await estimator.deliver(question, retry)).status == 500
        world.outer.changenow_status = None
        assert (await estimator.deliver(question, 3)).status == 200
    assert len(world.outer.take(ANSWER)) == 1
    assert await sql.fetchval("SELECT count(*) FROM failed_transactions") == 0


async def test_what_the_exchange_refuses_is_dead_at_gcsplit_and_replayed_once(world: World, sql: Any) -> None:
    unique_id, task, question = await asked(world)
    world.outer.changenow_status, world.outer.changenow_refusal = 400, "deposit_too_small"
    answer = await answered(world, question)
    async with world.run("gcsplit", ROUTES=QUEUED) as splitter:
        assert (await splitter.deliver(answer)).json()["code"] == "EXCHANGE_DEPOSIT_TOO_SMALL"
        assert (await splitter.deliver(answer, 1)).json() == {"status": "already_dead"}
        assert (await splitter.deliver(task, 1)).json() == {"status": "already_dead"}
        assert (await balances(sql))["dead_payouts"] == -ETH // 20
        world.outer.changenow_status = None
        assert (await splitter.operate("POST", f"/dead/{unique_id}/replay")).json()["status"] == "replayed"
    assert len(world.outer.take(HOSTPAY)) == 1
    assert (await balances(sql))["exchange_clearing"] == -share(ETH // 20)


async def test_a_question_that_could_not_be_queued_is_the_sweepers_until_its_payment_is_dead(
    world: World, sql: Any
) -> None:
    tasks = [(await flow.received(world))[1] for _ in range(2)]
    async with world.run("gcsplit", ROUTES=QUEUED) as splitter:
        for task in tasks:
            world.outer.tasks_status = 503
            assert (await splitter.deliver(task)).json() == {"status": "next"}
            if task is tasks[0]:
                world.outer.tasks_status = 200
                world.clock.at += 15
                assert (await splitter.sweep())["resent"] == 1
                assert len(world.outer.take(ASK)) == 1
        world.clock.at += 24 * 3600 + 15
        assert (await splitter.sweep())["dead"] == 2
        world.outer.tasks_status = 200
        world.clock.at += 15
        assert (await splitter.sweep())["resent"] == 0
    assert await sql.fetchval("SELECT count(*) FROM outbox WHERE sent_at IS NULL AND cancelled_at IS NULL") == 0


async def test_a_rate_that_has_run_out_is_asked_for_anew(world: World) -> None:
    world.outer.valid_until = datetime.fromtimestamp(world.clock.at + 300, UTC).isoformat()
    _, _, question = await asked(world)
    answer = await answered(world, question)
    world.clock.at += 241
    before = len(world.outer.estimates)
    world.outer.valid_until = datetime.fromtimestamp(world.clock.at + 300, UTC).isoformat()
    async with world.run("gcsplit", ROUTES=QUEUED) as splitter:
        assert (await splitter.deliver(answer)).json() == {"status": "next"}
    assert len(world.outer.estimates) == before + 1


async def test_the_way_to_pay_out_stays_as_it_was_when_the_rate_was_asked_for(world: World) -> None:
    _, _, question = await asked(world)
    answer = await answered(world, question)
    async with world.run("gcsplit", ROUTES=routes(estimate=100, payout=100)) as splitter:
        assert (await splitter.deliver(answer)).json() == {"status": "next"}
    assert len(world.outer.take(HOSTPAY)) == 1


async def test_a_share_of_nothing_is_refused_without_asking(world: World, sql: Any) -> None:
    _, task = await flow.received(world, 1)
    async with world.run("gcsplit", ROUTES=QUEUED) as splitter:
        assert (await splitter.deliver(task)).json()["code"] == "AMOUNT_TOO_SMALL"
    assert world.outer.take(ASK) == []
    assert (await balances(sql))["dead_payouts"] == -1
