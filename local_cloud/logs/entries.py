"""The log entries of the project: the last ones, in memory and in two files that take turns.

What can be listed is what the files hold, so that a restart changes nothing of it. Owns storage, order, paging and
expiry. Writing is cheap: one JSON encoding and one append a turn of the event loop, without fsync (a log line is not a
task; what the process has written survives its own kill -9). Which buckets an entry goes to is asked of `receive`; one
that goes to none is counted and forgotten. Entries are API JSON.
"""

import asyncio
import base64
import binascii
import contextlib
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from sys import intern
from typing import Any, NamedTuple

import orjson

from local_cloud.files import end_last_line
from local_cloud.logs.compare import Entry, nanoseconds
from local_cloud.logs.query import Predicate, Query

#: Entries that can be listed. Google keeps them as long as their bucket says; a laptop wants a bound in memory.
KEPT = 50_000
#: A file of entries is set aside at this size, and the one set aside before it is dropped, with what is listed of it.
FILE_BYTES = 32 * 1024 * 1024
#: Listing lets other work run after so many entries.
SLICE = 2_000
#: Days that the buckets which are always there keep entries.
DEFAULT_DAYS, REQUIRED_DAYS = 30, 400
DAY = 86_400 * 1_000_000_000

Position = tuple[int, str]
#: Told of an entry, its line and its time; says to which buckets it goes.
Receive = Callable[[Entry, bytes, int], tuple[str, ...]]
#: Told of what was kept, and where.
Watcher = Callable[[Entry, tuple[str, ...]], None]


class PageTokenError(ValueError):
    """The page token is not one of ours."""


class Kept(NamedTuple):
    """One entry as it is kept: what lets it be passed over without being read, then its line."""

    moment: int
    log: str
    resource: str
    buckets: tuple[str, ...]
    line: bytes


@dataclass(frozen=True)
class Scope:
    """A bucket ("" for all), or of it what a view shows."""

    bucket: str = ""
    matches: Predicate | None = None


