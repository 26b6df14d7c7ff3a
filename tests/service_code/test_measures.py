"""What the line that ends a request says of its time: how late the task was, and what it waited for outside."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from service_code.kit import measure
from service_code.kit.chain import NodeAwayError
from service_code.kit.tasks import DUE_HEADER
from tests.service_code import flow, paynow
from tests.service_code.conftest import Chain
from tests.service_code.outer import Rpc
from tests.service_code.world import World

Lines = list[dict[str, Any]]


def handled(lines: Lines) -> list[dict[str, Any]]:
    """The lines that end the handling of a message."""
    return [line for line in lines if line.get("event") == "handled"]


async def test_a_tasks_age_counts_from_when_it_was_due_and_its_latency_includes_retries(
    world: World, chain: Chain, rpc: Rpc, log_lines: Lines
) -> None:
    _, task = await flow.split(world)
    log_lines.clear()
    async with world.run("gchostpay") as payer:
        rpc.harm["eth_chainId"] = "away"
        assert (await payer.deliver(task)).status == 500
        world.clock.at += 30
        rpc.harm.clear()
        assert (await payer.deliver(task, 1)).status == 200
        (confirm,) = world.outer.take("hostpay-confirm-queue")
        assert confirm.scheduled is not None
        world.clock.at = confirm.scheduled + 4
        assert (await payer.deliver(confirm)).status == 200
    first, second, third = handled(log_lines)
    assert (first["task_age"], first["node"]) == (0, "away")
    assert "task_seconds" not in first
    assert (second["task_age"], second["attempt_number"], second["token_age"], second["node"]) == (30, 2, 30, "ok")
    assert second["task_seconds"] >= 30
    assert second["node_calls"] > 1
    assert third["task_age"] == pytest.approx(4, abs=0.01)
    assert all(line["db_ms"] >= 0 for line in (first, second, third))


@pytest.mark.parametrize("said", ["", "soon", "-5", "9" * 16, "\u0663"])
async def test_a_due_time_that_is_none_says_nothing(world: World, log_lines: Lines, said: str) -> None:
    _, task = await flow.received(world)
    world.outer.changenow_status = 503
    async with world.run("gcsplit") as splitter:
        strange = replace(task, headers={**task.headers, DUE_HEADER: said})
        assert (await splitter.deliver(strange)).status == 500
    (line,) = handled(log_lines)
    assert line["task_age"] is None


async def test_an_events_age_counts_from_its_publication(world: World, log_lines: Lines) -> None:
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        await paynow.register(webhook)
        assert (await paynow.notify(webhook, paynow.order())).status == 200
        (message,) = paynow.waiting(world)
        token = world.token("paynowworker", "invoker@p.iam.gserviceaccount.com")
        for at, age in (("2027-01-15T07:59:00.123456789Z", 59.877), ("yesterday", None)):
            envelope = message.envelope()
            envelope["message"]["publishTime"] = at
            body = json.dumps(envelope).encode()
            path = "/api/tasks/paynow/process"
            assert (await worker.request("POST", path, body, Authorization=f"Bearer {token}")).status == 200
            assert (handled(log_lines)[-1]["task_age"], handled(log_lines)[-1]["queue"]) == (age, "paynow-events-sub")


async def test_the_last_line_says_how_it_came_what_was_chosen_and_whether_anything_changed(
    world: World, log_lines: Lines
) -> None:
    unique_id, task = await flow.received(world)
    async with world.run("gcsplit") as splitter:
        assert (await splitter.deliver(task)).json()["status"] == "next"
        assert (await splitter.deliver(task, 1)).json()[
            "status"
        ] == "next"  # everything was sent: nothing is left to do
        world.outer.changenow_status = 503
        _, other = await flow.received(world)
        token = world.token("gcsplit", "gcwebhook@p.iam.gserviceaccount.com")
        direct = await splitter.request("POST", other.path, other.body, Authorization=f"Bearer {token}")
        assert direct.status == 500
    first, _, failed = handled(log_lines)
    assert (first["unique_id"], first["way"], first["effect"]) == (unique_id, "queue", True)
    assert first["ways"] == {"estimate": "inline", "payout": "single", "hostpay_hop": "queue"}
    assert (failed["way"], failed["effect"]) == ("direct", False)
    answered = [line for line in log_lines if line.get("event") == "answered"]
    assert [line["effect"] for line in answered] == [True, True]


def test_measures_belong_to_one_request_and_name_only_what_was_measured() -> None:
    measure.waited_for_database(1)  # of no request
    measure.begin()
    assert measure.fields() == {"effect": False}
    for seconds in (0.01, 0.25, 0.02):
        measure.waited_for_database(seconds)
    with pytest.raises(NodeAwayError), measure.node_call(NodeAwayError):
        raise NodeAwayError("away")
    with pytest.raises(ValueError, match="no"), measure.node_call(NodeAwayError):
        raise ValueError("no")
    found = measure.fields()
    assert (found["db_ms"], found["node"], found["node_calls"]) == (250.0, "away", 2)
    measure.begin()
    assert measure.fields() == {"effect": False}
