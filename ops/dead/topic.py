"""Pub/Sub's dead-letter subscription: what is in it, held while it is looked at and given back at once after that.

Nothing is acknowledged but what a door has recorded. What an event or a letter of ours stands for is known there; what
nobody knows was put there by somebody else. The caller needs roles/pubsub.subscriber on the subscription.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import spec
from ops.dead.doors import DeadDoors
from ops.dead.things import LETTER, MESSAGE, Thing
from ops.place import Place

#: The topic whose dead letters these are.
TOPIC = "paynow-events"
#: Messages of one pull, and that are looked at in all.
PAGE, MOST = 100, 1000
#: Seconds for which a message is held, and after which that is said again.
HELD, AGAIN = 60, 20.0
#: Messages of one question at the door, and characters of their data: a door reads a megabyte.
ASKED, LONGEST = 50, 600_000


@dataclass(frozen=True, kw_only=True)
class Held:
    """A message in hand."""

    ack_id: str
    message: dict[str, Any]
    #: What stands for it: `kind`, `id`, and whether that still waits for somebody (`open`).
    known: dict[str, Any] | None = None

    @property
    def id(self) -> str:
        """Pub/Sub's."""
        return str(self.message["messageId"])

    def thing(self) -> Thing:
        """As the table shows it."""
        data = base64.b64decode(self.message.get("data") or "")
        start = data[:60].decode("utf-8", "replace")
        text = "".join(one if one.isprintable() else "\ufffd" for one in start)
        standing = f"of {self.known['kind']}" if self.known else "only in Pub/Sub"
        about = f"{self.known['id']}: " if self.known else ""
        return Thing(
            kind=LETTER, id=MESSAGE + self.id, since=str(self.message["publishTime"]).replace("Z", "+00:00"),
            code="", why=f"{about}{len(data)} bytes: {text}", flow="paynow", standing=standing,
            hopeful=self.known is None, raw=self.message,
        )  # fmt: skip


@dataclass
class Hand:
    """The messages that are held."""

    here: Place
    path: str
    held: dict[str, Held] = field(default_factory=dict)
    #: There may be more than were looked at.
    more: bool = False
    _said: float = field(default_factory=time.monotonic)

    def pull(self) -> None:
        """Take what there is; an answer may be empty and still not be the last."""
        empty = 0
        while empty < 2 and len(self.held) < MOST:
            wish = {"maxMessages": PAGE, "returnImmediately": True}
            found = self.here.call("pubsub", "POST", f"{self.path}:pull", wish).get("receivedMessages", [])
            empty = 0 if found else empty + 1
            self.held |= {
                one["message"]["messageId"]: Held(ack_id=one["ackId"], message=one["message"]) for one in found
            }
            self._hold([one["ackId"] for one in found], HELD)
        self.more = len(self.held) >= MOST

    def keep(self) -> None:
        """Hold on to them for longer, where that is due."""
        if time.monotonic() - self._said > AGAIN:
            self._hold([one.ack_id for one in self.held.values()], HELD)
            self._said = time.monotonic()

    def ack(self, *ids: str) -> None:
        """Take messages out for good: what a door has recorded."""
        gone = [id_ for id_ in ids if id_ in self.held]
        if gone:
            acks = [self.held[id_].ack_id for id_ in gone]
            self.here.call("pubsub", "POST", f"{self.path}:acknowledge", {"ackIds": acks})
        for id_ in gone:
            del self.held[id_]

    def release(self) -> None:
        """Give back what is still held."""
        self._hold([one.ack_id for one in self.held.values()], 0)
        self.held = {}

    def _hold(self, acks: list[str], for_seconds: int) -> None:
        for first in range(0, len(acks), PAGE):
            wish = {"ackIds": acks[first : first + PAGE], "ackDeadlineSeconds": for_seconds}
            self.here.call("pubsub", "POST", f"{self.path}:modifyAckDeadline", wish)


@contextmanager
def holding(here: Place, doors: DeadDoors) -> Iterator[Hand]:
    """All messages of the subscription in hand, with what is known of each; given back in the end."""
    dead = spec.names.subscription(spec.names.dead_letter_topic(TOPIC))
    hand = Hand(here, f"projects/{here.project}/subscriptions/{dead}")
    try:
        hand.pull()
        known = _known(doors, list(hand.held.values()))
        for id_, held in hand.held.items():
            hand.held[id_] = Held(ack_id=held.ack_id, message=held.message, known=known.get(id_))
        yield hand
    finally:
        hand.release()


def whole(message: dict[str, Any]) -> dict[str, Any]:
    """A message as a door takes it."""
    return {name: message[name] for name in ("messageId", "data", "attributes", "orderingKey") if name in message}


def _known(doors: DeadDoors, held: list[Held]) -> dict[str, Any]:
    """Ask what stands for each; one that is longer than any message of ours is a stranger's."""
    found: dict[str, Any] = {}
    asked: list[dict[str, Any]] = []
    size = 0
    for message in (one.message for one in held):
        length = len(message.get("data") or "")
        if length > LONGEST:
            continue
        if asked and (len(asked) == ASKED or size + length > LONGEST):
            found |= doors.known(asked)
            asked, size = [], 0
        asked.append(whole(message))
        size += length
    return found | (doors.known(asked) if asked else {})
