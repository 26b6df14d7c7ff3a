"""`sluice dead` in a test's loop: the services behind it, and Pub/Sub's dead-letter subscription as it calls it."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from ops import app, place
from ops.errors import CallFailed
from ops.queues import pace
from tests.service_code.outer import Pushed
from tests.service_code.paynow import waiting
from tests.service_code.world import Running, World

DLQ = "paynow-events-dlq"
SERVICES = ("gcwebhook", "gcsplit", "paynowwebhook", "paynowworker")


@dataclass
class Here:
    """A stack in the test's loop, with what `ops.place.Place` has that these verbs use."""

    world: World
    running: dict[str, Running]
    loop: asyncio.AbstractEventLoop
    stack: str = "local"
    local: bool = True
    project: str = "p"
    who: str = "ann@laptop"
    #: What lies in the subscription, and which of it is held by whom pulled it.
    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    audited: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    #: Called with the API's verb, or a door's path, before the call is made; may raise.
    before: Callable[[str], None] = field(default=lambda _what: None)
    _numbers: Any = field(default_factory=lambda: itertools.count(1000))

    @property
    def doors(self) -> Here:
        return self

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.world.clock.at, UTC)

    def audit(self, verb: str, subject: str, **detail: Any) -> None:
        self.audited.append((verb, subject, detail))

    def put(self, data: bytes, key: str = "", **attributes: str) -> str:
        """Lay a message into the subscription."""
        id_ = str(next(self._numbers))
        message = {
            "messageId": id_, "data": base64.b64encode(data).decode(), "attributes": attributes,
            "publishTime": self.now().isoformat().replace("+00:00", "Z"), "orderingKey": key,
        }  # fmt: skip
        self.messages[id_] = {name: value for name, value in message.items() if value}
        return id_

    def carry(self) -> list[Pushed]:
        """Bring what was published for the dead-letter topic into the subscription."""
        found = waiting(self.world, DLQ)
        for one in found:
            self.put(one.data, one.ordering_key, **one.attributes)
        return found

    def call(self, one: str, two: str, three: str, body: Any = None) -> Any:
        """Both calls: a door's (method, service, path), and Pub/Sub's ("pubsub", method, path)."""
        if one == "pubsub":
            return self._pubsub(three.rpartition(":")[2], body)
        self.before(three)
        request = self.running[two].operate(one, three, body)
        answer = asyncio.run_coroutine_threadsafe(request, self.loop).result(30)
        if answer.status >= 400:
            raise CallFailed(f"{three} was answered {answer.status}", status=answer.status, body=answer.text)
        return answer.json()

    def _pubsub(self, verb: str, body: Any) -> Any:
        self.before(verb)
        if verb == "pull":
            free = [id_ for id_ in self.messages if id_ not in self.held][: body["maxMessages"]]
            self.held |= set(free)
            return {"receivedMessages": [{"ackId": f"ack-{id_}", "message": self.messages[id_]} for id_ in free]}
        ids = {ack.removeprefix("ack-") for ack in body["ackIds"]}
        if verb == "acknowledge":
            self.messages = {id_: one for id_, one in self.messages.items() if id_ not in ids}
        elif body["ackDeadlineSeconds"] == 0:
            self.held -= ids
        return {}


@dataclass
class Command:
    """Runs the command line beside the loop."""

    here: Here
    printed: pytest.CaptureFixture[str]
    code: int = 0

    async def __call__(self, *words: str, ends: int = 0) -> Any:
        """The JSON value of `sluice dead ...`; `ends` is its exit status."""
        out = (await self.text(*words, "--json", ends=ends)).strip()
        return json.loads(out) if out else None

    async def text(self, *words: str, ends: int = 0) -> str:
        """What it prints for people."""
        self.printed.readouterr()
        self.code = await asyncio.to_thread(app.main, ["dead", *words])
        shown = self.printed.readouterr()
        assert self.code == ends, shown
        return shown.out if not ends else shown.out + ("" if "--json" in words else shown.err)


@asynccontextmanager
async def commanded(
    world: World, monkeypatch: pytest.MonkeyPatch, printed: pytest.CaptureFixture[str]
) -> AsyncIterator[Command]:
    """The command line over running services, at no rate."""
    async with AsyncExitStack() as stack:
        running = {name: await stack.enter_async_context(world.run(name)) for name in SERVICES}
        here = Here(world, running, asyncio.get_running_loop())
        monkeypatch.setattr(place, "of", lambda _stack: here)
        monkeypatch.setattr(pace, "pause", lambda _seconds: None)
        yield Command(here, printed)
