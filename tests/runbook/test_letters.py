"""Incidents of events and messages: PayNow's that failed or died, dead letters, and a service that fails of itself."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import pytest

from tests.payments.stack import Stack, broken, http, until
from tests.runbook.incident import Do, incident
from tests.runbook.staging import alerting, asked, held, put, sent, tasks, waits, well

pytestmark = pytest.mark.stack

SPLITS = "split-payment-queue"


@incident("An event of PayNow failed or died", "A service fails")
def test_a_dead_event_is_replayed_once_its_cause_is_mended_or_dropped(stack: Stack, do: Do) -> None:
    buyer = newcomer(stack)
    stack.sql("ALTER TABLE wallet_credits RENAME TO away")
    try:
        buy(stack, buyer, "points-1000")
        until(lambda: bool(stack.advance(60)) and in_topic(stack) == 1, 60, lambda: "five deliveries")
    finally:
        stack.sql("ALTER TABLE away RENAME TO wallet_credits")
    until(lambda: "paynow-dead-letters" in alerting() or not stack.advance(60), 60, lambda: f"{alerting()}")
    error = do("./sluice logs --service SERVICE --severity ERROR", {"SERVICE": "paynowworker"})
    assert "UndefinedTable" in error
    assert "frames" in error
    assert "paynowworker" in do("./sluice status")

    for row in ("paynow_events SET queued_at = queued_at", "outbox SET sent_at = sent_at"):  # two hours are long
        stack.sql(f"UPDATE {row} - interval '3 hours'")
    buy(stack, buyer, "hat")  # nobody knows what it is worth
    until(lambda: bool(stack.advance(61)) and len(mine(buyer)) == 2, 60, lambda: f"{mine(buyer)}")
    events = {one["code"]: one["id"] for one in mine(buyer)}
    failed, unknown = (next(event for code, event in events.items() if (code == "UNKNOWN_PRODUCT") is known)
                       for known in (False, True))  # fmt: skip
    listed = do("./sluice dead events")
    assert failed in listed
    assert re.search(rf"{unknown}.*UNKNOWN_PRODUCT", listed)
    for _ in range(2):
        do("./sluice dead replay EVENT", {"EVENT": failed})
    do("./sluice dead drop EVENT --why TEXT", {"EVENT": unknown, "TEXT": "'paid back'"})
    until(lambda: points(stack, buyer) == 1100, 30, lambda: f"{points(stack, buyer)} points")
    assert mine(buyer) == []
    assert in_topic(stack) == 0
    stack.advance(600)
    assert "paynow-dead-letters" not in alerting()
    well(stack)


@incident("A message could not be handled (dead letters)")
def test_a_forged_message_is_a_letter_that_is_read_and_put_aside(stack: Stack, do: Do) -> None:
    with held(stack, SPLITS):
        (payment,) = sent(stack, "single")
        waits(stack, SPLITS, 1)
        put(stack, tasks(stack, SPLITS)[0], body=lambda body: forged(body, amount={"currency": "eth", "units": "1"}))
    stack.paid([payment])
    assert "dead-letters" in alerting()
    (letter,) = re.findall(rf"(letter-\d+) .*NOT_AS_RECORDED.*{payment}", do("./sluice dead letters"))
    shown = do("./sluice dead show letter-N", {"letter-N": letter})
    assert "the payment was recorded otherwise" in shown
    assert '"units": "1"' in shown
    assert "NOT_AS_RECORDED" in do("./sluice logs --payment ID", {"ID": payment})
    do("./sluice dead drop letter-N --why TEXT", {"letter-N": letter, "TEXT": "'whoever did it is found'"})
    assert letter not in do("./sluice dead letters")
    assert letter in do("./sluice dead list --kind letter --status all")
    assert payment not in do("./sluice dead list")
    well(stack)


@incident("A message could not be handled (dead letters)")
def test_a_buyer_whom_telegram_refused_is_let_in_once_the_bot_may(stack: Stack, do: Do) -> None:
    with broken(stack, target="telegram", kind="error", status=403):
        (payment,) = sent(stack, "single")
        stack.paid([payment])
        until(lambda: payment in str(asked("dead", "letters")), 30, lambda: "no letter tells of it")
    assert "dead-letters" in alerting()
    (letter,) = re.findall(rf"(letter-\d+) .*TELEGRAM_REFUSED.*{payment}", do("./sluice dead letters"))
    for _ in range(2):
        do("./sluice dead replay letter-N", {"letter-N": letter})
    granted = "SELECT 1 FROM channel_access WHERE unique_id = $1 AND granted_at IS NOT NULL"
    until(lambda: bool(stack.sql(granted, payment)), 30, lambda: "he was not let in")
    assert letter not in do("./sluice dead letters")
    well(stack)


def forged(body: str, **fields: Any) -> str:
    """A task's body that says otherwise."""
    message = json.loads(base64.b64decode(body)) | fields
    return base64.b64encode(json.dumps(message).encode()).decode()


# PayNow


def newcomer(stack: Stack) -> str:
    """A customer with 100 points."""
    found = asked("pay", "--flow", "paynow")
    assert found["points"] == 100, found
    return f"customer-of-{found['user']}"


def buy(stack: Stack, customer: str, product: str) -> None:
    """Send one event of the vendor's."""
    assert http("POST", f"{stack.sandbox}/paynow/events", {"customer": customer, "product": product})[0] == 200


def mine(customer: str) -> list[dict[str, Any]]:
    """The dead events of a customer."""
    return [one for one in asked("dead", "events")["dead"] if one["record"]["customer_id"] == customer]


def in_topic(stack: Stack) -> int:
    """How many messages Pub/Sub's dead-letter subscription holds."""
    path = "/v1/projects/sluice-local/subscriptions/paynow-events-dlq-sub:pull"
    answer = http("POST", f"{stack.rest}{path}", {"maxMessages": 10, "returnImmediately": True})[1]
    held = answer.get("receivedMessages", [])
    ids = [one["ackId"] for one in held]
    if ids:
        back = {"ackIds": ids, "ackDeadlineSeconds": 0}
        http("POST", f"{stack.rest}{path.replace(':pull', ':modifyAckDeadline')}", back)
    return len(held)


def points(stack: Stack, customer: str) -> int:
    """What is in a customer's wallet."""
    user = customer.removeprefix("customer-of-")
    rows = stack.sql("SELECT points::bigint AS points FROM wallet_users WHERE user_id = $1", user)
    return int(rows[0]["points"])
