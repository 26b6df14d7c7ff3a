"""What a service must be to be accepted, and what Cloud Run fills in where nothing was said.

Pure functions over messages. Limits: https://cloud.google.com/run/quotas and google/cloud/run/v2/*.proto.
Messages are Google's where one was seen (`Violation in ...`), otherwise ours in its style.
"""

import re
from collections.abc import Collection, Iterable

from local_cloud.descriptors import Message, enum, message
from local_cloud.run.containers import (
    check_containers,
    check_volumes,
    fill_in_probes,
    fill_in_resources,
    violation,
)
from local_cloud.run.names import MAX_LABEL
from local_cloud.run.resources import quantity

_TYPES = enum("google.cloud.run.v2.TrafficTargetAllocationType")
LATEST = _TYPES["TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"]
BY_REVISION = _TYPES["TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"]
MANUAL = enum("google.cloud.run.v2.ServiceScaling.ScalingMode")["MANUAL"]

DEFAULT_TIMEOUT, MAX_TIMEOUT = 300, 3600
#: A job's task may run for a week.
MAX_JOB_TIMEOUT = 7 * 86400
#: Requests an instance by default with one CPU or more, and at most.
DEFAULT_CONCURRENCY, MAX_CONCURRENCY = 80, 1000
DEFAULT_MAX_INSTANCES = 100
DEFAULT_PORT = 8080
#: What a namespace of labels and annotations must not be: the system's own have fields in v2.
SYSTEM_NAMESPACES = ("run.googleapis.com", "cloud.googleapis.com", "serving.knative.dev", "autoscaling.knative.dev")
MAX_DESCRIPTION = 512

_SERVICE_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,47}[a-z0-9])?")
_REVISION_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TAG = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")


def check_service_id(service_id: str, where: str = "CreateServiceRequest.service_id") -> None:
    """Refuse a service id that no URL could carry; jobs have the same."""
    if not _SERVICE_ID.fullmatch(service_id):
        raise violation(
            where,
            f"'{service_id}' must begin with a lower-case letter, contain only lower-case letters, digits and -, not "
            "end with -, and have less than 50 characters.",
        )


def fill_in(service: Message, default_account: str) -> None:
    """Put Cloud Run's defaults where the caller said nothing, as a later read shows them."""
    template = service.template
    if not service.ingress:
        service.ingress = enum("google.cloud.run.v2.IngressTraffic")["INGRESS_TRAFFIC_ALL"]
    if not service.launch_stage:
        service.launch_stage = enum("google.api.LaunchStage")["GA"]
    if not template.HasField("timeout"):
        template.timeout.FromSeconds(DEFAULT_TIMEOUT)
    if not template.service_account:
        template.service_account = default_account
    fill_in_resources(template.containers, serves=True)
    if not template.max_instance_request_concurrency:
        template.max_instance_request_concurrency = 1 if _cpu(template) < 1 else DEFAULT_CONCURRENCY
    if not template.scaling.max_instance_count:
        template.scaling.max_instance_count = DEFAULT_MAX_INSTANCES
    ingress = serving_container(template)
    if ingress is not None:
        if not ingress.ports:
            ingress.ports.add(container_port=DEFAULT_PORT)
        for port in ingress.ports:
            port.name, port.container_port = port.name or "http1", port.container_port or DEFAULT_PORT
        fill_in_probes(ingress)
    if not service.traffic:
        service.traffic.add(type=LATEST, percent=100)


def _cpu(template: Message) -> float:
    container = serving_container(template)
    return (quantity(container.resources.limits.get("cpu", "1")) or 1) if container is not None else 1


def serving_container(template: Message) -> Message | None:
    """The container that requests go to: the one with a port, or the only one."""
    with_port = [container for container in template.containers if container.ports]
    if with_port:
        return with_port[0]
    return template.containers[0] if len(template.containers) == 1 else None


