"""The law of address ranges: which a subnetwork may have, which conflict, and which is free.

Source: https://cloud.google.com/vpc/docs/subnets#valid-ranges.
"""

import ipaddress
from collections.abc import Iterable

from local_cloud.errors import ApiError

Network = ipaddress.IPv4Network

#: What no subnetwork may have.
PROHIBITED = tuple(
    ipaddress.IPv4Network(text)
    for text in (
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/4",
        "255.255.255.255/32",
        "199.36.153.4/30",
        "199.36.153.8/30",
    )
)
#: The shortest and the longest prefix of a subnetwork.
PREFIXES = (4, 29)
#: Where ranges are allocated that nobody chose.
PRIVATE = ipaddress.IPv4Network("10.0.0.0/8")
#: Auto mode networks take theirs from here.
AUTO = ipaddress.IPv4Network("10.128.0.0/9")


def parse(text: str, field: str) -> Network:
    """A range that a subnetwork may have; refused in Compute's words."""
    wrong = f"Invalid value for field 'resource.{field}': '{text}'."
    try:
        found = ipaddress.IPv4Network(text, strict=False)
        host = ipaddress.IPv4Interface(text).ip != found.network_address
    except ValueError:
        raise refused(f"{wrong} Must be a CIDR address range.") from None
    if host or "/" not in text:
        raise refused(f"{wrong} Must be a CIDR address range: the address is not the range's first.")
    if not PREFIXES[0] <= found.prefixlen <= PREFIXES[1]:
        raise refused(f"{wrong} The prefix length must be between {PREFIXES[0]} and {PREFIXES[1]}.")
    if any(found.overlaps(prohibited) for prohibited in PROHIBITED):
        raise refused(f"{wrong} The range is not a valid subnetwork range: it overlaps a prohibited range.")
    return found


def free(prefix: int, taken: Iterable[Network]) -> Network | None:
    """The first free range of this length in 10.0.0.0/8, below what auto mode takes."""
    size, at = 1 << (32 - prefix), int(PRIVATE.network_address)
    for one in sorted([*taken, AUTO], key=lambda found: int(found.network_address)):
        first, last = int(one.network_address), int(one.broadcast_address)
        if last < at:
            continue
        if first >= at + size:
            break
        at = (last // size + 1) * size
    return Network((at, prefix)) if at + size - 1 <= int(PRIVATE.broadcast_address) else None


def refused(text: str) -> ApiError:
    """INVALID_ARGUMENT."""
    return ApiError("INVALID_ARGUMENT", text)
