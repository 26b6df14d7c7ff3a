"""`sluice reconcile` in a test's loop: the services behind it, and what it printed. Its fixtures are conftest's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from ops import app
from ops.errors import CallFailed
from ops.reconcile.helps import Helps
from ops.verbs import reconcile
from tests.service_code.conftest import Chain
from tests.service_code.outer import Task
from tests.service_code.town import Town
from tests.service_code.world import QUEUES, Running, World

SERVICES = ("gcwebhook", "gcsplit", "gchostpay", "paynowwebhook", "paynowworker")
PAYOUTS = "hostpay-execution-queue"


@dataclass
class Loop:
    """The services of a test's loop and its stand-in for Cloud Tasks, as the command reaches them from its thread."""

    world: World
    running: dict[str, Running]
    loop: asyncio.AbstractEventLoop
    paused: set[str] = field(default_factory=set)
    before: dict[str, list[Callable[[], Awaitable[Any]]]] = field(default_factory=dict)
    given: dict[str, int] = field(default_factory=dict)
    location: str = "projects/p/locations/us-central1"
    helps: Helps = field(default_factory=Helps)

    def call(self, service: str, path: str) -> Any:
        answer = asyncio.run_coroutine_threadsafe(self._ask(service, path), self.loop).result(30)
        if answer.status >= 400:
            raise CallFailed(f"{path} was answered {answer.status}", status=answer.status, body=answer.text)
        return answer.json()

    async def _ask(self, service: str, path: str) -> Any:
        if hooks := self.before.get(path.partition("?")[0]):
            await hooks.pop(0)()
        return await self.running[service].operate("GET", path)

    def tasks(self, path: str) -> Any:
        names = path.partition("?")[0].removeprefix(f"/v2/{self.location}/queues").strip("/").split("/")
        if names == [""]:
            states = {True: "PAUSED", False: "RUNNING"}
            listed = [{"name": f"{self.location}/queues/{q}", "state": states[q in self.paused]} for q in QUEUES]
            return {"queues": listed}
        tasks = [task for task in self.world.outer.tasks if task.queue == names[0]]
        if len(names) == 2:
            return {"tasks": [self._shown(task) for task in tasks]}
        for task in tasks:
            if task.name == names[2]:
                return self._shown(task)
        raise CallFailed("no such task", status=404)

    def funded(self, address: str) -> dict[str, int]:
        assert address == self.world.wallet.address
        return self.given

    def _shown(self, task: Task) -> dict[str, Any]:
        at = datetime.fromtimestamp(task.scheduled or self.world.clock.at, UTC)
        return {"name": task.name, "scheduleTime": at.isoformat().replace("+00:00", "Z"), "dispatchCount": 2}


class Reconciled:
    """What the command printed."""

    def __init__(self, code: int, told: dict[str, Any]) -> None:
        self.code = code
        self.told = told

    def of(self, about: str) -> list[dict[str, Any]]:
        return [one for one in self.told["findings"] if one["about"] == about]

    def one(self, about: str, kind: str) -> dict[str, Any]:
        (found,) = [one for one in self.of(about) if one["kind"] == kind]
        return dict(found)

    @property
    def differences(self) -> dict[str, int]:
        """Accounts whose sums differ; the wallet's funding is no difference."""
        sums = {f"{one['what']} {one['currency']}": int(one["difference"]) for one in self.told["sums"]}
        return {name: difference for name, difference in sums.items() if difference and "host_wallet" not in name}


Look = Callable[..., Awaitable[Reconciled]]


@pytest.fixture
async def town(world: World, chain: Chain) -> AsyncIterator[Town]:
    async with AsyncExitStack() as stack:
        yield Town(world, {name: await stack.enter_async_context(world.run(name)) for name in SERVICES})


@pytest.fixture
def loop(world: World, monkeypatch: pytest.MonkeyPatch) -> Loop:
    made = Loop(world, {}, asyncio.get_event_loop_policy().get_event_loop())
    monkeypatch.setattr(reconcile, "of_stack", lambda _stack: made)
    return made


@pytest.fixture
async def look(loop: Loop, log_lines: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]) -> Look:
    loop.loop = asyncio.get_running_loop()

    async def run(running: dict[str, Running], *more: str) -> Reconciled:
        loop.running = running
        capsys.readouterr()
        code = await asyncio.to_thread(app.main, ["reconcile", "--json", "--pause", "0", *more])
        return Reconciled(code, json.loads(capsys.readouterr().out))

    return run
