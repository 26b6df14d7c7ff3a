"""Memory of Cloud Tasks' emulators with tasks waiting and after they are done, and how soon waiting tasks are back."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from bench._tasks_sides import Side, Target, ours
from bench._tasks_speed import Start, lowest_and_middle

#: Far enough ahead that nothing is dispatched while we measure.
LATER = 3600.0


def waiting(target: Target, count: int, sides: list[Start]) -> dict[str, Any]:
    """MB more with so many unnamed tasks waiting in a queue, for each 100,000."""
    result: dict[str, Any] = {}
    for start in sides:
        with start() as side:
            queue = side.queue("waiting", rate=500)
            side.fill([queue], target.url, 100, at=time.time() + LATER)
            before = side.memory()
            side.fill([queue], target.url, count, at=time.time() + LATER)
            result[side.name] = round((side.memory() - before) / count * 100_000, 1)
    return result


def finished(target: Target, count: int, sides: list[Start]) -> dict[str, Any]:
    """Memory before any task and after so many named ones were created in waves of 50,000, dispatched and done."""
    result: dict[str, Any] = {}
    for start in sides:
        with start() as side:
            queue = side.queue("finished", rate=1e6)
            wave = min(count, 50_000)
            _wave(target, side, queue, 1000)
            before, peak = side.memory(), 0.0
            for _ in range(count // wave):
                _wave(target, side, queue, wave)
                peak = max(peak, side.memory())
            time.sleep(2)
            after = side.memory()
            figures = {"before_mb": round(before, 1), "after_mb": round(after, 1), "peak_mb": round(peak, 1)}
            result[side.name] = {"tasks": count, **figures}
    return result


def _wave(target: Target, side: Side, queue: str, count: int) -> None:
    target.ask("/_reset")
    side.fill([queue], f"{target.url}/done", count, at=0.0, named=True)
    seen = target.wait(count)
    if seen["count"] < count:
        raise RuntimeError(f"{side.name} dispatched {seen['count']} of {count} tasks")


def restart(target: Target, count: int, times: int) -> dict[str, Any]:
    """Seconds until our cloud takes calls again on a state of so many waiting tasks, after a kill -9."""
    with tempfile.TemporaryDirectory() as folder:
        state = Path(folder) / "state"
        with ours(state) as side:
            side.fill([side.queue("kept", rate=500)], target.url, count, at=time.time() + LATER)
            side.kill()
        took = []
        for _ in range(times):
            with ours(state) as side:
                took.append(side.started_in)
                side.kill()
    return {"tasks": count, **lowest_and_middle(took), "mean": round(statistics.mean(took), 3)}
