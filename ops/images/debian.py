"""The base of the image: Debian's packages unpacked, without running anything of theirs, and little more than Python.

Owns which packages (service_code/base.lock names each by version and SHA-256), what of them stays, and what their own
scripts would have made: the bundle of authorities, the users, the list of what is installed. No shell, no package
manager, no documents but the licences. Leaves fetching to archives.py.
Sources: deb(5), ar(5), https://github.com/GoogleContainerTools/distroless (the same way, and var/lib/dpkg/status.d,
by which scanners find Debian's packages where there is no dpkg).
"""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ops.errors import OpsError
from ops.images.tree import FILE, FOLDER, PROGRAM, Entry

LOCK = "service_code/base.lock"
PYTHON = "usr/lib/python3.11"
STATUS = "var/lib/dpkg/status.d"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
_DATE = re.compile(r"date (\d{8}T\d{6}Z)")
#: Folders that Debian 12 has under /usr alone.
MERGED = ("bin", "sbin", "lib", "lib64")
#: Of these packages only some paths are wanted.
ONLY = {
    "base-files": r"etc/(os-release|debian_version)|usr/lib/os-release|usr/share/(common-licenses/.+|doc/.+)",
    "ca-certificates": r"usr/share/(ca-certificates/.+|doc/.+)",
}
#: What services have no use for: other languages' documents, other character sets, what serves tests or a terminal.
DROPPED = re.compile(
    r"usr/share/(?!doc/|common-licenses/|ca-certificates/).+"
    r"|usr/share/doc/(?!.+/copyright$).+"
    rf"|usr/(bin/(?!python3\.11$)|sbin/).+|etc/python3\.11/.+|{LIBRARIES}/(gconv/|audit/).+"
    rf"|{PYTHON}/(sitecustomize\.py|(test|pydoc_data|lib2to3|idlelib|tkinter|ensurepip|venv|turtledemo|curses|sqlite3)/.+)"
    rf"|{PYTHON}/(turtle|pydoc|antigravity|this)\.py"
    rf"|{PYTHON}/lib-dynload/(_test|_ctypes_test|_xx|xx|_curses|_sqlite3|_dbm|_crypt|nis|readline|ossaudiodev|audioop).+"
)
BUNDLE = "etc/ssl/certs/ca-certificates.crt"
PASSWD = "root:x:0:0:root:/root:/usr/sbin/nologin\n{user}\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A line of the lock."""

    name: str
    version: str
    sha256: str
    #: Where it lies in an archive of Debian's.
    path: str

    @property
    def archive(self) -> str:
        """Which of Debian's archives has it: its own, or the one for security."""
        return "debian-security" if self.path.startswith("pool/updates/") else "debian"


def read_lock(text: str) -> list[Package]:
    """The packages of service_code/base.lock: `NAME VERSION sha256:DIGEST PATH` a line, and one line with a date."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#") or _DATE.fullmatch(line):
            continue
        match = re.fullmatch(r"(\S+) (\S+) sha256:([0-9a-f]{64}) (pool/\S+\.deb)", line.strip())
        if match is None:
            raise OpsError(
                f"{LOCK}:{number}: this is no line of the lock",
                why="the image's base is made of what stands there, by version and digest",
                fix="write it anew: ./sluice image lock",
            )
        found.append(Package(name=match[1], version=match[2], sha256=match[3], path=match[4]))
    return found


def dated(text: str) -> str:
    """The moment at which Debian had what is locked, as its snapshots are named; empty where the lock does not say."""
    found = (_DATE.fullmatch(line) for line in text.splitlines())
    return next((match[1] for match in found if match), "")


def tree(packages: Mapping[str, bytes], user: str) -> dict[str, Entry]:
    """The base's files: of each package by name, and what stands in for their scripts. `user`: a uid for services."""
    found: dict[str, Entry] = {}
    for name, data in packages.items():
        only = ONLY.get(name)
        for path, entry in _files(name, data):
            if not DROPPED.fullmatch(path) and (only is None or re.fullmatch(only, path)):
                found[path] = entry
        found[f"{STATUS}/{name}"] = Entry(data=_control(name, data))
    _install_authorities(found)
    found |= {path: Entry(link=f"usr/{path}", mode=FILE) for path in MERGED}
    account = f"sluice:x:{user}:{user}:sluice:/app:/usr/sbin/nologin"
    groups = f"root:x:0:\nsluice:x:{user}:\nnogroup:x:65534:\n"
    found |= {
        "etc/passwd": Entry(data=PASSWD.format(user=account).encode()),
        "etc/group": Entry(data=groups.encode()),
        "etc/nsswitch.conf": Entry(data=b"hosts: files dns\n"),
        "usr/bin/python3": Entry(link="python3.11"),
        "usr/bin/python": Entry(link="python3.11"),
    }
    found |= {path: Entry(mode=0o1777, folder=True) for path in ("tmp", "var/tmp")}
    return found | {path: Entry(mode=FOLDER, folder=True) for path in ("proc", "sys", "dev", "run", "root", "app")}


