"""Header blocks: decoding with a table that is the peer's to fill, and encoding without one.

A client repeats itself: a block that leaves the table as it is means the same until the table changes, so that its
decoded form is kept. What is written never uses a table, so that constant headers are bytes made once. Owns the
table and the limits; what headers may say is heads.py's. The static table and Huffman's code are the hpack library's.
Source: RFC 7541.
"""

from collections.abc import Iterable
from typing import Final

from hpack.exceptions import HPACKDecodingError
from hpack.huffman_table import decode_huffman
from hpack.table import HeaderTable

from local_cloud.server.http2.frames import COMPRESSION_ERROR, DEFAULT_TABLE_SIZE, ConnectionFault
from local_cloud.server.http2.heads import Head

#: What one entry counts beside its bytes (RFC 7541, section 4.1).
ENTRY_OVERHEAD: Final = 32
#: Blocks and Huffman strings that are remembered, and the longest that are.
REMEMBERED, LONGEST = 512, 2048

STATIC: Final[tuple[tuple[bytes, bytes], ...]] = (HeaderTable.STATIC_TABLE[0], *HeaderTable.STATIC_TABLE)
STATIC_SIZE: Final = len(STATIC)

#: An update of the table's size to nothing, at a block's head: a peer that has made its table smaller must hear it.
NO_TABLE: Final = b"\x20"


class Decoder:
    """One connection's table of headers that the peer has sent."""

    def __init__(self, longest_list: int) -> None:
        self._longest = longest_list
        self._entries: list[tuple[bytes, bytes]] = []  # the newest last
        self._size = 0
        self._limit = DEFAULT_TABLE_SIZE
        self._known: dict[bytes, Head] = {}
        self._huffman: dict[bytes, bytes] = {}

    def decode(self, block: bytes) -> Head:
        """What a block says; a ConnectionFault where it says nothing that can be understood."""
        known = self._known.get(block)
        if known is not None:
            return known
        try:
            fields, changed, size = self._fields(block)
        except IndexError:
            raise ConnectionFault(COMPRESSION_ERROR, "a header block ends early") from None
        except HPACKDecodingError:
            raise ConnectionFault(COMPRESSION_ERROR, "a header block has an invalid Huffman code") from None
        head = Head(fields, too_long=size > self._longest)
        if changed or len(self._known) >= REMEMBERED:
            self._known.clear()
        if not changed and len(block) <= LONGEST:
            self._known[block] = head
        return head

    def _fields(self, block: bytes) -> tuple[list[tuple[bytes, bytes]], bool, int]:
        fields: list[tuple[bytes, bytes]] = []
        changed = False
        at, end, size = 0, len(block), 0
        while at < end:
            first = block[at]
            if first & 0x80:
                index, at = (first & 0x7F, at + 1) if first != 0xFF else _integer(block, at, 0x7F)
                field = self._entry(index)
            elif first & 0xE0 == 0x20:
                limit, at = _integer(block, at, 0x1F)
                if fields or limit > DEFAULT_TABLE_SIZE:
                    raise ConnectionFault(COMPRESSION_ERROR, "an update of the header table's size is not allowed")
                self._limit, changed = limit, True
                self._evict()
                continue
            else:
                kept = first & 0x40
                index, at = _integer(block, at, 0x3F if kept else 0x0F)
                if index:
                    name = self._entry(index)[0]
                else:
                    name, at = self._string(block, at)
                value, at = self._string(block, at)
                field = (name, value)
                if kept:
                    self._entries.append(field)
                    self._size += len(name) + len(value) + ENTRY_OVERHEAD
                    self._evict()
                    changed = True
            size += len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
            if size <= self._longest:  # beyond that only the table is kept right
                fields.append(field)
        return fields, changed, size

    def _entry(self, index: int) -> tuple[bytes, bytes]:
        if 0 < index < STATIC_SIZE:
            return STATIC[index]
        place = index - STATIC_SIZE
        if not 0 <= place < len(self._entries):
            raise ConnectionFault(COMPRESSION_ERROR, f"the header table has no entry {index}")
        return self._entries[-1 - place]

    def _evict(self) -> None:
        gone = 0
        while self._size > self._limit:
            name, value = self._entries[gone]
            self._size -= len(name) + len(value) + ENTRY_OVERHEAD
            gone += 1
        del self._entries[:gone]

    def _string(self, block: bytes, at: int) -> tuple[bytes, int]:
        coded = block[at] & 0x80
        length, at = _integer(block, at, 0x7F)
        end = at + length
        if end > len(block):
            raise IndexError
        text = block[at:end]
        if not coded:
            return text, end
        plain = self._huffman.get(text)
        if plain is None:
            plain = decode_huffman(text)
            if len(self._huffman) >= REMEMBERED:
                self._huffman.clear()
            if length <= LONGEST:
                self._huffman[text] = plain
        return plain, end


def _integer(block: bytes, at: int, mask: int) -> tuple[int, int]:
    """A number and where it ends; one of more than 31 bits is an error."""
    value = block[at] & mask
    at += 1
    if value < mask:
        return value, at
    shift = 0
    while True:
        byte = block[at]
        at += 1
        value += (byte & 0x7F) << shift
        shift += 7
        if value >= 2**31 or shift > 35:
            raise ConnectionFault(COMPRESSION_ERROR, "a number in a header block is too large")
        if byte < 0x80:
            return value, at


def encode(fields: Iterable[tuple[str, bytes]]) -> bytes:
    """Fields as literals that enter no table. `:status` is the only pseudo-header that a server sends."""
    return b"".join(b"\x00%b%b%b%b" % (_length(name), name.encode(), _length(value), value) for name, value in fields)


def _length(text: bytes | str) -> bytes:
    size = len(text)
    if size < 0x7F:
        return bytes((size,))
    size -= 0x7F
    made = bytearray((0x7F,))
    while size > 0x7F:
        made.append(size & 0x7F | 0x80)
        size >>= 7
    made.append(size)
    return bytes(made)
