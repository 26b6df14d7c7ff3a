"""Uptime check configs: their laws, and the list of addresses that checks come from.

The checks themselves are local_cloud/uptime's. Source: google/monitoring/v3/uptime.proto, uptime_service.proto.
"""

import re
import secrets

from local_cloud.apis.monitoring import API
from local_cloud.apis.monitoring_descriptors import page_size
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, invalid
from local_cloud.metrics.series import SECOND
from local_cloud.plain import Plain, merge, page
from local_cloud.registry import Call
from local_cloud.uptime.checks import EVERYWHERE, LOCATIONS, REGIONS, Checks, locations
from local_cloud.uptime.probe import METHODS, TYPES

CONFIG = "google.monitoring.v3.UptimeCheckConfig"
RESOURCES = {
    "uptime_url", "gce_instance", "gae_app", "aws_ec2_instance", "aws_elb_load_balancer", "k8s_service",
    "servicedirectory_service", "cloud_run_revision",
}  # fmt: skip
PERIODS = (60, 300, 600, 900)
MOST, MAX_PAGE, FEWEST_PLACES, MOST_HEADERS, LONGEST_BODY = 100, 1000, 3, 100, 1024 * 1024
_WORDS = re.compile(r"[^a-z0-9-]+")


@API.on_start
async def start(cloud: Cloud) -> None:
    """What was checked is checked again."""
    checks = Checks(cloud)
    cloud.provide(checks)
    for made in Plain(cloud, CONFIG).kept.values():
        checks.begin(made)


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """No check begins any more."""
    for name in Plain(cloud, CONFIG).kept:
        cloud.use(Checks).end(name)


