"""Rollouts under other conditions: work that waits, too long or on purpose, late metrics, little traffic, none; and a
good revision.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from bench import _rollout_seen as seen
from bench._rollout_revisions import Bad
from bench._rollout_trial import AT_ONCE, Play, Trial, burst, driven, playing
from service_code.kit.routes import place
from tests.payments.bindings import now
from tests.payments.hops import id_of
from tests.payments.stack import Stack, http, until

#: The queue whose tasks wait for later, and how long: its tokens live for a day.
EXECUTIONS, LATER = "gchostpay-payment-execute-queue", timedelta(hours=1)
QUEUED = 100
#: The queue before gchostpay, and for how many seconds tasks wait in it: its tokens live for a minute.
TRIGGERS, TOO_LONG = "hostpay-execution-queue", 120
#: Google's metrics are so late at most.
LAG = 180
#: Little traffic: payments an hour, and for how many hours it is watched.
HOURLY, HOURS = 20, 3

Say = Callable[[str], None]


def queued_for_later(stack: Stack, *, rate: float, say: Say, queued: int = QUEUED, payments: int = 300) -> Trial:
    """A hundred tasks wait an hour on the bad revision when it is taken back: they follow the tag to the stable one."""
    bad = Bad(kind="raises", service="gchostpay3")
    with playing(stack, bad, [50, 100], rate=rate) as play:
        names = put_off(play, queued)
        play.load.start(payments)
        until(lambda: not (play.walk.going and play.load.going), payments / rate + AT_ONCE)
        until(lambda: not play.walk.going, 3 * AT_ONCE, lambda: f"it stands: {play.verdict}")
    trial = play.judged(Trial(fault=f"{bad.name}-queued", step=50))
    there = {one.task for one in seen.attempts(stack, bad.service, play.revision, play.since)}
    trial.notes = {"queued_for_later": len(names), "of_them_met_it": len(there & names)}
    return _said(trial, say)


def put_off(play: Play, count: int) -> set[str]:
    """Have so many payments' tasks wait on the canary for an hour; the tasks' names. The queue runs as before then."""
    stack, salt = play.stack, play.revision
    status = stack.admin("GET", "status")
    queue = f"{stack.rest}/v2/projects/{status['project']}/locations/{status['location']}/queues/{EXECUTIONS}"
    assert http("POST", f"{queue}:pause", {})[0] == 200
    ids: list[str] = []
    while len(ids) < count:
        one = id_of("staged")
        ids += [one] if place(salt, one) < 5000 else []
    stack.send(amount="0.01", count=count, rate=play.load.rate, unique_ids=ids, wait=True)
    play.load.sent += ids
    until(lambda: len(_tasks(queue)) >= count, 2 * AT_ONCE, lambda: f"{len(_tasks(queue))} of {count} tasks wait")
    later = (datetime.fromisoformat(now(stack)) + LATER).isoformat()
    names = set()
    for task in _tasks(queue):
        request = task["httpRequest"]
        assert "canary---" in request["url"], request["url"]
        name = f"{task['name']}-later"
        made = {
            "name": name,
            "scheduleTime": later,
            "httpRequest": request,
            "dispatchDeadline": task["dispatchDeadline"],
        }
        code, answer = http("POST", f"{queue}/tasks", {"task": made})
        assert code == 200, answer
        assert http("DELETE", f"{stack.rest}/v2/{task['name']}")[0] == 200
        names.add(name.rpartition("/")[2])
    assert http("POST", f"{queue}:resume", {})[0] == 200
    return names


def _tasks(queue: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = http("GET", f"{queue}/tasks?responseView=FULL&pageSize=1000")[1].get("tasks", [])
    return found


def late_tokens(stack: Stack, *, rate: float, say: Say, payments: int = 60) -> Trial:
    """Tasks wait for longer than their tokens live: a revision that takes them all the same is found by just that."""
    bad = Bad(kind="takes_expired")
    with playing(stack, bad, [50, 100], rate=rate) as play:
        stack.sluice("queues", "pause", TRIGGERS, "--yes")
        ids = [id_of("single") for _ in range(payments)]
        stack.send(amount="0.01", count=len(ids), unique_ids=ids)
        play.load.sent += ids
        depth = partial(_depth, stack, TRIGGERS)
        until(lambda: depth() >= payments, 2 * AT_ONCE, lambda: f"{depth()} of {payments} tasks wait")
        stack.advance(TOO_LONG)
        stack.sluice("queues", "resume", TRIGGERS, "--yes")
        until(lambda: not play.walk.going, 3 * AT_ONCE, lambda: f"it stands: {play.verdict}")
    return _said(play.judged(Trial(fault=bad.name, step=50)), say)


def _depth(stack: Stack, queue: str) -> int:
    return int(stack.admin("GET", "status")["queues"][queue]["depth"])


def metric_lag(stack: Stack, *, rate: float, say: Say, payments: int = 300) -> Trial:
    """Points are seen three minutes late: it is found out all the same, and says how long it waits. The clock moves."""
    bad = Bad(kind="raises")
    with seen.metric_lag(stack, LAG), playing(stack, bad, [25, 100], rate=rate, lag=LAG) as play:
        driven(play, payments, 15)
    return _said(play.judged(Trial(fault=f"{bad.name}-lag", step=25)), say)


def twenty_an_hour(stack: Stack, *, rate: float, say: Say) -> Trial:
    """Too few payments to tell: it holds, says so and how long it would take, and never goes on. The clock moves."""
    bad = Bad(kind="raises", share=0.1)  # one that always fails is found after five samples, however rare
    with playing(stack, bad, [10, 100], rate=rate, first_dwell="1h", dwell="1h", lag=LAG) as play:
        for _ in range(HOURLY * HOURS):
            burst(play, 1)
            stack.advance(3600 / HOURLY)
        held = look(play)
    trial = play.judged(Trial(fault=f"{bad.name}-sparse", step=10, expected="aborted"))
    trial.notes = held
    return _said(trial, say)


def idle(stack: Stack, *, rate: float, say: Say) -> Trial:
    """Nobody pays: a good revision stays at its first share."""
    bad = Bad(kind="good")
    with playing(stack, bad, [10, 100], rate=rate, first_dwell="1h", dwell="1h", lag=LAG) as play:
        for _ in range(12):
            stack.advance(900)
        held = look(play)
    trial = play.judged(Trial(fault=f"{bad.name}-idle", step=10, expected="aborted"))
    trial.notes = held
    return _said(trial, say)


def good(
    stack: Stack,
    *,
    rate: float,
    say: Say,
    steps: tuple[int, ...] = (10, 25, 50, 75, 90, 100),
    payments: int = 2000,
    moves: float = 60.0,
    each: int = 24,
    **said: Any,
) -> Trial:
    """A revision without a fault goes through all steps, on a moved clock: a payment is due after six minutes."""
    bad = Bad(kind="good", service="gcsplit")
    wanted = {"first_dwell": "60s", "dwell": "60s", **said}
    with playing(stack, bad, list(steps), rate=rate, **wanted) as play:
        driven(play, payments, moves, each)
    return _said(play.judged(Trial(fault=bad.name, step=steps[0], expected="promoted")), say)


def look(play: Play) -> dict[str, Any]:
    """What the rollout says while it holds."""
    state, verdict = play.state, play.verdict
    return {
        "phase": state["phase"],
        "percent": state["percent"],
        "verdict": verdict.get("kind"),
        "why": verdict.get("why"),
    }


def _said(trial: Trial, say: Say) -> Trial:
    say(f"{trial.fault} at {trial.step} %: {json.dumps(trial.as_json())}")
    return trial
