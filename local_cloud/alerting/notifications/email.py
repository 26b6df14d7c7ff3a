"""Mail: a file a message (RFC 5322) in the folder `mail` of the state; nothing leaves the machine."""

from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

from local_cloud.alerting.notifications import Kind, Label
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.outgoing import Client

SENDER = "Google Cloud Alerting <alerting-noreply@google.com>"


async def deliver(cloud: Cloud, _client: Client, channel: Message, body: dict[str, Any]) -> str:
    """Write the message down."""
    incident, now = body["incident"], cloud.now()
    made = EmailMessage()
    made["From"], made["To"] = SENDER, channel.labels["email_address"]
    made["Subject"] = " ".join(incident["documentation"]["subject"].split())
    made["Date"] = format_datetime(datetime.fromtimestamp(now, UTC))
    made["Message-ID"] = f"<{incident['incident_id']}.{incident['state']}.{now:.6f}@{cloud.project}>"
    made.set_content(text(incident))
    folder = cloud.settings.state / "mail"
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / f"{now:.6f}-{incident['incident_id']}-{incident['state']}.eml"
    path.write_bytes(bytes(made))
    return str(path)


def text(incident: dict[str, Any]) -> str:
    """The body."""
    started = datetime.fromtimestamp(incident["started_at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    lines = [
        "Alert firing" if incident["state"] == "open" else "Alert recovered",
        incident["summary"],
        "",
        f"Policy: {incident['policy_name']}",
        f"Condition: {incident['condition_name']}",
        f"Severity: {incident['severity']}",
        f"Start time: {started}",
    ]
    if incident["ended_at"]:
        ended = datetime.fromtimestamp(incident["ended_at"], UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        lines.append(f"End time: {ended}")
    lines += ["", f"View incident: {incident['url']}"]
    if incident["documentation"]["content"]:
        lines += ["", "Policy documentation", "", incident["documentation"]["content"]]
    lines += [f"{link['displayName']}: {link['url']}" for link in incident["documentation"].get("links", ())]
    return "\n".join(lines) + "\n"


KIND = Kind(
    type="email",
    name="Email",
    text="A channel that delivers notifications to an email address.",
    labels=(Label("email_address", "The email address to which to send notifications."),),
    deliver=deliver,
)
