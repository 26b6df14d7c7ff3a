"""Cloud Monitoring dashboards v1: checked as Google checks them, kept, read back word for word.

Owns names (chosen by the caller, or made), etags, validate_only and paging; what a dashboard may look like is
metrics/dashboards.py's. Source: google/monitoring/dashboard/v1/dashboards_service.proto.
"""

import re
import secrets

from local_cloud.apis.monitoring import API
from local_cloud.apis.monitoring_descriptors import page_size
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, already_exists, failed_precondition, invalid, not_found
from local_cloud.metrics import dashboards, query
from local_cloud.metrics.catalogue import Catalogue
from local_cloud.plain import Plain, page
from local_cloud.registry import Call
from local_cloud.secrets import stamp

DASHBOARD = "google.monitoring.dashboard.v1.Dashboard"
MAX_PAGE = 1000
_ID = re.compile(r"[A-Za-z0-9_.-]{1,128}")


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load what is kept."""
    Plain(cloud, DASHBOARD)


@API.rpc("DashboardsService.CreateDashboard", permission="monitoring.dashboards.create")
async def create_dashboard(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Keep a new dashboard; with validate_only it is only looked at."""
    kept, made = Plain(cloud, DASHBOARD).kept, message(DASHBOARD)()
    made.CopyFrom(request.dashboard)
    made.etag = ""
    made.name = _new_name(cloud, request.parent, made.name)
    if made.name in kept:
        raise already_exists(f"Dashboard {made.name} already exists.")
    _check(cloud, made)
    if request.validate_only:
        return made
    _sign(made)
    kept[made.name] = made
    return made


@API.rpc("DashboardsService.GetDashboard", permission="monitoring.dashboards.get")
async def get_dashboard(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a dashboard."""
    return _find(cloud, request.name)


@API.rpc("DashboardsService.ListDashboards", permission="monitoring.dashboards.list")
async def list_dashboards(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All dashboards, by name."""
    found = Plain(cloud, DASHBOARD).below(f"{request.parent}/dashboards")
    size = page_size(request.page_size)
    taken, token = page(found, size, request.page_token, lambda d: str(d.name), default=MAX_PAGE, most=MAX_PAGE)
    answer = message("google.monitoring.dashboard.v1.ListDashboardsResponse")
    return answer(dashboards=taken, next_page_token=token)


@API.rpc("DashboardsService.UpdateDashboard", permission="monitoring.dashboards.update")
async def update_dashboard(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Replace a dashboard; one that gives an etag must have read the current one."""
    name = cloud.canonical(request.dashboard.name)
    current = _find(cloud, name)
    if request.dashboard.etag and request.dashboard.etag != current.etag:
        raise failed_precondition(
            f"The etag of dashboard {name} is {current.etag}, not {request.dashboard.etag}. Read it again."
        )
    made = message(DASHBOARD)()
    made.CopyFrom(request.dashboard)
    made.name, made.etag = name, current.etag
    _check(cloud, made)
    if not request.validate_only:
        _sign(made)
        Plain(cloud, DASHBOARD).kept[name] = made
    return made


@API.rpc("DashboardsService.DeleteDashboard", permission="monitoring.dashboards.delete")
async def delete_dashboard(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a dashboard."""
    _find(cloud, request.name)
    Plain(cloud, DASHBOARD).kept.pop(request.name)
    return message("google.protobuf.Empty")()


def _find(cloud: Cloud, name: str) -> Message:
    found = Plain(cloud, DASHBOARD).kept.get(name)
    if found is None:
        raise not_found(f"Requested entity was not found: {name}.")
    return found


def _new_name(cloud: Cloud, parent: str, given: str) -> str:
    if not given:
        digits = secrets.token_hex(16)
        return f"{parent}/dashboards/" + "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    name = cloud.canonical(given)
    dashboard_id = name.removeprefix(f"{parent}/dashboards/")
    if not _ID.fullmatch(dashboard_id):
        raise invalid(
            f'Field dashboard.name has an invalid value of "{given}": it must be of the form '
            f'"{parent}/dashboards/[DASHBOARD_ID]".'
        )
    return name


def _sign(made: Message) -> None:
    """The etag of what it holds and of the one before."""
    stamp(made)
    made.etag = made.etag.strip('"')


def _check(cloud: Cloud, made: Message) -> None:
    """Refuse what Google does; what would show nothing is a line of the log."""
    catalogue = cloud.use(Catalogue)
    for place, text in dashboards.check(made):
        try:
            query.choose(catalogue, text, place)
        except ApiError as error:
            cloud.log.event(
                "WARNING",
                f"Dashboard {made.display_name!r}: {place} will show nothing: {error.text}",
                dashboard=made.name,
            )