def rfc3339(moment: float) -> str:
    """An epoch second as the JSON form of a Timestamp, to the microsecond."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Entries:
    """Writes and finds entries."""

    def __init__(self, directory: Path, project: str, now: Callable[[], float], kept: int = KEPT) -> None:
        self.project = project
        self.default = f"projects/{project}/locations/global/buckets/_Default"
        #: Nanoseconds that each bucket keeps entries; what is in no bucket of these cannot be read.
        self.retention: Mapping[str, int] = {self.default: DEFAULT_DAYS * DAY}
        self.receive: Receive = lambda _entry, _line, _moment: (self.default,)
        self.watchers: list[Watcher] = []
        #: Those of them that are sessions of live tailing.
        self.sessions = 0
        self._now = now
        self._path, self._old = directory / "entries.jsonl", directory / "entries.old.jsonl"
        self._ring: deque[Kept] = deque(maxlen=kept)
        self._buffer: list[bytes] = []
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        #: How many entries the file that is written to has.
        self._lines = 0
        for path in (self._old, self._path):
            with contextlib.suppress(FileNotFoundError):
                end_last_line(path)
                self._lines = sum(map(self._load, path.read_bytes().splitlines()[-kept:]))
        self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, entry: Entry) -> Entry:
        """Keep an entry; `logName` (a plain log id is enough) and a payload are the caller's, the rest is filled in."""
        name, now = str(entry["logName"]), self._now()
        made: Entry = {
            "insertId": secrets.token_hex(8),
            "resource": {"type": "global", "labels": {"project_id": self.project}},
            **entry,
            "logName": name if "/logs/" in name else f"projects/{self.project}/logs/{name.replace('/', '%2F')}",
            "receiveTimestamp": rfc3339(now),
        }
        if "timestamp" in made:
            moment = nanoseconds(str(made["timestamp"])) or 0
        else:
            made["timestamp"] = made["receiveTimestamp"]
            moment = int(now * 1e6) * 1000
        line = orjson.dumps(made, default=str)
        buckets = self.receive(made, line, moment)
        if buckets:
            self._keep(_kept(made, moment, buckets, line))
            for watcher in self.watchers:
                watcher(made, buckets)
        return made

    def flush(self) -> None:
        """Append what was written since the last turn."""
        data, lines, self._buffer = b"".join(self._buffer), len(self._buffer), []
        if not data:
            return
        if self._size + len(data) > FILE_BYTES:
            os.close(self._file)
            self._path.replace(self._old)
            self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            self._size = 0
            for _ in range(len(self._ring) - self._lines - lines):
                self._ring.popleft()
            self._lines = 0
        os.write(self._file, data)
        self._size += len(data)
        self._lines += lines

    def close(self) -> None:
        """Write what is left."""
        self.flush()
        os.close(self._file)

    async def find(
        self,
        query: Query,
        *,
        page_size: int,
        page_token: str = "",
        descending: bool = False,
        scopes: Sequence[Scope] = (Scope(),),
    ) -> tuple[list[Entry], str]:
        """One page in the order of timestamp and insertId, and the token of the next one.

        Entries of one timestamp and insertId are duplicates, of which one is given.
        """
        after = _read_token(page_token) if page_token else None
        picked = await self._pick(query, after, descending, scopes)
        found: list[tuple[Position, Entry]] = []
        for count, same in enumerate(_moments(picked)):
            if count % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            seen: set[str] = set()
            entries = ((str(entry["insertId"]), kept, entry) for kept in same if (entry := orjson.loads(kept.line)))
            for name, kept, entry in sorted(entries, key=lambda one: one[0], reverse=descending):
                at = (kept.moment, name)
                if name in seen or (after is not None and (at >= after if descending else at <= after)):
                    continue
                if query.matches(entry) and self._shown(kept, entry, scopes):
                    seen.add(name)
                    found.append((at, entry))
            if len(found) > page_size:
                break
        page = found[:page_size]
        return [entry for _, entry in page], _make_token(page[-1][0]) if len(found) > page_size else ""

    def names(self, scopes: Sequence[Scope] = (Scope(),)) -> list[str]:
        """The logs that have entries."""
        alive = self._alive(scopes)
        found = {kept.log for kept in self._ring if any(kept.moment >= alive.get(b, _NEVER) for b in kept.buckets)}
        return sorted(found)

    def holds(self, bucket: str) -> bool:
        """Whether a bucket has entries."""
        since = self._alive([Scope(bucket)]).get(bucket, _NEVER)
        return any(bucket in kept.buckets and kept.moment >= since for kept in self._ring)

    def delete(self, log_name: str) -> bool:
        """Forget the entries that a log has in the bucket _Default; whether there were any."""
        return self._rewrite(lambda kept: kept.log == log_name, self.default)

    def drop(self, bucket: str) -> None:
        """Forget all that a bucket has."""
        self._rewrite(lambda _: True, bucket)

    def _rewrite(self, chosen: Callable[[Kept], bool], bucket: str) -> bool:
        left: list[Kept] = []
        changed = False
        for kept in self._ring:
            here = bucket in kept.buckets and chosen(kept)
            changed = changed or here
            buckets = tuple(name for name in kept.buckets if name != bucket) if here else kept.buckets
            if buckets:
                left.append(kept._replace(buckets=buckets))
        if changed:
            self._ring.clear()
            self._buffer = []
            self._old.unlink(missing_ok=True)
            os.ftruncate(self._file, 0)
            self._size = self._lines = 0
            for kept in left:
                self._keep(kept)
            self.flush()
        return changed

    def _keep(self, kept: Kept) -> None:
        self._ring.append(kept)
        if not self._buffer:
            with contextlib.suppress(RuntimeError):  # no loop: who closes the entries writes them
                asyncio.get_running_loop().call_soon(self.flush)
        # Tabs stand in no JSON: what follows one is where the entry lies, if not in _Default alone.
        where = b"" if kept.buckets == (self.default,) else b"\t" + "\t".join(kept.buckets).encode()
        self._buffer.append(kept.line + where + b"\n")

    def _load(self, line: bytes) -> bool:
        data, *where = line.split(b"\t")
        try:
            entry: Any = orjson.loads(data)
        except orjson.JSONDecodeError:  # the last line of a process that was killed
            return False
        buckets = tuple(intern(name.decode()) for name in where) or (self.default,)
        self._ring.append(_kept(entry, nanoseconds(entry["timestamp"]) or 0, buckets, data))
        return True

    def _alive(self, scopes: Sequence[Scope]) -> dict[str, int]:
        """The oldest moment that can be read in each bucket of the scopes."""
        now = int(self._now() * 1e9)
        wanted = {scope.bucket for scope in scopes}
        return {name: now - kept for name, kept in self.retention.items() if "" in wanted or name in wanted}

    async def _pick(
        self, query: Query, after: Position | None, descending: bool, scopes: Sequence[Scope]
    ) -> list[Kept]:
        """What may match, in order of time, without having been read."""
        since, until = query.since, query.until
        if after is not None:
            since, until = (since, min(until, after[0])) if descending else (max(since, after[0]), until)
        alive = self._alive(scopes)
        possible: dict[tuple[str, str], bool] = {}
        picked: list[Kept] = []
        for count, kept in enumerate(tuple(self._ring)):
            if count % (10 * SLICE) == 10 * SLICE - 1:
                await asyncio.sleep(0)
            if not since <= kept.moment <= until:
                continue
            pair = (kept.resource, kept.log)
            if pair not in possible:
                possible[pair] = query.may_match(*pair)
            if possible[pair] and any(kept.moment >= alive.get(bucket, _NEVER) for bucket in kept.buckets):
                picked.append(kept)
        picked.sort(key=lambda kept: kept.moment, reverse=descending)
        return picked

    def _shown(self, kept: Kept, entry: Entry, scopes: Sequence[Scope]) -> bool:
        return any(
            (not scope.bucket or scope.bucket in kept.buckets) and (scope.matches is None or scope.matches(entry))
            for scope in scopes
        )


#: Later than all moments.
_NEVER = 2**64


def _kept(entry: Entry, moment: int, buckets: tuple[str, ...], line: bytes) -> Kept:
    resource = entry.get("resource")
    kind = str(resource.get("type", "")) if isinstance(resource, dict) else ""
    return Kept(moment, intern(str(entry["logName"])), intern(kind), buckets, line)


def _moments(picked: Iterable[Kept]) -> Iterator[list[Kept]]:
    """Entries of the same moment together."""
    group: list[Kept] = []
    for kept in picked:
        if group and group[0].moment != kept.moment:
            yield group
            group = []
        group.append(kept)
    if group:
        yield group


def _make_token(at: Position) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(at)).decode()


def _read_token(token: str) -> Position:
    try:
        moment, insert_id = orjson.loads(base64.urlsafe_b64decode(token))
        return int(moment), str(insert_id)
    except (ValueError, TypeError, binascii.Error):
        raise PageTokenError(token) from None
