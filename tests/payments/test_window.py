"""The 60-second window of a host payment by strategies 1 and 2 alone: attempts by the law, death by the sweeper, one
replay (docs/adr/token-window.md)."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.payments.bindings import entries, now
from tests.payments.hops import id_of
from tests.payments.judge import judge
from tests.payments.stack import ROOT, Stack, copy_project, http, until

pytestmark = pytest.mark.stack

QUEUE = "hostpay-execution-queue"


def test_a_dead_payer_is_tried_by_the_law_and_the_payment_dies_and_is_replayed_once(
    second: Stack, tmp_path: Path
) -> None:
    stack, before, since = second, nonces(second), now(second)
    stack.root = without_fallback(tmp_path / "project")
    try:
        stack.up()
    finally:
        stack.root = ROOT
    remove(stack, "gchostpay")
    payment = id_of("single")
    stack.send(amount="0.05", count=1, wait=True, unique_ids=[payment])
    until(lambda: len(tasks(stack)) == 1, 20)

    attempts = watch_attempts(stack, since)

    assert [round(at) for at in attempts] == [0, 5, 15, 30, 45, 60]
    assert tasks(stack) == []
    assert nonces(stack) == before

    stack.advance(600)  # the sweeper's turn
    until(lambda: state(stack, payment) == "dead", 20, lambda: state(stack, payment))
    errors = stack.json("logs", "--payment", payment, "--severity", "ERROR")
    assert any(entry["jsonPayload"].get("event") == "payment_dead" for entry in errors)
    listed = stack.json("dead", "list")
    assert payment in [row["id"] for row in listed["dead"]]
    assert nonces(stack) == before

    stack.up()  # the payer is deployed again, and all is as the specs say
    assert stack.json("dead", "replay", payment, "--yes")["replayed"] == 1
    assert stack.json("dead", "replay", payment, "--yes")["replayed"] == 0
    stack.paid([payment])
    stack.idle()
    assert nonces(stack) == before + 1
    stack.exchanged()
    report = judge(stack.sandbox, stack.chain, stack.dsn)
    assert report.ok, report.differences


def without_fallback(root: Path) -> Path:
    """A copy of the project whose host payments are not sent anew when their token has died."""
    copy_project(root)
    file = root / f"queue_configs/tasks/{QUEUE}.yaml"
    lines = file.read_text().splitlines(keepends=True)
    kept = [line for line in lines if not line.startswith("token:")]
    assert len(kept) == len(lines) - 1
    file.write_text("".join(kept))
    return root


def watch_attempts(stack: Stack, since: str) -> list[float]:
    """Seconds from the first attempt to each since then, by the queue's own log; the clock moves by seconds."""
    for _ in range(80):
        stack.advance(1)
    wanted = f'resource.labels.queue_id="{QUEUE}" AND jsonPayload.attemptResponseLog.dispatchCount>0'
    probes = 'jsonPayload.task:"/tasks/probe-"'  # the start of the stack has gone over the queue
    answered = entries(stack, since, f"{wanted} AND NOT {probes}")
    counts = [int(entry["jsonPayload"]["attemptResponseLog"]["dispatchCount"]) for entry in answered]
    assert sorted(counts) == list(range(1, len(counts) + 1))  # each attempt once
    sent = [entry["timestamp"] for entry in answered]
    times = sorted(datetime.fromisoformat(at).timestamp() for at in sent)
    return [at - times[0] for at in times]


def remove(stack: Stack, service: str) -> None:
    """Delete a service behind the stack's back."""
    status = stack.status()
    path = f"/v2/projects/{status['project']}/locations/{status['location']}/services/{service}"
    assert http("DELETE", stack.rest + path)[0] == 200


def tasks(stack: Stack) -> list[dict[str, Any]]:
    status = stack.admin("GET", "status")
    path = f"/v2/projects/{status['project']}/locations/{status['location']}/queues/{QUEUE}/tasks"
    found: list[dict[str, Any]] = http("GET", stack.rest + path)[1].get("tasks", [])
    return found


def state(stack: Stack, payment: str) -> str:
    rows = stack.sql("SELECT status FROM split_payout_que WHERE unique_id = $1", payment)
    return rows[0]["status"] if rows else "no row"


def nonces(stack: Stack) -> int:
    """Transactions that the host wallet has sent, by the chain."""
    wallet = http("GET", f"{stack.sandbox}/status")[1]["host_wallet"]
    address = wallet["address"] if isinstance(wallet, dict) else wallet
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getTransactionCount", "params": [address, "latest"]}
    return int(http("POST", stack.chain, body)[1]["result"], 16)
