"""The private network: a subnet for Cloud Run's instances, and the private connection to Cloud SQL.

Nothing else stands in it: no machine, no route to the Internet of its own, no firewall rule (what comes in is refused
without one). Calls of the public Internet and of Google's APIs leave Cloud Run as before, since services send only
private ranges this way; so there is no NAT.

Sources: https://cloud.google.com/run/docs/configuring/vpc-direct-vpc and
https://cloud.google.com/sql/docs/postgres/configure-private-services-access.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network

import pulumi
import pulumi_gcp as gcp

from components.site import Site
from spec import names
from spec.network import Network as NetworkSpec

#: Who lends its network the range: the producer of Cloud SQL, among others.
PRODUCER = "servicenetworking.googleapis.com"


@dataclass(frozen=True, kw_only=True)
class NetworkConfig:
    """Which ranges, where."""

    site: Site
    spec: NetworkSpec


class Network(pulumi.ComponentResource):
    """A network with one subnet and one connection."""

    #: The network's full name.
    path: str
    #: What an instance with a private address needs.
    connection: gcp.servicenetworking.Connection

    def __init__(self, name: str, config: NetworkConfig, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("sluice:components:Network", name, None, opts)
        site, lent = config.site, IPv4Network(config.spec.services)
        network = gcp.compute.Network(
            name,
            name=names.NETWORK,
            project=site.project,
            description="Cloud Run and the database",
            auto_create_subnetworks=False,
            routing_mode="REGIONAL",
            opts=site.guarded(self),
        )
        gcp.compute.Subnetwork(
            names.SUBNETWORK,
            name=names.SUBNETWORK,
            project=site.project,
            region=site.region,
            network=network.id,
            description="Addresses of Cloud Run's instances",
            ip_cidr_range=config.spec.subnet,
            private_ip_google_access=True,
            opts=site.guarded(self),
        )
        lent_range = gcp.compute.GlobalAddress(
            names.SERVICES_RANGE,
            name=names.SERVICES_RANGE,
            project=site.project,
            description="Lent to Google for the database's private address",
            purpose="VPC_PEERING",
            address_type="INTERNAL",
            address=str(lent.network_address),
            prefix_length=lent.prefixlen,
            network=network.id,
            labels=site.labels,
            opts=site.guarded(self),
        )
        self.connection = gcp.servicenetworking.Connection(
            f"{name}-services",
            network=network.id,
            service=PRODUCER,
            reserved_peering_ranges=[lent_range.name],
            opts=site.guarded(self),
        )
        self.path = names.network_path(site.project)
        self.register_outputs({"path": self.path})
