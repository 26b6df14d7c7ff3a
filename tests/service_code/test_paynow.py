"""PayNow's events: signed and timely, each credited once, refused for ever or tried again, the same both ways."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.service_code.outer import Pushed
from tests.service_code.paynow import (
    SECRET,
    WEBHOOK,
    balanced,
    notify,
    order,
    points,
    register,
    signed,
    states,
    subscription,
    waiting,
)
from tests.service_code.world import World, routes

#: The share of the new way by which every user takes one way.
PERCENT = {"sync": 0, "queue": 100}
DOOR = "/api/tasks/paynow/process"


async def test_an_order_becomes_points_in_wallet_and_ledger(world: World, sql: Any) -> None:
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        await register(webhook)
        answer = await notify(webhook, order())
        assert (answer.status, answer.json()) == (200, {"status": "queued", "event_id": "event-1"})
        (event,) = waiting(world)
        assert event.ordering_key == "user:u1"
        assert (await worker.push(event)).json() == {"status": "credited"}
        shown = (await webhook.operate("GET", "/events/event-1")).json()
    assert (shown["status"], shown["credits"][0]["balance"]) == ("processed", "100")
    assert [(line["account"], line["amount"]) for line in shown["ledger"]] == [
        ("points_issued", "100"),
        ("user_points", "-100"),
    ]
    assert await points(sql) == 100
    await balanced(sql)


async def test_no_address_of_a_person_is_published_or_kept(world: World, sql: Any) -> None:
    async with world.run("paynowwebhook") as webhook:
        await notify(webhook, order())
        await notify(webhook, order(2, lines="none"))
    (event,) = waiting(world)
    rows = [*await sql.fetch("SELECT * FROM paynow_events"), *await sql.fetch("SELECT * FROM dead_letters")]
    text = f"{event.data!r} {[dict(row) for row in rows]}"
    assert "ann" not in text.lower()
    assert len(rows) == 2


@pytest.mark.parametrize("mode", ["sync", "queue"])
async def test_a_repeat_of_a_recorded_event_is_already_processed_however_late(
    world: World, sql: Any, mode: str
) -> None:
    async with world.run("paynowwebhook", ROUTES=routes(paynow=PERCENT[mode])) as webhook:
        await register(webhook)
        copies = await asyncio.gather(*(notify(webhook, order()) for _ in range(5)))
        then = world.clock.at
        world.clock.at += 3600
        late = await notify(webhook, order(), at=then)
    first = "queued" if mode == "queue" else "processed"
    assert sorted(copy.json()["status"] for copy in copies) == sorted([first, *["already_processed"] * 4])
    assert (late.status, late.json()["status"]) == (200, "already_processed")
    assert len(waiting(world)) == (1 if mode == "queue" else 0)
    await balanced(sql)


@pytest.mark.parametrize(
    ("seconds", "status"), [(0, 200), (-299, 200), (299, 200), (-301, 401), (301, 401), (-86400, 401)]
)
async def test_the_replay_window_is_five_minutes_either_way(world: World, seconds: int, status: int) -> None:
    async with world.run("paynowwebhook") as webhook:
        answer = await notify(webhook, order(), at=world.clock.at + seconds)
    assert answer.status == status
    assert bool(waiting(world)) == (status == 200)


@pytest.mark.parametrize("harm", ["body", "time", "secret", "hex", "no signature", "no time"])
async def test_what_paynow_did_not_sign_is_refused_and_leaves_nothing(world: World, sql: Any, harm: str) -> None:
    body = json.dumps(order()).encode()
    headers = signed(world, body, secret="another" if harm == "secret" else SECRET)
    if harm == "body":
        body = body.replace(b"order-1", b"order-2")
    elif harm == "time":
        headers["paynow-timestamp"] = str(int(headers["paynow-timestamp"]) + 1)
    elif harm == "hex":
        headers["paynow-signature"] = "ab" * 32
    elif harm == "no signature":
        del headers["paynow-signature"]
    elif harm == "no time":
        del headers["paynow-timestamp"]
    async with world.run("paynowwebhook") as webhook:
        answer = await webhook.post(WEBHOOK, body, **headers)
    assert answer.status == 401
    for table in ("paynow_events", "outbox", "dead_letters"):
        assert await sql.fetchval(f"SELECT count(*) FROM {table}") == 0


@pytest.mark.parametrize(
    ("notice", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b"{}", 422),
        (json.dumps(order(lines=[])).encode(), 422),
        (json.dumps(order(lines=[{"product_id": "points-100", "quantity": 0}])).encode(), 422),
        (json.dumps(order(lines=[{"product_id": "points-100", "quantity": 1.5}])).encode(), 422),
        (json.dumps(order(customer=None)).encode(), 422),
        (json.dumps(order(id="")).encode(), 422),
    ],
)
async def test_a_signed_notice_that_cannot_be_read_is_kept_as_a_dead_letter(
    world: World, sql: Any, notice: bytes, status: int
) -> None:
    async with world.run("paynowwebhook") as webhook:
        for _ in range(2):
            answer = await webhook.post(WEBHOOK, notice, **signed(world, notice))
            assert answer.status == status
    assert await sql.fetchval("SELECT count(*) FROM dead_letters WHERE service = 'paynowwebhook'") == 1


async def test_events_that_credit_nothing_are_acknowledged(world: World, sql: Any) -> None:
    async with world.run("paynowwebhook") as webhook:
        answer = await notify(webhook, {"event_type": "ON_REFUND", "event_id": "e", "body": {}})
    assert (answer.status, answer.json()["status"]) == (200, "ignored")
    assert await states(sql) == {}


async def test_a_subscriptions_period_is_credited_once_whichever_events_tell_of_it(world: World, sql: Any) -> None:
    first = order(1, lines=[{"product_id": "monthly", "quantity": 1, "subscription_id": "sub-1"}])
    notices = [
        first,
        subscription(2, "ACTIVATED", "2027-01-01"),
        subscription(3, "RENEWED", "2027-02-01"),
        subscription(4, "RENEWED", "2027-02-01"),
    ]
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        await register(webhook)
        for notice in notices:
            await notify(webhook, notice)
        said = [(await worker.push(event)).json()["status"] for event in waiting(world)]
    assert said == ["nothing_to_credit", "credited", "credited", "credited_before"]
    assert await points(sql) == 1000
    await balanced(sql)


@pytest.mark.parametrize(
    ("harm", "code"),
    [("product", "UNKNOWN_PRODUCT"), ("user", "USER_NOT_FOUND"), ("customer", "USER_NOT_FOUND")],
)
@pytest.mark.parametrize("mode", ["sync", "queue"])
async def test_a_terminal_error_is_recorded_published_and_acknowledged(
    world: World, sql: Any, mode: str, harm: str, code: str
) -> None:
    notice = order(product="hat" if harm == "product" else "points-100")
    if harm == "user":
        notice["body"]["customer"]["metadata"] = {"uid": "nobody"}
    shares = routes(paynow=PERCENT[mode])
    async with world.run("paynowwebhook", ROUTES=shares) as webhook, world.run("paynowworker") as worker:
        if harm != "customer":
            await register(webhook)
        await notify(webhook, notice)
        for event in waiting(world) * 2:
            answer = await worker.push(event)
            assert answer.status == 200
        (dead,) = (await webhook.operate("GET", "/dead")).json()["dead"]
    assert (dead["event_id"], dead["status"], dead["code"]) == ("event-1", "dead", code)
    named = {"product": "does not name hat", "user": "no user has the id nobody", "customer": "the customer c1"}
    assert dead["why"].endswith(named[harm])
    letters = [letter.json() for letter in waiting(world, "paynow-events-dlq")]
    assert [(letter["unique_id"], letter["code"]) for letter in letters] == (
        [("event-1", code)] if mode == "queue" else []
    )
    await balanced(sql)


async def test_a_dead_event_is_replayed_once_when_its_reason_is_gone(world: World, sql: Any) -> None:
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        await notify(webhook, order())
        await worker.push(waiting(world)[0])
        assert await states(sql) == {"event-1": "dead"}

        async def seen() -> tuple[bool, str | None]:
            event = (await webhook.operate("GET", "/events/event-1")).json()
            return event["retryable"], event["replay"]["why"]

        again = "it is refused again until the reason is gone: USER_NOT_FOUND, no user has the customer c1"
        assert await seen() == (False, again)
        await register(webhook)
        assert await seen() == (True, None)
        said = [(await webhook.operate("POST", "/dead/event-1/replay")).json()["status"] for _ in range(2)]
        assert said == ["replayed", "already_queued"]
        (event,) = waiting(world)
        for _ in range(2):
            assert (await worker.push(event)).status == 200
        assert (await webhook.operate("POST", "/dead/event-1/replay")).json()["status"] == "already_processed"
        assert (await webhook.operate("POST", "/dead/event-2/replay")).status == 404
    assert await points(sql) == 100
    await balanced(sql)


async def test_a_transient_error_is_refused_and_credits_nothing_until_it_has_passed(world: World, sql: Any) -> None:
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        await register(webhook)
        await notify(webhook, order())
        (event,) = waiting(world)
        await sql.execute("ALTER TABLE wallet_credits RENAME TO away")
        assert [(await worker.push(event, attempt)).status for attempt in (1, 2)] == [500, 500]
        assert (await states(sql), await points(sql)) == ({"event-1": "queued"}, 0)
        await sql.execute("ALTER TABLE away RENAME TO wallet_credits")
        assert (await worker.push(event, 3)).status == 200
    assert await points(sql) == 100
    await balanced(sql)


async def test_an_event_that_pubsub_gave_up_is_failed_and_a_late_delivery_still_credits_it(
    world: World, sql: Any
) -> None:
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        await register(webhook)
        await notify(webhook, order())
        world.clock.at += 7199
        assert (await webhook.sweep())["failed"] == 0
        world.clock.at += 2
        assert (await webhook.sweep())["failed"] == 1
        assert await states(sql) == {"event-1": "failed"}
        (dead,) = (await webhook.operate("GET", "/dead")).json()["dead"]
        assert dead["code"] == "DELIVERIES_USED_UP"
        assert (await worker.push(waiting(world)[0])).json() == {"status": "credited"}
    assert (await states(sql), await points(sql)) == ({"event-1": "processed"}, 100)


async def test_sync_and_queue_leave_the_same_rows(world: World, sql: Any) -> None:
    """But for the mode; the users differ, so that both stand in one database."""

    def noticed(user: str, first: int) -> list[dict[str, Any]]:
        notices = [order(first), order(first + 1, product="points-1000"), order(first + 2, product="hat")]
        for notice in notices:
            notice["body"]["customer"] = {"id": f"c-{user}"}
        return notices

    async def rows(user: str) -> list[tuple[Any, ...]]:
        found = await sql.fetch(
            """
            SELECT e.kind, e.status, e.code, e.why, e.attempts, c.points, c.balance, c.credited_at, p.kind AS posting
            FROM paynow_events e LEFT JOIN wallet_credits c USING (event_id)
            LEFT JOIN ledger_postings p ON p.unique_id = e.event_id
            WHERE e.customer_id = $1 ORDER BY e.event_id
            """,
            f"c-{user}",
        )
        return [tuple(row) for row in found]

    async with world.run("paynowworker") as worker:
        for user, mode, first in (("a", "sync", 1), ("b", "queue", 11)):
            async with world.run("paynowwebhook", ROUTES=routes(paynow=PERCENT[mode])) as webhook:
                await register(webhook, user, f"c-{user}")
                for notice in noticed(user, first):
                    assert (await notify(webhook, notice)).status == 200
                for event in waiting(world):
                    await worker.push(event)
    assert await rows("a") == await rows("b")
    assert [row[1] for row in await rows("a")] == ["processed", "processed", "dead"]


async def test_going_back_to_sync_lets_no_event_overtake_a_queued_one(world: World, sql: Any) -> None:
    async with world.run("paynowwebhook") as webhook:
        await register(webhook)
        await notify(webhook, order(1))
    async with world.run("paynowwebhook", ROUTES=routes(paynow=0)) as webhook, world.run("paynowworker") as worker:
        assert (await notify(webhook, order(2))).json()["status"] == "queued"
        for event in waiting(world):
            await worker.push(event)
        assert (await notify(webhook, order(3))).json()["status"] == "processed"
    assert await points(sql) == 300


async def test_the_door_of_pushes_takes_the_topics_account_alone(world: World) -> None:
    async with world.run("paynowwebhook") as webhook, world.run("paynowworker") as worker:
        await register(webhook)
        await notify(webhook, order())
        (event,) = waiting(world)
        body = json.dumps(event.envelope()).encode()
        assert (await worker.post(DOOR, body)).status == 401
        other = world.token("paynowworker", "operator@p.iam.gserviceaccount.com")
        assert (await worker.post(DOOR, body, Authorization=f"Bearer {other}")).status == 403
        elsewhere = world.token("paynowworker", "invoker@p.iam.gserviceaccount.com", audience="https://elsewhere")
        assert (await worker.post(DOOR, body, Authorization=f"Bearer {elsewhere}")).status == 401


@pytest.mark.parametrize("data", [b"not json", b"{}", b'{"message":"Other","version":1}'])
async def test_a_push_that_is_no_event_is_a_dead_letter_once(world: World, sql: Any, data: bytes) -> None:
    message = Pushed(topic="paynow-events", data=data, ordering_key="", attributes={}, message_id="1")
    async with world.run("paynowworker") as worker:
        for attempt in (1, 2):
            assert (await worker.push(message, attempt)).json()["status"] == "dead"
    assert await sql.fetchval("SELECT count(*) FROM dead_letters") == 1
    assert len(waiting(world, "paynow-events-dlq")) == 1


async def test_an_envelope_that_is_none_is_a_dead_letter(world: World, sql: Any) -> None:
    token = world.token("paynowworker", "invoker@p.iam.gserviceaccount.com")
    async with world.run("paynowworker") as worker:
        answer = await worker.post(DOOR, b'{"message": {"data": "%%"}}', Authorization=f"Bearer {token}")
    assert answer.json()["code"] == "NOT_AN_ENVELOPE"


async def test_the_same_event_delivered_to_many_at_once_is_credited_once(world: World, sql: Any) -> None:
    async with (
        world.run("paynowwebhook") as webhook,
        world.run("paynowworker") as one,
        world.run("paynowworker") as two,
    ):
        await register(webhook)
        await notify(webhook, order())
        (event,) = waiting(world)
        answers = await asyncio.gather(*(worker.push(event) for worker in (one, two) * 5))
    assert sorted(answer.json()["status"] for answer in answers) == [*["already_processed"] * 9, "credited"]
    assert await points(sql) == 100
    await balanced(sql)