def _install_authorities(found: dict[str, Entry]) -> None:
    """What update-ca-certificates makes: one bundle, where OpenSSL and Go look for it."""
    certificates = sorted(path for path in found if path.startswith("usr/share/ca-certificates/"))
    bundle = b"".join(found.pop(path).data.rstrip(b"\n") + b"\n" for path in certificates)
    if bundle:
        found[BUNDLE] = Entry(data=bundle)
        found["usr/lib/ssl/cert.pem"] = Entry(link=f"/{BUNDLE}")
        found["usr/lib/ssl/certs"] = Entry(link="/etc/ssl/certs")


def _files(name: str, data: bytes) -> Iterator[tuple[str, Entry]]:
    """The package's files with their paths as they are under a merged /usr."""
    with _member(name, data, "data") as tar:
        for info in tar:
            path = info.name.removeprefix("./").strip("/")
            first = path.partition("/")[0]
            path = f"usr/{path}" if first in MERGED else path
            if info.issym():
                yield path, Entry(link=info.linkname)
            elif info.isfile() or info.islnk():
                opened = tar.extractfile(info)
                assert opened is not None
                yield path, Entry(data=opened.read(), mode=PROGRAM if info.mode & 0o100 else FILE)


def _control(name: str, data: bytes) -> bytes:
    with _member(name, data, "control") as tar:
        opened = tar.extractfile("./control")
        assert opened is not None
        return opened.read()


def _member(name: str, data: bytes, part: str) -> tarfile.TarFile:
    """One of the two tars in a package."""
    for member, content in _ar(data):
        if member.startswith(f"{part}.tar"):
            try:
                return tarfile.open(fileobj=io.BytesIO(content), mode="r:*")
            except tarfile.TarError as error:
                raise OpsError(
                    f"the package {name} cannot be unpacked: {member}: {error}",
                    why="Debian 12 packs with xz, which every Python reads",
                    fix="lock packages of Debian 12: ./sluice image lock",
                ) from error
    raise OpsError(f"the package {name} has no {part}.tar: it is no Debian package")


def _ar(data: bytes) -> Iterator[tuple[str, bytes]]:
    """The members of an ar archive."""
    at = 8
    while at + 60 <= len(data) and data.startswith(b"!<arch>\n"):
        size = int(data[at + 48 : at + 58])
        yield data[at : at + 16].decode().strip().rstrip("/"), data[at + 60 : at + 60 + size]
        at += 60 + size + size % 2


def locked(names: list[str], look_up: Callable[[str], Mapping[str, str]], date: str) -> str:
    """The lock's text for packages by name; `look_up` gives a package's fields as an archive's index has them."""
    lines = [f"date {date}"]
    for name in names:
        fields = look_up(name)
        lines.append(f"{name} {fields['Version']} sha256:{fields['SHA256']} {fields['Filename']}")
    return "\n".join(lines) + "\n"
