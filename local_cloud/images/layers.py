"""One layer of an image laid over a folder: files, links, and the marks that take away what lower layers had.

Owns the safety of it: nothing is written outside the folder, whatever names and links the layer has, and no more than
was allowed. A path is followed component by component, and a symbolic link in it means what it means inside the folder.
Source: https://github.com/opencontainers/image-spec/blob/main/layer.md.
"""

import contextlib
import gzip
import hashlib
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

#: An image unpacked has at most so many bytes and entries (ours; Cloud Run's own file system is in memory).
MAX_BYTES = 16 * 1024**3
MAX_ENTRIES = 1_000_000
#: Links followed in one path, as in Linux.
MAX_LINKS = 40
CAP_SYS_ADMIN = 21

WHITEOUT, OPAQUE = ".wh.", ".wh..wh..opq"
_CHUNK = 1 << 20


class LayerError(Exception):
    """A layer that cannot be laid: damaged, too large, or with names that lead out of the image."""


class Budget:
    """What is left of the allowed bytes and entries."""

    def __init__(self, size: int = MAX_BYTES, entries: int = MAX_ENTRIES) -> None:
        self.size, self.entries = size, entries

    def take(self, size: int) -> None:
        """Use some bytes."""
        self.size -= size
        if self.size < 0:
            raise LayerError("the image is larger, unpacked, than the local cloud takes")

    def entry(self) -> None:
        """Use an entry."""
        self.entries -= 1
        if self.entries < 0:
            raise LayerError("the image has more files than the local cloud takes")


class _Counted:
    """A stream of the layer's tar: counted, and hashed for the comparison with the configuration's diff id."""

    def __init__(self, inner: IO[bytes], budget: Budget) -> None:
        self._inner, self._budget = inner, budget
        self.sha256 = hashlib.sha256()

    def read(self, size: int = _CHUNK) -> bytes:
        """The next bytes."""
        data = self._inner.read(size)
        self._budget.take(len(data))
        self.sha256.update(data)
        return data


def apply(layer: Path, media_type: str, diff_id: str, root: Path, budget: Budget) -> None:
    """Lay a layer over `root`. Its tar must have the digest that the image's configuration says."""
    try:
        with _tar(layer, media_type) as raw:
            counted = _Counted(raw, budget)
            with tarfile.open(fileobj=cast(Any, counted), mode="r|") as tar:
                _Laying(str(root), budget).lay(tar)
            while counted.read():
                pass
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, OSError, ValueError) as error:
        raise LayerError(f"the layer {layer.name[:12]} cannot be unpacked: {error}") from error
    if diff_id != f"sha256:{counted.sha256.hexdigest()}":
        raise LayerError(f"the layer {layer.name[:12]} is not what the image's configuration says: {diff_id}")


@contextmanager
def _tar(layer: Path, media_type: str) -> Iterator[IO[bytes]]:
    with layer.open("rb") as file:
        if media_type.endswith("zstd"):
            with _zstd(layer) as plain:
                yield plain
        elif file.peek(2)[:2] == b"\x1f\x8b":
            with gzip.GzipFile(fileobj=file) as plain:
                yield cast(IO[bytes], plain)
        else:
            yield file


