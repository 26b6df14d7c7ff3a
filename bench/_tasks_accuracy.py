"""Accuracy of Cloud Tasks' emulators: the rate of a queue, and the gaps between the attempts of a failing task."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from itertools import pairwise
from typing import Any

from bench._tasks_sides import Side, Target
from bench._tasks_speed import Start
from local_cloud.engines.backoff import RetryPolicy, delay
from tests.local_cloud.virtual import attempts_of_a_failing_task, policies

#: Dispatches a second; the peer's process ends at 0.5, so that it comes last there.
RATES = (500.0, 50.0, 10.0, 1.5, 0.5)
#: Tasks that a queue of a rate may send at once before its rate can be seen.
BURST = 100


def rates(target: Target, seconds: float, sides: list[Start]) -> dict[str, Any]:
    """The rate after the burst, in share of the one asked for, over so many seconds (at least ten dispatches)."""
    result: dict[str, Any] = {}
    for start in sides:
        for rate in RATES:
            try:
                with start() as side:
                    measured = _rate(target, side, rate, seconds)
            except Exception as error:  # a side that dies of a rate is a result
                measured = f"failed: {type(error).__name__}"
                result.setdefault("peer", {})[f"{rate:g}/s"] = measured
                continue
            result.setdefault(side.name, {})[f"{rate:g}/s"] = measured
    return result


def _rate(target: Target, side: Side, rate: float, seconds: float) -> Any:
    span = max(seconds, 10 / rate)
    queue = side.queue("rate", rate=rate)
    count = int(rate * span) + BURST + 5
    due = time.time() + 1.5 + count / 4000
    target.ask("/_log")
    side.fill([queue], f"{target.url}/log", count, at=due)
    time.sleep(max(0.0, due - time.time()) + span)
    times = sorted(at for _, at in target.ask("/_log"))
    began = times[0]
    # Those of the burst came at once; what counts is what came from then on.
    steady = [at for at in times if at > began + max(0.25, 0.5 / rate)]
    if len(steady) < 3:
        return "nothing after the burst"
    return round((len(steady) - 1) / (steady[-1] - steady[0]) / rate, 4)


def backoff_in_virtual_time(settings: int) -> dict[str, Any]:
    """Random settings of a queue, each task failing at once: the largest error of a gap, in seconds and in share."""
    chance, gaps, worst, wrong = random.Random(4), 0, 0.0, 0
    for _ in range(settings):
        policy = policies(chance)
        seen = attempts_of_a_failing_task(policy, most=40)
        for index, (earlier, later) in enumerate(pairwise(seen), start=1):
            wanted, gap = delay(policy, index), later - earlier
            gaps += 1
            off = abs(gap - wanted)
            worst = max(worst, off)
            wrong += off > max(0.005, 0.01 * wanted)
    return {"settings": settings, "gaps": gaps, "outside": wrong, "worst_ms": round(worst * 1e3, 4)}


def backoff_for_real(target: Target, sides: list[Start]) -> dict[str, Any]:
    """Ten settings on the machine's clock: gaps between receipts, and how many are off by more than 1 % or 5 ms."""
    settings = [
        RetryPolicy(min_backoff=low, max_backoff=low * most, max_doublings=doublings, max_attempts=6)
        for most, doublings in ((6, 1), (10, 2))
        for low in (0.1, 0.15, 0.2, 0.25, 0.3)
    ]
    result: dict[str, Any] = {}
    for start in sides:
        with start() as side:
            target.ask("/_log")
            queues = []
            for index, policy in enumerate(settings):
                retry = {
                    "max_attempts": policy.max_attempts,
                    "min_backoff": timedelta(seconds=policy.min_backoff),
                    "max_backoff": timedelta(seconds=policy.max_backoff),
                    "max_doublings": policy.max_doublings,
                }
                queues.append(side.queue(f"backoff-{index}", rate=500, retry=retry))
            made = side.load("latency", str(len(queues)), "0.1", ",".join(queues), f"{target.url}/fail")
            expected = dict(zip(made, settings, strict=True))
            time.sleep(max(sum(delay(policy, n) for n in range(1, 6)) for policy in settings) + 0.5)
            seen: dict[str, list[float]] = {}
            for name, at in target.ask("/_log"):
                seen.setdefault(name, []).append(at)
            result[side.name] = _judge(expected, seen)
    return result


def _judge(expected: dict[str, RetryPolicy], seen: dict[str, list[float]]) -> dict[str, Any]:
    gaps, outside, worst = 0, 0, 0.0
    for name, policy in expected.items():
        for index, (earlier, later) in enumerate(pairwise(seen.get(name, [])), start=1):
            wanted = delay(policy, index)
            off = abs(later - earlier - wanted)
            gaps += 1
            outside += off > max(0.005, 0.01 * wanted)
            worst = max(worst, off)
    return {"gaps": gaps, "of": 5 * len(expected), "outside": outside, "worst_ms": round(worst * 1e3, 1)}
