"""One rollout as it is kept in `rollout.json`: whatever process dies, the next one goes on from these values.

`wanted` is written before a share is set and `percent` after it, so that they differ exactly while nobody knows whether
it is in force. What ends a rollout is a phase of its own (rolling back, aborting, promoting) until it is done. Owns the
values and their JSON form; leaves deciding to decide.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Final

#: The form of the object; a reader of another one says so.
VERSION: Final = 1


class Phase(StrEnum):
    """Where a rollout stands."""

    #: The new revision is being deployed, at 0 %.
    PREPARING = "preparing"
    RUNNING = "running"
    #: The share is held by a person; gates still roll back.
    PAUSED = "paused"
    PROMOTING = "promoting"
    ROLLING_BACK = "rolling_back"
    ABORTING = "aborting"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    #: Taken back without being called bad.
    ABORTED = "aborted"

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self in (Phase.PROMOTED, Phase.ROLLED_BACK, Phase.ABORTED)

    @property
    def ending(self) -> bool:
        """Whether its end was decided and is being brought about."""
        return self in (Phase.PROMOTING, Phase.ROLLING_BACK, Phase.ABORTING)


class Kind(StrEnum):
    """What is rolled out."""

    ROUTE = "route"
    RELEASE = "release"


@dataclass(frozen=True, kw_only=True)
class Step:
    """A share that was in force: since when, and what the gates said of it last."""

    percent: int
    since: str
    until: str = ""
    verdict: str = ""
    why: str = ""
    looks: int = 0
    #: The whole last verdict, with samples and confidence.
    seen: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Raised:
    """A share that a person has raised: who, when, to which, and what the gates said of the one before."""

    percent: int
    at: str
    who: str
    gates: str


@dataclass(frozen=True, kw_only=True)
class Note:
    """What befell it beside its steps: a walk that began or was left, a pause, its end."""

    at: str
    who: str
    what: str


#: How the notes of a walk begin, at its beginning and its end; one that was killed has left no second.
WALKS: Final = "walked by"
WALK_OVER: Final = "not walked any more"
#: So many notes are kept.
NOTES: Final = 200


@dataclass(frozen=True, kw_only=True)
class Rules:
    """The steps and how long each share stands at least, in seconds; how long the old way is kept after the last."""

    steps: tuple[int, ...]
    first_dwell: float
    dwell: float
    keep: float


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One rollout."""

    id: str
    target: str
    kind: Kind
    phase: Phase
    rules: Rules
    who: str
    began: str
    #: The share that is in force, and the one that is meant to be.
    percent: int
    wanted: int
    #: When `percent` came into force.
    since: str
    #: The revisions of a release, and the digests of their images where they are not the stack's.
    stable: str = ""
    canary: str = ""
    digest: str = ""
    stable_digest: str = ""
    #: Cloud Run splits its traffic: nobody who sends to it could choose.
    split: bool = False
    #: What was stable before `stable` where the last promotion is still kept, and until when.
    previous: str = ""
    keep_until: str = ""
    steps: tuple[Step, ...] = ()
    raised: tuple[Raised, ...] = ()
    notes: tuple[Note, ...] = ()
    #: The share of a route before its first step, to which an abort takes it back.
    began_at: int = 0
    #: When it was promoted, if ever: a rollback may have come after it.
    promoted: str = ""
    #: Why it stands where it stands, and who said so.
    why: str = ""
    by: str = ""
    ended: str = ""
    #: What is known after its end: payments that met it, retries, what is replayed.
    counts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def running(self) -> bool:
        """Whether it is not over."""
        return not self.phase.over

    @property
    def back_to(self) -> int:
        """The share that the way back leads to: an abort's the one before the rollout, a rollback's 0."""
        return self.began_at if self.phase in (Phase.ABORTING, Phase.ABORTED) else 0

    @property
    def unset(self) -> bool:
        """Whether a share was begun to be set and nobody wrote down that it is in force."""
        return self.percent != self.wanted

    def as_json(self) -> dict[str, Any]:
        """The form that is kept."""
        return {"version": VERSION, **asdict(self)}

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> Rollout:
        """The inverse of `as_json`."""
        if kept.get("version") != VERSION:
            raise ValueError(f"version {kept.get('version')!r} of a rollout's state is not known to this release")
        values = {name: value for name, value in kept.items() if name != "version"}
        values["rules"] = Rules(**{**kept["rules"], "steps": tuple(kept["rules"]["steps"])})
        values["steps"] = tuple(Step(**step) for step in kept.get("steps", ()))
        values["raised"] = tuple(Raised(**one) for one in kept.get("raised", ()))
        values["notes"] = tuple(Note(**one) for one in kept.get("notes", ()))
        return cls(**{**values, "kind": Kind(kept["kind"]), "phase": Phase(kept["phase"])})

    def wanting(self, percent: int) -> Rollout:
        """Before a share is set."""
        return replace(self, wanted=percent)

    def standing(self, now: datetime) -> Rollout:
        """After it was set: it stands from now on."""
        at = text(now)
        steps = (*self.steps[:-1], replace(self.steps[-1], until=at)) if self.steps else ()
        step = Step(percent=self.wanted, since=at)
        return replace(self, percent=self.wanted, since=at, steps=(*steps, step))

    def looked(self, verdict: str, why: str, seen: Mapping[str, Any]) -> Rollout:
        """After the gates were asked."""
        if not self.steps:
            return self
        last = self.steps[-1]
        step = replace(last, verdict=verdict, why=why, seen=seen, looks=last.looks + 1)
        return replace(self, steps=(*self.steps[:-1], step))

    def turned(self, phase: Phase, why: str, by: str) -> Rollout:
        """In another phase."""
        return replace(self, phase=phase, why=why, by=by)

    def noted(self, now: datetime, who: str, what: str) -> Rollout:
        """With a note, of which the last are kept."""
        return replace(self, notes=(*self.notes, Note(at=text(now), who=who, what=what))[-NOTES:])

    @property
    def walked(self) -> bool:
        """Whether its last walk has not said that it ended."""
        walks = [one.what for one in self.notes if one.what.startswith((WALKS, WALK_OVER))]
        return bool(walks) and walks[-1].startswith(WALKS)

    def over(self, phase: Phase, now: datetime, percent: int) -> Rollout:
        """At its end."""
        at = text(now)
        steps = (*self.steps[:-1], replace(self.steps[-1], until=at)) if self.steps else ()
        promoted = at if phase is Phase.PROMOTED else self.promoted
        return replace(self, phase=phase, ended=at, percent=percent, wanted=percent, steps=steps, promoted=promoted)


def text(moment: datetime) -> str:
    """A time as it is kept."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(kept: str) -> datetime:
    """A time that was kept."""
    return datetime.fromisoformat(kept)


def identity(target: str, now: datetime) -> str:
    """The id of a rollout: ids of one target sort by time."""
    return f"{target}-{now.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def shown(seconds: float) -> str:
    """A duration in words: `1d 2h`, `3m 20s`."""
    left = int(timedelta(seconds=max(0.0, seconds)).total_seconds())
    parts = []
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts[:2]) or "0s"