@contextmanager
def _zstd(layer: Path) -> Iterator[IO[bytes]]:
    command = shutil.which("zstd")
    if command is None:
        raise LayerError("the layer is compressed with zstd: install the zstd command, or push it with gzip")
    with subprocess.Popen([command, "-dcq", str(layer)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield process.stdout
        finally:
            process.stdout.close()


class _Laying:
    """The work on one layer."""

    def __init__(self, root: str, budget: Budget) -> None:
        self._root, self._budget = root, budget
        self._added: set[str] = set()
        self._folders: dict[str, tarfile.TarInfo] = {}
        self._own = all_users()

    def lay(self, tar: tarfile.TarFile) -> None:
        """Every entry in its order; folders get their modes last, so that files can be made in all of them."""
        for member in tar:
            self._budget.entry()
            parts = _parts(member.name)
            if not parts:
                continue
            parent, name = self._folder(parts[:-1]), parts[-1]
            if name == OPAQUE:
                self._clear(parent)
            elif name.startswith(WHITEOUT):
                self._remove(parent, name[len(WHITEOUT) :])
            else:
                self._add(tar, member, f"{parent}/{name}")
        for path, member in reversed(self._folders.items()):
            if os.path.isdir(path) and not os.path.islink(path):
                self._finish(member, path)

    def _folder(self, parts: list[str]) -> str:
        """The real folder that a path means inside the root; made where it is missing."""
        waiting, here, links = list(reversed(parts)), self._root, 0
        while waiting:
            part = waiting.pop()
            if part == "..":
                here = os.path.dirname(here) if here != self._root else here
                continue
            path = f"{here}/{part}"
            try:
                mode = os.lstat(path).st_mode
            except FileNotFoundError:
                os.mkdir(path, 0o755)
                self._added.add(path)
                mode = stat.S_IFDIR
            if stat.S_ISLNK(mode):
                links += 1
                if links > MAX_LINKS:
                    raise LayerError(f"{'/'.join(parts)} has too many symbolic links")
                target = os.readlink(path)
                here = self._root if target.startswith("/") else here
                waiting.extend(part for part in reversed(target.split("/")) if part not in ("", "."))
            elif stat.S_ISDIR(mode):
                here = path
            else:
                raise LayerError(f"{'/'.join(parts)} leads through a file")
        return here

    def _clear(self, folder: str) -> None:
        """Take away what lower layers have in a folder."""
        for name in os.listdir(folder):
            if f"{folder}/{name}" not in self._added:
                _delete(f"{folder}/{name}")

    def _remove(self, folder: str, name: str) -> None:
        if name in ("", ".", ".."):
            raise LayerError(f"'{WHITEOUT}{name}' takes away nothing that could be there")
        if f"{folder}/{name}" not in self._added:
            _delete(f"{folder}/{name}")

    def _add(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        kept = member.isdir() and os.path.isdir(path) and not os.path.islink(path)
        if not kept:
            source = self._source(member) if member.islnk() else ""
            if source != path:
                _delete(path)
                self._make(tar, member, path, source)
        self._added.add(path)
        if member.isdir():
            self._folders[path] = member
        elif not member.islnk() and os.path.lexists(path):
            self._finish(member, path)

    def _source(self, member: tarfile.TarInfo) -> str:
        parts = _parts(member.linkname)
        if not parts:
            raise LayerError(f"{member.name} is a link to nothing")
        source = f"{self._folder(parts[:-1])}/{parts[-1]}"
        if not os.path.lexists(source) or (os.path.isdir(source) and not os.path.islink(source)):
            raise LayerError(f"{member.name} is a link to {member.linkname}, which is no file")
        return source

    def _make(self, tar: tarfile.TarFile, member: tarfile.TarInfo, path: str, source: str) -> None:
        if member.isdir():
            os.mkdir(path, 0o755)
        elif member.islnk():
            os.link(source, path, follow_symlinks=False)
        elif member.issym():
            os.symlink(member.linkname, path)
        elif member.isfifo():
            os.mkfifo(path)
        elif member.isreg():
            content = tar.extractfile(member)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(handle, "wb") as file:
                if content is not None:
                    shutil.copyfileobj(content, file, _CHUNK)
        # Devices are not made: an instance has those of its platform, and no others.

    def _finish(self, member: tarfile.TarInfo, path: str) -> None:
        if self._own:
            os.lchown(path, member.uid, member.gid)
        if not member.issym():
            os.chmod(path, member.mode & 0o7777 | (0o700 if member.isdir() and not self._own else 0))
        with contextlib.suppress(OSError, OverflowError, ValueError):
            os.utime(path, (member.mtime, member.mtime), follow_symlinks=False)


def all_users() -> bool:
    """Whether instances here can be any of their image's users: for root with CAP_SYS_ADMIN (engines/container.py)."""
    try:
        with open("/proc/self/status") as status:
            held = next(int(line.split()[1], 16) for line in status if line.startswith("CapEff:"))
    except (OSError, StopIteration):
        return False
    return os.geteuid() == 0 and bool(held >> CAP_SYS_ADMIN & 1)


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise LayerError(f"{name!r} leads out of the image")
    return parts


def _delete(path: str) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)
