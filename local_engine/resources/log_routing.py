"""``gcp:logging``: sinks of the project, and the buckets that hold its entries."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from ..cloud import Cloud, JsonObject
from ..errors import NotFoundError
from ..resource_type import Inputs, templated
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, name_part, required, text

_EXCLUSION = {"name": text(required=True), "filter": text(required=True), "description": text(), "disabled": flag()}


class Sink(RestType):
    """A sink; one that is there already is taken over, as the provider does."""

    token = "gcp:logging/projectSink:ProjectSink"
    endpoint = "logging"
    collection = "projects/{project}/sinks"
    computed: ClassVar[Mapping[str, str]] = {"writerIdentity": "writerIdentity"}
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "bigqueryOptions": block({"usePartitionedTables": flag(required=True)}),
        "customWriterIdentity": text(virtual=True),
        "description": text(),
        "destination": text(required=True),
        "disabled": flag(),
        "exclusions": blocks(_EXCLUSION),
        "filter": text(),
        "uniqueWriterIdentity": flag(virtual=True),
        "deletionPolicy": text(virtual=True),
    }

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Look first."""
        identity = self.identity(inputs)
        try:
            self.fetch(cloud, identity)
        except NotFoundError:
            sent = {"name": inputs["name"]} | self.body(cloud, inputs)
            cloud.call(self.endpoint, "POST", templated(self.collection, inputs), body=sent, query=_writer(inputs))
        else:
            self._patch(cloud, identity, inputs, frozenset(self.inputs))
        return identity, cloud.settled(lambda: self.fetch(cloud, identity))

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """PATCH what changed, with what the API always wants."""
        if changed - {"deletionPolicy"}:
            self._patch(cloud, identity, inputs, changed)
        return self.fetch(cloud, identity)

    def _patch(self, cloud: Cloud, identity: str, inputs: Inputs, changed: frozenset[str]) -> None:
        sent = {"destination": "", "filter": "", "disabled": False, "exclusions": []} | self.body(cloud, inputs)
        named = ("destination", "filter", "description", "disabled", "bigqueryOptions")
        fields = ["exclusions", *(name for name in named if name in changed)]
        query = {"updateMask": ",".join(fields)} | _writer(inputs)
        cloud.call(self.endpoint, "PATCH", self.url(identity), body=sent, query=query)


def _writer(inputs: Inputs) -> dict[str, str]:
    query = {"uniqueWriterIdentity": str(inputs.get("uniqueWriterIdentity", True)).lower()}
    custom = inputs.get("customWriterIdentity")
    return query | ({"customWriterIdentity": str(custom)} if custom else {})


_CMEK = {"kmsKeyName": text(required=True)}
_INDEX = {"fieldPath": text(required=True), "type": text(required=True)}


class LogBucket(RestType):
    """A bucket of entries; the ones that every project has are taken over, and outlive the program."""

    token = "gcp:logging/projectBucketConfig:ProjectBucketConfig"
    endpoint = "logging"
    collection = "projects/{project}/locations/{location}/buckets"
    name_input = "bucketId"
    computed: ClassVar[Mapping[str, str]] = {"name": "name", "lifecycleState": "lifecycleState"}
    inputs: ClassVar[Shape] = {
        "bucketId": required(name_part()),
        "location": required(name_part()),
        "project": required(name_part()),
        "cmekSettings": block(_CMEK),
        "description": text(),
        "enableAnalytics": flag(api="analyticsEnabled"),
        "indexConfigs": blocks(_INDEX),
        "locked": flag(),
        "retentionDays": integer(),
        "deletionPolicy": text(virtual=True),
    }

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Look first; a bucket that is there is changed."""
        identity = self.identity(inputs)
        if self.read(cloud, identity, inputs) is not None:
            return identity, self.update(cloud, identity, {}, inputs, frozenset(self.inputs))
        path = f"{templated(self.collection, inputs)}:createAsync"
        sent = {"locked": False, "retentionDays": 30} | self.body(cloud, inputs)
        query = {"bucketId": str(inputs["bucketId"])}
        cloud.wait(self.endpoint, cloud.call(self.endpoint, "POST", path, body=sent, query=query))
        return identity, cloud.settled(lambda: self.fetch(cloud, identity))

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """One that waits for its deletion is gone."""
        live = super().read(cloud, identity, inputs)
        return None if live is None or live.get("lifecycleState") == "DELETE_REQUESTED" else live

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Analytics by themselves, then the settings, and the lock last."""
        sent = {"retentionDays": 30} | self.body(cloud, inputs)
        if changed & {"enableAnalytics", "analyticsEnabled"} and sent.get("analyticsEnabled"):
            path, query = f"{self.url(identity)}:updateAsync", {"updateMask": "analyticsEnabled"}
            body = {"analyticsEnabled": sent["analyticsEnabled"]}
            cloud.wait(self.endpoint, cloud.call(self.endpoint, "POST", path, body=body, query=query))
        settings = ("retentionDays", "description", "cmekSettings", "indexConfigs")
        fields = [name for name in settings if name in changed and (old or name in sent)]
        if fields:
            whole = {name: sent.get(name) for name in settings}
            whole |= {name: sent[name] for name in ("analyticsEnabled",) if name in sent}
            cloud.call(self.endpoint, "PATCH", self.url(identity), body=whole, query={"updateMask": ",".join(fields)})
        if "locked" in changed and (old or inputs.get("locked")):
            query = {"updateMask": "locked"}
            cloud.call(self.endpoint, "PATCH", self.url(identity), body={"locked": inputs.get("locked")}, query=query)
        return self.fetch(cloud, identity)

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """DELETE, but for the buckets that Google made."""
        if inputs["bucketId"] not in ("_Default", "_Required"):
            super().delete(cloud, identity, inputs)
