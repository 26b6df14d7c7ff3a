"""Names that may not be used again for a while, on disk alone.

A million finished tasks leave a million names that are refused for a day. They are rows of a table (64 bits of the
name's hash, and until when), written with the store's transactions and looked up there one by one; memory holds only
those that the next transaction writes. Two names of one hash would be taken for one: with a million names that
befalls one creation in ten million million. Leaves alone: whose names they are and for how long (the journal's).
"""

import sqlite3
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from local_cloud.store import Store

#: What has come free is deleted when at least so many were buried since the last time, and one transaction looks at so
#: many rows for it: it holds up those who wait for their changes.
SWEEP_EVERY, SLICE = 10_000, 20_000
#: Pages of the table that look-ups keep in memory, in KB.
_CACHE_KB = 1024


class Sweep:
    """One walk through the table, in the order of its keys, in slices: a transaction each."""

    def __init__(self, now: float) -> None:
        self.now = now
        self.kept = 0
        self.over = False
        self._after = -(2**63)

    def step(self, connection: sqlite3.Connection) -> None:
        """Deletes what has come free of the next slice; by the thread that writes, within its transaction."""
        slice_ = "SELECT key FROM tombstones WHERE key > ? ORDER BY key LIMIT ?"
        there, last = connection.execute(f"SELECT count(*), max(key) FROM ({slice_})", (self._after, SLICE)).fetchone()
        if there:
            free = "DELETE FROM tombstones WHERE key > ? AND key <= ? AND until <= ?"
            self.kept += there - connection.execute(free, (self._after, last, self.now)).rowcount
            self._after = last
        self.over = there < SLICE


class Tombstones:
    """The buried names of one store."""

    def __init__(self, store: "Store", path: Path) -> None:
        self._store = store
        self._path = path
        self._reader: sqlite3.Connection | None = None
        #: Not on disk yet, then being written.
        self._fresh: dict[int, float] = {}
        self._writing: dict[int, float] = {}
        self._sweep: Sweep | None = None
        self._since_sweep = 0
        self._sweep_at = SWEEP_EVERY

    def bury(self, name: str, until: float, now: float) -> None:
        """Refuses a name until then; written with the changes of the same turn."""
        self._fresh[_hash(name)] = until
        self._store.touch()
        self._since_sweep += 1
        if self._since_sweep >= self._sweep_at:
            self.sweep(now)

    def until(self, name: str) -> float:
        """Until when a name is refused; 0 when it is not."""
        key = _hash(name)
        for held in (self._fresh, self._writing):
            if key in held:
                return held[key]
        row = self._read().execute("SELECT until FROM tombstones WHERE key = ?", (key,)).fetchone()
        return float(row[0]) if row else 0.0

    def sweep(self, now: float) -> None:
        """Deletes what has come free, with the next transactions. It reads the whole table, so it doubles its steps."""
        self._since_sweep = 0
        if self._sweep is None:
            self._sweep = Sweep(now)
            self._store.touch()

    def pending(self) -> tuple[list[tuple[int, float]], Sweep | None]:
        """What the next transaction writes: rows, and the slice from which it deletes others."""
        self._fresh, self._writing = {}, self._fresh
        return list(self._writing.items()), self._sweep

    def written(self) -> None:
        """The transaction is on disk."""
        self._writing = {}
        if self._sweep is None:
            return
        if self._sweep.over:
            self._sweep_at, self._sweep = max(SWEEP_EVERY, self._sweep.kept), None
        else:
            self._store.touch()

    def close(self) -> None:
        """Lets go of the file."""
        if self._reader is not None:
            self._reader.close()

    def _read(self) -> sqlite3.Connection:
        """A connection of the loop's own: the writer's is in the middle of a transaction."""
        if self._reader is None:
            self._reader = sqlite3.connect(self._path, isolation_level=None)
            self._reader.execute("PRAGMA query_only = ON")
            self._reader.execute(f"PRAGMA cache_size = -{_CACHE_KB}")
        return self._reader


def take_over(connection: sqlite3.Connection) -> None:
    """Makes the table, with the names that a state of version 1 kept as documents."""
    connection.execute("CREATE TABLE IF NOT EXISTS tombstones (key INTEGER PRIMARY KEY, until REAL NOT NULL)")
    old = connection.execute("SELECT key, value FROM docs WHERE collection = 'cloudtasks.names'").fetchall()
    if old:
        connection.execute("BEGIN IMMEDIATE")
        rows = [(_hash(name), float(orjson.loads(until))) for name, until in old]
        connection.executemany("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", rows)
        connection.execute("DELETE FROM docs WHERE collection = 'cloudtasks.names'")
        connection.execute("COMMIT")


def _hash(name: str) -> int:
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), signed=True)
