"""A cloud in process (in the test's own loop) and one as a process on loopback, on free ports and fresh state."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local_cloud.cloud import Cloud
from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.local_cloud.cloud_places import ROOT, Place, inside
from tests.local_cloud.metrics_client import Watcher, watching
from tests.local_cloud.run_client import Runner, runner


class Rest:
    """JSON over HTTP at a door: `status, body = await rest("GET", "/v1/...")`."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str | None = None) -> None:
        self.session = session
        self.base = base
        self.token = token

    async def __call__(
        self,
        verb: str,
        path: str,
        body: Any = None,
        *,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        sent = dict(headers or {})
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        payload: dict[str, Any] = {"data": data} if data is not None else {"json": body} if body is not None else {}
        url = self.base + path
        from yarl import URL

        async with self.session.request(verb, URL(url, encoded=True), headers=sent, **payload) as response:
            text = await response.text()
            return response.status, json.loads(text) if text and "json" in response.content_type else text

    async def ok(self, verb: str, path: str, body: Any = None) -> Any:
        """The body of an answer that must be 200."""
        status, answer = await self(verb, path, body)
        assert status == 200, answer
        return answer


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with Running(Settings(state=tmp_path / "cloud")) as running:
        yield running


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A cloud in a thread of this process, one for a whole file of tests of Google's own clients."""
    with inside(tmp_path_factory.mktemp("cloud") / "state") as made:
        yield made


@pytest.fixture(scope="module")
def run(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """The clients of Cloud Run at the place, with an image to deploy."""
    with runner(place, tmp_path_factory.mktemp("image")) as made:
        yield made


@pytest.fixture(scope="module")
def watch(place: Place) -> Iterator[Watcher]:
    """The client of Cloud Monitoring at the place."""
    with watching(place) as made:
        yield made


@pytest.fixture
def cloud(running: Running) -> Cloud:
    return running.cloud


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def rest(cloud: Cloud, session: aiohttp.ClientSession) -> Rest:
    """The owner's door."""
    return Rest(session, f"http://127.0.0.1:{cloud.ports['rest']}")


@pytest.fixture
def as_account(cloud: Cloud, session: aiohttp.ClientSession) -> Callable[[str], Rest]:
    """The services' door as a service account, which is made where it is missing."""

    def enter(account_id: str) -> Rest:
        email = f"{account_id}@{cloud.iam.accounts.domain}"
        if cloud.iam.accounts.find(email) is None:
            from local_cloud.descriptors import message

            cloud.iam.accounts.create(account_id, message("google.iam.admin.v1.ServiceAccount")())
        token = cloud.identity.access_token(f"serviceAccount:{email}").token
        return Rest(session, f"http://127.0.0.1:{cloud.ports['service_rest']}", token)

    return enter


@dataclass
class Process:
    """A cloud on loopback."""

    state: Path
    ports: dict[str, int]
    popen: "subprocess.Popen[str]"
    stderr: Path
    project: str = "sluice-local"
    extra: list[str] = field(default_factory=list)

    @property
    def rest(self) -> str:
        return f"http://127.0.0.1:{self.ports['rest']}"

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        self.popen.send_signal(how)
        return self.popen.wait(timeout=20)


def start_process(state: Path, *extra: str) -> Process:
    """Starts a cloud and waits until it says that it is ready."""
    stderr = state.with_suffix(".stderr")
    with stderr.open("a") as errors:
        popen = subprocess.Popen(
            [sys.executable, "-m", "local_cloud", "--state", str(state), *extra],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    assert popen.stdout is not None
    line = popen.stdout.readline()
    assert line, stderr.read_text()
    ready = json.loads(line)
    assert ready["ready"] is True
    ports = {name: ready[name] for name in ("rest", "grpc", "service_rest", "service_grpc")}
    return Process(state, ports, popen, stderr, extra=list(extra))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Process]]:
    """Starts processes that end with the test, however it ends."""
    started: list[Process] = []

    def run(name: str = "cloud", *extra: str) -> Process:
        process = start_process(tmp_path / name, *extra)
        started.append(process)
        return process

    yield run
    for process in started:
        if process.popen.poll() is None:
            process.popen.kill()
            process.popen.wait()


@pytest.fixture
def process(start: Callable[..., Process]) -> Process:
    return start()