def check_template(service_id: str, template: Message, where: str) -> None:
    """Refuse a template that Cloud Run would refuse at once."""
    if not template.containers:
        raise violation(f"{where}.template.containers", "at least one container is required.")
    if len(template.containers) > 1 and sum(bool(c.ports) for c in template.containers) != 1:
        raise violation(f"{where}.template.containers", "exactly one of several containers must have a port.")
    check_volumes(template.volumes, f"{where}.template.volumes")
    check_containers(template.containers, f"{where}.template.containers", volumes=template.volumes)
    if template.revision:
        if not template.revision.startswith(f"{service_id}-"):
            raise violation(
                f"{where}.template.revision",
                f"Revision name '{template.revision}' must be prefixed by the name of the enclosing Service "
                f"'{service_id}' with trailing -.",
            )
        if not _REVISION_ID.fullmatch(template.revision):
            raise violation(f"{where}.template.revision", "lower-case letters, digits and -, at most 63 characters.")
    if not 1 <= template.timeout.ToSeconds() <= MAX_TIMEOUT:
        raise violation(f"{where}.template.timeout", f"must be between 1s and {MAX_TIMEOUT}s.")
    if not 1 <= template.max_instance_request_concurrency <= MAX_CONCURRENCY:
        raise violation(
            f"{where}.template.max_instance_request_concurrency", f"must be between 1 and {MAX_CONCURRENCY}."
        )
    if template.max_instance_request_concurrency > 1 and _cpu(template) < 1:
        raise violation(
            f"{where}.template.max_instance_request_concurrency", "must be 1 where a container has less than 1 CPU."
        )
    scaling = template.scaling
    if scaling.min_instance_count < 0 or scaling.max_instance_count < 0:
        raise violation(f"{where}.template.scaling", "instance counts must not be negative.")
    if scaling.min_instance_count > scaling.max_instance_count:
        raise violation(
            f"{where}.template.scaling.min_instance_count",
            f"{scaling.min_instance_count} must not be greater than max_instance_count {scaling.max_instance_count}.",
        )


def check_service(service: Message, where: str) -> None:
    """Refuse what a service as a whole cannot be, or what the local cloud would have to pretend."""
    if len(service.description) > MAX_DESCRIPTION:
        raise violation(f"{where}.description", f"must have at most {MAX_DESCRIPTION} characters.")
    scaling = service.scaling
    if min(scaling.min_instance_count, scaling.max_instance_count, scaling.manual_instance_count) < 0:
        raise violation(f"{where}.scaling", "instance counts must not be negative.")
    if scaling.max_instance_count and scaling.min_instance_count > scaling.max_instance_count:
        raise violation(
            f"{where}.scaling.min_instance_count",
            f"{scaling.min_instance_count} must not be greater than max_instance_count {scaling.max_instance_count}.",
        )
    if scaling.scaling_mode == MANUAL and not scaling.HasField("manual_instance_count"):
        raise violation(f"{where}.scaling.manual_instance_count", "is required where scaling_mode is MANUAL.")
    if service.iap_enabled:
        raise violation(f"{where}.iap_enabled", "the local cloud has no Identity-Aware Proxy: use roles/run.invoker.")
    if service.HasField("multi_region_settings"):
        raise violation(f"{where}.multi_region_settings", "the local cloud runs a service in one region.")


def check_metadata(labels: Iterable[str], annotations: Iterable[str], where: str) -> None:
    """Refuse keys of labels and annotations that belong to the system; v2 has fields for what they say."""
    for field, keys in (("labels", labels), ("annotations", annotations)):
        for key in keys:
            if key.partition("/")[0] in SYSTEM_NAMESPACES and "/" in key:
                raise violation(f"{where}.{field}", f"'{key}' is in a namespace that is the system's own.")


def check_traffic(
    service_id: str, number: str, traffic: Collection[Message], revisions: Collection[str], where: str
) -> None:
    """Refuse a split that does not add up, tags that clash or fit no URL, and revisions that do not exist."""
    percent, tags = 0, set()
    for index, target in enumerate(traffic):
        at = f"{where}.traffic[{index}]"
        if not 0 <= target.percent <= 100:
            raise violation(f"{at}.percent", "must be between 0 and 100.")
        percent += target.percent
        if target.type == LATEST and target.revision:
            raise violation(f"{at}.revision", "must be empty where the type is LATEST.")
        if target.type != LATEST:
            if not target.revision:
                raise violation(f"{at}.revision", "a revision is required where the type is REVISION.")
            if target.revision.rpartition("/")[2] not in revisions:
                raise violation(f"{at}.revision", f"Revision '{target.revision}' does not exist.")
        if target.tag:
            if not _TAG.fullmatch(target.tag) or "---" in target.tag:
                raise violation(f"{at}.tag", f"'{target.tag}' must be lower-case letters, digits and -.")
            if len(f"{target.tag}---{service_id}-{number}") > MAX_LABEL:
                raise violation(
                    f"{at}.tag",
                    f"with its service, '{target.tag}' is too long for a URL of {MAX_LABEL} characters a label.",
                )
            if target.tag in tags:
                raise violation(f"{at}.tag", f"the tag '{target.tag}' is there twice.")
            tags.add(target.tag)
    if percent != 100:
        raise violation(f"{where}.traffic", f"the percents of traffic must sum to 100, not {percent}.")


def same_template(first: Message, second: Message) -> bool:
    """Whether two templates make the same revision."""
    pair = []
    for template in (first, second):
        plain = message("google.cloud.run.v2.RevisionTemplate")()
        plain.CopyFrom(template)
        plain.revision = ""
        pair.append(plain.SerializeToString(deterministic=True))
    return bool(pair[0] == pair[1])
