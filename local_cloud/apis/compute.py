"""Compute Engine v1, as far as networks go: regions, zones, operations; the resources stand in compute_*.py.

No packet goes anywhere: networks are declared, checked against one another and read back. A new project has none, as
where the organisation's policy skips the default network. Source: https://cloud.google.com/compute/docs/reference/rest/v1.
"""

import functools
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from local_cloud.cloud import Cloud
from local_cloud.compute import regions
from local_cloud.compute.kept import Compute, Json, missing
from local_cloud.errors import ApiError, invalid
from local_cloud.plain import page
from local_cloud.registry import Api, Call, HttpRequest, HttpResponse

API = Api("compute", refusal="Required '{permission}' permission for '{resource}'")

ROOT = "/compute/v1"
#: Reasons that Compute gives beside the code.
REASONS = {
    "NOT_FOUND": "notFound",
    "ALREADY_EXISTS": "alreadyExists",
    "INVALID_ARGUMENT": "invalid",
    "FAILED_PRECONDITION": "conditionNotMet",
    "PERMISSION_DENIED": "forbidden",
}
#: Names that are verbs of a collection.
Work = Callable[[Cloud, Call, HttpRequest], Awaitable[Any]]


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load what is kept."""
    cloud.provide(Compute(cloud))


def project_of(request: HttpRequest) -> str:
    """The project, as a resource to ask permissions on."""
    return f"projects/{request.params['project']}"


def route(verb: str, path: str, permission: str) -> Callable[[Work], Work]:
    """A route below the project, whose refusals have Compute's shape."""

    def declare(handler: Work) -> Work:
        @functools.wraps(handler)
        async def shaped(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
            try:
                return await handler(cloud, call, request)
            except ApiError as error:
                reason = REASONS.get(error.code, "backendError")
                listed = [{"message": error.text, "domain": "global", "reason": reason}]
                body = {"error": {"code": error.http_status, "message": error.text, "errors": listed}}
                return HttpResponse(error.http_status, orjson.dumps(body))

        API.route(verb, f"{ROOT}/projects/{{project}}/{path}", permission=permission, resource=project_of)(shaped)
        return shaped

    return declare


def path_of(cloud: Cloud, request: HttpRequest) -> str:
    """The resource's path, with the project's id."""
    parts = request.path.removeprefix(f"{ROOT}/").split("/")
    region = request.params.get("region")
    scope = f"regions/{check_region(cloud, region)}" if region else "global"
    kind = parts[4] if region else parts[3]
    head = f"projects/{cloud.project}/{scope}/{kind}"
    return f"{head}/{request.params['name']}" if "name" in request.params else head


def body_of(request: HttpRequest) -> Json:
    """The request's body, an object."""
    if not isinstance(request.json, dict):
        raise invalid("Required field 'resource' not specified")
    return dict(request.json)


def listed(request: HttpRequest, kind: str, found: list[Json]) -> Json:
    """One page of a list."""
    size = request.arg("maxResults", "500")
    if not size.isdigit():
        raise invalid(f"Invalid value for field 'maxResults': '{size}'.")
    taken, token = page(found, int(size), request.arg("pageToken"), lambda one: str(one["name"]), default=500, most=500)
    answer: Json = {"kind": f"compute#{kind}List", "id": request.path.removeprefix(f"{ROOT}/"), "items": taken}
    return answer | ({"nextPageToken": token} if token else {})


def check_region(cloud: Cloud, region: str) -> str:
    """The region, which is one of Google's."""
    if region not in regions.AUTO:
        raise missing(f"projects/{cloud.project}/regions/{region}")
    return region


@route("GET", "regions", "compute.regions.list")
async def list_regions(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """All regions."""
    return listed(request, "region", [_region(cloud, name) for name in regions.AUTO])


@route("GET", "regions/{region}", "compute.regions.get")
async def get_region(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One region."""
    return _region(cloud, check_region(cloud, request.params["region"]))


@route("GET", "zones", "compute.zones.list")
async def list_zones(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """All zones."""
    return listed(request, "zone", [_zone(cloud, zone) for name in regions.AUTO for zone in regions.zones(name)])


@route("GET", "zones/{zone}", "compute.zones.get")
async def get_zone(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One zone."""
    zone = request.params["zone"]
    if zone not in regions.zones(zone.rpartition("-")[0]) or zone.rpartition("-")[0] not in regions.AUTO:
        raise missing(f"projects/{cloud.project}/zones/{zone}")
    return _zone(cloud, zone)


@route("GET", "regions/{region}/operations/{name}", "compute.regionOperations.get")
@route("GET", "global/operations/{name}", "compute.globalOperations.get")
@route("POST", "regions/{region}/operations/{name}/wait", "compute.regionOperations.get")
@route("POST", "global/operations/{name}/wait", "compute.globalOperations.get")
async def get_operation(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One operation; waiting for it takes no time, since it is done."""
    path = path_of(cloud, request)
    found = cloud.use(Compute).operations.get(path)
    if found is None:
        raise missing(path)
    return found


@route("GET", "regions/{region}/operations", "compute.regionOperations.list")
@route("GET", "global/operations", "compute.globalOperations.list")
async def list_operations(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The operations of a scope."""
    prefix = f"{path_of(cloud, request)}/"
    found = [one for path, one in cloud.use(Compute).operations.items() if path.startswith(prefix)]
    return listed(request, "operation", found)


def _region(cloud: Cloud, name: str) -> Json:
    kept = cloud.use(Compute)
    path = f"projects/{cloud.project}/regions/{name}"
    zones = [kept.link(f"projects/{cloud.project}/zones/{zone}") for zone in regions.zones(name)]
    return {
        "kind": "compute#region",
        "id": str(1000 + regions.AUTO[name]),
        "name": name,
        "description": name,
        "status": "UP",
        "zones": zones,
        "selfLink": kept.link(path),
    }


def _zone(cloud: Cloud, name: str) -> Json:
    kept = cloud.use(Compute)
    region = name.rpartition("-")[0]
    return {
        "kind": "compute#zone",
        "id": str(2000 + regions.AUTO[region] * 10 + ord(name[-1]) - ord("a")),
        "name": name,
        "description": name,
        "status": "UP",
        "region": kept.link(f"projects/{cloud.project}/regions/{region}"),
        "selfLink": kept.link(f"projects/{cloud.project}/zones/{name}"),
    }
