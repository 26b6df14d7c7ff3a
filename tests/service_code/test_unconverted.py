"""A payment that no exchange converts is settled by other means, once, and its client is paid the rest as ever."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from service_code.kit.changenow import ChangeNow
from tests.service_code import gathering
from tests.service_code.gathering import CONVERT, books
from tests.service_code.judged import violations
from tests.service_code.refusing import Desk
from tests.service_code.world import World

HASH = "0x" + "ab" * 32


@pytest.mark.usefixtures("chain")
async def test_a_conversion_that_no_exchange_makes_is_settled_once_and_its_client_paid_the_rest_as_ever(
    world: World, desk: Desk, sql: Any
) -> None:
    ids = await desk.gathered(until=CONVERT)
    desk.refuses("pair_is_inactive")
    await desk.town.resend("--all", "--older-than", "0s")
    await desk.town.deliver()
    door, body = desk.town.running["gcbatchprocessor"], {"note": "given back", "by": "ann"}
    path = f"/conversions/{ids[0]}/settle"
    assert (await door.operate("POST", path, {"tx_hash": "0x12"})).status == 400
    assert (await door.operate("POST", "/conversions/none/settle", body)).status == 404
    both = await asyncio.gather(*(door.operate("POST", path, body) for _ in range(2)))
    assert {one.json()["status"] for one in both} == {"settled"}
    assert sorted(one.json().get("already", "") for one in both) == ["", "settled"]
    (action,) = await sql.fetch(
        "SELECT said_by, verb, kind, subject, before, after, why FROM operator_actions WHERE verb = 'settle'"
    )
    before = "refused: EXCHANGE_PAIR_IS_INACTIVE"
    assert tuple(action) == ("ann", "settle", "conversion", ids[0], before, "settled", "given back")
    splitter = desk.town.running["gcsplit"]
    (listed,) = (await splitter.operate("GET", "/refused")).json()["refused"]
    shown = (await splitter.operate("GET", f"/refused/{ids[0]}")).json()
    assert (listed["id"], shown["status"], shown["replay"]["code"]) == (ids[1], "settled", "already_settled")
    retry = await desk.town.running["gcsplit2"].operate("POST", f"/conversions/{ids[0]}/retry")
    assert retry.json()["status"] == "already_completed"
    way = (await desk.town.running["gcwebhook"].operate("GET", f"/payments/{ids[0]}")).json()
    assert (way["status"], way["hops"][-1]["hop"]) == ("settled", "settled")
    assert "converted" not in [hop["hop"] for hop in way["hops"]]
    desk.well()
    assert (await desk.dead("replay", ids[1], "--yes"))["replayed"] == 1
    await desk.town.deliver()
    assert await sql.fetchval("SELECT count(*) FROM payout_batches WHERE status <> 'settled'") == 0  # below it alone
    answer = await door.operate("POST", f"/conversions/{ids[1]}/settle", body)
    assert (answer.status, answer.json()["error"]) == (409, "NOT_REFUSED")
    assert "waits for its client's threshold" in answer.json()["reason"]
    await desk.town.pay("three", channel_id=gathering.CHANNEL)
    await desk.town.deliver()
    assert await sql.fetchval("SELECT members FROM payout_batches WHERE status = 'sent'") == 2
    sums = (await splitter.operate("GET", "/reconcile/ledger")).json()
    assert (sums["differing"], sums["unbalanced"]) == ([], [])
    assert (await books(sql))["settled_outside"] == -gathering.KEPT
    assert await violations(world, sql) == []


async def test_a_conversion_that_is_settled_while_the_exchange_is_asked_for_it_is_not_converted(
    world: World, desk: Desk, sql: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    estimate, asked, said = ChangeNow.estimate, asyncio.Event(), asyncio.Event()

    async def slow(*words: Any, **more: Any) -> Any:
        found = await estimate(*words, **more)
        asked.set()
        await said.wait()
        return found

    (one, _) = await desk.gathered(until=CONVERT)
    await desk.town.resend(one)
    monkeypatch.setattr(ChangeNow, "estimate", slow)
    delivered = asyncio.create_task(desk.town.deliver())
    await asked.wait()
    answer = await desk.town.running["gcbatchprocessor"].operate(
        "POST", f"/conversions/{one}/settle", {"tx_hash": HASH}
    )
    assert answer.json()["status"] == "settled"
    said.set()
    await delivered
    assert await sql.fetchval("SELECT accumulated_usdt FROM payout_accumulation WHERE unique_id = $1", one) == 0
    assert (await books(sql))["settled_outside"] == -gathering.KEPT
    assert await violations(world, sql) == []
