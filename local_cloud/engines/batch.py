"""One attempt of a job's task: a forked process from its start to its end, and how it ended.

Owns the timeout and the stopping order SIGTERM, ten seconds, SIGKILL; leaves to run/executions.py which tasks there are
and whether one is tried again. An attempt has its CPU all the time and no port.
"""

import asyncio
import os
import signal
from typing import NamedTuple

from local_cloud.engines.forks import ForkServer, Line, Process, Start
from local_cloud.engines.instances import STOP_GRACE
from local_cloud.engines.probes import Later


class Ended(NamedTuple):
    """How an attempt ended: the container's exit code or the signal that ended it, or why it never began."""

    exit_code: int = 0
    term_signal: int = 0
    #: "timeout" or "cancelled" where the platform ended it.
    stopped: str = ""
    #: Why the container's code never ran.
    broken: str = ""

    @property
    def ok(self) -> bool:
        """Only an exit with 0, of the container's own will, is success."""
        return self == Ended()


class Attempt:
    """A process that does one task once."""

    def __init__(self) -> None:
        self.id = os.urandom(20).hex()
        self._process: Process | None = None
        self._stopped = ""

    async def run(self, server: ForkServer, start: Start, line: Line, *, timeout: float, later: Later) -> Ended:
        """Start it and see its end; the timeout is by the clock that `later` goes by."""
        if self._stopped:
            return Ended(stopped=self._stopped)
        self._process = process = await server.fork(start, line)
        timer = later(timeout, lambda: self.stop("timeout"))
        try:
            if self._stopped:
                await self.stop(self._stopped)
            status = await asyncio.shield(process.exited)
        except asyncio.CancelledError:
            process.signal(signal.SIGKILL)
            raise
        finally:
            timer.cancel()
        if process.broken:
            return Ended(broken=process.broken[0])
        return Ended(max(status, 0), max(-status, 0), self._stopped)

    async def stop(self, why: str) -> None:
        """SIGTERM, then SIGKILL when it is still there after the grace."""
        self._stopped = self._stopped or why
        process = self._process
        if process is None or process.exited.done():
            return
        process.signal(signal.SIGTERM)
        done, _ = await asyncio.wait([process.exited], timeout=STOP_GRACE)
        if not done:
            process.signal(signal.SIGKILL)
            await asyncio.wait([process.exited], timeout=STOP_GRACE)
