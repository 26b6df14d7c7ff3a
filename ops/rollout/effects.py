"""What a rollout changes, in its order, and each of it such that doing it twice is doing it once.

A share: `share` brings the record (and, where Cloud Run splits, the traffic) into force, which payments feel; `follow`,
which they do not, brings stack config and the apply of those resources after it. The way back: record and traffic, then
`settle` with config and state. A release is in the record, at 0 %, before its revision is deployed.
Between reading what is in force and writing over it nobody else can have written: a walk whose rollout was taken over
by a rollback is refused by the record's generation, by the service's etag, by the hold, or by `guard`. And the hold is
lifted for an apply only where this checkout declares the record in force, byte for byte. Owns the order;
leaves what is written to record.py, traffic.py and written.py, and the apply to apply.py.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from ops.errors import OpsError
from ops.place import Place
from ops.rollout import record, traffic, written
from ops.rollout.state import Kind, Rollout
from ops.rollout.store import HARD, Kept, Objects
from ops.rollout.traffic import Roles
from ops.rollout.written import Written
from spec.names import RECORD_OBJECT
from spec.rollout import instant

if TYPE_CHECKING:
    from google.cloud import run_v2


class ByHand(OpsError):
    """The apply has to be run by a person, and the walk is gone on with after it."""


class NotDeclared(OpsError):
    """The record in force is not what this checkout declares: its apply would undo what somebody else has set."""


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
    #: The record that stack config declares, as it is written down now.
    declared: Callable[[], bytes]

    @cached_property
    def objects(self) -> Objects:
        """The rollout bucket."""
        return Objects(self.place)

    @cached_property
    def insistent(self) -> Objects:
        """The same, tried for longer: for the way back."""
        return Objects(self.place, HARD)

    @cached_property
    def services(self) -> run_v2.ServicesClient:
        """Cloud Run."""
        return self.place.run_clients().services

    def fence(self, rollout: Rollout, *, whole: bool = False) -> Fence:
        """What is in force now; the traffic where a share, or the whole of it at the end, changes it."""
        etag = ""
        if rollout.split or (whole and rollout.kind is Kind.RELEASE):
            etag = traffic.etag_of(self.place, self.services, rollout.target)
        return Fence(record.read(self.objects), etag)

    def announce(self, rollout: Rollout, guard: Guard) -> None:
        """Put a release into the record at 0 %, so that services have read of it before its first share."""
        kept = record.read(self.objects)
        guard()
        record.write(self.objects, kept, record.share(rollout, 0))

    def announced(self, rollout: Rollout) -> bool:
        """Whether the record says so."""
        kept = record.read(self.objects)
        return record.changed(kept, record.share(rollout, 0)) == kept.data

    def prepare(self, rollout: Rollout) -> None:
        """Deploy a release beside what is stable, at 0 %."""
        self.configure(written.prepared(rollout))
        self._applied(rollout)

    def share(self, rollout: Rollout, fence: Fence) -> Kept:
        """Bring the share that is wanted into force; the record that says so."""
        percent = rollout.wanted
        kept = record.write(self.objects, fence.record, record.share(rollout, percent))
        if rollout.split:
            meant = Roles(stable=rollout.stable, canary=rollout.canary, previous=rollout.previous, percent=percent)
            traffic.insist(self.place, self.services, rollout.target, meant, etag=fence.etag)
        return kept

    def follow(self, rollout: Rollout, kept: Kept) -> None:
        """Config and state after a share; Lost where the record is no longer the one that was written."""
        self.configure(written.share(rollout, rollout.wanted))
        self._applied(rollout, kept)

    def promote(self, rollout: Rollout, fence: Fence) -> Kept:
        """Make the new way the one that there is; the record that says so."""
        if rollout.kind is Kind.RELEASE:
            meant = Roles(stable=rollout.canary, previous=rollout.stable)
            traffic.insist(self.place, self.services, rollout.target, meant, etag=fence.etag)
        return record.write(self.objects, fence.record, record.whole(rollout.target, rollout.kind, 100))

    def keep(self, rollout: Rollout, kept: Kept) -> None:
        """Config and state after a promotion, with the old way for a while; then applies may go on."""
        until = self.place.now() + timedelta(seconds=rollout.rules.keep)
        self.configure(written.promoted(rollout, instant(until)))
        self._applied(rollout, kept)
        record.release(self.objects)

    def move_back(self, rollout: Rollout) -> None:
        """What payments feel of the way back: the record, and the traffic in one update.

        The record takes a moment and needs no client, which is loaded meanwhile: new work is stable's from here on. The
        update then turns what is queued.
        """
        change = record.whole(rollout.target, rollout.kind, rollout.back_to)
        unwritten: OpsError | None = None
        try:
            record.insist(Objects(self.place, again=()), change)
        except OpsError as error:  # what the traffic turns does not wait for it
            unwritten = error
        if rollout.kind is Kind.RELEASE:
            meant = Roles(stable=rollout.stable, previous=rollout.previous)
            traffic.insist(self.place, self.services, rollout.target, meant, again=HARD)
        if unwritten is None:
            return
        try:
            record.insist(self.insistent, change)
        except OpsError as error:
            if rollout.kind is Kind.ROUTE:
                raise
            raise OpsError(
                f"the traffic of {rollout.target} is {rollout.stable}'s, and its record is as it was: {error.what}",
                why="no work meets the release that is bad, but config, state and page are left as they were",
                fix=f"{error.fix or 'mend what it says'}; then this command again, which goes on from there",
            ) from error

    def settle(self, rollout: Rollout, *, bad: bool) -> None:
        """Config and state after it, and the hold away: applies may go on."""
        self.configure_back(rollout, bad=bad)
        self._applied(rollout)
        record.release(self.objects)

    def configure_back(self, rollout: Rollout, *, bad: bool = True) -> None:
        """Config alone."""
        self.configure(written.taken_back(rollout, bad=bad))

    def _applied(self, rollout: Rollout, kept: Kept | None = None) -> None:
        """Apply, with the hold away just for so long: state then says what is in force."""
        kept = kept or record.read(self.objects)
        self._declares(kept)
        self.objects.hold(RECORD_OBJECT, on=False, generation=kept.generation)
        try:
            self.apply(rollout.target if rollout.kind is Kind.RELEASE else None)
        finally:
            self._hold()

    def _declares(self, kept: Kept) -> None:
        declared = self.declared()
        if declared == kept.data:
            return
        there, here = (json.dumps(json.loads(one), indent=1).splitlines() for one in (kept.data, declared))
        lines = [one for one in difflib.unified_diff(there, here, n=1, lineterm="") if one[:3] not in ("---", "+++")]
        raise NotDeclared(
            f"{RECORD_OBJECT} in force (-) is not what this checkout's config declares (+): " + " ".join(lines),
            why="an apply would undo what somebody else has set, from another checkout or by sluice:stop",
            fix="bring that change into this checkout's config; ./sluice rollout resume goes on where nothing waits",
        )

    def _hold(self) -> None:
        kept = record.read(self.objects)
        self.objects.hold(RECORD_OBJECT, on=True, generation=kept.generation)
