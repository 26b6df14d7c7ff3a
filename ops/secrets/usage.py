"""Whether the old key is still needed: the services log each token that another key than the first one verified.

Owns that question to Cloud Logging. Such a line has the event `token_old_key` and the key's id (service_code/kit/keys).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ops.place import Place

#: The services' event, and as many lines as are counted.
EVENT = "token_old_key"
COUNTED = 1000


@dataclass(frozen=True)
class Usage:
    """How often a key was needed since a moment, and when last."""

    count: int = 0
    last: datetime | None = None

    def said(self, now: datetime) -> str:
        """In words."""
        if self.last is None:
            return "the old key has verified nothing since"
        seconds = max(0, int((now - self.last).total_seconds()))
        hours, minutes = divmod(seconds // 60, 60)
        many = f"{COUNTED} times or more" if self.count >= COUNTED else f"{self.count} times"
        return f"the old key was last used {hours} h {minutes} min ago, {many} in all"


def of(place: Place, key_id: str, since: datetime) -> Usage:
    """What the log says of a key."""
    wanted = f'jsonPayload.event="{EVENT}" AND jsonPayload.key_id="{key_id}" AND timestamp>="{since.isoformat()}"'
    entries = list(place.logs(wanted, newest_first=True, limit=COUNTED))
    if not entries:
        return Usage()
    return Usage(len(entries), datetime.fromisoformat(str(entries[0]["timestamp"])))
