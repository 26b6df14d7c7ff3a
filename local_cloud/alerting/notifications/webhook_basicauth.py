"""Webhooks with a user name and a password."""

import base64
from typing import Any

from local_cloud.alerting.notifications import Kind, Label
from local_cloud.alerting.notifications.posting import post
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.outgoing import Client


async def deliver(_cloud: Cloud, client: Client, channel: Message, body: dict[str, Any]) -> str:
    """Post the payload with basic authentication."""
    pair = f"{channel.labels['username']}:{channel.labels['password']}".encode()
    headers = {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}
    return await post(client, channel.labels["url"], body, headers)


KIND = Kind(
    type="webhook_basicauth",
    name="Webhook with Basic Authentication",
    text="A channel that delivers notifications to a webhook endpoint with HTTP Basic Authentication.",
    labels=(
        Label("url", "The public URL to which to publish notifications."),
        Label("username", "The username to use with HTTP Basic Authentication."),
        Label("password", "The password to use with HTTP Basic Authentication.", secret=True),
    ),
    deliver=deliver,
)
