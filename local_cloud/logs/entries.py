"""The log entries of the project: the last ones in memory, all recent ones in two files that take turns.

Owns retention, order and paging. Writing is cheap: one JSON encoding and one append a turn of the event loop, without
fsync (a log line is not a task; what the process has written survives its own kill -9). Entries are API JSON.
"""

import asyncio
import base64
import binascii
import contextlib
import os
import secrets
from collections import deque
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from local_cloud.logs.compare import Entry, nanoseconds
from local_cloud.logs.query import Query

#: Entries that can be listed. Google keeps them 30 days; a laptop wants a bound in memory.
KEPT = 50_000
#: A file of entries is set aside at this size, and the one set aside before it is dropped.
FILE_BYTES = 32 * 1024 * 1024
#: Listing lets other work run after so many entries.
SLICE = 2_000

Key = tuple[int, str]


class PageTokenError(ValueError):
    """The page token is not one of ours."""


def rfc3339(moment: float) -> str:
    """An epoch second as the JSON form of a Timestamp, to the microsecond."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Entries:
    """Writes and finds entries."""

    def __init__(self, directory: Path, project: str, now: Callable[[], float], kept: int = KEPT) -> None:
        self.project = project
        self._now = now
        self._directory = directory
        self._path, self._old = directory / "entries.jsonl", directory / "entries.old.jsonl"
        self._ring: deque[tuple[int, bytes]] = deque(maxlen=kept)
        self._buffer: list[bytes] = []
        self._tails: set[asyncio.Queue[Entry]] = set()
        self.names: dict[str, None] = {}
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for path in (self._old, self._path):
            with contextlib.suppress(FileNotFoundError):
                for line in path.read_bytes().splitlines()[-kept:]:
                    self._load(line)
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, entry: Entry) -> Entry:
        """Keep an entry; `logName` (a plain log id is enough) and a payload are the caller's, the rest is filled in."""
        name = str(entry["logName"])
        made: Entry = {
            "insertId": secrets.token_hex(8),
            "resource": {"type": "global", "labels": {"project_id": self.project}},
            **entry,
            "logName": name if "/logs/" in name else f"projects/{self.project}/logs/{name.replace('/', '%2F')}",
            "receiveTimestamp": rfc3339(self._now()),
        }
        made.setdefault("timestamp", made["receiveTimestamp"])
        line = orjson.dumps(made, default=str)
        self._ring.append((nanoseconds(made["timestamp"]) or 0, line))
        self.names[made["logName"]] = None
        if not self._buffer:
            asyncio.get_running_loop().call_soon(self.flush)
        self._buffer.append(line)
        for tail in self._tails:
            tail.put_nowait(made)
        return made

    def flush(self) -> None:
        """Append what was written since the last turn."""
        data, self._buffer = b"".join(line + b"\n" for line in self._buffer), []
        if not data:
            return
        if self._size + len(data) > FILE_BYTES:
            os.close(self._file)
            self._path.replace(self._old)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._size = 0
        os.write(self._file, data)
        self._size += len(data)

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        os.close(self._file)

    async def find(
        self, query: Query, *, page_size: int, page_token: str = "", descending: bool = False
    ) -> tuple[list[Entry], str]:
        """One page in the order of timestamp and insertId, and the token of the next one."""
        after = _read_token(page_token) if page_token else None
        found: list[tuple[Key, Entry]] = []
        for count, (moment, line) in enumerate(list(self._ring)):
            if count % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            if not query.since <= moment <= query.until:
                continue
            entry = orjson.loads(line)
            key = (moment, str(entry["insertId"]))
            if (after is None or (key < after if descending else key > after)) and query.matches(entry):
                found.append((key, entry))
        found.sort(key=lambda pair: pair[0], reverse=descending)
        page = found[:page_size]
        token = _make_token(page[-1][0]) if len(found) > page_size else ""
        return [entry for _, entry in page], token

    def delete(self, log_name: str) -> bool:
        """Forget the entries of a log; whether there were any."""
        kept = [pair for pair in self._ring if orjson.loads(pair[1])["logName"] != log_name]
        existed = len(kept) != len(self._ring)
        self._ring.clear()
        self._ring.extend(kept)
        self.names.pop(log_name, None)
        self._old.unlink(missing_ok=True)
        self._buffer = [line for _, line in kept]
        os.ftruncate(self._file, 0)
        self._size = 0
        self.flush()
        return existed

    async def tail(self) -> AsyncIterator[Entry]:
        """Entries from now on, as they are written."""
        queue: asyncio.Queue[Entry] = asyncio.Queue()
        self._tails.add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            self._tails.discard(queue)

    def _load(self, line: bytes) -> None:
        with contextlib.suppress(orjson.JSONDecodeError):  # the last line of a process that was killed
            entry: Any = orjson.loads(line)
            self._ring.append((nanoseconds(entry["timestamp"]) or 0, line))
            self.names[entry["logName"]] = None


def _make_token(key: Key) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(key)).decode()


def _read_token(token: str) -> Key:
    try:
        moment, insert_id = orjson.loads(base64.urlsafe_b64decode(token))
        return int(moment), str(insert_id)
    except (ValueError, TypeError, binascii.Error):
        raise PageTokenError(token) from None
