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
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from local_cloud.engines.forks import ForkError, ForkServer, Image, Start
from local_cloud.engines.instances import Instance, StartError
from local_cloud.engines.probes import Later, Probe, Watch, later

#: An instance without a request for this long is stopped (Google: up to 15 minutes).
IDLE_TIMEOUT = 900.0
#: A request waits at most this long for a free instance before it is a 429 (Google: 10 s or 3.5 times the startup).
QUEUE_PATIENCE = 10.0
#: A revision whose instances do not start waits before the next try, doubling up to the second figure.
RESTART_WAIT = (0.5, 30.0)

Output = Callable[[Instance, str, str], None]


class NoInstanceError(Exception):
    """The request was aborted because there was no available instance."""


class DisabledError(NoInstanceError):
    """The service is scaled to no instances at all, by hand."""


async def no_volumes() -> Sequence[Mapping[str, Any]]:
    """What most instances have mounted."""
    return ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All that it takes to start and scale a revision's instances."""

    name: str
    title: str
    args: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    workdir: str = ""
    #: Called at each start, since a secret by alias and its permission are read then.
    environment: Callable[[], Awaitable[Mapping[str, str]]]
    #: What is mounted, with the contents that it has at this start; and the folder that mounting needs.
    volumes: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]] = no_volumes
    staging: str = ""
    concurrency: int = 80
    min_instances: int = 0
    max_instances: int = 100
    probe: Probe = field(default_factory=Probe)
    liveness: Probe | None = None
    readiness: Probe | None = None
    freeze: bool = False
    #: By which clock the two are asked.
    later: Later = later

    async def start(self) -> Start:
        """What a process of this moment is started with."""
        return Start(
            title=self.title,
            env=await self.environment(),
            args=self.args,
            command=self.command,
            workdir=self.workdir,
            volumes=await self.volumes(),
            staging=self.staging,
        )


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
        #: Those that ended since the metrics were asked for last.
        self.gone: deque[Instance] = deque(maxlen=100)
        self.idle = idle
        #: The scaling that holds now: the plan's, unless the service says otherwise.
        self.minimum, self.maximum = plan.min_instances, plan.max_instances
        #: How many more instances the service as a whole may have.
        self.room: Callable[[], int] = lambda: plan.max_instances
        self.last_error: str | None = None
        self._server = server
        self._output = output
        self._waiting: deque[asyncio.Future[Instance]] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures = 0
        self._not_before = 0.0
        self._closed = False

    @asynccontextmanager
    async def request(
        self, patience: float = QUEUE_PATIENCE, *, prefer: str = "", bounded: bool = True
    ) -> AsyncIterator[Instance]:
        """Hold a place at an instance for one request; NoInstanceError or StartError when there is none.

        `prefer` is the id of the instance that a session had before; it is taken where it has a place. Unbounded, it
        gets an instance whatever the maximum says.
        """
        instance = await self._acquire(patience, prefer, bounded)
        try:
            yield instance
        finally:
            instance.leave()
            self._hand_out()

    async def _acquire(self, patience: float, prefer: str, bounded: bool) -> Instance:
        if bounded and self.maximum <= 0:
            raise DisabledError
        free = self._free(prefer)
        if free is not None and not self._waiting:
            free.enter()
            return free
        waiting: asyncio.Future[Instance] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        self._scale()
        if not bounded and not self._starting():
            self._begin()
        cold = self.plan.probe.patience if self._starting() else 0
        try:
            async with asyncio.timeout(max(patience, cold)):
                return await waiting
        except TimeoutError:
            if waiting.cancelled() or not waiting.done():
                raise NoInstanceError from None
            return waiting.result()  # its place came in the very turn in which its time ran out
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                waiting.result().leave()
                self._hand_out()
            raise
        finally:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiting)

    def _free(self, prefer: str = "") -> Instance | None:
        full = self.plan.concurrency
        ready = [i for i in self.instances if i.state == "ready" and i.serving and i.in_flight < full]
        if prefer and (known := next((i for i in ready if i.id == prefer), None)):
            return known
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
        wanted = max(wanted, self.minimum - len(live))
        for _ in range(min(wanted, self.maximum - len(live), self.room())):
            self._begin()

    def _begin(self) -> None:
        instance = Instance(self.plan.name, freeze=self.plan.freeze)
        self.instances.append(instance)
        self._spawn(self._live(instance))

    async def _live(self, instance: Instance) -> None:
        """One instance's life."""
        try:
            if (wait := self._not_before - time.monotonic()) > 0:
                await asyncio.sleep(wait)
            await instance.start(
                await self._server(),
                await self.plan.start(),
                probe=self.plan.probe,
                line=lambda stream, text: self._output(instance, stream, text),
            )
        except StartError as error:
            instance.state = "gone"
            self._failed(str(error))
        except Exception as error:
            instance.state = "gone"
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "An instance's start failed unforeseen", "exception": error})
            self._failed(f"The local cloud could not start the instance: {type(error).__name__}: {error}")
        else:
            self._failures, self.last_error = 0, None
            watches = self._watch(instance)
            self._hand_out()
            try:
                await instance.ended()
            finally:
                for watch in watches:
                    watch.stop()
        finally:
            instance.kill()  # its process is over, unless the cloud itself went wrong
            self.instances.remove(instance)
            self.gone.append(instance)
        self._scale()

    def _watch(self, instance: Instance) -> list[Watch]:
        """Its health: a sick instance is killed and replaced, one that is not ready gets no requests for a while."""
        plan, found = self.plan, []

        def sick(healthy: bool) -> None:
            if not healthy and plan.liveness is not None:
                times = f"{plan.liveness.threshold} times consecutively"
                self._output(instance, "system", f"LIVENESS {plan.liveness.what} probe failed {times}.")
                instance.kill()

        def ready(healthy: bool) -> None:
            instance.serving = healthy
            self._hand_out()

        if plan.liveness is not None:
            found.append(Watch(plan.liveness, lambda: instance.look(plan.liveness or Probe()), sick, plan.later))
        if plan.readiness is not None:
            found.append(Watch(plan.readiness, lambda: instance.look(plan.readiness or Probe()), ready, plan.later))
        return found

    def _failed(self, why: str) -> None:
        """Nobody waits for an instance that cannot start; the minimum is tried again, later and later."""
        if self._closed:
            return
        first, ceiling = RESTART_WAIT
        self.last_error = why
        if self.minimum:
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
        """Start one instance and see it serve (a deployment's health check); raises StartError. It stays, warm.

        For the time of a deployment there may be one more than the maximum; the upkeep stops it again.
        """
        if self._free() is None:
            async with self.request(bounded=False):
                pass

    def reap(self) -> None:
        """Stop what has been idle for too long, down to the minimum."""
        now = time.monotonic()
        live = [i for i in self.instances if i.state in ("starting", "ready")]
        spare, over = len(live) - self.minimum, len(live) - self.maximum
        for place, instance in enumerate(sorted(live, key=lambda i: i.idle_since)[: max(spare, 0)]):
            overdue = now - instance.idle_since >= self.idle or place < over
            if instance.state == "ready" and not instance.in_flight and overdue:
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
