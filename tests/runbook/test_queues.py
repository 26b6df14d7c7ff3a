"""Incidents of queues: tasks for another release, purged by mistake, held for a change, resting, taken away."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.payments.stack import Stack
from tests.runbook.incident import Do, incident
from tests.runbook.staging import depth, held, put_instead, sent, state, tasks, waits, well

pytestmark = pytest.mark.stack

SPLITS, CHECKS, EXECUTIONS = "split-payment-queue", "gchostpay-status-check-queue", "hostpay-execution-queue"
#: Two queues of one edge: what waits in either may wait in the other.
PAYING, RETRYING = "gchostpay-payment-execute-queue", "gchostpay3-retry-queue"


@incident("Tasks for a bad revision, or in a queue that goes", "Taking a queue away")
def test_tasks_are_moved_to_the_stable_side_and_to_another_queue_and_come_once(stack: Stack, do: Do) -> None:
    with held(stack, SPLITS):
        do("./sluice queues pause QUEUE", {"QUEUE": SPLITS})
        single = sent(stack, "single")
        waits(stack, SPLITS, 1)
        put_instead(stack, tasks(stack, SPLITS)[0], url=lambda url: url.replace("/run/", "/run/canary---"))
        assert "canary---" in str(tasks(stack, SPLITS))
        do("./sluice queues move QUEUE --to-side stable", {"QUEUE": SPLITS})
        assert "canary---" not in str(tasks(stack, SPLITS))
        do("./sluice queues resume QUEUE", {"QUEUE": SPLITS})
        stack.paid(single)

    with held(stack, PAYING, RETRYING):
        staged = sent(stack, "staged", 2)
        waits(stack, PAYING, 2)
        do("./sluice queues move OLD NEW", {"OLD": PAYING, "NEW": RETRYING})
        assert (depth(stack, PAYING), depth(stack, RETRYING)) == (0, 2)
        do("./sluice queues move QUEUE OTHER", {"QUEUE": RETRYING, "OTHER": PAYING})
        assert (depth(stack, PAYING), depth(stack, RETRYING)) == (2, 0)
    stack.paid(staged)
    assert "nothing is due" in do("./sluice drain QUEUE", {"QUEUE": RETRYING})
    assert "0 errors" in do("./sluice lint")
    well(stack)


@incident("Purging", "Payments wait longer than usual")
def test_what_was_purged_is_put_back_each_task_once(stack: Stack, do: Do, tmp_path: Path) -> None:
    file = str(tmp_path / "tasks")
    with held(stack, SPLITS):
        payments = sent(stack, "single", 2)
        waits(stack, SPLITS, 2)
        do("./sluice queues purge QUEUE --export FILE", {"QUEUE": SPLITS, "FILE": file})
        assert depth(stack, SPLITS) == 0
        assert "2 in split" in do("./sluice reconcile", code=1)  # not late yet
        do("./sluice queues restore QUEUE FILE", {"QUEUE": SPLITS, "FILE": file})
        do("./sluice queues restore QUEUE FILE", {"QUEUE": SPLITS, "FILE": file})
        assert depth(stack, SPLITS) == 2
    stack.paid(payments)
    assert not any(one in do("./sluice dead list") for one in payments)
    well(stack)


@incident("Purging", "Payments wait longer than usual")
def test_what_nothing_is_on_its_way_for_is_sent_once_more_and_paid_once(stack: Stack, do: Do, tmp_path: Path) -> None:
    with held(stack, PAYING):
        one, other = sent(stack, "staged", 2)
        waits(stack, PAYING, 2)
        do("./sluice queues purge QUEUE --export FILE", {"QUEUE": PAYING, "FILE": str(tmp_path / "tasks")})
        stack.advance(150)
        assert f"./sluice resend {one}" in do("./sluice reconcile", code=1)
        do("./sluice resend ID", {"ID": one})
        assert depth(stack, PAYING) == 1
        do("./sluice resend --all --older-than 1s")
        do("./sluice resend --all")
        assert depth(stack, PAYING) == 2, "what waits in its queue is not sent twice"
    stack.paid([one, other])
    well(stack)


@incident("Before a risky change", "Queues rest after a deployment")
def test_a_service_is_held_back_for_a_change_and_its_queues_are_started_by_the_probe(stack: Stack, do: Do) -> None:
    said = do("./sluice drain SERVICE --pause --change 10m", {"SERVICE": "gchostpay3"})
    assert re.search(rf"\./sluice queues resume {PAYING} gchostpay3-confirm-queue {RETRYING}", said)
    with held(stack, PAYING):
        staged = sent(stack, "staged")
        waits(stack, PAYING, 1)
        do("./sluice queues pause QUEUE", {"QUEUE": PAYING})
        assert PAYING in do("./sluice queues resume --all --probe --dry-run")
        assert state(stack, PAYING) == "PAUSED"
        do("./sluice queues resume --all --probe")
        assert {state(stack, queue) for queue in (PAYING, RETRYING)} == {"RUNNING"}
        stack.paid(staged)
    well(stack)
