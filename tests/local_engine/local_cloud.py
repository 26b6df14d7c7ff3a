"""The local cloud as a process of its own, on free ports."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from local_engine import Ports

ROOT = Path(__file__).parents[2]
DOORS = ("rest", "grpc", "service_rest", "service_grpc")


@contextmanager
def running(folder: Path) -> Iterator[Ports]:
    command = [sys.executable, "-m", "local_cloud", "--state", str(folder / "cloud"), "--project", "sluice-local"]
    command += ["--project-number", "123456789012", "--location", "us-central1"]
    command += [part for door in DOORS for part in (f"--{door.replace('_', '-')}-port", "0")]
    with open(folder / "cloud.log", "w") as log, subprocess.Popen(command, cwd=ROOT, stdout=-1, stderr=log) as cloud:
        assert cloud.stdout is not None
        ready = json.loads(cloud.stdout.readline())
        try:
            yield Ports(**{name: ready[name] for name in DOORS})
        finally:
            cloud.send_signal(signal.SIGTERM)
            cloud.wait(20)


def call(ports: Ports, method: str, path: str, body: object = None) -> tuple[int, Any]:
    """A call at the owner's door."""
    content = None if body is None else json.dumps(body).encode()
    url, kind = f"http://127.0.0.1:{ports.rest}{path}", {"Content-Type": "application/json"}
    request = urllib.request.Request(url, content, kind, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read() or b"{}")
