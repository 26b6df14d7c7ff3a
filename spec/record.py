"""The rollout record: percent, salt and kill switch of every choice, outside the revisions.

Owns its shape and its bytes. The program declares it (`components/rollout_record`), a rollout writes it, and services
read it while they run (`kit/record`), so that a step makes no new revision. Everything in it follows from stack config:
what a rollout writes is what the program declares, byte for byte, or the next preview would show a change.
"""

from __future__ import annotations

import json
from typing import Any

from spec.graph import System
from spec.stack import StackConfig

#: The shape's number. A reader passes over keys that it does not know, so only another meaning raises it.
VERSION = 1


def record(system: System, stack: StackConfig) -> dict[str, Any]:
    """Return the record of a stack: each route's share, and that of each service whose canary is being tried."""
    return {
        "version": VERSION,
        "routes": {
            name: {"percent": stack.share(name, route.canary_percent), "salt": route.salt or name}
            for name, route in sorted(system.routes.items())
        },
        "releases": {
            name: {"percent": stack.share(name), "salt": release.canary, "canary": release.canary}
            for name, release in sorted(stack.releases.items())
            if release.canary is not None
        },
    }


def encode(record: dict[str, Any]) -> str:
    """Return the bytes of a record, as text: sorted keys, no spaces, a newline at the end."""
    return json.dumps(record, sort_keys=True, separators=(",", ":")) + "\n"
