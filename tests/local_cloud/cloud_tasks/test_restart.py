"""kill -9 of the local cloud: no acknowledged task is lost, none that was answered comes again.

The judge is the receiver's own record. The one thing that may repeat is an attempt whose answer was on its way into the
journal at the moment of the kill (at-least-once delivery). How long a commit takes is the disk's affair, so that window
is told by the cloud's own acknowledgements: the journal keeps its order, and what was answered before two creations
that were acknowledged one after the other is on disk.
"""

import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, Place, process

pins(
    "cloud_tasks",
    "Dispatch",
    "At least once: an attempt is counted on disk before it leaves, its answer is written as it "
    "arrives. A kill repeats attempts without an answer, and those answered within the last commit",
    documented="reference",
    ours=True,
)

QUEUE = f"{PARENT}/queues/q"


class Ledger:
    """A receiver that notes which task came when, and when it was answered."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, float, float]] = []
        self.acknowledged: list[tuple[float, float]] = []
        self.retry_counts: dict[str, list[int]] = {}
        self.delay = 0.0
        self.began = threading.Event()
        ledger = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                came = time.monotonic()
                self.rfile.read(int(self.headers["Content-Length"]))
                name = self.headers["X-CloudTasks-TaskName"]
                ledger.retry_counts.setdefault(name, []).append(int(self.headers["X-CloudTasks-TaskRetryCount"]))
                ledger.began.set()
                if ledger.delay:
                    time.sleep(ledger.delay)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()
                ledger.answers.append((name, came, time.monotonic()))

            def log_message(self, format: str, *args: object) -> None: ...

        class Server(ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def create(place: Place, name: str, ledger: Ledger) -> bool:
    """Whether the cloud acknowledged the task."""
    body: Any = {"task": {"name": f"{QUEUE}/tasks/{name}", "httpRequest": {"url": ledger.url}}}
    began = time.monotonic()
    try:
        created = requests.post(f"{place.rest}/v2/{QUEUE}/tasks", json=body, timeout=30).status_code == 200
    except requests.RequestException:
        return False
    if created:
        ledger.acknowledged.append((began, time.monotonic()))
    return created


def on_disk(ledger: Ledger, answered: float, killed: float) -> bool:
    """Whether two creations, one after the other, were acknowledged between an answer and a kill."""
    first = min((end for began, end in ledger.acknowledged if began > answered), default=killed)
    return any(began > first and end < killed for began, end in ledger.acknowledged)


@pytest.mark.parametrize("kills", [4])
def test_kills_lose_nothing_and_repeat_nothing_that_was_answered(tmp_path: Path, kills: int) -> None:
    ledger = Ledger()
    chance = random.Random(7)
    acknowledged: set[str] = set()
    kills_seen: list[tuple[float, float]] = []
    for life in range(kills + 1):
        with process(tmp_path) as place:
            if life == 0:
                body: Any = {"name": QUEUE, "rateLimits": {"maxDispatchesPerSecond": 150}}
                requests.post(f"{place.rest}/v2/{PARENT}/queues", json=body, timeout=10).raise_for_status()
            names = [f"t{life}-{index}" for index in range(120)]
            with ThreadPoolExecutor(4) as pool:
                made = [pool.submit(create, place, name, ledger) for name in names]
                if life < kills:
                    for index in range(chance.randrange(20, 110)):
                        made[index].result()
                    began = time.monotonic()
                    place.kill()
                    kills_seen.append((began, time.monotonic()))
            acknowledged |= {name for name, future in zip(names, made, strict=True) if future.result()}
            if life == kills:
                deadline = time.monotonic() + 30
                while requests.get(f"{place.rest}/v2/{QUEUE}/tasks", timeout=10).json().get("tasks"):
                    assert time.monotonic() < deadline, requests.get(f"{place.rest}/_sluice/status", timeout=10).text
                    requests.post(f"{place.rest}/_sluice/idle", json={"timeout": 5}, timeout=10)
    answered = Counter(name for name, *_ in ledger.answers)
    assert acknowledged - set(answered) == set()
    for name in (name for name, count in answered.items() if count > 1):
        came, first = next((came, at) for answered_name, came, at in ledger.answers if answered_name == name)
        ends = [kill for kill, dead in kills_seen if came <= dead]
        assert ends, f"{name} came again without a kill"
        assert not on_disk(ledger, first, ends[0]), f"{name} came again though its answer was on disk"
        assert answered[name] <= kills + 1


@pins(
    "cloud_tasks",
    "Dispatch",
    "An attempt that was cut by a kill is made again at once, also where its limits were used up by it",
    ours=True,
)
def test_an_attempt_in_flight_at_the_kill_is_repeated_and_counted(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.delay = 1.0
    with process(tmp_path) as place:
        requests.post(f"{place.rest}/v2/{PARENT}/queues", json={"name": QUEUE}, timeout=10).raise_for_status()
        assert create(place, "slow", ledger)
        assert ledger.began.wait(20)
        place.kill()
    ledger.delay = 0.0
    with process(tmp_path) as place:
        requests.post(f"{place.rest}/_sluice/idle", json={}, timeout=60).raise_for_status()
        assert ledger.retry_counts["slow"] == [0, 1]
        assert "tasks" not in requests.get(f"{place.rest}/v2/{QUEUE}/tasks", timeout=10).json()


def test_queues_names_and_waiting_tasks_outlive_a_kill(tmp_path: Path) -> None:
    ledger = Ledger()
    with process(tmp_path) as place:
        body: Any = {"name": QUEUE, "retryConfig": {"maxAttempts": 3}}
        requests.post(f"{place.rest}/v2/{PARENT}/queues", json=body, timeout=10).raise_for_status()
        assert create(place, "done", ledger)
        requests.post(f"{place.rest}/_sluice/idle", json={}, timeout=60).raise_for_status()
        requests.post(f"{place.rest}/v2/{QUEUE}:pause", timeout=10).raise_for_status()
        assert create(place, "waits", ledger)
        before = requests.get(f"{place.rest}/v2/{QUEUE}", timeout=10).json()
        task = requests.get(f"{place.rest}/v2/{QUEUE}/tasks/waits", timeout=10).json()
        place.kill()
    with process(tmp_path) as place:
        assert requests.get(f"{place.rest}/v2/{QUEUE}", timeout=10).json() == before
        assert requests.get(f"{place.rest}/v2/{QUEUE}/tasks/waits", timeout=10).json() == task
        assert not create(place, "done", ledger)
        assert len(ledger.answers) == 1
