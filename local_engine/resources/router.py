"""``gcp:compute``: routers, and NATs, which are fields of their router."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from .. import diff
from ..cloud import Cloud, JsonObject
from ..compute_type import ComputeType, network_of
from ..errors import NotFoundError
from ..model import Change
from ..resource_type import Inputs, templated
from ..shapes import Shape, block, blocks, flag, integer, name_part, required, text, texts

_BGP = {
    "asn": integer(required=True),
    "advertiseMode": text(),
    "advertisedGroups": texts(),
    "advertisedIpRanges": blocks({"range": text(required=True), "description": text()}),
    "keepaliveInterval": integer(),
}
#: NATs of one router are changed one after the other.
_LOCK = threading.Lock()


class Router(ComputeType):
    """A router."""

    token = "gcp:compute/router:Router"
    collection = "projects/{project}/regions/{region}/routers"
    computed: ClassVar[Mapping[str, str]] = {"selfLink": "selfLink", "creationTimestamp": "creationTimestamp"}
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "region": name_part(),
        "bgp": block(_BGP),
        "description": text(),
        "encryptedInterconnectRouter": flag(replaces=True),
        "network": text(replaces=True),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """Network and region by their paths, BGP with what the provider states."""
        sent = super().body(cloud, inputs) | {"network": network_of(inputs)}
        if "bgp" in sent:
            sent["bgp"] = {"advertiseMode": "DEFAULT", "keepaliveInterval": 20} | sent["bgp"]
        return sent | {"region": f"projects/{inputs['project']}/global/regions/{inputs['region']}"}

    def update_body(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject:
        """Neither name nor place."""
        sent = self.body(cloud, inputs)
        return {name: sent[name] for name in ("bgp", "description") if name in sent}

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """The region is where it stands."""
        return [one for one in super().drift(cloud, inputs, live) if one.path != "region"]


_SUBNETWORK = {
    "name": text(required=True),
    "secondaryIpRangeNames": texts(),
    "sourceIpRangesToNats": texts(required=True, api="sourceIpRangesToNat"),
}
#: What the provider states where the program does not.
_TIMEOUTS = {
    "icmpIdleTimeoutSec": 30,
    "tcpEstablishedIdleTimeoutSec": 1200,
    "tcpTimeWaitTimeoutSec": 120,
    "tcpTransitoryIdleTimeoutSec": 30,
    "udpIdleTimeoutSec": 30,
}


class RouterNat(ComputeType):
    """A NAT of a router."""

    token = "gcp:compute/routerNat:RouterNat"
    collection = "projects/{project}/regions/{region}/routers"
    computed: ClassVar[Mapping[str, str]] = {}
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "region": name_part(),
        "router": required(name_part()),
        "enableDynamicPortAllocation": flag(keep=True),
        "enableEndpointIndependentMapping": flag(keep=True),
        "icmpIdleTimeoutSec": integer(),
        "logConfig": block(
            {"enable": flag(required=True, keep=True), "filter": text(required=True)},
        ),
        "maxPortsPerVm": integer(),
        "minPortsPerVm": integer(),
        "natIpAllocateOption": text(),
        "natIps": texts(),
        "sourceSubnetworkIpRangesToNat": text(required=True),
        "subnetworks": blocks(_SUBNETWORK),
        "tcpEstablishedIdleTimeoutSec": integer(),
        "tcpTimeWaitTimeoutSec": integer(),
        "tcpTransitoryIdleTimeoutSec": integer(),
        "type": text(replaces=True),
        "udpIdleTimeoutSec": integer(),
        "deletionPolicy": text(virtual=True),
    }

    def identity(self, inputs: Inputs) -> str:
        """Project, region, router and name, as the provider writes it."""
        return templated("{project}/{region}/{router}/{name}", inputs)

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """The entry in the router's list."""
        return {"name": inputs["name"], "type": "PUBLIC"} | _TIMEOUTS | super().body(cloud, inputs)

    def create(self, cloud: Cloud, inputs: Inputs) -> tuple[str, JsonObject]:
        """Put it into the list."""
        sent = self.body(cloud, inputs)
        self._change(cloud, inputs, lambda nats: [*nats, sent])
        return self.identity(inputs), self.read(cloud, "", inputs) or {}

    def read(self, cloud: Cloud, identity: str, inputs: Inputs) -> JsonObject | None:
        """Find it in the list."""
        try:
            router = cloud.get(self.endpoint, self._router(inputs))
        except NotFoundError:
            return None
        return next((nat for nat in router.get("nats", ()) if nat["name"] == inputs["name"]), None)

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Put it in its own place, with what only the cloud has said of it."""
        sent = self.body(cloud, inputs)
        kept = {known.api or name for name, known in self.inputs.items()} - {"type"}

        def merged(nat: JsonObject) -> JsonObject:
            return {name: value for name, value in nat.items() if name not in kept} | sent

        if changed - {"deletionPolicy"}:
            name = inputs["name"]
            self._change(cloud, inputs, lambda nats: [merged(nat) if nat["name"] == name else nat for nat in nats])
        return self.read(cloud, identity, inputs) or {}

    def delete(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Take it out of the list."""
        if inputs.get("deletionPolicy") == "ABANDON" or self.read(cloud, identity, inputs) is None:
            return
        self._change(cloud, inputs, lambda nats: [nat for nat in nats if nat["name"] != inputs["name"]])

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Its entry."""
        return list(diff.drift(self.body(cloud, inputs), live))

    def _router(self, inputs: Inputs) -> str:
        return templated("projects/{project}/regions/{region}/routers/{router}", inputs)

    def _change(self, cloud: Cloud, inputs: Inputs, change: Callable[[list[Any]], list[Any]]) -> None:
        with _LOCK:
            nats = cloud.get(self.endpoint, self._router(inputs)).get("nats", [])
            sent = {"nats": change(nats)}
            self.wait(cloud, inputs, cloud.call(self.endpoint, "PATCH", self._router(inputs), body=sent))
