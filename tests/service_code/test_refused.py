"""What the exchange refuses of a threshold's, a batch or a conversion, is with the dead, and replayed as they are.

One command brings it back, once, whoever asks; until then `reconcile` and `resend` lead there, from its payments too.
"""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from typing import Any

from ops import app
from ops.errors import CallFailed
from tests.service_code import gathering
from tests.service_code.conftest import Chain
from tests.service_code.flow import alerts
from tests.service_code.gathering import CONVERT, TRIGGER, books
from tests.service_code.judged import violations
from tests.service_code.refusing import Desk
from tests.service_code.world import World


async def test_a_refused_batch_is_listed_with_the_dead_and_every_command_leads_to_its_replay(
    world: World, desk: Desk, sql: Any, log_lines: list[dict[str, Any]]
) -> None:
    batch, members = await desk.batch()
    dead = desk.dead
    assert (alerts(log_lines, "batch_refused"), alerts(log_lines, "dead_letter")) == (1, 0)
    (one,) = (await dead("list"))["dead"]
    assert (one["kind"], one["id"], one["standing"], one["flow"]) == ("batch", batch, "refused", "threshold")
    assert (one["code"], one["amount"]) == ("EXCHANGE_PAIR_IS_INACTIVE", str(2 * gathering.KEPT))
    (letter,) = (await dead("list", "--status", "of batch"))["dead"]
    assert (letter["kind"], letter["code"]) == ("letter", one["code"])
    for words, ids in (
        (("--kind", "batch"), [batch]), (("--flow", "threshold"), [batch]), (("--code", one["code"]), [batch]),
        (("--kind", "conversion"), []), (("--flow", "staged"), []), (("--older-than", "1h"), []),
        (("--status", "refused"), [batch]), (("--kind", "letter"), []),
    ):  # fmt: skip
        assert [thing["id"] for thing in (await dead("list", *words))["dead"]] == ids, words
    for id_ in (batch, *members):
        shown = await dead("show", id_)
        assert (shown["kind"], shown["id"], shown["replay"]["may"]) == ("batch", batch, True)
        assert shown["record"]["payments"] == sorted(members)
        (answer,) = (await desk.town.resend(id_, ends=1))["answers"]
        assert answer["reason"] == f"the exchange has refused it ({one['code']}): ./sluice dead replay {batch}"
        assert (await dead("replay", id_, "--dry-run"))["would_replay"] == [batch]
    printed = await dead.text("show", members[0])
    assert f"./sluice dead replay {batch}" in printed
    assert all(member in printed for member in members)
    (finding,) = await desk.found()
    assert (finding.about, finding.stage, finding.help) == (batch, "refused", f"./sluice dead replay {batch}")
    assert f"with it wait {', '.join(sorted(members))}" in finding.why
    kept = (await dead("drop", batch, "--why", "tired of it", "--yes", ends=1))["answers"][0]
    assert "./sluice dead replay" in kept["reason"]
    assert await sql.fetchval("SELECT count(*) FROM operator_actions") == 0


async def test_it_is_replayed_once_and_paid_and_a_second_refusal_is_told_in_the_exchanges_words(
    world: World, chain: Chain, desk: Desk, sql: Any
) -> None:
    batch, _ = await desk.batch()
    dead = desk.dead
    again = (await dead("replay", "--all", "--yes", "--why", "asked them", ends=1))["answers"]
    assert [(one["id"], one["error"]) for one in again] == [(batch, 409)]
    assert again[0]["reason"] == "ChangeNow answered 400: no reason"
    assert [one["id"] for one in (await dead("list"))["dead"]] == [batch]
    desk.well()
    path = f"/batches/{batch}/retry"
    door = desk.town.running["gcbatchprocessor"]
    said = await asyncio.gather(*(door.operate("POST", path, {"by": who}) for who in ("ann", "bob")))
    first, second = sorted((one.json()["status"] for one in said), reverse=True)
    assert (first, second) in (("sent", "already_assembled"), ("sent", "already_sent"))
    last = await dead("replay", batch, "--yes")
    assert (last["replayed"], last["answers"][0]["status"]) == (0, "already_sent")
    assert (await dead("list"))["dead"] == []
    assert len(world.outer.orders) == 1
    history = (await dead("history", batch))["actions"]
    assert [(one["verb"], one["kind"], one["before"], one["after"], one["why"]) for one in history] == [
        ("replay", "batch", "refused: EXCHANGE_PAIR_IS_INACTIVE", "assembled", why) for why in (None, "asked them")
    ]
    assert (history[1]["said_by"], history[0]["said_by"] in ("ann", "bob")) == ("ann@laptop", True)
    await desk.town.deliver()
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"
    assert (await books(sql))["accumulated_funds"] == 0


