"""Compute's subnetworks: their ranges neither overlap one another nor what is reserved in the network.

Source: https://cloud.google.com/compute/docs/reference/rest/v1/subnetworks.
"""

from typing import Any

from local_cloud.apis.compute import body_of, check_region, listed, path_of, route
from local_cloud.apis.compute_networks import check_name, find_network, known
from local_cloud.cloud import Cloud
from local_cloud.compute import ranges
from local_cloud.compute.kept import Compute, Json, OperationError, check_fingerprint
from local_cloud.errors import invalid
from local_cloud.registry import Call, HttpRequest

_KNOWN = {
    "allowSubnetCidrRoutesOverlap": bool,
    "description": str,
    "enableFlowLogs": bool,
    "externalIpv6Prefix": str,
    "ipCidrRange": str,
    "ipv6AccessType": str,
    "logConfig": dict,
    "name": str,
    "network": str,
    "params": dict,
    "privateIpGoogleAccess": bool,
    "privateIpv6GoogleAccess": str,
    "purpose": str,
    "role": str,
    "secondaryIpRanges": list,
    "stackType": str,
}
_CHANGEABLE = (
    "allowSubnetCidrRoutesOverlap",
    "ipv6AccessType",
    "logConfig",
    "privateIpGoogleAccess",
    "privateIpv6GoogleAccess",
    "purpose",
    "role",
    "secondaryIpRanges",
    "stackType",
)
_DEFAULTS: Json = {
    "allowSubnetCidrRoutesOverlap": False,
    "privateIpGoogleAccess": False,
    "privateIpv6GoogleAccess": "DISABLE_GOOGLE_ACCESS",
    "purpose": "PRIVATE",
    "stackType": "IPV4_ONLY",
}
#: What a flow log has where its configuration does not say.
_LOG: Json = {
    "enable": True,
    "aggregationInterval": "INTERVAL_5_SEC",
    "flowSampling": 0.5,
    "metadata": "INCLUDE_ALL_METADATA",
    "filterExpr": "true",
}


