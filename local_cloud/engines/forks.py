"""The cloud's side of a zygote: starts one per image, asks it for instances, hears which of them ended.

Owns sockets, pipes and process ids; leaves to engines/revisions.py when an instance starts and stops, and to
engines/zygote.py what happens on the other side of the socket.
"""

import asyncio
import contextlib
import json
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

#: A line of output is cut here: Cloud Logging takes entries of up to 256 KiB.
MAX_LINE = 250_000

#: Seconds that a zygote may take to end after its socket has closed.
REAP_PATIENCE = 5

Line = Callable[[str, str], None]  # stream ("stdout" | "stderr"), text without its newline


class ForkError(Exception):
    """The zygote could not be started, or ended before it had answered."""


@dataclass(frozen=True, kw_only=True)
class Contained:
    """An image that was pushed: its root folder and what its configuration says about how it starts."""

    rootfs: str
    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]
    env: tuple[str, ...]
    workdir: str
    user: str


@dataclass(frozen=True, kw_only=True)
class Image:
    """What stands behind a digest: code that was registered (where it lies, how it starts), or what was pushed."""

    digest: str
    root: str
    entry: str
    preload: tuple[str, ...] = ()
    #: Instances run in a container of their own (engines/container.py), and know nothing of root, entry and preload.
    contained: Contained | None = None


@dataclass(frozen=True, kw_only=True)
class Start:
    """How a process starts: title, arguments, the whole environment, what replaces the image's own."""

    title: str
    env: Mapping[str, str]
    args: Sequence[str] = ()
    #: Instead of the image's entry point.
    command: Sequence[str] = ()
    #: Below the image's root, or absolute; "" is the root.
    workdir: str = ""
    #: What engines/mounts.py mounts, and the folder that it needs for it.
    volumes: Sequence[Mapping[str, Any]] = ()
    staging: str = ""


@dataclass(eq=False)
class Process:
    """One forked instance. `exited` holds its exit status (negative: the signal) when it is over."""

    pid: int
    exited: asyncio.Future[int]
    #: Why it ended before any code of the image's ran: volumes that cannot be mounted, a folder that is not there.
    broken: list[str] = field(default_factory=list)

    def signal(self, number: int) -> None:
        """Signal the instance and whatever it started; nothing happens if it is over."""
        if not self.exited.done():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


