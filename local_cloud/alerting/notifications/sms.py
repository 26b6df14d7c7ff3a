"""Text messages: channels are kept and verified, and nothing is sent."""

from typing import Any

from local_cloud.alerting.notifications import Kind, Label, Undelivered
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.outgoing import Client

WARNING = "the local cloud sends no text messages"


async def deliver(_cloud: Cloud, _client: Client, _channel: Message, _body: dict[str, Any]) -> str:
    """Say that it goes nowhere."""
    raise Undelivered(WARNING)


KIND = Kind(
    type="sms",
    name="SMS",
    text="A channel that delivers notifications by text message.",
    labels=(Label("number", "The phone number, in E.164 format."),),
    deliver=deliver,
    verified=True,
    warning=WARNING,
)
