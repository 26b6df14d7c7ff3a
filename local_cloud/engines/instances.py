"""One instance of a revision: a forked process with a port, from its start to its last signal.

Owns readiness (the startup probe), the port, the CPU that is there only while there is work (billed by request), and
the stopping order SIGTERM, ten seconds, SIGKILL; leaves to engines/revisions.py how many there are and which request
goes where.
Sources: https://cloud.google.com/run/docs/container-contract, .../docs/configuring/billing-settings.
"""

import asyncio
import contextlib
import itertools
import os
import random
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Literal

from local_cloud.engines import probes
from local_cloud.engines.forks import ForkError, ForkServer, Line, Process, Start
from local_cloud.engines.probes import Probe
from local_cloud.engines.usage import Usage

#: Seconds that a process gets to be seen dead after a connection to it broke.
LOST_PATIENCE = 0.5

#: Instances get SIGTERM and this long before SIGKILL (container contract).
STOP_GRACE = 10.0
#: A starting instance is looked at this often. Google's own period is seconds; a cold start here takes milliseconds.
PROBE_STEP = 0.01
#: Between the last answer and the freezing of an instance that is billed by request: its flush, and the next request.
FREEZE_AFTER = 0.1
#: So much of an instance's last line stands in the message of a failed start.
LAST_LINE = 300
#: Ports for instances: below the range that the kernel hands out to outgoing connections.
PORTS = range(18_000, 32_000)

_ports = itertools.cycle(random.Random(os.getpid()).sample(PORTS, len(PORTS)))


class StartError(Exception):
    """The instance did not become ready; the text is what the revision's condition and the log say."""


def reserve_port() -> tuple[int, socket.socket]:
    """Find a port and keep it from others: bound but not listening, so that only SO_REUSEADDR listeners may join."""
    for _ in range(len(PORTS)):
        port = next(_ports)
        held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        with contextlib.suppress(OSError):
            held.bind(("127.0.0.1", port))  # first without reuse: nobody else may be there
            held.close()
            held = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", port))
            return port, held
        held.close()
    raise StartError(f"no free port between {PORTS.start} and {PORTS.stop}")


