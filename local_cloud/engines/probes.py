"""Health checks of an instance: one look at it over HTTP, TCP or gRPC, and the watch that looks again and again.

Owns what counts as healthy and how many failures in a row count as sick. What follows from it (a start that is given
up, an instance that is killed, one that gets no requests) is engines/instances.py's and engines/revisions.py's.
Source: https://cloud.google.com/run/docs/configuring/healthchecks; grpc/health/v1/health.proto.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from local_cloud.server.http2.asking import ask

#: grpc.health.v1.HealthCheckResponse with the status SERVING, as it stands on the wire.
_SERVING = b"\x08\x01"


@dataclass(frozen=True, kw_only=True)
class Probe:
    """An HTTP path that must answer 2xx or 3xx, a gRPC health service that must serve, or else an open port."""

    path: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    #: The name of the gRPC service to ask for ("" is the server's own), None for another kind of probe.
    service: str | None = None
    initial_delay: float = 0.0
    timeout: float = 1.0
    period: float = 10.0
    threshold: int = 3
    #: How long a start may take. Google's default probe looks for the TCP port for 240 s.
    patience: float = 240.0

    @property
    def what(self) -> str:
        """For messages."""
        if self.path is not None:
            return f"HTTP path {self.path}"
        return "gRPC health service" if self.service is not None else "TCP port"


async def check(probe: Probe, port: int) -> bool:
    """One look. Whatever goes wrong, on either side, is no health."""
    try:
        async with asyncio.timeout(probe.timeout):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                if probe.path is not None:
                    return await _http(probe, port, reader, writer)
                return probe.service is None or await _grpc(probe.service, port, reader, writer)
            finally:
                writer.transport.abort()
    except Exception:
        return False


async def _http(probe: Probe, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    more = "".join(f"{name}: {value}\r\n" for name, value in probe.headers if name.lower() != "host")
    host = next((value for name, value in probe.headers if name.lower() == "host"), f"127.0.0.1:{port}")
    writer.write(
        f"GET {probe.path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: GoogleHC/1.0\r\n{more}"
        "Connection: close\r\n\r\n".encode()
    )
    answer = await reader.readline()
    return answer.split(b" ", 2)[1][:1] in b"23"


async def _grpc(service: str, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    name = service.encode()
    question = b"\x0a" + _varint(len(name)) + name if name else b""
    return await ask(reader, writer, f"127.0.0.1:{port}", "/grpc.health.v1.Health/Check", question) == _SERVING


def _varint(number: int) -> bytes:
    """A length as it stands on the wire: seven bits a byte, the lowest first."""
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])


class Timer(Protocol):
    """What can be taken back."""

    def cancel(self) -> None:
        """Take it back."""


#: Calls back after so many seconds of whatever clock it belongs to; what is called may return an awaitable to be run.
Later = Callable[[float, Callable[[], Awaitable[None]]], Timer]


def later(seconds: float, call: Callable[[], Awaitable[None]]) -> Timer:
    """Later, by the machine's clock."""
    return asyncio.get_running_loop().call_later(seconds, lambda: asyncio.ensure_future(call()))


class Watch:
    """Looks every period from the initial delay on, and says when what it sees has changed for good."""

    def __init__(
        self, probe: Probe, look: Callable[[], Awaitable[bool]], say: Callable[[bool], None], after: Later
    ) -> None:
        self._probe, self._look, self._say, self._later = probe, look, say, after
        self._failures = 0
        self._stopped = False
        self._timer = after(probe.initial_delay, self._due)

    def stop(self) -> None:
        """Look no more."""
        self._stopped = True
        self._timer.cancel()

    async def _due(self) -> None:
        try:
            healthy = await self._look()
            if not self._stopped:
                self._note(healthy)
        except Exception as error:  # told, and looked again: an instance must not go unwatched
            loop = asyncio.get_running_loop()
            loop.call_exception_handler({"message": "A health probe of the local cloud failed", "exception": error})
        with contextlib.suppress(RuntimeError):  # the loop is closing
            if not self._stopped:
                self._timer = self._later(self._probe.period, self._due)

    def _note(self, healthy: bool) -> None:
        before, self._failures = self._failures, 0 if healthy else self._failures + 1
        if healthy and before >= self._probe.threshold:
            self._say(True)
        elif self._failures == self._probe.threshold:
            self._say(False)
