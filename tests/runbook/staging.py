"""What scenarios need to stage an incident on the stack and to see it end, besides what tests/payments has."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import Any

from ops import app
from tests.payments.hops import ids
from tests.payments.judge import judge
from tests.payments.stack import Stack, http, until

#: A payment that meets others, so that they are paid out together.
GATHERED = {"channel_id": -1009000000000, "amount": "0.05"}


def asked(*words: str) -> Any:
    """What a verb says with --json; for the scenario's own eyes, not of the runbook."""
    said = StringIO()
    with redirect_stdout(said):
        app.main([*words, "--json"])
    return json.loads(said.getvalue())


def sent(stack: Stack, way: str, count: int = 1) -> list[str]:
    """Payments of this way to pay out, taken in and not waited for."""
    made = ids(way, count)
    stack.send(amount="0.01", count=count, unique_ids=made, wait=True)
    return made


@contextmanager
def held(stack: Stack, *queues: str) -> Iterator[None]:
    """Queues are paused in the block; after it they run, whoever resumed them."""
    asked("queues", "pause", *queues, "--yes")
    try:
        yield
    finally:
        asked("queues", "resume", *queues, "--yes")


def depth(stack: Stack, queue: str) -> int:
    """Tasks that wait in a queue."""
    return int(stack.admin("GET", "status")["queues"][queue]["depth"])


def waits(stack: Stack, queue: str, count: int) -> None:
    """See that so many tasks wait."""
    until(lambda: depth(stack, queue) == count, 30, lambda: f"{depth(stack, queue)} wait in {queue}")


def state(stack: Stack, queue: str) -> str:
    """RUNNING or PAUSED."""
    return str(stack.admin("GET", "status")["queues"][queue]["state"])


def dead(stack: Stack, payments: list[str]) -> None:
    """See that these payments are dead."""
    query = "SELECT 1 FROM failed_transactions WHERE status = 'dead' AND unique_id = ANY($1)"
    until(lambda: len(stack.sql(query, payments)) == len(payments), 30, lambda: "they are not dead")


def alerting() -> set[str]:
    """Policies with an open incident."""
    return {one["policy"] for one in asked("alerts")}


def well(stack: Stack) -> None:
    """See that chain, exchange, notices and ledger agree to the wei once nothing is due."""
    stack.idle()
    stack.exchanged()
    report = judge(stack.sandbox, stack.chain, stack.dsn)
    assert report.ok, "\n".join(report.differences)


def tasks(stack: Stack, queue: str) -> list[dict[str, Any]]:
    """What waits in a queue, with bodies."""
    status = stack.admin("GET", "status")
    path = f"/v2/projects/{status['project']}/locations/{status['location']}/queues/{queue}/tasks"
    found: list[dict[str, Any]] = http("GET", f"{stack.rest}{path}?responseView=FULL")[1].get("tasks", [])
    return found


def put(stack: Stack, task: dict[str, Any], **changes: Callable[[str], str]) -> None:
    """Make a task like this one beside it, with its URL or its body changed, as somebody with the right to might."""
    parent, _, name = task["name"].rpartition("/")
    request = task["httpRequest"] | {key: change(task["httpRequest"][key]) for key, change in changes.items()}
    made = {"name": f"{parent}/{name}-other", "httpRequest": request, "dispatchDeadline": task["dispatchDeadline"]}
    code, said = http("POST", f"{stack.rest}/v2/{parent}", {"task": made})
    assert code == 200, said


def put_instead(stack: Stack, task: dict[str, Any], **changes: Callable[[str], str]) -> None:
    """The same, in its place."""
    put(stack, task, **changes)
    assert http("DELETE", f"{stack.rest}/v2/{task['name']}")[0] == 200
