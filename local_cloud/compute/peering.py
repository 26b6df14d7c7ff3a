"""Private connections to service producers: which network is peered with which service, over which reserved ranges.

Source: https://cloud.google.com/service-infrastructure/docs/service-networking/reference/rest/v1/services.connections.
"""

from collections.abc import Iterable
from typing import Any

from local_cloud.cloud import Cloud


class Peerings:
    """Connections by `SERVICE NETWORK`, the network by its path with the project's id."""

    def __init__(self, cloud: Cloud) -> None:
        self.connections = cloud.store.json("servicenetworking.connections")

    def of(self, network: str) -> list[dict[str, Any]]:
        """The connections of a network."""
        return [found for key, found in self.connections.items() if key.partition(" ")[2] == network]

    def users(self, network: str) -> Iterable[str]:
        """What to call them where the network is in use."""
        for found in self.of(network):
            yield f"{network}/peerings/{found['peering']}"
