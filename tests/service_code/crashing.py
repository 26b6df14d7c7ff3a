"""Killing an instance of a service in the test's own loop, between any two of its awaits.

A `Life` counts the suspensions of every task that an instance starts, and at the one that was asked for it ends the
instance as `kill -9` would: no task of it takes another step, its connections are cut without a word (the database
rolls back what was not committed, a request that was sent may still be obeyed), and nothing is cleaned up. Whoever was
calling it gets DiedError in the place of an answer.

What a kill cuts short is the instance alone: stand-ins, node, database and other instances go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import weakref
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from service_code.kit import settings as settings_module
from service_code.kit.app import build
from service_code.kit.runtime import Kit
from tests.service_code.doors import Wire
from tests.service_code.world import ACCOUNT, Answer, Running, StaticAccess, World, ask

#: Throws that one coroutine of a dead instance gets before it counts as one that does not end.
MOST_THROWS = 100


class DiedError(RuntimeError):
    """The instance was killed while it worked, or had been before."""


class Gone(BaseException):
    """Ends the coroutines of a dead instance, whose effects can reach nobody any more."""


class Life:
    """The life of one instance: its tasks, its steps, and its death."""

    def __init__(self) -> None:
        self.dead = False
        #: Suspensions so far, in all its tasks.
        self.steps = 0
        self._last: int | None = None
        self._kit: Kit | None = None
        self._tasks: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()

    def die_at(self, step: int | None) -> None:
        """Die at the n-th suspension from now, the next one being 1; None: live on."""
        self._last = None if step is None else self.steps + step

    def holds(self, kit: Kit) -> None:
        """Take the kit whose connections a death cuts."""
        self._kit = kit

    async def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run work of the instance to its end, or raise DiedError."""
        if self.dead:
            work.close()
            raise DiedError("the instance is dead")
        try:
            return await self.start(work, asyncio.get_running_loop())
        except asyncio.CancelledError:
            if not self.dead:
                raise
            raise DiedError("the instance was killed") from None

    def start(self, work: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop, **more: Any) -> asyncio.Task[Any]:
        """Start a task of the instance; the tasks that it starts are the instance's too."""
        loop.set_task_factory(_factory)
        task: asyncio.Task[Any] = asyncio.Task(_Guarded(self, work), loop=loop, **more)
        self._tasks.add(task)
        _LIVES[task] = self
        return task

    def kill(self) -> None:
        """End everything at once: from here on no coroutine of the instance is driven on."""
        if self.dead:
            return
        self.dead = True
        # Cancelled first, so that nobody is left to hear of the cut.
        for task in list(self._tasks):
            task.cancel()
        if self._kit is not None:
            _cut(self._kit)

    def suspended(self, waited: Any) -> None:
        """Count a suspension, and die where it was the last."""
        self.steps += 1
        if self._last is not None and self.steps >= self._last:
            if isinstance(waited, asyncio.Future):
                waited.cancel()
            self.kill()


class _Guarded(Coroutine[Any, Any, Any]):
    """A coroutine of an instance: after the instance's death it is torn down in the place of its next step."""

    def __init__(self, life: Life, inner: Coroutine[Any, Any, Any]) -> None:
        self._life = life
        self._inner = inner

    def __await__(self) -> Any:
        raise TypeError("a guarded coroutine is driven by its task alone")

    def send(self, value: Any) -> Any:
        self._alive()
        waited = self._inner.send(value)
        self._life.suspended(waited)
        return waited

    def throw(self, *error: Any) -> Any:
        self._alive()
        waited = self._inner.throw(*error)
        self._life.suspended(waited)
        return waited

    def close(self) -> None:
        self._inner.close()

    def _alive(self) -> None:
        if not self._life.dead:
            return
        # Whatever it would wait for ends it further, and what it does meanwhile reaches nobody.
        with contextlib.suppress(BaseException):
            for _ in range(MOST_THROWS):
                self._inner.throw(Gone())
        raise asyncio.CancelledError


_LIVES: weakref.WeakKeyDictionary[asyncio.Task[Any], Life] = weakref.WeakKeyDictionary()


def _factory(loop: asyncio.AbstractEventLoop, work: Any, **more: Any) -> asyncio.Task[Any]:
    """Make a task; one that a task of an instance starts belongs to the instance."""
    parent = asyncio.current_task(loop) if asyncio._get_running_loop() is loop else None
    life = _LIVES.get(parent) if parent is not None else None
    if life is None:
        return asyncio.Task(work, loop=loop, **more)
    return life.start(work, loop, **more)


def _cut(kit: Kit) -> None:
    """Drop an instance's connections as the kernel does when a process ends."""
    if kit.db._pool is not None:
        kit.db._pool.terminate()
    session = kit.outside._session
    connector = session.connector if session is not None else None
    if session is None or connector is None:
        return
    for protocol in list(connector._acquired):
        if protocol.transport is not None:
            protocol.transport.abort()
    connector._close(abort_ssl=True)
    session.detach()


class Mortal(Running):
    """One instance of a service that can be killed."""

    def __init__(self, world: World, kit: Kit, app: Any, life: Life) -> None:
        super().__init__(world, kit, app)
        self.life = life

    async def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Call with these headers alone; DiedError in the place of an answer."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        answer: Answer = await self.life.run(ask(self.app, method, path, named, body))
        return answer


@asynccontextmanager
async def mortal(world: World, service: str, die_at: int | None = None, **more: str) -> AsyncIterator[Mortal]:
    """Run an instance that dies at the n-th suspension of its work, if it comes to that; a dead one is left lying."""
    module = importlib.import_module(f"service_code.{service}.app")
    stateless = getattr(module, "STATELESS", False)
    settings = settings_module.read(service, world.environ(service, **more), module.SECRETS, stateless=stateless)
    access = StaticAccess(lambda audience: world.token(service, ACCOUNT.format(service), audience=audience))
    kit, life = Kit(settings, clock=world.clock, access=access, outside=Wire(world.doors)), Life()
    app = build(kit, module.service(kit))
    life.holds(kit)
    await kit.open()
    life.die_at(die_at)
    try:
        yield Mortal(world, kit, app, life)
    finally:
        if not life.dead:
            await kit.close()
