"""kill -9 of the local cloud: no acknowledged task is lost, none that was answered comes again.

The judge is the receiver's own record. The one thing that may repeat is an attempt whose answer was on its way into the
journal at the moment of the kill (at-least-once delivery): answers older than a few commits must not.
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

from tests.local_cloud.cloud_places import PARENT, Place, process

QUEUE = f"{PARENT}/queues/q"
#: An answer older than this at a kill is on disk: some commits of a shared, slow disk.
SETTLED = 0.5


class Ledger:
    """A receiver that notes when it answered which task."""

    def __init__(self) -> None:
        self.answers: list[tuple[str, float]] = []
        self.retry_counts: dict[str, list[int]] = {}
        self.delay = 0.0
        self.began = threading.Event()
        ledger = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                name = self.headers["X-CloudTasks-TaskName"]
                ledger.retry_counts.setdefault(name, []).append(int(self.headers["X-CloudTasks-TaskRetryCount"]))
                ledger.began.set()
                if ledger.delay:
                    time.sleep(ledger.delay)
                ledger.answers.append((name, time.monotonic()))
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None: ...

        class Server(ThreadingHTTPServer):
            request_queue_size = 1024
            daemon_threads = True

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def create(place: Place, name: str, url: str, **task: Any) -> bool:
    """Whether the cloud acknowledged the task."""
    body = {"task": {"name": f"{QUEUE}/tasks/{name}", "httpRequest": {"url": url}, **task}}
    try:
        return requests.post(f"{place.rest}/v2/{QUEUE}/tasks", json=body, timeout=10).status_code == 200
    except requests.RequestException:
        return False


@pytest.mark.parametrize("kills", [4])
def test_kills_lose_nothing_and_repeat_nothing_that_was_answered(tmp_path: Path, kills: int) -> None:
    ledger = Ledger()
    chance = random.Random(7)
    acknowledged: set[str] = set()
    killed_at: list[float] = []
    for life in range(kills + 1):
        with process(tmp_path) as place:
            if life == 0:
                body: Any = {"name": QUEUE, "rateLimits": {"maxDispatchesPerSecond": 150}}
                requests.post(f"{place.rest}/v2/{PARENT}/queues", json=body, timeout=10).raise_for_status()
            names = [f"t{life}-{index}" for index in range(120)]
            with ThreadPoolExecutor(4) as pool:
                made = [pool.submit(create, place, name, ledger.url) for name in names]
                if life < kills:
                    for index in range(chance.randrange(20, 110)):
                        made[index].result()
                    killed_at.append(time.monotonic())
                    place.kill()
            acknowledged |= {name for name, future in zip(names, made, strict=True) if future.result()}
            if life == kills:
                deadline = time.monotonic() + 30
                while requests.get(f"{place.rest}/v2/{QUEUE}/tasks", timeout=10).json().get("tasks"):
                    assert time.monotonic() < deadline, requests.get(f"{place.rest}/_sluice/status", timeout=10).text
                    requests.post(f"{place.rest}/_sluice/idle", json={"timeout": 5}, timeout=10)
    answered = Counter(name for name, _ in ledger.answers)
    assert acknowledged - set(answered) == set()
    for name in (name for name, count in answered.items() if count > 1):
        first, *again = [at for answered_name, at in ledger.answers if answered_name == name]
        between = [kill for kill in killed_at if first <= kill]
        assert between, f"{name} came again without a kill"
        assert between[0] - first < SETTLED, f"{name} came again {between[0] - first:.3f} s after its answer"
        assert len(again) <= kills


def test_an_attempt_in_flight_at_the_kill_is_repeated_and_counted(tmp_path: Path) -> None:
    ledger = Ledger()
    ledger.delay = 1.0
    with process(tmp_path) as place:
        requests.post(f"{place.rest}/v2/{PARENT}/queues", json={"name": QUEUE}, timeout=10).raise_for_status()
        assert create(place, "slow", ledger.url)
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
        assert create(place, "done", ledger.url)
        requests.post(f"{place.rest}/_sluice/idle", json={}, timeout=60).raise_for_status()
        requests.post(f"{place.rest}/v2/{QUEUE}:pause", timeout=10).raise_for_status()
        assert create(place, "waits", ledger.url)
        before = requests.get(f"{place.rest}/v2/{QUEUE}", timeout=10).json()
        task = requests.get(f"{place.rest}/v2/{QUEUE}/tasks/waits", timeout=10).json()
        place.kill()
    with process(tmp_path) as place:
        assert requests.get(f"{place.rest}/v2/{QUEUE}", timeout=10).json() == before
        assert requests.get(f"{place.rest}/v2/{QUEUE}/tasks/waits", timeout=10).json() == task
        assert not create(place, "done", ledger.url)
        assert len(ledger.answers) == 1
