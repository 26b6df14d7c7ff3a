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
from local_cloud.pubsub.turns import in_turns

if TYPE_CHECKING:
    from local_cloud.pubsub.holders import Holder
    from local_cloud.pubsub.log import Log

_MASK = PIECE - 1
#: The bits of a whole piece.
FULL = (1 << PIECE) - 1


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

    def there(self) -> int:
        """A bit for every message that there is, the first one lowest."""
        if self.alive == PIECE:
            return FULL
        return int("".join("1" if place else "0" for place in reversed(self.places)), 2)

    def hold(self, bits: int) -> None:
        """One holder more for these."""
        if bits == FULL:
            self.holders = array("I", [count + 1 for count in self.holders])
            return
        for at in _ones(bits):
            self.holders[at] += 1

    def idle(self) -> Iterator[int]:
        """Which messages nobody holds."""
        if self.alive < PIECE or 0 in self.holders:
            yield from [at for at in range(PIECE) if self.places[at] and not self.holders[at]]


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

    def hold_all(self, marks: Marks, instead: Marks | None = None) -> tuple[int, int]:
        """One holder more for every message that is not marked, one less for those that only `instead` does not mark.

        Gives how many the first are, and their bytes. What is let go of is so a few pieces at a time, in later turns of
        the loop where there is much of it: until then it is kept.
        """
        count = size = 0
        gone: list[tuple[int, int]] = []
        for index, piece in self._pieces.items():
            there = piece.there()
            now = there & ~marks.done(index)
            before = there & ~instead.done(index) if instead is not None else 0
            piece.hold(now & ~before)
            if before & ~now:
                gone.append((index, before & ~now))
            count += now.bit_count()
            size += sum(piece.sizes) if now == FULL else sum(piece.sizes[at] for at in _ones(now))
        in_turns(self._let_go(gone))
        return count, size

    def let_go_all(self, marks: Marks) -> None:
        """One holder less for every message that is not marked, as hold_all() lets go."""
        gone = [(index, piece.there() & ~marks.done(index)) for index, piece in self._pieces.items()]
        in_turns(self._let_go(gone))

    def _let_go(self, gone: list[tuple[int, int]]) -> Iterator[None]:
        for index, bits in gone:
            for at in _ones(bits):
                self.held(index << SHIFT | at, -1)
            yield

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
        if not self.keeps:
            first, self._swept = self._swept >> SHIFT, self.end
            for index, piece in list(self._pieces.items()):
                for at in piece.idle() if index >= first else ():
                    self._forget(piece, index, at)
            return None
        for entry in self.entries(self._swept, self.end):
            if entry.time + self.keeps > now:
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
        in_turns(self._forget_all(list(self._pieces.items())))

    def _forget_all(self, pieces: list[tuple[int, _Piece]]) -> Iterator[None]:
        for index, piece in pieces:
            for at in _ones(piece.there()):
                self._forget(piece, index, at)
            yield

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


def _ones(bits: int) -> list[int]:
    """Where the bits of a piece are set."""
    return [at for at, bit in enumerate(bin(bits)[:1:-1]) if bit == "1"]
