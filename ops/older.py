"""What a service of a release before this one answers at a door that it has not; and a door's code of a refusal."""

from __future__ import annotations

import json

from ops.errors import CallFailed


def code(body: str) -> str:
    """A door's code of a refusal; what an application without such a door answers is a sentence."""
    try:
        told = json.loads(body)
    except ValueError:
        return ""
    return str(told.get("error", "")) if isinstance(told, dict) else ""


def no_door(service: str, error: CallFailed) -> str | None:
    """What is said where a service has no such door; nothing where the answer is its door's."""
    if error.status == 405 or (error.status == 404 and not code(error.body).isupper()):
        return f"{service} has no such door ({error.status}): its release is older than this command"
    return None
