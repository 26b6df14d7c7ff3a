"""One thing with many of the dead, at a rate: replay, put aside, take back. Each is told; what is done is done once.

What a door refuses is told and the next one is tried. Where nobody answers the work ends, and is begun again by the
same command: what was done before is no longer dead, or answers `already_...`. A message of Pub/Sub is acknowledged
after the door's answer, so a crash between the two leaves it there, and the next run finds it handled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from ops.dead.doors import DeadDoors, Refused
from ops.dead.things import BATCH, LETTER, MESSAGE, PAYMENT, REFUSED, Thing
from ops.dead.topic import Hand, whole
from ops.errors import OpsError
from ops.queues import pace

Verb = Literal["replay", "archive", "restore"]
#: What a door answers that has asked outside once more: a batch is ordered, a conversion's or a grant's message sent.
ASKED = ("sent", "pending", "asked")
#: What one of the release before answers where somebody else was quicker.
QUICKER = ("NOT_REFUSED", "NOT_FAILED")


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one."""

    kind: str
    id: str
    status: str
    reason: str = ""
    error: int | None = None

    @property
    def refused(self) -> bool:
        """Whether it was not done."""
        return self.error is not None

    def as_json(self) -> dict[str, Any]:
        """As --json shows it."""
        said = {"kind": self.kind, "id": self.id, "status": self.status}
        said |= {"reason": self.reason} if self.reason else {}
        return said | ({"error": self.error} if self.refused else {})


#: What a door answers of one that was paid by other means, and what that means.
SETTLED = ("already_recovered", "already_settled")
NEVER = "it was paid by other means: nothing is paid by this"
#: Why what has money of somebody's is never put aside, and what helps instead.
HELD = "its money stands in accumulated_funds and is not put aside: ./sluice dead replay asks the exchange once more"
OTHERWISE = "./sluice dead settle records how it was paid or given back otherwise"
KEPT = {
    PAYMENT: f"its money stands in dead_payouts and is not put aside: ./sluice dead replay pays it, {OTHERWISE}",
    **dict.fromkeys(REFUSED, f"{HELD}, {OTHERWISE}"),
}


class Work:
    """The work of one command."""

    def __init__(self, doors: DeadDoors, hand: Hand | None) -> None:
        self._doors = doors
        #: Pub/Sub's dead letters, where they could be looked at.
        self._hand = hand
        self.results: list[Result] = []
        #: Messages that were acknowledged, and why the work ended early.
        self.acknowledged: list[str] = []
        self.ended: OpsError | None = None

    def each(
        self, verb: Verb, things: Iterable[Thing], why: str, *, rate: float, told: Callable[[Result], None]
    ) -> None:
        """Do it with each."""
        for number, thing in enumerate(things):
            if number:
                pace.pause(1 / rate)
            try:
                result = self._one(verb, thing, why)
            except OpsError as error:
                self.ended = error
                return
            self.results.append(result)
            told(result)

    def tidy(self) -> None:
        """Acknowledge the messages that a row stands for which waits for nobody, or which was replayed just now."""
        if self._hand is None:
            return
        done = {(result.kind, result.id) for result in self.results if not result.refused}
        gone = [
            id_
            for id_, held in self._hand.held.items()
            if held.known and (not held.known["open"] or (held.known["kind"], held.known["id"]) in done)
        ]
        self._ack(*gone)

    def _one(self, verb: Verb, thing: Thing, why: str) -> Result:
        if (reason := unfit(verb, thing)) is not None:
            return Result(kind=thing.kind, id=thing.id, status="refused", reason=reason, error=409)
        if self._hand is not None:
            self._hand.keep()
        try:
            if thing.id.startswith(MESSAGE) and thing.kind == LETTER:
                answer = self._doors.message(verb, whole(thing.raw), why)
                self._ack(str(thing.raw["messageId"]))
            elif verb == "replay":
                answer = self._doors.replay(thing, why)
            else:
                answer = self._doors.mark(thing, verb, why)
        except Refused as refused:
            if thing.kind in REFUSED and refused.code in QUICKER:
                return Result(kind=thing.kind, id=thing.id, status="already_replayed")
            if thing.kind == BATCH and refused.code == "EXCHANGE_AWAY":  # it waits for nobody any more
                return Result(kind=thing.kind, id=thing.id, status="waits", reason=refused.reason)
            return Result(kind=thing.kind, id=thing.id, status="refused", reason=refused.reason, error=refused.status)
        if thing.kind in REFUSED or (thing.is_grant and verb == "replay"):
            answer = {**answer, "status": "replayed"} if answer["status"] in ASKED else answer
        letter = f"kept as letter-{answer['letter']}" if "letter" in answer else ""
        reason = NEVER if answer["status"] in SETTLED else letter
        return Result(kind=thing.kind, id=thing.id, status=str(answer["status"]), reason=reason)

    def _ack(self, *ids: str) -> None:
        if self._hand is not None and ids:
            self._hand.ack(*ids)
            self.acknowledged += ids


def unfit(verb: Verb, thing: Thing) -> str | None:
    """Why this is never done with such a thing, and what helps instead."""
    if verb != "replay" and thing.kind in KEPT:
        return KEPT[thing.kind]
    message = thing.kind == LETTER and thing.id.startswith(MESSAGE)
    if message and thing.standing != "only in Pub/Sub":
        return f"a row stands for it ({thing.why.partition(': ')[0]}): replay or drop that"
    if message and verb == "restore":
        return "it was not put aside"
    return _unfit_letter(thing) if thing.kind == LETTER and not message and verb == "replay" else None


def _unfit_letter(thing: Thing) -> str | None:
    """Why a letter is not replayed."""
    if thing.is_grant:
        return "it was put aside: ./sluice dead drop --undo takes that back" if thing.standing == "archived" else None
    if about := thing.raw.get("unique_id"):
        return f"a letter is replayed by what it is about: ./sluice dead show {about}"
    return "no service could read it, and its tokens are struck out: look at it, then drop it with --why"


def verdict(thing: Thing) -> tuple[bool, str]:
    """Whether a replay of it may, as it was read, and why not or what is to be looked at."""
    if (reason := unfit("replay", thing)) is not None:
        return False, reason
    found = thing.raw.get("replay") if thing.kind != LETTER else None
    if found is not None:
        return bool(found["may"]), str(found["why"] or "")
    return True, ""
