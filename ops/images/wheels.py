"""The layer of Python packages: the wheels of the lock, unpacked as an installer would, without running any of it.

Owns which wheel of a package fits the image (CPython 3.11 on Debian 12, amd64), that its digest is in the lock, and
which of its files stay. Fetching is pip's, as it is set up on this machine. A package that has no wheel is refused:
building one would run its code here, and no two machines would build the same.
Sources: the binary distribution format (PEP 427), the database of installed distributions (PEP 376, PEP 627).
"""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from pathlib import Path

from packaging.requirements import Requirement

from ops.errors import OpsError
from ops.images import archives
from ops.images.tree import FILE, PROGRAM, Entry

LOCK = "requirements/services.txt"
VENV = "app/venv"
SITE = f"{VENV}/lib/python3.11/site-packages"
#: The platforms whose wheels run on glibc 2.36, best first, and where markers are asked.
PLATFORMS = (*(f"manylinux_2_{minor}_x86_64" for minor in range(36, 4, -1)), "manylinux2014_x86_64",
             "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64")  # fmt: skip
ENVIRONMENT = {
    "implementation_name": "cpython", "implementation_version": "3.11.2", "os_name": "posix",
    "platform_machine": "x86_64", "platform_python_implementation": "CPython", "platform_system": "Linux",
    "platform_release": "", "platform_version": "", "python_full_version": "3.11.2", "python_version": "3.11",
    "sys_platform": "linux",
}  # fmt: skip
#: Tests of packages, and what only a compiler or a type checker reads.
DROPPED = re.compile(
    r"(.*/)?(tests?|SelfTest)/.*|.*\.(pyc|pyo|pyi|pyx|pxd|c|h|cpp|hpp)|(.*/)?(RECORD\.jws|RECORD\.p7s)"
)


@dataclass(frozen=True, kw_only=True)
class Locked:
    """A package of the lock."""

    name: str
    version: str
    hashes: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Wheel:
    """A wheel that the image is made of."""

    name: str
    version: str
    file: str
    sha256: str
    metadata: Message
    files: Mapping[str, bytes]


def read_lock(text: str) -> list[Locked]:
    """The packages of a lock that the image needs."""
    found = []
    for line in re.sub(r"\\\n", " ", text).splitlines():
        said, *hashes = re.split(r"\s+--hash=sha256:", line.strip())
        if not said or said.startswith("#"):
            continue
        asked = Requirement(said)
        if asked.marker is None or asked.marker.evaluate({**ENVIRONMENT, "extra": ""}):
            version = str(asked.specifier).removeprefix("==")
            found.append(Locked(name=_plain(asked.name), version=version, hashes=frozenset(h.strip() for h in hashes)))
    return found


def fetch(lock: list[Locked]) -> list[Wheel]:
    """The wheels of a lock, by name."""
    stated = "".join(f"{p.name}=={p.version} {' '.join(sorted(p.hashes))}\n" for p in lock)
    folder = archives.cache("wheels", hashlib.sha256(stated.encode()).hexdigest()[:32])
    found = _read(folder, lock)
    if missing := [p for p in lock if p.name not in found]:
        _download(missing, folder)
        found = _read(folder, lock)
    for locked in lock:
        if locked.name not in found:
            raise OpsError(
                f"{locked.name} {locked.version} has no wheel for CPython 3.11 on Linux whose digest is in {LOCK}",
                why="nothing is built from source: that would run the package's code here",
                fix="lock a version that has one (scripts/lock), or check what pip's package index serves",
            )
    return [found[name] for name in sorted(found)]


def _read(folder: Path, lock: list[Locked]) -> dict[str, Wheel]:
    wanted = {p.name: p for p in lock}
    found: dict[str, Wheel] = {}
    for path in sorted(folder.glob("*.whl")):
        data = path.read_bytes()
        locked, sha256 = wanted.get(_plain(path.name.split("-")[0])), hashlib.sha256(data).hexdigest()
        if locked and sha256 in locked.hashes:
            with zipfile.ZipFile(io.BytesIO(data)) as archive:
                files = {info.filename: archive.read(info) for info in archive.infolist() if not info.is_dir()}
            info = next(name for name in files if re.fullmatch(r"[^/]+\.dist-info/METADATA", name))
            metadata = BytesParser().parsebytes(files[info])
            found[locked.name] = Wheel(
                name=locked.name, version=locked.version, file=path.name, sha256=sha256, metadata=metadata, files=files
            )
    return found


