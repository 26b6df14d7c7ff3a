"""The state of one stack on disk: a checkpoint, and a journal of what was done since.

Owns: atomicity after every step, the lock, the owner. A step is one appended line, made durable before the step counts
as done; the checkpoint is rewritten (write, sync, rename) when a run ends. A ``begin`` line without its end is a create
that was cut short, so that the next run knows that "already exists" is its own doing. Leaves alone: what records mean.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from .errors import ForeignOwnerError, StateBusyError, StateDamagedError
from .model import Record
from .vault import Vault

#: Written into the checkpoint; a state of somebody else is refused.
OWNER: Final = "sluice"
_VERSION: Final = 1


class State:
    """Records of one stack, each change durable once the method returns."""

    def __init__(self, folder: Path, vault: Vault, *, mend: bool = True) -> None:
        self._folder, self._vault, self._mend = folder, vault, mend
        self._lock = threading.Lock()
        #: Held while the journal is made durable: those who come meanwhile share the next time.
        self._syncing = threading.Lock()
        self._written = self._durable = 0
        self._generation = 0
        self._journal: int | None = None
        self._path = folder / "journal.jsonl"
        #: Why the journal could not be made durable, as the system numbers it.
        self._broken: int | None = None
        #: Whether a checkpoint or journal of an earlier run was found.
        self.saved = False
        self.records: dict[str, Record] = {}
        #: Creates that were begun and whose end was never seen, as they would be recorded.
        self.begun: dict[str, Record] = {}
        #: Replaced resources whose old half still has to be deleted.
        self.doomed: list[Record] = []
        self.outputs: dict[str, Any] = {}
        self._load()

    def begin(self, record: Record) -> None:
        """A create is about to be sent that would end in ``record``."""
        self._append({"op": "begin", "record": record.as_json()})

    def abandon(self, urn: str) -> None:
        """The create of ``urn`` made nothing: what is there is somebody else's."""
        self._append({"op": "abandon", "urn": urn})

    def put(self, record: Record) -> None:
        """The resource stands as recorded."""
        self._append({"op": "put", "record": record.as_json()})

    def supersede(self, record: Record, old: Record) -> None:
        """The resource stands as recorded, and its old half is to be deleted."""
        self._append({"op": "supersede", "record": record.as_json(), "old": old.as_json()})

    def drop(self, urn: str) -> None:
        """The resource is gone."""
        self._append({"op": "drop", "urn": urn})

    def bury(self, old: Record) -> None:
        """The old half of a replaced resource is gone."""
        self._append({"op": "bury", "urn": old.urn, "id": old.id})

    def rename(self, old_urn: str, record: Record) -> None:
        """The resource is known by another urn from now on."""
        self._append({"op": "rename", "urn": old_urn, "record": record.as_json()})

    def export(self, outputs: Mapping[str, Any]) -> None:
        """The outputs of the stack."""
        self._append({"op": "outputs", "outputs": dict(outputs)})

    def compact(self) -> None:
        """Fold the journal into the checkpoint."""
        with self._lock:
            if self._journal is None:
                return
            kept = {
                "version": _VERSION,
                "owner": OWNER,
                "generation": self._generation + 1,
                "records": [record.as_json() for record in self.records.values()],
                "begun": [record.as_json() for record in self.begun.values()],
                "doomed": [record.as_json() for record in self.doomed],
                "outputs": self.outputs,
            }
            fresh = self._folder / "state.json.new"
            with open(fresh, "w", encoding="utf-8") as file:
                json.dump(self._vault.seal(kept), file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            fresh.replace(self._folder / "state.json")
            self._generation += 1
            os.close(self._journal)
            self._journal = None
            self._path.unlink()
            self._broken = None  # the checkpoint holds what it may have lost

    def close(self) -> None:
        """Let go of the journal; nothing is lost if this is never called."""
        with self._lock:
            if self._journal is not None:
                os.close(self._journal)
                self._journal = None

    def _append(self, entry: Mapping[str, Any]) -> None:
        line = json.dumps(self._vault.seal(dict(entry)), separators=(",", ":")) + "\n"
        with self._lock:
            if self._journal is None:
                self._journal = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
                if not os.fstat(self._journal).st_size:
                    self._write(self._journal, json.dumps({"generation": self._generation}) + "\n")
            self._write(self._journal, line)
            self._written += 1
            mine, journal = self._written, self._journal
            self._apply(entry)
        with self._syncing:
            if self._durable < mine:
                written = self._written
                try:
                    self._sound()
                    os.fdatasync(journal)
                except OSError as error:  # of the lines before it the system tells no more: the next call would succeed
                    self._broken = error.errno
                    raise
                self._durable = written

    def _write(self, journal: int, line: str) -> None:
        """Write a line whole, or none of it: what a full disk cuts short would run into the next one."""
        self._sound()
        data, before = line.encode(), os.fstat(journal).st_size
        if os.write(journal, data) < len(data):
            os.ftruncate(journal, before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def _sound(self) -> None:
        """Take no more once what was written may be lost: the next run reads what is there."""
        if self._broken is not None:
            raise OSError(self._broken, os.strerror(self._broken), str(self._path))

    def _apply(self, entry: Mapping[str, Any]) -> None:
        match entry["op"]:
            case "begin":
                self.begun[entry["record"]["urn"]] = Record.from_json(entry["record"])
            case "abandon":
                self.begun.pop(entry["urn"], None)
            case "put" | "supersede" | "rename":
                record = Record.from_json(entry["record"])
                if entry["op"] == "rename":
                    self.records.pop(entry["urn"], None)
                if entry["op"] == "supersede":
                    self.doomed.append(Record.from_json(entry["old"]))
                self.records[record.urn] = record
                self.begun.pop(record.urn, None)
            case "drop":
                self.records.pop(entry["urn"], None)
            case "bury":
                self.doomed = [old for old in self.doomed if (old.urn, old.id) != (entry["urn"], entry["id"])]
            case "outputs":
                self.outputs = dict(entry["outputs"])

    def _load(self) -> None:
        path = self._folder / "state.json"
        with suppress(FileNotFoundError):
            try:
                kept = self._vault.open(json.loads(path.read_text("utf-8")))
            except ValueError as error:
                raise StateDamagedError(
                    f"{path} is not readable: {error}. Restore it, or delete it to begin anew."
                ) from error
            if kept.get("owner") != OWNER:
                raise ForeignOwnerError(f"{path} belongs to {kept.get('owner')!r}, not to {OWNER!r}.")
            self.saved = True
            self._generation = kept["generation"]
            self.records = {record["urn"]: Record.from_json(record) for record in kept["records"]}
            self.begun = {record["urn"]: Record.from_json(record) for record in kept["begun"]}
            self.doomed = [Record.from_json(record) for record in kept["doomed"]]
            self.outputs = kept["outputs"]
        self._replay()

    def _replay(self) -> None:
        path = self._path
        if not path.exists():
            return
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        lines = whole.splitlines()
        if not lines or json.loads(lines[0])["generation"] != self._generation:
            if self._mend:
                path.unlink()  # the checkpoint already holds it
            return
        for line in lines[1:]:
            self._apply(self._vault.open(json.loads(line)))
        if self._mend and len(whole) != len(text):
            os.truncate(path, len(whole))  # the line that a crash cut short
        self.saved = True


@contextmanager
def opened(state_dir: Path, stack: str) -> Iterator[State]:
    """The state of ``stack``, locked against other runs."""
    folder = state_dir / stack
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a+", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            raise StateBusyError(
                f"Stack {stack} is being changed by process {holder}: wait for it, or end it."
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        state = State(folder, Vault(state_dir / "key"))
        try:
            yield state
        finally:
            state.close()


def looked_at(state_dir: Path | None, stack: str) -> State | None:
    """The state of ``stack`` to read only, without its lock; None where there is none."""
    if state_dir is None or not (state_dir / stack).is_dir():
        return None
    state = State(state_dir / stack, Vault(state_dir / "key"), mend=False)
    return state if state.saved else None
