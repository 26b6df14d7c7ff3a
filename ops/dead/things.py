"""One table for all kinds: what died or was refused, and which of it a command means. Pure.

A letter's id is `letter-` and its number. A letter that stands in Pub/Sub alone, since nobody of ours put it there, is
`message-` and Pub/Sub's id of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from ops.errors import BadUsage
from ops.follow import coins
from ops.output import counted
from ops.verbs.clock import seconds
from spec.errors import choose

PAYMENT, EVENT, LETTER = "payment", "event", "letter"
#: What the exchange has refused of a threshold's: a client's batch, or the conversion of one payment.
BATCH, CONVERSION = "batch", "conversion"
REFUSED = (BATCH, CONVERSION)
#: Letters of a buyer who was not let in, whom the entry can ask for again: refused, which has a cause, or given up.
TELEGRAM_REFUSED, ACCESS_NOT_GRANTED = "TELEGRAM_REFUSED", "ACCESS_NOT_GRANTED"
#: Kind -> how one may stand. `open` is what waits; a letter is `of` what stands for it.
STANDINGS: Mapping[str, tuple[str, ...]] = {
    PAYMENT: ("open", "all", "dead", "investigating", "replayed", "paid_late", "recovered"),
    EVENT: ("open", "all", "failed", "dead", "archived"),
    LETTER: ("open", "all", "archived", "of payment", "of event", "of batch", "of conversion", "of access"),
    BATCH: ("open", "all", "refused"),
    CONVERSION: ("open", "all", "refused"),
}
#: How a payment goes; `split` where it died before its way was chosen, and a letter that is of no flow.
FLOWS = ("single", "staged", "threshold", "split", "paynow", "registration")
#: What the ids of letters begin with.
NUMBERED, MESSAGE = "letter-", "message-"


@dataclass(frozen=True, kw_only=True)
class Thing:
    """Something that died."""

    kind: str
    id: str
    since: str
    code: str
    why: str
    flow: str
    standing: str
    attempts: int = 0
    units: str = ""
    currency: str = ""
    #: A replay of all takes it: it waits, and may go well as things are.
    hopeful: bool = False
    #: As it was read.
    raw: dict[str, Any] = field(default_factory=dict, compare=False)

    @property
    def is_grant(self) -> bool:
        """Whether it is the letter of a buyer who was not let in."""
        codes = (TELEGRAM_REFUSED, ACCESS_NOT_GRANTED)
        return self.kind == LETTER and self.raw.get("service") == "gcwebhook" and self.code in codes

    @property
    def amount(self) -> str:
        """In coins, where it has one."""
        return coins(self.units, self.currency) if self.units else ""

    def row(self) -> list[str]:
        """As a line of the table."""
        shown = (self.kind, self.id, self.since[:19], self.code, self.flow, self.amount)
        return [*shown, str(self.attempts or ""), self.standing, self.why]

    def as_json(self) -> dict[str, Any]:
        """As --json shows it."""
        names = ("kind", "id", "since", "code", "why", "flow", "standing", "attempts", "currency", "hopeful")
        return {**{name: getattr(self, name) for name in names}, "amount": self.units, "record": self.raw}


#: Headings of the rows.
COLUMNS = ["kind", "id", "since", "code", "flow", "amount", "attempts", "standing", "why"]


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which of them are meant."""

    kind: str = ""
    status: str = "open"
    code: str = ""
    flow: str = ""
    older_than: str = ""
    newer_than: str = ""

    def __post_init__(self) -> None:
        _known(self.kind, STANDINGS, "--kind")
        _known(self.flow, FLOWS, "--flow")
        kinds = [self.kind] if self.kind else list(STANDINGS)
        _known(self.status, dict.fromkeys(one for kind in kinds for one in STANDINGS[kind]), "--status")
        for duration in filter(None, (self.older_than, self.newer_than)):
            seconds(duration)

    @property
    def kinds(self) -> list[str]:
        """The kinds of which one may stand so."""
        return [kind for kind in STANDINGS if self.kind in ("", kind) and self.status in STANDINGS[kind]]

    @property
    def everything(self) -> bool:
        """Whether nothing is left out but what waits for nobody."""
        return self == Wanted()

    def of(self, things: Iterable[Thing], now: datetime) -> Iterator[Thing]:
        """Those of them, oldest first."""
        older = seconds(self.older_than) if self.older_than else None
        newer = seconds(self.newer_than) if self.newer_than else None
        for thing in sorted(things, key=lambda thing: (thing.since, thing.kind, thing.id)):
            age = (now - datetime.fromisoformat(thing.since)).total_seconds()
            if (self.code and thing.code != self.code) or (self.flow and thing.flow != self.flow):
                continue
            if (older is not None and age <= older) or (newer is not None and age >= newer):
                continue
            yield thing


