"""A commit to build from: its files by git's own objects, and its time.

Owns reading the repository. Files come from the commit and not from the folder: what is untracked, ignored or edited
cannot get into an image, and line endings and modes are what was committed.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from ops.errors import BadUsage, OpsError

#: What an image is made of, as git's path arguments.
PARTS = ("service_code", "requirements/services.txt")


@dataclass(frozen=True, kw_only=True)
class Commit:
    """One commit of the repository at `root`."""

    root: Path
    #: All 40 digits.
    name: str
    #: Seconds since 1970, as the committer said: the only clock of a build.
    time: int

    @property
    def created(self) -> str:
        """The time as images and bills of materials write it."""
        return datetime.fromtimestamp(self.time, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    def text(self, path: str) -> str:
        """One file."""
        found = self.files([path])
        if path not in found:
            raise OpsError(
                f"the commit {self.name[:12]} has no {path}",
                why="the image is described there",
                fix="build a commit that has it: ./sluice image build --commit REVISION",
            )
        return found[path].decode()

    def files(self, paths: Iterable[str]) -> dict[str, bytes]:
        """Every file below the paths; symbolic links are refused, since nothing in the image may lead elsewhere."""
        words = ("ls-tree", "-r", "-z", "--full-tree", self.name, "--", *paths)
        names: list[tuple[str, str]] = []
        for line in _git(self.root, *words).decode().split("\0")[:-1]:
            facts, _, path = line.partition("\t")
            mode, kind, blob = facts.split()
            if kind != "blob" or mode == "120000":
                raise OpsError(
                    f"{path} is a {'link' if kind == 'blob' else kind} in the commit {self.name[:12]}",
                    why="an image holds plain files alone, so that what was reviewed is what runs",
                    fix=f"commit {path} as a file",
                )
            names.append((path, blob))
        asked = "".join(f"{blob}\n" for _, blob in names).encode()
        answer = memoryview(_git(self.root, "cat-file", "--batch", given=asked))
        found: dict[str, bytes] = {}
        start = 0
        for path, _ in names:
            end = bytes(answer[start : start + 100]).index(b"\n") + start
            size = int(bytes(answer[start:end]).split()[2])
            found[path] = bytes(answer[end + 1 : end + 1 + size])
            start = end + size + 2
        return found


def find(root: Path, revision: str = "") -> Commit:
    """The commit that is named; otherwise HEAD, as long as nothing that an image is made of was edited since."""
    if revision.startswith("-"):
        raise BadUsage(f"{revision!r} names no commit", fix="name a branch, a tag or a commit")
    if not (root / ".git").exists():
        raise OpsError(
            f"{root} is no git repository",
            why="an image is built from a commit",
            fix="run it in a clone of the project",
        )
    if not revision:
        edited = _git(root, "status", "--porcelain", "--untracked-files=no", "--", *PARTS).decode().splitlines()
        if edited:
            raise OpsError(
                f"{edited[0][3:]} has changes that are not committed" + (f" ({len(edited)} files)" * (len(edited) > 1)),
                why="an image is built from a commit, so that its digest can be made again from the commit alone",
                fix="commit them, or build what is committed: ./sluice image build --commit HEAD",
            )
    try:
        found = _git(root, "rev-parse", "--verify", "--quiet", f"{revision or 'HEAD'}^{{commit}}").decode().strip()
    except OpsError as error:
        raise BadUsage(
            f"there is no commit {revision or 'HEAD'!r} in {root}",
            why="an image is built from a commit; a shallow clone has only its newest ones",
            fix="git fetch --unshallow, or name a branch, a tag or a commit",
        ) from error
    return Commit(root=root, name=found, time=int(_git(root, "show", "-s", "--format=%ct", found)))


def _git(root: Path, *words: str, given: bytes = b"") -> bytes:
    try:
        done = subprocess.run(["git", *words], cwd=root, input=given, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise OpsError("git is not on PATH", why="an image is built from a commit", fix="install git") from error
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip() or f"exit status {done.returncode}"
        raise OpsError(f"git {words[0]} failed in {root}: {said}", why="an image is built from a commit")
    return done.stdout
