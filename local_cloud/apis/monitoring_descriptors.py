"""Cloud Monitoring: which metrics and monitored resources there are, and metrics that users make.

The platform's own are tables (metrics/descriptors/); custom ones are kept by metrics/catalogue.py.
Source: google/monitoring/v3/metric_service.proto, https://cloud.google.com/monitoring/custom-metrics.
"""

import re

from local_cloud.apis.monitoring import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, invalid, not_found
from local_cloud.metrics import query
from local_cloud.metrics.catalogue import MAX_CUSTOM, Catalogue
from local_cloud.metrics.descriptors import CUSTOM, KINDS, METRICS, RESOURCES, TYPES, resource_message
from local_cloud.plain import page
from local_cloud.registry import Call

_LABEL = re.compile(r"[a-zA-Z][a-zA-Z0-9_]{0,99}")
_TYPE = re.compile(r"[a-zA-Z0-9.-]+/[A-Za-z0-9_./-]+")
MAX_LABELS, MAX_PAGE = 30, 10_000


@API.on_start
async def start(cloud: Cloud) -> None:
    """The custom metrics are there again."""
    cloud.provide(Catalogue(cloud.store, cloud.project))


@API.rpc("MetricService.ListMetricDescriptors", permission="monitoring.metricDescriptors.list")
async def list_metric_descriptors(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Every metric that a filter of metric.type, resource.type, project and labels lets through."""
    wanted = query.parse(request.filter)
    found = []
    for descriptor in cloud.use(Catalogue).all():
        subject = {("metric.type", ""): str(descriptor.type), ("project", ""): cloud.project}
        subject.update({("metric.labels", label.key): "" for label in descriptor.labels})
        kinds = list(descriptor.monitored_resource_types) or list(RESOURCES)
        if any(wanted.matches(subject | {("resource.type", ""): kind}) for kind in kinds):
            found.append(descriptor)
    size = page_size(request.page_size)
    taken, token = page(found, size, request.page_token, lambda d: str(d.type), default=MAX_PAGE, most=MAX_PAGE)
    response = message("google.monitoring.v3.ListMetricDescriptorsResponse")
    return response(metric_descriptors=taken, next_page_token=token)


@API.rpc("MetricService.GetMetricDescriptor", permission="monitoring.metricDescriptors.get")
async def get_metric_descriptor(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One metric."""
    metric = request.name.partition("/metricDescriptors/")[2]
    found = cloud.use(Catalogue).get(metric)
    if found is None:
        raise not_found(f"Could not find descriptor for metric '{metric}'.")
    return found


@API.rpc("MetricService.CreateMetricDescriptor", permission="monitoring.metricDescriptors.create")
async def create_metric_descriptor(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Make a custom metric, or change one: labels may be added, kind and type stay."""
    catalogue, given = cloud.use(Catalogue), request.metric_descriptor
    check_type(given.type, "metricDescriptor.type")
    if given.metric_kind == KINDS["METRIC_KIND_UNSPECIFIED"]:
        raise invalid("Field metricDescriptor.metricKind is required.")
    if given.value_type in (TYPES["VALUE_TYPE_UNSPECIFIED"], TYPES["MONEY"]):
        raise invalid("Field metricDescriptor.valueType must be BOOL, INT64, DOUBLE, STRING or DISTRIBUTION.")
    if given.value_type in (TYPES["BOOL"], TYPES["STRING"]) and given.metric_kind != KINDS["GAUGE"]:
        raise invalid("Field metricDescriptor.valueType: BOOL and STRING are for metrics of kind GAUGE.")
    if len(given.labels) > MAX_LABELS:
        raise invalid(f"Field metricDescriptor.labels: a metric may have at most {MAX_LABELS} labels.")
    for index, label in enumerate(given.labels):
        if not _LABEL.fullmatch(label.key):
            raise invalid(
                f'Field metricDescriptor.labels[{index}].key had an invalid value of "{label.key}": a letter, then '
                "letters, digits and underscores, at most 100."
            )
    known = catalogue.custom.get(given.type)
    if known is not None and (known.metric_kind, known.value_type) != (given.metric_kind, given.value_type):
        raise invalid(
            f"Metric kind and value type of {given.type} cannot be changed. Delete the descriptor, and with it its "
            "data, before making it anew."
        )
    if known is None and len(catalogue.custom) >= MAX_CUSTOM:
        raise ApiError("RESOURCE_EXHAUSTED", f"The project has {MAX_CUSTOM} custom metrics, which is the limit.")
    return catalogue.keep(given)


@API.rpc("MetricService.DeleteMetricDescriptor", permission="monitoring.metricDescriptors.delete")
async def delete_metric_descriptor(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a custom metric with its data."""
    metric, catalogue = request.name.partition("/metricDescriptors/")[2], cloud.use(Catalogue)
    if metric in METRICS:
        raise invalid(f"{metric} is a metric of the platform: only metrics that users made can be deleted.")
    if catalogue.custom.pop(metric) is None:
        raise not_found(f"Could not find descriptor for metric '{metric}'.")
    for kept in list(cloud.meter.points.find(metric)):
        cloud.meter.points.forget(kept)
    return message("google.protobuf.Empty")()


@API.rpc("MetricService.ListMonitoredResourceDescriptors", permission="monitoring.monitoredResourceDescriptors.list")
async def list_resource_descriptors(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Every monitored resource that a filter of resource.type lets through."""
    wanted = query.parse(request.filter)
    found = [
        kind for kind in RESOURCES if wanted.matches({("resource.type", ""): kind, ("project", ""): cloud.project})
    ]
    size = page_size(request.page_size)
    taken, token = page(found, size, request.page_token, str, default=1000)
    response = message("google.monitoring.v3.ListMonitoredResourceDescriptorsResponse")
    made = [resource_message(cloud.project, kind) for kind in taken]
    return response(resource_descriptors=made, next_page_token=token)


@API.rpc("MetricService.GetMonitoredResourceDescriptor", permission="monitoring.monitoredResourceDescriptors.get")
async def get_resource_descriptor(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One monitored resource."""
    kind = request.name.partition("/monitoredResourceDescriptors/")[2]
    if kind not in RESOURCES:
        raise not_found(f"Could not find descriptor for monitored resource '{kind}'.")
    return resource_message(cloud.project, kind)


def check_type(metric: str, field: str) -> None:
    """The type of a metric that a user makes."""
    if not _TYPE.fullmatch(metric) or len(metric) > 200:
        why = "The metric type must be a URL-formatted string with a domain and non-empty path."
        raise invalid(f'Field {field} had an invalid value of "{metric}": {why}')
    if not metric.startswith(CUSTOM):
        allowed = ", ".join(f'"{prefix}"' for prefix in CUSTOM)
        raise invalid(f'Field {field} had an invalid value of "{metric}": it must start with one of {allowed}.')


def page_size(size: int) -> int:
    """A size of pages that is none below zero."""
    if size < 0:
        raise invalid("Field pageSize must not be negative.")
    return size
