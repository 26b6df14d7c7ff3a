"""What operators decide over time, against the services: buyers of long ago, what waits behind a batch, and what is
kept of whoever asked.
"""

from __future__ import annotations

from typing import Any

from ops.errors import CallFailed
from tests.service_code import gathering
from tests.service_code.refusing import Desk
from tests.service_code.world import World

DAY = 86_400


async def test_a_replay_of_all_asks_for_buyers_where_letters_are_named_and_for_none_whose_time_is_over(
    world: World, desk: Desk, sql: Any
) -> None:
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


async def test_what_is_held_up_behind_a_batch_is_led_to_it_and_another_clients_money_is_not(
    world: World, desk: Desk, sql: Any
) -> None:
    batch, _ = await desk.batch()
    desk.well()
    behind = [await desk.town.pay(name, channel_id=gathering.CHANNEL) for name in ("three", "four", "five")]
    other = await desk.town.pay("other", channel_id=gathering.CHANNEL, client_wallet="0x" + "99" * 20)
    await desk.town.deliver()

    async def said(unique_id: str) -> str:
        (answer,) = (await desk.town.resend(unique_id, ends=1))["answers"]
        return str(answer["reason"])

    refused = "the exchange has refused it (EXCHANGE_PAIR_IS_INACTIVE)"
    for one in behind:
        told = f"it is held up behind batch {batch} of the same client, which is paid first: {refused}: "
        assert await said(one) == f"{told}./sluice dead replay {batch}"
    assert "until what its client has gathered reaches the threshold" in await said(other)
    desk.refuses("down", 503)
    await desk.dead("replay", batch, "--yes")
    assert "held up" in await said(behind[0])
    assert "the schedule gcbatchprocessor-sweep goes on" in await said(behind[0])
    desk.well()
    await sql.execute("UPDATE payout_batches SET status = 'settled'")
    for one in behind:  # all of them, the one that stands for its client as well
        assert "the schedule gcbatchprocessor-sweep goes on" in await said(one)
    desk.dead.here.before = gone
    assert "unless a batch of his is refused: ./sluice dead list --flow threshold" in await said(other)


def gone(path: str) -> None:
    if path == "/batches":
        raise CallFailed("answered 503", status=503)
