"""Another commit of this repository, laid out in a folder for a moment, and what its own program plans.

The plan is that commit's: its components, its specs, its stack config, run by the interpreter at hand. Owns the folder
and the subprocess; leaves git alone (nothing is checked out, no branch moves).
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ops.errors import BadUsage, OpsError
from ops.home import ROOT

#: A plan takes seconds; one that takes longer than this hangs.
PATIENCE = 180


@contextmanager
def at(revision: str) -> Iterator[Path]:
    """A folder with the files of a commit."""
    if revision.startswith("-"):
        raise BadUsage(f"{revision!r} names no commit", fix="name a branch, a tag or a commit, such as origin/main")
    if _git("rev-parse", "--git-dir").returncode:
        raise BadUsage(
            f"{ROOT} is in no git repository",
            why="the other commit is read from the repository",
            fix="run it in a clone of the project; without one: ./sluice preview",
        )
    commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    if commit.returncode:
        why = commit.stderr.decode(errors="replace").strip()
        raise BadUsage(
            f"there is no commit {revision!r} here",
            why=why or "a shallow clone has only its newest commits",
            fix="git fetch --unshallow, or name a branch, a tag or a commit",
        )
    archive = _git("archive", "--format=tar", commit.stdout.decode().strip())
    if archive.returncode:
        raise OpsError(f"git cannot lay {revision} out: {archive.stderr.decode(errors='replace').strip()}")
    with tempfile.TemporaryDirectory(prefix="sluice-since-") as folder:
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as tar:
            tar.extractall(folder, filter="data")
        yield Path(folder)


def plan(folder: Path, stack: str, revision: str) -> dict[str, Any] | None:
    """The layers of a stack as that commit plans them, by name; None where it has no such stack."""
    if not (folder / f"stacks/Pulumi.{stack}.yaml").is_file():
        return None
    # -B: whoever is cancelled removes the folder while this may still run, and nothing may be written into it then.
    words = [sys.executable, "-B", "-m", "ops", "preview", "--stack", stack, "--all", "--json"]
    try:
        done = subprocess.run(words, cwd=folder, capture_output=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired as error:
        raise OpsError(f"the plan of {revision} took longer than {PATIENCE} s") from error
    try:
        found = json.loads(done.stdout)
        return {layer["stack"]: layer for layer in found["layers"]}
    except (ValueError, KeyError, TypeError) as error:
        said = done.stderr.decode(errors="replace").strip()[-2000:]
        raise OpsError(
            f"{revision} could not say its plan of {stack}",
            why=said or "its preview printed no plan as JSON",
            fix="compare with a commit whose `./sluice preview` works with this machine's packages",
        ) from error


def _git(*words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise OpsError("git is not on PATH", fix="install git") from error
