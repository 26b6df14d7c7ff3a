"""Permissions that spread late: a stack whose queues rest until the probe goes well loses nothing, a hasty one does.

The hop from gcsplit to gchostpay is given its bindings anew with a delay, as at a first deployment on Google Cloud.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator

import pytest

from tests.payments.bindings import Binding, entries, every, next_minute, put_back, remove
from tests.payments.hops import WAYS, id_of
from tests.payments.stack import Stack

pytestmark = pytest.mark.stack

QUEUE = "hostpay-execution-queue"
#: Seconds until the bindings are in force; Google says two minutes, sometimes seven or more.
DELAY = 240
#: gcsplit looks every five minutes for what was not signed in its window.
FALLBACK = 300


def of_the_hop(stack: Stack) -> list[Binding]:
    """What the sender and the queue's account need."""
    found = [one for one in every(stack) if one.name == QUEUE and one.kind == "queues"]
    found += [
        one for one in every(stack) if one.name.startswith("hostpay-execution-invoker@") and one.account == "gcsplit"
    ]
    found += [one for one in every(stack) if one.account == "hostpay-execution-invoker" and one.kind == "services"]
    assert len(found) == 3
    return found


@contextlib.contextmanager
def spreading(stack: Stack) -> Iterator[None]:
    """The hop's bindings were made just now, and are not in force yet."""
    hop = of_the_hop(stack)
    for binding in hop:
        remove(stack, binding)
    stack.sluice("iam", "delay", f"{DELAY}s")
    try:
        for binding in hop:
            put_back(stack, binding)
        yield
    finally:
        stack.sluice("iam", "delay", "0s")
        stack.advance(DELAY + 1)
        stack.sluice("queues", "resume", "--all", "--yes")


def sent_anew(stack: Stack, since: str, payment: str) -> int:
    return len(entries(stack, since, f'jsonPayload.event="payment_sent_anew" AND "{payment}"'))


def test_without_the_pause_the_token_window_is_lost(stack: Stack) -> None:
    since = next_minute(stack)
    with spreading(stack):
        (payment,) = stack.send(count=1, amount="0.01", unique_ids=[id_of(WAYS[0])])
        stack.advance(DELAY + FALLBACK)
        assert sent_anew(stack, since, payment["unique_id"]) > 0
    stack.paid([payment["unique_id"]])


def test_queues_that_rest_until_the_probe_goes_well_lose_no_window(stack: Stack) -> None:
    since = next_minute(stack)
    stack.sluice("queues", "pause", "--all", "--yes")
    with spreading(stack):
        (payment,) = stack.send(count=1, amount="0.01", unique_ids=[id_of(WAYS[0])])
        refused = stack.sluice("queues", "resume", "--all", "--probe", "--timeout", "0s", "--json", check=False)
        assert refused.returncode == 1
        told = json.loads(refused.stdout)["error"]
        assert [one["status"] for one in told["refused"]] == [424], "gcsplit was reached, and may not send on"
        assert f"gcloud tasks queues add-iam-policy-binding {QUEUE}" in told["what"]
        stack.advance(DELAY)
        started = stack.json("queues", "resume", "--all", "--probe")
        assert QUEUE in started["resumed"]
        stack.advance(FALLBACK)
        stack.paid([payment["unique_id"]])
        assert sent_anew(stack, since, payment["unique_id"]) == 0
