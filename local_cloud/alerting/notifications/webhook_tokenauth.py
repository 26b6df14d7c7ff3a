"""Webhooks whose URL is the secret."""

from typing import Any

from local_cloud.alerting.notifications import Kind, Label
from local_cloud.alerting.notifications.posting import post
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.outgoing import Client


async def deliver(_cloud: Cloud, client: Client, channel: Message, body: dict[str, Any]) -> str:
    """Post the payload."""
    return await post(client, channel.labels["url"], body)


KIND = Kind(
    type="webhook_tokenauth",
    name="Webhook with Token Authentication",
    text="A channel that delivers notifications to a webhook endpoint; a token may be part of the URL.",
    labels=(Label("url", "The public URL to which to publish notifications."),),
    deliver=deliver,
)
