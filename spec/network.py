"""The private network of an environment: its two ranges, and how many addresses Cloud Run takes of the first.

Owns the model of `sluice:network` and the arithmetic of Direct VPC egress. Leaves the network itself to the components.

Sources: https://cloud.google.com/run/docs/configuring/vpc-direct-vpc (IP address allocation: blocks of 16, twice as
many addresses as instances, kept for 20 minutes after an instance went, a subnet of /26 or larger) and
https://cloud.google.com/vpc/docs/configure-private-services-access (a range of /24 or larger).
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network
from typing import Self

from pydantic import field_validator, model_validator

from spec.errors import Refused
from spec.model import Model, field

#: Room for Cloud Run's instances, and for Google's side of the private connection to Cloud SQL.
SUBNET, SERVICES = "10.0.0.0/20", "10.16.0.0/20"

#: The smallest ranges that Google takes: of Cloud Run's subnet, and of private services access.
SMALLEST_SUBNET, SMALLEST_SERVICES = 26, 24

#: Ranges that Cloud Run and Cloud SQL both route: RFC 1918, RFC 6598 and class E.
PRIVATE = tuple(map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "240.0.0.0/4")))

#: Cloud SQL's containers use this range themselves, so that nobody there is reached.
TAKEN = IPv4Network("172.17.0.0/16")

#: Addresses of every subnet that Google keeps for itself.
RESERVED = 4

#: Cloud Run reserves addresses in blocks, two for each instance, and an old revision keeps its own for 20 minutes.
BLOCK, PER_INSTANCE, REVISIONS = 16, 2, 2

#: Addresses of the migration job's one task: a block.
JOB = BLOCK


class Network(Model):
    """The two ranges."""

    subnet: str = field(
        SUBNET,
        "The range whose addresses Cloud Run's instances take; it can be made larger later, never smaller.",
        breaks="instances without an address do not start",
        fix=f"write a private range such as {SUBNET}",
    )
    services: str = field(
        SERVICES,
        "The range that is lent to Google for the database's private address; it cannot be changed once it is in use.",
        breaks="the database gets no private address",
        fix=f"write a private range such as {SERVICES}",
    )

    @field_validator("subnet", "services")
    @classmethod
    def _is_a_private_range(cls, text: str) -> str:
        try:
            found = IPv4Network(text)
        except ValueError as error:
            raise _refuse(f"{text!r} is no range: {error}") from error
        if not any(found.subnet_of(one) for one in PRIVATE) or found.overlaps(TAKEN):
            raise _refuse(f"{text} is not a private range, or is within {TAKEN}, which Cloud SQL uses itself")
        return text

    @model_validator(mode="after")
    def _ranges_are_large_and_apart(self) -> Self:
        for key, smallest in (("subnet", SMALLEST_SUBNET), ("services", SMALLEST_SERVICES)):
            size = IPv4Network(getattr(self, key)).prefixlen
            if size > smallest:
                raise _refuse(f"/{size} is smaller than /{smallest}", key)
        if IPv4Network(self.subnet).overlaps(IPv4Network(self.services)):
            raise _refuse(f"{self.services} and {self.subnet} overlap", "services")
        return self

    @property
    def room(self) -> int:
        """Addresses that Cloud Run can take."""
        return IPv4Network(self.subnet).num_addresses - RESERVED


def addresses(most_instances: Iterable[int]) -> int:
    """Addresses that services of so many instances at most take while each is rolled out, and the migrations before."""
    return JOB + sum(REVISIONS * _blocks(PER_INSTANCE * most) for most in most_instances)


def enough_for(wanted: int) -> int:
    """Return the prefix length of the smallest subnet with room for so many addresses."""
    return next(size for size in range(SMALLEST_SUBNET, 7, -1) if (1 << (32 - size)) - RESERVED >= wanted)


def _blocks(wanted: int) -> int:
    return -(-wanted // BLOCK) * BLOCK


def _refuse(what: str, key: str = "") -> Refused:
    return Refused(
        what,
        key=key,
        breaks="Google refuses the network, or the services do not reach the database",
        fix=f"write ranges such as subnet: {SUBNET} and services: {SERVICES}, which no network that you peer with uses",
    )
