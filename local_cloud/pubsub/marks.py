"""Which messages of a topic somebody is done with: a floor, and one bit a message above it.

A message has a number in its topic, counted up. Below the floor all are done with; above, those whose bit is set.
Costs an eighth of a byte a message between the oldest one open and the newest done with, and nothing else.
"""

#: Bits are kept in pieces of so many.
SHIFT = 9
PIECE = 1 << SHIFT
_MASK = PIECE - 1
_FULL = b"\xff" * (PIECE >> 3)


class Marks:
    """The marks of one subscription or snapshot."""

    __slots__ = ("_pieces", "floor")

    def __init__(self, floor: int = 0) -> None:
        #: All before this number are marked.
        self.floor = floor
        self._pieces: dict[int, bytearray] = {}

    def __contains__(self, number: int) -> bool:
        if number < self.floor:
            return True
        piece = self._pieces.get(number >> SHIFT)
        return piece is not None and bool(piece[(number & _MASK) >> 3] & 1 << (number & 7))

    def add(self, number: int) -> bool:
        """Marks a message; False when it was."""
        if number in self:
            return False
        if number == self.floor:
            self._step()
            self._settle()
            return True
        piece = self._pieces.get(number >> SHIFT)
        if piece is None:
            piece = self._pieces[number >> SHIFT] = bytearray(PIECE >> 3)
        piece[(number & _MASK) >> 3] |= 1 << (number & 7)
        return True

    def done(self, index: int) -> int:
        """The bits of one piece, the first message's lowest."""
        piece = self._pieces.get(index)
        bits = int.from_bytes(piece, "little") if piece is not None else 0
        return bits | (1 << min(max(self.floor - (index << SHIFT), 0), PIECE)) - 1

    def discard(self, number: int) -> None:
        """Takes a mark back, above the floor."""
        piece = self._pieces.get(number >> SHIFT)
        if piece is not None and number >= self.floor:
            piece[(number & _MASK) >> 3] &= ~(1 << (number & 7))

    def raise_floor(self, floor: int) -> None:
        """Marks all before a number."""
        if floor > self.floor:
            for index in [index for index in self._pieces if index < floor >> SHIFT]:
                del self._pieces[index]
            self.floor = floor
            self._settle()

    def copy(self) -> "Marks":
        """Marks of one's own."""
        made = Marks(self.floor)
        made._pieces = {index: bytearray(piece) for index, piece in self._pieces.items()}
        return made

    def dump(self) -> bytes:
        """For the log."""
        pieces = b"".join(index.to_bytes(8, "little") + piece for index, piece in self._pieces.items())
        return self.floor.to_bytes(8, "little") + pieces

    @classmethod
    def load(cls, data: bytes | memoryview) -> "Marks":
        """What dump() gave."""
        made = cls(int.from_bytes(data[:8], "little"))
        step = 8 + (PIECE >> 3)
        for at in range(8, len(data), step):
            made._pieces[int.from_bytes(data[at : at + 8], "little")] = bytearray(data[at + 8 : at + step])
        return made

    def _step(self) -> None:
        self.floor += 1
        if not self.floor & _MASK:
            self._pieces.pop((self.floor >> SHIFT) - 1, None)

    def _settle(self) -> None:
        """Moves the floor over what is marked."""
        while (piece := self._pieces.get(self.floor >> SHIFT)) is not None:
            if not self.floor & _MASK and piece == _FULL:
                del self._pieces[self.floor >> SHIFT]
                self.floor += PIECE
            elif piece[(self.floor & _MASK) >> 3] & 1 << (self.floor & 7):
                self._step()
            else:
                return
