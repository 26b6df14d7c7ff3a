"""What is in memory of a topic's messages: where each lies in the log, and how many still need it.

Owns numbers, places and the count of holders (subscriptions that have not acknowledged, snapshots) of each message, in
arrays; no message is an object, and its body stays on disk, once for all its holders. A message that nobody holds is
forgotten at once, or after the topic's `keeps` seconds where acknowledged messages are retained. Leaves alone: who
holds what (backlog.py, snapshots.py).
"""

from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from local_cloud.clock import Timer
from local_cloud.pubsub.marks import PIECE, SHIFT, Marks

if TYPE_CHECKING:
    from local_cloud.pubsub.holders import Holder
    from local_cloud.pubsub.log import Log

_MASK = PIECE - 1


class Entry(NamedTuple):
    """One message: its number, where its bytes are, when it was published, and its ordering key."""

    number: int
    place: int
    size: int
    time: float
    key: str


class _Piece:
    """The messages of one range of numbers."""

    __slots__ = ("alive", "holders", "keys", "places", "sizes", "times")

    def __init__(self) -> None:
        self.places = array("Q", bytes(8 * PIECE))
        self.sizes = array("I", bytes(4 * PIECE))
        self.times = array("d", bytes(8 * PIECE))
        self.holders = array("I", bytes(4 * PIECE))
        self.keys: list[str] | None = None
        self.alive = 0


class TopicLog:
    """The messages of one topic; a place of 0 means that there is none of that number (any more)."""

    def __init__(self, name: str, key: int, log: "Log") -> None:
        self.name = name
        #: The topic's number in the log. A topic that is made again under its name has another one.
        self.key = key
        self._log = log
        self._pieces: dict[int, _Piece] = {}
        #: The next message's number, and the first one that is not on disk yet.
        self.end = 0
        self.visible = 0
        #: For how many seconds messages are kept that nobody holds.
        self.keeps = 0.0
        self._swept = 0
        self.holders: dict[int, Holder] = {}
        #: When to look for messages that were kept long enough.
        self.timer: Timer | None = None
        #: The last message's time: times never go back in a topic.
        self.latest = 0.0

    def add(self, entry: Entry, holders: int) -> None:
        """Takes a message up; numbers rise."""
        number, place, size, when, key = entry
        index, at = number >> SHIFT, number & _MASK
        piece = self._pieces.get(index)
        if piece is None:
            piece = self._pieces[index] = _Piece()
        piece.places[at] = place
        piece.sizes[at] = size
        piece.times[at] = when
        piece.holders[at] = holders
        if key:
            if piece.keys is None:
                piece.keys = [""] * PIECE
            piece.keys[at] = key
        piece.alive += 1
        self.end = max(self.end, number + 1)
        self.latest = max(self.latest, when)
        self._log.keep(place, size)
        if not holders and not self.keeps:
            self._forget(piece, index, at)

    def get(self, number: int) -> Entry | None:
        """A message, None when there is none of that number."""
        piece = self._pieces.get(number >> SHIFT)
        at = number & _MASK
        if piece is None or not piece.places[at]:
            return None
        key = piece.keys[at] if piece.keys else ""
        return Entry(number, piece.places[at], piece.sizes[at], piece.times[at], key)

    def size(self, number: int) -> int:
        """How many bytes a message has, 0 when there is none of that number."""
        piece = self._pieces.get(number >> SHIFT)
        return piece.sizes[number & _MASK] if piece is not None and piece.places[number & _MASK] else 0

    def key_of(self, number: int) -> str:
        """A message's ordering key."""
        piece = self._pieces.get(number >> SHIFT)
        return piece.keys[number & _MASK] if piece is not None and piece.keys else ""

    def next(self, number: int, end: int) -> int:
        """The first message from a number on; `end` when there is none before it."""
        while number < end:
            piece = self._pieces.get(number >> SHIFT)
            if piece is None:
                number = self._next_piece(number >> SHIFT) << SHIFT
            elif piece.places[number & _MASK]:
                return number
            else:
                number += 1
        return end

    def since(self, when: float) -> int:
        """The first message that was published at a time or later; `end` when there is none."""
        for index, piece in self._pieces.items():
            if max(piece.times) >= when:
                for entry in self.entries(index << SHIFT, min(index + 1 << SHIFT, self.end)):
                    if entry.time >= when:
                        return entry.number
        return self.end

    def entries(self, start: int, end: int) -> Iterator[Entry]:
        """The messages of a range."""
        number = self.next(start, end)
        while number < end:
            entry = self.get(number)
            assert entry is not None
            yield entry
            number = self.next(number + 1, end)

    def held(self, number: int, change: int) -> None:
        """One holder more, or one less: with the last one the message goes, unless the topic keeps it."""
        index, at = number >> SHIFT, number & _MASK
        piece = self._pieces.get(index)
        if piece is None or not piece.places[at]:
            return
        piece.holders[at] += change
        if not piece.holders[at] and (not self.keeps or number < self._swept):
            self._forget(piece, index, at)

    def place(self, number: int) -> int:
        """Where a message's bytes are, 0 when there is none of that number."""
        piece = self._pieces.get(number >> SHIFT)
        return piece.places[number & _MASK] if piece is not None else 0

    def hold_all(self, marks: Marks) -> tuple[int, int]:
        """One holder more for every message that is not marked; how many those are, and their bytes."""
        count = size = 0
        for index, piece in self._pieces.items():
            first = max(0, marks.floor - (index << SHIFT))
            bits = marks.piece(index) >> first if first < PIECE else 0
            for at in range(first, PIECE):
                if piece.places[at] and not bits & 1:
                    piece.holders[at] += 1
                    count += 1
                    size += piece.sizes[at]
                bits >>= 1
        return count, size

    def moved(self, number: int, place: int) -> None:
        """A message's bytes lie elsewhere now."""
        piece = self._pieces.get(number >> SHIFT)
        at = number & _MASK
        if piece is not None and piece.places[at]:
            self._log.free(piece.places[at], piece.sizes[at])
            self._log.keep(place, piece.sizes[at])
            piece.places[at] = place

    def sweep(self, now: float) -> float | None:
        """Forgets what was only kept, and no longer is; gives when there is more to forget."""
        for entry in self.entries(self._swept, self.end):
            if self.keeps and entry.time + self.keeps > now:
                return entry.time + self.keeps
            index, at = entry.number >> SHIFT, entry.number & _MASK
            if not self._pieces[index].holders[at]:
                self._forget(self._pieces[index], index, at)
            self._swept = entry.number + 1
        return None

    def keep(self, seconds: float) -> None:
        """Messages that nobody holds are kept for so long; sweep() then sees to those that no longer are."""
        if seconds < self.keeps:
            self._swept = 0
        self.keeps = seconds

    def close(self) -> None:
        """Forgets everything."""
        for entry in list(self.entries(0, self.end)):
            index, at = entry.number >> SHIFT, entry.number & _MASK
            self._forget(self._pieces[index], index, at)

    def _forget(self, piece: _Piece, index: int, at: int) -> None:
        self._log.free(piece.places[at], piece.sizes[at])
        piece.places[at] = 0
        piece.alive -= 1
        if not piece.alive and (index + 1) << SHIFT <= self.end:
            del self._pieces[index]

    def _next_piece(self, index: int) -> int:
        """The next range that has messages."""
        last = self.end >> SHIFT
        if last - index > len(self._pieces):
            return min((other for other in self._pieces if other > index), default=last + 1)
        index += 1
        while index <= last and index not in self._pieces:
            index += 1
        return index
