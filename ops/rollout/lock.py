"""Who walks: one process of one operator, known by an object that it keeps renewing.

Owns the object `lock.json`. It is created only where there is none, renewed by a thread of the holder's, and may be
taken over once it has not been renewed for a minute of the place's time; on the holder's own machine its process says
whether it is held, however the clock was moved. A machine is known by its boot and its processes' namespace: many have
the same name. Source: https://cloud.google.com/storage/docs/request-preconditions, man 7 pid_namespaces.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path

import spec
from ops.errors import OpsError
from ops.place import Place, option
from ops.rollout.state import moment, shown, text
from ops.rollout.store import Kept, Lost, Objects, encoded

#: Without a renewal for so long, in seconds of the place's time, a lock is stale.
STALE = 60.0
#: Real seconds between two renewals.
RENEW = 15.0
#: Real seconds between two looks of whoever waits for a lock.
LOOK = 0.1


class Locked(OpsError):
    """Somebody else holds the lock."""


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who holds it, what for, where, and until when it needs no renewal."""

    who: str
    what: str
    host: str
    pid: int
    #: When the process began, so that a later process of the same number is another one.
    born: str
    since: str
    until: str
    #: Where its process can be looked at; `host` is for people.
    machine: str = ""

    @property
    def here(self) -> bool:
        """Whether it is a process of this machine that lives."""
        return self.machine == machine() and _born(self.pid) == self.born != ""

    @property
    def own(self) -> bool:
        """Whether it is this process."""
        return self.here and self.pid == os.getpid()


class Lock:
    """The lock of one place, while it is held."""

    def __init__(self, place: Place, holder: Holder, generation: int) -> None:
        self._place, self._objects = place, Objects(place)
        self.holder, self._generation = holder, generation
        self._over, self._lost = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._thread.start()

    @property
    def lost(self) -> bool:
        """Whether somebody has taken it over."""
        return self._lost.is_set()

    def renew(self) -> None:
        """Hold it for another minute."""
        holder = Holder(**{**asdict(self.holder), "until": _until(self._place)})
        try:
            self._generation = self._objects.write(
                spec.names.LOCK_OBJECT, encoded(asdict(holder)), over=self._generation
            )
        except Lost:
            self._lost.set()
        else:
            self.holder = holder

    def release(self) -> None:
        """Let go, so that the next one need not wait."""
        self._over.set()
        self._thread.join()
        with contextlib.suppress(OpsError):  # taken over, or nobody answers: it becomes stale by itself
            self._objects.delete(spec.names.LOCK_OBJECT, generation=self._generation)

    def _keep(self) -> None:
        while not self._over.wait(RENEW) and not self.lost:
            with contextlib.suppress(OpsError):  # one renewal may fail: three more fit into the minute
                self.renew()


def holder_of(place: Place) -> Holder | None:
    """Who holds the lock now; None where nobody does, or the lock is stale."""
    kept = Objects(place).read(spec.names.LOCK_OBJECT)
    found = _holder(kept)
    return found if found is not None and _holds(place, found) else None


def acquire(place: Place, what: str, *, wait: float = 0.0) -> Lock:
    """Take the lock; Locked where somebody else has it for longer than `wait` real seconds."""
    objects, deadline = Objects(place), time.monotonic() + wait
    while True:
        kept = objects.read(spec.names.LOCK_OBJECT)
        found = _holder(kept)
        if found is None or not _holds(place, found):
            now = text(place.now())
            holder = Holder(
                who=place.who, what=what, host=socket.gethostname(), pid=os.getpid(), born=_born(os.getpid()),
                since=now, until=_until(place), machine=machine(),
            )  # fmt: skip
            with contextlib.suppress(Lost):  # somebody was quicker: look again who
                made = objects.write(spec.names.LOCK_OBJECT, encoded(asdict(holder)), over=kept.generation)
                return Lock(place, holder, made)
        elif time.monotonic() >= deadline:
            raise refusal(place, found)
        time.sleep(LOOK)


@contextlib.contextmanager
def held(place: Place, what: str, *, wait: float = 0.0) -> Iterator[Lock]:
    """Hold the lock for a while."""
    lock = acquire(place, what, wait=wait)
    try:
        yield lock
    finally:
        lock.release()


def free(place: Place) -> None:
    """Refuse to go on while somebody holds it."""
    holder = holder_of(place)
    if holder is not None:
        raise refusal(place, holder)


def refusal(place: Place, holder: Holder) -> Locked:
    """What the second of two is told."""
    since = (place.now() - moment(holder.since)).total_seconds()
    stack = option(place.stack)
    pause = f"; ./sluice rollout pause{stack} holds its share and needs no lock" if "rollout" in holder.what else ""
    return Locked(
        f"{holder.who} has the lock of {place.stack}: {holder.what}, for {shown(since)}, by process {holder.pid} on "
        f"{holder.host}",
        why="two who change shares at once would undo each other",
        fix=f"wait for it, or ask {holder.who}{pause}. Only where nobody answers for it, end it there: "
        f"kill {holder.pid} on {holder.host}; ./sluice rollout resume goes on. A process that is dead is passed over "
        f"by this command again, from elsewhere {STALE:.0f} s after its last renewal",
    )


def _holds(place: Place, holder: Holder) -> bool:
    if holder.machine == machine():  # one that was killed here needs no minute to be known as dead
        return holder.here
    return place.now() < moment(holder.until)


def _until(place: Place) -> str:
    return text(place.now() + timedelta(seconds=STALE))


def _holder(kept: Kept) -> Holder | None:
    if not kept.there:
        return None
    try:
        return Holder(**kept.json)
    except (ValueError, TypeError):  # no lock of ours holds anybody up
        return None


def machine() -> str:
    """Within what the numbers of processes are known: one start of one kernel, and one of its namespaces."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:  # no Linux: the address of its network card, or a number that no other process has
        return f"{socket.gethostname()} {uuid.getnode()}"


def _born(pid: int) -> str:
    """When a process of this machine began, as the system counts; "" where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return _alive(pid)


def _alive(pid: int) -> str:
    """Where the system has no /proc: that it is there."""
    if Path("/proc/self").exists():
        return ""
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return "alive"
