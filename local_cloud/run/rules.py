"""What a service must be to be accepted, and what Cloud Run fills in where nothing was said.

Pure functions over messages. Limits: https://cloud.google.com/run/quotas and google/cloud/run/v2/*.proto.
Messages are Google's where one was seen (`Violation in ...`), otherwise ours in its style.
"""

import re
from collections.abc import Collection, Iterable

from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, bad_request, invalid
from local_cloud.run.names import MAX_LABEL

_TYPES = enum("google.cloud.run.v2.TrafficTargetAllocationType")
LATEST = _TYPES["TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"]
BY_REVISION = _TYPES["TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"]

DEFAULT_TIMEOUT, MAX_TIMEOUT = 300, 3600
#: A job's task may run for a week.
MAX_JOB_TIMEOUT = 7 * 86400
#: Requests an instance by default with one CPU or more, and at most.
DEFAULT_CONCURRENCY, MAX_CONCURRENCY = 80, 1000
DEFAULT_MAX_INSTANCES = 100
DEFAULT_PORT = 8080
RESERVED_ENV = frozenset({"PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"})

_SERVICE_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,47}[a-z0-9])?")
_REVISION_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")
_TAG = re.compile(r"[a-z](?:[a-z0-9-]*[a-z0-9])?")
_ENV = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")


def violation(where: str, why: str) -> ApiError:
    """INVALID_ARGUMENT with the field that is wrong."""
    return invalid(f"Violation in {where}: {why}", bad_request([(where, why)]))


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
    if not template.max_instance_request_concurrency:
        template.max_instance_request_concurrency = DEFAULT_CONCURRENCY
    if not template.scaling.max_instance_count:
        template.scaling.max_instance_count = DEFAULT_MAX_INSTANCES
    for container in template.containers:
        if not container.resources.limits:
            container.resources.limits["cpu"] = "1000m"
            container.resources.limits["memory"] = "512Mi"
    ingress = serving_container(template)
    if ingress is not None:
        if not ingress.ports:
            ingress.ports.add(container_port=DEFAULT_PORT)
        for port in ingress.ports:
            port.name = port.name or "http1"
        _fill_in_probe(ingress)
    if not service.traffic:
        service.traffic.add(type=LATEST, percent=100)


def _fill_in_probe(container: Message) -> None:
    port = container.ports[0].container_port
    probe = container.startup_probe
    if not probe.WhichOneof("probe_type"):
        probe.tcp_socket.port = port
        probe.timeout_seconds = probe.timeout_seconds or 240
        probe.period_seconds = probe.period_seconds or 240
        probe.failure_threshold = probe.failure_threshold or 1
    probe.timeout_seconds = probe.timeout_seconds or 1
    probe.period_seconds = probe.period_seconds or 10
    probe.failure_threshold = probe.failure_threshold or 3
    kind = probe.WhichOneof("probe_type")
    if kind == "http_get" and not probe.http_get.path:
        probe.http_get.path = "/"
    if kind in ("http_get", "tcp_socket", "grpc") and not getattr(probe, kind).port:
        getattr(probe, kind).port = port


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
    check_containers(template.containers, f"{where}.template.containers")
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
    scaling = template.scaling
    if scaling.min_instance_count < 0 or scaling.max_instance_count < 0:
        raise violation(f"{where}.template.scaling", "instance counts must not be negative.")
    if scaling.min_instance_count > scaling.max_instance_count:
        raise violation(
            f"{where}.template.scaling.min_instance_count",
            f"{scaling.min_instance_count} must not be greater than max_instance_count {scaling.max_instance_count}.",
        )


def check_containers(containers: Iterable[Message], where: str) -> None:
    """Refuse containers that Cloud Run would refuse at once."""
    for index, container in enumerate(containers):
        _check_container(container, f"{where}[{index}]")


def _check_container(container: Message, where: str) -> None:
    if not container.image:
        raise violation(f"{where}.image", "a container needs an image.")
    if len(container.ports) > 1:
        raise violation(f"{where}.ports", "at most one port can be set.")
    seen: set[str] = set()
    for index, variable in enumerate(container.env):
        at = f"{where}.env[{index}]"
        if variable.name in RESERVED_ENV:
            raise violation(f"{at}.name", f"The following reserved env names were provided: {variable.name}.")
        if not _ENV.fullmatch(variable.name):
            raise violation(f"{at}.name", f"'{variable.name}' is no name of an environment variable.")
        if variable.name in seen:
            raise violation(f"{at}.name", f"the variable '{variable.name}' is there twice.")
        seen.add(variable.name)
        reference = variable.value_source.secret_key_ref
        if variable.HasField("value_source") and not (reference.secret and reference.version):
            raise violation(f"{at}.value_source.secret_key_ref", "secret and version are required.")
    probe = container.startup_probe
    patience = max(probe.period_seconds, probe.timeout_seconds) * probe.failure_threshold
    if probe.timeout_seconds > probe.period_seconds:
        raise violation(f"{where}.startup_probe.timeout_seconds", "must not exceed period_seconds.")
    if patience > 240 or probe.initial_delay_seconds > 240:
        raise violation(f"{where}.startup_probe", "the total time allowed must not exceed 240 seconds.")


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
