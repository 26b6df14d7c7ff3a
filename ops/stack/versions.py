"""The versions of the local stack's secrets, added outside of the program, as an operator adds them on Google Cloud."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from ops.cloud import LocalCloud


def add_missing(cloud: LocalCloud, project: str, values: Mapping[str, str]) -> list[str]:
    """Add a version to each secret that has none or another value; the names of those."""
    changed = [name for name, value in sorted(values.items()) if _current(cloud, project, name) != value]
    for name in changed:
        payload = {"payload": {"data": base64.b64encode(values[name].encode()).decode()}}
        cloud.google("POST", f"/v1/projects/{project}/secrets/{name}:addVersion", payload)
    return changed


def _current(cloud: LocalCloud, project: str, name: str) -> str | None:
    """The newest value of a secret, None where it has no version."""
    listed = cloud.google("GET", f"/v1/projects/{project}/secrets/{name}/versions")
    if not listed.get("versions"):
        return None
    found = cloud.google("GET", f"/v1/projects/{project}/secrets/{name}/versions/latest:access")
    return base64.b64decode(found["payload"]["data"]).decode()
