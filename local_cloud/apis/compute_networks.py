"""Compute's networks, with the default route that each begins with.

Source: https://cloud.google.com/compute/docs/reference/rest/v1/networks and .../routes.
"""

import re
import secrets
from typing import Any

from local_cloud.apis.compute import body_of, listed, path_of, route
from local_cloud.cloud import Cloud
from local_cloud.compute import regions
from local_cloud.compute.kept import Compute, Json, OperationError, check_fingerprint, missing
from local_cloud.errors import invalid
from local_cloud.registry import Call, HttpRequest

NAME = re.compile(r"[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?")
MTU = (1300, 8896)
_KNOWN = {
    "autoCreateSubnetworks": bool,
    "description": str,
    "enableUlaInternalIpv6": bool,
    "internalIpv6Range": str,
    "mtu": int,
    "name": str,
    "networkFirewallPolicyEnforcementOrder": str,
    "networkProfile": str,
    "params": dict,
    "routingConfig": dict,
}
_CHANGEABLE = ("enableUlaInternalIpv6", "mtu", "networkFirewallPolicyEnforcementOrder", "routingConfig")
#: What a filter of routes may speak of, as the provider writes it.
_FILTER = re.compile(r'\(?(network|destRange)\s*=\s*"?([^")\s]+)"?\)?')


def known(given: Json, shape: dict[str, Any]) -> Json:
    """The fields of a body that the resource has, each of its type; others are output only, or unknown."""
    made = {}
    for name, value in given.items():
        if name in shape and value is not None:
            kind = shape[name]
            if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
                raise invalid(f"Invalid value for field 'resource.{name}': '{value}'.")
            made[name] = value
    return made


def check_name(given: Json) -> str:
    """The resource's name, well formed."""
    name = given.get("name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise invalid(
            f"Invalid value for field 'resource.name': '{name or ''}'. Must be a match of regex "
            "'(?:[a-z](?:[-a-z0-9]{0,61}[a-z0-9])?)'"
        )
    return name


