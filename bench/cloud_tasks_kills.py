"""200 times kill -9 while 100,000 tasks are created and dispatched: none that was acknowledged is lost.

The judge is the receiver's own record. In each life 16 callers create named tasks in ten queues, which dispatch at
once, until the next 500 are acknowledged and the process is killed in the middle of it; then it starts again on the
same state. Counted are tasks that were acknowledged and never came (the aim is 0), repeats (attempts whose answer was
not on disk yet at the kill: at-least-once delivery), and how soon the cloud takes calls again. KILLS is how many (200).
"""

from __future__ import annotations

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import uvloop

from bench._measure import NotKeptError, percentile
from bench._tasks_load import CREATE, request
from bench._tasks_sides import Side, Target, ours, target

#: Acknowledged creates of one life, and the queues that they go to.
LIFE, QUEUES = 500, 10
#: Callers at a time.
CALLERS = 16


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Kill, start again, and at the end let everything be dispatched."""
    kills = int(os.environ.get("KILLS", "200"))
    chance = random.Random(4)
    acknowledged: set[str] = set()
    came: Counter[str] = Counter()
    ready: list[float] = []
    with tempfile.TemporaryDirectory() as folder, target() as receiver:
        state = Path(folder) / "state"
        queues: list[str] = []
        for life in range(kills):
            with ours(state) as side:
                queues = queues or [side.queue(f"kills-{index}", rate=500) for index in range(QUEUES)]
                ready += [side.started_in] if life else []
                acknowledged |= uvloop.run(_live(side, queues, receiver.url, life, chance.randrange(LIFE // 5)))
            came.update(name for name, _ in receiver.ask("/_log"))
            if (life + 1) % 20 == 0:
                say(f"{life + 1} kills: {len(acknowledged)} acknowledged, {len(came)} came")
        with ours(state) as side:
            ready.append(side.started_in)
            _drained(side, queues, receiver)
            came.update(name for name, _ in receiver.ask("/_log"))
    result = {
        "kills": kills,
        "acknowledged": len(acknowledged),
        "lost": len(acknowledged - set(came)),
        "came_again": sum(count - 1 for count in came.values()),
        "ready_s": {
            "p50": round(percentile(ready, 0.5), 2),
            "p99": round(percentile(ready, 0.99), 2),
            "max": round(max(ready), 2),
        },
    }
    say(str(result))
    if result["lost"]:
        raise NotKeptError(f"{result['lost']} tasks that were acknowledged never came", result)
    return result


async def _live(side: Side, queues: list[str], url: str, life: int, extra: int) -> set[str]:
    """One life: creates until LIFE are acknowledged and a few more are on their way, then the kill."""
    done: set[str] = set()
    serial, killed = 0, asyncio.Event()
    async with grpc.aio.insecure_channel(side.address) as channel:
        call: Any = channel.unary_unary(CREATE)

        async def caller() -> None:
            nonlocal serial
            while not killed.is_set():
                serial += 1
                name = f"k{life}-{serial}"
                queue = queues[serial % len(queues)]
                try:
                    encoded = request(queue, f"{url}/log", name=f"{queue}/tasks/{name}").SerializeToString()
                    await call(encoded, timeout=20)
                except grpc.aio.AioRpcError:
                    return
                done.add(name)
                if len(done) == LIFE + extra and not killed.is_set():
                    killed.set()
                    side.kill()

        await asyncio.gather(*(caller() for _ in range(CALLERS)))
    return done


def _drained(side: Side, queues: list[str], receiver: Target) -> None:
    """Waits until nothing is left in any queue."""
    patience = time.monotonic() + 120
    while any(next(iter(side.client.list_tasks(parent=queue)), None) for queue in queues):
        if time.monotonic() > patience:
            raise RuntimeError("tasks are left in the queues after two minutes")
        receiver.wait(receiver.ask("/_stats")["count"] + 1, patience=0.5)
