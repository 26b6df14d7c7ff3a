"""Files of an image and the one way in which they become a layer.

Owns the bytes of a layer: order, names, modes, owner and times are stated here and nothing is taken from the machine
(no umask, user, clock, locale or file system). The headers are written by hand, since what Python's tarfile and gzip
write changed between its versions. Leaves which files there are to those who collect them.
Sources: POSIX pax and ustar formats, RFC 1951, RFC 1952, OCI image-spec layer.md.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

FILE, PROGRAM, FOLDER = 0o644, 0o755, 0o755
#: zlib's own default; higher ones cost three times the time for one per cent.
LEVEL = 6
#: What zlib makes of SAMPLE at LEVEL: a library that compresses otherwise gives the same files another digest.
ZLIBS_OWN = "c9da0a2fd9d2"
_BLOCK = 512
#: Longer names need a pax header.
SHORT = 100


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A file with its data, a folder, or a symbolic link by where it leads. Everything belongs to root."""

    data: bytes = b""
    mode: int = FILE
    link: str = ""
    folder: bool = False


#: Path without a leading slash -> what is there. Folders on the way need not be named.
Tree = Mapping[str, Entry]


def tar(tree: Tree, time: int) -> bytes:
    """A layer's tar: sorted, every folder before what is in it, all of one time."""
    whole = dict(tree)
    for path in tree:
        while path := path.rpartition("/")[0]:
            whole.setdefault(path, Entry(mode=FOLDER, folder=True))
    parts: list[bytes] = []
    for path in sorted(whole, key=str.encode):
        entry = whole[path]
        parts += _entry(path, entry, time)
    parts.append(bytes(2 * _BLOCK))
    return b"".join(parts)


def _entry(path: str, entry: Entry, time: int) -> Iterable[bytes]:
    """A header and its data; before it a pax header, where name or link are too long for the old one."""
    wanted = {"path": f"{path}/" if entry.folder else path, "linkpath": entry.link}
    long = {key: text for key, text in wanted.items() if len(text) > SHORT or not text.isascii()}
    if long:
        records = b"".join(_record(key, text) for key, text in sorted(long.items()))
        yield _header(b"pax", Entry(data=records), b"x", time)
        yield _padded(records)
    kind = b"5" if entry.folder else b"2" if entry.link else b"0"
    yield _header(wanted["path"].encode("ascii", "replace")[:SHORT], entry, kind, time)
    yield _padded(entry.data)


def _record(key: str, text: str) -> bytes:
    """`LENGTH key=text\\n`, where the length counts itself."""
    rest = f" {key}={text}\n".encode()
    length = len(rest)
    while length != len(str(length)) + len(rest):
        length = len(str(length)) + len(rest)
    return str(length).encode() + rest


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _BLOCK)


def _header(name: bytes, entry: Entry, kind: bytes, time: int) -> bytes:
    mode, link = 0o777 if entry.link else entry.mode, entry.link.encode("ascii", "replace")[:SHORT]
    fields = (
        name, b"%07o\0" % mode, b"%07o\0" % 0, b"%07o\0" % 0, b"%011o\0" % len(entry.data), b"%011o\0" % time,
        b" " * 8, kind, link, b"ustar\0", b"00", b"", b"", b"%07o\0" % 0, b"%07o\0" % 0, b"",
    )  # fmt: skip
    raw = struct.pack("100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12x", *fields)
    return raw[:148] + b"%06o\0 " % sum(raw) + raw[156:]


def gzipped(data: bytes) -> bytes:
    """The data as gzip, its header without name, time or system."""
    packer = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL)
    body = packer.compress(data) + packer.flush()
    head = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
    return head + body + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFF_FFFF)


def packs_as_zlib() -> bool:
    """Whether this machine's library compresses as zlib itself does; zlib-ng and Apple's do not."""
    sample = b"".join(hashlib.sha256(b"%d" % (number % 97)).digest()[: number % 29] for number in range(20_000))
    return hashlib.sha256(gzipped(sample)).hexdigest().startswith(ZLIBS_OWN)


def digest(data: bytes) -> str:
    """A blob's name."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
