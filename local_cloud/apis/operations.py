"""google.longrunning.Operations and google.cloud.location.Locations: what most APIs share, over gRPC and REST.

The REST paths are those that the APIs' service configurations give these methods; Cloud SQL has operations of its own.
"""

import re

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import invalid, not_found
from local_cloud.paging import page
from local_cloud.registry import Api, Call

API = Api("operations", services=["google.longrunning.Operations", "google.cloud.location.Locations"], rest=False)

_FILTER = re.compile(r"(done\s*[=:]\s*(?P<done>(?i:true|false)))?")
_NAMES = ("v1/{name=operations/**}", "v1/{name=projects/*/locations/*/operations/*}")
_NAMES_V2 = ("v2/{name=projects/*/locations/*/operations/*}",)
_LISTS = ("v1/{name=projects/*/locations/*}/operations", "v2/{name=projects/*/locations/*}/operations")
_LOCATIONS = ("v1", "v2")


@API.rpc("GetOperation", also=[f"GET /{name}" for name in _NAMES + _NAMES_V2])
async def get_operation(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One operation."""
    return cloud.operations.get(cloud.canonical(request.name))


@API.rpc("ListOperations", also=["GET /v1/{name=operations}", *(f"GET /{name}" for name in _LISTS)])
async def list_operations(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The operations below a name, in pages; the filter is `done=true`, `done=false` or nothing."""
    parent = "" if request.name in ("", "operations") else cloud.canonical(request.name)
    found = cloud.operations.list(parent)
    wanted = _FILTER.fullmatch(request.filter.strip())
    if wanted is None:
        raise invalid(
            f"Invalid filter: {request.filter}. The local cloud filters operations by done=true or done=false."
        )
    if wanted["done"]:
        found = [operation for operation in found if operation.done == (wanted["done"].lower() == "true")]
    items, token = page(found, request.page_size, request.page_token, default=100, most=100)
    return message("google.longrunning.ListOperationsResponse")(operations=items, next_page_token=token)


@API.rpc("DeleteOperation", also=[f"DELETE /{name}" for name in _NAMES + _NAMES_V2])
async def delete_operation(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forgets an operation."""
    cloud.operations.delete(cloud.canonical(request.name))
    return message("google.protobuf.Empty")()


@API.rpc("CancelOperation", also=[f"POST /{name}:cancel" for name in _NAMES + _NAMES_V2])
async def cancel_operation(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Best effort, as documented: what is done stays done, and nothing here can be stopped half-way."""
    cloud.operations.get(cloud.canonical(request.name))
    return message("google.protobuf.Empty")()


@API.rpc("WaitOperation", waits=True, also=[f"POST /{name}:wait" for name in _NAMES + _NAMES_V2])
async def wait_operation(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The operation when it is done, or as it stands after the timeout."""
    seconds = request.timeout.ToNanoseconds() / 1e9 if request.HasField("timeout") else None
    return await cloud.operations.wait(cloud.canonical(request.name), seconds)


@API.rpc("ListLocations", also=[f"GET /{v}/{{name=projects/*}}/locations" for v in _LOCATIONS])
async def list_locations(cloud: Cloud, _call: Call, _request: Message) -> Message:
    """The cloud's one location."""
    return message("google.cloud.location.ListLocationsResponse")(locations=[_location(cloud)])


@API.rpc("GetLocation", also=[f"GET /{v}/{{name=projects/*/locations/*}}" for v in _LOCATIONS])
async def get_location(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The location."""
    if cloud.canonical(request.name) != f"projects/{cloud.project}/locations/{cloud.location}":
        raise not_found(f"Location {request.name} is not found or access is unauthorized.")
    return _location(cloud)


def _location(cloud: Cloud) -> Message:
    return message("google.cloud.location.Location")(
        name=f"projects/{cloud.project}/locations/{cloud.location}",
        location_id=cloud.location,
        labels={"cloud.googleapis.com/region": cloud.location},
    )
