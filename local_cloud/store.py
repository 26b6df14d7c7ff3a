"""The one place where state is kept: documents in SQLite, all of them also in memory.

Reads never touch the disk. A change marks its document; the marked ones are written together, one transaction with one
fsync at a time (WAL, synchronous FULL), and `committed()` returns when everything that was marked before it is on disk.
Changes made without an await between them land in the same transaction, unless flush() says that all is there already.
A thread writes; only a small change that comes alone, when nothing was written just before, is written on the loop,
where it takes half the time because it waits for no thread. What a document means, and how it is encoded, is its
collection's owner's affair. Names that were used are rows of a table that is not read into memory (tombstones.py).
"""

import asyncio
import contextlib
import fcntl
import os
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import orjson

from local_cloud.descriptors import Message, message
from local_cloud.rounds import ALONE_BYTES, Pace, Round, unwritable
from local_cloud.tombstones import Sweep, Tombstones, take_over

T = TypeVar("T")

#: 1: documents. 2: tombstones have a table of their own; a state of version 1 is taken over when it is opened.
SCHEMA_VERSION = 2
#: So many rows at most are written on the loop (`rounds` has the other limits).
ALONE = 8


class Durable(Protocol):
    """Something else that answers wait for: whether it has what is not on disk yet, and when it has not."""

    @property
    def pending(self) -> bool:
        """Whether something that an answer waits for is not on disk yet."""

    async def committed(self) -> None:
        """Returns when all that was changed so far is."""


class StateError(Exception):
    """The state directory cannot be used; the message says why and what to do. Nothing in it was changed."""


