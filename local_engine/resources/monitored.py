"""``gcp:monitoring``: services, their objectives, uptime checks, metric descriptors and dashboards."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar

from .. import diff
from ..cloud import Cloud, JsonObject
from ..model import Change
from ..resource_type import Defaults, Inputs, templated
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, number, required, text, texts
from .alerting import MonitoringType


class CustomService(MonitoringType):
    """A service of one's own."""

    token = "gcp:monitoring/customService:CustomService"
    collection = "projects/{project}/services"
    name_input, name_query, names_itself = "serviceId", "serviceId", False
    inputs: ClassVar[Shape] = {
        "serviceId": name_part(),
        "project": name_part(),
        "displayName": text(),
        "telemetry": block({"resourceName": text()}),
        "userLabels": labels(),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """That it is one's own is said by an empty object."""
        return super().body(cloud, inputs) | {"custom": {}}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """An empty object may be left out of an answer."""
        return [one for one in super().drift(cloud, inputs, live) if one.path != "custom"]


class MetricDescriptor(MonitoringType):
    """A descriptor of a metric of one's own; a change is written like a create."""

    token = "gcp:monitoring/metricDescriptor:MetricDescriptor"
    collection = "projects/{project}/metricDescriptors"
    inputs: ClassVar[Shape] = {
        "project": name_part(),
        "type": text(required=True, replaces=True),
        "labels": blocks({"key": text(required=True), "valueType": text(), "description": text()}, replaces=True),
        "metricKind": text(required=True, replaces=True),
        "valueType": text(required=True, replaces=True),
        "unit": text(),
        "description": text(),
        "displayName": text(),
        "launchStage": text(replaces=True),
        "metadata": block({"ingestDelay": text(), "samplePeriod": text()}),
        "deletionPolicy": text(virtual=True),
    }

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """POST it again."""
        if self.changed_fields(changed):
            path = self.prefix + templated(self.collection, inputs)
            cloud.call(self.endpoint, "POST", path, body=self.body(cloud, inputs))
        return self.fetch(cloud, identity)

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Labels are a set, and a label of text need not say so."""
        declared = self.body(cloud, inputs)
        found = dict(live)
        for one in (declared, found):
            one["labels"] = sorted(
                ({"valueType": "STRING"} | label for label in one.get("labels", ())),
                key=lambda label: str(label["key"]),
            )
        return list(diff.drift(declared, found))


class Dashboard(RestType):
    """A dashboard, given as JSON."""

    token = "gcp:monitoring/dashboard:Dashboard"
    endpoint = "monitoring"
    prefix = "v1/"
    collection = "projects/{project}/dashboards"
    names_itself, masked = True, False
    inputs: ClassVar[Shape] = {
        "project": name_part(),
        "dashboardJson": text(required=True),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """What the JSON says."""
        made: JsonObject = json.loads(inputs["dashboardJson"])
        return made

    def declared(self, live: JsonObject, given: Defaults) -> dict[str, Any]:
        """All of it as JSON, but its name and its etag."""
        kept = {name: value for name, value in live.items() if name not in ("name", "etag")}
        return {"project": given.project, "dashboardJson": json.dumps(kept, sort_keys=True)}

    def unmodelled(self, live: JsonObject) -> list[str]:
        """The JSON holds everything."""
        return []

    def changed_fields(self, changed: frozenset[str]) -> list[str]:
        """It is written whole."""
        return ["dashboardJson"] if changed else []

    def update_body(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject:
        """Under the etag that stands."""
        return self.body(cloud, inputs) | {"etag": self.fetch(cloud, identity).get("etag")}


_AVAILABILITY = {
    "availability": block({"enabled": flag(virtual=True)}, keep=True),
    "latency": block({"threshold": text(required=True)}),
    "locations": texts(),
    "methods": texts(),
    "versions": texts(),
}
_RANGE = block({"max": number(), "min": number()}, required=True)
_RATIO = {"badServiceFilter": text(), "goodServiceFilter": text(), "totalServiceFilter": text()}
_REQUESTS = {
    "distributionCut": block({"distributionFilter": text(required=True), "range": _RANGE}),
    "goodTotalRatio": block(_RATIO),
}
_SERIES = {"range": _RANGE, "timeSeries": text(required=True)}
_GOOD_RATIO = {"basicSliPerformance": block(_AVAILABILITY), "performance": block(_REQUESTS), "threshold": number()}
_WINDOWS = {
    "goodBadMetricFilter": text(),
    "goodTotalRatioThreshold": block(_GOOD_RATIO),
    "metricMeanInRange": block(_SERIES),
    "metricSumInRange": block(_SERIES),
    "windowPeriod": text(),
}
_INDICATORS = {"basicSli": "basicSli", "requestBasedSli": "requestBased", "windowsBasedSli": "windowsBased"}
_INDICATOR = "serviceLevelIndicator"


class Slo(MonitoringType):
    """A service-level objective; its indicator is one of three kinds."""

    token = "gcp:monitoring/slo:Slo"
    collection = "projects/{project}/services/{service}/serviceLevelObjectives"
    name_input, name_query, names_itself = "sloId", "serviceLevelObjectiveId", False
    masks: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "rollingPeriodDays": ("rollingPeriod",),
        "basicSli": (f"{_INDICATOR}.basicSli",),
        "requestBasedSli": tuple(
            f"{_INDICATOR}.requestBased.{field}"
            for field in (
                "goodTotalRatio.badServiceFilter",
                "goodTotalRatio.goodServiceFilter",
                "goodTotalRatio.totalServiceFilter",
                "distributionCut.range",
                "distributionCut.distributionFilter",
            )
        ),
        "windowsBasedSli": tuple(
            f"{_INDICATOR}.windowsBased.{field}"
            for field in (
                "windowPeriod",
                "goodBadMetricFilter",
                "goodTotalRatioThreshold.threshold",
                "goodTotalRatioThreshold.performance.goodTotalRatio.badServiceFilter",
                "goodTotalRatioThreshold.performance.goodTotalRatio.goodServiceFilter",
                "goodTotalRatioThreshold.performance.goodTotalRatio.totalServiceFilter",
                "goodTotalRatioThreshold.performance.distributionCut.range",
                "goodTotalRatioThreshold.performance.distributionCut.distributionFilter",
                "goodTotalRatioThreshold.basicSliPerformance",
                "metricMeanInRange",
                "metricSumInRange",
            )
        ),
    }
    inputs: ClassVar[Shape] = {
        "sloId": name_part(),
        "service": required(name_part()),
        "project": name_part(),
        "displayName": text(),
        "goal": number(required=True),
        "rollingPeriodDays": integer(),
        "calendarPeriod": text(),
        "userLabels": labels(),
        "basicSli": block(_AVAILABILITY),
        "requestBasedSli": block(_REQUESTS),
        "windowsBasedSli": block(_WINDOWS),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """Days as seconds, the indicator below its own name."""
        sent = super().body(cloud, inputs)
        if "rollingPeriodDays" in sent:
            sent["rollingPeriod"] = f"{int(sent.pop('rollingPeriodDays')) * 86400}s"
        indicator = {api: sent.pop(name) for name, api in _INDICATORS.items() if name in sent}
        return sent | {"name": inputs["sloId"], _INDICATOR: indicator}

    def changed_fields(self, changed: frozenset[str]) -> list[str]:
        """Drift is named by the body."""
        back = {"rollingPeriod": "rollingPeriodDays"} | ({_INDICATOR: "basicSli"} if _INDICATOR in changed else {})
        return super().changed_fields(frozenset(back.get(name, name) for name in changed))

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Its name reads back in full."""
        return [one for one in super().drift(cloud, inputs, live) if one.path != "name"]


_PING = block({"pingsCount": integer(required=True)})
_HTTP = {
    "acceptedResponseStatusCodes": blocks({"statusClass": text(), "statusValue": integer()}),
    "authInfo": block({"username": text(required=True), "password": text(secret=True)}),
    "body": text(),
    "contentType": text(),
    "customContentType": text(),
    "headers": labels(),
    "maskHeaders": flag(),
    "path": text(),
    "pingConfig": _PING,
    "port": integer(),
    "requestMethod": text(replaces=True),
    "serviceAgentAuthentication": block({"type": text()}),
    "useSsl": flag(),
    "validateSsl": flag(),
}
_MATCHER = {
    "content": text(required=True),
    "matcher": text(),
    "jsonPathMatcher": block({"jsonPath": text(required=True), "jsonMatcher": text()}),
}
_RESOURCE = {"type": text(required=True, replaces=True), "labels": labels(required=True, replaces=True)}


class UptimeCheck(MonitoringType):
    """An uptime check."""

    token = "gcp:monitoring/uptimeCheckConfig:UptimeCheckConfig"
    collection = "projects/{project}/uptimeCheckConfigs"
    patches_mutable = True
    inputs: ClassVar[Shape] = {
        "project": name_part(),
        "checkerType": text(replaces=True),
        "contentMatchers": blocks(_MATCHER),
        "displayName": text(required=True),
        "httpCheck": block(_HTTP),
        "logCheckFailures": flag(),
        "monitoredResource": block(_RESOURCE, replaces=True),
        "period": text(),
        "selectedRegions": texts(),
        "tcpCheck": block({"port": integer(required=True), "pingConfig": _PING}),
        "timeout": text(required=True),
        "userLabels": labels(),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """What the provider states where the program does not."""
        sent: JsonObject = {"period": "300s"} | super().body(cloud, inputs)
        if "httpCheck" in sent:
            sent["httpCheck"] = {"path": "/", "requestMethod": "GET"} | sent["httpCheck"]
        for matcher in sent.get("contentMatchers", ()):
            matcher.setdefault("matcher", "CONTAINS_STRING")
        return sent

    def outputs(self, inputs: Inputs, live: JsonObject) -> dict[str, Any]:
        """Its name, in full and short."""
        name = str(live.get("name", ""))
        return {"name": name, "uptimeCheckId": name.rpartition("/")[2]}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """A password never comes back."""
        found = super().drift(cloud, inputs, live)
        return [one for one in found if not one.path.startswith("httpCheck.authInfo.password")]