@route("POST", "regions/{region}/subnetworks", "compute.subnetworks.create")
async def insert_subnetwork(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """A new subnetwork; a range that conflicts fails the operation."""
    kept, made = cloud.use(Compute), known(body_of(request), _KNOWN)
    path = f"{path_of(cloud, request)}/{check_name(made)}"
    network = find_network(kept, made.get("network"))
    made["network"] = kept.link(network)
    made["region"] = kept.link("/".join(path.split("/")[:4]))
    made = complete(made)
    _check(made)
    if path in kept.kept["subnetworks"]:
        kept.add(path, made)  # refused: the name is taken

    def work() -> None:
        _conflicts(kept, network, made, path)
        kept.add(path, made)

    return kept.operate(call, "insert", path, work)


@route("GET", "regions/{region}/subnetworks", "compute.subnetworks.list")
async def list_subnetworks(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The subnetworks of a region."""
    return listed(request, "subnetwork", cloud.use(Compute).below(path_of(cloud, request), "subnetworks"))


@route("GET", "regions/{region}/subnetworks/{name}", "compute.subnetworks.get")
async def get_subnetwork(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One subnetwork."""
    return cloud.use(Compute).get(path_of(cloud, request))


@route("PATCH", "regions/{region}/subnetworks/{name}", "compute.subnetworks.update")
async def patch_subnetwork(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Changes logs, access and secondary ranges; who does so must say which state he has seen."""
    kept, path, given = cloud.use(Compute), path_of(cloud, request), body_of(request)
    current = kept.get(path)
    if not given.get("fingerprint"):
        raise invalid("Invalid value for field 'resource.fingerprint': ''. The fingerprint must be specified.")
    check_fingerprint(current, given)
    changes = {name: value for name, value in known(given, _KNOWN).items() if name in _CHANGEABLE}
    made = complete(current | changes)
    _check(made)

    def work() -> None:
        _conflicts(kept, kept.path(made["network"]), made, path)
        current.clear()
        current.update(made)
        kept.save(path)

    return kept.operate(call, "patch", path, work)


@route(
    "POST",
    "regions/{region}/subnetworks/{name}/setPrivateIpGoogleAccess",
    "compute.subnetworks.setPrivateIpGoogleAccess",
)
async def set_private_access(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Whether what has no external address reaches Google's APIs."""
    kept, path = cloud.use(Compute), _below(cloud, request, "setPrivateIpGoogleAccess")
    current = kept.get(path)
    current["privateIpGoogleAccess"] = bool(body_of(request).get("privateIpGoogleAccess"))
    kept.save(path)
    return kept.operate(call, "setPrivateIpGoogleAccess", path, lambda: None)


@route("POST", "regions/{region}/subnetworks/{name}/expandIpCidrRange", "compute.subnetworks.expandIpCidrRange")
async def expand_range(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """A larger range that holds the old one."""
    kept, path = cloud.use(Compute), _below(cloud, request, "expandIpCidrRange")
    current, text = kept.get(path), str(body_of(request).get("ipCidrRange", ""))
    wanted, before = ranges.parse(text, "ipCidrRange"), ranges.Network(current["ipCidrRange"])
    if not before.subnet_of(wanted) or before == wanted:
        raise invalid(
            f"Invalid value for field 'resource.ipCidrRange': '{text}'. New IP range must be a strict superset of the "
            f"previous one '{before}'."
        )

    def work() -> None:
        _conflicts(kept, kept.path(current["network"]), current | {"ipCidrRange": text}, path)
        current["ipCidrRange"] = text
        current["gatewayAddress"] = str(wanted[1])
        kept.save(path)

    return kept.operate(call, "expandIpCidrRange", path, work)


@route("DELETE", "regions/{region}/subnetworks/{name}", "compute.subnetworks.delete")
async def delete_subnetwork(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Deletes a subnetwork that no NAT names."""
    kept, path = cloud.use(Compute), path_of(cloud, request)
    link = kept.get(path)["selfLink"]

    def work() -> None:
        for router, one in kept.kept["routers"].items():
            named = [s.get("name") for nat in one.get("nats", ()) for s in nat.get("subnetworks", ())]
            if any(kept.link(kept.path(str(name))) == link for name in named):
                text = f"The subnetwork resource '{path}' is already being used by '{router}'"
                raise OperationError("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", text)
        kept.remove(path)

    return kept.operate(call, "delete", path, work)


@route("GET", "aggregated/subnetworks", "compute.subnetworks.list")
@route("GET", "aggregated/addresses", "compute.addresses.list")
@route("GET", "aggregated/routers", "compute.routers.list")
async def aggregated(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The resources of all scopes, by scope."""
    kind = request.path.rpartition("/")[2]
    items: Json = {}
    for path, one in cloud.use(Compute).kept[kind].items():
        parts = path.split("/")
        scope = f"regions/{parts[3]}" if parts[2] == "regions" else "global"
        items.setdefault(scope, {kind: []})[kind].append(one)
    return {"kind": f"compute#{kind[:-1]}AggregatedList", "id": f"{cloud.project}/aggregated", "items": items}


def complete(given: Json) -> Json:
    """What a subnetwork has where nobody says."""
    made: Json = _DEFAULTS | given
    log = made.get("logConfig")
    made["logConfig"] = (_LOG | log) if log and log.get("enable", True) else {"enable": False}
    made["enableFlowLogs"] = made["logConfig"]["enable"]
    if made.get("ipCidrRange"):
        made["gatewayAddress"] = str(ranges.parse(made["ipCidrRange"], "ipCidrRange")[1])
    return made


def _check(made: Json) -> None:
    if not made.get("ipCidrRange"):
        raise invalid("Invalid value for field 'resource.ipCidrRange': ''. The range must be specified.")
    seen = set()
    for index, one in enumerate(made.get("secondaryIpRanges", ())):
        at = f"secondaryIpRanges[{index}]"
        if not isinstance(one, dict) or not isinstance(one.get("rangeName"), str):
            raise invalid(f"Invalid value for field 'resource.{at}.rangeName': ''. The name must be specified.")
        ranges.parse(str(one.get("ipCidrRange", "")), f"{at}.ipCidrRange")
        if one["rangeName"] in seen:
            raise invalid(f"Invalid value for field 'resource.{at}.rangeName': '{one['rangeName']}'. Duplicate name.")
        seen.add(one["rangeName"])


def _conflicts(kept: Compute, network: str, made: Json, path: str) -> None:
    own = [made["ipCidrRange"], *(one["ipCidrRange"] for one in made.get("secondaryIpRanges", ()))]
    parsed = [ranges.Network(text) for text in own]
    for index, one in enumerate(parsed):
        if any(one.overlaps(other) for other in parsed[:index]):
            raise OperationError(
                "INVALID_USAGE", f"Invalid IPCidrRange: {one} conflicts with another of the subnetwork."
            )
        for user, other in kept.taken(network, but=path):
            if one.overlaps(other):
                name, parts = user.rpartition("/")[2], user.split("/")
                kind = "subnetwork" if parts[-2] == "subnetworks" else "global address"
                where = f" in region '{parts[3]}'" if parts[2] == "regions" else ""
                text = f"Invalid IPCidrRange: {one} conflicts with existing {kind} '{name}'{where}."
                raise OperationError("INVALID_USAGE", text)


def _below(cloud: Cloud, request: HttpRequest, verb: str) -> str:
    region = check_region(cloud, request.params["region"])
    assert request.path.endswith(verb)
    return f"projects/{cloud.project}/regions/{region}/subnetworks/{request.params['name']}"
