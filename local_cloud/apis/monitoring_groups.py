"""Groups: monitored resources that a filter finds, as the cloud's metrics know them.

Owns the tree of groups and who their members are: resources of which there are points, in the interval asked for.
Queries in MQL, of the same API, and in PromQL are refused by name here.
Source: google/monitoring/v3/group_service.proto.
"""

import secrets
from typing import Any, Final

from local_cloud.apis.monitoring import API
from local_cloud.apis.monitoring_descriptors import page_size
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, failed_precondition, invalid
from local_cloud.metrics import query
from local_cloud.metrics.series import SECOND, STEP, Key
from local_cloud.plain import Plain, page
from local_cloud.registry import Call, HttpRequest

GROUP = "google.monitoring.v3.Group"
MOST, DEEPEST, MAX_PAGE = 500, 6, 1000
#: Where Google takes PromQL: the API of Prometheus.
_PROMETHEUS: Final = "/v1/projects/{project}/location/{location}/prometheus/api/v1/{what}"


class Groups:
    """What is kept."""

    def __init__(self, cloud: Cloud) -> None:
        self.plain = Plain(cloud, GROUP, noun="Group")
        self.kept = self.plain.kept

    def ancestors(self, made: Message) -> list[Message]:
        """The group's parent, its parent and so on."""
        found: list[Message] = []
        while made.parent_name:
            made = self.plain.get(made.parent_name)
            if made in found:
                raise invalid(
                    f'Field group.parentName had an invalid value of "{made.name}": groups cannot be nested so.'
                )
            found.append(made)
        return found

    def children(self, name: str) -> list[Message]:
        """The groups right below one."""
        return [made for made in self.kept.values() if made.parent_name == name]

    def descendants(self, name: str) -> list[Message]:
        """All groups below one."""
        return [found for child in self.children(name) for found in (child, *self.descendants(child.name))]


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load what is kept."""
    cloud.provide(Groups(cloud))


@API.rpc("GroupService.ListGroups", permission="monitoring.groups.list")
async def list_groups(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The groups: all, those right below one, above it, or all below it."""
    groups = cloud.use(Groups)
    which = request.WhichOneof("filter")
    found = list(groups.kept.values())
    if which is not None:
        name = cloud.canonical(getattr(request, which))
        made = groups.plain.get(name)
        if which == "children_of_group":
            found = groups.children(name)
        else:
            found = groups.ancestors(made) if which == "ancestors_of_group" else groups.descendants(name)
    size = page_size(request.page_size)
    taken, token = page(found, size, request.page_token, lambda g: str(g.name), default=MAX_PAGE, most=MAX_PAGE)
    return message("google.monitoring.v3.ListGroupsResponse")(group=taken, next_page_token=token)


@API.rpc("GroupService.GetGroup", permission="monitoring.groups.get")
async def get_group(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a group."""
    return cloud.use(Groups).plain.get(request.name)


@API.rpc("GroupService.CreateGroup", permission="monitoring.groups.create")
async def create_group(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Keep a new group; with validate_only it is only looked at."""
    groups, made = cloud.use(Groups), message(GROUP)()
    made.CopyFrom(request.group)
    made.name = f"{request.name}/groups/{10**18 + secrets.randbelow(9 * 10**18)}"
    _check(cloud, made)
    if len(groups.kept) >= MOST:
        raise ApiError("RESOURCE_EXHAUSTED", f"The project has {MOST} groups, which is the limit.")
    return made if request.validate_only else groups.plain.create(made.name, made)


@API.rpc("GroupService.UpdateGroup", permission="monitoring.groups.update")
async def update_group(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Replace a group."""
    groups, made = cloud.use(Groups), message(GROUP)()
    made.CopyFrom(request.group)
    made.name = cloud.canonical(made.name)
    groups.plain.get(made.name)
    _check(cloud, made)
    if not request.validate_only:
        groups.kept[made.name] = made
    return made


@API.rpc("GroupService.DeleteGroup", permission="monitoring.groups.delete")
async def delete_group(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a group; one with groups below it only with all of them."""
    groups = cloud.use(Groups)
    groups.plain.get(request.name)
    below = groups.descendants(request.name)
    if below and not request.recursive:
        raise failed_precondition(f"Group {request.name} has child groups. Delete them first, or set recursive.")
    for made in below:
        groups.kept.pop(made.name)
    groups.kept.pop(request.name)
    return message("google.protobuf.Empty")()


@API.rpc("GroupService.ListGroupMembers", permission="monitoring.groups.get")
async def list_members(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The resources that the group's filter and its parents' find, of those with points in the interval."""
    groups = cloud.use(Groups)
    made = groups.plain.get(request.name)
    chosen = [query.parse(one.filter) for one in (made, *groups.ancestors(made))]
    chosen.append(query.parse(request.filter))
    end = request.interval.end_time.ToNanoseconds() if request.HasField("interval") else int(cloud.now() * SECOND)
    begun = request.interval.HasField("start_time")
    start = request.interval.start_time.ToNanoseconds() if begun else end - STEP
    cloud.meter.catch_up()
    found = {
        (kept.key.resource, kept.key.resource_labels)
        for kept in cloud.meter.points.all()
        if all(one.matches(_resource(kept.key, cloud.project)) for one in chosen) and kept.points(start, end)
    }
    size = page_size(request.page_size)
    taken, token = page(found, size, request.page_token, str, default=MAX_PAGE, most=MAX_PAGE)
    answer = message("google.monitoring.v3.ListGroupMembersResponse")(next_page_token=token, total_size=len(found))
    for kind, labels in taken:
        answer.members.add(type=kind, labels=dict(labels))
    return answer


@API.rpc("QueryService.QueryTimeSeries", permission="monitoring.timeSeries.list")
async def query_time_series(_cloud: Cloud, _call: Call, _request: Message) -> Message:
    """Refused: MQL is deprecated, and no part of the system speaks it."""
    raise ApiError(
        "UNIMPLEMENTED",
        "Queries in the Monitoring Query Language are not emulated: ListTimeSeries with a filter and aggregations "
        "gives the same series.",
    )


def _project(request: HttpRequest) -> str:
    return f"projects/{request.params['project']}"


@API.route("GET", _PROMETHEUS, permission="monitoring.timeSeries.list", resource=_project)
@API.route("POST", _PROMETHEUS, permission="monitoring.timeSeries.list", resource=_project, wants_json=False)
async def query_prometheus(_cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """Refused, as MQL is: Prometheus' own API stands beside Google's."""
    raise ApiError(
        "UNIMPLEMENTED",
        "Queries in PromQL are not emulated: ListTimeSeries with a filter and aggregations gives the same series.",
    )


def _check(cloud: Cloud, made: Message) -> None:
    groups = cloud.use(Groups)
    if not made.display_name:
        raise invalid("Field group.displayName is required.")
    if not made.filter.strip():
        raise invalid("Field group.filter is required.")
    query.parse(made.filter, "group.filter")
    made.parent_name = cloud.canonical(made.parent_name)
    above = groups.ancestors(made)
    if made.parent_name == made.name or any(one.name == made.name for one in above):
        raise invalid(f'Field group.parentName had an invalid value of "{made.parent_name}": it lies below the group.')
    if len(above) >= DEEPEST:
        raise invalid(f"Field group.parentName: groups can be nested {DEEPEST} deep.")


def _resource(key: Key, project: str) -> dict[tuple[str, str], str]:
    made = {("resource.type", ""): key.resource, ("project", ""): project}
    return made | {("resource.labels", name): value for name, value in key.resource_labels}
