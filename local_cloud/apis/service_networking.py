"""Service Networking v1: private connections of a network to service producers, over ranges that were reserved for it.

Nothing is routed; what rests on a connection (an instance with a private address) finds that it is there.
Source: https://cloud.google.com/service-infrastructure/docs/service-networking/reference/rest/v1/services.connections.
"""

import re
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.compute.kept import Compute
from local_cloud.compute.peering import Peerings
from local_cloud.descriptors import message
from local_cloud.errors import ApiError, already_exists, failed_precondition, invalid, not_found
from local_cloud.registry import Api, Call, HttpRequest
from local_cloud.server.json_codec import encode

API = Api("servicenetworking")

_NETWORK = re.compile(r"projects/[^/]+/global/networks/[^/]+")
_SERVICE = re.compile(r"[a-z][a-z0-9.-]*\.googleapis\.com")


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load the connections."""
    cloud.provide(Peerings(cloud))


def _project(request: HttpRequest) -> str:
    given = request.json.get("network") if isinstance(request.json, dict) else request.arg("network")
    found = re.match(r"projects/[^/]+", given) if isinstance(given, str) else None
    return found[0] if found else "projects/-"


@API.route(
    "POST", "/v1/services/{service}/connections", permission="servicenetworking.services.addPeering", resource=_project
)
async def create_connection(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Peers the network with the service's, over the ranges."""
    body = _body(request)
    network, ranges = _network(cloud, body.get("network")), _ranges(cloud, body)
    key = f"{_service(request)} {network}"
    kept = cloud.use(Peerings).connections
    if key in kept:
        raise already_exists(
            f"Cannot modify allocated ranges in CreateConnection. Please use UpdateConnection. "
            f"Existing allocated IP ranges: {', '.join(kept[key]['reservedPeeringRanges'])}."
        )
    made = {"network": _numbered(cloud, network), "reservedPeeringRanges": ranges}
    made |= {"service": f"services/{request.params['service']}"}
    made["peering"] = request.params["service"].replace(".", "-")
    kept[key] = made
    return _done(cloud, made)


@API.route("GET", "/v1/services/{service}/connections", permission="servicenetworking.services.get", resource=_project)
async def list_connections(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The connections of a network to the service; `-` stands for all services."""
    network = _network(cloud, request.arg("network"))
    found = cloud.use(Peerings).of(network)
    service = request.params["service"]
    shown = [one for one in found if service in ("-", one["service"].removeprefix("services/"))]
    return {"connections": shown} if shown else {}


@API.route(
    "PATCH",
    "/v1/services/{service}/connections/{connection}",
    permission="servicenetworking.services.addPeering",
    resource=_project,
)
async def patch_connection(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Other ranges; to take one away the caller must say that he forces it."""
    body = _body(request)
    key, current = _find(cloud, request, body.get("network", body.get("consumerNetwork")))
    ranges = _ranges(cloud, body)
    lost = [name for name in current["reservedPeeringRanges"] if name not in ranges]
    if lost and request.arg("force") != "true":
        raise failed_precondition(
            f"Cannot remove allocated ranges {', '.join(lost)} from the connection without force=true."
        )
    current["reservedPeeringRanges"] = ranges
    cloud.use(Peerings).connections.save(key)
    return _done(cloud, current)


@API.route(
    "POST",
    "/v1/services/{service}/connections/{connection}",
    permission="servicenetworking.services.deleteConnection",
    resource=_project,
)
@API.route(
    "DELETE",
    "/v1/services/{service}/connections/{connection}",
    permission="servicenetworking.services.deleteConnection",
    resource=_project,
)
async def delete_connection(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Ends a connection; one that instances still use stays, as the producer says no."""
    key, _ = _find(cloud, request, _body(request).get("consumerNetwork"))
    network = key.partition(" ")[2]
    for name, instance in cloud.store.messages("sql.instances", "google.cloud.sql.v1beta4.DatabaseInstance").items():
        if cloud.canonical(_short(instance.settings.ip_configuration.private_network)) == network:
            raise failed_precondition(
                "Failed to delete connection; Producer services (e.g. CloudSQL, Cloud Memstore, etc.) are still using "
                f"this connection: {name}."
            )
    del cloud.use(Peerings).connections[key]
    return _done(cloud, None)


def _body(request: HttpRequest) -> dict[str, Any]:
    if request.json is not None and not isinstance(request.json, dict):
        raise invalid("Request body must be a JSON object.")
    return dict(request.json or {})


def _service(request: HttpRequest) -> str:
    service = request.params["service"]
    if not _SERVICE.fullmatch(service):
        raise not_found(f"Service '{service}' not found.")
    return service


def _short(link: str) -> str:
    start = link.find("projects/")
    return link[start:] if start >= 0 else link


def _network(cloud: Cloud, given: Any) -> str:
    if not isinstance(given, str) or not _NETWORK.fullmatch(_short(given)):
        raise invalid("The network must be formatted as projects/{project}/global/networks/{network}.")
    path = cloud.canonical(_short(given))
    if path not in cloud.use(Compute).kept["networks"]:
        raise ApiError("NOT_FOUND", f"The resource '{path}' was not found")
    return path


def _numbered(cloud: Cloud, path: str) -> str:
    return path.replace(f"projects/{cloud.project}/", f"projects/{cloud.settings.project_number}/", 1)


def _ranges(cloud: Cloud, body: dict[str, Any]) -> list[str]:
    ranges = body.get("reservedPeeringRanges")
    if not isinstance(ranges, list) or not ranges or not all(isinstance(one, str) for one in ranges):
        raise invalid("At least one reserved peering range must be given.")
    network = _network(cloud, body.get("network"))
    kept = cloud.use(Compute)
    for name in ranges:
        found = kept.kept["addresses"].get(f"projects/{cloud.project}/global/addresses/{name}")
        if found is None or found.get("purpose") != "VPC_PEERING" or found["network"] != kept.link(network):
            raise invalid(
                f"Invalid allocation range: '{name}' is no global address with purpose VPC_PEERING in the network "
                f"'{network}'."
            )
    return list(ranges)


def _find(cloud: Cloud, request: HttpRequest, network: Any) -> tuple[str, dict[str, Any]]:
    path = _network(cloud, network)
    key = f"{_service(request)} {path}"
    found = cloud.use(Peerings).connections.get(key)
    if found is None or request.params["connection"] not in ("-", found["peering"]):
        raise not_found(f"The connection of '{path}' to {request.params['service']} was not found.")
    return key, found


def _done(cloud: Cloud, made: dict[str, Any] | None) -> Any:
    """A finished operation, whose response is the connection as google.protobuf.Struct would not be: plain JSON."""
    operation = encode(cloud.operations.done("", message("google.protobuf.Empty")(), prefix="pssn.p1-"))
    kind = "type.googleapis.com/google.cloud.servicenetworking.v1.Connection"
    return operation | {"response": {"@type": kind} | made if made else operation["response"]}
