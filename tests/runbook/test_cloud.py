"""Incidents of the platform: a missing binding, what drifted, Cloud Tasks or the database away, a process that dies."""

from __future__ import annotations

import pytest

from tests.payments.bindings import every, remove
from tests.payments.stack import Stack, http
from tests.runbook.incident import Do, incident
from tests.runbook.staging import asked, held, sent, state, well

pytestmark = pytest.mark.stack

SPLITS, RETRYING = "split-payment-queue", "gchostpay3-retry-queue"


@incident(
    "A hop is refused (403)",
    "An alert has fired",
    "Cloud Tasks does not dispatch",
    "Something behaves otherwise than the specs say",
)
def test_a_missing_binding_is_named_found_by_drift_and_put_back(stack: Stack, do: Do) -> None:
    (lost,) = (one for one in every(stack) if (one.kind, one.name) == ("queues", SPLITS))
    remove(stack, lost)
    asked("queues", "pause", RETRYING, "--yes")
    payments = sent(stack, "single", 7)
    stack.advance(2 * 60)
    assert SPLITS in do("""./sluice logs --severity ERROR --filter 'jsonPayload.event="enqueue_failed"'""")
    told = do("""./sluice logs --severity WARNING --filter '"smallest binding"'""")
    assert f"gcloud tasks queues add-iam-policy-binding {SPLITS}" in told
    alerts = do("./sluice alerts")
    assert "tasks-not-made" in alerts
    assert "docs/runbook.md#cloud-tasks-does-not-dispatch" in alerts
    assert "enqueue_failed" in do("./sluice logs --severity WARNING")
    assert stack.sandbox in do("./sluice status")
    assert "cloudtasks.tasks.create" in do("./sluice iam decisions")

    drifted = do("./sluice drift --stack prod", code=1)
    assert lost.account in drifted
    assert f"./sluice queues resume {RETRYING}" in drifted
    do("./sluice queues resume QUEUE --stack prod", {"QUEUE": RETRYING})
    do("./sluice up")
    assert lost in every(stack)
    stack.advance(61)
    stack.paid(payments)
    well(stack)


@incident("A hop is refused (403)")
def test_the_local_cloud_says_what_is_not_needed_and_can_be_slow_or_lenient(stack: Stack, do: Do) -> None:
    assert "unused bindings" in do("./sluice iam unused")
    try:
        assert "after 420 s" in do("./sluice iam delay 7m")
        assert "audit" in do("./sluice iam mode audit")
    finally:
        asked("iam", "delay", "0s")
        asked("iam", "mode", "enforce")


@incident("Trying an outage, locally")
def test_an_outage_is_tried_and_ended(stack: Stack, do: Do) -> None:
    do("SANDBOX=...", {"...": stack.sandbox})
    do("""curl -X POST $SANDBOX/faults -d '{"target": "changenow", "kind": "drop"}'""")
    assert [one["target"] for one in http("GET", f"{stack.sandbox}/faults")[1]["faults"]] == ["changenow"]
    do("curl -X DELETE $SANDBOX/faults")
    assert http("GET", f"{stack.sandbox}/faults")[1]["faults"] == []
    with held(stack, RETRYING):
        do("./sluice queues pause QUEUE", {"QUEUE": RETRYING})
        assert state(stack, RETRYING) == "PAUSED"


@incident("USDT cannot be paid")
def test_whether_the_token_is_blocked_is_asked_of_the_log(do: Do) -> None:
    """What blocks it, and that the line is written then, is tests/service_code/test_usdt's."""
    said = do("""./sluice logs --filter 'jsonPayload.event=("token_blocked" OR "transfer_astray")'""")
    assert said == "no entry fits\n"
