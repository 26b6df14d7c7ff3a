"""``gcp:compute``: networks, subnetworks and global addresses."""

# ruff: noqa: ARG002 - one signature for all types, not every type needs all of it

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from .. import diff
from ..cloud import Cloud, JsonObject
from ..compute_type import ComputeType, network_of
from ..model import Change
from ..resource_type import Inputs
from ..shapes import Shape, block, blocks, flag, integer, labels, name_part, number, text, texts

_ROUTING = {
    "routingMode": "routingMode",
    "bgpBestPathSelectionMode": "bgpBestPathSelectionMode",
    "bgpAlwaysCompareMed": "bgpAlwaysCompareMed",
    "bgpInterRegionCost": "bgpInterRegionCost",
}


class Network(ComputeType):
    """A network."""

    token = "gcp:compute/network:Network"
    collection = "projects/{project}/global/networks"
    computed: ClassVar[Mapping[str, str]] = {"selfLink": "selfLink", "numericId": "id", "gatewayIpv4": "gatewayIPv4"}
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "autoCreateSubnetworks": flag(replaces=True, keep=True),
        "bgpAlwaysCompareMed": flag(),
        "bgpBestPathSelectionMode": text(),
        "bgpInterRegionCost": text(),
        "deleteDefaultRoutesOnCreate": flag(virtual=True),
        "description": text(replaces=False),
        "enableUlaInternalIpv6": flag(),
        "internalIpv6Range": text(replaces=True),
        "mtu": integer(),
        "networkFirewallPolicyEnforcementOrder": text(),
        "routingMode": text(),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """How it routes stands below its own name."""
        sent: JsonObject = {"autoCreateSubnetworks": True} | super().body(cloud, inputs)
        sent.setdefault("networkFirewallPolicyEnforcementOrder", "AFTER_CLASSIC_FIREWALL")
        routing = {api: sent.pop(name) for name, api in _ROUTING.items() if name in sent}
        return sent | ({"routingConfig": routing} if routing else {})

    def after_create(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Take the ways to the Internet away."""
        if not inputs.get("deleteDefaultRoutesOnCreate"):
            return
        project = inputs["project"]
        link = f"https://www.googleapis.com/compute/v1/{identity}"
        query = {"filter": f'(network="{link}") AND (destRange="0.0.0.0/0")'}
        for found in cloud.get(self.endpoint, f"projects/{project}/global/routes", query).get("items", ()):
            name = str(found["selfLink"]).rpartition("/")[2]
            path = f"projects/{project}/global/routes/{name}"
            self.wait(cloud, inputs, cloud.call(self.endpoint, "DELETE", path))

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """A call for each group of settings."""
        sent = self.body(cloud, inputs)
        routing = {"networkFirewallPolicyEnforcementOrder", "routingConfig", *_ROUTING}
        groups = (("routingConfig", "networkFirewallPolicyEnforcementOrder"), ("enableUlaInternalIpv6",), ("mtu",))
        for group in groups:
            if not changed & (routing if group[0] == "routingConfig" else set(group)):
                continue
            body = {name: sent[name] for name in group if name in sent}
            if group == ("mtu",):
                body["fingerprint"] = self.fetch(cloud, identity).get("fingerprint")
            self.wait(cloud, inputs, cloud.call(self.endpoint, "PATCH", self.url(identity), body=body))
        return self.fetch(cloud, identity)


_LOG = {
    "aggregationInterval": text(),
    "filterExpr": text(),
    "flowSampling": number(),
    "metadata": text(),
    "metadataFields": texts(),
}
_LOG_DEFAULTS = {
    "aggregationInterval": "INTERVAL_5_SEC",
    "filterExpr": "true",
    "flowSampling": 0.5,
    "metadata": "INCLUDE_ALL_METADATA",
}
_RANGE = {"rangeName": text(required=True), "ipCidrRange": text()}


class Subnetwork(ComputeType):
    """A subnetwork of a network in a region."""

    token = "gcp:compute/subnetwork:Subnetwork"
    collection = "projects/{project}/regions/{region}/subnetworks"
    computed: ClassVar[Mapping[str, str]] = {
        "selfLink": "selfLink",
        "gatewayAddress": "gatewayAddress",
        "creationTimestamp": "creationTimestamp",
    }
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "region": name_part(),
        "description": text(),
        "ipCidrRange": text(),
        "logConfig": block(_LOG),
        "network": text(required=True, replaces=True),
        "privateIpGoogleAccess": flag(),
        "privateIpv6GoogleAccess": text(),
        "purpose": text(),
        "role": text(),
        "secondaryIpRanges": blocks(_RANGE),
        "stackType": text(),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """Network and region by their paths, logs with what the provider states."""
        sent = super().body(cloud, inputs) | {"network": network_of(inputs)}
        sent["region"] = f"projects/{inputs['project']}/global/regions/{inputs['region']}"
        given = sent.get("logConfig")
        sent["logConfig"] = {"enable": True} | _LOG_DEFAULTS | given if given is not None else {"enable": False}
        return sent

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Each setting by its own call; those by PATCH under the fingerprint that stands."""
        sent, path = self.body(cloud, inputs), self.url(identity)
        for name, verb in (
            ("ipCidrRange", "expandIpCidrRange"),
            ("privateIpGoogleAccess", "setPrivateIpGoogleAccess"),
        ):
            if name in changed:
                body = {name: sent.get(name, False)}
                self.wait(cloud, inputs, cloud.call(self.endpoint, "POST", f"{path}/{verb}", body=body))
        groups = (("privateIpv6GoogleAccess", "stackType"), ("logConfig",), ("role",), ("secondaryIpRanges",))
        for group in groups:
            if changed & set(group):
                empty: JsonObject = {"secondaryIpRanges": []} if group == ("secondaryIpRanges",) else {}
                body = empty | {name: sent[name] for name in group if name in sent}
                body["fingerprint"] = self.fetch(cloud, identity).get("fingerprint")
                self.wait(cloud, inputs, cloud.call(self.endpoint, "PATCH", path, body=body))
        return self.fetch(cloud, identity)

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """The region is where it stands."""
        return [one for one in super().drift(cloud, inputs, live) if one.path != "region"]


class GlobalAddress(ComputeType):
    """A global address, or a range reserved for private connections."""

    token = "gcp:compute/globalAddress:GlobalAddress"
    collection = "projects/{project}/global/addresses"
    labelled = False
    computed: ClassVar[Mapping[str, str]] = {
        "selfLink": "selfLink",
        "address": "address",
        "creationTimestamp": "creationTimestamp",
        "labelFingerprint": "labelFingerprint",
    }
    inputs: ClassVar[Shape] = {
        "name": name_part(),
        "project": name_part(),
        "address": text(replaces=True),
        "addressType": text(replaces=True),
        "description": text(),
        "ipVersion": text(replaces=True),
        "labels": labels(virtual=True),
        "network": text(replaces=True),
        "prefixLength": integer(replaces=True),
        "purpose": text(replaces=True),
        "deletionPolicy": text(virtual=True),
    }

    def body(self, cloud: Cloud, inputs: Inputs) -> JsonObject:
        """External unless it says otherwise."""
        sent: JsonObject = {"addressType": "EXTERNAL"} | super().body(cloud, inputs)
        return sent | ({"network": network_of(inputs)} if inputs.get("network") else {})

    def after_create(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        """Labels cannot be given at once."""
        self._label(cloud, identity, inputs)

    def update(self, cloud: Cloud, identity: str, old: Inputs, inputs: Inputs, changed: frozenset[str]) -> JsonObject:
        """Only labels can change."""
        if "labels" in changed:
            self._label(cloud, identity, inputs)
        return self.fetch(cloud, identity)

    def _label(self, cloud: Cloud, identity: str, inputs: Inputs) -> None:
        wanted = dict(cloud.attribution) | dict(inputs.get("labels") or {})
        sent = {"labels": wanted, "labelFingerprint": self.fetch(cloud, identity).get("labelFingerprint")}
        self.wait(cloud, inputs, cloud.call(self.endpoint, "POST", f"{self.url(identity)}/setLabels", body=sent))

    def drift(self, cloud: Cloud, inputs: Inputs, live: JsonObject) -> list[Change]:
        """Labels too, though no body carries them."""
        wanted = dict(cloud.attribution) | dict(inputs.get("labels") or {})
        return [*super().drift(cloud, inputs, live), *diff.drift({"labels": wanted}, live)]
