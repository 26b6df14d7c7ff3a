"""The documents' failure scenarios on a whole stack and a moved clock: what is down costs time, and never a payment.

Each test moves the clock for many payments of all flows at once, puts the world right again, and ends with the judge's
verdict. Sources: seeds/001 section 8 ("resilience scenarios"), seeds/000 (GCHostPay's downtime), seeds/002 (ChangeNow's
downtime while accumulating), seeds/003 (ordering and poison).
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.payments.forge import Insider
from tests.payments.hops import ids
from tests.payments.stack import Stack, broken, http, until
from tests.payments.test_line import verdict

pytestmark = pytest.mark.stack

MINUTE, HOUR = 60, 3600
CHECKS, EXECUTIONS = "gchostpay-status-check-queue", "gchostpay-payment-execute-queue"
CONVERSIONS = "gcsplit2-queue"
#: The stack's channel that is paid by threshold, and what meets it in one payment.
GATHERED = {"channel_id": -1009000000000, "amount": "0.05"}
#: What a poisoned user's events fail by, though everybody else's are credited.
POISON = "ALTER TABLE wallet_credits ADD CONSTRAINT poison CHECK (user_id <> '{}') NOT VALID"


def test_an_exchange_that_is_down_for_two_hours_is_asked_once_a_minute_and_then_all_are_paid(stack: Stack) -> None:
    staged, single = ids("staged", 3), ids("single", 2)
    with broken(stack, target="changenow", method="by-id", kind="error", status=503):
        send(stack, staged)  # their orders are made, their status is not told
        until(lambda: waiting(stack, CHECKS) == 3, 30)
        with broken(stack, target="changenow", kind="drop"):
            send(stack, single)
            (gathered,) = (one["unique_id"] for one in stack.send(count=1, wait=True, **GATHERED))
            until(lambda: waiting(stack, CONVERSIONS) == 1, 30)
            before = attempts(stack, CHECKS)
            stack.advance(2 * HOUR)
            asked = (attempts(stack, CHECKS) - before) / len(staged)
            tried = stack.sql("SELECT conversion_attempts AS n FROM payout_accumulation WHERE unique_id = $1", gathered)
    assert 118 <= asked <= 123
    assert 118 <= tried[0]["n"] <= 123
    assert payouts(stack, [*staged, *single]) == 0

    stack.advance(HOUR + MINUTE)  # an unsplit payment is put anew at doubling intervals of up to an hour
    stack.paid([*staged, *single, batch_of(stack, gathered)])
    verdict(stack)


def test_a_node_that_comes_and_goes_and_a_payer_that_was_away_cost_time_only(stack: Stack) -> None:
    staged, short, long = ids("staged", 2), *([one] for one in ids("single", 2))
    with broken(stack, target="chain", kind="drop"):
        send(stack, staged)
        until(lambda: waiting(stack, EXECUTIONS) == 2, 30)
        for trouble in ({"kind": "error", "status": 502}, {"kind": "error", "code": -32005}, {"kind": "drop"}):
            stack.advance(MINUTE)
            stack.heal()
            stack.faults(target="chain", **trouble)  # it was there for a moment, and is away in another way
    with away(stack, "gchostpay"):
        send(stack, short)
        stack.advance(4)
    stack.advance(10)  # 5 s after the first attempt comes the second
    stack.paid(short)

    with away(stack, "gchostpay"):
        send(stack, long)
        stack.advance(61)  # the token's whole life, and the queue's
        assert payouts(stack, long) == 0
    stack.advance(10 * MINUTE)  # gcsplit sends it anew by its schedule, nobody asks
    stack.paid([*staged, *short, *long])
    assert sent_anew(stack, *long)
    assert not sent_anew(stack, *short)
    verdict(stack)


def test_twelve_hours_without_partners_cost_no_payment_and_what_24_hours_cost_is_recovered_by_one_command(
    stack: Stack,
) -> None:
    checked, executed, lost = ([one] for one in ids("staged", 3))
    with broken(stack, target="chain", kind="drop"), unscheduled(stack):  # the queues alone carry them
        send(stack, executed)
        until(lambda: waiting(stack, EXECUTIONS) == 1, 30)
        stack.faults(target="changenow", method="by-id", kind="error", status=500)
        send(stack, [*checked, *lost])
        until(lambda: waiting(stack, CHECKS) == 2, 30)
        before = attempts(stack, CHECKS), attempts(stack, EXECUTIONS)
        stack.advance(12 * HOUR)
        assert 715 <= (attempts(stack, CHECKS) - before[0]) / 2 <= 725
        assert 715 <= attempts(stack, EXECUTIONS) - before[1] <= 725

        (order,) = stack.sql("SELECT cn_api_id FROM split_payout_que WHERE unique_id = ANY($1)", lost)
        stack.faults(target="changenow", method=order["cn_api_id"], kind="error", status=503)
        stack.heal(but=order["cn_api_id"])  # of this one order the exchange tells nothing for half a day more
        stack.advance(2 * MINUTE)
        stack.paid([*checked, *executed])
        stack.advance(12 * HOUR)
        assert waiting(stack, CHECKS) == 0  # Cloud Tasks has dropped it, and told nobody
    stack.advance(5 * MINUTE)
    listed = {row["id"]: row["code"] for row in stack.json("dead", "list")["dead"]}
    assert {listed.get(one) for one in lost} == {"WINDOW_PASSED"}
    for one in lost:
        entries = stack.json("logs", "--payment", one, "--severity", "ERROR")
        assert any(entry["jsonPayload"].get("event") == "payment_dead" for entry in entries)
    assert stack.json("dead", "replay", *lost, "--yes")["replayed"] == 1
    stack.advance(MINUTE)
    stack.paid(lost)
    verdict(stack)


def test_a_users_poison_stops_nobody_elses_events_and_is_replayed_by_one_command(stack: Stack) -> None:
    poisoned, other = buyer(stack), buyer(stack)
    stack.sql(POISON.format(poisoned["user"]))
    try:
        buy(stack, poisoned, "points-100")
        for product in ("points-100", "hat", "points-1000", "monthly"):  # a hat is poison of another kind: terminal
            buy(stack, other, product)
        until(lambda: balance(stack, other) == 1600, 60, lambda: f"{balance(stack, other)} points")
        until(lambda: bool(stack.advance(MINUTE)) and dead_lettered(stack, poisoned), 60, lambda: "five deliveries")
        with unscheduled(stack):
            stack.advance(2 * HOUR)  # longer than all deliveries may take
        stack.advance(2 * MINUTE)
    finally:
        stack.sql("ALTER TABLE wallet_credits DROP CONSTRAINT poison")
    assert balance(stack, poisoned) == 0
    listed = stack.json("dead", "events")["dead"]
    mine = [one for one in listed if one["record"]["customer_id"] == poisoned["customer"]]
    assert [one["standing"] for one in mine] == ["failed"]
    for _ in range(2):
        stack.json("dead", "replay", mine[0]["id"], "--yes")
    until(lambda: balance(stack, poisoned) == 100, 60, lambda: f"{balance(stack, poisoned)} points")
    verdict(stack)


# Arranging


def send(stack: Stack, payments: list[str]) -> None:
    """Have the processor tell of payments, each three times; all are taken."""
    sent = stack.send(amount="0.01", count=len(payments), unique_ids=payments, wait=True, duplicate_every=1)
    assert all(one["acknowledged"] and len(one["copies"]) == 3 for one in sent)


@contextmanager
def away(stack: Stack, service: str) -> Iterator[None]:
    """Nobody may call a service: its queues hear 403 of every attempt."""
    status = stack.admin("GET", "status")
    url = f"{stack.rest}/v2/projects/{status['project']}/locations/{status['location']}/services/{service}"
    policy = http("GET", f"{url}:getIamPolicy")[1]
    assert http("POST", f"{url}:setIamPolicy", {"policy": {"bindings": []}})[0] == 200
    try:
        yield
    finally:
        kept = {"policy": {"bindings": policy["bindings"]}}
        assert http("POST", f"{url}:setIamPolicy", kept)[0] == 200


@contextmanager
def unscheduled(stack: Stack) -> Iterator[None]:
    """No sweeper is called meanwhile."""
    status = stack.admin("GET", "status")
    parent = f"{stack.rest}/v1/projects/{status['project']}/locations/{status['location']}/jobs"
    names = [job["name"] for job in http("GET", f"{parent}?pageSize=500")[1]["jobs"]]
    for verb in ("pause", "resume"):
        for name in names:
            assert http("POST", f"{stack.rest}/v1/{name}:{verb}", {})[0] == 200
        if verb == "pause":
            yield


def buyer(stack: Stack) -> dict[str, str]:
    """A user of PayNow's whom we know, with an empty wallet."""
    insider, name = Insider(stack), f"scenario-{secrets.token_hex(4)}"
    url, headers = insider.urls["paynowwebhook"], insider.operator("paynowwebhook")
    insider.close()
    customer = f"customer-of-{name}"
    assert http("POST", f"{url}/users/{name}", {"customer_id": customer}, headers=headers)[0] == 200
    return {"user": name, "customer": customer}


