"""One supervised process: started, watched until it is ready, started again when it dies, stopped in the end.

Owns the restart rule and the record of what happened. Leaves the process's own state to the process.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

#: Seconds between a death and the next start: at once, then doubled up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 5.0

#: Starts in a row that never became ready, after which the child is called failed (it is still tried again).
FAILED_AFTER = 4

#: Seconds that a process gets between SIGTERM and SIGKILL.
GRACE = 15.0

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, kw_only=True)
class Spec:
    """How to start one process and how to see that it is ready.

    `ready` gets the first JSON line that the process prints (None where it prints none) and returns once the process
    serves. `user` runs it as another system user (Postgres refuses root). `stop` is the signal that asks it to end.
    """

    name: str
    argv: Sequence[str]
    log: Path
    env: Mapping[str, str] = field(default_factory=dict)
    prints_ready_line: bool = True
    ready: Callable[[], Awaitable[None]] | None = None
    user: str | None = None
    stop: signal.Signals = signal.SIGTERM


class Child:
    """A process that is kept running until `stop`."""

    def __init__(self, spec: Spec, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.state = "starting"
        self.pid: int | None = None
        self.restarts = 0
        self.ready_line: dict[str, Any] = {}
        self._changed = changed
        self._stopping = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None

    def record(self) -> dict[str, Any]:
        """What `supervisor.json` says of this child."""
        record = {"state": self.state, "pid": self.pid, "restarts": self.restarts, "log": str(self.spec.log)}
        return {**record, "said": self.ready_line}

    async def run(self) -> None:
        """Keep the process running until `stop` is called."""
        failures = 0
        while not self._stopping.is_set():
            became_ready = await self._live_once()
            if self._stopping.is_set():
                break
            failures = 0 if became_ready else failures + 1
            self.restarts += 1
            self._set("failed" if failures >= FAILED_AFTER else "restarting")
            pause = min(FIRST_PAUSE * 2**failures, LONGEST_PAUSE) if failures else FIRST_PAUSE
            await _first(asyncio.sleep(pause), self._stopping.wait())
        self.pid = None
        self._set("stopped")

    async def stop(self) -> None:
        """Ask the process to end, and end it after the grace."""
        self._stopping.set()
        process = self._process
        if process is None or process.returncode is not None:
            return
        _signal(process, self.spec.stop)
        try:
            await asyncio.wait_for(process.wait(), GRACE)
        except TimeoutError:
            _signal(process, signal.SIGKILL)
            await process.wait()

    async def _live_once(self) -> bool:
        """Start the process and wait for its end; says whether it was ever ready."""
        with self.spec.log.open("ab") as log:
            try:
                self._process = process = await asyncio.create_subprocess_exec(
                    *self.spec.argv,
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    env={**os.environ, **self.spec.env},
                    user=self.spec.user,
                    group=self.spec.user,
                    extra_groups=[] if self.spec.user else None,
                    preexec_fn=_die_with_parent if sys.platform == "linux" else None,
                )
            except OSError as error:
                log.write(f"{self.spec.argv[0]} cannot be started: {error}\n".encode())
                return False
        self.pid = process.pid
        self._set("starting")
        getting_ready = asyncio.create_task(self._become_ready(process))
        await process.wait()
        became_ready = getting_ready.done() and not getting_ready.cancelled() and getting_ready.exception() is None
        getting_ready.cancel()
        return became_ready

    async def _become_ready(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        if self.spec.prints_ready_line:
            self.ready_line = await _first_json_line(process.stdout)
        if self.spec.ready is not None:
            await self.spec.ready()
        self._set("ready")
        await _drain(process.stdout)

    def _set(self, state: str) -> None:
        self.state = state
        self._changed()


async def _first_json_line(stream: asyncio.StreamReader) -> dict[str, Any]:
    while line := await stream.readline():
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            return value
    raise EOFError("the process ended before it said that it was ready")


async def _drain(stream: asyncio.StreamReader) -> None:
    while await stream.read(65536):
        pass


async def _first(*waits: Any) -> None:
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()


def _signal(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return


def _die_with_parent() -> None:
    """In the new process: end when the supervisor does, however it ends (prctl(2), Linux)."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
