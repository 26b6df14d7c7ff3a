"""google.longrunning.Operations and google.cloud.location.Locations: what most APIs share, over gRPC and REST.

The REST paths are those that the APIs' service configurations give these methods; Cloud SQL has operations of its own.
Whose an operation is its metadata says, and each service has permissions of its own for them (iam/asked has
the pages). Where a service publishes none, who may do what the operation tells of may see it.
"""

import re
from dataclasses import dataclass

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import invalid, not_found
from local_cloud.paging import page
from local_cloud.registry import Api, Call

API = Api("operations", services=["google.longrunning.Operations", "google.cloud.location.Locations"], rest=False)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a service asks of who calls for its operations; waiting is getting."""

    get: str
    list: str
    delete: str
    cancel: str


#: By the metadata's type, or its package.
_ASKED = {
    "google.cloud.run.v2": _Asked(
        "run.operations.get", "run.operations.list", "run.operations.delete", "run.operations.delete"
    ),
    "google.api.serviceusage.v1": _Asked(
        "serviceusage.operations.get",
        "serviceusage.operations.list",
        "serviceusage.operations.delete",
        "serviceusage.operations.cancel",
    ),
    "google.devtools.artifactregistry.v1": _Asked(
        "artifactregistry.repositories.get",
        "artifactregistry.repositories.list",
        "artifactregistry.repositories.delete",
        "artifactregistry.repositories.delete",
    ),
    "google.logging.v2": _Asked(
        "logging.operations.get", "logging.operations.list", "logging.operations.cancel", "logging.operations.cancel"
    ),
    "google.cloud.kms.v1": _Asked(
        "cloudkms.operations.get", "cloudkms.operations.get", "cloudkms.cryptoKeys.delete", "cloudkms.cryptoKeys.delete"
    ),
    "google.cloud.tasks.v2.BatchCreateTasksMetadata": _Asked(*["cloudtasks.tasks.create"] * 4),
    "google.cloud.tasks.v2.BatchDeleteTasksMetadata": _Asked(*["cloudtasks.tasks.delete"] * 4),
}

_FILTER = re.compile(r"(done\s*[=:]\s*(?P<done>(?i:true|false)))?")
_NAMES = ("v1/{name=operations/**}", "v1/{name=projects/*/locations/*/operations/*}")
_NAMES_V2 = ("v2/{name=projects/*/locations/*/operations/*}",)
_LISTS = ("v1/{name=projects/*/locations/*}/operations", "v2/{name=projects/*/locations/*}/operations")
_LOCATIONS = ("v1", "v2")


@API.rpc("GetOperation", also=[f"GET /{name}" for name in _NAMES + _NAMES_V2])
async def get_operation(cloud: Cloud, call: Call, request: Message) -> Message:
    """One operation."""
    return _permitted(cloud, call, request.name, "get")


@API.rpc("ListOperations", also=["GET /v1/{name=operations}", *(f"GET /{name}" for name in _LISTS)])
async def list_operations(cloud: Cloud, call: Call, request: Message) -> Message:
    """The operations below a name that the caller may list, in pages; the filter is `done=true` or `false`, or none."""
    parent = "" if request.name in ("", "operations") else cloud.canonical(request.name)
    found = _listed(cloud, call, parent)
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
async def delete_operation(cloud: Cloud, call: Call, request: Message) -> Message:
    """Forgets an operation."""
    cloud.operations.delete(_permitted(cloud, call, request.name, "delete").name)
    return message("google.protobuf.Empty")()


@API.rpc("CancelOperation", also=[f"POST /{name}:cancel" for name in _NAMES + _NAMES_V2])
async def cancel_operation(cloud: Cloud, call: Call, request: Message) -> Message:
    """Best effort, as documented: what is done stays done, and nothing here can be stopped half-way."""
    _permitted(cloud, call, request.name, "cancel")
    return message("google.protobuf.Empty")()


@API.rpc("WaitOperation", waits=True, also=[f"POST /{name}:wait" for name in _NAMES + _NAMES_V2])
async def wait_operation(cloud: Cloud, call: Call, request: Message) -> Message:
    """The operation when it is done, or as it stands after the timeout."""
    seconds = request.timeout.ToNanoseconds() / 1e9 if request.HasField("timeout") else None
    return await cloud.operations.wait(_permitted(cloud, call, request.name, "get").name, seconds)


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


def _permitted(cloud: Cloud, call: Call, name: str, verb: str) -> Message:
    """The operation, of a service that lets the caller at it; one of no service is the project owner's alone."""
    found = cloud.operations.get(cloud.canonical(name))
    asked = _asked(found)
    if asked is not None:
        cloud.iam.require(call.principal, getattr(asked, verb), _resource(cloud, found.name))
    elif not call.principal.owner:
        raise not_found(f"Operation not found: {name}")
    return found


def _listed(cloud: Cloud, call: Call, parent: str) -> list[Message]:
    """Google asks the one service whose host was called; here it is every service that has operations below the name.

    Who may list those of none is refused.
    """
    found = [(_asked(operation), operation) for operation in cloud.operations.list(parent)]
    resource = _resource(cloud, parent)
    permissions = {asked.list for asked in _ASKED.values()}
    allowed = {one for one in permissions if cloud.iam.allows(call.principal, one, resource)}
    if not allowed:
        cloud.iam.require(call.principal, _ASKED["google.cloud.run.v2"].list, resource)
        allowed = permissions  # nothing is refused: iam.mode is audit
    return [one for asked, one in found if (call.principal.owner if asked is None else asked.list in allowed)]


def _asked(operation: Message) -> _Asked | None:
    kind = operation.metadata.type_url.rpartition("/")[2]
    return _ASKED.get(kind) or _ASKED.get(kind.rpartition(".")[0])


def _resource(cloud: Cloud, name: str) -> str:
    """What is asked about: operations without a parent are the project's."""
    return name if name.startswith("projects/") else f"projects/{cloud.project}"


def _location(cloud: Cloud) -> Message:
    return message("google.cloud.location.Location")(
        name=f"projects/{cloud.project}/locations/{cloud.location}",
        location_id=cloud.location,
        labels={"cloud.googleapis.com/region": cloud.location},
    )
