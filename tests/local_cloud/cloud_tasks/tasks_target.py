"""Where tasks of the client tests go, and what those tests ask of the cloud around them."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import requests

from tests.local_cloud.cloud_places import PROJECT, Place

#: A task that is never sent: its queue is paused.
URL = {"http_request": {"url": "http://h.example/"}}


class Target:
    """Where tasks go: remembers (path, headers, body); answers what `script` says, then `status`.

    An answer waits for `gate` where one is given.
    """

    def __init__(self, gate: Callable[[float], object] | None = None) -> None:
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.status = 200
        self.script: list[int] = []
        self.came = threading.Condition()
        target = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                with target.came:
                    target.seen.append((self.path, dict(self.headers), body))
                    target.came.notify_all()
                    status = target.script.pop(0) if target.script else target.status
                if gate is not None:
                    gate(20)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_PUT = do_POST  # noqa: N815 - the names that http.server looks for

            def log_message(self, format: str, *args: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def wait(self, count: int) -> list[tuple[str, dict[str, str], bytes]]:
        with self.came:
            assert self.came.wait_for(lambda: len(self.seen) >= count, 10)
        return self.seen


@contextmanager
def listening(gate: Callable[[float], object] | None = None) -> Iterator[Target]:
    """A target that goes when it is left."""
    made = Target(gate)
    try:
        yield made
    finally:
        made.server.shutdown()
        made.server.server_close()


def item(queue: str, task_id: str) -> dict[str, Any]:
    """What creates a task that goes nowhere: a request, and an item of a batch."""
    return {"parent": queue, "task": {"name": f"{queue}/tasks/{task_id}", **URL}}


def advance(place: Place, seconds: float) -> None:
    requests.post(f"{place.rest}/_sluice/clock:advance", json={"seconds": seconds}, timeout=60).raise_for_status()


def idle(place: Place) -> None:
    assert requests.post(f"{place.rest}/_sluice/idle", json={}, timeout=60).json()["idle"]


def call(place: Place, verb: str, path: str, body: Any = None, **more: Any) -> Any:
    answer = requests.request(verb, f"{place.rest}{path}", json=body, timeout=30, **more)
    answer.raise_for_status()
    return answer.json()


def account(place: Place, name: str) -> str:
    body = {"accountId": name, "serviceAccount": {}}
    email: str = call(place, "POST", f"/v1/projects/{PROJECT}/serviceAccounts", body)["email"]
    return email


def bearer(place: Place, email: str) -> dict[str, str]:
    """The header that a service account shows at the services' door."""
    path = f"/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    grant = call(place, "POST", path, {"scope": ["https://www.googleapis.com/auth/cloud-platform"]})
    return {"Authorization": f"Bearer {grant['accessToken']}"}
