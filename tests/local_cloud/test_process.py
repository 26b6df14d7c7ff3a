"""The process: its ready line, its end, its refusals, and that a kill loses nothing."""

import json
import signal
import socket
import struct
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fidelity import pins
from tests.local_cloud.cloud_places import ROOT
from tests.local_cloud.conftest import Process

ACCOUNTS = "/v1/projects/sluice-local/serviceAccounts"


def call(process: Process, verb: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(process.rest + path, data=data, method=verb)
    with urllib.request.urlopen(request, timeout=20) as response:
        return json.load(response)


def refuse(state: Path, *arguments: str) -> str:
    """Runs a cloud that must not start; gives its message."""
    done = subprocess.run(
        [sys.executable, "-m", "local_cloud", "--state", str(state), *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_and_a_restart_goes_on(start: Callable[..., Process], how: signal.Signals) -> None:
    first = start()
    call(first, "POST", ACCOUNTS, {"accountId": "gcsplit"})
    call(first, "POST", "/_sluice/clock:advance", {"seconds": 100})
    assert first.stop(how) == 0
    again = start()
    assert call(again, "GET", ACCOUNTS)["accounts"][0]["email"].startswith("gcsplit@")
    assert call(again, "GET", "/_sluice/clock")["offset"] == 100


@pins(
    "front_end",
    "Operations, clock, state",
    "What was answered is on disk, over kill -9 too",
    ours=True,
)
def test_a_kill_loses_nothing_that_was_answered(start: Callable[..., Process]) -> None:
    made: list[str] = []
    for round_ in range(3):
        process = start()
        for n in range(20):
            made.append(call(process, "POST", ACCOUNTS, {"accountId": f"account-{round_}-{n}"})["email"])
        process.stop(signal.SIGKILL)
    listed = call(start(), "GET", ACCOUNTS)["accounts"]
    assert [account["email"] for account in listed] == made


def test_a_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for flag in ("--port", "--grpc-port", "--service-rest-port", "--service-grpc-port"):
            assert f"Port {port} is in use: give another {flag}" in refuse(tmp_path / "x", flag, str(port))


def test_a_state_in_use_names_the_process(process: Process) -> None:
    assert f"in use by the local cloud with pid {process.popen.pid}" in refuse(process.state)


def test_a_damaged_state_is_named(tmp_path: Path) -> None:
    (tmp_path / "cloud").mkdir()
    (tmp_path / "cloud" / "state.db").write_text("rubbish")
    assert "state.db is not readable" in refuse(tmp_path / "cloud")


def test_a_state_whose_clock_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "clock").write_bytes(struct.pack("<d", 3.6e11))
    (tmp_path / "cloud.json").write_text("{}")
    assert "remove that file to go on" in refuse(tmp_path)


def test_a_state_directory_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot be used as state directory" in refuse(tmp_path / "file" / "cloud")
