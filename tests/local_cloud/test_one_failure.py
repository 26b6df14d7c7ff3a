"""What fails for one does not hold up the others that share a commit with it."""

import asyncio
from pathlib import Path
from typing import Any

from local_cloud.engines.backoff import RetryPolicy
from local_cloud.engines.outgoing import Call, Origin
from local_cloud.engines.queues import Limits
from local_cloud.engines.tasks import Task
from local_cloud.store import Store
from tests.local_cloud.virtual import START, World


async def test_a_callback_that_fails_holds_up_nobody_who_waits_for_the_commit(tmp_path: Path) -> None:
    told: list[Any] = []
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))

    def fail() -> None:
        raise RuntimeError("a mistake")

    store = Store(tmp_path)
    kept = store.json("things")
    kept["a"] = 1
    store.after_commit(fail)
    store.after_commit(lambda: told.append("the next"))
    waiting = asyncio.ensure_future(store.committed())
    for _ in range(5):  # the change comes alone: it is written on the loop, within a few turns of it
        await asyncio.sleep(0)
    assert waiting.done()
    assert told == ["the next"]
    assert [str(one["exception"]) for one in reported] == ["a mistake"]
    kept["b"] = 2
    await store.committed()
    await store.close()


def test_an_attempt_that_cannot_be_sent_fails_alone() -> None:
    class Torn(World):
        def send(self, origin: Origin, request: bytes, done: Any, head: bool = False) -> Call:
            call = super().send(origin, request, done, head)
            if len(self.sent) == 1:
                raise OSError("no more files")
            return call

    world = Torn()
    world.answer = lambda: (1.0, 200)
    policy = RetryPolicy(min_backoff=5, max_backoff=5)
    queue = world.dispatcher.open("q", Limits(rate=500, concurrent=10, retry=policy), None)
    tasks = [Task(name, b"", created=START, schedule=START, named=False) for name in "abc"]
    for task in tasks:
        world.dispatcher.add(queue, task)
    world.run(START + 0.5)
    assert (world.dispatcher.in_flight, len(world.sent)) == (2, 3)
    assert tasks[0].last is not None
    assert tasks[0].last.message == "INTERNAL(13): OSError('no more files')"
    world.run(START + 10)
    assert world.over == dict.fromkeys("abc", "done")
    assert world.dispatcher.in_flight == 0
