"""Operators' hands on a stack that is paying: pause, purge, replay, by two at once; no payment is lost or paid twice.

A small dose of each in every run; SLUICE_WHOLE=1 makes it hundreds of payments.
"""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bench._rollout_load import Load, settle
from tests.dose import share
from tests.payments.hops import ids
from tests.payments.stack import Stack, until

pytestmark = pytest.mark.stack

QUEUE = "hostpay-execution-queue"
#: Payments that are sent while operators do something.
COUNT = share(300, 30)


def test_a_queue_paused_and_purged_by_two_operators_under_load_loses_no_payment(stack: Stack, tmp_path: Path) -> None:
    load = Load(stack, 5.0)
    load.start(20 * COUNT)  # it goes on until operators are done, however long their commands take to start
    both(stack, "queues", "pause", QUEUE, "--yes")
    until(lambda: depth(stack) >= 3, 30, lambda: f"{depth(stack)} tasks wait")
    exports = [str(tmp_path / name) for name in ("one", "other")]
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda file: stack.json("queues", "purge", QUEUE, "--export", file, "--yes"), exports))
    until(lambda: len(load.sent) >= COUNT, 120, lambda: f"{len(load.sent)} of {COUNT} payments are sent")
    load.stop()
    both(stack, "queues", "resume", QUEUE, "--yes")
    assert sum(one["destroyed"] for one in done) >= 3
    ended = settle(stack, load.sent)
    assert (ended.completed_after_replay, ended.differences) == (len(load.sent), [])


def test_a_replay_by_two_operators_at_once_and_once_more_pays_once(stack: Stack) -> None:
    load = Load(stack, 5.0)
    load.start(COUNT)
    stack.sluice("queues", "pause", QUEUE, "--yes")
    late = ids("single", 2)
    stack.send(amount="0.01", count=len(late), unique_ids=late, wait=True)
    stack.faults(target="changenow", kind="error", method="exchange", status=400)
    doomed = ids("single", 2)
    stack.send(amount="0.01", count=len(doomed), unique_ids=doomed, wait=True)
    until(lambda: set(doomed) <= {row["id"] for row in stack.json("dead", "list")["dead"]}, 30)
    stack.heal()
    both(stack, "dead", "replay", *doomed, "--yes")
    stack.sluice("dead", "replay", *doomed, "--yes", check=False)
    stack.sluice("queues", "resume", QUEUE, "--yes")
    load.wait()
    sent = [*load.sent, *late, *doomed]
    ended = settle(stack, sent)
    assert (ended.completed_after_replay, ended.differences) == (len(sent), [])


def both(stack: Stack, *words: str) -> list[subprocess.CompletedProcess[str]]:
    """Two operators say the same at the same time."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda _: stack.sluice(*words, check=False), range(2)))


def depth(stack: Stack) -> int:
    """Tasks that wait."""
    return int(stack.admin("GET", "status")["queues"][QUEUE]["depth"])
