"""The walk of a rollout: look, decide, do, write down, and again, until it is over or somebody takes it away.

Every effect is written down before it begins (`wanted`, or a phase that ends the rollout), each write bound to the
generation that was read. So a walk that is killed between any two writes leaves a state from which the next one goes
on, and a walk whose rollout a rollback has taken over finds its next write refused and stops. From the moment that a
share is in force the gates are asked, also while the apply after it runs: what is bad is moved back at once, and again
when that apply, which may have brought the share once more, is over. Owns the loop; what is done next is decide.py's,
how it is done effects.py's, who may walk lock.py's.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Protocol

from ops.auditing import audited
from ops.errors import CallFailed, OpsError, Unreachable
from ops.place import Place
from ops.rollout import decide, record, rollback
from ops.rollout.aside import Aside
from ops.rollout.decide import Abort, Hold, Prepare, Promote, RollBack, SetShare, Stop, Verdict
from ops.rollout.effects import Effects, NotDeclared
from ops.rollout.left import READ_BY_ALL, left, moves, still
from ops.rollout.lock import Lock
from ops.rollout.state import Kind, Phase, Rollout
from ops.rollout.store import HARD, Kept, Lost, Store
from spec.names import ROLLOUT_OBJECT

#: Real seconds between two looks.
LOOK_LOCALLY, LOOK = 1.0, 15.0
#: A state that says nothing new is written again after so many seconds of the place's time.
KEEP_LOOKS = 60.0
#: So many rounds in a row may find the state unreadable; then the walk ends and says so.
BLIND = 20


class Seen(Verdict, Protocol):
    """A verdict that can be kept."""

    def as_json(self) -> dict[str, Any]:
        """With each gate's samples and confidence."""


#: Asks the gates about the share that stands.
Look = Callable[[Rollout, datetime], Seen]


@dataclass(frozen=True)
class Unread:
    """A look that failed: it says nothing about the share, and the next one may."""

    why: str
    kind: str = decide.Judged.INCONCLUSIVE

    def as_json(self) -> dict[str, Any]:
        """As a verdict without gates."""
        return {"kind": self.kind, "why": self.why, "gates": []}


class TakenOver(Exception):
    """Another process walks this rollout now, or takes it back."""


