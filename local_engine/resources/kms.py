"""``gcp:kms``: key rings, which stay for good, and keys, whose versions are destroyed in the place of a deletion."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, ClassVar

from .. import diff
from ..cloud import Cloud, JsonObject
from ..errors import NotFoundError
from ..model import Change
from ..resource_type import Inputs
from ..rest_type import RestType
from ..shapes import Shape, block, flag, labels, name_part, required, text


class KeyRing(RestType):
    """A key ring."""

    token = "gcp:kms/keyRing:KeyRing"
    endpoint = "kms"
    collection = "projects/{project}/locations/{location}/keyRings"
    name_query = "keyRingId"
    inputs: ClassVar[Shape] = {"name": name_part(), "location": required(name_part()), "project": name_part()}

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Google keeps key rings; only the program forgets it."""


class CryptoKey(RestType):
    """A key."""

    token = "gcp:kms/cryptoKey:CryptoKey"
    endpoint = "kms"
    collection = "{keyRing}/cryptoKeys"
    name_query = "cryptoKeyId"
    patches_mutable = True
    masks: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "rotationPeriod": ("rotationPeriod", "nextRotationTime"),
        "versionTemplate": ("versionTemplate.algorithm",),
    }
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "keyRing": required(name_part()),
        "destroyScheduledDuration": text(replaces=True),
        "importOnly": flag(replaces=True),
        "labels": labels(),
        "purpose": text(replaces=True),
        "rotationPeriod": text(),
        "skipInitialVersionCreation": flag(virtual=True),
        "versionTemplate": block({"algorithm": text(required=True), "protectionLevel": text(replaces=True)}),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """For encryption, unless it says otherwise."""
        return {"purpose": "ENCRYPT_DECRYPT"} | super().body(cloud, inputs)

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """The first rotation is a period from now."""
        identity, sent = self.identity(inputs), self.body(cloud, inputs)
        if "rotationPeriod" in sent:
            sent["nextRotationTime"] = _later(sent["rotationPeriod"])
        skips = str(bool(inputs.get("skipInitialVersionCreation"))).lower()
        query = {"cryptoKeyId": str(inputs["name"]), "skipInitialVersionCreation": skips}
        path = f"{inputs['keyRing']}/cryptoKeys"
        cloud.call(self.endpoint, "POST", path, body=sent, query=query)
        return identity, cloud.settled(lambda: self.fetch(cloud, identity))

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """A new period begins now."""
        fields = self.changed_fields(changed)
        if fields:
            sent = self.update_body(cloud, identity, inputs)
            if "rotationPeriod" in changed and "rotationPeriod" in sent:
                sent["nextRotationTime"] = _later(sent["rotationPeriod"])
            cloud.call(self.endpoint, "PATCH", identity, body=sent, query={"updateMask": ",".join(fields)})
        return self.fetch(cloud, identity)

    def update_body(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject:
        """What it is for stays."""
        sent = super().update_body(cloud, identity, inputs)
        sent.pop("purpose", None)
        return sent

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Destroy all versions and end the rotation; Google keeps the name."""
        if inputs.get("deletionPolicy") == "ABANDON":
            return
        try:
            found = cloud.get(self.endpoint, f"{identity}/cryptoKeyVersions").get("cryptoKeyVersions", [])
        except NotFoundError:
            return
        for version in found:
            if version["state"] not in ("DESTROYED", "DESTROY_SCHEDULED"):
                cloud.call(self.endpoint, "POST", f"{version['name']}:destroy", body={})
        if inputs.get("rotationPeriod"):
            query = {"updateMask": "rotationPeriod,nextRotationTime"}
            cloud.call(self.endpoint, "PATCH", identity, body={}, query=query)

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """The primary version, as a list of at most one."""
        primary = live.get("primary")
        return {"primaries": [{"name": primary["name"], "state": primary["state"]}] if primary else []}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """What was declared of it."""
        return list(diff.drift(self.body(cloud, inputs), live))


def _later(period: str) -> str:
    moment = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=float(period.removesuffix("s")))
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
