"""``gcp:monitoring``: alert policies and the channels that they notify. The cloud chooses their names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..cloud import Cloud, JsonObject
from ..model import Change
from ..resource_type import Defaults, Inputs
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, number, text, texts

_AGGREGATION = {
    "alignmentPeriod": text(),
    "crossSeriesReducer": text(),
    "groupByFields": texts(),
    "perSeriesAligner": text(),
}
_TRIGGER = block({"count": integer(), "percent": number()})
_THRESHOLD = {
    "aggregations": blocks(_AGGREGATION),
    "comparison": text(required=True),
    "denominatorAggregations": blocks(_AGGREGATION),
    "denominatorFilter": text(),
    "duration": text(required=True),
    "evaluationMissingData": text(),
    "filter": text(),
    "forecastOptions": block({"forecastHorizon": text(required=True)}),
    "thresholdValue": number(),
    "trigger": _TRIGGER,
}
_ABSENT = {
    "aggregations": blocks(_AGGREGATION),
    "duration": text(required=True),
    "filter": text(),
    "trigger": _TRIGGER,
}
_PROMETHEUS = {
    "query": text(required=True),
    "alertRule": text(),
    "disableMetricValidation": flag(),
    "duration": text(),
    "evaluationInterval": text(),
    "labels": labels(),
    "ruleGroup": text(),
}
_CONDITION = {
    "displayName": text(required=True),
    "conditionAbsent": block(_ABSENT),
    "conditionMatchedLog": block({"filter": text(required=True), "labelExtractors": labels()}),
    "conditionPrometheusQueryLanguage": block(_PROMETHEUS),
    "conditionThreshold": block(_THRESHOLD),
}
_STRATEGY = {
    "autoClose": text(),
    "notificationChannelStrategies": blocks({"notificationChannelNames": texts(), "renotifyInterval": text()}),
    "notificationPrompts": texts(),
    "notificationRateLimit": block({"period": text()}),
}
_DOCUMENTATION = {
    "content": text(),
    "links": blocks({"displayName": text(), "url": text()}),
    "mimeType": text(),
    "subject": text(),
}


class MonitoringType(RestType):
    """What the types of Monitoring v3 have in common."""

    endpoint = "monitoring"
    prefix = "v3/"
    names_itself = True
    labelled = False
    computed: ClassVar[Mapping[str, str]] = {"name": "name"}


class AlertPolicy(MonitoringType):
    """An alert policy."""

    token = "gcp:monitoring/alertPolicy:AlertPolicy"
    collection = "projects/{project}/alertPolicies"
    given = frozenset({"conditions.name", "validity"})
    inputs: ClassVar[Shape] = {
        "project": name_part(),
        "alertStrategy": block(_STRATEGY),
        "combiner": text(required=True),
        "conditions": blocks(_CONDITION, required=True),
        "displayName": text(required=True),
        "documentation": block(_DOCUMENTATION),
        "enabled": flag(keep=True),
        "notificationChannels": texts(),
        "severity": text(),
        "userLabels": labels(),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """What the provider states where the program does not."""
        sent: JsonObject = {"enabled": True} | super().body(cloud, inputs)
        if "documentation" in sent:
            sent["documentation"] = {"mimeType": "text/markdown"} | sent["documentation"]
        return sent

    def update_body(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject:
        """Conditions keep their names, and with them their incidents."""
        sent = self.body(cloud, inputs)
        standing = self.fetch(cloud, identity).get("conditions", [])
        for condition, live in zip(sent["conditions"], standing, strict=False):
            if live.get("name"):
                condition["name"] = live["name"]
        return sent


_SENSITIVE = {"authToken": "auth_token", "password": "password", "serviceKey": "service_key"}


class NotificationChannel(MonitoringType):
    """A channel; its sensitive labels travel among the labels and never come back."""

    token = "gcp:monitoring/notificationChannel:NotificationChannel"
    collection = "projects/{project}/notificationChannels"
    masked = False
    given = frozenset({"verificationStatus", *(f"labels.{name}" for name in _SENSITIVE.values())})
    computed: ClassVar[Mapping[str, str]] = {"name": "name", "verificationStatus": "verificationStatus"}
    inputs: ClassVar[Shape] = {
        "project": name_part(),
        "description": text(),
        "displayName": text(),
        "enabled": flag(keep=True),
        "forceDelete": flag(virtual=True),
        "labels": labels(keep=True),
        "sensitiveLabels": block({name: text(secret=True) for name in _SENSITIVE}),
        "type": text(required=True),
        "userLabels": labels(),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """All labels together."""
        sent: JsonObject = {"enabled": True} | super().body(cloud, inputs)
        secret = sent.pop("sensitiveLabels", {})
        given = {_SENSITIVE[name]: value for name, value in secret.items()}
        return sent | {"labels": sent.get("labels", {}) | given}

    def delete_query(self, inputs: Inputs) -> Mapping[str, str]:
        """Whether policies that notify it are changed with it."""
        return {"force": str(bool(inputs.get("forceDelete"))).lower()}

    def declared(self, live: JsonObject, given: Defaults) -> dict[str, Any]:
        """What can be seen of it: where Google hides a token, it stays where it is."""
        found = {"labels": {}} | super().declared(live, given)
        seen = {name: value for name, value in found["labels"].items() if name not in _SENSITIVE.values()}
        return found | {"labels": seen}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """What can be seen of it."""
        hidden = {f"labels.{label}" for label in _SENSITIVE.values()}
        return [one for one in super().drift(cloud, inputs, live) if one.path not in hidden]
