"""``gcp:pubsub``: topics, subscriptions and schemas. Creates are PUTs, updates wrap the resource."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..model import Change
from ..resource_type import Defaults, Inputs, templated
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, text, texts

_TRANSFORM = {
    "disabled": flag(),
    "javascriptUdf": block({"code": text(required=True), "functionName": text(required=True)}),
}


class Topic(RestType):
    """A topic."""

    token = "gcp:pubsub/topic:Topic"
    endpoint = "pubsub"
    collection = "projects/{project}/topics"
    create_method, update_wrapper, patches_mutable = "PUT", "topic", True
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "kmsKeyName": text(),
        "labels": labels(),
        "messageRetentionDuration": text(),
        "messageStoragePolicy": block({"allowedPersistenceRegions": texts(required=True), "enforceInTransit": flag()}),
        "messageTransforms": blocks(_TRANSFORM),
        "schemaSettings": block(
            {
                "schema": text(required=True),
                "encoding": text(),
                "firstRevisionId": text(),
                "lastRevisionId": text(),
            }
        ),
        "deletionPolicy": text(virtual=True),
    }


_OIDC = {"serviceAccountEmail": text(required=True), "audience": text()}
_PUSH = {
    "pushEndpoint": text(required=True),
    "attributes": labels(),
    "noWrapper": block({"writeMetadata": flag(required=True, keep=True)}),
    "oidcToken": block(_OIDC),
}


class Subscription(RestType):
    """A subscription of a topic, named or by its path."""

    token = "gcp:pubsub/subscription:Subscription"
    endpoint = "pubsub"
    collection = "projects/{project}/subscriptions"
    given = frozenset({"topicMessageRetentionDuration"})
    create_method, update_wrapper, patches_mutable = "PUT", "subscription", True
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "topic": text(required=True, replaces=True),
        "ackDeadlineSeconds": integer(),
        "deadLetterPolicy": block({"deadLetterTopic": text(), "maxDeliveryAttempts": integer()}),
        "enableExactlyOnceDelivery": flag(),
        "enableMessageOrdering": flag(replaces=True),
        "expirationPolicy": block({"ttl": text(required=True)}, keep=True),
        "filter": text(replaces=True),
        "labels": labels(),
        "messageRetentionDuration": text(),
        "messageTransforms": blocks(_TRANSFORM),
        "pushConfig": block(_PUSH),
        "retainAckedMessages": flag(),
        "retryPolicy": block({"maximumBackoff": text(), "minimumBackoff": text()}),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """The topic by its full path."""
        sent = super().body(cloud, inputs)
        topic = str(inputs["topic"])
        return sent | {"topic": topic if "/" in topic else templated("projects/{project}/topics/{topic}", inputs)}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Google may leave out the version of the envelope."""
        found = super().drift(cloud, inputs, live)
        return [one for one in found if one.path != "pushConfig.attributes.x-goog-version"]

    def declared(self, live: JsonObject, given: Defaults) -> dict[str, Any]:
        """An expiry that never comes is said by an empty time."""
        found = super().declared(live, given)
        return found | ({"expirationPolicy": {"ttl": ""}} if found.get("expirationPolicy") == {} else {})

    def changed_fields(self, changed: frozenset[str]) -> list[str]:
        """The provider always names the export to BigQuery too."""
        fields = super().changed_fields(changed)
        return [*fields, "bigqueryConfig"] if fields else []


class Schema(RestType):
    """A schema of messages; a change is another revision."""

    token = "gcp:pubsub/schema:Schema"
    endpoint = "pubsub"
    collection = "projects/{project}/schemas"
    name_query = "schemaId"
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "definition": text(),
        "type": text(),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """The bare name stands in the body too."""
        return super().body(cloud, inputs) | {"name": inputs["name"]}

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Commit a revision."""
        if changed & {"definition", "type"}:
            sent = {"name": identity, "schema": self.body(cloud, inputs) | {"name": identity}}
            cloud.call(self.endpoint, "POST", f"{identity}:commit", body=sent)
        return self.fetch(cloud, identity)

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Its name reads back in full."""
        return [one for one in super().drift(cloud, inputs, live) if one.path != "name"]
