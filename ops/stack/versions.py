"""The versions of the local stack's secrets, added outside of the program, as an operator adds them on Google Cloud."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from ops.cloud import LocalCloud


def add_missing(cloud: LocalCloud, project: str, values: Mapping[str, str]) -> list[str]:
    """Add a version to each secret of which no enabled one has the value; the names of those."""
    changed = [name for name, value in sorted(values.items()) if not _held(cloud, project, name, value)]
    for name in changed:
        payload = {"payload": {"data": base64.b64encode(values[name].encode()).decode()}}
        cloud.google("POST", f"/v1/projects/{project}/secrets/{name}:addVersion", payload)
    return changed


def _held(cloud: LocalCloud, project: str, name: str, value: str) -> bool:
    """Whether an enabled version has the value: the newest one, but while a rotation is on its way."""
    path = f"/v1/projects/{project}/secrets/{name}/versions"
    for version in cloud.google("GET", path).get("versions", ()):
        number = str(version["name"]).rpartition("/")[2]
        if version["state"] == "ENABLED":
            found = cloud.google("GET", f"{path}/{number}:access")["payload"]["data"]
            if base64.b64decode(found).decode() == value:
                return True
    return False
