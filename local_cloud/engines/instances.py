"""One instance of a revision: a forked process with a port, from its start to its last signal.

Owns readiness (the startup probe), the port and the stopping order SIGTERM, ten seconds, SIGKILL; leaves to
engines/revisions.py how many there are and which request goes where.
Source: the container runtime contract, https://cloud.google.com/run/docs/container-contract.
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
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from local_cloud.engines.forks import ForkError, ForkServer, Line, Process

#: Seconds that a process gets to be seen dead after a connection to it broke.
LOST_PATIENCE = 0.5

#: Instances get SIGTERM and this long before SIGKILL (container contract).
STOP_GRACE = 10.0
#: A starting instance is looked at this often. Google's own period is seconds; a cold start here takes milliseconds.
PROBE_STEP = 0.01
#: Ports for instances: below the range that the kernel hands out to outgoing connections.
PORTS = range(18_000, 32_000)

_ports = itertools.cycle(random.Random(os.getpid()).sample(PORTS, len(PORTS)))


class StartError(Exception):
    """The instance did not become ready; the text is what the revision's condition and the log say."""


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A startup probe: an HTTP path that must answer 2xx or 3xx, or, without one, an open port."""

    path: str | None = None
    initial_delay: float = 0.0
    timeout: float = 1.0
    #: Google's default probe looks for the TCP port for 240 s.
    patience: float = 240.0


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
        self._process: Process | None = None
        self._frozen = False

    @property
    def pid(self) -> int:
        """The process, or 0 before it has one."""
        return self._process.pid if self._process else 0

    async def start(
        self, server: ForkServer, *, title: str, args: tuple[str, ...], env: Mapping[str, str], probe: Probe, line: Line
    ) -> None:
        """Fork it and wait until it serves; raises StartError, with the process ended, when it does not."""
        self.port, held = reserve_port()
        try:
            if sys.platform != "linux":
                held.close()
            environment = {**env, "PORT": str(self.port), "HOST": "127.0.0.1"}
            self._process = await server.fork(title=title, args=args, env=environment, line=line)
            await self._until_ready(self._process, probe)
        except (StartError, ForkError, asyncio.CancelledError) as error:
            self.state = "gone"
            self.kill()
            if isinstance(error, ForkError):
                raise StartError(str(error)) from error
            raise
        finally:
            held.close()
        self.state = "ready"
        self.idle_since = time.monotonic()

    async def _until_ready(self, process: Process, probe: Probe) -> None:
        deadline = time.monotonic() + probe.patience
        if probe.initial_delay:
            await asyncio.wait([process.exited], timeout=min(probe.initial_delay, probe.patience))
        while not process.exited.done():
            if await self._probe_once(probe):
                return
            if time.monotonic() > deadline:
                what = f"HTTP path {probe.path}" if probe.path else "TCP port"
                raise StartError(
                    "The user-provided container failed to start and listen on the port defined provided by the "
                    f"PORT={self.port} environment variable within the allocated timeout: its startup probe ({what}) "
                    f"did not succeed within {probe.patience:g} s."
                )
            await asyncio.wait([process.exited], timeout=PROBE_STEP)
        status = process.exited.result()
        how = f"exit({status})" if status >= 0 else f"signal {signal.Signals(-status).name}"
        raise StartError(f"Container called {how} before it served on PORT={self.port}. Its last output is in the log.")

    async def _probe_once(self, probe: Probe) -> bool:
        writer = None
        try:
            async with asyncio.timeout(probe.timeout):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                if probe.path is None:
                    return True
                host = f"127.0.0.1:{self.port}"
                writer.write(
                    f"GET {probe.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: GoogleHC/1.0\r\n"
                    "Connection: close\r\n\r\n".encode()
                )
                answer = await reader.readline()
                return answer.split(b" ", 2)[1][:1] in b"23"
        except (OSError, TimeoutError, IndexError):
            return False
        finally:
            if writer is not None:
                writer.transport.abort()

    def enter(self) -> None:
        """A request arrives: the instance gets its CPU back if it was frozen."""
        self.in_flight += 1
        if self._frozen and self._process is not None:
            self._frozen = False
            self._process.signal(signal.SIGCONT)

    def leave(self) -> None:
        """A request is over: without requests, an instance billed by request has no CPU."""
        self.in_flight -= 1
        self.idle_since = time.monotonic()
        if self.freeze and not self.in_flight and self.state == "ready" and self._process is not None:
            self._frozen = True
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
        self._process.signal(signal.SIGCONT)
        done, _ = await asyncio.wait([self._process.exited], timeout=grace)
        if not done:
            self.kill()
            await asyncio.wait([self._process.exited], timeout=grace)
        self.state = "gone"

    def kill(self) -> None:
        """SIGKILL at once."""
        if self._process is not None:
            self._process.signal(signal.SIGKILL)
