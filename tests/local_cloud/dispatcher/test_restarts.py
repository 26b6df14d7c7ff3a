"""The dispatcher after its end: tasks, counts and attempts in flight are taken up again from the journal."""

import asyncio
import json
import time
from pathlib import Path

from tests.local_cloud.dispatcher.room import HOSTPAY, NAME, room_at
from tests.local_cloud.receiver import receiver


async def test_a_restart_goes_on_where_tasks_were(tmp_path: Path) -> None:
    async with room_at(tmp_path) as room, receiver(room.clock.now) as there:
        there.answers = [500, 200]
        queue = room.open(retry=HOSTPAY)
        room.add(queue, "tried", there.url, named=True)
        await room.clock.settle()
        done = room.add(queue, "done", there.url, named=True)
        await room.clock.settle()
        assert done.gone
        later = [room.add(queue, f"later{index}", there.url, after=60) for index in range(20)]
        await room.store.committed()
        port = there.port
    async with room_at(tmp_path) as room:
        queue = room.open(retry=HOSTPAY)
        assert list(queue.tasks) == ["tried", *(task.id for task in later)]
        assert room.journal.is_buried(f"{NAME}/tasks/done")
        tried = queue.tasks["tried"]
        assert (tried.dispatched, tried.responses, tried.executions, tried.named) == (1, 1, 0, True)
        assert tried.last is not None
        assert tried.last.message == "INTERNAL(13): HTTP status code 500"
        assert str(port) in tried.spec.decode()


async def test_an_attempt_in_flight_at_the_end_is_repeated_and_counted(tmp_path: Path) -> None:
    async with receiver(time.time) as there:
        there.hold = asyncio.Event()
        async with room_at(tmp_path) as room:
            room.add(room.open(), "t", there.url)
            await there.arrived(1)
    async with room_at(tmp_path) as room, receiver(room.clock.now) as there:
        row = room.journal.tasks(NAME)[0]
        assert row.dispatched == 1
        row.spec = json.dumps({"url": there.url}).encode()
        queue = room.open()
        request = (await there.arrived(1))[0]
        await room.clock.settle()
        assert request.header("X-CloudTasks-TaskRetryCount") == "1"
        assert not queue.tasks
