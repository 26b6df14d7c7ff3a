"""Compute's global addresses: external ones, and ranges that are reserved for private connections.

Source: https://cloud.google.com/compute/docs/reference/rest/v1/globalAddresses.
"""

import ipaddress
from typing import Any

from local_cloud.apis.compute import body_of, listed, path_of, route
from local_cloud.apis.compute_networks import check_name, find_network, known
from local_cloud.cloud import Cloud
from local_cloud.compute import ranges
from local_cloud.compute.kept import Compute, Json, OperationError, check_fingerprint
from local_cloud.errors import invalid
from local_cloud.labels import check_labels
from local_cloud.registry import Call, HttpRequest

_KNOWN = {
    "address": str,
    "addressType": str,
    "description": str,
    "ipVersion": str,
    "labels": dict,
    "name": str,
    "network": str,
    "prefixLength": int,
    "purpose": str,
}
#: Addresses that are nobody's: the range that is set aside for documentation (RFC 5737).
EXTERNAL = ipaddress.IPv4Network("203.0.113.0/24")
PREFIXES = (8, 30)


@route("POST", "global/addresses", "compute.globalAddresses.create")
async def insert_address(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Reserves an address or a range, the one that is asked for or a free one."""
    kept, made = cloud.use(Compute), known(body_of(request), _KNOWN)
    path = f"{path_of(cloud, request)}/{check_name(made)}"
    made.setdefault("addressType", "EXTERNAL")
    check_labels(_labels(made.get("labels", {})))
    if made["addressType"] == "EXTERNAL":
        if made.get("network") or made.get("purpose"):
            raise invalid(
                "Invalid value for field 'resource.network': An external address has neither network nor purpose."
            )
        made |= {"ipVersion": made.get("ipVersion") or "IPV4", "networkTier": "PREMIUM"}
    elif made["addressType"] == "INTERNAL":
        _check_internal(kept, made)
    else:
        raise invalid(f"Invalid value for field 'resource.addressType': '{made['addressType']}'.")
    made["status"] = "RESERVED"
    if path in kept.kept["addresses"]:
        kept.add(path, made)  # refused: the name is taken

    def work() -> None:
        _allocate(kept, made)
        kept.add(path, made)

    return kept.operate(call, "insert", path, work)


@route("GET", "global/addresses", "compute.globalAddresses.list")
async def list_addresses(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """All global addresses."""
    return listed(request, "address", cloud.use(Compute).below(path_of(cloud, request), "addresses"))


@route("GET", "global/addresses/{name}", "compute.globalAddresses.get")
async def get_address(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """One."""
    return cloud.use(Compute).get(path_of(cloud, request))


@route("POST", "global/addresses/{name}/setLabels", "compute.globalAddresses.setLabels")
async def set_labels(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Replaces the labels; who does so must have seen those before."""
    kept, given = cloud.use(Compute), body_of(request)
    path = f"projects/{cloud.project}/global/addresses/{request.params['name']}"
    current = kept.get(path)
    if not given.get("labelFingerprint"):
        raise invalid("Required field 'resource.labelFingerprint' not specified")
    check_fingerprint(current, given, "labelFingerprint")
    labels = _labels(given.get("labels") or {})
    check_labels(labels)
    current["labels"] = labels
    kept.save(path)
    return kept.operate(call, "setLabels", path, lambda: None)


@route("DELETE", "global/addresses/{name}", "compute.globalAddresses.delete")
async def delete_address(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Releases it."""
    kept, path = cloud.use(Compute), path_of(cloud, request)
    kept.get(path)
    return kept.operate(call, "delete", path, lambda: kept.remove(path))


def _labels(given: Any) -> dict[str, str]:
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise invalid("Invalid value for field 'resource.labels'.")
    return dict(given)


def _check_internal(kept: Compute, made: Json) -> None:
    if made.get("purpose") not in ("VPC_PEERING", "PRIVATE_SERVICE_CONNECT"):
        raise invalid(f"Invalid value for field 'resource.purpose': '{made.get('purpose', '')}'.")
    made["network"] = kept.link(find_network(kept, made.get("network")))
    if made["purpose"] == "VPC_PEERING":
        length = made.get("prefixLength", 0)
        if not PREFIXES[0] <= length <= PREFIXES[1]:
            raise invalid(
                f"Invalid value for field 'resource.prefixLength': '{length}'. Must be between {PREFIXES[0]} and "
                f"{PREFIXES[1]}."
            )
        if made.get("address"):
            ranges.parse(f"{made['address']}/{length}", "address")


def _allocate(kept: Compute, made: Json) -> None:
    if made["addressType"] == "EXTERNAL":
        used = {one["address"] for one in kept.kept["addresses"].values()}
        made["address"] = next((str(ip) for ip in EXTERNAL.hosts() if str(ip) not in used), "")
        if not made["address"]:
            raise OperationError("QUOTA_EXCEEDED", "Quota 'STATIC_ADDRESSES' exceeded. Limit: 254.0 globally.")
        return
    taken = [one for _, one in kept.taken(kept.path(made["network"]))]
    length = made.get("prefixLength") or 32
    wanted = ranges.Network(f"{made['address']}/{length}") if made.get("address") else ranges.free(length, taken)
    if wanted is None:
        raise OperationError("IP_SPACE_EXHAUSTED", f"There is no free range of prefix length {length} in the network.")
    if any(wanted.overlaps(one) for one in taken):
        raise OperationError(
            "INVALID_USAGE", f"Requested range {wanted} conflicts with an existing range in the network."
        )
    made["address"] = str(wanted.network_address)
