"""Slack: messages in the form of its incoming webhooks, to `--slack-url` or to a file of the state's folder.

Source: https://api.slack.com/messaging/webhooks and .../reference/messaging/attachments.
"""

from typing import Any

from local_cloud.alerting.notifications import Kind, Label
from local_cloud.alerting.notifications.posting import post, write_line
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.outgoing import Client

#: The bar beside a message, by severity of what is open; green is what has ended.
COLOURS = {"Critical": "#D93025", "Error": "#D93025", "Warning": "#F9AB00"}
OPEN, CLOSED = "#1A73E8", "#1E8E3E"


async def deliver(cloud: Cloud, client: Client, channel: Message, body: dict[str, Any]) -> str:
    """Post the message, or write it down."""
    made = slack_message(channel.labels["channel_name"], body["incident"])
    if cloud.settings.slack_url:
        return await post(client, cloud.settings.slack_url, made)
    return write_line(cloud, "slack", made)


def slack_message(channel: str, incident: dict[str, Any]) -> dict[str, Any]:
    """What Slack is told."""
    is_open = incident["state"] == "open"
    text = f"{'Alert firing' if is_open else 'Alert recovered'}: {incident['policy_name']}"
    lines = [incident["summary"], incident["documentation"]["content"]]
    attachment: dict[str, Any] = {
        "color": COLOURS.get(incident["severity"], OPEN) if is_open else CLOSED,
        "fallback": f"{text}: {incident['summary']}",
        "title": incident["condition_name"] or incident["policy_name"],
        "title_link": incident["url"],
        "text": "\n\n".join(line for line in lines if line),
        "fields": [
            {"title": "Severity", "value": incident["severity"], "short": True},
            {"title": "Incident", "value": incident["incident_id"], "short": True},
        ],
        "mrkdwn_in": ["text"],
        "ts": incident["ended_at"] or incident["started_at"],
    }
    return {"channel": channel, "username": "Google Cloud Monitoring", "text": text, "attachments": [attachment]}


KIND = Kind(
    type="slack",
    name="Slack",
    text="A channel that delivers notifications to Slack.",
    labels=(
        Label("channel_name", "The Slack channel to which to post notifications."),
        Label("auth_token", "A permanent authentication token provided by Slack.", required=False, secret=True),
        Label("team", "The Slack team with which the channel is associated.", required=False),
    ),
    deliver=deliver,
)
