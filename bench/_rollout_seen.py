"""What a rollout did as it is seen from outside: traffic as Cloud Run has it, and attempts as the services log them.

Owns no word of the rollout's own: times come from the cloud's log and from watching the service's traffic, by the
cloud's clock.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench._rollout_revisions import DOORS
from tests.payments.bindings import entries, now
from tests.payments.stack import Stack, http

#: Seconds between two looks at a service's traffic.
LOOK_EVERY = 0.05


def described(stack: Stack, service: str) -> dict[str, Any]:
    """A service, as Cloud Run has it."""
    status = stack.admin("GET", "status")
    path = f"/v2/projects/{status['project']}/locations/{status['location']}/services/{service}"
    found: dict[str, Any] = http("GET", f"{stack.rest}{path}")[1]
    return found


def tags(stack: Stack, service: str) -> dict[str, str]:
    """Tag -> the revision that it names."""
    return {one["tag"]: one["revision"] for one in described(stack, service)["traffic"] if one.get("tag")}


class Traffic:
    """Notes, by the cloud's clock, when the tag `canary` of a service came to name another revision."""

    def __init__(self, stack: Stack, service: str) -> None:
        self.changes: list[tuple[datetime, str]] = []
        self._stack, self._service = stack, service
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Traffic:
        self._note()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def left(self, revision: str) -> datetime | None:
        """When the tag stopped naming a revision, if it ever did both."""
        names = [name for _, name in self.changes]
        if revision not in names:
            return None
        after = self.changes[len(names) - names[::-1].index(revision) :]
        return after[0][0] if after else None

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            self._note()

    def _note(self) -> None:
        name = tags(self._stack, self._service).get("canary", "")
        if not self.changes or self.changes[-1][1] != name:
            self.changes.append((moment(now(self._stack)), name))


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt of a task that a revision has ended."""

    task: str
    number: int
    began: datetime
    ended: datetime
    status: int


def attempts(stack: Stack, service: str, revision: str, since: str) -> list[Attempt]:
    """The attempts at the door that a fault stands at, on one revision."""
    wanted = (
        f'resource.labels.revision_name="{revision}" AND jsonPayload.message="handled" '
        f'AND jsonPayload.endpoint="{DOORS[service][0]}"'
    )
    found = []
    for entry in entries(stack, since, wanted):
        said, ended = entry["jsonPayload"], moment(entry["timestamp"])
        began = datetime.fromtimestamp(ended.timestamp() - said["duration"] / 1000, ended.tzinfo)
        number = int(said.get("attempt_number") or 1)
        found.append(
            Attempt(task=str(said.get("task")), number=number, began=began, ended=ended, status=said["http_status"])
        )
    return found


def moment(text: str) -> datetime:
    """A time of the log."""
    return datetime.fromisoformat(text)


@contextmanager
def metric_lag(stack: Stack, seconds: float) -> Iterator[None]:
    """Meanwhile the cloud shows points of metrics so late."""
    stack.admin("POST", "metrics/lag", {"seconds": seconds})
    try:
        yield
    finally:
        stack.admin("POST", "metrics/lag", {"seconds": 0})
