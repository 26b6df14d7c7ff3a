"""`sluice resend` in a test's loop: all services of all flows, Cloud Tasks, and messages that come to nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from ops import app, place
from ops.errors import CallFailed
from ops.queues import pace
from tests.service_code import gathering
from tests.service_code.dead_here import Here
from tests.service_code.town import SERVICES, Town
from tests.service_code.world import World, routes

#: How gcsplit may split: on one of the two ways, or asking gcsplit2 for its estimate.
WAYS = {"single": {"payout": 0}, "staged": {"payout": 100}, "asking": {"payout": 0, "estimate": 100}}
PARENT = "projects/p/locations/us-central1"


@dataclass
class Stack(Here):
    """What `ops.place.Place` has, with Cloud Tasks."""

    parent: str = PARENT

    def call(self, one: str, two: str, three: str, body: Any = None) -> Any:
        """A door's call, and Cloud Tasks' ("tasks", "GET", path)."""
        if one != "tasks":
            return super().call(one, two, three, body)
        queue, _, name = three.removeprefix(f"/v2/{PARENT}/queues/").partition("/tasks/")
        for task in self.world.outer.tasks:
            if (task.queue, task.name) == (queue, name):
                return {"name": name, "scheduleTime": "2027-01-15T08:00:00Z", "dispatchCount": 1}
        raise CallFailed("no such task", status=404)


class Resent(Town):
    """A town whose splitter may change, and the command."""

    def __init__(self, world: World, stack: AsyncExitStack, printed: pytest.CaptureFixture[str]) -> None:
        super().__init__(world, {})
        self._stack = stack
        self._printed = printed
        self.here = Stack(world, self.running, asyncio.get_running_loop())

    async def split(self, way: str) -> None:
        """Let payments be split so from now on."""
        self.running["gcsplit"] = await self._stack.enter_async_context(
            self.world.run("gcsplit", ROUTES=routes(**WAYS[way]))
        )

    async def lose(self, queue: str, **more: Any) -> str:
        """A payment whose message in this queue comes to nothing: acknowledged without effect, given up or purged."""
        unique_id = await self.pay(queue, **more)
        await self.deliver(but=(queue,))
        return unique_id

    async def resend(self, *words: str, ends: int = 0) -> Any:
        """The JSON value of `sluice resend ... --yes --json`; `ends` is its exit status."""
        self._printed.readouterr()
        code = await asyncio.to_thread(app.main, ["resend", *words, "--yes", "--json"])
        shown = self._printed.readouterr()
        assert code == ends, shown
        return json.loads(shown.out)

    async def said(self, *words: str, ends: int = 0) -> list[tuple[str, str]]:
        """Stage and status of each answer."""
        return [(one["stage"], one["status"]) for one in (await self.resend(*words, ends=ends))["answers"]]


Start = Callable[..., Awaitable[Resent]]


@asynccontextmanager
async def resending(
    world: World, monkeypatch: pytest.MonkeyPatch, printed: pytest.CaptureFixture[str]
) -> AsyncIterator[Start]:
    """Start services of all flows."""
    async with AsyncExitStack() as stack:

        async def start(*services: str) -> Resent:
            world.outer.price = gathering.PRICE
            more = {"THRESHOLD_BY_CHANNEL": f'{{"{gathering.CHANNEL}": "200"}}'}
            town = Resent(world, stack, printed)
            for name in services or SERVICES:
                if name != "gcsplit":
                    town.running[name] = await stack.enter_async_context(world.run(name, **more))
            await town.split("staged")
            monkeypatch.setattr(place, "of", lambda _stack: town.here)
            monkeypatch.setattr(pace, "pause", lambda _seconds: None)
            return town

        yield start
