"""What gcsplit does not take: rubbish, what is of a newer release, and what was recorded otherwise or never."""

from __future__ import annotations

import json
from typing import Any

import pytest

from service_code.kit.call import Call
from tests.service_code import flow
from tests.service_code.flow import ETH
from tests.service_code.world import World

HOSTPAY = "hostpay-execution-queue"


async def test_what_never_came_in_or_was_recorded_otherwise_is_not_split_at_either_door(world: World, sql: Any) -> None:
    unique_id, task = await flow.received(world)
    good = task.json()
    lies: dict[str, Any] = {
        "unique_id": "forged0000000001", "channel_id": -1, "amount": {"currency": "eth", "units": str(5 * ETH)},
        "client_wallet": "0x" + "66" * 20, "payout_currency": "btc", "payout_network": "btc", "received_at": 1,
    }  # fmt: skip
    lies_of_currency = [{"amount": {**good["amount"], "currency": "usdt"}}]
    quoted = {"share": good["amount"], "network": "eth", "way": "single", "flow": "fixed-rate"}
    quoted |= {"to_amount": "1", "rate_id": "r", "valid_until": 0, "refused_code": "", "refused_why": ""}
    doors = {
        "/process_split": {},
        "/eth-client-swap": {"message": "SplitEstimated", **quoted},
        "/eth-client-swap?": {"message": "SplitEstimated", **quoted, "refused_code": "NO", "refused_why": "no"},
    }
    async with world.run("gcsplit") as splitter:
        url = task.url
        for door, more in doors.items():
            task.url = url.replace("/process_split", door.rstrip("?"))
            for lie in [*({name: value} for name, value in lies.items()), *lies_of_currency]:
                task.body = json.dumps({**good, **more, **lie}).encode()
                assert (await splitter.deliver(task)).json()["code"] == "NOT_AS_RECORDED", (door, lie)
        task.body = json.dumps({**good, **doors["/eth-client-swap"]}).encode()
        # What waits for its client's threshold is gathered: no message splits it.
        await sql.execute("UPDATE split_payout_request SET threshold_usdt = 5")
        assert (await splitter.deliver(task)).json()["code"] == "NOT_AS_RECORDED"
        await sql.execute("UPDATE split_payout_request SET threshold_usdt = NULL")
        assert world.outer.orders == {}
        assert world.outer.take(HOSTPAY) == []
        assert await sql.fetchval("SELECT count(*) FROM failed_transactions") == 0
        task.url, task.body = url, json.dumps(good).encode()
        assert (await splitter.deliver(task)).json() == {"status": "next"}
    (pay,) = world.outer.take(HOSTPAY)
    assert flow.tokens().read(pay.json()["token"]).unique_id == unique_id


async def test_rubbish_behind_the_queue_is_a_dead_letter_that_is_acknowledged(
    world: World, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    _, task = await flow.received(world)
    good = task.json()
    bodies: dict[bytes, str] = {
        b"": "NOT_JSON",
        b"\xff": "NOT_JSON",
        b"[" * 50_000: "NOT_JSON",
        b"[]": "NOT_A_MESSAGE",
        b"{}": "UNKNOWN_VERSION",
        b"x" * 200_000: "TOO_LONG",
        json.dumps({**good, "message": "GrantAccess"}).encode(): "WRONG_MESSAGE",
        json.dumps({**good, "version": 10**40}).encode(): "UNKNOWN_VERSION",
        json.dumps({**good, "version": -1}).encode(): "UNKNOWN_VERSION",
        json.dumps({**good, "version": "1"}).encode(): "UNKNOWN_VERSION",
        json.dumps({**good, "tip": 1}).encode(): "BAD_FIELD",
        json.dumps({**good, "unique_id": "x" * 17}).encode(): "BAD_FIELD",
        json.dumps({**good, "amount": 5}).encode(): "BAD_FIELD",
        json.dumps({**good, "amount": {"currency": "eth", "units": "-5"}}).encode(): "BAD_FIELD",
        json.dumps({**good, "channel_id": "7"}).encode(): "BAD_FIELD",
        json.dumps({**good, "client_wallet": "\0\ud800"}).encode(): "BAD_FIELD",
    }
    async with world.run("gcsplit") as splitter:
        for body, code in bodies.items():
            task.body = body
            answer = await splitter.deliver(task)
            assert (answer.status, answer.json()["code"]) == (200, code), body[:80]
            assert (await splitter.deliver(task, 1)).status == 200
        task.body = b"x" * 2_000_000
        assert (await splitter.deliver(task)).status == 413

    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == len(bodies)
    said = [line["repeat"] for line in log_lines if line.get("event") == "dead_letter"]
    assert (said.count(False), said.count(True)) == (len(bodies), len(bodies))
    assert await sql.fetchval("SELECT count(*) FROM split_payout_que") == 0


async def test_a_message_of_a_newer_release_waits_for_it(world: World, sql: Any) -> None:
    _, task = await flow.received(world)
    good = task.body
    task.body = json.dumps({**task.json(), "version": 2, "tip": 1}).encode()
    async with world.run("gcsplit") as splitter:
        answer = await splitter.deliver(task)
        assert (answer.status, answer.json()["status"]) == (500, "retry")
        task.body = good
        assert (await splitter.deliver(task, 1)).json() == {"status": "next"}
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 0


async def test_a_crash_between_a_dead_letter_and_its_alert_does_not_lose_the_alert(
    world: World, log_lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledError(BaseException):
        pass

    _, task = await flow.received(world)
    task.body = b"{"
    commit = Call.commit

    async def die(call: Call) -> None:
        await commit(call)
        raise KilledError

    async with world.run("gcsplit") as splitter:
        monkeypatch.setattr(Call, "commit", die)
        with pytest.raises(KilledError):
            await splitter.deliver(task)
        monkeypatch.undo()
        assert not [line for line in log_lines if line.get("event") == "dead_letter"]
        assert (await splitter.deliver(task, 1)).status == 200
    assert [line["severity"] for line in log_lines if line.get("event") == "dead_letter"] == ["ERROR"]
