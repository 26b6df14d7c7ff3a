"""`sluice reconcile`: each kind of finding, caused for real, is named; what is on its way is not."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from eth_account import Account

from ops import app
from service_code.kit.tasks import task_id
from tests.service_code import flow, paynow, reconciling, tether
from tests.service_code.conftest import Chain
from tests.service_code.flow import ETH
from tests.service_code.judged import violations
from tests.service_code.reconciling import PAYOUTS, SERVICES, Look, Loop
from tests.service_code.town import Town, lived
from tests.service_code.world import World

#: Fixtures.
town, loop, look = reconciling.town, reconciling.loop, reconciling.look


async def test_a_town_that_is_well_has_nothing_but_its_dead_to_name(
    world: World, chain: Chain, sql: Any, look: Look, capsys: pytest.CaptureFixture[str]
) -> None:
    async with AsyncExitStack() as stack:
        town = await lived(world, chain, sql, stack)
        await chain.mine(70)
        for name in ("gchostpay", "gchostpay3", "gcsplit", "gcwebhook"):
            await town.running[name].sweep()
        assert await sql.fetch("SELECT unique_id FROM channel_access WHERE granted_at IS NULL") == []
        found = await look(town.running, "--funded", "eth=100")
        assert found.told["not_compared"] == []
        assert {(one["about"], one["stage"]) for one in found.told["findings"]} == {
            (town.ids["unsplit"], "dead"),
            (town.ids["lost"], "dead"),
        }
        assert found.code == 1
        assert found.one(town.ids["lost"], "stuck")["help"] == f"./sluice dead replay {town.ids['lost']}"
        assert {int(one["difference"]) for one in found.told["sums"]} == {0}
        assert {one["currency"] for one in found.told["sums"]} == {"eth", "points"}
        capsys.readouterr()
        assert await asyncio.to_thread(app.main, ["reconcile", "--pause", "0"]) == 1
        shown = capsys.readouterr().out
        assert f"./sluice dead replay {town.ids['lost']}" in shown
        assert "2 findings; in flight: nothing" in shown


async def test_what_is_young_is_in_flight_and_what_is_late_is_named_with_its_task(
    world: World, town: Town, look: Look, loop: Loop, *, sql: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    world.outer.take("channel-access-queue")
    waits, gone, lost, unsent = [await town.pay(name) for name in ("waits", "gone", "lost", "unsent")]
    for task in world.outer.take("split-payment-queue"):
        await town.running["gcsplit"].deliver(task)
    for task in world.outer.take("channel-access-queue"):
        await town.running["gcwebhook"].deliver(task)
    kept = await sql.fetchval("SELECT id FROM outbox WHERE unique_id = $1 AND queue = $2", waits, PAYOUTS)
    await sql.execute("DELETE FROM outbox WHERE unique_id = $1 AND queue = $2", lost, PAYOUTS)
    status = "UPDATE outbox SET sent_at = NULL, last_error = '403' WHERE unique_id = $1 AND queue = $2"
    await sql.execute(status, unsent, PAYOUTS)
    world.outer.tasks = [task for task in world.outer.tasks if task.name == task_id(kept)]

    young = await look(town.running)
    assert (young.code, young.told["findings"], young.told["not_compared"]) == (0, [], [])
    assert young.told["in_flight"] == {"single": 4, "unsent": 1}
    capsys.readouterr()
    assert await asyncio.to_thread(app.main, ["reconcile", "--pause", "0"]) == 0
    helps = "./sluice resend --all --older-than 1s"
    said = f"    4 of them are too young to be named; where a release was bad just now: {helps}"
    assert capsys.readouterr().out.splitlines()[-1] == said
    world.clock.at += 60
    assert len((await look(town.running, "--older-than", "30s")).told["findings"]) == 5

    world.clock.at += 600  # and no sweeper has run
    late = await look(town.running)
    assert late.code == 1
    why = {name: late.of(one)[0]["why"] for name, one in town.ids.items()}
    assert why["waits"].startswith(f"asked for, no payout is signed; its task waits in {PAYOUTS}: 2 attempts")
    assert f"its task is gone from {PAYOUTS}" in why["gone"]
    assert "by itself it should have ended at 2027-01-15T08:01: do the schedules run?" in why["gone"]
    assert late.of(gone)[0]["help"] == "./sluice status"
    assert "no message of it is in the outbox" in why["lost"]
    assert {one["stage"] for one in late.of(unsent)} == {"single", "unsent"}
    assert f"its message for {PAYOUTS} is not queued: 403" in why["unsent"]
    assert {one["since"] for name in (waits, gone) for one in late.of(name)} == {"2027-01-15T08:00:00.000Z"}

    world.outer.tasks[0].scheduled = world.clock.at - 3600
    loop.paused.add(PAYOUTS)
    queue = (await look(town.running)).one(PAYOUTS, "queue")
    assert queue["stage"] == "paused"
    assert queue["help"] == f"./sluice queues resume {PAYOUTS}"
    loop.paused.add("channel-access-queue")
    empty = (await look(town.running)).one("channel-access-queue", "queue")
    assert empty["why"] == "the queue is paused with 0 tasks, 0 of them long due; whatever comes will wait"
    loop.paused.clear()
    assert (await look(town.running)).one(PAYOUTS, "queue")["stage"] == "overdue"


async def test_what_is_no_more_so_at_the_second_look_is_not_named(
    world: World, town: Town, look: Look, loop: Loop
) -> None:
    await town.pay("slow")
    world.clock.at += 1200
    calls = loop.before.setdefault("/reconcile/ledger", [])

    async def nothing() -> None:
        return None

    calls += [nothing, town.deliver]
    found = await look(town.running)
    assert (found.code, found.told["findings"]) == (0, [])


async def test_a_ledger_that_was_changed_by_hand_is_found_to_the_payment(
    world: World, town: Town, look: Look, sql: Any
) -> None:
    one, other, gas, broken = [await town.pay(name) for name in ("one", "other", "gas", "broken")]
    await town.deliver()
    assert (await look(town.running)).code == 0
    await sql.execute("SET session_replication_role = replica")
    change = (
        "UPDATE ledger_entries SET amount = amount + sign(amount) * $2::int WHERE entry_key = 'split:' || $1"
        " AND account IN ('exchange_clearing', 'unsplit_funds')"
    )
    await sql.execute(change, one, 5)
    await sql.execute(change, other, -5)  # the sums still agree
    same = await look(town.running)
    assert same.differences == {}
    assert {finding["about"] for finding in same.told["findings"]} == {one, other}
    assert {finding["stage"] for finding in same.of(one)} == {"exchange_clearing eth", "unsplit_funds eth"}

    await sql.execute("DELETE FROM ledger_entries WHERE entry_key = 'notice:' || $1", broken)
    for table in ("ledger_entries", "ledger_postings"):
        await sql.execute(
            f"DELETE FROM {table} WHERE entry_key IN"
            " (SELECT 'gas:' || tx_hash || '@' || block_hash FROM split_payout_hostpay WHERE unique_id = $1)",
            gas,
        )
    found = await look(town.running)
    assert found.code == 1
    assert found.differences == {"processor_receivable eth": -ETH // 20, "unsplit_funds eth": ETH // 20}
    assert "does not sum to zero" in " ".join(finding["why"] for finding in found.of(broken))
    assert "host_wallet has" in found.one(gas, "ledger")["why"]


async def test_somebody_with_the_wallets_key_is_found_with_his_transaction(
    world: World, town: Town, chain: Chain, look: Look, sql: Any
) -> None:
    first = await town.pay("first")
    await town.deliver()
    theirs = Account.sign_transaction(
        {
            "nonce": 1,
            "to": "0x" + "99" * 20,
            "value": 7,
            "gas": 21_000,
            "maxFeePerGas": 10**12,
            "maxPriorityFeePerGas": 10**9,
            "chainId": world.chain_id,
            "type": 2,
        },
        world.wallet.key,
    )
    await chain.send(theirs.raw_transaction)
    found = await look(town.running, "--funded", "eth=100")
    foreign = found.one("wallet", "foreign")
    assert (
        f"nonce 1 was used by a transaction that is not ours: 0x{theirs.hash.hex().removeprefix('0x')}"
        in foreign["why"]
    )
    assert "sent 7 wei to 0x9999" in foreign["why"]
    (short,) = [one for one in found.of("wallet") if one["kind"] == "wallet"]
    assert (short["stage"], short["help"]) == ("balance eth", "docs/runbook.md, `The wallet is stopped`")

    second = await town.pay("second")
    await town.deliver()  # its payout meets the nonce that is taken: the wallet stops
    stopped = await look(town.running)
    assert {one["stage"] for one in stopped.of("wallet")} == {"stopped", "nonce 1"}

    await sql.execute("UPDATE wallets SET next_nonce = 4")
    await sql.execute("UPDATE tx_variants SET mined_block_hash = '0xother' WHERE nonce = 0")
    forged = await look(town.running)
    assert "nonce 2 is nobody's" in " ".join(one["why"] for one in forged.of("wallet"))
    assert forged.one(first, "chain")["why"].endswith("the chain has it in another block")
    assert second not in {one["about"] for one in forged.told["findings"]}


async def test_what_is_mined_and_not_written_down_and_what_the_exchange_gave_back_is_found(
    world: World, town: Town, look: Look, chain: Chain
) -> None:
    paid, open_, mined = [await town.pay(name) for name in ("paid", "open", "mined")]
    splits = world.outer.take("split-payment-queue")
    await town.deliver()
    for task in splits:
        await town.running["gcsplit"].deliver(task)
    payouts = world.outer.take(PAYOUTS)
    orders = dict(zip((paid, open_, mined), world.outer.orders.values(), strict=True))
    await town.running["gchostpay"].deliver(payouts[0])
    await town.deliver()
    await town.running["gchostpay"].deliver(payouts[2])
    world.outer.take("hostpay-confirm-queue")  # and no sweeper looks
    orders[paid]["status"] = "refunded"
    orders[open_]["status"] = "failed"
    found = await look(town.running)
    assert found.one(paid, "exchange")["why"].endswith("the exchange says it is refunded")
    assert found.of(open_) + found.of(mined) == []
    world.clock.at += 900
    found = await look(town.running)
    assert "failed at the exchange and not paid by us" in found.one(open_, "exchange")["why"]
    assert found.one(mined, "chain")["why"] == "nonce 1 is mined and not posted"
    assert found.one(mined, "stuck")["stage"] == "signed"
    orders[paid] |= {"status": "exchanging", "payinAddress": "0x" + "12" * 20}
    assert "another amount or address" in (await look(town.running)).one(paid, "exchange")["why"]
    orders[paid]["payinAddress"] = next(iter(world.outer.orders.values()))["payinAddress"]
    del world.outer.orders[orders[open_]["id"]]
    assert "the exchange knows no order" in (await look(town.running)).one(open_, "exchange")["why"]


async def test_paynows_books_are_compared_event_by_event(world: World, town: Town, look: Look, sql: Any) -> None:
    webhook = town.running["paynowwebhook"]
    await paynow.register(webhook)
    for number in range(1, 4):
        await paynow.notify(webhook, paynow.order(number))
    await town.deliver()
    world.outer.publish_faults = [503]
    await paynow.notify(webhook, paynow.order(4))
    await paynow.notify(webhook, paynow.order(5, customer={"id": "nobody"}))
    await town.deliver()
    await paynow.notify(webhook, paynow.order(6, customer={"id": "c2", "metadata": {"uid": "u2"}}))
    paynow.waiting(world)  # published, and never pushed
    young = await look(town.running)
    assert {one["about"]: one["why"] for one in young.told["findings"]} == {"event-5": "dead; USER_NOT_FOUND"}
    assert young.told["in_flight"]["events"] == 2
    world.clock.at += 1200
    found = await look(town.running)
    assert found.one("event-4", "stuck")["why"] == "not published"
    assert found.one("event-6", "stuck")["why"] == "published, not processed"
    await sql.execute("DELETE FROM outbox WHERE unique_id = 'event-4'")
    await sql.execute("SET session_replication_role = replica")
    await sql.execute("DELETE FROM wallet_credits WHERE event_id = 'event-1'")
    await sql.execute("DELETE FROM ledger_entries WHERE entry_key = 'points:order:order-2'")
    found = await look(town.running)
    assert found.one("event-4", "stuck")["why"] == "no message of it is in the outbox"
    assert found.one("event-1", "points")["why"] == "processed, and nobody was credited"
    assert found.one("u1", "points")["why"] == "the wallet has 300 points, its credits sum to 200"
    assert {"event-1", "event-2"} <= {one["about"] for one in found.told["findings"] if one["kind"] == "ledger"}
    assert found.differences == {"user_points, wallets points": -100}


async def test_who_does_not_answer_is_said_and_the_rest_is_compared(
    world: World, town: Town, look: Look, rpc: Any
) -> None:
    unique_id = await town.pay("dead")
    world.outer.changenow_status, world.outer.changenow_refusal = 400, "pair_is_inactive"
    await town.deliver()
    world.outer.changenow_status = None
    await town.pay("asked")
    for task in world.outer.take("split-payment-queue"):
        await town.running["gcsplit"].deliver(task)
    world.outer.changenow_status = 503
    rpc.harm["eth_getTransactionCount"] = "away"
    found = await look(town.running)
    assert found.code == 2
    assert [one.partition(":")[0] for one in found.told["not_compared"]] == ["wallet and chain", "exchange"]
    assert found.of(unique_id)[0]["stage"] == "dead"


async def test_tokens_are_compared_in_their_own_currency_and_a_spender_needs_no_nonce(
    world: World, chain: Chain, look: Look, sql: Any
) -> None:
    usdt = await tether.issue(chain, world.wallet.address, 1000)
    world.usdt = usdt.address
    unique_id, task = await flow.split(world, 50 * tether.COIN, "usdt")
    async with AsyncExitStack() as stack:
        town = Town(world, {name: await stack.enter_async_context(world.run(name)) for name in SERVICES})
        await town.running["gchostpay"].deliver(task)
        await town.deliver()
        assert await violations(world, sql) == []
        found = await look(town.running, "--funded", "usdt=1000", "--funded", "eth=100")
        assert (found.code, found.told["findings"]) == (0, [])
        assert {one["currency"] for one in found.told["sums"]} == {"eth", "usdt", "points"}

        (issuer,) = await chain.ask("eth_accounts")
        await chain.ask("anvil_impersonateAccount", world.wallet.address)
        allow = "0x095ea7b3" + issuer[2:].lower().rjust(64, "0") + f"{5:064x}"
        wish = {"from": world.wallet.address, "to": usdt.address, "data": allow, "gas": hex(100_000)}
        await chain.ask("eth_sendTransaction", wish)
        await chain.mine()
        await usdt.does("transferFrom(address,address,uint256)", world.wallet.address, issuer, 5)
        found = await look(town.running, "--funded", "usdt=1000")
        assert {one["kind"] for one in found.of("wallet")} == {"foreign", "wallet"}
        whys = " ".join(one["why"] for one in found.of("wallet"))
        assert "moved 5 base units of usdt to" in whys
        assert "nonce 1 was used by a transaction that is not ours" in whys
        assert found.of(unique_id) == []
        wrong = await violations(world, sql)
        assert any("tokens were moved by somebody else" in one for one in wrong), wrong
    await chain.ask("anvil_stopImpersonatingAccount", world.wallet.address)


def test_an_amount_that_is_none_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["reconcile", "--funded", "eth=many"]) == 2
    assert "--funded is eth=many" in capsys.readouterr().err
