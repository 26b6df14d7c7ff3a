"""Who runs calls: a few tasks that take unary calls one after another, and a task for each call that streams.

Most handlers never wait: making a task for each would cost as much as they do. A worker whose call does wait is that
call's for so long, and another takes over. All calls of one turn wait for the disk together. Owns tasks, no meaning.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from local_cloud.errors import ApiError
from local_cloud.server.rpc.call import Call

#: Calls that a worker handles before it lets go of the loop and waits for the disk.
AT_ONCE = 32
#: Workers that are kept for later.
MOST_IDLE = 32

_INTERNAL = ApiError("INTERNAL", "Internal error encountered.")


class Workers:
    """The workers of one door. `on_disk` gives what is to be waited for before an answer, or None."""

    def __init__(self, on_disk: Callable[[], Awaitable[None] | None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_disk = on_disk
        self._queue: deque[Call] = deque()
        self._handled: list[Call] = []
        self._idle: list[asyncio.Future[None]] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking = False
        self._watched: list[Call] = []

    def submit(self, call: Call) -> None:
        """Queues a unary call."""
        self._queue.append(call)
        if not self._waking:
            self._wake()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs a call that streams."""
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def watch(self, call: Call) -> None:
        """Sets a call's timer, unless it is through before there is any use in it."""
        if not self._watched:
            self._loop.call_soon(self._loop.call_soon, self._arm, self._loop.time())
        self._watched.append(call)

    def stop(self) -> None:
        """Ends all that is still at work."""
        for task in list(self._tasks):
            task.cancel()

    def _arm(self, received: float) -> None:
        watched, self._watched = self._watched, []
        for call in watched:
            call.arm(self._loop, received)

    def _wake(self) -> None:
        self._waking = True
        while self._idle:
            idle = self._idle.pop()
            if not idle.done():
                idle.set_result(None)
                break
        else:
            self.spawn(self._work())
        self._loop.call_soon(self._look)

    def _look(self) -> None:
        """A turn later: whoever was woken has done its part, or stands still in a call that waits."""
        if self._queue or self._handled:
            self._wake()
        else:
            self._waking = False

    async def _work(self) -> None:
        me = asyncio.current_task()
        while True:
            for _ in range(AT_ONCE):
                if not self._queue:
                    break
                call = self._queue.popleft()
                if not call.over:
                    call.task = me
                    try:
                        await call.run.handle()
                    except Exception as error:
                        self._mistake(call, error)
                    call.task = None
                    call.handled = True
                    self._handled.append(call)
            if self._handled:
                handled, self._handled = self._handled, []
                await self._answer(handled)
            elif len(self._idle) >= MOST_IDLE:
                return
            else:
                idle = self._loop.create_future()
                self._idle.append(idle)
                await idle

    async def _answer(self, calls: list[Call]) -> None:
        failure: ApiError | None = None
        if (wait := self._on_disk()) is not None:
            try:
                await wait
            except Exception:
                failure = _INTERNAL
        for call in calls:
            try:
                result = call.run.end(failure)
            except Exception as error:
                self._mistake(call, error)
                continue
            if isinstance(result, ApiError):
                call.refuse(result)
            else:
                call.answer(result)

    def _mistake(self, call: Call, error: Exception) -> None:
        """An error that whoever runs the call should have made an answer of."""
        call.refuse(_INTERNAL)
        self._loop.call_exception_handler({"message": "A call ended in an error of our own", "exception": error})

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            told = {"message": "A call ended in an error of our own", "exception": error, "task": task}
            self._loop.call_exception_handler(told)
