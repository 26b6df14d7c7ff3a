"""The two sides of the benchmarks of Cloud Tasks as processes: this project's cloud, and the peer where there is one.

The peer is aertje's cloud-tasks-emulator: its binary is named by CLOUD_TASKS_EMULATOR, or found on PATH. Nothing of it
is part of this project. A side is spoken to over gRPC with Google's own messages and has nothing else that the
benchmarks use, apart from BatchCreateTasks, which fills our queues faster and is not measured.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport

ROOT = Path(__file__).parents[1]
PARENT = "projects/sluice-local/locations/us-central1"
#: Starts a cloud whose queues may be faster than Google allows: for the drain "without limit" alone.
LIFTED = (
    "from local_cloud.apis.cloud_tasks import queue_rules; queue_rules.MAX_RATE = 1e6; "
    "from local_cloud.__main__ import main; main()"
)


@dataclass
class Side:
    """A running emulator."""

    name: str
    address: str
    pid: int
    started_in: float
    state: Path | None = None
    _channel: grpc.Channel | None = field(default=None, repr=False)

    @property
    def client(self) -> tasks_v2.CloudTasksClient:
        """The official client."""
        self._channel = self._channel or grpc.insecure_channel(self.address)
        return tasks_v2.CloudTasksClient(transport=CloudTasksGrpcTransport(channel=self._channel))

    def queue(self, name: str, *, rate: float = 0.0, retry: dict[str, Any] | None = None) -> str:
        """Makes a queue."""
        limits = {"max_dispatches_per_second": rate, "max_concurrent_dispatches": 1000}
        path = f"{PARENT}/queues/{name}"
        queue = tasks_v2.Queue(name=path, rate_limits=limits, retry_config=retry or {})
        self.client.create_queue(parent=PARENT, queue=queue)
        return path

    def cpu(self) -> float:
        """CPU seconds used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    def memory(self) -> float:
        """Memory of its own in MB."""
        return float(psutil.Process(self.pid).memory_full_info().uss) / 1e6

    def kill(self) -> None:
        """kill -9."""
        process = psutil.Process(self.pid)
        process.kill()
        process.wait(10)

    def fill(self, queues: list[str], url: str, count: int, *, at: float, named: bool = False) -> None:
        """Creates so many tasks in each queue, all due at one moment, as fast as this side takes them."""
        stem = f"t{time.monotonic_ns()}-" if named else ""
        job = {"queues": queues, "url": url, "count": count, "at": at, "stem": stem, "batch": self.batches}
        self.load("fill", json.dumps(job))

    def load(self, what: str, *arguments: str) -> Any:
        """Runs a load generator to its end and gives what it printed."""
        return self.loads(1, what, *arguments)[0]

    def loads(self, processes: int, what: str, *arguments: str) -> list[Any]:
        """The same by several processes at once."""
        return _run(processes, what, self.address, *arguments)

    @property
    def batches(self) -> bool:
        """Whether it has BatchCreateTasks."""
        return self.name == "sluice"


def raw(concurrent: int, count: int, url: str) -> Any:
    """Requests straight to the receiver, with no emulator between."""
    return _run(1, "raw", str(concurrent), str(count), url)[0]


@contextmanager
def ours(state: Path | None = None, *, lifted: bool = False) -> Iterator[Side]:
    """This project's cloud on a fresh state directory, or on one that is kept."""
    with tempfile.TemporaryDirectory() as fresh:
        where = state or Path(fresh) / "state"
        how = ["-c", LIFTED] if lifted else ["-m", "local_cloud"]
        began = time.monotonic()
        with _process([sys.executable, *how, "--state", str(where)], stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            ready = json.loads(process.stdout.readline())
            took = time.monotonic() - began
            yield Side("sluice", f"127.0.0.1:{ready['grpc']}", process.pid, took, where)


def peer_binary() -> str | None:
    """Where the peer's program is."""
    return os.environ.get("CLOUD_TASKS_EMULATOR") or shutil.which("cloud-tasks-emulator")


@contextmanager
def peer() -> Iterator[Side]:
    """The peer, when peer_binary() says that there is one."""
    binary = peer_binary()
    assert binary is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.monotonic()
    command = [str(Path(binary).resolve()), "-host", "127.0.0.1", "-port", str(port)]
    # It reads the keys that lie beside its source, so it runs where it was built.
    with _process(command, stdout=subprocess.DEVNULL, cwd=Path(binary).resolve().parent) as process:
        while process.poll() is None:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.005)
        else:
            raise RuntimeError(f"{binary} ended at once; started from its own folder it says why")
        yield Side("peer", f"127.0.0.1:{port}", process.pid, time.monotonic() - began)


@contextmanager
def bare() -> Iterator[Side]:
    """grpc's own server, which does nothing."""
    with _target("grpc") as (process, port):
        yield Side("bare grpc.aio", f"127.0.0.1:{port}", process.pid, 0.0)


class Target:
    """The receiver."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, path: str) -> Any:
        """One of its own pages."""
        for _ in range(3):
            try:
                with urllib.request.urlopen(self.url + path, timeout=10) as answer:
                    return json.load(answer)
            except OSError:  # a thousand connections came before this one
                time.sleep(0.2)
        raise RuntimeError("the receiver of the benchmark does not answer")

    def wait(self, count: int, *, patience: float = 15.0) -> dict[str, float]:
        """Waits until so many requests came, or none any more for so many seconds."""
        seen: dict[str, float] = self.ask("/_stats")
        moved = time.monotonic()
        while seen["count"] < count and time.monotonic() - moved < patience:
            time.sleep(0.05)
            before, seen = seen, self.ask("/_stats")
            if seen["count"] != before["count"]:
                moved = time.monotonic()
        return seen


@contextmanager
def target() -> Iterator[Target]:
    """The receiver as a process of its own."""
    with _target("http") as (_, port):
        yield Target(port)


@contextmanager
def _target(kind: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    command = [sys.executable, "-m", "bench._tasks_target", kind]
    with _process(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield process, int(process.stdout.readline())


def _run(processes: int, *arguments: str, module: str = "bench._tasks_load") -> list[Any]:
    command = [sys.executable, "-m", module, *arguments]
    running = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(processes)]
    said = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        raise RuntimeError(f"the load {arguments[0]} failed; its error stands above")
    return [json.loads(text) for text in said]


@contextmanager
def _process(command: list[str], stdout: int, cwd: Path = ROOT) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, cwd=cwd, stdout=stdout, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
