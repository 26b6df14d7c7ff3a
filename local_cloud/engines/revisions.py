"""How many instances a revision has and which of them serves a request.

Owns scaling: a cold start at the first request, up to `concurrency` requests an instance and `max_instances`
instances, a queue before them, `min_instances` kept warm, the end of idle ones, a new one after a crash. Knows
nothing of HTTP or IAM.
Source: https://cloud.google.com/run/docs/about-instance-autoscaling and .../about-concurrency.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from local_cloud.engines.forks import ForkError, ForkServer, Image
from local_cloud.engines.instances import Instance, Probe, StartError

#: An instance without a request for this long is stopped (Google: up to 15 minutes).
IDLE_TIMEOUT = 900.0
#: A request waits at most this long for a free instance before it is a 429 (Google: 10 s or 3.5 times the startup).
QUEUE_PATIENCE = 10.0
#: A revision whose instances do not start waits before the next try, doubling up to the second figure.
RESTART_WAIT = (0.5, 30.0)

Output = Callable[[Instance, str, str], None]


class NoInstanceError(Exception):
    """The request was aborted because there was no available instance."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that it takes to start and scale a revision's instances."""

    name: str
    title: str
    args: tuple[str, ...] = ()
    #: Called at each start, since a secret by alias and its permission are read then.
    environment: Callable[[], Awaitable[Mapping[str, str]]]
    concurrency: int = 80
    min_instances: int = 0
    max_instances: int = 100
    probe: Probe = field(default_factory=Probe)
    freeze: bool = False


class ForkServers:
    """One running zygote an image digest, started when the first instance needs it."""

    def __init__(self) -> None:
        self.images: dict[str, Image] = {}
        self._servers: dict[str, ForkServer] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def register(self, image: Image) -> None:
        """Make code known under its digest; a changed manifest means a new zygote for what starts from now on."""
        self.images[image.digest] = image

    async def get(self, digest: str) -> ForkServer:
        """Find the zygote of an image, running."""
        image = self.images.get(digest)
        if image is None:
            raise StartError(f"Image '{digest}' not found.")
        async with self._locks.setdefault(digest, asyncio.Lock()):
            server = self._servers.get(digest)
            if server is not None and server.alive and server.image == image:
                return server
            server = ForkServer(image)
            try:
                await server.start()
            except (ForkError, OSError) as error:
                raise StartError(f"The image's process could not be started from {image.root}: {error}") from error
            self._servers[digest] = server
            return server

    async def stop(self) -> None:
        """End all of them."""
        await asyncio.gather(*(server.stop() for server in self._servers.values()))
        self._servers.clear()


class Revision:
    """The instances of one revision."""

    def __init__(
        self, plan: Plan, server: Callable[[], Awaitable[ForkServer]], output: Output, *, idle: float = IDLE_TIMEOUT
    ) -> None:
        self.plan = plan
        self.instances: list[Instance] = []
        self.idle = idle
        self.last_error: str | None = None
        self._server = server
        self._output = output
        self._waiting: deque[asyncio.Future[Instance]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._not_before = 0.0
        self._closed = False

    @asynccontextmanager
    async def request(self, patience: float = QUEUE_PATIENCE) -> AsyncIterator[Instance]:
        """Hold a place at an instance for one request; NoInstanceError or StartError when there is none."""
        instance = await self._acquire(patience)
        try:
            yield instance
        finally:
            instance.leave()
            self._hand_out()

    async def _acquire(self, patience: float) -> Instance:
        free = self._free()
        if free is not None and not self._waiting:
            free.enter()
            return free
        waiting: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._scale()
        cold = self.plan.probe.patience if self._starting() else 0
        try:
            async with asyncio.timeout(max(patience, cold)):
                return await waiting
        except TimeoutError:
            raise NoInstanceError from None
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                waiting.result().leave()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiting)

    def _free(self) -> Instance | None:
        ready = [i for i in self.instances if i.state == "ready" and i.in_flight < self.plan.concurrency]
        return min(ready, key=lambda i: i.in_flight, default=None)

    def _starting(self) -> int:
        return sum(i.state == "starting" for i in self.instances)

    def _hand_out(self) -> None:
        while self._waiting and (free := self._free()) is not None:
            waiting = self._waiting.popleft()
            if not waiting.done():
                free.enter()
                waiting.set_result(free)

    def _scale(self) -> None:
        """Start as many instances as the waiting requests and the minimum ask for, within the maximum."""
        if self._closed:
            return
        live = [i for i in self.instances if i.state in ("starting", "ready")]
        starting = self._starting()
        wanted = -(-len(self._waiting) // self.plan.concurrency) - starting
        wanted = max(wanted, self.plan.min_instances - len(live))
        for _ in range(min(wanted, self.plan.max_instances - len(live))):
            instance = Instance(self.plan.name, freeze=self.plan.freeze)
            self.instances.append(instance)
            self._spawn(self._live(instance))

    async def _live(self, instance: Instance) -> None:
        """One instance's life."""
        try:
            if (wait := self._not_before - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            environment = await self.plan.environment()
            await instance.start(
                await self._server(), title=self.plan.title, args=self.plan.args, env=environment,
                probe=self.plan.probe, line=lambda stream, text: self._output(instance, stream, text),
            )  # fmt: skip
        except StartError as error:
            instance.state = "gone"
            self._failed(str(error))
        else:
            self._failures, self.last_error = 0, None
            self._hand_out()
            await instance.ended()
        finally:
            self.instances.remove(instance)
        self._scale()

    def _failed(self, why: str) -> None:
        """Nobody waits for an instance that cannot start; the minimum is tried again, later and later."""
        if self._closed:
            return
        first, ceiling = RESTART_WAIT
        self.last_error = why
        if self.plan.min_instances:
            self._not_before = time.monotonic() + min(first * 2**self._failures, ceiling)
        self._failures += 1
        if not any(i.state == "ready" for i in self.instances):
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_exception(StartError(why))
            self._waiting.clear()

    def warm(self) -> None:
        """Bring it up to its minimum."""
        self._scale()

    async def check(self) -> None:
        """Start one instance and see it serve (a deployment's health check); raises StartError. It stays, warm."""
        if self._free() is None:
            async with self.request():
                pass

    def reap(self) -> None:
        """Stop what has been idle for too long, down to the minimum."""
        now = time.monotonic()
        live = [i for i in self.instances if i.state in ("starting", "ready")]
        spare = len(live) - self.plan.min_instances
        for instance in sorted(live, key=lambda i: i.idle_since)[: max(spare, 0)]:
            if instance.state == "ready" and not instance.in_flight and now - instance.idle_since >= self.idle:
                self._spawn(instance.stop())
                instance.state = "stopping"

    async def stop(self) -> None:
        """Stop all instances, each with its grace, and refuse what still waits."""
        self._closed = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(NoInstanceError())
        await asyncio.gather(*(i.stop() for i in list(self.instances)))
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _spawn(self, life: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(life)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
