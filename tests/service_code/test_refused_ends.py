"""What the exchange refuses comes to an end, one way or the other, and once: it holds up nobody else, is told for as
long as it stands, and a batch that was paid by other means is never paid again, whatever was on its way.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest

from service_code.gcbatchprocessor import sweep
from service_code.gcbatchprocessor.batches import Batches
from service_code.kit.changenow import ChangeNow, ExchangeAwayError, ExchangeOrder, ExchangeRefusedError, Route
from tests.service_code import gathering
from tests.service_code.conftest import Chain
from tests.service_code.gathering import CONVERT, TRIGGER, books
from tests.service_code.judged import violations
from tests.service_code.refusing import Desk
from tests.service_code.world import World

WALLET = "0x" + "Cd" * 20
HASH = "0x" + "ab" * 32
#: Batches of other clients: their number, currency and standing, each a second younger.
OTHERS = """
    INSERT INTO payout_batches
    SELECT $2 || i, -200000 - i, client_wallet, $2, $2, currency, amount, amount_usdt, threshold_usdt, members, $3,
        NULL, NULL, assembled_at - interval '1 hour' + i * interval '1 second', NULL, NULL
    FROM payout_batches, generate_series(1, $1) AS i WHERE client_id = $4
"""
#: A payment of each of those clients, with which its threshold is met once more.
DUE = """
    INSERT INTO payout_accumulation (unique_id, client_id, client_wallet, payout_currency, payout_network, currency,
        accumulated_eth, accumulated_usdt, eth_to_usdt_rate, created_at, conversion_status, converted_at,
        threshold_usdt)
    SELECT 'of ' || o.batch_id, o.client_id, o.client_wallet, o.payout_currency, o.payout_network, a.currency,
        a.accumulated_eth, a.threshold_usdt, eth_to_usdt_rate, created_at, 'completed', converted_at, a.threshold_usdt
    FROM payout_batches AS o, (SELECT * FROM payout_accumulation ORDER BY unique_id LIMIT 1) AS a
    WHERE o.client_id <> $1
