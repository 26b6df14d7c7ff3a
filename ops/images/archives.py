"""Where locked packages come from: the cache, this machine's apt, or a mirror that is named. Each by its digest.

Owns the cache (a folder of the user's own; a file in it is believed as far as its digest goes) and the order in which
sources are asked. What comes from where changes no byte of an image.
Source: apt-get(8), the layout of Debian's archives.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from ops.errors import OpsError
from ops.images.debian import LOCK, Package

#: A mirror's address with `{archive}` (debian, debian-security) in it; or several, of which a later one is asked for
#: what the one before it does not have. `{date}` is the lock's, by which snapshots of the archives are found.
MIRROR = "SLUICE_DEBIAN"


def cache(*parts: str) -> Path:
    """A folder for what was fetched."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(home).expanduser().joinpath("sluice", "images", *parts)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def packages(locked: list[Package], mirror: str = "", date: str = "") -> dict[str, bytes]:
    """The locked packages' bytes by name; `date` is the lock's."""
    kept = cache("debian")
    missing = [one for one in locked if _kept(kept, one) is None]
    why = ""
    if missing:
        mirror = mirror or os.environ.get(MIRROR, "")
        why = _from_mirrors(mirror.split(), missing, kept, date) if mirror else _by_apt(missing, kept)
    found: dict[str, bytes] = {}
    for one in locked:
        data = _kept(kept, one)
        if data is None:
            raise OpsError(
                f"{one.name} {one.version} ({LOCK}) could not be fetched" + (f": {why}" if why else ""),
                why="the image's base is made of exactly these packages, by digest",
                fix=f"on Debian 12 apt-get update; else name a mirror, {MIRROR}=https://HOST/{{archive}}; or, for "
                "versions that Debian has replaced, its snapshots after it: https://HOST/archive/{archive}/{date}; or "
                "lock today's versions: ./sluice image lock",
            )
        found[one.name] = data
    return found


def _kept(folder: Path, package: Package) -> bytes | None:
    """What the cache has, where it is what the lock says."""
    try:
        data = (folder / package.sha256).read_bytes()
    except OSError:
        return None
    return data if hashlib.sha256(data).hexdigest() == package.sha256 else None


def keep(folder: Path, data: bytes, name: str) -> None:
    """Write a file of the cache in one step."""
    draft = folder / f"{name}.{os.getpid()}.new"
    draft.write_bytes(data)
    draft.replace(folder / name)


def _from_mirrors(mirrors: list[str], wanted: list[Package], folder: Path, date: str) -> str:
    """Ask one after the other for what is still missing; why the last did not have it."""
    why = ""
    for mirror in mirrors:
        missing = [one for one in wanted if _kept(folder, one) is None]
        if missing and "{date}" in mirror and not date:
            return f"{LOCK} names no date, and {mirror} asks for one"
        why = _from_mirror(mirror.replace("{date}", date), missing, folder) if missing else ""
    return why


def _from_mirror(mirror: str, wanted: list[Package], folder: Path) -> str:
    """Fetch over HTTP; why not, where something is missing."""
    why = ""
    for one in wanted:
        url = f"{mirror.rstrip('/')}/{one.path}".replace("{archive}", one.archive)
        try:
            with urllib.request.urlopen(url, timeout=60) as answer:
                data = answer.read()
        except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
            why = f"{url}: {error}"
            continue
        if hashlib.sha256(data).hexdigest() != one.sha256:
            why = f"{url} has another digest"
            continue
        keep(folder, data, one.sha256)
    return why


def _by_apt(wanted: list[Package], folder: Path) -> str:
    """Let apt fetch, as it is set up on this machine; why not, where it cannot."""
    if shutil.which("apt-get") is None:
        return "there is no apt on this machine"
    with tempfile.TemporaryDirectory(dir=folder) as place:
        words = ["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=", *(f"{p.name}={p.version}" for p in wanted)]
        done = subprocess.run(words, cwd=place, capture_output=True, text=True, check=False)
        for path in Path(place).glob("*.deb"):
            data = path.read_bytes()
            keep(folder, data, hashlib.sha256(data).hexdigest())
    return done.stderr.strip().splitlines()[0] if done.returncode and done.stderr.strip() else ""


def in_apt(name: str) -> Mapping[str, str]:
    """What apt would install of a package now: the fields of the archive's index."""
    if shutil.which("apt-cache") is None:
        raise OpsError(
            "there is no apt on this machine",
            why="the versions and digests of Debian 12's packages are taken from its index, whose signature apt checks",
            fix="run this on Debian 12, after apt-get update; building needs no apt",
        )
    done = subprocess.run(
        ["apt-cache", "show", "--no-all-versions", f"{name}:amd64"], capture_output=True, text=True, check=False
    )
    fields = dict(
        line.split(": ", 1) for line in done.stdout.split("\n\n")[0].splitlines() if ": " in line and line[0] != " "
    )
    if not {"Version", "SHA256", "Filename"} <= set(fields):
        raise OpsError(f"apt knows no package {name} of an archive", fix="apt-get update, on Debian 12")
    return fields