class _Output(asyncio.Protocol):
    """Cuts one output stream of an instance into lines."""

    def __init__(self, stream: str, line: Line) -> None:
        self.stream, self.line, self.rest = stream, line, b""

    def data_received(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        if len(self.rest) > MAX_LINE:
            lines.append(self.rest)
            self.rest = b""
        for text in lines:
            if text:
                self.line(self.stream, text[:MAX_LINE].decode("utf-8", "replace"))

    def connection_lost(self, _exc: Exception | None) -> None:
        if self.rest:
            self.line(self.stream, self.rest.decode("utf-8", "replace"))


class ForkServer:
    """One running zygote."""

    def __init__(self, image: Image) -> None:
        self.image = image
        self.pid = 0
        self.failed_preloads: list[str] = []
        self._socket: socket.socket | None = None
        self._ready: asyncio.Future[None] | None = None
        self._starting: dict[str, asyncio.Future[int]] = {}
        self._exits: dict[str, asyncio.Future[int]] = {}
        self._broken: dict[str, list[str]] = {}
        self._sending = asyncio.Lock()
        self._listener: asyncio.Task[None] | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._count = 0

    @property
    def alive(self) -> bool:
        """Whether it can still be asked for an instance."""
        here = self._socket is not None and self._socket.fileno() != -1
        return here and self._listener is not None and not self._listener.done()

    async def start(self) -> None:
        """Start the process and wait until its imports are done."""
        loop = asyncio.get_running_loop()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                self._process = _spawn(self.image, theirs)
            except OSError:
                ours.close()
                raise
        self._socket, self.pid = ours, self._process.pid
        self._ready = loop.create_future()
        self._listener = loop.create_task(self._listen(ours))
        title = f"sluice: zygote {self.image.digest[7:19]}"
        try:
            await self._send({"op": "preload", "modules": list(self.image.preload), "title": title})
            await asyncio.shield(self._ready)
        except BaseException:  # nobody will have it
            self._end()
            raise

    async def fork(self, start: Start, line: Line) -> Process:
        """Start an instance; returns as soon as it has a process id. Cancelled, it leaves no instance behind."""
        work = asyncio.ensure_future(self._fork(start, line))  # by itself: half a request would break the wire
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            work.add_done_callback(_unwanted)
            raise

    async def _fork(self, start: Start, line: Line) -> Process:
        loop = asyncio.get_running_loop()
        self._count += 1
        key = str(self._count)
        started: asyncio.Future[int] = loop.create_future()
        exited: asyncio.Future[int] = loop.create_future()
        self._starting[key], self._exits[key] = started, exited
        broken = self._broken[key] = []
        ends = []
        try:
            for stream in ("stdout", "stderr"):
                ours, theirs = os.pipe()
                ends.append(theirs)
                await loop.connect_read_pipe(lambda s=stream: _Output(s, line), os.fdopen(ours, "rb", 0))  # type: ignore[misc]
            message = {name: getattr(start, name) for name in ("title", "workdir", "staging")}
            message |= {"args": list(start.args), "command": list(start.command), "env": dict(start.env)}
            message |= {"volumes": [dict(volume) for volume in start.volumes]}
            contained = asdict(self.image.contained) if self.image.contained is not None else None
            image = {"entry": self.image.entry, "root": self.image.root, "contained": contained}
            await self._send({"op": "fork", "id": key} | message | image, ends)
        except BaseException:
            for known in (self._starting, self._exits, self._broken):
                known.pop(key, None)
            raise
        finally:
            for end in ends:
                os.close(end)
        return Process(await started, exited, broken)

    async def stop(self) -> None:
        """End it and with it every instance that is left."""
        self._end()
        if self._listener is not None:
            await self._listener

    def _end(self) -> None:
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    async def _send(self, message: Mapping[str, object], descriptors: Sequence[int] = ()) -> None:
        if self._socket is None:
            raise ForkError("the zygote has not been started")
        body = json.dumps(message).encode()
        async with self._sending:
            try:
                head = struct.pack("!I", len(body))
                if descriptors:
                    socket.send_fds(self._socket, [head], list(descriptors))
                else:
                    self._socket.send(head)
                await asyncio.get_running_loop().sock_sendall(self._socket, body)
            except OSError as gone:
                raise ForkError(f"the zygote of {self.image.digest} is gone: {gone}") from gone

    async def _listen(self, sock: socket.socket) -> None:
        loop, rest = asyncio.get_running_loop(), b""
        try:
            while data := await loop.sock_recv(sock, 65536):
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    self._hear(json.loads(line))
        except OSError:
            pass
        finally:
            sock.close()
            self._abandon()
            if self._process is not None:
                await asyncio.to_thread(_reap, self._process)

    def _hear(self, event: dict[str, object]) -> None:
        match event:
            case {"event": "ready", "failed": list(failed)}:
                self.failed_preloads = [str(item) for item in failed]
                if self._ready is not None and not self._ready.done():
                    self._ready.set_result(None)
            case {"event": "started", "id": str(name), "pid": int(pid)}:
                _settle(self._starting.pop(name, None), pid)
            case {"event": "broken", "id": str(name), "why": str(why)}:
                self._broken[name].append(why)
            case {"event": "exited", "id": str(name), "status": int(status), "why": str(why)}:
                self._broken.pop(name, None)
                _fail(self._starting.pop(name, None), f"the instance could not be forked: {why}")
                _settle(self._exits.pop(name, None), status)

    def _abandon(self) -> None:
        """The zygote is over, and by PDEATHSIG or its own hand its children are too."""
        why = f"the zygote of {self.image.digest} ended"
        _fail(self._ready, why)
        for waiting in self._starting.values():
            _fail(waiting, why)
        for exited in self._exits.values():
            _settle(exited, -signal.SIGKILL)
        self._starting.clear()
        self._exits.clear()
        self._broken.clear()


def _spawn(image: Image, control: socket.socket) -> "subprocess.Popen[bytes]":
    """Start the script. Without close_fds and cwd this is posix_spawn: forks of a process with threads may die.

    Nothing is inherited all the same: Python's descriptors are close-on-exec, and the zygote closes any other.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    env = kept | {"PYTHONPATH": image.root, "PYTHONDONTWRITEBYTECODE": "1"}
    script = str(Path(__file__).with_name("zygote.py"))
    command = [sys.executable, "-P", script, str(os.getpid()), image.root]
    return subprocess.Popen(command, stdin=control.fileno(), stdout=subprocess.DEVNULL, env=env, close_fds=False)


def _reap(process: "subprocess.Popen[bytes]") -> None:
    """Collect a zygote whose socket has closed; one that does not end by itself is ended."""
    try:
        process.wait(REAP_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _unwanted(work: asyncio.Future[Process]) -> None:
    """An instance that came when nobody waited for it any more is ended."""
    if not work.cancelled() and work.exception() is None:
        work.result().signal(signal.SIGKILL)


def _settle(future: asyncio.Future[int] | None, value: int) -> None:
    if future is not None and not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[int] | asyncio.Future[None] | None, why: str) -> None:
    if future is not None and not future.done():
        future.set_exception(ForkError(why))
        future.exception()  # retrieved: somebody may have stopped waiting
