"""What operators decide over time, against the services: buyers of long ago, what waits behind a batch, and what is
kept of whoever asked.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.service_code.refusing import Start, refusing
from tests.service_code.world import World

DAY = 86_400


@pytest.fixture
async def start(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], log_lines: list[dict[str, Any]]
) -> AsyncIterator[Start]:
    async with refusing(world, monkeypatch, capsys) as desk:
        yield desk


async def test_a_replay_of_all_asks_for_buyers_where_letters_are_named_and_for_none_whose_time_is_over(
    world: World, start: Start, sql: Any
) -> None:
    desk = await start()
    world.outer.telegram_status = 500
    for name in ("one", "two"):
        await desk.town.pay(name)
    await desk.town.deliver()
    webhook = desk.town.running["gcwebhook"]
    world.clock.at += DAY + 10
    assert (await webhook.sweep())["given_up"] == 2
    world.outer.tasks.clear()
    world.outer.telegram_status = 200
    letters = [one["id"] for one in (await desk.dead("list", "--kind", "letter"))["dead"]]
    for words in (("--all", "--yes"), ("--all", "--dry-run"), ("--all", "--flow", "split", "--yes")):
        told = await desk.dead("replay", *words)
        assert told.get("answers", told.get("would_replay")) == []
        assert [one["id"] for one in told.get("left_out", [])] in (letters, [])
    assert "2 letters left out" in await desk.dead.text("replay", "--all", "--yes")
    (first,) = (await desk.dead("replay", "--all", "--kind", "letter", "--limit", "1", "--yes"))["answers"]
    assert first["status"] == "replayed"
    assert [one["after"] for one in (await desk.dead("history", letters[0]))["actions"]] == ["access asked for"]
    assert (await desk.dead("history", letters[1]))["actions"] == []
    shown = await desk.dead("show", letters[0])
    assert [one["after"] for one in shown["record"]["actions"]] == ["access asked for"]
    world.clock.at += 300 * DAY
    told = await desk.dead("replay", "--all", "--kind", "letter", "--yes")
    assert (told["answers"], [one["id"] for one in told["left_out"]]) == ([], letters[1:])
    assert "has paid for were over on 20" in told["left_out"][0]["reason"]
    assert "were over on 20" in await desk.dead.text("replay", letters[1], "--dry-run")
    assert (await desk.dead("replay", letters[1], "--yes"))["replayed"] == 1  # whoever names it means it
