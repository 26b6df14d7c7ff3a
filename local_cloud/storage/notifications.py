"""Notifications of buckets: what happens to objects, told to Pub/Sub topics.

Owns the configurations and the messages. Source: https://cloud.google.com/storage/docs/pubsub-notifications.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.pubsub.publishing import publish
from local_cloud.storage.buckets import moment
from local_cloud.storage.refusals import StorageError, invalid

Json = dict[str, Any]
EVENTS = frozenset({"OBJECT_FINALIZE", "OBJECT_METADATA_UPDATE", "OBJECT_DELETE", "OBJECT_ARCHIVE"})
FORMATS = ("JSON_API_V1", "NONE")
#: A bucket has at most so many.
MOST = 100
_TOPIC = re.compile(r"(?://pubsub\.googleapis\.com/)?(projects/[^/]+/topics/[^/]+)")


class Notifications:
    """The configurations of all buckets: "BUCKET/ID" -> what was asked for."""

    def __init__(self, cloud: Cloud, shown: Callable[[Json], Json]) -> None:
        self._cloud, self._shown = cloud, shown
        self._kept = cloud.store.json("storage.notifications")

    def of(self, bucket: str) -> list[Json]:
        """A bucket's configurations."""
        return [found for key, found in self._kept.items() if key.startswith(f"{bucket}/")]

    def find(self, bucket: str, identity: str) -> Json:
        """One of them."""
        found: Json | None = self._kept.get(f"{bucket}/{identity}")
        if found is None:
            raise StorageError(404, "notFound", f"The specified notification {identity} does not exist.")
        return found

    def create(self, bucket: str, said: Mapping[str, Any]) -> Json:
        """Keep a new one; the project's storage agent must be allowed to publish to its topic."""
        match = _TOPIC.fullmatch(str(said.get("topic", "")))
        if match is None:
            raise invalid(f"Invalid Google Cloud Pub/Sub topic: {said.get('topic')!r}.")
        events = said.get("event_types") or []
        if not isinstance(events, list) or not EVENTS.issuperset(events):
            raise invalid(f"Invalid event_types: they are {', '.join(sorted(EVENTS))}.")
        shape = said.get("payload_format") or "JSON_API_V1"
        if shape not in FORMATS:
            raise invalid(f"Invalid payload_format: it is one of {', '.join(FORMATS)}.")
        attributes = said.get("custom_attributes") or {}
        if not isinstance(attributes, dict) or not all(isinstance(value, str) for value in attributes.values()):
            raise invalid("custom_attributes must be a map of texts.")
        if len(self.of(bucket)) >= MOST:
            raise invalid(f"A bucket has at most {MOST} notification configurations.")
        topic = self._cloud.canonical(match[1])
        self._check_agent(topic)
        used = [int(found["id"]) for found in self.of(bucket)]
        identity = str(max(used, default=0) + 1)
        made: Json = {
            "kind": "storage#notification",
            "id": identity,
            "topic": f"//pubsub.googleapis.com/{topic}",
            "payload_format": shape,
            "etag": identity,
            "selfLink": f"https://www.googleapis.com/storage/v1/b/{bucket}/notificationConfigs/{identity}",
        }
        if events:
            made["event_types"] = events
        if attributes:
            made["custom_attributes"] = attributes
        if said.get("object_name_prefix"):
            made["object_name_prefix"] = str(said["object_name_prefix"])
        self._kept[f"{bucket}/{identity}"] = made
        return made

    def _check_agent(self, topic: str) -> None:
        from local_cloud.registry import Principal

        agent = agent_of(self._cloud)
        if not self._cloud.iam.allows(Principal(f"serviceAccount:{agent}"), "pubsub.topics.publish", topic):
            text = (
                f"The service account '{agent}' does not have permission to publish messages to to the Cloud Pub/Sub "
            )
            text += f"topic '//pubsub.googleapis.com/{topic}', or that topic does not exist."
            raise StorageError(403, "forbidden", text)

    def delete(self, bucket: str, identity: str) -> None:
        """Forget one."""
        self.find(bucket, identity)
        del self._kept[f"{bucket}/{identity}"]

    def forget(self, bucket: str) -> None:
        """Forget those of a bucket that is deleted."""
        for found in self.of(bucket):
            del self._kept[f"{bucket}/{found['id']}"]

    def tell(self, event: str, found: Json, more: Mapping[str, str]) -> None:
        """Publish what has happened to whoever asked for it. A topic that is gone hears nothing."""
        for config in self.of(found["bucket"]):
            wanted = config.get("event_types")
            if (wanted and event not in wanted) or not found["name"].startswith(config.get("object_name_prefix", "")):
                continue
            attributes = {
                **config.get("custom_attributes", {}),
                "notificationConfig": f"projects/_/buckets/{found['bucket']}/notificationConfigs/{config['id']}",
                "eventType": event,
                "payloadFormat": config["payload_format"],
                "bucketId": found["bucket"],
                "objectId": found["name"],
                "objectGeneration": found["generation"],
                "eventTime": moment(self._cloud.now()),
                **more,
            }
            data = orjson.dumps(self._shown(found)) if config["payload_format"] == "JSON_API_V1" else b""
            try:
                publish(self._cloud, config["topic"].removeprefix("//pubsub.googleapis.com/"), data, attributes)
            except ApiError as gone:
                self._cloud.log.event("WARNING", f"A notification of bucket {found['bucket']} was lost: {gone.text}")


def agent_of(cloud: Cloud) -> str:
    """The account by which Cloud Storage acts in the project."""
    return f"service-{cloud.settings.project_number}@gs-project-accounts.iam.gserviceaccount.com"
