"""The audit trail: every decision as a line of JSON in the state directory, bounded, written shortly after.

Two files of FILE_BYTES at most: the newer is appended to, the older is what was before. Decisions wait up to
FLUSH_SECONDS for company, so a kill loses that much of the trail and nothing else. Where it cannot be written (a full
disk), decisions are lost to the trail, which is said once, and nobody's call fails of it. A line is an array, since
thousands of decisions a second are written and few are read: `as_json` gives them their names.
"""

import asyncio
import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from local_cloud.iam.engine import Decision

FILE_BYTES = 8 * 1024 * 1024
FLUSH_SECONDS = 0.5
#: Lines that wait at most before they are written at once.
MAX_WAITING = 1_000


class Trail:
    """Writes decisions and finds them again, over restarts."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "iam-decisions.jsonl"
        self.older = directory / "iam-decisions.older.jsonl"
        self._waiting: list[Decision] = []
        self._timer: asyncio.TimerHandle | None = None
        self._failing = False

    def write(self, decision: "Decision") -> None:
        """Keeps a decision."""
        self._waiting.append(decision)
        if len(self._waiting) >= MAX_WAITING:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Writes what waits."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if not self._waiting:
            return
        data, self._waiting = b"".join(map(_line, self._waiting)), []
        try:
            self._append(data)
        except OSError as error:
            if not self._failing:
                said = f"{self.path} cannot be written ({error.strerror}): decisions are missing from it until it can"
                asyncio.get_running_loop().call_exception_handler({"message": said, "exception": error})
            self._failing = True
        else:
            self._failing = False

    def _append(self, data: bytes) -> None:
        if self.path.exists() and self.path.stat().st_size + len(data) > FILE_BYTES:
            self.path.replace(self.older)
        if not self.path.exists():
            self.path.touch(mode=0o600)
        with self.path.open("ab") as file:
            file.write(data)

    def last(self, count: int, wanted: Callable[[dict[str, Any]], bool] = lambda _: True) -> list[dict[str, Any]]:
        """The newest decisions that are wanted, oldest first."""
        self.flush()
        found: list[dict[str, Any]] = []
        for line in self._newest_first():
            try:
                one = as_json(orjson.loads(line))
            except orjson.JSONDecodeError:  # a line that a kill has cut
                continue
            if wanted(one):
                found.append(one)
                if len(found) >= count:
                    break
        return found[::-1]

    def _newest_first(self) -> Iterator[bytes]:
        for path in (self.path, self.older):
            if path.exists():
                yield from reversed(path.read_bytes().splitlines())


def _line(decision: "Decision") -> bytes:
    caller = decision.principal
    return orjson.dumps(
        [
            decision.at,
            caller.member,
            caller.owner,
            decision.permission,
            decision.resource,
            decision.granted,
            decision.mode,
            decision.binding and list(decision.binding),
            decision.fix and decision.fix.as_dict(),
        ],
        option=orjson.OPT_APPEND_NEWLINE,
    )


def as_json(row: list[Any]) -> dict[str, Any]:
    """A line as /_sluice/iam/decisions shows it."""
    at, member, owner, permission, resource, granted, mode, binding, fix = row
    made: dict[str, Any] = {
        "time": datetime.datetime.fromtimestamp(at, datetime.UTC).isoformat().replace("+00:00", "Z"),
        "principal": member or "allUsers",
        "permission": permission,
        "resource": resource,
        "granted": granted,
        "allowed": granted or mode != "enforce",
        "mode": mode,
    }
    if owner:
        made["owner"] = True
    if binding is not None:
        names = ("resource", "role", "member", "condition")
        made["binding"] = {name: value for name, value in zip(names, binding, strict=True) if value}
    return made | (fix or {})
