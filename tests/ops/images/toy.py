"""A repository of a few files with a base of two packages and one wheel, all made here: an image in milliseconds.

The Dockerfile is the real one; the packages lie in the cache as fetched ones do.
"""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ops.images import archives
from ops.images.build import Builder, Built
from ops.images.commit import find
from tests.ops.alone import ROOT

#: The committer's clock, so that a commit has the same name wherever it is made.
GIT = {"GIT_AUTHOR_DATE": "2026-11-01T10:00:00Z", "GIT_COMMITTER_DATE": "2026-11-01T10:00:00Z", "HOME": "/nonexistent",
       "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
       "PATH": "/usr/bin:/bin:/usr/local/bin", "GIT_CONFIG_NOSYSTEM": "1"}  # fmt: skip


def packed(files: dict[str, bytes], mode: int = 0o644) -> bytes:
    """A tar as Debian packs them."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:xz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(f"./{name}")
            info.size, info.mode, info.mtime, info.uname = len(data), mode, 1_700_000_000, "builder"
            tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


def deb(name: str, files: dict[str, bytes], mode: int = 0o755) -> bytes:
    """A Debian package."""
    control = f"Package: {name}\nVersion: 1.0\nArchitecture: amd64\nSource: {name}-source (1.0-1)\n".encode()
    made = b"!<arch>\n"
    members = {"debian-binary": b"2.0\n", "control.tar.xz": packed({"control": control})}
    for member, data in {**members, "data.tar.xz": packed(files, mode)}.items():
        head = f"{member:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(data):<10}`\n".encode()
        made += head + data + b"\n" * (len(data) % 2)
    return made


def wheel() -> bytes:
    """A wheel of a package `tiny` with a program, a library and tests of its own."""
    info = "tiny-1.0.dist-info"
    metadata = b"Metadata-Version: 2.4\nName: tiny\nVersion: 1.0\nLicense-Expression: MIT\n\nwords\n"
    files = {
        "tiny/__init__.py": b"x = 1\n",
        "tiny/fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF",
        "tiny/fast.pyx": b"cdef int x\n",
        "tiny/tests/test_tiny.py": b"assert 0\n",
        "tiny-1.0.data/scripts/tinytool": b"#!python\nprint(1)\n",
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return made.getvalue()


def git(root: Path, *words: str) -> str:
    done = subprocess.run(["git", *words], cwd=root, env=GIT, capture_output=True, text=True, check=True)
    return done.stdout


@dataclass
class Toy:
    """The repository."""

    root: Path

    def commit(self, **files: str) -> None:
        """Write files (`__` stands for a slash, a keyword's `_dot_` for a dot) and commit everything."""
        for name, text in files.items():
            self.write(name.replace("__", "/").replace("_dot_", "."), text)
        git(self.root, "add", "-A", "-f")
        git(self.root, "commit", "-q", "-m", "x", "--allow-empty")

    def write(self, path: str, text: str) -> None:
        place = self.root / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def build(self, revision: str = "", *, fresh: bool = True) -> Built:
        builder = Builder(say=lambda _: None, compiles=False, fresh=fresh)
        commit = find(self.root, revision)
        return builder.build(commit, builder.base(commit))


def make(root: Path) -> Toy:
    """The repository with one commit, and what its locks name in the cache."""
    debs = {
        "libtiny": deb("libtiny", {"lib/x86_64-linux-gnu/libtiny.so.1": b"\x7fELF", "usr/share/man/x.gz": b"x"}),
        "ca-certificates": deb(
            "ca-certificates", {f"usr/share/ca-certificates/mozilla/{n}.crt": n.encode() for n in "ba"}, 0o640
        ),
    }
    lock = "# the base\n"
    for name, data in debs.items():
        sha256 = hashlib.sha256(data).hexdigest()
        archives.keep(archives.cache("debian"), data, sha256)
        lock += f"{name} 1.0 sha256:{sha256} pool/main/t/{name}_1.0_amd64.deb\n"
    sha256 = hashlib.sha256(wheel()).hexdigest()
    stated = hashlib.sha256(f"tiny==1.0 {sha256}\n".encode()).hexdigest()[:32]
    archives.keep(archives.cache("wheels", stated), wheel(), "tiny-1.0-py3-none-any.whl")
    toy = Toy(root)
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    toy.write("service_code/Dockerfile", (ROOT / "service_code/Dockerfile").read_text())
    toy.write("service_code/base.lock", lock)
    toy.write("requirements/services.txt", f"tiny==1.0 ; sys_platform == 'linux' \\\n    --hash=sha256:{sha256}\n")
    toy.write("requirements/dev.txt", "nothing of the image's\n")
    toy.commit(service_code__one__app_dot_py="print('one')\n", service_code__migrations__1_dot_sql="SELECT 1;\n")
    return toy