async def test_an_exchange_that_is_away_leaves_a_replayed_batch_to_the_schedule(
    world: World, chain: Chain, desk: Desk, sql: Any
) -> None:
    batch, members = await desk.batch()
    desk.refuses("down", 503)
    (answer,) = (await desk.dead("replay", batch, "--yes"))["answers"]
    assert (answer["status"], "asks it each minute" in answer["reason"]) == ("waits", True)
    (other,) = (await desk.dead("replay", batch, "--yes"))["answers"]
    assert other["status"] == "already_assembled"
    assert (await desk.dead("list"))["dead"] == []
    for id_ in (batch, members[1]):
        (told,) = (await desk.town.resend(id_, ends=1))["answers"]
        assert told["reason"] == "the schedule gcbatchprocessor-sweep goes on with it each minute"
    desk.well()
    await desk.sweep(60)
    await desk.town.deliver()
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"
    # The payout is given up: a death of gcsplit's, to which a payment of it leads as well.
    await sql.execute("DELETE FROM split_payout_hostpay")
    await sql.execute("UPDATE split_payout_que SET status = 'dead'; UPDATE payout_batches SET status = 'failed'")
    await sql.execute(
        "INSERT INTO failed_transactions (unique_id, generation, stage, error_code, error_message, currency, amount, "
        "from_account, status, failed_at) SELECT unique_id, 1, 'hostpay', 'WINDOW_PASSED', '', 'eth', from_amount, "
        "'exchange_clearing', 'dead', created_at FROM split_payout_que"
    )
    (death,) = (await desk.dead("list"))["dead"]
    assert (death["kind"], death["id"]) == ("payment", batch)
    assert (await desk.dead("show", members[0]))["id"] == batch


async def test_a_refused_conversion_is_replayed_as_well_and_two_operators_replay_each_once(
    world: World, chain: Chain, desk: Desk, sql: Any
) -> None:
    ids = await desk.gathered(until=CONVERT)
    desk.refuses("pair_is_inactive")
    questions = await desk.town.resend("--all", "--older-than", "0s")
    assert questions["resent"] == 2
    await desk.town.deliver()
    found = (await desk.dead("list"))["dead"]
    assert [(one["kind"], one["standing"]) for one in found] == [("conversion", "refused")] * 2
    assert {one["id"] for one in found} == set(ids)
    assert len((await desk.dead("list", "--status", "of conversion"))["dead"]) == 2
    assert {(one.about, one.help) for one in await desk.found()} == {
        (id_, f"./sluice dead replay {id_}") for id_ in ids
    }
    assert (await desk.town.resend(ids[0], ends=1))["answers"][0]["reason"].endswith(f"./sluice dead replay {ids[0]}")
    assert "may be done" in await desk.dead.text("show", ids[0])
    desk.well()
    await asyncio.gather(*(asyncio.to_thread(app.main, ["dead", "replay", "--all", "--yes"]) for _ in range(2)))
    assert await sql.fetchval("SELECT count(*) FROM operator_actions WHERE kind = 'conversion'") == 2
    assert len([task for task in world.outer.tasks if task.queue == CONVERT]) == 2
    await desk.town.deliver()
    assert await sql.fetchval("SELECT status FROM split_payout_hostpay") == "completed"
    assert (await desk.dead("replay", ids[0], "--yes"))["answers"][0]["status"] == "already_completed"
    assert (await books(sql))["accumulated_funds"] == 0