@API.rpc("UptimeCheckService.CreateUptimeCheckConfig", permission="monitoring.uptimeCheckConfigs.create")
async def create_check(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Keep a new check; its first run is a period from now."""
    plain, made = Plain(cloud, CONFIG), message(CONFIG)()
    made.CopyFrom(request.uptime_check_config)
    if len(plain.kept) >= MOST:
        raise ApiError("RESOURCE_EXHAUSTED", "Error creating uptime check config: too many configs in project")
    _complete(cloud, made)
    stem = _WORDS.sub("-", made.display_name.lower()).strip("-")[:40] or "check"
    made.name = f"{request.parent}/uptimeCheckConfigs/{stem}-{secrets.token_urlsafe(8)}"
    return _kept(cloud, made)


@API.rpc("UptimeCheckService.GetUptimeCheckConfig", permission="monitoring.uptimeCheckConfigs.get")
async def get_check(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a check."""
    return _shown(Plain(cloud, CONFIG, noun="UptimeCheckConfig").get(request.name))


@API.rpc("UptimeCheckService.ListUptimeCheckConfigs", permission="monitoring.uptimeCheckConfigs.list")
async def list_checks(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All checks."""
    if request.filter:
        raise invalid(f'Field filter had an invalid value of "{request.filter}": checks are not filtered here.')
    found, size = Plain(cloud, CONFIG).below(f"{request.parent}/uptimeCheckConfigs"), page_size(request.page_size)
    taken, token = page(found, size, request.page_token, lambda c: str(c.name), default=MAX_PAGE, most=MAX_PAGE)
    answer = message("google.monitoring.v3.ListUptimeCheckConfigsResponse")
    shown = [_shown(made) for made in taken]
    return answer(uptime_check_configs=shown, next_page_token=token, total_size=len(found))


@API.rpc("UptimeCheckService.UpdateUptimeCheckConfig", permission="monitoring.uptimeCheckConfigs.update")
async def update_check(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a check; what it checks stays."""
    name = cloud.canonical(request.uptime_check_config.name)
    current = Plain(cloud, CONFIG, noun="UptimeCheckConfig").get(name)
    made = merge(current, request.uptime_check_config, request.update_mask.paths)
    made.name = name
    if made.http_check.mask_headers and set(made.http_check.headers.values()) == {"******"}:
        made.http_check.headers.update(current.http_check.headers)
    _complete(cloud, made)
    if made.monitored_resource.type != current.monitored_resource.type:
        raise invalid("Field uptimeCheckConfig.monitoredResource cannot be changed to another type.")
    return _kept(cloud, made)


@API.rpc("UptimeCheckService.DeleteUptimeCheckConfig", permission="monitoring.uptimeCheckConfigs.delete")
async def delete_check(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a check; its series stay."""
    Plain(cloud, CONFIG, noun="UptimeCheckConfig").get(request.name)
    Plain(cloud, CONFIG).kept.pop(request.name)
    cloud.use(Checks).end(request.name)
    return message("google.protobuf.Empty")()


@API.rpc("UptimeCheckService.ListUptimeCheckIps")
async def list_addresses(_cloud: Cloud, _call: Call, request: Message) -> Message:
    """Where checks come from: this machine, for every region."""
    answer = message("google.monitoring.v3.ListUptimeCheckIpsResponse")()
    places = [(region, place) for region in EVERYWHERE for place in LOCATIONS[region]]
    size = page_size(request.page_size)
    taken, token = page(places, size, request.page_token, lambda one: one[1], default=MAX_PAGE, most=MAX_PAGE)
    numbers = {name: number for number, name in REGIONS.items()}
    for region, place in taken:
        answer.uptime_check_ips.add(region=numbers[region], location=place, ip_address="127.0.0.1")
    answer.next_page_token = token
    return answer


def _kept(cloud: Cloud, made: Message) -> Message:
    Plain(cloud, CONFIG).kept[made.name] = made
    cloud.use(Checks).begin(made)
    return _shown(made)


def _shown(made: Message) -> Message:
    """Passwords are never read back, nor headers that are masked."""
    shown = message(CONFIG)()
    shown.CopyFrom(made)
    if shown.http_check.auth_info.password:
        shown.http_check.auth_info.password = "******"
    if shown.http_check.mask_headers:
        for name in made.http_check.headers:
            shown.http_check.headers[name] = "******"
    return shown


def _complete(cloud: Cloud, made: Message) -> None:
    if not made.display_name:
        raise invalid("Field uptimeCheckConfig.displayName is required.")
    if made.WhichOneof("resource") != "monitored_resource":
        raise _refused("resource", made.WhichOneof("resource"), "a monitoredResource is expected.")
    _check_resource(cloud, made.monitored_resource)
    kind = made.WhichOneof("check_request_type")
    if kind is None:
        raise invalid("Field uptimeCheckConfig.checkRequestType is required: httpCheck or tcpCheck.")
    if kind == "tcp_check" and not 0 < made.tcp_check.port < 65536:
        raise _refused("tcpCheck.port", made.tcp_check.port, "a port is expected.")
    if not made.HasField("period"):
        made.period.FromSeconds(60)
    if made.period.ToNanoseconds() / SECOND not in PERIODS:
        raise _refused("period", made.period.ToJsonString(), "60s, 300s, 600s and 900s are supported.")
    if not 1 <= made.timeout.ToNanoseconds() / SECOND <= 60:
        raise _refused("timeout", made.timeout.ToJsonString(), "it must be between 1 and 60 seconds.")
    if any(region not in REGIONS for region in made.selected_regions) or len(locations(made)) < FEWEST_PLACES:
        raise invalid("Field uptimeCheckConfig.selectedRegions: regions with at least 3 locations are required.")
    _check_matchers(made)
    if kind == "http_check":
        _check_http(made.http_check)


def _check_resource(cloud: Cloud, resource: Message) -> None:
    if resource.type not in RESOURCES:
        raise _refused("monitoredResource.type", resource.type, f"one of {', '.join(sorted(RESOURCES))} is expected.")
    if resource.type == "uptime_url" and not resource.labels.get("host"):
        raise invalid("Field uptimeCheckConfig.monitoredResource.labels: uptime_url needs a host.")
    if resource.type == "cloud_run_revision" and not all(map(resource.labels.get, ("service_name", "location"))):
        raise invalid("Field uptimeCheckConfig.monitoredResource.labels: service_name and location are required.")
    if "project_id" in resource.labels:
        resource.labels["project_id"] = cloud.canonical(f"projects/{resource.labels['project_id']}").partition("/")[2]


def _check_matchers(made: Message) -> None:
    for matcher in made.content_matchers:
        if not matcher.content or len(matcher.content) > 1024:
            raise invalid("Field uptimeCheckConfig.contentMatchers.content has 1 to 1024 bytes.")
        try:
            re.compile(matcher.content)
        except re.error as error:
            if matcher.matcher in (3, 4):  # MATCHES_REGEX, NOT_MATCHES_REGEX
                raise _refused("contentMatchers.content", matcher.content, f"no pattern: {error}.") from None


def _check_http(check: Message) -> None:
    if not 0 <= check.port < 65536:
        raise _refused("httpCheck.port", check.port, "a port is expected.")
    if len(check.headers) > MOST_HEADERS:
        raise invalid(f"Field uptimeCheckConfig.httpCheck.headers: at most {MOST_HEADERS} headers are allowed.")
    if any(ord(char) < 33 or ord(char) == 127 for char in check.path):
        raise _refused("httpCheck.path", check.path, "it has characters that no URL has.")
    check.path = check.path or "/"
    check.request_method = check.request_method or METHODS["GET"]
    check.port = check.port or (443 if check.use_ssl else 80)
    posting = check.request_method == METHODS["POST"]
    if posting != bool(check.content_type) or (check.body and not posting):
        raise invalid(
            "Field uptimeCheckConfig.httpCheck.contentType: a POST needs one, a GET has neither it nor a body."
        )
    if bool(check.custom_content_type) != (check.content_type == TYPES["USER_PROVIDED"]):
        raise invalid("Field uptimeCheckConfig.httpCheck.customContentType belongs to USER_PROVIDED alone.")
    if posting and any(name.lower() == "content-type" for name in check.headers):
        raise invalid("Field uptimeCheckConfig.httpCheck.headers: the content type has a field of its own.")
    if len(check.body) > LONGEST_BODY:
        raise invalid("Field uptimeCheckConfig.httpCheck.body has at most 1 megabyte.")


def _refused(field: str, value: object, why: str) -> ApiError:
    return invalid(f'Field uptimeCheckConfig.{field} had an invalid value of "{value}": {why}')