def _download(missing: list[Locked], folder: Path) -> None:
    """Let pip fetch what is missing, by digest, for the image's platform whatever this machine is."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        lock = Path(place) / "lock.txt"
        hashes = {p.name: " ".join(f"--hash=sha256:{one}" for one in sorted(p.hashes)) for p in missing}
        lock.write_text("".join(f"{p.name}=={p.version} {hashes[p.name]}\n" for p in missing))
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        words += ["--require-hashes", "--only-binary=:all:", "--implementation=cp", "--python-version=3.11"]
        words += ["--abi=cp311", "--abi=abi3", "--abi=none", *(f"--platform={one}" for one in PLATFORMS)]
        done = subprocess.run([*words, "-r", str(lock), "-d", place], capture_output=True, text=True, check=False)
        if done.returncode:
            raise OpsError(
                f"pip could not fetch the packages of {LOCK}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}",
                why="the image's packages are the lock's wheels, by digest",
                fix="check that pip reaches its package index; what was fetched once is kept, and builds without it",
            )
        for path in Path(place).glob("*.whl"):
            shutil.move(path, folder / path.name)


def tree(wheels: list[Wheel], home: str) -> dict[str, Entry]:
    """The virtual environment: `home` is the folder of the interpreter that it belongs to."""
    found: dict[str, Entry] = {}
    for wheel in wheels:
        found |= _installed(wheel)
    settings = f"home = /{home}\ninclude-system-site-packages = false\nversion = 3.11\n"
    found[f"{VENV}/pyvenv.cfg"] = Entry(data=settings.encode())
    found |= {f"{VENV}/bin/{name}": Entry(link=f"/{home}/python3.11") for name in ("python", "python3", "python3.11")}
    return found


def _installed(wheel: Wheel) -> dict[str, Entry]:
    """A wheel's files where an installer would put them. Of scripts only programs stay, not entry points."""
    found: dict[str, Entry] = {}
    record = ""
    for name, data in wheel.files.items():
        if name.startswith("/") or ".." in name.split("/"):
            raise OpsError(f"{wheel.file} has a file {name!r}, which leads out of its folder")
        match = re.fullmatch(r"[^/]+\.data/(scripts|purelib|platlib|data|headers)/(.+)", name)
        kind, path = match.groups() if match else ("purelib", name)
        if kind == "scripts":
            found[f"{VENV}/bin/{path}"] = Entry(data=_without_address(data), mode=PROGRAM)
        elif re.fullmatch(r"[^/]+\.dist-info/RECORD", path):
            record = path
        elif kind != "headers" and not DROPPED.fullmatch(path):
            where = VENV if kind == "data" else SITE
            found[f"{where}/{path}"] = Entry(data=data, mode=PROGRAM if ".so" in Path(path).suffixes else FILE)
    info = record.rpartition("/")[0]
    found[f"{SITE}/{info}/INSTALLER"] = Entry(data=b"sluice\n")
    found[f"{SITE}/{record}"] = Entry(data=_record(found, record))
    return found


def _without_address(script: bytes) -> bytes:
    """A script's `#!python` becomes the interpreter in the environment."""
    first, _, rest = script.partition(b"\n")
    return f"#!/{VENV}/bin/python\n".encode() + rest if re.match(rb"#!pythonw?\b", first) else script


def _record(found: Mapping[str, Entry], record: str) -> bytes:
    """The list of what is installed, with digests, as the files are here."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for path in sorted(found):
        shown = path.removeprefix(f"{SITE}/") if path.startswith(f"{SITE}/") else f"../../../{path[len(VENV) + 1 :]}"
        data = found[path].data
        hashed = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        writer.writerow([shown, f"sha256={hashed}", len(data)])
    writer.writerow([record, "", ""])
    return text.getvalue().encode()


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
