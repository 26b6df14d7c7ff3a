"""What `sluice reconcile` says of a finding: why, what becomes of it by itself, and what helps."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ops import app
from tests.service_code import reconciling
from tests.service_code.flow import ETH
from tests.service_code.reconciling import PAYOUTS, Look, Loop
from tests.service_code.town import Town
from tests.service_code.world import World

#: Fixtures.
town, loop, look = reconciling.town, reconciling.loop, reconciling.look


async def test_what_a_breaker_keeps_back_is_one_finding_and_what_happens_by_itself_is_told_with_its_time(
    world: World, town: Town, look: Look, sql: Any
) -> None:
    kept, staged = await town.pay("kept"), await town.pay("staged")
    for task in world.outer.take("split-payment-queue"):
        await town.running["gcsplit"].deliver(task)
    withhold = "UPDATE outbox SET withheld_at = sent_at, sent_at = NULL WHERE unique_id = $1 AND queue = $2"
    await sql.execute(withhold, kept, PAYOUTS)
    await sql.execute("UPDATE split_payout_que SET way = 'staged' WHERE unique_id = $1", staged)
    trigger = "gcsplit-hostpay-trigger-queue"
    await sql.execute("UPDATE outbox SET queue = $2 WHERE unique_id = $1 AND queue = $3", staged, trigger, PAYOUTS)
    for task in world.outer.tasks:
        task.queue = trigger if task.queue == PAYOUTS else task.queue
    assert (await look(town.running)).told["findings"] == []  # its task is there
    world.outer.tasks.clear()
    (lost,) = (await look(town.running)).told["findings"]
    assert (lost["about"], lost["stage"]) == (staged, "staged")
    assert f"its task is gone from {trigger}" in lost["why"]
    world.clock.at += 900
    found = await look(town.running)
    (back,) = found.of(kept)
    assert (back["stage"], back["help"]) == ("single", "./sluice queues describe hostpay-execution-queue")
    assert f"kept back: the receiver of {PAYOUTS} is down or degraded; it goes on by itself" in back["why"]
    ends = "by itself, after 2027-01-16T08:0"
    assert ends in back["why"]
    assert ends in found.one(staged, "stuck")["why"]
    assert "it is dead and can be replayed" in found.one(staged, "stuck")["why"]


async def test_a_dead_payment_is_to_be_replayed_only_where_that_may_help(
    world: World, town: Town, look: Look, sql: Any
) -> None:
    world.outer.changenow_status, world.outer.changenow_refusal = 400, "deposit_too_small"
    small = await town.pay("small")
    await town.deliver()
    world.outer.changenow_refusal = "pair_is_inactive"
    closed, asked = await town.pay("closed"), await town.pay("asked")
    await town.deliver()
    mark = {"status": "investigating", "note": "ticket 7"}
    assert (await town.running["gcsplit"].operate("POST", f"/failed-transactions/{asked}/status", mark)).status == 200
    found = await look(town.running)
    assert found.one(closed, "stuck")["help"] == f"./sluice dead replay {closed}"
    hopeless, held = found.one(small, "stuck"), found.one(asked, "stuck")
    assert "look first" in hopeless["why"]
    assert hopeless["help"] == "./sluice dead list --status dead --code EXCHANGE_DEPOSIT_TOO_SMALL"
    assert "somebody looks into it (ticket 7)" in held["why"]
    assert held["help"].startswith("./sluice dead list --status investigating ")
    retryable = await sql.fetch("SELECT unique_id FROM failed_transactions WHERE retryable ORDER BY failed_at")
    assert {row["unique_id"] for row in retryable} == {closed, asked}


async def test_a_balance_that_only_the_funding_explains_is_no_alarm_about_the_wallets_key(
    world: World, town: Town, look: Look, loop: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    await town.pay("one")
    await town.deliver()
    loop.given = {"eth": 100 * ETH}
    assert (await look(town.running)).told["findings"] == []  # what the stack knows needs no option
    loop.given = {"eth": 101 * ETH}
    short = (await look(town.running)).one("wallet", "wallet")
    assert short["help"] == "./sluice wallet show"
    assert "the funding 101 eth: -1 eth" in short["why"]
    assert "no nonce was used by somebody else" in short["why"]
    more = (await look(town.running, "--funded", "eth=99")).one("wallet", "wallet")
    assert "+1 eth; nobody but us spent" in more["why"]
    capsys.readouterr()
    assert await asyncio.to_thread(app.main, ["reconcile", "--pause", "0", "--funded", "eth=100"]) == 0
    shown = capsys.readouterr().out
    assert "platform_fees + rounding" in shown
    assert "ledger and funding 99." in shown
