"""The two sides of the benchmark of Pub/Sub as processes: this project's cloud, and Google's own emulator.

The emulator is part of the Google Cloud SDK (`gcloud components install pubsub-emulator`) and needs Java; its jar is
named by PUBSUB_EMULATOR, or found in the SDK whose `gcloud` is on PATH. Nothing of it is part of this project.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import psutil
from google import pubsub_v1
from google.pubsub_v1.services.publisher.transports import PublisherGrpcTransport
from google.pubsub_v1.services.subscriber.transports import SubscriberGrpcTransport

from bench._measure import family
from bench._tasks_sides import _process, _run
from bench._tasks_sides import ours as our_cloud

PROJECT = "projects/sluice-local"


@dataclass
class Side:
    """A running Pub/Sub."""

    name: str
    address: str
    pid: int
    started_in: float
    _channel: grpc.Channel | None = field(default=None, repr=False)

    def topic(self, name: str) -> str:
        """Makes a topic."""
        transport = PublisherGrpcTransport(channel=self._open())
        return str(pubsub_v1.PublisherClient(transport=transport).create_topic(name=f"{PROJECT}/topics/{name}").name)

    def subscription(self, topic: str, name: str, *, endpoint: str = "", exactly_once: bool = False) -> str:
        """Makes a subscription; with an endpoint it pushes."""
        client = pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=self._open()))
        path = f"{PROJECT}/subscriptions/{name}"
        wanted: dict[str, Any] = {"name": path, "topic": topic, "ack_deadline_seconds": 60}
        if exactly_once:
            wanted["enable_exactly_once_delivery"] = True
        if endpoint:
            wanted["push_config"] = {"push_endpoint": endpoint}
        client.create_subscription(request=wanted)
        return path

    def pushes_to(self, subscription: str, endpoint: str) -> None:
        """Lets a subscription that was pulled push from now on."""
        client = pubsub_v1.SubscriberClient(transport=SubscriberGrpcTransport(channel=self._open()))
        client.modify_push_config(subscription=subscription, push_config=pubsub_v1.PushConfig(push_endpoint=endpoint))

    def load(self, processes: int, what: str, *arguments: str) -> list[Any]:
        """Load generators, each a process; what each printed."""
        return _run(processes, what, self.address, *arguments, module="bench._pubsub_load")

    def cpu(self) -> float:
        """CPU seconds used so far, children included."""
        seconds = 0.0
        for process in family(self.pid):
            with suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                seconds += times.user + times.system
        return seconds

    def memory(self) -> float:
        """Memory of its own in MB, children included."""
        size = 0.0
        for process in family(self.pid):
            with suppress(psutil.NoSuchProcess):
                size += process.memory_full_info().uss / 1e6
        return size

    def _open(self) -> grpc.Channel:
        self._channel = self._channel or grpc.insecure_channel(self.address)
        return self._channel


@contextmanager
def ours() -> Iterator[Side]:
    """This project's cloud on a fresh state directory."""
    with our_cloud() as cloud:
        yield Side("sluice", cloud.address, cloud.pid, cloud.started_in)


def emulator_jar() -> str | None:
    """Where Google's emulator is."""
    if named := os.environ.get("PUBSUB_EMULATOR"):
        return named
    gcloud = shutil.which("gcloud")
    if gcloud is None or shutil.which("java") is None:
        return None
    platform = Path(gcloud).resolve().parents[1] / "platform"
    return next((str(jar) for jar in platform.glob("pubsub-emulator/lib/*.jar")), None)


@contextmanager
def emulator() -> Iterator[Side]:
    """Google's emulator, when emulator_jar() says that there is one."""
    jar = emulator_jar()
    assert jar is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.monotonic()
    command = ["java", "-jar", jar, "--host=127.0.0.1", f"--port={port}"]
    with _process(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            with socket.socket() as tried:
                if tried.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.005)
        else:
            raise RuntimeError(f"{jar} ended at once; started by hand it says why")
        yield Side("google's emulator", f"127.0.0.1:{port}", process.pid, time.monotonic() - began)