class Instance:
    """A process that serves one revision on 127.0.0.1:port."""

    def __init__(self, revision: str, *, freeze: bool) -> None:
        self.revision = revision
        self.freeze = freeze
        self.state: Literal["starting", "ready", "stopping", "gone"] = "starting"
        self.id = os.urandom(20).hex()
        self.port = 0
        self.in_flight = 0
        self.idle_since = time.monotonic()
        self.started_at = time.time()
        #: Whether its readiness probe, if it has one, lets requests come to it.
        self.serving = True
        self.frozen = False
        self.usage = Usage()
        self._process: Process | None = None
        self._last_line = ""
        self._probing = 0
        self._freezing: asyncio.TimerHandle | None = None

    @property
    def pid(self) -> int:
        """The process, or 0 before it has one."""
        return self._process.pid if self._process else 0

    async def start(self, server: ForkServer, start: Start, *, probe: Probe, line: Line) -> None:
        """Fork it and wait until it serves; raises StartError, with the process ended, when it does not."""
        self.port, held = reserve_port()
        try:
            if sys.platform != "linux" or server.image.contained is not None:
                held.close()  # a pushed image may listen without SO_REUSEADDR, and at more than loopback
            env = {**start.env, "PORT": str(self.port), "HOST": "127.0.0.1"}
            self._process = await server.fork(replace(start, env=env), self._remembered(line))
            await self._until_ready(self._process, probe)
        except BaseException as error:  # whatever it is: no process stays without an owner
            self.state = "gone"
            self.kill()
            if isinstance(error, ForkError):
                raise StartError(str(error)) from error
            raise
        finally:
            held.close()
        self.state = "ready"
        self.usage.ready()
        self.idle_since = time.monotonic()
        self._rest()

    def _remembered(self, line: Line) -> Line:
        """Keeps what it said last: for one that does not start, that mostly is why."""

        def heard(stream: str, text: str) -> None:
            self._last_line = text.strip() or self._last_line
            line(stream, text)

        return heard

    def _said(self) -> str:
        said = self._last_line
        shown = said if len(said) <= LAST_LINE else f"{said[:LAST_LINE]}..."
        return f"Its last output: {shown}" if shown else "It wrote nothing."

    async def _until_ready(self, process: Process, probe: Probe) -> None:
        deadline = time.monotonic() + probe.patience
        if probe.initial_delay:
            await asyncio.wait([process.exited], timeout=min(probe.initial_delay, probe.patience))
        while not process.exited.done():
            if await probes.check(probe, self.port):
                return
            if time.monotonic() > deadline:
                raise StartError(
                    "The user-provided container failed to start and listen on the port defined provided by the "
                    f"PORT={self.port} environment variable within the allocated timeout: its startup probe "
                    f"({probe.what}) did not succeed within {probe.patience:g} s. {self._said()}"
                )
            await asyncio.wait([process.exited], timeout=PROBE_STEP)
        if process.broken:
            raise StartError(f"The instance could not be prepared: {process.broken[0]}")
        status = process.exited.result()
        how = f"exit({status})" if status >= 0 else f"signal {signal.Signals(-status).name}"
        raise StartError(f"Container called {how} before it served on PORT={self.port}. {self._said()}")

    def enter(self) -> None:
        """A request arrives: the instance gets its CPU back if it was frozen."""
        self.in_flight += 1
        self.usage.enter(self.in_flight)
        self._wake()

    def leave(self) -> None:
        """A request is over: without requests, an instance billed by request has no CPU."""
        self.in_flight -= 1
        self.usage.leave(self.in_flight)
        self.idle_since = time.monotonic()
        self._rest()

    @contextmanager
    def awake(self) -> Iterator[None]:
        """Holds the CPU for a probe, which is no request."""
        self._probing += 1
        self._wake()
        try:
            yield
        finally:
            self._probing -= 1
            self._rest()

    async def look(self, probe: Probe) -> bool:
        """Ask it how it is."""
        with self.awake():
            return await probes.check(probe, self.port)

    def _wake(self) -> None:
        if self.frozen and self._process is not None:
            self.frozen = False
            self._process.signal(signal.SIGCONT)

    def _rest(self) -> None:
        # One timer an instance, not one a request: under load it finds work each time and is set again by the last.
        if self.freeze and self._freezing is None and not self.in_flight:
            self._freezing = asyncio.get_running_loop().call_later(FREEZE_AFTER, self._freeze_now)

    def _freeze_now(self) -> None:
        self._freezing = None
        if self.in_flight or self._probing or self.state != "ready" or self._process is None:
            return
        left = self.idle_since + FREEZE_AFTER - time.monotonic()
        if left > 0:
            self._freezing = asyncio.get_running_loop().call_later(left, self._freeze_now)
        elif not self.frozen:
            self.frozen = True
            self._process.signal(signal.SIGSTOP)

    async def ended(self) -> int:
        """Wait for the end of the process and tell its status."""
        if self._process is None:
            return 0
        status = await asyncio.shield(self._process.exited)
        self.state = "gone"
        return status

    async def lost(self) -> None:
        """A connection to it broke: see whether it has died, before another request is given to it."""
        if self._process is not None:
            await asyncio.wait([self._process.exited], timeout=LOST_PATIENCE)
            if self._process.exited.done():
                self.state = "gone"

    async def stop(self, grace: float = STOP_GRACE) -> None:
        """SIGTERM, then SIGKILL when it is still there after the grace."""
        if self._process is None or self._process.exited.done():
            self.state = "gone"
            return
        self.state = "stopping"
        self._process.signal(signal.SIGTERM)
        self._process.signal(signal.SIGCONT)  # whether or not it is frozen: the grace is with CPU
        self.frozen = False
        done, _ = await asyncio.wait([self._process.exited], timeout=grace)
        if not done:
            self.kill()
            await asyncio.wait([self._process.exited], timeout=grace)
        self.state = "gone"

    def kill(self) -> None:
        """SIGKILL at once."""
        if self._freezing is not None:
            self._freezing.cancel()
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