def buy(stack: Stack, who: dict[str, str], product: str) -> None:
    """Send one event, twice; both are taken."""
    wish = {"customer": who["customer"], "product": product, "copies": 2}
    events = http("POST", f"{stack.sandbox}/paynow/events", wish)[1]["events"]
    assert {copy[-1]["status"] for event in events for copy in event["answers"]} == {200}


# Looking


def waiting(stack: Stack, queue: str) -> int:
    """Tasks in a queue that have been tried and not acknowledged."""
    status = stack.admin("GET", "status")
    path = f"/v2/projects/{status['project']}/locations/{status['location']}/queues/{queue}/tasks"
    tasks = http("GET", f"{stack.rest}{path}?responseView=BASIC")[1].get("tasks", [])
    return sum(int(task.get("responseCount", 0)) > 0 for task in tasks)


def attempts(stack: Stack, queue: str) -> int:
    """Attempts of a queue so far."""
    return int(stack.admin("GET", "status")["queues"][queue]["attempts"])


def payouts(stack: Stack, payments: list[str]) -> int:
    """How many of these payments have a payout."""
    return len(stack.sql("SELECT 1 FROM split_payout_hostpay WHERE unique_id = ANY($1)", payments))


def sent_anew(stack: Stack, payment: str) -> bool:
    """Whether gcsplit says that it sent the payment anew, with a fresh token."""
    entries = stack.json("logs", "--payment", payment, "--severity", "WARNING")
    return any(entry["jsonPayload"].get("event") == "payment_sent_anew" for entry in entries)


def batch_of(stack: Stack, payment: str) -> str:
    """The batch that a gathered payment is in."""
    rows = stack.sql("SELECT batch_id FROM payout_accumulation WHERE unique_id = $1", payment)
    assert rows[0]["batch_id"], "it is in no batch"
    return str(rows[0]["batch_id"])


def balance(stack: Stack, who: dict[str, str]) -> int:
    """A user's points."""
    return int(
        stack.sql("SELECT points::bigint AS points FROM wallet_users WHERE user_id = $1", who["user"])[0]["points"]
    )


def dead_lettered(stack: Stack, who: dict[str, str]) -> bool:
    """Whether Pub/Sub has given up an event of this user's: nothing of it is left to be delivered."""
    path = "/v1/projects/sluice-local/subscriptions/paynow-events-dlq-sub:pull"
    answer = http("POST", f"{stack.rest}{path}", {"maxMessages": 100, "returnImmediately": True})[1]
    texts = [base64.b64decode(one["message"]["data"]).decode() for one in answer.get("receivedMessages", [])]
    return any(who["customer"] in text for text in texts)
