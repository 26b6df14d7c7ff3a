"""Pub/Sub, side by side in one run with the same client and receiver: this project's cloud and Google's own emulator.

What is compared is not the same work: our messages are on disk before a publish is answered, and each push is signed
and passes IAM's books; the emulator keeps all in memory and sends no OIDC header. Where there is no emulator
(PUBSUB_EMULATOR, or the Cloud SDK's, with Java) our figures stand alone. PUBSUB_RUNS is how often each speed is
measured (3), PUBSUB_PARTS names the parts to run.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from bench._measure import percentile
from bench._pubsub_sides import Side, emulator, emulator_jar, ours
from bench._tasks_sides import Target, target

Start = Callable[[], AbstractContextManager[Side]]

#: Calls of one measurement of publishes, messages that are pushed, and those that wait while memory is looked at.
PUBLISHES, PUSHED, WAITING = 12_000, 20_000, 100_000
#: Calls before a measurement: the emulator's virtual machine compiles what is hot.
WARM = 4_000


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all parts, or those that PUBSUB_PARTS names."""
    jar = emulator_jar()
    say(f"google's emulator: {jar or 'absent (set PUBSUB_EMULATOR to its jar, and have java on PATH)'}")
    sides: list[Start] = [ours, *([emulator] if jar else [])]
    runs = int(os.environ.get("PUBSUB_RUNS", "3"))
    wanted = os.environ.get("PUBSUB_PARTS", "").split()
    results: dict[str, Any] = {"emulator": bool(jar)}
    with target() as receiver:
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "publish": lambda: _each(sides, runs, _publish, ("publish", 2, 8)),
            "publish_official_client": lambda: _each(sides, 1, _publish, ("official", 1, 16)),
            "push": lambda: _each(sides, runs, _push, receiver),
            "push_latency_ms": lambda: _each(sides, runs, _latency, receiver),
            "memory_mb": lambda: _each(sides, 1, _memory, None),
        }
        for name, part in parts.items():
            if not wanted or name in wanted:
                results[name] = part()
                for side, values in results[name].items():
                    say(f"{name}: {side}: {values}")
    return results


def _each(
    sides: list[Start], runs: int, measure: Callable[[Side, Any], dict[str, float]], given: Any
) -> dict[str, Any]:
    """The median of each figure over the runs, a fresh process each, the sides in turn."""
    seen: dict[str, list[dict[str, float]]] = {}
    for _ in range(runs):
        for start in sides:
            with start() as side:
                seen.setdefault(side.name, []).append({"start_s": round(side.started_in, 2), **measure(side, given)})
    return {
        name: {key: round(statistics.median(one[key] for one in found), 2) for key in found[0]}
        for name, found in seen.items()
    }


def _publish(side: Side, how: tuple[str, int, int]) -> dict[str, float]:
    """Publishes a second of one message each by 16 callers, and CPU a publish; one pull subscription is attached."""
    kind, processes, callers = how
    topic = side.topic("publish")
    side.subscription(topic, "publish")
    side.load(processes, kind, str(WARM // processes), str(callers), topic)
    count, before = PUBLISHES // processes, side.cpu()
    seen = side.load(processes, kind, str(count), str(callers), topic)
    cpu = (side.cpu() - before) / (count * processes)
    span = max(one["ended"] for one in seen) - min(one["began"] for one in seen)
    return {"a_second": round(count * processes / span), "cpu_us": round(cpu * 1e6)}


def _push(side: Side, receiver: Target) -> dict[str, float]:
    """Pushes a second of a backlog that is there before the subscription begins to push, and CPU a push."""
    topic = side.topic("push")
    side.subscription(topic, "warm", endpoint=f"{receiver.url}/warm")
    receiver.ask("/_reset")
    side.load(1, "fill", str(WARM), topic)
    receiver.wait(WARM)
    other = side.topic("backlog")
    subscription = side.subscription(other, "backlog")
    side.load(1, "fill", str(PUSHED), other)
    receiver.ask("/_reset")
    before = side.cpu()
    side.pushes_to(subscription, f"{receiver.url}/push")
    seen = receiver.wait(PUSHED)
    cpu, span = side.cpu() - before, max(seen["last"] - seen["first"], 1e-9)
    return {
        "a_second": round(seen["count"] / span),
        "cpu_us": round(cpu / max(seen["count"], 1) * 1e6),
        "lost": PUSHED - seen["count"],
    }


def _latency(side: Side, receiver: Target) -> dict[str, float]:
    """Milliseconds from before the publish to the push's receipt, at about 50 messages a second."""
    topic = side.topic("light")
    side.subscription(topic, "light", endpoint=f"{receiver.url}/log")
    side.load(1, "latency", "100", "0.02", topic)
    receiver.wait(receiver.ask("/_stats")["count"], patience=1)
    receiver.ask("/_log")
    began = side.load(1, "latency", "300", "0.02", topic)[0]
    receiver.wait(receiver.ask("/_stats")["count"], patience=1)
    came: dict[str, float] = {}
    for name, at in receiver.ask("/_log"):
        came.setdefault(name, at)
    took = [(came[name] - at) * 1e3 for name, at in began.items() if name in came]
    return {"p50": percentile(took, 0.5), "p99": percentile(took, 0.99), "n": len(took)}


def _memory(side: Side, _: Any) -> dict[str, float]:
    """MB after the start, with a backlog of messages, and what a backlog of 100,000 adds."""
    topic = side.topic("memory")
    side.subscription(topic, "memory")
    side.load(1, "fill", "100", topic)
    idle = side.memory()
    side.load(1, "fill", str(WAITING), topic)
    full = side.memory()
    return {"idle": idle, "waiting": full, "more": full - idle}
