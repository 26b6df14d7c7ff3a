"""A stack at an operator's hands without its services: a local cloud in this process, queues of the specs, a receiver.

The command line finds it as it finds any stack, by its home: ports on the disk and the supervisor's lock.
"""

from __future__ import annotations

import asyncio
import base64
import fcntl
import json
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from ops import app, specs
from ops.home import DEFAULT_PORTS, Home
from ops.supervisor import LOCK
from spec import System
from tests.local_cloud.cloud_places import PARENT, PROJECT, Place, inside
from tests.local_cloud.cloud_tasks.tasks_target import advance, call, idle
from tests.local_cloud.receiver import Receiver, receiver

NUMBER = "123456789012"
#: Two queues of one edge: what waits in either may wait in the other.
PAYING, RETRYING = "gchostpay-payment-execute-queue", "gchostpay3-retry-queue"
SPLITS, OTHER = "split-payment-queue", "gcsplit2-queue"
QUEUES = (PAYING, RETRYING, SPLITS, OTHER)
#: As the specs' queues are.
LOGGED = {"stackdriverLoggingConfig": {"samplingRatio": 1}}

Sluice = Callable[..., tuple[int, Any]]


@dataclass
class Hands:
    """The cloud, what receives, and the home by which commands find both."""

    place: Place
    home: Path
    receiver: Receiver

    def path(self, queue: str, task: str = "") -> str:
        return f"{PARENT}/queues/{queue}" + (f"/tasks/{task}" if task else "")

    def url(self, service: str, path: str, tag: str = "") -> str:
        return f"{self.receiver.url}/run/{tag + '---' if tag else ''}{service}-{NUMBER}.us-central1{path}"

    def names(self, count: int) -> list[str]:
        """Ids that no test before has used: Cloud Tasks remembers them."""
        return [f"t{number:02}-{uuid.uuid4().hex[:8]}" for number in range(count)]

    def put(
        self, queue: str, *ids: str, to: str = "gchostpay3", path: str = "/", tag: str = "", after: float = 0.0,
        message: dict[str, Any] | None = None, headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Tasks as a service makes them."""
        at = {"scheduleTime": (self.now() + timedelta(seconds=after)).isoformat()} if after else {}
        body = base64.b64encode(
            json.dumps(message or {"message": "ExecutePayout", "token": "secret"}).encode()
        ).decode()
        for one in ids:
            request = {"url": self.url(to, path, tag), "body": body, "headers": headers or {"X-Sluice-Due": "1"}}
            call(self.place, "POST", f"/v2/{self.path(queue)}/tasks", {"task": {
                "name": self.path(queue, one), "httpRequest": request, "dispatchDeadline": "45s", **at}})  # fmt: skip

    def waiting(self, queue: str) -> dict[str, Any]:
        """Tasks by id, with their bodies."""
        found = call(self.place, "GET", f"/v2/{self.path(queue)}/tasks?responseView=FULL").get("tasks", [])
        return {one["name"].rpartition("/")[2]: one for one in found}

    def steer(self, queue: str, verb: str) -> None:
        call(self.place, "POST", f"/v2/{self.path(queue)}:{verb}", {})

    def state(self, queue: str) -> str:
        return str(call(self.place, "GET", f"/v2/{self.path(queue)}")["state"])

    def now(self) -> datetime:
        return datetime.fromisoformat(call(self.place, "GET", "/_sluice/clock")["now"]).astimezone(UTC)

    def advance(self, seconds: float) -> None:
        advance(self.place, seconds)

    def idle(self) -> None:
        idle(self.place)

    def delivered(self) -> Counter[str]:
        """How often each task came, whatever it was called after it was moved."""
        names = (one.header("X-CloudTasks-TaskName") or "" for one in self.receiver.requests)
        return Counter(name.removesuffix("-moved") for name in names)

    def audits(self, verb: str) -> list[dict[str, Any]]:
        """What was written down of a verb, newest first."""
        body = {
            "resourceNames": [f"projects/{PROJECT}"],
            "filter": f'log_id("sluice-operations") AND jsonPayload.verb="{verb}"',
            "orderBy": "timestamp desc",
        }
        entries = call(self.place, "POST", "/v2/entries:list", body).get("entries", [])
        return [entry["jsonPayload"] for entry in entries]

    def hold(self) -> None:
        """The receiver answers nobody until `let_go`."""

        async def made(_cloud: object) -> asyncio.Event:
            return asyncio.Event()

        self.receiver.hold = self.place.do(made)

    def let_go(self) -> None:
        """It answers again."""
        held, self.receiver.hold = self.receiver.hold, None
        if held is not None and self.place.loop is not None:
            self.place.loop.call_soon_threadsafe(held.set)

    def clean(self) -> None:
        """Paused and empty queues, and a receiver that takes all."""
        self.let_go()
        for queue in QUEUES:
            self.steer(queue, "pause")
            self.steer(queue, "purge")
        self.receiver.requests.clear()
        self.receiver.answers = [200]


@cache
def declared() -> System:
    """The specs of this checkout."""
    return specs.load()


@contextmanager
def hands(folder: Path) -> Iterator[Hands]:
    """The cloud with its queues."""
    home = Home(folder / "home")
    home.path.mkdir()
    with inside(folder / "state") as place, (home.path / LOCK).open("w") as lock:
        assert place.loop is not None
        fcntl.flock(lock, fcntl.LOCK_EX)
        home.write("stack.json", {"ports": {**DEFAULT_PORTS, "rest": place.ports["rest"], "grpc": place.ports["grpc"]}})
        assert place.cloud is not None
        listening = receiver(place.cloud.now)
        made = Hands(place, home.path, asyncio.run_coroutine_threadsafe(listening.__aenter__(), place.loop).result(20))
        for queue in QUEUES:
            call(place, "POST", f"/v2/{PARENT}/queues", {"name": made.path(queue), **LOGGED})
        yield made
        asyncio.run_coroutine_threadsafe(listening.__aexit__(None, None, None), place.loop).result(20)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hands]:
    with hands(tmp_path_factory.mktemp("hands")) as made:
        yield made


@pytest.fixture
def at_hand(stack: Hands, monkeypatch: pytest.MonkeyPatch) -> Hands:
    """The stack with paused and empty queues, found by every command of this process."""
    stack.clean()
    monkeypatch.setenv("SLUICE_HOME", str(stack.home))
    system = declared()
    monkeypatch.setattr(specs, "load", lambda *_words, **_more: system)  # read once, not for every command
    for module in ("pace", "calls", "draining"):
        monkeypatch.setattr(f"ops.queues.{module}.{'wait' if module == 'draining' else 'pause'}", lambda _seconds: None)
    return stack


@pytest.fixture
def sluice(capsys: pytest.CaptureFixture[str]) -> Sluice:
    """A command with --json --yes: its exit code and its one value."""

    def run(*words: str, yes: bool = True) -> tuple[int, Any]:
        capsys.readouterr()
        code = app.main([*words, "--json", *(["--yes"] if yes else [])])
        return code, json.loads(capsys.readouterr().out)

    return run