"""


async def standing(sql: Any, batch: str) -> str:
    return str(await sql.fetchval("SELECT status FROM payout_batches WHERE batch_id = $1", batch))


@dataclass
class Slow:
    """The exchange takes an order and is slow to say so; what is ordered meanwhile it refuses."""

    taken: asyncio.Event = field(default_factory=asyncio.Event)
    said: asyncio.Event = field(default_factory=asyncio.Event)

    def put(self, monkeypatch: pytest.MonkeyPatch) -> Slow:
        order = ChangeNow.order

        async def slow(exchange: ChangeNow, *words: Any, **more: Any) -> ExchangeOrder:
            if self.taken.is_set():
                raise ExchangeRefusedError("EXCHANGE_PAIR_IS_INACTIVE", "closed")
            made = await order(exchange, *words, **more)
            self.taken.set()
            await self.said.wait()
            return made

        monkeypatch.setattr(ChangeNow, "order", slow)
        return self


async def test_clients_behind_a_refused_batch_take_nobodys_place_in_the_schedule(
    world: World, desk: Desk, sql: Any
) -> None:
    batch, _ = await desk.batch()
    await sql.execute(OTHERS, sweep.AT_ONCE + 1, "xmr", "refused", gathering.CHANNEL)
    await sql.execute(DUE, gathering.CHANNEL)
    desk.refuses("down", 503)
    assert (await desk.dead("replay", batch, "--yes"))["answers"][0]["status"] == "waits"
    desk.well()
    await desk.sweep(60)
    assert await standing(sql, batch) == "sent"
    assert [task.queue for task in world.outer.tasks] == [TRIGGER]


async def test_pairs_that_the_exchange_gives_no_answer_for_hold_up_no_other(
    world: World, desk: Desk, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, _ = await desk.batch()
    order, asked, well = ChangeNow.order, list[str](), {"eth"}

    async def sick(exchange: ChangeNow, route: Route, *words: Any, **more: Any) -> ExchangeOrder:
        asked.append(route.to_currency)
        if route.to_currency not in well:
            raise ExchangeAwayError("ChangeNow answered 500")
        return await order(exchange, route, *words, **more)

    desk.refuses("down", 503)
    await desk.dead("replay", batch, "--yes")
    desk.well()
    well.add(str(await sql.fetchval("SELECT payout_currency FROM payout_batches")))
    monkeypatch.setattr(ChangeNow, "order", sick)
    pairs = [f"sick{number}" for number in range(sweep.AWAY + 1)]
    for pair in pairs:  # each older than ours, and together more than one round takes up
        await sql.execute(OTHERS, sweep.AT_ONCE, pair, "assembled", gathering.CHANNEL)
        await sql.execute("UPDATE payout_batches SET client_id = client_id - 1000 WHERE client_id <= -200000")
    rounds = 0
    while await standing(sql, batch) != "sent":
        await desk.sweep(60)
        rounds += 1
    assert rounds <= len(pairs) + 1
    assert len(asked) <= rounds * sweep.AWAY + 1  # nobody is asked twice in a round for what he does not answer
    asked.clear()
    for _ in pairs:
        await desk.sweep(60)
    assert set(asked) == set(pairs)  # each in its turn
    well.update(pairs)
    await desk.sweep(60)
    await desk.sweep(60)
    sent = await sql.fetchval("SELECT count(*) FROM payout_batches WHERE status = 'sent'")
    assert sent >= sweep.AT_ONCE


async def test_a_batch_that_was_settled_is_never_paid_though_an_order_for_it_was_on_its_way(
    world: World, chain: Chain, desk: Desk, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, _ = await desk.batch()
    door, slow = desk.town.running["gcbatchprocessor"], Slow()
    desk.well()
    slow.put(monkeypatch)
    asked = asyncio.create_task(door.operate("POST", f"/batches/{batch}/retry", {"by": "ann"}))
    await slow.taken.wait()
    await desk.sweep(60)
    assert await standing(sql, batch) == "refused"
    settled = await door.operate("POST", f"/batches/{batch}/settle", {"note": "by hand"})
    assert settled.json()["status"] == "settled"
    slow.said.set()
    answer = await asked
    assert (answer.status, answer.json()) == (200, {"status": "already_settled", "batch_id": batch})
    await _is_not_paid(desk, sql, batch)


@pytest.mark.parametrize("by", ["the schedule", "an operator"])
@pytest.mark.usefixtures("chain")
async def test_a_batch_that_is_settled_while_its_order_is_on_its_way_is_never_paid(
    desk: Desk, sql: Any, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    batch, _ = await desk.batch()
    door, slow = desk.town.running["gcbatchprocessor"], Slow()
    desk.refuses("down", 503)
    retry = f"/batches/{batch}/retry"
    if by == "the schedule":
        assert (await door.operate("POST", retry)).status == 502
    desk.well()
    slow.put(monkeypatch)
    asked = asyncio.create_task(desk.sweep(60) if by == "the schedule" else door.operate("POST", retry))
    await slow.taken.wait()
    assert await standing(sql, batch) == "assembled"
    both = await asyncio.gather(
        *(door.operate("POST", f"/batches/{batch}/settle", {"note": "by hand"}) for _ in range(2))
    )
    assert sorted(len(one.json()) for one in both) == [2, 3]  # one of them: already
    slow.said.set()
    await asked
    await _is_not_paid(desk, sql, batch)


async def _is_not_paid(desk: Desk, sql: Any, batch: str) -> None:
    assert await standing(sql, batch) == "settled"
    await desk.sweep(60)
    await desk.town.deliver()
    assert await standing(sql, batch) == "settled"
    assert await sql.fetchval("SELECT count(*) FROM split_payout_que") == 0
    assert await sql.fetchval("SELECT count(*) FROM split_payout_hostpay") == 0
    assert (await books(sql))["settled_outside"] == -2 * gathering.KEPT
    assert await violations(desk.town.world, sql) == []


async def test_what_was_refused_is_overdue_for_as_long_as_it_stands(
    desk: Desk, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    async def said() -> list[float]:
        log_lines.clear()
        await desk.town.running["gcsplit"].sweep()
        return [line["overdue"] for line in log_lines if line.get("stage") == "refused"]

    batch, _ = await desk.batch()
    (finding,) = await desk.found()  # named at once, whatever its stage usually takes
    assert finding.about == batch
    assert [overdue < 1 for overdue in await said()] == [True]
    for seconds in (3660, 30 * 86_400):
        desk.town.world.clock.at += seconds
        assert [overdue > 6 for overdue in await said()] == [True]  # what payments-stuck goes by
    await desk.dead("settle", batch, "--note", "by hand", "--yes")
    assert await said() == []


async def test_a_refused_conversion_is_overdue_as_well(desk: Desk, sql: Any, log_lines: list[dict[str, Any]]) -> None:
    await desk.gathered(until=CONVERT)
    desk.refuses("pair_is_inactive")
    await desk.town.resend("--all", "--older-than", "0s")
    await desk.town.deliver()
    desk.town.world.clock.at += 30 * 86_400
    log_lines.clear()
    await desk.town.running["gcsplit"].sweep()
    assert [line["overdue"] > 6 for line in log_lines if line.get("stage") == "refused"] == [True]


async def test_all_that_an_operator_says_of_a_settlement_is_kept_and_each_payments_way_tells_of_it(
    desk: Desk, sql: Any
) -> None:
    batch, members = await desk.batch()
    door, note = desk.town.running["gcbatchprocessor"], "paid by hand, " * 70
    path = f"/batches/{batch}/settle"
    assert (await door.operate("POST", path, {"note": "n" * 1001})).status == 400
    body = {"tx_hash": HASH, "note": note, "why": "he asked", "by": "ann"}
    assert (await door.operate("POST", path, body)).status == 200
    (row,) = await sql.fetch("SELECT said_by, verb, before, after, why FROM operator_actions")
    assert tuple(row)[:-1] == ("ann", "settle", "refused: EXCHANGE_PAIR_IS_INACTIVE", "settled")
    assert row["why"] == f"{HASH}: {note}: he asked"
    for one in members:
        way = (await desk.town.running["gcwebhook"].operate("GET", f"/payments/{one}")).json()
        last = way["hops"][-1]
        assert (way["status"], last["hop"], last["detail"]) == ("settled", "settled", HASH)


async def test_a_death_keeps_all_that_is_said_of_its_settlement_too(desk: Desk, sql: Any) -> None:
    desk.refuses("not_valid_address")
    unique_id = await desk.town.pay("refused")
    await desk.town.deliver()
    body = {"tx_hash": HASH, "note": "to the wallet he meant"}
    path = f"/failed-transactions/{unique_id}/recovered"
    assert (await desk.town.running["gcsplit"].operate("POST", path, body)).status == 200
    assert await sql.fetchval("SELECT why FROM operator_actions") == f"{HASH}: to the wallet he meant"


async def test_a_refused_batch_says_how_many_payments_of_its_client_it_holds_up(desk: Desk) -> None:
    batch, _ = await desk.batch()
    splitter = desk.town.running["gcsplit"]

    async def behind() -> list[int]:
        (listed,) = (await splitter.operate("GET", "/refused")).json()["refused"]
        (waits,) = (await splitter.operate("GET", "/reconcile/payments")).json()["payments"]
        return [one["behind"] for one in (listed, waits, (await splitter.operate("GET", f"/refused/{batch}")).json())]

    assert await behind() == [0, 0, 0]
    desk.well()
    for name in ("three", "four", "five"):
        await desk.town.pay(name, channel_id=gathering.CHANNEL)
    await desk.town.pay("another's", channel_id=gathering.CHANNEL, client_wallet=WALLET)
    await desk.town.deliver()
    assert await behind() == [3, 3, 3]


async def test_the_door_answers_for_the_batch_that_it_was_asked_for(
    desk: Desk, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch, _ = await desk.batch()
    desk.well()
    for name in ("three", "four"):
        await desk.town.pay(name, channel_id=gathering.CHANNEL)
    await desk.town.deliver()
    advance, quicker = Batches.advance, [True]

    async def late(batches: Batches, *words: Any) -> str:
        if quicker and quicker.pop():
            await desk.sweep(60)  # the schedule sends it in between; the client's next one is refused
            desk.refuses("pair_is_inactive")
        return await advance(batches, *words)

    monkeypatch.setattr(Batches, "advance", late)
    answer = await desk.town.running["gcbatchprocessor"].operate("POST", f"/batches/{batch}/retry")
    assert (answer.status, answer.json()) == (200, {"status": "sent", "batch_id": batch})
    assert await standing(sql, batch) == "sent"
    refused = await sql.fetchval("SELECT batch_id FROM payout_batches WHERE status = 'refused'")
    answer = await desk.town.running["gcbatchprocessor"].operate("POST", f"/batches/{refused}/retry")
    assert (answer.status, answer.json()["error"]) == (409, "EXCHANGE_PAIR_IS_INACTIVE")
    assert answer.json()["reason"] == "ChangeNow answered 400: no reason"


async def test_a_batch_whose_exchange_is_gone_for_good_is_settled_though_it_was_never_refused(
    world: World, chain: Chain, desk: Desk, sql: Any
) -> None:
    await desk.gathered(until=gathering.BATCH)
    desk.refuses("down", 503)
    for _ in range(3):
        await desk.sweep(86_400)
    batch = str(await sql.fetchval("SELECT batch_id FROM payout_batches WHERE status = 'assembled'"))
    shown = (await desk.town.running["gcsplit"].operate("GET", f"/refused/{batch}")).json()
    assert (shown["status"], shown["code"], shown["replay"]["code"]) == ("assembled", None, "already_assembled")
    assert "asks the exchange each minute" in shown["replay"]["why"]
    path = f"/batches/{batch}/settle"
    assert (await desk.town.running["gcbatchprocessor"].operate("POST", path, {"note": "x"})).json()[
        "status"
    ] == "settled"
    assert await sql.fetchval("SELECT before FROM operator_actions") == "assembled"
    desk.well()
    await _is_not_paid(desk, sql, batch)


async def test_a_grant_that_is_asked_for_again_late_in_its_day_has_its_hour_as_well(
    world: World, desk: Desk, sql: Any
) -> None:
    webhook = desk.town.running["gcwebhook"]
    world.outer.telegram_status = 403
    unique_id = await desk.town.pay("refused")
    await desk.town.deliver()
    world.outer.telegram_status = 500
    never = await desk.town.pay("never")
    await desk.town.deliver()
    world.clock.at += 86_400 - 300
    await webhook.sweep()
    assert (await webhook.operate("POST", f"/payments/{unique_id}/grant")).json()["status"] == "asked"
    world.clock.at += 310
    assert (await webhook.sweep())["given_up"] == 1
    assert await sql.fetchval("SELECT refused_at IS NOT NULL FROM channel_access WHERE unique_id = $1", never)
    world.clock.at += 3600
    assert (await webhook.sweep())["given_up"] == 1
