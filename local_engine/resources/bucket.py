"""``gcp:storage/bucket:Bucket``: a bucket, over the JSON API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import quote

from ..cloud import Cloud, JsonObject
from ..resource_type import Inputs, templated
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, text, texts

_CONDITION = {
    "age": integer(),
    "createdBefore": text(),
    "customTimeBefore": text(),
    "daysSinceCustomTime": integer(),
    "daysSinceNoncurrentTime": integer(),
    "matchesPrefixes": texts(api="matchesPrefix"),
    "matchesStorageClasses": texts(api="matchesStorageClass"),
    "matchesSuffixes": texts(api="matchesSuffix"),
    "noncurrentTimeBefore": text(),
    "numNewerVersions": integer(),
    "withState": text(virtual=True),
}
_RULE = {
    "action": block({"type": text(required=True), "storageClass": text()}, required=True),
    "condition": block(_CONDITION, required=True),
}
_CORS = {
    "maxAgeSeconds": integer(),
    "methods": texts(api="method"),
    "origins": texts(api="origin"),
    "responseHeaders": texts(api="responseHeader"),
}
_RETENTION = {"retentionPeriod": text(required=True), "isLocked": flag(virtual=True)}


class Bucket(RestType):
    """A bucket."""

    token = "gcp:storage/bucket:Bucket"
    endpoint = "storage"
    collection = "b"
    masked = False
    computed: ClassVar[Mapping[str, str]] = {
        "selfLink": "selfLink",
        "projectNumber": "projectNumber",
        "timeCreated": "timeCreated",
        "updated": "updated",
    }
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "location": text(required=True, replaces=True),
        "autoclass": block({"enabled": flag(required=True, keep=True), "terminalStorageClass": text()}),
        "cors": blocks(_CORS),
        "defaultEventBasedHold": flag(),
        "encryption": block({"defaultKmsKeyName": text()}),
        "forceDestroy": flag(virtual=True),
        "labels": labels(),
        "lifecycleRules": blocks(_RULE),
        "logging": block({"logBucket": text(required=True), "logObjectPrefix": text()}),
        "publicAccessPrevention": text(),
        "requesterPays": flag(),
        "retentionPolicy": block(_RETENTION),
        "rpo": text(),
        "softDeletePolicy": block({"retentionDurationSeconds": integer(keep=True)}),
        "storageClass": text(),
        "uniformBucketLevelAccess": flag(),
        "versioning": block({"enabled": flag(required=True, keep=True)}),
        "website": block({"mainPageSuffix": text(), "notFoundPage": text()}),
        "deletionPolicy": text(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """Its name is unique in the world."""
        return templated("{name}", inputs)

    def predicted(self, inputs: Inputs) -> dict[str, Any]:
        """Its URL for tools."""
        name = self.identity(inputs)
        return {"url": f"gs://{name}"} if name else {}

    def url(self, identity: str) -> str:
        """Among all buckets."""
        return f"b/{quote(identity, safe='')}"

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """As the JSON API nests it."""
        sent: JsonObject = {"storageClass": "STANDARD"} | super().body(cloud, inputs)
        sent["location"] = str(sent["location"]).upper()
        if rules := sent.pop("lifecycleRules", []):
            for rule, given in zip(rules, inputs["lifecycleRules"], strict=True):
                state = given["condition"].get("withState", "ANY")
                if state != "ANY":
                    rule["condition"]["isLive"] = state == "LIVE"
            sent["lifecycle"] = {"rule": rules}
        if sent.pop("requesterPays", False):
            sent["billing"] = {"requesterPays": True}
        configuration: JsonObject = {"uniformBucketLevelAccess": {"enabled": False}}
        if sent.pop("uniformBucketLevelAccess", False):
            configuration["uniformBucketLevelAccess"]["enabled"] = True
        if "publicAccessPrevention" in sent:
            configuration["publicAccessPrevention"] = sent.pop("publicAccessPrevention")
        return sent | {"iamConfiguration": configuration}

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """POST to the project's buckets."""
        identity = self.identity(inputs)
        sent = {"name": identity} | self.body(cloud, inputs)
        cloud.call(self.endpoint, "POST", "b", body=sent, query={"project": str(inputs["project"])})
        if inputs.get("retentionPolicy", {}).get("isLocked"):
            self._lock(cloud, identity)
        return identity, cloud.settled(lambda: self.fetch(cloud, identity))

    def changed_fields(self, changed: frozenset[str]) -> list[str]:
        """Drift is named by the body."""
        virtual = {name for name, known in self.inputs.items() if known.virtual}
        return sorted(changed - virtual)

    def update_body(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject:
        """All that can change; what is gone is sent as nothing."""
        sent = self.body(cloud, inputs)
        del sent["location"]
        live = self.fetch(cloud, identity)
        gone = ("lifecycle", "cors", "website", "logging", "retentionPolicy", "encryption", "versioning")
        empty = {name: None for name in gone if name in live and name not in sent}
        lost = {name: None for name in live.get("labels", {}) if name not in sent.get("labels", {})}
        return sent | empty | ({"labels": sent.get("labels", {}) | lost} if lost else {})

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """With what it holds only if the program says so."""
        if inputs.get("forceDestroy") and inputs.get("deletionPolicy") != "ABANDON":
            self._empty(cloud, identity)
        super().delete(cloud, identity, inputs)

    def _empty(self, cloud: Cloud, identity: str) -> None:
        query = {"versions": "true"}
        while found := cloud.get(self.endpoint, f"{self.url(identity)}/o", query).get("items"):
            for one in found:
                path = f"{self.url(identity)}/o/{quote(str(one['name']), safe='')}"
                cloud.call(self.endpoint, "DELETE", path, query={"generation": str(one["generation"])})

    def _lock(self, cloud: Cloud, identity: str) -> None:
        generation = str(self.fetch(cloud, identity)["metageneration"])
        path = f"{self.url(identity)}/lockRetentionPolicy"
        cloud.call(self.endpoint, "POST", path, query={"ifMetagenerationMatch": generation})