@dataclass
class Walker:
    """One walk."""

    place: Place
    store: Store
    effects: Effects
    lock: Lock
    look: Look
    #: Sees that a new revision answers before a payment meets it; "" or why not.
    probe: Callable[[Rollout], str]
    tell: Callable[[str], None]
    #: Lets time pass between two looks.
    pause: Callable[[], None]
    #: Real seconds between two looks while an apply runs.
    every: float
    #: Real time: services read the record by it.
    sleep: Callable[[float], None]
    seconds: Callable[[], float] = time.monotonic
    #: Says what stays to be read, where `tell` writes over its lines.
    say: Callable[[str], None] | None = None
    rollout: Rollout = field(init=False)
    _generation: int = field(init=False, default=0)
    _kept_at: datetime | None = field(init=False, default=None)
    #: Whether this round has applied anything, and how many in a row could not read the state.
    _brought: bool = field(init=False, default=False)
    _blind: int = field(init=False, default=0)
    #: When the record said of the release, as far as this walk knows; None once every service has read of it.
    _announced: float | None = field(init=False, default=None)

    def walk(self, until: Callable[[Rollout], bool] = lambda _: False) -> Rollout:
        """Until it is over, or stands as is wanted; what became of it."""
        self._load()
        self._announced = self.seconds()
        while not until(self.rollout):
            try:
                if self._once():
                    return self.rollout
            except (TakenOver, Lost):
                if not self._still_ours():
                    self._leave_it_back()
                    return self.rollout
            except OpsError:
                if not self._taken() or self._still_ours():
                    raise
                self._leave_it_back()  # an apply ran into the hold of whoever takes it back
                return self.rollout
        return self.rollout

    def _leave_it_back(self) -> None:
        """Whoever takes it back has moved before this walk's apply was over: what that brought is moved once more."""
        if self._brought and self.rollout.phase is Phase.ROLLING_BACK and not self.lock.lost:
            self.effects.move_back(self.rollout)

    def _once(self) -> bool:
        """One round; whether nothing is left to do."""
        self._brought = False
        try:
            self._refresh()
        except (Unreachable, CallFailed) as error:
            self._blind += 1
            if self._blind == BLIND:
                raise
            self.tell(f"{self.rollout.target} stands at {self.rollout.percent} %: {error.what}")
            self.pause()
            return False
        self._blind = 0
        verdict = self._looked()
        match decide.next_action(self.rollout, verdict, self.place.now()):
            case Stop():
                return True
            case Prepare():
                self._prepare()
            case SetShare(percent):
                self._decided(verdict, f"next {percent} %")
                self._set(percent)
            case Promote():
                self._decided(verdict, "promoted now")
                self._promote()
            case RollBack(why):
                self._back(why)
            case Abort():
                self._abort()
            case Hold(why):
                self.tell(f"{self.rollout.target} at {self.rollout.percent} %: {why}")
                self.pause()
        return False

    def _decided(self, verdict: Verdict | None, what: str) -> None:
        """Say why a step is taken before it is; one that a person asked for has no look before it."""
        if verdict is not None:
            at = f"{self.rollout.target}: {verdict.kind} at {self.rollout.percent} %"
            (self.say or self.tell)(f"{at} ({verdict.why}): {what}")

    def guard(self) -> None:
        """Raise where the state is another than this walk wrote: somebody else decides now."""
        if self._taken():
            raise TakenOver

    def _taken(self) -> bool:
        return self.lock.lost or self.store.objects.read(ROLLOUT_OBJECT).generation != self._generation

    # The actions

    def _prepare(self) -> None:
        self.tell(f"deploying {self.rollout.canary} beside {self.rollout.stable}, at 0 %")
        if self._announced is not None or not self.effects.announced(self.rollout):
            self.effects.announce(self.rollout, self.guard)
            self._announced = self.seconds()
        self._read_by_all()  # who has not read of it yet may still send to the tag, for the release before this one
        self.guard()
        found = left(self.place, self.rollout.target)
        why = f"not deployed yet: {still(self.rollout.target, found)}; {moves(self.place, found)}" if found else ""
        if why != self.rollout.why:  # for `rollout status`: nothing else would say what it waits for
            self._save(self.rollout.turned(Phase.PREPARING, why, self.rollout.by))
        if why:
            self.tell(why)
            self.pause()
            return
        self._brought = True
        self.effects.prepare(self.rollout)
        self.guard()
        if why := self.probe(self.rollout):
            self._back(f"it did not answer before its first payment: {why}")
            return
        self._save(self.rollout.turned(Phase.RUNNING, "", self.rollout.by))

    def _read_by_all(self) -> None:
        """Wait until every service has read of the release; a way back does not wait for its client any more then."""
        if self._announced is not None:
            _ = self.effects.services
            self.sleep(max(0.0, self._announced + READ_BY_ALL - self.seconds()))
            self._announced = None

    def _set(self, percent: int) -> None:
        if self.rollout.kind is Kind.RELEASE and not self.rollout.steps:
            self._read_by_all()
        fence = self.effects.fence(self.rollout)  # first: whoever takes it back after the next line writes after this
        self._save(self.rollout.wanting(percent))
        since = self.place.now()  # payments meet it from here on, and an apply may take minutes
        kept = self.effects.share(self.rollout, fence)
        self.guard()
        with Aside(self._applied(self.effects.follow, kept), self.tell) as work:
            standing = self._watched(work, since)
            if standing is not None:
                work.end()
                self._save(standing)
                self.tell(f"{standing.target} stands at {percent} %")
        if self.rollout.phase is Phase.ROLLING_BACK:
            self._back(self.rollout.why)

    def _applied(self, apply: Callable[[Rollout, Kept], None], kept: Kept) -> Callable[[threading.Event], None]:
        """Config and state after what is in force. Where this checkout declares another record they wait for it."""
        rollout = self.rollout

        def work(left: threading.Event) -> None:
            told = ""
            while True:
                try:
                    return apply(rollout, kept)
                except NotDeclared as error:
                    if told != error.what:
                        self.tell(f"{rollout.target} is held at {rollout.wanted} %: {error}")
                    told = error.what
                    if left.wait(self.every):
                        raise
                if record.read(self.effects.objects).generation != kept.generation:
                    raise Lost("somebody else has written the record", fix="the walk goes on from what it says now")

        self._brought = True
        return work

    def _watched(self, work: Aside, since: datetime) -> Rollout | None:
        """Ask the gates about the new share while its apply runs.

        The rollout as it stands at the end; None where it is decided otherwise by then, and moved back if it has to be.
        """
        percent, own = self.rollout.wanted, self.rollout.id
        standing = self.rollout.standing(since)
        while not work.over(self.every):
            if self._written():
                if self.rollout.id == own and self.rollout.phase in (Phase.ROLLING_BACK, Phase.ABORTING):
                    self._kept_back(work)
                if self.rollout.id != own or self.rollout.phase is Phase.ROLLING_BACK:
                    raise TakenOver
                if self.rollout.phase.ending or self.rollout.wanted != percent:
                    return None
                standing = replace(self.rollout.standing(since), steps=standing.steps)
            now = self.place.now()
            verdict = self._asked(standing, now)
            standing = standing.looked(str(verdict.kind), verdict.why, verdict.as_json())
            match decide.next_action(standing, verdict, now):
                case RollBack(why):
                    with contextlib.suppress(Lost):  # somebody was quicker: the next round goes by what he wrote
                        self._turn_back(standing, why)
                        self._kept_back(work)
                        return None
        return standing

    def _kept_back(self, work: Aside) -> None:
        """Move back at once, and again until the apply is over, which may bring the share or its tag once more."""
        over = False
        work.leave()
        while True:
            try:
                if self.rollout.phase is Phase.ABORTING and not self.lock.lost:
                    self._written()  # a rollback that came meanwhile goes to 0, and an abort to where it began
                self.effects.move_back(self.rollout)
            except OpsError as error:
                self.tell(f"not moved back yet: {error.what}")
            if over:
                break
            over = work.over(self.every)
        try:
            work.end()
        except Exception as error:  # the way back brings state after itself
            self.tell(f"the apply of the share ended with: {error}")

    def _promote(self) -> None:
        fence = self.effects.fence(self.rollout, whole=True)
        if self.rollout.phase is not Phase.PROMOTING:
            self._save(self.rollout.turned(Phase.PROMOTING, "healthy at its last step", self.rollout.by))
        self.guard()  # whoever has taken it back before the fence was read is found here, and later by the fence
        kept = self.effects.promote(self.rollout, fence)
        with Aside(self._applied(self.effects.keep, kept), self.tell) as work:
            while not work.over(self.every):
                if self._written() and self.rollout.phase is Phase.ROLLING_BACK:
                    self._kept_back(work)
                    raise TakenOver
            work.end()
        done = self.rollout.over(Phase.PROMOTED, self.place.now(), 100)
        self.store.remember(done)
        self._save(done)
        audited(self.place, self.tell, "rollout promoted", done.target, rollout=done.id, canary=done.canary)
        self.tell(f"{done.target} is promoted")

    def _back(self, why: str) -> None:
        if self.rollout.phase is not Phase.ROLLING_BACK:
            self._turn_back(self.rollout, why)
        self.rollout = rollback.bring_about(self.place, self.store, self.effects, self.rollout, self.tell)
        self._generation = self.store.read()[1]

    def _turn_back(self, rollout: Rollout, why: str) -> None:
        self.store = Store(self.place, HARD)  # a way back does not end with a call that breaks
        self._save(rollout.turned(Phase.ROLLING_BACK, why, "the gates"))
        self.tell(f"rolling {rollout.target} back: {why}")

    def _abort(self) -> None:
        self._brought = True
        self.effects.move_back(self.rollout)
        self.effects.settle(self.rollout, bad=False)
        done = self.rollout.over(Phase.ABORTED, self.place.now(), self.rollout.back_to)
        self.store.remember(done)
        self._save(done)
        audited(self.place, self.tell, "rollout aborted", done.target, rollout=done.id, why=done.why)
        self.tell(f"{done.target} is back at {done.percent} %")

    # What is known

    def _looked(self) -> Seen | None:
        """Ask the gates while a share stands that somebody may have met."""
        now = self.place.now()
        if self.rollout.phase not in (Phase.RUNNING, Phase.PAUSED) or self.rollout.unset or not self.rollout.steps:
            return None
        verdict = self._asked(self.rollout, now)
        before = self.rollout.steps[-1]
        self.rollout = self.rollout.looked(str(verdict.kind), verdict.why, verdict.as_json())
        stale = self._kept_at is None or (now - self._kept_at).total_seconds() >= KEEP_LOOKS
        if stale or before.verdict != str(verdict.kind):
            self._save(self.rollout)
        return verdict

    def _asked(self, rollout: Rollout, now: datetime) -> Seen:
        try:
            return self.look(rollout, now)
        except OpsError as error:
            return Unread(f"the gates could not look: {error.what}")

    def _load(self) -> None:
        found, self._generation = self.store.read()
        assert found is not None
        self.rollout = found

    def _refresh(self) -> None:
        """Take over what somebody else has written: a pause, another share, the way back."""
        if self._written() and self.rollout.phase is Phase.ROLLING_BACK:
            raise TakenOver

    def _written(self) -> bool:
        """Whether somebody else has written the state, which is known then."""
        if self.lock.lost:
            raise TakenOver
        if not self._taken():
            return False
        self._load()
        return True

    def _still_ours(self) -> bool:
        """After a refused write: whether this walk goes on from what is kept now."""
        if self.lock.lost:
            return False
        own = self.rollout.id
        self._load()
        return self.rollout.id == own and self.rollout.phase is not Phase.ROLLING_BACK

    def _save(self, rollout: Rollout) -> None:
        if self.lock.lost:
            raise TakenOver
        self._generation = self.store.write(rollout, self._generation)
        self.rollout, self._kept_at = rollout, self.place.now()
