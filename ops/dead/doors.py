"""What died, at the services' operator doors: read page by page, found by its id, and changed.

Who is at the keyboard is said with each change, and written into operator_actions beside the verified account.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote, urlencode

from ops import older, rest
from ops.dead.access import ASKED_FOR
from ops.dead.things import (
    BATCH,
    CONVERSION,
    EVENT,
    LETTER,
    NUMBERED,
    PAYMENT,
    REFUSED,
    Thing,
    Wanted,
    of_event,
    of_letter,
    of_payment,
    of_refused,
)
from ops.errors import BadUsage, CallFailed
from ops.place import Place

#: The service that records the deaths of payments and lists all letters; PayNow's entry, whose events they are; the
#: service that shows a payment's whole way.
KEEPER, ENTRY, VIEW = "gcsplit", "paynowwebhook", "gcwebhook"
#: Who asks the exchange again for what it refused, and where.
ASKS = {BATCH: ("gcbatchprocessor", "/batches/{}/retry"), CONVERSION: ("gcsplit2", "/conversions/{}/retry")}
#: Where what nobody is paid for yet is settled.
SETTLES = {BATCH: "/batches/{}/settle", CONVERSION: "/conversions/{}/settle"}
#: What is said of a second refusal whose words are not in the answer.
AGAIN = "the exchange has refused it again; dead show has its words"
#: Characters of an id in a URL: what is longer is no id of ours, and no server reads it.
LONGEST = 8_000
#: Actions that are read at most where a number is asked for.
MOST = 100_000


class Refused(Exception):
    """A door would not do it: what it answered."""

    def __init__(self, status: int, code: str, reason: str) -> None:
        super().__init__(reason)
        self.status, self.code, self.reason = status, code, reason


class DeadDoors:
    """The doors of one stack."""

    def __init__(self, here: Place) -> None:
        self._here = here
        #: What could not be looked at, since a service's release is older than this command.
        self.unlooked: list[str] = []

    def listed(self, wanted: Wanted) -> Iterator[Thing]:
        """What the tables have of these kinds, in this standing."""
        read: dict[str, Callable[[str], Iterator[Thing]]] = {
            PAYMENT: self._payments,
            EVENT: self._events,
            LETTER: self._letters,
        }
        for kind in wanted.kinds:
            if kind in read:
                yield from read[kind](wanted.status)
        if refused := [kind for kind in wanted.kinds if kind in REFUSED]:
            yield from (thing for thing in self._refused(wanted.status) if thing.kind in refused)

    def get(self, kind: str, id_: str) -> dict[str, Any] | None:
        """Everything about one; nothing where there is none."""
        if len(_path(id_)) > LONGEST:
            return None
        number = id_.removeprefix(NUMBERED)
        at = {
            PAYMENT: (KEEPER, f"/dead/{_path(id_)}"),
            EVENT: (ENTRY, f"/events/{_path(id_)}"),
            LETTER: (KEEPER, f"/dead-letters/{_path(number)}"),
            **dict.fromkeys(REFUSED, (KEEPER, f"/refused/{_path(id_)}")),
        }
        try:
            return dict(self._here.doors.call("GET", *at[kind]))
        except CallFailed as error:
            if error.status in (404, 414):
                return None
            raise

    def way(self, payment: str) -> dict[str, Any] | None:
        """A payment's rows in every table."""
        try:
            return dict(self._here.doors.call("GET", VIEW, f"/payments/{_path(payment)}"))
        except CallFailed as error:
            if error.status == 404:
                return None
            raise

    def find(self, id_: str, kind: str = "") -> Thing | None:
        """What this id names, of this kind where one is said."""
        letter = id_.startswith(NUMBERED) and id_.removeprefix(NUMBERED).isdigit()
        others = (PAYMENT, BATCH, EVENT)  # a conversion is found as a batch is
        for one in (kind,) if kind else (LETTER, *others) if letter else others:
            if (found := self.get(one, id_)) is not None and (thing := _thing(one, found)).kind == (kind or thing.kind):
                return thing
        return None

    def replay(self, thing: Thing, why: str) -> dict[str, Any]:
        """Pay one after all, or publish it anew."""
        if thing.kind == PAYMENT:
            return self._change(KEEPER, f"/dead/{_path(thing.id)}/replay", why)
        if thing.is_grant:
            return self._change(VIEW, f"/payments/{_path(thing.raw['unique_id'])}/grant", why)
        if thing.kind in REFUSED:
            service, path = ASKS[thing.kind]
            answer = self._change(service, path.format(_path(thing.id)), why)
            if answer["status"] == "refused":  # so says a release before this one
                raise Refused(409, "REFUSED", AGAIN)
            return answer
        return self._change(ENTRY, f"/dead/{_path(thing.id)}/replay", why)

    def mark(self, thing: Thing, verb: str, why: str) -> dict[str, Any]:
        """Archive or restore one."""
        if thing.kind == EVENT:
            return self._change(ENTRY, f"/dead/{_path(thing.id)}/{verb}", why)
        return self._change(KEEPER, f"/dead-letters/{thing.raw['id']}/{verb}", why)

    def message(self, verb: str, message: dict[str, Any], why: str) -> dict[str, Any]:
        """Replay or archive what stands in Pub/Sub alone."""
        return self._change(ENTRY, f"/dead-messages/{verb}", why, {"message": message})

    def known(self, messages: list[dict[str, Any]]) -> dict[str, Any]:
        """What stands for each of some messages."""
        return dict(self._here.doors.call("POST", ENTRY, "/dead-messages/known", {"messages": messages})["known"])

    def change(self, payment: str, what: str, body: dict[str, str]) -> dict[str, Any]:
        """Mark or settle a payment."""
        return self._change(KEEPER, f"/failed-transactions/{_path(payment)}/{what}", "", dict(body))

    def settle(self, thing: Thing, body: dict[str, str]) -> dict[str, Any]:
        """Record that a payment, what waits in a batch, or what was not converted was paid by other means."""
        if thing.kind in SETTLES:
            return self._change(ASKS[BATCH][0], SETTLES[thing.kind].format(_path(thing.id)), "", dict(body))
        return self.change(thing.id, "recovered", body)

    def settlement(self, thing: Thing) -> str:
        """How it was settled, as it was said then."""
        found = self.history(thing.id, MOST)
        return next((str(one["why"] or "") for one in found if one["verb"] == "settle"), "")

    def asked(self, thing: Thing, limit: int) -> list[dict[str, Any]]:
        """What operators did for the buyer of a letter: a replay of it is written down with his payment."""
        about = thing.raw.get("unique_id") if thing.is_grant else None
        return [one for one in self.history(about, limit) if one["after"] == ASKED_FOR] if about else []

    def history(self, subject: str, limit: int) -> list[dict[str, Any]]:
        """What operators did, the newest first."""
        found: list[dict[str, Any]] = []
        query = {"subject": subject} if subject else {}
        while len(found) < min(limit, MOST):
            page = self._here.doors.call("GET", KEEPER, f"/operator-actions?{urlencode(query)}")
            found += [dict(one) for one in page["actions"]]
            if page["next"] is None:
                break
            query["before"] = str(page["next"])
        return found[:limit]

    def _change(self, service: str, path: str, why: str, more: dict[str, Any] | None = None) -> dict[str, Any]:
        body = {"by": self._here.who[:200], **({"why": why} if why else {}), **(more or {})}
        try:
            return dict(self._here.doors.call("POST", service, path, body))
        except CallFailed as error:
            reason = older.no_door(service, error) or rest.reason(error.body)
            raise Refused(error.status, older.code(error.body), reason) from error

    def _payments(self, status: str) -> Iterator[Thing]:
        for row in self._pages(KEEPER, "/failed-transactions", "failed_transactions", "after", status):
            yield of_payment(row)

    def _events(self, status: str) -> Iterator[Thing]:
        for row in self._pages(ENTRY, "/dead", "dead", "after", status):
            yield of_event(row)

    def _refused(self, status: str) -> Iterator[Thing]:
        try:
            for row in self._pages(KEEPER, "/refused", "refused", "after", status):
                yield of_refused(row)
        except CallFailed as error:
            if (why := older.no_door(KEEPER, error)) is None:
                raise
            self.unlooked.append(f"batches and conversions that the exchange refused: {why}")

    def _letters(self, status: str) -> Iterator[Thing]:
        for row in self._pages(KEEPER, "/dead-letters", "dead_letters", "before", status):
            yield of_letter(row)

    def _pages(self, service: str, path: str, rows: str, cursor: str, status: str) -> Iterator[dict[str, Any]]:
        query: dict[str, str] = {"status": status}
        while True:
            try:
                page = self._here.doors.call("GET", service, f"{path}?{urlencode(query)}")
            except CallFailed as error:
                if error.status == 400:
                    raise BadUsage(rest.reason(error.body)) from error
                raise
            yield from page[rows]
            if page.get("next") is None:
                return
            query[cursor] = str(page["next"])


def _thing(kind: str, found: dict[str, Any]) -> Thing:
    if kind == PAYMENT:
        return of_payment({**found["deaths"][-1], "replay": found["replay"]})
    if kind in REFUSED:
        return of_refused(found)
    return of_event(found) if kind == EVENT else of_letter(found)


def _path(id_: str) -> str:
    return quote(id_, safe="")