async def test_what_would_be_refused_again_as_things_are_is_replayed_by_its_id_alone(
    world: World, desk: Desk, sql: Any
) -> None:
    batch, _ = await desk.batch("not_valid_address")
    assert (await desk.dead("list"))["dead"][0]["standing"] == "refused, look first"
    desk.well()
    assert (await desk.dead("replay", "--all", "--yes"))["replayed"] == 0
    (finding,) = await desk.found()
    assert (finding.help, "look first" in finding.why) == (f"./sluice dead show {batch}", True)
    (answer,) = (await desk.town.resend(batch, ends=1))["answers"]
    assert answer["reason"].endswith(f"as things are: ./sluice dead show {batch}")
    assert (await desk.dead("replay", batch, "--yes"))["replayed"] == 1
    assert [task.queue for task in world.outer.tasks] == [TRIGGER]


async def test_a_batch_that_no_exchange_takes_is_settled_once_by_other_means_and_its_books_agree(
    world: World, chain: Chain, desk: Desk, sql: Any
) -> None:
    batch, members = await desk.batch("not_valid_address")
    dead, paid = desk.dead, ("--note", "by hand, to the wallet he meant")
    told = await dead.text("settle", members[0], *paid, "--yes", ends=2)
    assert f"{members[0]} is one payment of batch {batch} (0.097 eth of 2 payments to 0x" in told
    wish = await dead("settle", batch, *paid, "--dry-run")
    assert (wish["would_change"], wish["amount"], wish["payments"]) == (batch, str(2 * gathering.KEPT), 2)
    assert wish["client_wallet"] == await sql.fetchval("SELECT client_wallet FROM payout_batches")
    assert await sql.fetchval("SELECT status FROM payout_batches") == "refused"
    await dead("settle", batch, "--tx", "0x12", "--yes", ends=2)
    assert f"./sluice dead settle {batch}" in await dead.text("show", batch)
    door = desk.town.running["gcbatchprocessor"]
    body, settle, retry = {"note": "by hand"}, f"/batches/{batch}/settle", f"/batches/{batch}/retry"
    desk.well()
    both = await asyncio.gather(*(door.operate("POST", settle, body) for _ in range(2)))
    assert [one.json().get("already") for one in sorted(both, key=lambda one: len(one.text))] == [None, "settled"]
    assert (await door.operate("POST", retry)).json()["status"] == "already_settled"
    assert (await dead("settle", batch, *paid, "--yes", ends=1))["already"] == "settled"  # other words are not kept
    assert (await dead("settle", batch, "--note", "by hand", "--yes"))["already"] == "settled"
    assert (await dead("replay", batch, "--yes"))["answers"][0]["status"] == "already_settled"
    assert (await dead("list"))["dead"] == []
    assert [one["verb"] for one in (await dead("history", batch))["actions"]] == ["settle"]
    assert (await books(sql))["settled_outside"] == -2 * gathering.KEPT
    sums = (await desk.town.running["gcsplit"].operate("GET", "/reconcile/ledger")).json()
    assert (sums["differing"], sums["unbalanced"]) == ([], [])
    assert await violations(world, sql) == []
    await desk.town.pay("three", channel_id=gathering.CHANNEL)
    await desk.town.pay("four", channel_id=gathering.CHANNEL)
    await desk.town.deliver()  # its client is held up no more
    sent = await sql.fetchval("SELECT batch_id FROM payout_batches WHERE status = 'sent'")
    assert (await door.operate("POST", f"/batches/{sent}/settle", body)).status == 409


async def test_a_service_of_the_release_before_is_named_and_the_rest_is_looked_at(
    world: World, desk: Desk, sql: Any
) -> None:
    batch, _ = await desk.batch()

    def older(path: str) -> None:
        if path.startswith("/refused"):
            raise CallFailed("answered 404", status=404, body=json.dumps({"error": "Not Found"}))

    desk.dead.here.before = older
    found = await desk.dead("list")
    assert (found["dead"], len(found["unlooked"])) == ([], 1)
    assert "gcsplit has no such door (404): its release is older" in found["unlooked"][0]
    assert "its release is older" in await desk.dead.text("replay", "--all", "--yes")

    def one_before(path: str) -> None:
        if path.endswith("/settle"):
            raise CallFailed("answered 404", status=404, body=json.dumps({"error": "Not Found"}))
        if path.endswith("/retry"):
            raise CallFailed(
                "answered 404", status=404, body=json.dumps({"error": "NOT_REFUSED", "reason": "no batch"})
            )

    desk.dead.here.before = one_before
    assert (await desk.dead("replay", batch, "--yes"))["answers"][0]["status"] == "already_replayed"
    refused = await desk.dead.text("settle", batch, "--note", "by hand", "--yes", ends=2)
    assert "gcbatchprocessor has no such door (404): its release is older" in refused


