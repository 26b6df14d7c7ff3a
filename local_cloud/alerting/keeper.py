"""Opens, closes and repeats: what happens to an incident besides being found, and who is told of it.

Owns the notification strategy of a policy (prompts, reminders), what stands in the logs of Monitoring about incidents,
and the history. Used by evaluation.py for series and by log_matches.py for logs.
Sources: google/monitoring/v3/alert.proto (AlertStrategy), https://cloud.google.com/monitoring/alerts/incidents-events.
"""

from typing import Any

from local_cloud.alerting import notices
from local_cloud.alerting.incidents import Incident, Incidents
from local_cloud.alerting.outbox import Outbox
from local_cloud.alerting.words import POLICY, PROMPTS
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.logs.entries import Entries, rfc3339

#: Logs that Monitoring writes of incidents.
OPENED = "monitoring.googleapis.com/ViolationOpenEventv1"
CLOSED = "monitoring.googleapis.com/ViolationAutoResolveEventv1"


class Keeper:
    """The incidents of the project and what is sent of them."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self.incidents = Incidents(cloud.store)
        self.outbox = Outbox(cloud)
        self._policies = cloud.store.messages(f"plain.{POLICY}", POLICY)

    def open(
        self,
        policy: Message,
        condition: Message,
        series: list[Any],
        at: float,
        *,
        value: float | None = None,
        extracted: dict[str, str] | None = None,
        told: bool = True,
    ) -> Incident | None:
        """A new incident; None where the policy has too many already."""
        if self.incidents.is_full(policy.name):
            return None
        incident = self.incidents.open(policy.name, condition.name, series, at, extracted)
        notices.opened(self._cloud, policy, condition, incident, value)
        if told:
            for channel in policy.notification_channels:
                incident.reminded[channel] = at
                self.outbox.add(channel, incident)
        self.incidents.save(incident)
        self._log("WARNING", OPENED, incident, at)
        return incident

    def close(self, incident: Incident, at: float, why: str, value: float | None = None, *, told: bool = True) -> None:
        """Ends an incident; the policy it had then says who is told."""
        self.incidents.close(incident, at, why)
        notices.closed(incident, value)
        self.incidents.save(incident)
        policy = self._policies.get(incident.policy)
        prompts = [PROMPTS[prompt] for prompt in policy.alert_strategy.notification_prompts] if policy else []
        if told and incident.extracted is None and (not prompts or "CLOSED" in prompts):
            for channel in incident.reminded:
                self.outbox.add(channel, incident)
        self._log("INFO", CLOSED, incident, at)

    def again(self, incident: Incident, channels: list[str], at: float) -> None:
        """Tells channels once more of what is still open."""
        for channel in channels:
            incident.reminded[channel] = at
            self.outbox.add(channel, incident)
        self.incidents.save(incident)

    def remind(self, policy: Message, incident: Incident, at: float) -> float:
        """Sends the reminders that are due; when the next one is (0: never)."""
        due: list[str] = []
        coming: list[float] = []
        for strategy in policy.alert_strategy.notification_channel_strategy:
            interval = strategy.renotify_interval.ToNanoseconds() / 1e9
            for channel in strategy.notification_channel_names if interval else ():
                when = incident.reminded.get(channel, incident.opened) + interval
                if when <= at:
                    due.append(channel)
                    when = at + interval
                coming.append(when)
        if due:
            self.again(incident, due, at)
        return min(coming, default=0.0)

    def _log(self, severity: str, log: str, incident: Incident, at: float) -> None:
        told = incident.notice
        labels = {
            "policy_display_name": told["policy_name"],
            "policy_id": incident.policy.rpartition("/")[2],
            "incident_id": incident.id,
            "terse_message": told["summary"],
            "verbose_message": told["summary"],
        }
        entry: dict[str, Any] = {"logName": log, "severity": severity, "labels": labels, "timestamp": rfc3339(at)}
        self._cloud.use(Entries).write(entry | {"textPayload": told["summary"], "resource": told["resource"]})
