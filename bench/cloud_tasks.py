"""Cloud Tasks, side by side in one run with the same client and receiver: this project's cloud, the peer, the machine.

The peer is aertje's cloud-tasks-emulator; CLOUD_TASKS_EMULATOR names its binary (or it is on PATH). Where there is none
the machine's own ceiling stands alone beside our figures. Two knobs: CLOUD_TASKS_FINISHED is how many tasks are
finished before memory is looked at again (100000; a million takes some minutes), CLOUD_TASKS_RUNS how often each speed
is measured (3). Kills have a benchmark of their own, cloud_tasks_kills.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from bench import _tasks_accuracy, _tasks_memory, _tasks_speed
from bench._tasks_sides import Target, ours, peer, peer_binary, target

#: Creates and drained tasks of one measurement, and tasks that wait while memory and restart are measured.
CREATES, DRAINED, WAITING = 6_000, 25_000, 100_000
#: Seconds over which each rate is measured.
RATE_SECONDS = 8.0

Part = tuple[str, Callable[[Target], Any]]


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all parts, or those that CLOUD_TASKS_PARTS names."""
    binary = peer_binary()
    say(f"peer: {binary or 'absent (set CLOUD_TASKS_EMULATOR to its binary); the ceiling stands alone'}")
    wanted = os.environ.get("CLOUD_TASKS_PARTS", "").split()
    results: dict[str, Any] = {"peer": bool(binary)}
    with target() as receiver:
        for name, part in parts(bool(binary)):
            if not wanted or name in wanted:
                results[name] = part(receiver)
                tell(say, name, results[name])
    return results


def parts(with_peer: bool) -> list[Part]:
    """What is measured, in this order."""
    runs = int(os.environ.get("CLOUD_TASKS_RUNS", "3"))
    done = int(os.environ.get("CLOUD_TASKS_FINISHED", "100000"))
    sides: list[_tasks_speed.Start] = [ours, *([peer] if with_peer else [])]
    lifted: _tasks_speed.Start = partial(ours, lifted=True)
    drains: list[tuple[str, _tasks_speed.Start, int, float]] = [
        ("50 queues at 500/s", side, 50, 500.0) for side in sides
    ]
    drains += [("1 queue, no limit", side, 1, 1e6) for side in [lifted, *sides[1:]]]
    return [
        ("start_s", lambda _: _tasks_speed.start_time(runs + 2, sides)),
        ("ceiling", lambda to: _tasks_speed.ceiling(to, DRAINED, runs)),
        ("create", lambda to: _tasks_speed.creates(to, CREATES, sides)),
        ("drain", lambda to: _tasks_speed.drain(to, DRAINED, runs, drains)),
        ("latency_ms", lambda to: _tasks_speed.latency(to, 300, runs, sides)),
        ("memory_mb_per_100000_waiting", lambda to: _tasks_memory.waiting(to, WAITING, sides)),
        ("restart_s", lambda to: _tasks_memory.restart(to, WAITING, runs)),
        ("finished", lambda to: _tasks_memory.finished(to, done, [lifted, *sides[1:]])),
        ("backoff_virtual", lambda _: _tasks_accuracy.backoff_in_virtual_time(1000)),
        ("backoff_real", lambda to: _tasks_accuracy.backoff_for_real(to, sides)),
        ("rate_share", lambda to: _tasks_accuracy.rates(to, RATE_SECONDS, sides)),
    ]


def tell(say: Callable[[str], None], name: str, figures: Any) -> None:
    """One line a side."""
    if isinstance(figures, dict) and all(isinstance(value, dict) for value in figures.values()):
        for side, values in figures.items():
            say(f"{name}: {side}: {values}")
    else:
        say(f"{name}: {figures}")
