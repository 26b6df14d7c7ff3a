"""The audit trail: every decision as a line of JSON in the state directory, bounded, written shortly after.

Two files of FILE_BYTES at most: the newer is appended to, the older is what was before. Lines wait up to
FLUSH_SECONDS for company, so a kill loses that much of the trail and nothing else.
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
        self._waiting: list[bytes] = []
        self._timer: asyncio.TimerHandle | None = None

    def write(self, decision: "Decision") -> None:
        """Keeps a decision."""
        self._waiting.append(orjson.dumps(as_json(decision)))
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
        data, self._waiting = b"\n".join(self._waiting) + b"\n", []
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
                one = orjson.loads(line)
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


def as_json(decision: "Decision") -> dict[str, Any]:
    """A decision as the trail and /_sluice/iam/decisions show it."""
    made: dict[str, Any] = {
        "time": datetime.datetime.fromtimestamp(decision.at, datetime.UTC).isoformat().replace("+00:00", "Z"),
        "principal": decision.principal.member or "allUsers",
        "permission": decision.permission,
        "resource": decision.resource,
        "granted": decision.granted,
        "allowed": decision.granted or not decision.enforced,
        "mode": decision.mode,
    }
    if decision.principal.owner:
        made["owner"] = True
    if decision.binding is not None:
        binding = decision.binding
        made["binding"] = {"resource": binding.resource, "role": binding.role, "member": binding.member}
        if binding.condition:
            made["binding"]["condition"] = binding.condition
    if decision.fix is not None:
        made |= decision.fix.as_dict()
    return made
