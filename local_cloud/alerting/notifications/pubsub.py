"""Pub/Sub: the payload of webhooks as a message, published as Monitoring's own service account.

Source: https://cloud.google.com/monitoring/support/notification-options (Pub/Sub): the account
service-NUMBER@gcp-sa-monitoring-notification.iam.gserviceaccount.com needs pubsub.topics.publish on the topic.
"""

from typing import Any

import orjson

from local_cloud.alerting.notifications import Kind, Label, Undelivered
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.outgoing import Client
from local_cloud.errors import ApiError
from local_cloud.pubsub.publishing import publish
from local_cloud.registry import Principal


async def deliver(cloud: Cloud, _client: Client, channel: Message, body: dict[str, Any]) -> str:
    """Publish the payload, where the account may."""
    topic = cloud.canonical(channel.labels["topic"])
    account = f"service-{cloud.settings.project_number}@gcp-sa-monitoring-notification.iam.gserviceaccount.com"
    try:
        cloud.iam.require(Principal(f"serviceAccount:{account}"), "pubsub.topics.publish", topic)
        publish(cloud, topic, orjson.dumps(body))
    except ApiError as error:
        raise Undelivered(error.text.rstrip("."), again=error.code == "UNAVAILABLE") from None
    return topic


KIND = Kind(
    type="pubsub",
    name="Cloud Pub/Sub",
    text="A channel that delivers notifications to a Cloud Pub/Sub topic.",
    labels=(Label("topic", "The Cloud Pub/Sub topic, as projects/PROJECT/topics/TOPIC."),),
    deliver=deliver,
)
