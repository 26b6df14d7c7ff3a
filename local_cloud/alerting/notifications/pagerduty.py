"""PagerDuty: events of its Events API v2, to `--pagerduty-url` or to a file of the state's folder.

Source: https://developer.pagerduty.com/docs/events-api-v2/trigger-events/.
"""

from typing import Any

from local_cloud.alerting.notifications import Kind, Label
from local_cloud.alerting.notifications.posting import post, write_line
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.outgoing import Client
from local_cloud.logs.entries import rfc3339

SEVERITIES = {"Critical": "critical", "Error": "error", "Warning": "warning"}


async def deliver(cloud: Cloud, client: Client, channel: Message, body: dict[str, Any]) -> str:
    """Post the event, or write it down without its key."""
    made = event(channel.labels["service_key"], body["incident"])
    if cloud.settings.pagerduty_url:
        return await post(client, cloud.settings.pagerduty_url, made)
    return write_line(cloud, "pagerduty", {**made, "routing_key": ""})


def event(key: str, incident: dict[str, Any]) -> dict[str, Any]:
    """What PagerDuty is told: one alert an incident, resolved when it ends."""
    made: dict[str, Any] = {
        "routing_key": key,
        "event_action": "trigger" if incident["state"] == "open" else "resolve",
        "dedup_key": incident["incident_id"],
    }
    if incident["state"] != "open":
        return made
    return made | {
        "payload": {
            "summary": incident["summary"][:1024],
            "source": incident["resource_display_name"],
            "severity": SEVERITIES.get(incident["severity"], "error"),
            "timestamp": rfc3339(incident["started_at"]),
            "class": incident["condition_name"],
            "custom_details": incident,
        },
        "client": "Google Cloud Monitoring",
        "client_url": incident["url"],
    }


KIND = Kind(
    type="pagerduty",
    name="PagerDuty",
    text="A channel that delivers notifications to PagerDuty.",
    labels=(Label("service_key", "The API key for the PagerDuty service.", secret=True),),
    deliver=deliver,
)
