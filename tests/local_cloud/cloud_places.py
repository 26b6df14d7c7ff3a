"""A local cloud for tests of its clients: inside the test's process (a thread with its loop) or as a process.

Owns starting and stopping; both places give the same ports. Google's clients are made here too, so that every test
speaks to the cloud as a user's code would.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import grpc.aio
import uvloop
from google.auth.credentials import AnonymousCredentials
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import (
    CloudTasksGrpcAsyncIOTransport,
    CloudTasksGrpcTransport,
    CloudTasksRestTransport,
)

from local_cloud.cloud import Cloud
from local_cloud.running import Running
from local_cloud.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT, LOCATION = "sluice-local", "us-central1"
PARENT = f"projects/{PROJECT}/locations/{LOCATION}"

ANONYMOUS = AnonymousCredentials()  # type: ignore[no-untyped-call]

T = TypeVar("T")


@dataclass
class Place:
    """A running cloud: its ports, and its insides where it runs in this process."""

    ports: dict[str, int]
    cloud: Cloud | None = None
    loop: asyncio.AbstractEventLoop | None = None
    process: "subprocess.Popen[str] | None" = None
    _channels: list[grpc.Channel] = field(default_factory=list)

    @property
    def rest(self) -> str:
        """The owner's REST door."""
        return f"http://127.0.0.1:{self.ports['rest']}"

    def client(self, wire: str) -> Any:
        """The official client at the owner's door, over "grpc" or "rest"."""
        if wire == "rest":
            transport: Any = CloudTasksRestTransport(
                host=f"127.0.0.1:{self.ports['rest']}", credentials=ANONYMOUS, url_scheme="http"
            )
        else:
            channel = grpc.insecure_channel(f"127.0.0.1:{self.ports['grpc']}")
            self._channels.append(channel)
            transport = CloudTasksGrpcTransport(channel=channel)
        return tasks_v2.CloudTasksClient(transport=transport)

    def do(self, work: Callable[[Cloud], Coroutine[Any, Any, T]]) -> T:
        """Runs a coroutine inside the cloud (in-process places only)."""
        assert self.cloud is not None
        assert self.loop is not None
        return asyncio.run_coroutine_threadsafe(work(self.cloud), self.loop).result(60)

    def kill(self) -> None:
        """kill -9."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def close(self) -> None:
        """Lets go of the clients' channels."""
        for channel in self._channels:
            channel.close()


@asynccontextmanager
async def async_client(ports: dict[str, int]) -> AsyncIterator[Any]:
    """The official asynchronous client at the owner's door."""
    channel = grpc.aio.insecure_channel(f"127.0.0.1:{ports['grpc']}")
    made: Any = tasks_v2.CloudTasksAsyncClient(transport=CloudTasksGrpcAsyncIOTransport(channel=channel))
    try:
        yield made
    finally:
        await made.transport.close()


@contextmanager
def inside(state: Path) -> Iterator[Place]:
    """A cloud in a thread of this process."""
    loop = uvloop.new_event_loop()

    async def start() -> Running:
        return await Running(Settings(state=state)).__aenter__()

    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    running = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    place = Place(dict(running.cloud.ports), running.cloud, loop)
    try:
        yield place
    finally:
        place.close()
        asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def process(state: Path) -> Iterator[Place]:
    """A cloud as a process of its own, as `sluice up` starts it."""
    started = subprocess.Popen(
        [sys.executable, "-m", "local_cloud", "--state", str(state)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert started.stdout is not None
    ready = json.loads(started.stdout.readline())
    place = Place({name: value for name, value in ready.items() if isinstance(value, int)}, process=started)
    try:
        yield place
    finally:
        place.close()
        started.terminate()
        started.wait(20)
        started.stdout.close()


PLACES = {"inside": inside, "process": process}
