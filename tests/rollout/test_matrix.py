"""The rollback matrix of docs/runbook.md ("Rolling back"): each row's symptom is caused, and what the row says happens.

Rows that roll back do so by the gates or by the command; rows that do not hold the rollout, and payments go on.
Source: seeds/000 section 15 (rollback decision matrix), DECISIONS 16 and 18. What a failing revision does (row two) is
test_rollout's too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench._rollout_load import settle
from bench._rollout_revisions import Bad
from bench._rollout_trial import Play, bad_rollout, burst, playing, share
from tests.payments.hops import ids
from tests.payments.stack import Stack, until
from tests.payments.test_line import verdict

pytestmark = pytest.mark.stack

MINUTE = 60
PAYMENTS, RATE = 48, 10.0
EXECUTIONS = "hostpay-execution-queue"


def test_where_tasks_are_not_dispatched_one_command_has_payments_go_without_the_queue(stack: Stack) -> None:
    queue = "split-payment-queue"
    stack.sluice("queues", "pause", queue, "--yes")
    waits, direct = ids("single", 1), ids("single", 2)
    stack.send(amount="0.01", count=1, unique_ids=waits, wait=True)
    until(lambda: depth(stack, queue) == 1, 20, lambda: "no task waits")
    done = stack.json("rollback", "split-hop", "--why", "nothing is dispatched", "--yes")
    assert done["phase"] == "rolled_back"
    stack.advance(6)  # services read the record anew after five seconds
    stack.send(amount="0.01", count=2, unique_ids=direct, wait=True)
    stack.paid(direct)
    assert depth(stack, queue) == 1
    stack.sluice("queues", "resume", queue, "--yes")
    stack.paid(waits)
    verdict(stack)


@pytest.mark.parametrize(
    ("bad", "gate"),
    [(Bad(kind="raises", share=0.5), "requests"), (Bad(kind="leaks_tokens"), "tokens")],
    ids=["more-than-10-percent-fail", "more-than-5-percent-of-tokens-expire"],
)
def test_a_release_that_breaks_a_limit_is_rolled_back_by_itself(stack: Stack, bad: Bad, gate: str) -> None:
    trial = bad_rollout(stack, bad, 50, payments=PAYMENTS, rate=RATE, say=lambda _line: None, moves=15)
    assert trial.wrong == []
    assert gate in trial.why
    audit = stack.json("logs", "--severity", "WARNING", "--filter", 'jsonPayload.event="rolled_back"')
    assert audit[-1]["jsonPayload"]["subject"] == bad.service


def test_a_deep_queue_a_slow_node_and_a_single_failure_hold_a_release_and_roll_nothing_back(stack: Stack) -> None:
    with tried(stack) as play:
        with refused(stack):  # the exchange refuses one payment: it is dead, and one of many
            burst(play, 1)
        burst(play, 12)
        assert held(play) == 50

        stack.sluice("queues", "pause", EXECUTIONS, "--yes")
        burst(play, 12)
        until(lambda: depth(stack, EXECUTIONS) >= 5, 20, lambda: f"{depth(stack, EXECUTIONS)} wait")
        assert held(play) == 50
        assert "queue_depth" in unsure(play)
        stack.sluice("queues", "resume", EXECUTIONS, "--yes")

        stack.faults(target="changenow", kind="delay", seconds=1.2, method="by-id")
        burst(play, 12)  # both sides wait for the exchange
        assert held(play) == 50
        stack.heal()
    ended = settle(stack, play.load.sent)
    assert (ended.completed_after_replay, ended.differences) == (len(play.load.sent), [])


@contextmanager
def tried(stack: Stack) -> Iterator[Play]:
    """A sound release at half of the payments, with limits that a few payments meet."""
    with playing(stack, Bad(kind="good"), [50, 100], rate=RATE, queue_depth=5, p95="1s", min_samples=5) as play:
        yield play


@contextmanager
def refused(stack: Stack) -> Iterator[None]:
    """The exchange refuses one order."""
    stack.faults(target="changenow", kind="error", method="exchange", status=400, count=1)
    yield


def held(play: Play) -> int:
    """The share that stands after the gates have seen two more minutes."""
    for _ in range(2):
        play.stack.advance(MINUTE)
        play.looked()
    assert play.walk.going, play.walk.told
    assert play.state["phase"] == "running", play.state["why"]
    return share(play.stack, play.bad.service)


def unsure(play: Play) -> list[str]:
    """The gates that do not say healthy."""
    return [one["gate"] for one in play.verdict["gates"] if one["kind"] != "healthy"]


def depth(stack: Stack, queue: str) -> int:
    """Tasks that wait in a queue."""
    return int(stack.admin("GET", "status")["queues"][queue]["depth"])