class Collection(Generic[T]):
    """Documents of one kind by key, in the order of their creation. After changing a value in place, call save()."""

    __slots__ = ("_decode", "_encode", "_ids", "_items", "_store", "name")

    def __init__(self, store: "Store", name: str, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> None:
        self.name = name
        self._store = store
        self._encode = encode
        self._decode = decode
        self._items: dict[str, T] = {}
        self._ids: dict[str, int] = {}
        for row, key, value in store._loaded.pop(name, ()):
            try:
                self._items[key] = decode(value)
            except Exception as error:
                raise StateError(
                    f"{store.path}: the document {key!r} of {name!r} cannot be read ({error}). It was written by "
                    "another version or damaged: move the directory away to start with a fresh state, or use the "
                    "version that wrote it."
                ) from error
            self._ids[key] = row

    def get(self, key: str) -> T | None:
        """The document, or None."""
        return self._items.get(key)

    def __getitem__(self, key: str) -> T:
        return self._items[key]

    def __setitem__(self, key: str, value: T) -> None:
        self._items[key] = value
        self._store._mark(self, key)

    def save(self, key: str) -> None:
        """Writes a document that was changed in place."""
        self._store._mark(self, key)

    def pop(self, key: str) -> T | None:
        """Deletes a document; None when there was none."""
        value = self._items.pop(key, None)
        if key in self._ids:
            self._store._mark(self, key)
        return value

    def __delitem__(self, key: str) -> None:
        del self._items[key]
        self._store._mark(self, key)

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def items(self) -> list[tuple[str, T]]:
        """A copy of all pairs, safe to change the collection over."""
        return list(self._items.items())

    def values(self) -> list[T]:
        """A copy of all values."""
        return list(self._items.values())


class Store:
    """The state directory, held by this process alone."""

    def __init__(self, directory: Path, on_failure: Callable[[Exception], None] | None = None) -> None:
        self.directory = directory
        self.path = directory / "state.db"
        self.on_failure = on_failure
        self._lock = _lock(directory)
        try:
            self._connection = _open(self.path)
            self._loaded = _load(self._connection)
        except sqlite3.DatabaseError as error:
            os.close(self._lock)
            raise StateError(
                f"{self.path} is not readable as the local cloud's state ({error}). It was left as it is: restore it, "
                "or move the directory away to start with a fresh state."
            ) from error
        except BaseException:
            os.close(self._lock)
            raise
        self._next_id = 1 + max((row[0] for rows in self._loaded.values() for row in rows), default=0)
        self._collections: dict[str, Collection[Any]] = {}
        self._marked: dict[tuple[Collection[Any], str], None] = {}
        self._batches: queue.SimpleQueue[tuple[_Batch, Round] | None] = queue.SimpleQueue()
        self._writing: Round | None = None
        self._upcoming: Round | None = None
        self._pace = Pace()
        self.tombstones = Tombstones(self, self.path)
        self._failure: Exception | None = None
        self._joined: list[Durable] = []
        self._thread = threading.Thread(target=self._write, name="store", daemon=True)
        self._thread.start()

    def collection(self, name: str, *, encode: Callable[[T], bytes], decode: Callable[[bytes], T]) -> Collection[T]:
        """The documents of one kind with their own encoding. Asking twice gives the same collection."""
        if name not in self._collections:
            self._collections[name] = Collection(self, name, encode, decode)
        return self._collections[name]

    def json(self, name: str) -> Collection[Any]:
        """Documents that are plain JSON values."""
        return self.collection(name, encode=orjson.dumps, decode=orjson.loads)

    def messages(self, name: str, full_name: str) -> Collection[Message]:
        """Documents that are protobuf messages of one type."""
        kind = message(full_name)
        return self.collection(name, encode=lambda m: m.SerializeToString(), decode=kind.FromString)

    @property
    def pending(self) -> bool:
        """Whether something is not on disk yet."""
        own = self._upcoming is not None or self._writing is not None or self._failure is not None
        return own or any(other.pending for other in self._joined)

    def join(self, other: "Durable") -> None:
        """From now on committed() waits for this one's changes too; it is closed by its owner."""
        self._joined.append(other)

    async def committed(self) -> None:
        """Returns when everything marked so far is on disk, and what those have that have joined."""
        for other in self._joined:
            if other.pending:
                await other.committed()
        if self._failure:
            raise self._failure
        if round_ := self._upcoming or self._writing:
            await round_.wait()

    def after_commit(self, callback: Callable[[], None]) -> None:
        """Calls back when everything marked so far is on disk, before those who wait for committed() go on."""
        if round_ := self._upcoming or self._writing:
            round_.then(callback)
        elif self._failure is None:
            asyncio.get_running_loop().call_soon(callback)

    def flush(self) -> None:
        """Begins to write what is marked: for who knows that its change is whole, and would only lose time."""
        self._flush()

    async def close(self) -> None:
        """Writes what is marked and lets go of the directory."""
        try:
            with contextlib.suppress(StateError):  # who gave it something to write was told
                while self._upcoming or self._writing:
                    await self.committed()
        finally:
            self._batches.put(None)
            await asyncio.get_running_loop().run_in_executor(None, self._thread.join)
            self.tombstones.close()
            self._connection.close()
            os.close(self._lock)

    def _mark(self, collection: Collection[Any], key: str) -> None:
        self._marked[collection, key] = None
        if self._upcoming is None:
            self.touch()

    def touch(self) -> None:
        """Sees to it that there is a next transaction."""
        if self._upcoming is None:
            self._upcoming = Round(asyncio.get_running_loop())
            if self._writing is None:
                self._upcoming.loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Hands everything marked to the writer as one transaction."""
        round_ = self._upcoming
        if round_ is None or self._writing is not None or self._failure is not None:
            return
        marked, self._marked = self._marked, {}
        self._upcoming, self._writing = None, round_
        puts: list[tuple[int, str, str, bytes]] = []
        deletes: list[tuple[int]] = []
        for collection, key in marked:
            row = collection._ids.get(key)
            if key in collection._items:
                if row is None:
                    row = collection._ids[key] = self._next_id
                    self._next_id += 1
                try:
                    value = collection._encode(collection._items[key])
                except Exception as error:  # half a transaction must not be written
                    self._written(round_, error)
                    return
                puts.append((row, collection.name, key, value))
            elif row is not None:
                del collection._ids[key]
                deletes.append((row,))
        batch = _Batch(puts, deletes, *self.tombstones.pending())
        now = time.monotonic()
        if not self._pace.is_quiet(now) or not batch.is_small():
            self._batches.put((batch, round_))
            return
        self._written(round_, self._commit(batch))
        self._pace.took(now)

    def _written(self, round_: Round, error: Exception | None) -> None:
        """Back on the loop: the transaction ended."""
        self._writing = None
        self._pace.wrote()
        if error is None:
            self.tombstones.written()
            round_.written()
            if self._upcoming is not None:  # a turn later: what has come in meanwhile goes with it
                round_.loop.call_soon(self._flush)
            return
        self._failure = StateError(unwritable(self.path, error))
        for unwritten in filter(None, (round_, self._upcoming)):
            unwritten.failed(self._failure)
        if self.on_failure:
            self.on_failure(self._failure)

    def _write(self) -> None:
        """The writer thread."""
        while (given := self._batches.get()) is not None:
            batch, round_ = given
            error = self._commit(batch)
            del given, batch  # a hundred thousand rows may have been deleted: not to be kept until the next batch
            try:
                round_.loop.call_soon_threadsafe(self._written, round_, error)
            except RuntimeError:  # the loop is gone: nobody waits any more
                return

    def _commit(self, batch: "_Batch") -> Exception | None:
        connection = self._connection
        try:
            connection.execute("BEGIN IMMEDIATE")
            if batch.deletes:
                connection.executemany("DELETE FROM docs WHERE id = ?", batch.deletes)
            if batch.puts:
                connection.executemany("INSERT OR REPLACE INTO docs VALUES (?, ?, ?, ?)", batch.puts)
            if batch.sweep is not None:
                batch.sweep.step(connection)
            if batch.buried:
                connection.executemany("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", batch.buried)
            connection.execute("COMMIT")
        except Exception as error:
            return error
        return None


class _Batch(NamedTuple):
    """What one transaction writes."""

    puts: list[tuple[int, str, str, bytes]]
    deletes: list[tuple[int]]
    buried: list[tuple[int, float]]
    sweep: Sweep | None

    def is_small(self) -> bool:
        """Whether it may be written on the loop."""
        rows = len(self.puts) + len(self.deletes) + len(self.buried)
        return self.sweep is None and rows <= ALONE and sum(len(put[3]) for put in self.puts) <= ALONE_BYTES


def _lock(directory: Path) -> int:
    """One process a directory; the lock goes with the process, however it ends."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise StateError(f"{directory} cannot be used as state directory: {error.strerror}.") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        pid = os.read(handle, 20).decode(errors="replace").strip() or "unknown"
        os.close(handle)
        raise StateError(
            f"{directory} is in use by the local cloud with pid {pid}: stop that one (kill {pid}) or give another "
            "--state."
        ) from None
    os.ftruncate(handle, 0)
    os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
    return handle


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version > SCHEMA_VERSION:
        connection.close()
        raise StateError(f"{path} was written by a newer version (schema {version}, this one reads {SCHEMA_VERSION}).")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute(
        "CREATE TABLE IF NOT EXISTS docs (id INTEGER PRIMARY KEY, collection TEXT NOT NULL, key TEXT NOT NULL, "
        "value BLOB NOT NULL)"
    )
    take_over(connection)
    connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    return connection


def _load(connection: sqlite3.Connection) -> dict[str, list[tuple[int, str, bytes]]]:
    loaded: dict[str, list[tuple[int, str, bytes]]] = {}
    for row, collection, key, value in connection.execute("SELECT id, collection, key, value FROM docs ORDER BY id"):
        loaded.setdefault(collection, []).append((row, key, value))
    return loaded
