"""`sluice clock`: one move takes retries, retention, tokens and schedules along, and says what it set off."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ops.cloud import Cloud
from ops.output import Output
from ops.verbs import clock
from tests.fidelity import pins
from tests.ops.alone import Alone, environment, started

PARENT = "projects/my-app/locations/us-central1"


class Refusing(BaseHTTPRequestHandler):
    """Counts requests by path, and refuses those below /fail."""

    counts: Counter[str]

    def do_POST(self) -> None:
        self.counts[self.path] += 1
        self.rfile.read(int(self.headers.get("content-length", 0)))
        self.send_response(500 if self.path == "/fail" else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Says nothing."""


@pytest.fixture
def target() -> Iterator[tuple[str, Counter[str]]]:
    kind = type("Handler", (Refusing,), {"counts": Counter(), "protocol_version": "HTTP/1.1"})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", kind.counts  # type: ignore[attr-defined]
        server.shutdown()
        thread.join()


def call(cloud: Alone, verb: str, path: str, body: Any = None, token: str = "") -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(cloud.url + path, data=data, method=verb, headers=headers)
    with urllib.request.urlopen(request, timeout=90) as answer:
        return json.load(answer)


@pins(
    "standalone", "Starting", "sluice clock advance: retries, retention, tokens and schedules move together", ours=True
)
def test_one_move_takes_retries_retention_tokens_and_schedules_along(
    tmp_path: Path, target: tuple[str, Counter[str]]
) -> None:
    url, counts = target
    with started(tmp_path, "--project", "my-app", "--queue", "kept", "--state", "state") as cloud:
        retry = {"maxAttempts": 4, "minBackoff": "600s", "maxBackoff": "600s"}
        call(cloud, "POST", f"/v2/{PARENT}/queues", {"name": f"{PARENT}/queues/failing", "retryConfig": retry})
        call(cloud, "POST", f"/v2/{PARENT}/queues/kept:pause", {})
        for queue, path in (("failing", "/fail"), ("kept", "/late")):
            task = {"task": {"httpRequest": {"url": url + path}}}
            call(cloud, "POST", f"/v2/{PARENT}/queues/{queue}/tasks", task)
        schedule = {"name": f"{PARENT}/jobs/hourly", "schedule": "0 * * * *", "httpTarget": {"uri": f"{url}/hourly"}}
        call(cloud, "POST", f"/v1/{PARENT}/jobs", schedule)
        account = call(cloud, "POST", "/v1/projects/my-app/serviceAccounts", {"accountId": "short-lived"})["email"]
        scope = {"scope": ["https://www.googleapis.com/auth/cloud-platform"]}
        path = f"/v1/projects/-/serviceAccounts/{account}:generateAccessToken"
        token = call(cloud, "POST", path, scope)["accessToken"]
        with pytest.raises(urllib.error.HTTPError, match="403"):
            call(cloud, "GET", f"/v2/{PARENT}/queues", token=token)

        said = cloud.sluice("clock", "advance", "24h").stdout
        assert counts["/fail"] == 4
        assert counts["/hourly"] in (24, 25)  # one more where the hour itself struck meanwhile
        assert "failing: " in said
        assert "1 given up, 0 waiting" in said
        with pytest.raises(urllib.error.HTTPError, match="401"):
            call(cloud, "GET", f"/v2/{PARENT}/queues", token=token)
        assert len(call(cloud, "GET", f"/v2/{PARENT}/queues/kept/tasks")["tasks"]) == 1

        call(cloud, "DELETE", f"/v1/{PARENT}/jobs/hourly")
        before = dict(counts)
        cloud.sluice("clock", "advance", "31d")
        assert call(cloud, "GET", f"/v2/{PARENT}/queues/kept/tasks") == {}
        assert counts == before
        assert cloud.end() == 0
    with started(tmp_path, "--state", "state") as again:
        assert "ahead of this machine" in again.sluice("clock", "show").stdout
        assert json.loads(again.sluice("clock", "show", "--json").stdout)["offset"] == 32 * 24 * 3600


