"""PayNow on a whole stack: three quick events of one user stay in order, under failure too, each credited once."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.payments.stack import Stack, http, until

pytestmark = pytest.mark.stack

TOPIC = "/v1/projects/sluice-local/topics/paynow-events"
#: In this order a wallet stands at 100, 1100 and 1600.
BASKET, BALANCES = ("points-100", "points-1000", "monthly"), [100, 1100, 1600]


@pytest.fixture
def stack(second: Stack) -> Stack:
    """A stack on which no other event and no letter is dead."""
    return second


def buy(stack: Stack, buyer: dict[str, Any], products: tuple[str, ...]) -> None:
    """Send one event after the other, each twice; every one is taken."""
    for product in products:
        wish = {"customer": buyer["customer"], "product": product, "copies": 2}
        events = http("POST", f"{stack.sandbox}/paynow/events", wish)[1]["events"]
        assert {copy[-1]["status"] for event in events for copy in event["answers"]} == {200}


def balances(stack: Stack, buyer: dict[str, Any]) -> list[int]:
    """The wallet after each credit, in the order in which the events were received."""
    rows = stack.sql(
        "SELECT balance::bigint AS balance FROM wallet_credits JOIN paynow_events USING (event_id) "
        "WHERE wallet_credits.user_id = $1 ORDER BY received_at",
        buyer["user"],
    )
    return [row["balance"] for row in rows]


def newcomer(stack: Stack) -> dict[str, Any]:
    """A buyer with 100 points to begin with."""
    found = stack.json("pay", "--flow", "paynow")
    assert (found["paid"], found["points"]) == (1, 100)
    return {"user": found["user"], "customer": f"customer-of-{found['user']}"}


def test_three_quick_events_of_a_user_stay_in_order_whatever_fails(stack: Stack) -> None:
    first, second = newcomer(stack), newcomer(stack)

    stack.sql("ALTER TABLE wallet_credits RENAME TO away")  # the worker fails: Pub/Sub delivers again
    buy(stack, first, BASKET)
    stack.sql("ALTER TABLE away RENAME TO wallet_credits")
    until(
        lambda: bool(stack.advance(30)) and len(balances(stack, first)) == 4, 150, lambda: str(balances(stack, first))
    )
    assert balances(stack, first) == [100, *(100 + balance for balance in BALANCES)]

    policy = http("GET", f"{stack.rest}{TOPIC}:getIamPolicy")[1]
    http("POST", f"{stack.rest}{TOPIC}:setIamPolicy", {"policy": {"bindings": []}})  # publishing fails
    buy(stack, second, BASKET)
    waiting = "SELECT 1 FROM outbox WHERE queue = 'paynow-events' AND sent_at IS NULL"
    assert len(stack.sql(waiting)) == 3
    http("POST", f"{stack.rest}{TOPIC}:setIamPolicy", {"policy": {"bindings": policy["bindings"]}})
    until(lambda: bool(stack.advance(61)) and not stack.sql(waiting), 150, lambda: "the sweeper publishes")
    until(lambda: len(balances(stack, second)) == 4, 150, lambda: str(balances(stack, second)))
    assert balances(stack, second) == [100, *(100 + balance for balance in BALANCES)]

    books = stack.sql(
        "SELECT (SELECT sum(points) FROM wallet_users) AS wallets, (SELECT sum(points) FROM wallet_users "
        "WHERE user_id = ANY($1)) AS theirs, "
        "(SELECT -balance FROM ledger_balances WHERE account = 'user_points') AS owed",
        [first["user"], second["user"]],
    )
    assert books[0]["wallets"] == books[0]["owed"]
    assert books[0]["theirs"] == 2 * 1700


def dead_letters(stack: Stack) -> list[dict[str, Any]]:
    """Pull what the dead-letter subscription holds, without acknowledging it."""
    path = "/v1/projects/sluice-local/subscriptions/paynow-events-dlq-sub:pull"
    answer = http("POST", f"{stack.rest}{path}", {"maxMessages": 10, "returnImmediately": True})[1]
    return [json.loads(base64.b64decode(one["message"]["data"])) for one in answer.get("receivedMessages", [])]


def test_what_cannot_be_handled_ends_in_the_dead_letters_and_is_replayed_by_one_command(stack: Stack) -> None:
    buyer = newcomer(stack)
    buy(stack, buyer, ("hat",))  # terminal: told by the worker
    stack.idle()
    (letter,) = dead_letters(stack)
    assert (letter["message"], letter["code"]) == ("DeadLetter", "UNKNOWN_PRODUCT")
    (dead,) = stack.json("dead", "events")["dead"]
    assert (dead["id"], dead["code"]) == (letter["unique_id"], "UNKNOWN_PRODUCT")

    stack.sql("ALTER TABLE wallet_credits RENAME TO away")  # transient: given up by Pub/Sub
    buy(stack, buyer, ("points-1000",))
    until(lambda: bool(stack.advance(60)) and len(dead_letters(stack)) == 1, 150, lambda: "five deliveries")
    stack.sql("ALTER TABLE away RENAME TO wallet_credits")
    for row in (
        "paynow_events SET queued_at = queued_at",
        "outbox SET sent_at = sent_at",
    ):  # two hours of sweeps are long
        stack.sql(f"UPDATE {row} - interval '3 hours'")
    given_up = "SELECT 1 FROM paynow_events WHERE status = 'failed'"
    until(lambda: bool(stack.advance(61)) and bool(stack.sql(given_up)), 60, lambda: "the sweeper notices")
    (failed,) = [one for one in stack.json("dead", "events")["dead"] if one["standing"] == "failed"]
    for _ in range(2):
        stack.json("dead", "replay", failed["id"], "--yes")
    until(lambda: balances(stack, buyer) == [100, 1100], 150, lambda: str(balances(stack, buyer)))
    assert [one["id"] for one in stack.json("dead", "events")["dead"]] == [dead["id"]]

    rubbish = {"messages": [{"data": base64.b64encode(b"rubbish").decode(), "attributes": {"a": "b"}}]}
    http("POST", f"{stack.rest}/v1/projects/sluice-local/topics/paynow-events-dlq:publish", rubbish)
    (stranger,) = [one["id"] for one in stack.json("dead", "list")["dead"] if one["kind"] == "letter"]
    assert stranger.startswith("message-")
    dropped = stack.json("dead", "drop", stranger, dead["id"], "--why", "a test", "--yes")
    assert [one["status"] for one in dropped["answers"]] == ["archived", "archived"]
    assert stack.json("dead", "list")["dead"] == []
    done = stack.json("dead", "history")["actions"]
    assert [one["verb"] for one in done[:3]] == ["archive", "archive", "replay"]
    assert done[0]["account"] == "sluice-operator@sluice-local.iam.gserviceaccount.com"
    stack.json("dead", "drop", dead["id"], "--undo", "--why", "a test", "--yes")
    assert [one["id"] for one in stack.json("dead", "list")["dead"]] == [dead["id"]]
    assert dead_letters(stack) == []  # acknowledged, but only after it was recorded
