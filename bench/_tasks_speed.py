"""Speed of Cloud Tasks' emulators: start, creates, drain of filled queues, and the way from create to receipt."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from bench._measure import percentile
from bench._tasks_sides import PARENT, Side, Target, bare, raw

Start = Callable[[], AbstractContextManager[Side]]


def start_time(times: int, sides: list[Start]) -> dict[str, Any]:
    """Seconds from the start of the process until it takes calls, and the CPU seconds of that."""
    took: dict[str, list[float]] = {}
    cpu: dict[str, list[float]] = {}
    for _ in range(times):
        for side in sides:
            with side() as running:
                took.setdefault(running.name, []).append(running.started_in)
                cpu.setdefault(running.name, []).append(running.cpu())
    return {name: {**lowest_and_middle(values), "cpu": min(cpu[name])} for name, values in took.items()}


def creates(target: Target, count: int, sides: list[Start]) -> dict[str, Any]:
    """Creates a second by 16 callers (two lean clients of 8, then the official client's 16 threads), and CPU a create.

    Beside them grpc.aio itself, with a handler that does nothing: what no server on it can beat.
    """
    result: dict[str, Any] = {}
    for kind, processes, callers in (("create", 2, 8), ("official", 1, 16)):
        for side in (bare, *sides):
            with side() as running:
                queue = f"{PARENT}/queues/creates"
                if running.name in ("sluice", "peer"):
                    running.queue("creates", rate=0.001 if running.name == "sluice" else 1)
                before = running.cpu()
                each = count // processes
                seen = running.loads(processes, kind, str(each), str(callers), queue, target.url)
                span = max(one["ended"] for one in seen) - min(one["began"] for one in seen)
                cpu = (running.cpu() - before) / (each * processes)
                figures = {"a_second": round(each * processes / span), "cpu_us": round(cpu * 1e6)}
                result.setdefault(running.name, {})["lean" if kind == "create" else "official"] = figures
    return result


def drain(target: Target, tasks: int, times: int, sides: list[tuple[str, Start, int, float]]) -> dict[str, Any]:
    """Dispatches a second of queues that were filled before, all due at one moment, and CPU a dispatch.

    Each side is (what, how to start it, queues, rate of each).
    """
    result: dict[str, list[dict[str, float]]] = {}
    for _ in range(times):
        for what, start, queues, rate in sides:
            with start() as side:
                names = [side.queue(f"drain-{index}", rate=rate) for index in range(queues)]
                lead = 2 + tasks / (8_000 if side.batches else 2_000)
                figures = None
                while figures is None:  # a busy machine is given more time to fill the queues
                    figures, lead = _drained(target, side, tasks, names, lead), 2 * lead
                result.setdefault(f"{side.name}, {what}", []).append(figures)
    return {
        name: {
            "a_second": round(statistics.median(one["a_second"] for one in runs)),
            "best": round(max(one["a_second"] for one in runs)),
            "cpu_us": round(statistics.median(one["cpu_us"] for one in runs)),
            "lost": max(one["lost"] for one in runs),
        }
        for name, runs in result.items()
    }


def _drained(target: Target, side: Side, tasks: int, names: list[str], lead: float) -> dict[str, float] | None:
    """One drain; None when the queues were not filled before their tasks were due."""
    due = time.time() + lead
    side.fill(names, f"{target.url}/drain", tasks // len(names), at=due)
    if time.time() > due - 0.2:
        target.wait(10 * tasks, patience=3)
        return None
    target.ask("/_reset")
    time.sleep(max(0.0, due - time.time() - 0.1))
    before = side.cpu()
    seen = target.wait(tasks)
    cpu = side.cpu() - before
    span = max(seen["last"] - seen["first"], 1e-9)
    count = max(seen["count"], 1)
    return {"a_second": count / span, "cpu_us": cpu / count * 1e6, "lost": tasks - seen["count"]}


def latency(target: Target, count: int, times: int, sides: list[Start]) -> dict[str, Any]:
    """Milliseconds from before the create to the task's receipt, at about 50 tasks a second."""
    result: dict[str, list[float]] = {}
    medians: dict[str, list[float]] = {}
    for _ in range(times):
        for side in sides:
            with side() as running:
                queue = running.queue("light", rate=500)
                running.load("latency", "20", "0.02", queue, f"{target.url}/log")
                target.ask("/_log")
                began = running.load("latency", str(count), "0.02", queue, f"{target.url}/log")
                target.wait(target.ask("/_stats")["count"], patience=1)
                came = dict(target.ask("/_log"))
                took = [(came[name] - at) * 1e3 for name, at in began.items() if name in came]
                result.setdefault(running.name, []).extend(took)
                medians.setdefault(running.name, []).append(percentile(took, 0.5))
    return {
        name: {
            "p50": round(percentile(took, 0.5), 2),
            "p50_best_run": round(min(medians[name]), 2),
            "p99": round(percentile(took, 0.99), 2),
            "n": len(took),
        }
        for name, took in result.items()
    }


def ceiling(target: Target, count: int, times: int) -> dict[str, Any]:
    """What this machine carries with no queue at all between the client and the receiver."""
    full, alone = [], []
    for _ in range(times):
        full.append(raw(1000, count, f"{target.url}/raw"))
        alone.append(raw(1, 500, f"{target.url}/raw"))
    return {
        "a_second": round(statistics.median(count / (one["ended"] - one["began"]) for one in full)),
        "cpu_us": round(statistics.median(one["cpu"] / count * 1e6 for one in full)),
        "request_ms_p50": round(percentile([took * 1e3 for one in alone for took in one["took"]], 0.5), 2),
    }


def lowest_and_middle(values: list[float]) -> dict[str, float]:
    """Of few repeated measurements."""
    return {"best": round(min(values), 3), "median": round(statistics.median(values), 3)}