def test_a_move_says_what_it_went_on_without(tmp_path: Path) -> None:
    with (
        started(tmp_path, "--project", "my-app", "--queue", "slow") as cloud,
        socket.create_server(("127.0.0.1", 0)) as deaf,
    ):
        task = {"task": {"httpRequest": {"url": f"http://127.0.0.1:{deaf.getsockname()[1]}/"}}}
        call(cloud, "POST", f"/v2/{PARENT}/queues/slow/tasks", task)
        said = cloud.sluice("clock", "advance", "5m", "--wait", "0.2s").stdout
        assert "1 attempt of queue slow had no answer after 0.2 s" in said
        told = json.loads(cloud.sluice("clock", "advance", "5m", "--wait", "0.2s", "--json").stdout)
        assert told["unsettled"]["attempt of queue slow"] >= 1
        assert call(cloud, "GET", "/_sluice/status")["queues"]["slow"]["attempts"] >= 1
        call(cloud, "POST", f"/v2/{PARENT}/queues/slow/tasks", task)
        deaf.accept()
        shown = cloud.sluice("cloud", "status").stdout
        assert re.search(r"slow  running, (0 waiting, 2|1 waiting, 1) running", shown), shown


def test_a_duration_that_is_none_is_refused(tmp_path: Path) -> None:
    with started(tmp_path) as cloud:
        assert "write 90s, 10m, 24h or 2d" in cloud.sluice("clock", "advance", "tomorrow", check=2).stderr
        far = cloud.sluice("clock", "advance", "99999999h", check=2).stderr
        assert far.startswith("error: The clock cannot be moved by 3.6e+11 seconds at once, and was not moved")
        assert "nothing was done" in cloud.sluice("clock", "advance", f"{'9' * 400}h", check=2).stderr
        assert json.loads(cloud.sluice("clock", "show", "--json").stdout)["offset"] == 0


def test_an_interrupt_ends_the_move_and_a_second_one_meanwhile_is_refused(tmp_path: Path) -> None:
    with (
        started(tmp_path, "--project", "my-app", "--queue", "slow") as cloud,
        socket.create_server(("127.0.0.1", 0)) as deaf,
    ):
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        call(cloud, "POST", f"/v2/{PARENT}/queues/slow/tasks", {"task": {"httpRequest": {"url": url}}})
        deaf.accept()  # the move waits for this attempt
        command = [sys.executable, "-m", "ops", "clock", "advance", "30d", "--wait", "1h"]
        place: dict[str, Any] = {"env": environment(tmp_path), "cwd": tmp_path, "stderr": subprocess.PIPE}
        # Where tests run in the background, a shell has them and their children ignore interrupts.
        heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        with subprocess.Popen(command, preexec_fn=heeding, **place) as first:  # noqa: PLW1509 - a signal, no lock
            while call(cloud, "GET", "/_sluice/clock")["moving_to"] is None:
                assert first.poll() is None
            assert "is being moved already" in cloud.sluice("clock", "advance", "1m", check=1).stderr
            assert "being moved, by 2592000 s more" in cloud.sluice("clock", "show").stdout
            first.send_signal(signal.SIGINT)
            try:
                assert first.wait(60) == 130
            finally:
                first.kill()
        shown = call(cloud, "GET", "/_sluice/clock")
        assert (shown["moving_to"], shown["offset"]) == (None, 0)
        assert "is not being moved" in cloud.sluice("clock", "stop").stdout


def test_a_long_move_says_how_far_it_is_in_a_few_lines_where_lines_stay(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(clock, "TELL_EVERY", 0.0)
    over, at = threading.Event(), count()

    def admin(_method: str, _path: str, **_more: float) -> dict[str, Any]:
        offset = next(at)
        if offset == 120:
            over.set()
        return {"offset": min(offset, 100), "now": f"2026-11-23T09:00:{offset:04}Z", "moving_to": None}

    with clock._told(cast(Cloud, SimpleNamespace(admin=admin)), Output(as_json=False), 100.0, "100s"):
        assert over.wait(30)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" of ")[0].strip() for line in lines] == [f"{share}%" for share in (1, *range(10, 101, 10))]