async def test_a_payment_that_waits_for_its_threshold_is_said_to(world: World, desk: Desk) -> None:
    unique_id = await desk.town.pay("alone", channel_id=gathering.CHANNEL)
    await desk.town.deliver()
    (answer,) = (await desk.town.resend(unique_id, ends=1))["answers"]
    assert "until what its client has gathered reaches the threshold" in answer["reason"]


async def test_a_buyer_who_was_not_let_in_is_asked_for_again_by_the_letter_once_and_given_up_as_before(
    world: World, desk: Desk, sql: Any
) -> None:
    world.outer.telegram_status = 403
    refused, dead = await desk.town.pay("refused"), desk.dead
    await desk.town.deliver()
    await sql.execute(  # its payment is dead as well: the buyer is not forgotten for that
        "INSERT INTO failed_transactions (unique_id, generation, stage, error_code, error_message, currency, amount, "
        "from_account, status, failed_at) VALUES ($1, 9, 'hostpay', 'X', '', 'eth', 1, 'exchange_clearing', "
        "'recovered', now())",
        refused,
    )
    await sql.execute("UPDATE split_payout_que SET status = 'completed'")
    (letter,) = (await dead("list"))["dead"]
    assert (letter["code"], letter["standing"], letter["hopeful"]) == ("TELEGRAM_REFUSED", "open", False)
    assert f"./sluice dead replay {letter['id']}" in await dead.text("show", letter["id"])
    (answer,) = (await desk.town.resend(refused, ends=1))["answers"]
    assert "./sluice dead letters" in answer["reason"]
    for status in ("replayed", "already_asked"):
        assert (await dead("replay", letter["id"], "--yes"))["answers"][0]["status"] == status
    assert (await dead("list"))["dead"] == []
    await desk.town.deliver()  # and is refused once more
    assert [one["id"] for one in (await dead("list"))["dead"]] == [letter["id"]]
    world.outer.telegram_status = 500
    assert (await dead("replay", letter["id"], "--yes"))["replayed"] == 1
    webhook = desk.town.running["gcwebhook"]
    world.clock.at += 86_400 + 10
    assert (await webhook.sweep())["given_up"] == 1
    world.outer.tasks.clear()
    world.outer.telegram_status = 200
    given_up = [one for one in (await dead("list", "--kind", "letter"))["dead"] if one["code"] == "ACCESS_NOT_GRANTED"]
    assert [one["hopeful"] for one in given_up] == [True]
    said = await asyncio.gather(*(webhook.operate("POST", f"/payments/{refused}/grant") for _ in range(2)))
    assert sorted(one.json()["status"] for one in said) == ["already_asked", "asked"]
    assert (await webhook.sweep())["given_up"] == 0
    await desk.town.deliver()
    assert await sql.fetchval("SELECT granted_at IS NOT NULL FROM channel_access") is True
    assert (await dead("replay", letter["id"], "--yes"))["answers"][0]["status"] == "already_granted"
    assert (await dead("list", "--kind", "letter"))["dead"] == []
    assert await sql.fetchval("SELECT count(*) FROM operator_actions WHERE after = 'access asked for'") == 3


async def test_what_is_too_small_alone_is_not_late_but_what_the_exchange_refuses_together_is(
    world: World, desk: Desk, sql: Any
) -> None:
    world.outer.smallest = Decimal("1")
    small = await desk.town.pay("small", channel_id=gathering.CHANNEL)
    await desk.town.deliver()
    world.clock.at += 6 * 86_400
    assert await desk.found() == []
    async with world.run("gcmicrobatchprocessor") as together:
        desk.refuses("pair_is_inactive")
        assert (await together.sweep("/convert-pending"))["status"] == "exchange_away"
        (finding,) = await desk.found()
        assert (finding.about, finding.stage) == (small, "convert")
        assert "EXCHANGE_PAIR_IS_INACTIVE" in finding.why
        assert "gcmicrobatchprocessor asks the exchange again every 15 minutes" in finding.why
        desk.well()
        world.outer.smallest = Decimal(0)
        assert (await together.sweep("/convert-pending"))["status"] == "converted"
    assert await desk.found() == []
