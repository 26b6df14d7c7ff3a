"""Compute's routers with their NATs, which are fields of the router. No packet is translated.

Source: https://cloud.google.com/compute/docs/reference/rest/v1/routers.
"""

from typing import Any

from local_cloud.apis.compute import body_of, listed, path_of, route
from local_cloud.apis.compute_networks import NAME, check_name, find_network, known
from local_cloud.cloud import Cloud
from local_cloud.compute.kept import Compute, Json, missing
from local_cloud.errors import invalid
from local_cloud.registry import Call, HttpRequest

_KNOWN = {
    "bgp": dict,
    "bgpPeers": list,
    "description": str,
    "encryptedInterconnectRouter": bool,
    "interfaces": list,
    "md5AuthenticationKeys": list,
    "name": str,
    "nats": list,
    "network": str,
    "params": dict,
}
#: Private numbers of autonomous systems (RFC 6996), and the one that Google takes itself.
ASN = ((64512, 65534), (4200000000, 4294967294), (16550, 16550))
_SOURCES = ("ALL_SUBNETWORKS_ALL_IP_RANGES", "ALL_SUBNETWORKS_ALL_PRIMARY_IP_RANGES", "LIST_OF_SUBNETWORKS")
_NAT = {"endpointTypes": ["ENDPOINT_TYPE_VM"], "type": "PUBLIC", "enableEndpointIndependentMapping": False}


@route("POST", "regions/{region}/routers", "compute.routers.create")
async def insert_router(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """A new router."""
    kept, made = cloud.use(Compute), known(body_of(request), _KNOWN)
    path = f"{path_of(cloud, request)}/{check_name(made)}"
    made["network"] = kept.link(find_network(kept, made.get("network")))
    made["region"] = kept.link("/".join(path.split("/")[:4]))
    made = _complete(made)
    _check(kept, made)
    kept.add(path, made)
    return kept.operate(call, "insert", path, lambda: None)


@route("GET", "regions/{region}/routers", "compute.routers.list")
async def list_routers(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The routers of a region."""
    return listed(request, "router", cloud.use(Compute).below(path_of(cloud, request), "routers"))


@route("GET", "regions/{region}/routers/{name}", "compute.routers.get")
async def get_router(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One router with its NATs."""
    return cloud.use(Compute).get(path_of(cloud, request))


@route("PATCH", "regions/{region}/routers/{name}", "compute.routers.update")
@route("PUT", "regions/{region}/routers/{name}", "compute.routers.update")
async def patch_router(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Changes the fields that are given; lists are given whole."""
    kept, path = cloud.use(Compute), path_of(cloud, request)
    current, given = kept.get(path), known(body_of(request), _KNOWN)
    changes = {name: value for name, value in given.items() if name not in ("name", "network")}
    made = _complete(current | changes)
    _check(kept, made)
    current.update(made)
    for name in ("nats", "md5AuthenticationKeys"):
        if not current.get(name):
            current.pop(name, None)
    kept.save(path)
    return kept.operate(call, "patch", path, lambda: None)


@route("DELETE", "regions/{region}/routers/{name}", "compute.routers.delete")
async def delete_router(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Deletes a router with its NATs."""
    kept, path = cloud.use(Compute), path_of(cloud, request)
    kept.get(path)
    return kept.operate(call, "delete", path, lambda: kept.remove(path))


def _complete(made: Json) -> Json:
    if made.get("bgp"):
        made["bgp"] = {"advertiseMode": "DEFAULT", "keepaliveInterval": 20} | made["bgp"]
    if made.get("nats"):
        made["nats"] = [_NAT | nat if isinstance(nat, dict) else nat for nat in made["nats"]]
    return made


def _check(kept: Compute, made: Json) -> None:
    bgp = made.get("bgp")
    if bgp and not any(low <= _number(bgp.get("asn")) <= high for low, high in ASN):
        raise invalid(f"Invalid value for field 'resource.bgp.asn': '{bgp.get('asn')}'. Must be a private ASN.")
    names = set()
    for index, nat in enumerate(made.get("nats", ())):
        at = f"resource.nats[{index}]"
        if not isinstance(nat, dict) or not NAME.fullmatch(str(nat.get("name", ""))):
            raise invalid(f"Invalid value for field '{at}.name'.")
        if nat["name"] in names:
            raise invalid(f"Invalid value for field '{at}.name': '{nat['name']}'. The name is used twice.")
        names.add(nat["name"])
        _check_nat(kept, made, nat, at)


def _check_nat(kept: Compute, router: Json, nat: Json, at: str) -> None:
    sources = nat.get("sourceSubnetworkIpRangesToNat")
    if sources not in _SOURCES and nat["type"] == "PUBLIC":
        raise invalid(f"Invalid value for field '{at}.sourceSubnetworkIpRangesToNat': '{sources or ''}'.")
    given = nat.get("subnetworks", [])
    if not isinstance(given, list) or bool(given) != (sources == "LIST_OF_SUBNETWORKS"):
        raise invalid(
            f"Invalid value for field '{at}.subnetworks': it goes with sourceSubnetworkIpRangesToNat "
            "LIST_OF_SUBNETWORKS, and with that alone."
        )
    for one in given:
        path = kept.path(str(one.get("name", "")) if isinstance(one, dict) else "")
        if path not in kept.kept["subnetworks"]:
            raise missing(path)
        if kept.kept["subnetworks"][path]["network"] != router["network"]:
            raise invalid(f"Invalid value for field '{at}.subnetworks': '{path}' is in another network.")
    option, addresses = nat.get("natIpAllocateOption"), nat.get("natIps")
    if nat["type"] == "PUBLIC" and (
        option not in ("AUTO_ONLY", "MANUAL_ONLY") or bool(addresses) != (option == "MANUAL_ONLY")
    ):
        raise invalid(
            f"Invalid value for field '{at}.natIpAllocateOption': '{option or ''}'. AUTO_ONLY has no natIps, and "
            "MANUAL_ONLY has some."
        )


def _number(given: Any) -> int:
    return given if isinstance(given, int) and not isinstance(given, bool) else -1
