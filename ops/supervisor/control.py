"""What the command line does with the supervisor: start it, wait for its processes, look at them, stop it.

Leaves the processes themselves to the daemon. A supervisor that was killed outright leaves a record of its
processes' ids; `stop` ends what is left of those.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ops.errors import OpsError
from ops.home import ROOT, Home, Ports, code_of, taken
from ops.supervisor import LOCK, ROOMS

#: Seconds that the processes of a stack get to become ready: Postgres makes its data folder within them.
READY_WITHIN = 60.0

#: Seconds that the daemon gets to stop all of them: three times a child's grace.
STOPPED_WITHIN = 50.0

#: Seconds for which a port may be held by what is just ending.
FREED_WITHIN = 20.0

_LOOK_EVERY = 0.03


def running(home: Home) -> bool:
    """Whether a supervisor holds this home."""
    try:
        lock = (home.path / LOCK).open("r+")
    except FileNotFoundError:
        return False
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


def children(home: Home) -> dict[str, dict[str, Any]]:
    """What the supervisor says of its processes, by name; empty when there is none."""
    return dict((home.read("supervisor.json") or {}).get("children", {}))


def start(home: Home, ports: Ports, tell: Callable[[str], None]) -> bool:
    """Start the supervisor unless it runs, and wait until its processes are ready; says whether it was started."""
    if running(home) and (home.read("supervisor.json") or {}).get("code") not in (None, code_of(*ROOMS)):
        tell("the code of cloud or sandbox has changed: they are started anew")
        stop(home)
    started = not running(home)
    if started:
        end_leftovers(home)
        _require_free(home, ports, tell)
        _spawn(home)
    _wait_ready(home, tell)
    return started


def stop(home: Home) -> bool:
    """Stop the supervisor and all of its processes; says whether there was anything to stop."""
    was_running = running(home)
    if was_running:
        _kill_supervisor(home, signal.SIGTERM)
        if not _until(lambda: not running(home), STOPPED_WITHIN):
            _kill_supervisor(home, signal.SIGKILL)
            _until(lambda: not running(home), 5)
    return end_leftovers(home) or was_running


def _kill_supervisor(home: Home, number: signal.Signals) -> None:
    """Signal the supervisor, whose pid stands in the file that it holds."""
    with contextlib.suppress(ProcessLookupError, ValueError):
        os.kill(int((home.path / LOCK).read_text()), number)


def end_leftovers(home: Home) -> bool:
    """End processes that a killed supervisor left behind; says whether there were any.

    Where its record cannot be read nobody knows of any: what `down --erase` mends is not what keeps it from being done.
    """
    found = False
    known: dict[str, dict[str, Any]] = {}
    with contextlib.suppress(OpsError):
        known = children(home)
    for child in known.values():
        pid = child.get("pid")
        if pid and _is_ours(pid, home):
            found = True
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGINT)
            if not _until(lambda pid=pid: not _is_ours(pid, home), 10):  # type: ignore[misc]
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    (home.path / "supervisor.json").unlink(missing_ok=True)
    return found


def _is_ours(pid: int, home: Home) -> bool:
    """Whether this process names our home on its command line: ids are used again by others."""
    try:
        shown = subprocess.run(["ps", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return str(home.path) in shown.stdout


def _require_free(home: Home, ports: Ports, tell: Callable[[str], None]) -> None:
    """Wait a little for ports that are in use: what was stopped a moment ago may still be ending."""
    if not (busy := taken(vars(ports).values())):
        return
    names = ", ".join(f"{port} ({name})" for name, port in vars(ports).items() if port in busy)
    tell(f"waiting for ports that are still in use: {names}")
    if not _until(lambda: not taken(vars(ports).values()), FREED_WITHIN):
        raise OpsError(
            f"ports of this stack are in use, and were for {FREED_WITHIN:.0f} s: {names}",
            why=f"its queues and services hold URLs with these ports, recorded in {home.path / 'stack.json'}",
            fix="wait a minute and run ./sluice up again; where they stay in use, stop the programs that listen there, "
            "or make a new stack beside it: SLUICE_HOME=/another/folder ./sluice up",
        )


def _spawn(home: Home) -> None:
    log = (home.folder("logs") / "supervisor.log").open("ab")
    with log:
        subprocess.Popen(
            [sys.executable, "-m", "ops.supervisor"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=ROOT,
            env={**os.environ, "SLUICE_HOME": str(home.path), "PYTHONPATH": str(ROOT)},
        )


def _wait_ready(home: Home, tell: Callable[[str], None]) -> None:
    said: set[str] = set()
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline:
        record = home.read("supervisor.json") or {}
        if record.get("failed"):
            raise OpsError(record["failed"])
        states = record.get("children", {})
        for name, child in states.items():
            if child["state"] == "ready" and name not in said:
                said.add(name)
                tell(f"{name} runs")
            if child["state"] == "failed":
                raise _did_not_start(name, Path(child["log"]))
        if states and len(said) == len(states) and running(home):
            return
        time.sleep(_LOOK_EVERY)
    late = [name for name in states if name not in said] or ["supervisor"]
    raise _did_not_start(late[0], home.folder("logs") / f"{late[0]}.log")


def _did_not_start(name: str, log: Path) -> OpsError:
    text = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    return OpsError(
        f"the process `{name}` did not start; the end of its log {log}:\n    " + "\n    ".join(text[-8:]),
        fix="mend what the log says and run ./sluice up again; ./sluice down stops what runs",
    )


def _until(done: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if done():
            return True
        time.sleep(_LOOK_EVERY)
    return done()