@route("POST", "global/networks", "compute.networks.create")
async def insert_network(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """A new network; in auto mode with a subnetwork in every region."""
    kept, made = cloud.use(Compute), known(body_of(request), _KNOWN)
    path = f"{path_of(cloud, request)}/{check_name(made)}"
    made.setdefault("autoCreateSubnetworks", True)
    made["routingConfig"] = {
        "routingMode": "REGIONAL",
        "bgpBestPathSelectionMode": "LEGACY",
    } | made.get("routingConfig", {})
    made.setdefault("networkFirewallPolicyEnforcementOrder", "AFTER_CLASSIC_FIREWALL")
    _check(made)
    kept.add(path, made)

    def finish() -> None:
        kept.add(_route_path(cloud), _default_route(kept, path))
        if made["autoCreateSubnetworks"]:
            for region in regions.AUTO:
                _auto_subnetwork(kept, path, region, str(made["name"]))

    return kept.operate(call, "insert", path, finish)


@route("GET", "global/networks", "compute.networks.list")
async def list_networks(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """All networks."""
    kept = cloud.use(Compute)
    return listed(request, "network", [_shown(kept, one) for one in kept.below(path_of(cloud, request), "networks")])


@route("GET", "global/networks/{name}", "compute.networks.get")
async def get_network(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One network with its subnetworks."""
    kept = cloud.use(Compute)
    return _shown(kept, kept.get(path_of(cloud, request)))


@route("PATCH", "global/networks/{name}", "compute.networks.update")
async def patch_network(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Changes what may change of a network."""
    kept, path, given = cloud.use(Compute), path_of(cloud, request), body_of(request)
    current = kept.get(path)
    check_fingerprint(current, given)
    changes = {name: value for name, value in known(given, _KNOWN).items() if name in _CHANGEABLE}
    if "routingConfig" in changes:
        changes["routingConfig"] = current["routingConfig"] | changes["routingConfig"]
    _check(current | changes)
    current.update(changes)
    kept.save(path)
    return kept.operate(call, "patch", path, lambda: None)


@route("DELETE", "global/networks/{name}", "compute.networks.delete")
async def delete_network(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Deletes a network that nothing uses; the subnetworks of auto mode go with it."""
    kept, path = cloud.use(Compute), path_of(cloud, request)
    found = kept.get(path)

    def work() -> None:
        own = _auto_paths(kept, found)
        for user in kept.users(path):
            if user not in own:
                text = f"The network resource '{path}' is already being used by '{user}'"
                raise OperationError("RESOURCE_IN_USE_BY_ANOTHER_RESOURCE", text)
        for subnetwork in own:
            kept.remove(subnetwork)
        for name, one in kept.kept["routes"].items():
            if one["network"] == found["selfLink"]:
                kept.remove(name)
        kept.remove(path)

    return kept.operate(call, "delete", path, work)


@route("GET", "global/routes", "compute.routes.list")
async def list_routes(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The routes, all or of one network."""
    found = cloud.use(Compute).below(path_of(cloud, request), "routes")
    for field, value in _FILTER.findall(request.arg("filter")):
        found = [one for one in found if str(one[field]).endswith(value)]
    return listed(request, "route", found)


@route("GET", "global/routes/{name}", "compute.routes.get")
async def get_route(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One route."""
    return cloud.use(Compute).get(path_of(cloud, request))


@route("DELETE", "global/routes/{name}", "compute.routes.delete")
async def delete_route(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Deletes a route."""
    kept, path = cloud.use(Compute), path_of(cloud, request)
    kept.get(path)
    return kept.operate(call, "delete", path, lambda: kept.remove(path))


def find_network(kept: Compute, given: Any) -> str:
    """The path of a network that a body names by any kind of link; 404 unless it is there."""
    if not isinstance(given, str) or not given:
        raise invalid("Invalid value for field 'resource.network': ''. The network must be specified.")
    path = kept.path(given)
    if "/global/networks/" not in path:
        raise invalid(f"Invalid value for field 'resource.network': '{given}'. The URL is malformed.")
    if path not in kept.kept["networks"]:
        raise missing(path)
    return path


def _check(made: Json) -> None:
    if "mtu" in made and not MTU[0] <= made["mtu"] <= MTU[1]:
        raise invalid(f"Invalid value for field 'resource.mtu': '{made['mtu']}'. Must be between {MTU[0]} and {MTU[1]}")
    mode = made["routingConfig"].get("routingMode")
    if mode not in ("REGIONAL", "GLOBAL"):
        raise invalid(f"Invalid value for field 'resource.routingConfig.routingMode': '{mode}'.")


def _shown(kept: Compute, network: Json) -> Json:
    names = [path for path, one in kept.kept["subnetworks"].items() if one["network"] == network["selfLink"]]
    return network | ({"subnetworks": [kept.link(path) for path in sorted(names)]} if names else {})


def _route_path(cloud: Cloud) -> str:
    return f"projects/{cloud.project}/global/routes/default-route-{secrets.token_hex(8)}"


def _default_route(kept: Compute, network: str) -> Json:
    return {
        "name": "default-route",
        "description": "Default route to the Internet.",
        "network": kept.link(network),
        "destRange": "0.0.0.0/0",
        "priority": 1000,
        "nextHopGateway": kept.link(f"{'/'.join(network.split('/')[:3])}/gateways/default-internet-gateway"),
    }


def _auto_subnetwork(kept: Compute, network: str, region: str, name: str) -> None:
    from local_cloud.apis.compute_subnetworks import complete

    head = "/".join(network.split("/")[:2])
    made = {
        "name": name,
        "network": kept.link(network),
        "ipCidrRange": regions.auto_range(region),
        "region": kept.link(f"{head}/regions/{region}"),
    }
    kept.add(f"{head}/regions/{region}/subnetworks/{name}", complete(made))


def _auto_paths(kept: Compute, network: Json) -> list[str]:
    if not network["autoCreateSubnetworks"]:
        return []
    return [
        path
        for path, one in kept.kept["subnetworks"].items()
        if one["network"] == network["selfLink"]
        and one["name"] == network["name"]
        and one["ipCidrRange"] == regions.auto_range(path.split("/")[3])
    ]
