"""The rollback matrix of docs/runbook.md ("Rolling back"): each row's symptom is caused, and what the row says happens.

Rows that roll back do so by the gates or by the command; rows that do not hold the rollout, and payments go on.
Source: seeds/000 section 15 (rollback decision matrix), DECISIONS 16 and 18. What a failing revision does (row two) is
test_rollout's too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from bench._rollout_revisions import Bad, register
from bench._rollout_trial import rules
from ops import app
from ops.rollout.gate import judge
from ops.rollout.gate.model import Kind
from ops.rollout.state import Phase
from tests.payments.hops import ids
from tests.payments.stack import Stack, until
from tests.payments.test_line import verdict
from tests.rollout.walking import MINUTE, Walk, paid_once_each, raised_again, sluice, walked
from tests.runbook.incident import LEFT, Do, incident, left, whole

pytestmark = pytest.mark.stack

EXECUTIONS = "hostpay-execution-queue"


@incident("Rolling back", "Cloud Tasks does not dispatch", "A rollout holds, or an apply is refused")
def test_where_tasks_are_not_dispatched_one_command_has_payments_go_without_the_queue(stack: Stack, do: Do) -> None:
    queue = "split-payment-queue"
    sluice("queues", "pause", queue, "--yes")
    waits, direct = ids("single", 1), ids("single", 2)
    stack.send(amount="0.01", count=1, unique_ids=waits, wait=True)
    until(lambda: depth(stack, queue) == 1, 20, lambda: "no task waits")
    do("./sluice rollback split-hop")
    assert "split-hop was rolled back" in do("./sluice rollout status --stack prod")
    stack.advance(6)  # services read the record anew after five seconds
    stack.send(amount="0.01", count=2, unique_ids=direct, wait=True)
    stack.paid(direct)
    assert depth(stack, queue) == 1
    sluice("queues", "resume", queue, "--yes")
    stack.paid(waits)

    rules(stack, steps=[50, 100])
    with left(stack):
        do("./sluice rollout start split-hop --force", code=LEFT)
    for _ in range(2):  # to 100 %, and to the end
        do("./sluice rollout promote")
    assert "split-hop" in do("./sluice rollout status")
    verdict(stack)


@whole
@incident("Cloud Tasks does not dispatch", "A rollout was rolled back", "A rollout holds, or an apply is refused")
def test_a_route_that_was_rolled_back_is_rolled_out_again_by_force_alone(stack: Stack, do: Do) -> None:
    rules(stack, steps=[50, 100])
    with raised_again("hostpay-hop"), left(stack):
        do("./sluice rollback hostpay-hop")
        do("./sluice rollout start ROUTE --force --steps 50,100", {"ROUTE": "hostpay-hop"}, code=LEFT)
        do("./sluice rollout abort")
        do("./sluice rollout start TARGET --force", {"TARGET": "hostpay-hop"}, code=LEFT)
        do("./sluice rollout abort")


@incident("Rolling back", "A rollout was rolled back", "A rollout holds, or an apply is refused")
def test_a_release_is_left_resumed_and_taken_back_by_a_command(stack: Stack, do: Do) -> None:
    digest = register(stack, Bad(kind="good", service="gcsplit"))
    rules(stack, steps=[50, 100])
    with left(stack):
        assert app.main(["rollout", "start", "gcsplit", "--image", digest, "--yes"]) == LEFT
        assert "gcsplit" in do("./sluice rollout status", code=4)
        do("./sluice up", code=1)
        do("./sluice rollout resume", code=LEFT)
    assert "is rolled back" in do("./sluice rollback gcsplit --stack prod --yes --confirm prod")
    assert "gcsplit was rolled back" in do("./sluice rollout status")
    assert "50 %" in do("./sluice rollout show --stack prod")
    do("./sluice rollback gcsplit --stack prod")  # done already, it does nothing
    do("./sluice rollback SERVICE", {"SERVICE": "gcsplit"})
    do("./sluice dead list --stack prod")
    verdict(stack)


@pytest.mark.parametrize(
    ("bad", "gate"),
    [(Bad(kind="raises", share=0.5), "success"), (Bad(kind="leaks_tokens"), "token_expiry")],
    ids=["more-than-10-percent-fail", "more-than-5-percent-of-tokens-expire"],
)
@incident("Rolling back")
def test_a_release_that_breaks_a_limit_is_rolled_back_by_itself(stack: Stack, do: Do, bad: Bad, gate: str) -> None:
    with walked(stack, bad, (50, 100)) as walk:
        walk.burst(32, "single")
        stack.advance(MINUTE)
        walk.burst(6, "single", "staged")  # on their way while it is taken back
        walk.looked(3)
    assert walk.rollout.phase is Phase.ROLLED_BACK, walk.rollout.why
    assert walk.gate(gate)["kind"] == Kind.UNHEALTHY, walk.gates
    assert 0 < walk.met(bad) < len(walk.sent)
    do("./sluice rollback SERVICE", {"SERVICE": bad.service})  # it is back already
    code, audit = sluice("logs", "--severity", "WARNING", "--filter", 'jsonPayload.event="rolled_back"')
    assert (code, audit[-1]["jsonPayload"]["subject"]) == (0, bad.service)
    paid_once_each(stack, walk)
    assert walk.first_after(bad) == 0


@incident("Rolling back")
def test_a_single_failure_a_deep_queue_and_slow_tasks_hold_a_release_and_roll_nothing_back(
    stack: Stack, do: Do
) -> None:
    limits = {"queue_depth": 5, "p95": "30s", "min_samples": 5}
    with walked(stack, Bad(kind="good"), (50, 100), **limits) as walk, healed(stack):
        stack.faults(target="changenow", kind="error", method="exchange", status=400, count=1)
        walk.burst(1, "single")  # it is dead, and one of many
        walk.burst(20, "single")
        held(walk)
        assert walk.sent[0] in do("./sluice dead list")
        assert [walk.gate(name)["kind"] for name in ("latency", judge.DEPTH)] == [Kind.HEALTHY] * 2, walk.gates

        sluice("queues", "pause", EXECUTIONS, "--yes")
        walk.burst(24, "single")
        until(lambda: depth(stack, EXECUTIONS) >= 24, 20, lambda: f"{depth(stack, EXECUTIONS)} wait")
        assert "24 waiting" in do("./sluice queues describe QUEUE", {"QUEUE": EXECUTIONS})
        held(walk)
        assert walk.gate(judge.DEPTH)["kind"] == Kind.INCONCLUSIVE, walk.gates
        assert walk.gate("latency")["kind"] == Kind.HEALTHY, walk.gates

        sluice("queues", "resume", EXECUTIONS, "--yes")  # what was due a minute ago, on both sides
        held(walk)
        print([(one["kind"], one["why"]) for one in walk.gates])
        assert walk.gate("latency")["kind"] == Kind.INCONCLUSIVE, walk.gates
        assert walk.rollout.steps[-1].verdict == Kind.INCONCLUSIVE
        assert "both sides fail alike" in walk.gate("latency")["why"]
        assert "task_seconds" in do("./sluice logs --filter 'jsonPayload.task_seconds > 30'")
    paid_once_each(stack, walk)


def held(walk: Walk) -> None:
    """A minute later the gates were asked, and the share stands."""
    walk.looked()
    assert (walk.rollout.phase, walk.rollout.percent) == (Phase.RUNNING, 50), walk.rollout.why


@contextmanager
def healed(stack: Stack) -> Iterator[None]:
    """After it no fault is left, and the queue runs."""
    try:
        yield
    finally:
        stack.heal()
        sluice("queues", "resume", EXECUTIONS, "--yes")


def depth(stack: Stack, queue: str) -> int:
    """Tasks that wait in a queue."""
    return int(stack.admin("GET", "status")["queues"][queue]["depth"])
