"""Which local cloud a command means: the one it names, a stack's, or one that `sluice cloud start` runs.

Owns the records of clouds that run by themselves: one small file each in a folder of the user's own below the system's
temporary one. A record counts as long as its cloud answers; a cloud that was killed leaves one, which the next look
removes.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import typer

from ops import rest
from ops.cloud import Cloud, LocalCloud
from ops.errors import NotRunning, OpsError
from ops.home import Home
from ops.supervisor import control

#: The option of every command that works with any local cloud.
WhichCloud = Annotated[
    str,
    typer.Option(
        "--cloud",
        envvar="SLUICE_CLOUD",
        metavar="URL",
        help="The local cloud meant. Otherwise: the stack's where SLUICE_HOME is set or one runs, or else the one of "
        "`sluice cloud start`.",
    ),
]


class NoCloud(OpsError):
    """There is no local cloud, or not the one that is meant."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A cloud that runs by itself."""

    url: str
    project: str
    pid: int
    state: str
    fresh: bool


def find(url: str = "") -> Cloud:
    """The cloud that a command means; NoCloud where none runs, or it is not clear which."""
    if url:
        return _at(url if "://" in url else f"http://{url}")
    home = Home.find()
    if os.environ.get("SLUICE_HOME") or (home.ports() is not None and control.running(home)):
        return _stack(home)
    alone = running()
    if len(alone) > 1:
        raise NoCloud(
            f"{len(alone)} local clouds run: " + ", ".join(f"{r.url} ({r.project})" for r in alone),
            why="the command is for one of them",
            fix=f"name it: --cloud {alone[0].url}, or SLUICE_CLOUD={alone[0].url}",
        )
    if not alone:
        raise NoCloud(
            "no local cloud is running",
            why=f"this command talks to one; neither a stack runs in {home.path} nor a cloud by itself",
            fix="./sluice up starts a stack, ./sluice cloud start a cloud by itself",
        )
    return Cloud(alone[0].url)


def _stack(home: Home) -> LocalCloud:
    """The stack's. SLUICE_HOME names it: a command for it never falls to another cloud, but says which there are."""
    try:
        return LocalCloud(home)
    except NotRunning as error:
        if alone := running():
            found = ", ".join(f"--cloud {record.url} ({record.project})" for record in alone)
            error.fix += f"; or name the cloud that runs by itself: {found}; or unset SLUICE_HOME"
        raise


def keep(record: Record) -> Path | None:
    """Write a record down; None where that cannot be done: the cloud is then found by --cloud alone."""
    try:
        folder = _folder()
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            return None
        draft = folder / f"{record.pid}.new"
        draft.write_text(json.dumps(asdict(record)))
        return draft.replace(folder / f"{record.pid}.json")
    except OSError:
        return None


def running() -> list[Record]:
    """The clouds of this user that run by themselves."""
    found: list[Record] = []
    for path in sorted(_folder().glob("*.json")):
        try:
            if path.stat().st_uid != os.geteuid():
                continue
            record = Record(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError):
            continue
        if _answers(record):
            found.append(record)
        else:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
    return found


def _folder() -> Path:
    return Path(tempfile.gettempdir()) / f"sluice-clouds-{os.geteuid()}"


def _answers(record: Record) -> bool:
    try:
        os.kill(record.pid, 0)
        return bool(rest.call("GET", f"{record.url}/_sluice/status", timeout=5, patience=0)["pid"] == record.pid)
    except (OSError, OpsError, KeyError, TypeError):
        return False


def _at(url: str) -> Cloud:
    try:
        if "pid" in rest.call("GET", f"{url.rstrip('/')}/_sluice/status", timeout=10, patience=0):
            return Cloud(url)
        why = "what answers there is something else"
    except (OpsError, ValueError) as error:
        why = error.what if isinstance(error, OpsError) else str(error)
    raise NoCloud(
        f"there is no local cloud at {url}",
        why=why,
        fix="./sluice cloud status lists those that run; unset SLUICE_CLOUD where it is left over",
    )
