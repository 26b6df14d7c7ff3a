"""Which bindings calls have needed: a count a binding and permission, kept over restarts.

Counting is a dictionary's work; what changed goes to the store every FLUSH_SECONDS, so a kill loses the counts of that
long. A binding that is set is listed from then on, whether it is ever used or not; one that is removed is forgotten.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

import orjson

from local_cloud.descriptors import Message

if TYPE_CHECKING:
    from local_cloud.cloud import Cloud

FLUSH_SECONDS = 1.0


class Granted(NamedTuple):
    """One member of one binding: what grants."""

    resource: str
    role: str
    member: str
    #: The condition's expression, "" without one.
    condition: str = ""


@dataclass(slots=True)
class Use:
    """How often, since when and for what."""

    since: float
    last: float = 0.0
    permissions: dict[str, int] = field(default_factory=dict)


class Usage:
    """The use of every binding."""

    def __init__(self, cloud: "Cloud") -> None:
        self._cloud = cloud
        self._kept = cloud.store.json("iam.usage")
        self.uses: dict[Granted, Use] = {
            Granted(*orjson.loads(key)): Use(value["since"], value["last"], value["permissions"])
            for key, value in self._kept.items()
        }
        self._changed: set[Granted] = set()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, granted: Granted, permission: str, at: float) -> None:
        """A call was let through by a binding."""
        use = self.uses.get(granted)
        if use is None:
            use = self.uses[granted] = Use(at)
        use.last = at
        use.permissions[permission] = use.permissions.get(permission, 0) + 1
        self._changed.add(granted)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def follow(self, policies: Iterable[tuple[str, Message]]) -> None:
        """Lists what is bound now, and forgets what is not bound any more."""
        bound = {
            Granted(resource, str(b.role), str(m), str(b.condition.expression)): None
            for resource, policy in policies
            for b in policy.bindings
            for m in b.members
        }
        now = self._cloud.now()
        for gone in [granted for granted in self.uses if granted not in bound]:
            del self.uses[gone]
            self._changed.discard(gone)
            self._kept.pop(_key(gone))
        for granted in bound:
            if granted not in self.uses:
                self.uses[granted] = Use(now)
                self._keep(granted)

    def reset(self) -> None:
        """Starts counting anew, from now."""
        now = self._cloud.now()
        for granted in self.uses:
            self.uses[granted] = Use(now)
            self._keep(granted)
        self._changed.clear()

    def flush(self) -> None:
        """Hands what was counted to the store."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for granted in self._changed:
            if granted in self.uses:
                self._keep(granted)
        self._changed.clear()

    def _keep(self, granted: Granted) -> None:
        use = self.uses[granted]
        self._kept[_key(granted)] = {"since": use.since, "last": use.last, "permissions": dict(use.permissions)}


def _key(granted: Granted) -> str:
    return orjson.dumps(list(granted)).decode()
