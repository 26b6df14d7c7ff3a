"""What a rollout changes, in its order, and each of it such that doing it twice is doing it once.

A share: the record (and, where Cloud Run splits, the traffic), then stack config, then the apply of those resources.
The way back: record and traffic, which payments feel; `settle`, which they do not, brings config and state after them.
Between reading what is in force and writing over it nobody else can have written: a walk whose rollout was taken over
by a rollback is refused by the record's generation, by the service's etag, by the hold, or by `guard`. Owns the order;
leaves what is written to record.py, traffic.py and written.py, and the apply to apply.py.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from ops.errors import OpsError
from ops.place import Place
from ops.rollout import record, traffic, written
from ops.rollout.state import Kind, Rollout
from ops.rollout.store import Kept, Objects
from ops.rollout.traffic import Roles
from ops.rollout.written import Written
from spec.names import RECORD_OBJECT
from spec.rollout import instant

if TYPE_CHECKING:
    from google.cloud import run_v2


class ByHand(OpsError):
    """The apply has to be run by a person, and the walk is gone on with after it."""


#: Raises where the rollout is no longer ours to walk.
Guard = Callable[[], None]


@dataclass(frozen=True)
class Fence:
    """What was in force before the intention was written down."""

    record: Kept
    etag: str = ""


@dataclass
class Effects:
    """The hands of a rollout in one place."""

    place: Place
    #: Writes stack config.
    configure: Callable[[Written], None]
    #: Applies the record and, where one is named, a service.
    apply: Callable[[str | None], None]

    @cached_property
    def objects(self) -> Objects:
        """The rollout bucket."""
        return Objects(self.place)

    @cached_property
    def services(self) -> run_v2.ServicesClient:
        """Cloud Run."""
        return self.place.run_clients().services

    def fence(self, rollout: Rollout) -> Fence:
        """What is in force now."""
        etag = ""
        if rollout.split:
            etag = self.services.get_service(name=f"{self.place.parent}/services/{rollout.target}").etag
        return Fence(record.read(self.objects), etag)

    def prepare(self, rollout: Rollout) -> None:
        """Deploy a release beside what is stable, at 0 %."""
        self.configure(written.prepared(rollout))
        self._applied(rollout)

    def share(self, rollout: Rollout, fence: Fence, guard: Guard) -> None:
        """Bring the share that is wanted into force."""
        percent = rollout.wanted
        record.write(self.objects, fence.record, record.share(rollout, percent))
        if rollout.split:
            meant = Roles(stable=rollout.stable, canary=rollout.canary, previous=rollout.previous, percent=percent)
            if move := traffic.move(self.place, self.services, rollout.target, meant, etag=fence.etag):
                move.wait()
        guard()
        self.configure(written.share(rollout, percent))
        self._applied(rollout)

    def promote(self, rollout: Rollout, guard: Guard) -> None:
        """Make the new way the one that there is, and keep the old one for a while."""
        if rollout.kind is Kind.RELEASE:
            meant = Roles(stable=rollout.canary, previous=rollout.stable)
            if move := traffic.move(self.place, self.services, rollout.target, meant):
                move.wait()
        record.insist(self.objects, record.whole(rollout.target, rollout.kind, 100))
        guard()
        until = self.place.now() + timedelta(seconds=rollout.rules.keep)
        self.configure(written.promoted(rollout, instant(until)))
        self._applied(rollout)
        record.release(self.objects)

    def move_back(self, rollout: Rollout) -> None:
        """What payments feel of the way back: the record, and the traffic in one update.

        The record takes a moment and needs no client, which is loaded meanwhile: new work is stable's from here on. The
        update then turns what is queued.
        """
        record.insist(self.objects, record.whole(rollout.target, rollout.kind, 0))
        if rollout.kind is Kind.RELEASE:
            meant = Roles(stable=rollout.stable, previous=rollout.previous)
            if move := traffic.move(self.place, self.services, rollout.target, meant):
                move.wait()

    def settle(self, rollout: Rollout, *, bad: bool) -> None:
        """Config and state after it, and the hold away: applies may go on."""
        self.configure_back(rollout, bad=bad)
        self._applied(rollout)
        record.release(self.objects)

    def configure_back(self, rollout: Rollout, *, bad: bool = True) -> None:
        """Config alone."""
        self.configure(written.taken_back(rollout, bad=bad))

    def _applied(self, rollout: Rollout) -> None:
        """Apply, with the hold away just for so long: state then says what is in force."""
        kept = record.read(self.objects)
        self.objects.hold(RECORD_OBJECT, on=False, generation=kept.generation)
        try:
            self.apply(rollout.target if rollout.kind is Kind.RELEASE else None)
        except ByHand:  # whoever runs the command writes the record
            raise
        except BaseException:
            self._hold()
            raise
        self._hold()

    def _hold(self) -> None:
        kept = record.read(self.objects)
        self.objects.hold(RECORD_OBJECT, on=True, generation=kept.generation)
