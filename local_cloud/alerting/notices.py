"""What channels are told of an incident: the `incident` of Google's notification schema, version 1.2, and its words.

Owns the fields, the summaries and the subject of mails. Source:
https://cloud.google.com/monitoring/support/notification-options (webhooks), and payloads that people have shown.
`url` points at the alert in this cloud instead of Google's console (our own choice: it can be followed).
"""

from collections.abc import Mapping
from typing import Any

from local_cloud.alerting.documents import Facts, render
from local_cloud.alerting.incidents import Incident, key_of
from local_cloud.alerting.words import COMPARISONS, SEVERITIES
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.metrics.catalogue import Catalogue
from local_cloud.metrics.descriptors import RESOURCES
from local_cloud.server.json_codec import encode

VERSION = "1.2"
#: A mail's subject is cut at the limit of a documentation's.
MAX_SUBJECT = 255


def opened(cloud: Cloud, policy: Message, condition: Message, incident: Incident, value: float | None) -> None:
    """Writes the notice of an incident that was just opened."""
    key = key_of(incident.series)
    metric, labels = key.metric, dict(key.metric_labels)
    resource, resource_labels = key.resource, dict(key.resource_labels)
    metric_name = _metric_name(cloud, metric)
    kind = RESOURCES[resource][0] if resource in RESOURCES else resource.replace("_", " ").title()
    severity = SEVERITIES[policy.severity]
    facts = Facts(
        project=cloud.project,
        policy=policy.name,
        policy_name=policy.display_name,
        condition=condition.name,
        condition_name=condition.display_name,
        metric=metric,
        metric_name=metric_name,
        resource=resource,
        user_labels=dict(policy.user_labels),
        metric_labels=labels,
        resource_labels=resource_labels,
        extracted=incident.extracted or {},
    )
    named = f"{kind} labels {braced(resource_labels)}"
    door = f"http://{cloud.settings.reachable_host}:{cloud.ports.get('rest', 0)}"
    told = {
        "incident_id": incident.id,
        "scoping_project_id": cloud.project,
        "scoping_project_number": int(cloud.settings.project_number),
        "url": f"{door}/v3/projects/{cloud.project}/alerts/{incident.id}",
        "severity": "No severity" if severity == "SEVERITY_UNSPECIFIED" else severity.capitalize(),
        "started_at": int(incident.opened),
        "ended_at": None,
        "state": "open",
        "resource_id": "",
        "resource_name": f"{cloud.project} {named}",
        "resource_display_name": named,
        "resource_type_display_name": kind,
        "resource": {"type": resource, "labels": resource_labels},
        "metric": {"type": metric, "displayName": metric_name, "labels": labels},
        "metadata": {"system_labels": {}, "user_labels": {}},
        "policy_name": policy.display_name,
        "policy_user_labels": dict(policy.user_labels),
        "condition_name": condition.display_name,
        "condition": encode(condition),
    }
    if condition.HasField("condition_threshold"):
        told["threshold_value"] = number(condition.condition_threshold.threshold_value)
    if value is not None:
        told["observed_value"] = number(value)
    incident.notice = told
    told["summary"] = _summary(condition, incident, value)
    told["documentation"] = _documentation(policy.documentation, facts, told)


def closed(incident: Incident, value: float | None) -> None:
    """Says in the notice that the incident has ended."""
    told = incident.notice
    told |= {"state": "closed", "ended_at": int(incident.closed)}
    subject = str(told["documentation"]["subject"])
    told["documentation"]["subject"] = subject.replace("[ALERT - ", "[RESOLVED - ", 1)
    if value is None or incident.extracted is not None:
        told["summary"] = f"{told['condition_name']}: {incident.why}."
        return
    told["observed_value"] = number(value)
    told["summary"] = f"{_subject_of(told)} returned to normal with a value of {value:.3f}."


def number(value: float) -> str:
    """A number as a text: the shortest form, to six digits."""
    return f"{value:g}"


def braced(labels: Mapping[str, str]) -> str:
    """Labels as summaries show them."""
    return "{" + ", ".join(f"{key}={value}" for key, value in sorted(labels.items())) + "}"


def _metric_name(cloud: Cloud, metric: str) -> str:
    found = cloud.use(Catalogue).get(metric) if metric else None
    return str(found.display_name) or metric if found is not None else metric


def _subject_of(told: Mapping[str, Any]) -> str:
    labels = told["metric"]["labels"]
    more = f" with metric labels {braced(labels)}" if labels else ""
    return f"{told['metric']['displayName']} for {told['resource_name']}{more}"


def _summary(condition: Message, incident: Incident, value: float | None) -> str:
    told = incident.notice
    if incident.extracted is not None:
        labels = f" with labels {braced(incident.extracted)}" if incident.extracted else ""
        where = f"{told['resource_type_display_name']} with {braced(told['resource']['labels'])}"
        return f"Log match condition{labels} fired for {where}."
    if condition.HasField("condition_absent"):
        minutes = condition.condition_absent.duration.seconds // 60
        return f"{_subject_of(told)} has not been seen for over {minutes} minutes."
    inner = condition.condition_threshold
    side = "above" if COMPARISONS[inner.comparison] == "COMPARISON_GT" else "below"
    verb = "is forecast to be" if inner.HasField("forecast_options") else "is"
    seen = f" with a value of {value:.3f}" if value is not None else ""
    return f"{_subject_of(told)} {verb} {side} the threshold of {inner.threshold_value:.3f}{seen}."


def _documentation(given: Message, facts: Facts, told: Mapping[str, Any]) -> dict[str, Any]:
    subject = render(given.subject, facts)
    if not subject:
        about = told["condition_name"] or told["policy_name"]
        subject = f"[ALERT - {told['severity']}] {about} on {told['resource_name']}"
    made: dict[str, Any] = {
        "content": render(given.content, facts),
        "mime_type": given.mime_type or "text/markdown",
        "subject": subject[:MAX_SUBJECT],
    }
    if given.links:
        made["links"] = [{"displayName": link.display_name, "url": render(link.url, facts)} for link in given.links]
    return made