def of_payment(death: dict[str, Any]) -> Thing:
    """A row of failed_transactions."""
    hopeless = not death["retryable"] and not death["closed_at"]
    return Thing(
        kind=PAYMENT, id=death["unique_id"], since=death["failed_at"], code=death["error_code"],
        why=death["error_message"], flow=death.get("flow") or "", attempts=death["attempt_count"],
        standing=f"{death['status']}, look first" if hopeless else death["status"], units=death["amount"],
        currency=death["currency"], hopeful=death["status"] == "dead" and death["retryable"], raw=death,
    )  # fmt: skip


def of_refused(row: dict[str, Any]) -> Thing:
    """A batch, or a conversion, as gcsplit's /refused has it."""
    waits, many = row["status"] == "refused", row["members"]
    behind = f", {row['behind']} more of the same client behind it" if row.get("behind") else ""
    wait = f"({counted(many, 'payment')} in it{behind})" if row["kind"] == BATCH and (many > 1 or behind) else ""
    why = f"{row['why']} {wait}".rstrip() if waits else row["why"]
    return Thing(
        kind=row["kind"], id=row["id"], since=row["since"], code=row["code"], why=why or "", flow="threshold",
        attempts=row["attempts"], standing=f"{row['status']}, look first" if waits and not row["retryable"] else
        row["status"], units=row["amount"], currency=row["currency"], hopeful=waits and row["retryable"], raw=row,
    )  # fmt: skip


def of_event(event: dict[str, Any]) -> Thing:
    """A row of paynow_events."""
    standing, retryable = event["status"], event.get("retryable", True)  # a release before this one does not judge it
    waits = standing in ("failed", "dead") and not event.get("archived_at")
    if waits and not retryable:
        standing = f"{standing}, look first"
    elif event.get("archived_at"):
        standing = "archived"
    return Thing(
        kind=EVENT, id=event["event_id"], since=event["received_at"], code=event["code"] or "", why=event["why"] or "",
        flow="paynow", attempts=event["attempts"], standing=standing, hopeful=waits and retryable, raw=event,
    )  # fmt: skip


def of_letter(letter: dict[str, Any]) -> Thing:
    """A row of dead_letters."""
    about = f" ({letter['unique_id']})" if letter["unique_id"] else ""
    return Thing(
        kind=LETTER, id=f"{NUMBERED}{letter['id']}", since=letter["created_at"], code=letter["code"],
        why=f"{letter['service']}{letter['endpoint']}{about}: {letter['why']}", flow=letter["flow"],
        attempts=letter["attempt_number"], standing=letter["status"], raw=letter,
        hopeful=letter["status"] == "open" and letter["code"] == ACCESS_NOT_GRANTED,
    )  # fmt: skip


def _known(value: str, known: Iterable[str], option: str) -> None:
    names = list(known)
    if value and value not in names:
        raise BadUsage(f"{option} {value[:60]!r} is none", fix=choose(value[:60], names, noun=option.lstrip("-")))
