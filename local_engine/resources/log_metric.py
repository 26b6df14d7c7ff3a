"""``gcp:logging/metric:Metric``: a metric counted from log lines."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import quote

from ..cloud import Cloud, JsonObject
from ..model import Change
from ..resource_type import Defaults, Inputs, templated
from ..rest_type import RestType
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, number, numbers, text

_LABEL = {"key": text(required=True, replaces=True), "description": text(), "valueType": text(replaces=True)}
_DESCRIPTOR = {
    "displayName": text(),
    "labels": blocks(_LABEL),
    "metricKind": text(required=True),
    "unit": text(),
    "valueType": text(required=True),
}

_BUCKETS = {
    "explicitBuckets": block({"bounds": numbers(required=True)}),
    "exponentialBuckets": block(
        {
            "growthFactor": number(required=True),
            "numFiniteBuckets": integer(required=True),
            "scale": number(required=True),
        }
    ),
    "linearBuckets": block(
        {"numFiniteBuckets": integer(required=True), "offset": number(required=True), "width": number(required=True)}
    ),
}


class LogMetric(RestType):
    """A log-based metric; the whole of it is written at each change."""

    token = "gcp:logging/metric:Metric"
    endpoint = "logging"
    collection = "projects/{project}/metrics"
    masked = False
    given = frozenset(
        {"version", "resourceName", *(f"metricDescriptor.{name}" for name in ("name", "type", "description"))}
    )
    patch_method = "PUT"
    inputs: ClassVar[Shape] = {
        "name": text(),
        "project": name_part(),
        "bucketOptions": block(_BUCKETS),
        "description": text(),
        "disabled": flag(),
        "filter": text(required=True),
        "labelExtractors": labels(),
        "metricDescriptor": block(_DESCRIPTOR),
        "valueExtractor": text(),
    }

    def identity(self, inputs: Inputs) -> str:
        """The name may hold slashes and travels escaped; the provider's id is the bare name."""
        name = templated("{name}", inputs)
        project = templated("{project}", inputs)
        return f"projects/{project}/metrics/{quote(name, safe='')}" if name and project else ""

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """A label of text need not say so."""
        found = super().drift(cloud, inputs, live)
        return [one for one in found if not (one.new == "STRING" and one.path.endswith("].valueType"))]

    def declared(self, live: JsonObject, given: Defaults) -> dict[str, Any]:
        """Under its bare name."""
        return super().declared(live, given) | {"name": str(live["name"])}

    def import_id(self, inputs: Inputs, identity: str) -> str:  # noqa: ARG002 - one signature for all types
        """The provider asks for the bare name."""
        return str(inputs["name"])

    def sent_name(self, inputs: Inputs) -> str:
        """The bare name."""
        return str(inputs["name"])
