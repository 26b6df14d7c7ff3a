"""``gcp:secretmanager``: secrets and their versions. A version's data is write-only and never read back."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..errors import NotFoundError
from ..model import Change
from ..resource_type import Inputs
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, text

_REPLICAS = blocks({"location": text(required=True, replaces=True)}, required=True, replaces=True)
_REPLICATION = {
    "auto": block({}, api="automatic", keep=True, replaces=True),
    "userManaged": block({"replicas": _REPLICAS}, replaces=True),
}


class SecretContainer(RestType):
    """A secret without its data."""

    token = "gcp:secretmanager/secret:Secret"
    endpoint = "secretManager"
    collection = "projects/{project}/secrets"
    name_input = "secretId"
    name_query = "secretId"
    deletion_protection = False
    computed: ClassVar[Mapping[str, str]] = {"name": "name", "createTime": "createTime"}
    inputs: ClassVar[Shape] = {
        "secretId": name_part(),
        "project": name_part(),
        "replication": block(_REPLICATION, required=True, replaces=True),
        "labels": labels(),
        "annotations": labels(),
        "deletionProtection": flag(virtual=True),
        "versionDestroyTtl": text(),
    }


class SecretVersion(RestType):
    """One version of a secret; its number is the cloud's."""

    token = "gcp:secretmanager/secretVersion:SecretVersion"
    endpoint = "secretManager"
    collection = "{secret}/versions"
    inputs: ClassVar[Shape] = {
        "secret": text(required=True, replaces=True, virtual=True),
        "secretData": text(secret=True, replaces=True, virtual=True),
        "isSecretDataBase64": flag(replaces=True, virtual=True),
        "secretDataWo": text(secret=True, virtual=True),
        "secretDataWoVersion": integer(replaces=True, virtual=True),
        "enabled": flag(virtual=True),
        "deletionPolicy": text(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """The number is not known before the version exists."""
        return ""

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Add the data, then enable (or disable) the version."""
        sent = {"payload": {"data": _payload(inputs)}}
        name = str(cloud.call(self.endpoint, "POST", f"{inputs['secret']}:addVersion", body=sent)["name"])
        self._enable(cloud, name, inputs)
        return name, cloud.settled(lambda: cloud.get(self.endpoint, name))

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """A destroyed version is gone."""
        live = super().read(cloud, identity, inputs)
        return None if live is None or live.get("state") == "DESTROYED" else live

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Only whether it is enabled can change."""
        if "enabled" in changed or "state" in changed:
            self._enable(cloud, identity, inputs)
        return cloud.get(self.endpoint, identity)

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Destroy the data, unless the program said to abandon it."""
        if inputs.get("deletionPolicy") == "ABANDON":
            return
        verb = "disable" if inputs.get("deletionPolicy") == "DISABLE" else "destroy"
        try:
            cloud.call(self.endpoint, "POST", f"{identity}:{verb}")
        except NotFoundError:
            return

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """Name and number."""
        name = str(live.get("name", ""))
        return {"name": name, "version": name.rsplit("/", 1)[-1], "createTime": live.get("createTime")}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Whether somebody disabled or enabled it."""
        wanted = "ENABLED" if inputs.get("enabled", True) else "DISABLED"
        if live.get("state", wanted) == wanted:
            return []
        return [Change(path="state", kind="update", old=live["state"], new=wanted, drift=True)]

    def interrupted(self, cloud: Cloud, identity: str, inputs: Inputs) -> tuple[str, JsonObject] | None:
        """The latest version, where it holds the very data."""
        name = f"{inputs['secret']}/versions/latest"
        try:
            found = cloud.get(self.endpoint, f"{name}:access")
            if found.get("payload", {}).get("data") != _payload(inputs):
                return None
            return str(found["name"]), cloud.get(self.endpoint, str(found["name"]))
        except NotFoundError:
            return None

    def _enable(self, cloud: Cloud, name: str, inputs: Inputs) -> None:
        verb = "enable" if inputs.get("enabled", True) else "disable"
        cloud.call(self.endpoint, "POST", f"{name}:{verb}")


def _payload(inputs: Inputs) -> str:
    data = str(inputs.get("secretData") or inputs.get("secretDataWo") or "")
    return data if inputs.get("isSecretDataBase64") else base64.b64encode(data.encode()).decode()
