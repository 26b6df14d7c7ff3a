"""The word after a change: who did what to what, in the log of operators; a change is not undone where it is refused.

Owns what is said then; the entry's form and its log are `place`'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ops.errors import OpsError
from ops.place import Place

#: Says a line to whoever watches.
Say = Callable[[str], None]


def audited(place: Place, say: Say, verb: str, subject: str, **detail: Any) -> None:
    """Write the entry, or say that there is none."""
    try:
        place.audit(verb, subject, **detail)
    except OpsError as error:
        say(f"no audit entry of it was written: {error.what}; roles/logging.logWriter lets you write one")
