"""The one durable log of Pub/Sub: records appended to segment files, one fdatasync for all that came meanwhile.

Owns files, places (a segment's number and an offset in one integer), group commit off the loop, and what is alive in
each segment. Leaves alone: what records mean (replay.py), and when a segment is worth cleaning (cleaning.py). A record
is a length, a checksum, a kind and its payload; a torn record at the log's very end was never answered, and is cut
off. Why a log of its own: docs/adr/pubsub-log.md.
"""

import asyncio
import contextlib
import os
import queue
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from local_cloud import files
from local_cloud.rounds import ALONE_BYTES, Pace, Round, unwritable
from local_cloud.store import StateError

#: A segment that has grown to so many bytes is followed by the next one.
SEGMENT_BYTES = 8 * 1024 * 1024
#: Every segment begins with this; the last digit is the format's version.
MAGIC = b"sluice-pubsub-1\n"
#: Records that nobody waits for are written when something else is, or after so many seconds.
LAZY = 0.005

#: What a message's record has besides its body, about.
RECORD = 40

_HEAD = struct.Struct("<IIB")
#: What stands before a record's payload.
HEAD_BYTES = _HEAD.size
_OFFSET_BITS = 32
_OFFSET = (1 << _OFFSET_BITS) - 1


class Log:
    """The segments of one cloud, in `directory`; used from its event loop only."""

    def __init__(
        self,
        directory: Path,
        on_failure: Callable[[Exception], None],
        tell: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.directory = directory
        self._on_failure = on_failure
        #: Says something in the cloud's log.
        self.tell = tell
        directory.mkdir(parents=True, exist_ok=True)
        #: Bytes of each segment, and those of them that somebody still needs.
        self.sizes: dict[int, int] = {}
        self.live: dict[int, int] = {}
        self._files: dict[int, int] = {}
        self._tail = 0
        #: Segments before this one are whole on disk.
        self.written = 0
        self._out: tuple[int, int] | None = None
        self._buffers: dict[int, list[bytes]] = {}
        self._upcoming: Write | None = None
        self._writing: Write | None = None
        self._failure: Exception | None = None
        self._pace = Pace()
        self._flushing: asyncio.TimerHandle | asyncio.Handle | None = None
        self._flushes_at = 0.0
        self._batches: queue.SimpleQueue[Write | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        #: Called with nothing when a new segment begins, so that its first records tell what later ones rely on.
        self.on_segment: Callable[[], None] = lambda: None

    def replay(self) -> Iterator[tuple[int, memoryview, int]]:
        """Every record on disk as (kind, payload, the payload's place), oldest first; what is torn is cut off."""
        numbers = sorted(int(path.stem) for path in self.directory.glob("*.log"))
        for number in numbers:
            end = len(MAGIC)
            for kind, payload, offset in self._records(number, torn=number == numbers[-1]):
                end = offset + len(payload)
                yield kind, payload, number << _OFFSET_BITS | offset
            size = self._path(number).stat().st_size
            if size < len(MAGIC):  # created, and not yet written, when the process was killed
                self._path(number).write_bytes(MAGIC)
            elif end < size:
                self.tell(
                    f"The last write to {self._path(number)} was torn by a kill, and answered to nobody: its "
                    f"{size - end} bytes from byte {end} on were cut off"
                )
                os.truncate(self._path(number), end)
            self.sizes[number], self.live[number] = end, 0
            self._tail = self.written = number

    def records(self, number: int) -> Iterator[tuple[int, memoryview, int]]:
        """The records of a segment that is whole on disk, as replay() gives them."""
        for kind, payload, offset in self._records(number):
            yield kind, payload, number << _OFFSET_BITS | offset

    def _records(self, number: int, *, torn: bool = False) -> Iterator[tuple[int, memoryview, int]]:
        """A segment's records with their payloads' offsets; a torn end is passed over where there may be one."""
        path = self._path(number)
        data = path.read_bytes()
        view = memoryview(data)
        at = len(MAGIC)
        if data[:at] != MAGIC and not (torn and MAGIC.startswith(data)):
            raise _damaged(path, 0)
        while at < len(data):
            end, whole, kind = at + HEAD_BYTES, False, 0
            if end <= len(data):
                size, check, kind = _HEAD.unpack_from(data, at)
                end += size
                whole = end <= len(data) and zlib.crc32(view[at + 8 : end]) == check
            if not whole:
                if not torn or _whole_follows(view, at + 1):
                    raise _damaged(path, at)
                return
            yield kind, view[at + HEAD_BYTES : end], at + HEAD_BYTES
            at = end

    def append(self, kind: int, *parts: bytes, lazy: bool = False) -> int:
        """Adds a record, giving the place of its payload. `lazy`: nobody waits until it is on disk."""
        payload = parts[0] if len(parts) == 1 else b"".join(parts)
        if self._tail not in self.sizes or self.sizes[self._tail] >= SEGMENT_BYTES:
            self._begin()
        at = self.sizes[self._tail]
        check = zlib.crc32(payload, zlib.crc32(bytes((kind,))))
        self._buffers.setdefault(self._tail, []).append(_HEAD.pack(len(payload), check, kind) + payload)
        self.sizes[self._tail] = at + HEAD_BYTES + len(payload)
        self._mark(LAZY if lazy else 0.0)
        return self._tail << _OFFSET_BITS | at + HEAD_BYTES

    def read(self, place: int, size: int) -> bytes:
        """Bytes that are on disk."""
        number = place >> _OFFSET_BITS
        file = self._files.get(number)
        if file is None:
            file = self._files[number] = os.open(self._path(number), os.O_RDONLY)
        return os.pread(file, size, place & _OFFSET)

    def keep(self, place: int, size: int) -> None:
        """Somebody needs a record with so many bytes."""
        self.live[place >> _OFFSET_BITS] += size + RECORD

    def free(self, place: int, size: int) -> None:
        """Nobody does any more."""
        self.live[place >> _OFFSET_BITS] -= size + RECORD

    @property
    def tail(self) -> int:
        """The segment that is written to."""
        return self._tail

    def remove(self, number: int) -> None:
        """Deletes a segment that nobody needs."""
        if (file := self._files.pop(number, None)) is not None:
            os.close(file)
        del self.sizes[number], self.live[number]
        with contextlib.suppress(FileNotFoundError):
            self._path(number).unlink()

    @property
    def upcoming(self) -> "Write | None":
        """The next write, which what was appended last goes with."""
        return self._upcoming

    @property
    def pending(self) -> bool:
        """Whether something that somebody waits for is not on disk yet."""
        waited = self._upcoming is not None and self._upcoming.urgent
        return waited or (self._writing is not None and self._writing.urgent) or self._failure is not None

    async def committed(self) -> None:
        """Returns when everything appended so far is on disk."""
        if self._failure:
            raise self._failure
        if self._upcoming is not None:
            self._mark(0.0)
        if round_ := self._upcoming or self._writing:
            await round_.wait()

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Calls back when everything appended so far is on disk, before those who wait for committed() go on."""
        if round_ := self._upcoming or self._writing:
            round_.then(callback)
        elif self._failure is None:
            asyncio.get_running_loop().call_soon(callback)

    async def close(self) -> None:
        """Writes what is left and lets go of the files."""
        try:
            with contextlib.suppress(StateError):
                while self._upcoming or self._writing:
                    await self.committed()
        finally:
            if self._thread is not None:
                self._batches.put(None)
                await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
            self._let_go()
            for file in self._files.values():
                os.close(file)
            self._files.clear()

    def _let_go(self) -> None:
        """Closes the file that is written to."""
        if self._out is not None:
            os.close(self._out[1])
            self._out = None

    def _path(self, number: int) -> Path:
        return self.directory / f"{number:08d}.log"

    def _begin(self) -> None:
        self._tail += 1
        self.sizes[self._tail], self.live[self._tail] = len(MAGIC), 0
        self._buffers[self._tail] = [MAGIC]
        self.on_segment()

    def _mark(self, delay: float) -> None:
        """Sees to it that what was appended is written, within so many seconds."""
        loop = asyncio.get_running_loop()
        if self._upcoming is None:
            self._upcoming = Write(loop)
        elif self._flushing is not None and (delay or not self._flushes_at):
            self._upcoming.urgent |= not delay
            return
        self._upcoming.urgent |= not delay
        if self._writing is not None:
            return
        if self._flushing is not None:
            self._flushing.cancel()
        self._flushing = loop.call_later(delay, self._flush) if delay else loop.call_soon(self._flush)
        self._flushes_at = delay

    def _flush(self) -> None:
        """Hands everything appended to the writer."""
        self._flushing = None
        round_ = self._upcoming
        if round_ is None or self._writing is not None or self._failure is not None:
            return
        self._upcoming, self._writing = None, round_
        round_.buffers, self._buffers = self._buffers, {}
        now = time.monotonic()
        size = sum(map(len, round_.buffers.get(self._tail, ())))
        if not self._pace.is_quiet(now) or len(round_.buffers) > 1 or size > ALONE_BYTES:
            if self._thread is None:
                self._thread = threading.Thread(target=self._write, name="pubsub-log", daemon=True)
                self._thread.start()
            self._batches.put(round_)
            return
        self._written(round_, self._commit(round_))
        self._pace.took(now)

    def _written(self, round_: "Write", error: Exception | None) -> None:
        """Back on the loop: the write ended."""
        self._writing = None
        self._pace.wrote()
        if error is not None:
            self._fail(round_, error)
            return
        self.written = max(self.written, *round_.buffers)
        round_.written()
        if self._upcoming is not None and self._flushing is None:
            self._flushing, self._flushes_at = round_.loop.call_soon(self._flush), 0.0

    def _fail(self, round_: "Write", error: Exception) -> None:
        self._failure = StateError(unwritable(self.directory, error))
        for unwritten in filter(None, (round_, self._upcoming)):
            unwritten.failed(self._failure)
        self._on_failure(self._failure)

    def _write(self) -> None:
        """The writer thread."""
        while (round_ := self._batches.get()) is not None:
            error = self._commit(round_)
            try:
                round_.loop.call_soon_threadsafe(self._written, round_, error)
            except RuntimeError:  # the loop is gone: nobody waits any more
                return

    def _commit(self, round_: "Write") -> Exception | None:
        try:
            for number, buffers in round_.buffers.items():
                if self._out is None or self._out[0] != number:
                    self._let_go()
                    file = os.open(self._path(number), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                    self._out = number, file
                file = self._out[1]
                data = memoryview(b"".join(buffers))
                while data:
                    data = data[os.write(file, data) :]
                os.fdatasync(file)
                if buffers[0] is MAGIC:
                    files.sync_folder(self.directory)
        except Exception as error:
            return error
        return None


class Write(Round):
    """One write: its bytes by segment, and who waits for it."""

    __slots__ = ("buffers", "urgent")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.buffers: dict[int, list[bytes]] = {}
        self.urgent = False


def _whole_follows(data: memoryview, start: int) -> bool:
    """Whether there is a whole record somewhere from here on: then what is before it is no torn end."""
    for at in range(start, len(data) - HEAD_BYTES + 1):
        size, check, kind = _HEAD.unpack_from(data, at)
        end = at + HEAD_BYTES + size
        if kind and end <= len(data) and zlib.crc32(data[at + 8 : end]) == check:
            return True
    return False


def _damaged(path: Path, at: int) -> StateError:
    return StateError(
        f"{path} is damaged at byte {at}: it is no log of Pub/Sub's, or was written by another version. It was left as "
        "it is: restore it, or move the state directory away to start with a fresh state."
    )
