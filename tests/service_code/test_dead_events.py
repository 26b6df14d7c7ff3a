"""A dead event of PayNow's is judged as things are: `sluice dead replay --all` takes it once its reason is gone."""

from __future__ import annotations

from typing import Any

import pytest

from tests.service_code.dead_here import Command
from tests.service_code.paynow import notify, order, register, states, waiting
from tests.service_code.world import World

pytestmark = pytest.mark.asyncio


async def test_an_event_that_must_die_again_is_replayed_by_its_id_alone(dead: Command, world: World, sql: Any) -> None:
    webhook, worker = dead.here.running["paynowwebhook"], dead.here.running["paynowworker"]
    await register(webhook)
    unknown, lost = "event-1", "event-2"
    await notify(webhook, order(1, product="hat"))
    await notify(webhook, order(2, customer={"id": "c2"}))
    for event in waiting(world):
        await worker.push(event)
    assert (await dead("replay", "--all", "--dry-run"))["would_replay"] == []
    assert "refused again until the reason is gone: USER_NOT_FOUND" in await dead.text("replay", lost, "--dry-run")
    await register(webhook, "u2", "c2")
    assert {one["id"]: one["standing"] for one in (await dead("list", "--kind", "event"))["dead"]} == {
        unknown: "dead, look first",
        lost: "dead",
    }
    assert (await dead("replay", "--all", "--dry-run"))["would_replay"] == [lost]
    assert (await dead("replay", unknown, "--yes"))["replayed"] == 1
    assert await states(sql) == {unknown: "queued", lost: "dead"}
