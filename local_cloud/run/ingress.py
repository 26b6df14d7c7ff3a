"""Where a request comes from, and whether a service's ingress setting lets it in.

Internal is what Google counts as internal too: Cloud Tasks, Cloud Scheduler and the cloud's other senders, known by the
connection that they opened, and whatever comes by the services' door, which stands for the project's VPC network. The
owner's door is the internet. There is no load balancer here, so "internal and load balancing" lets in what is internal.
Source: https://cloud.google.com/run/docs/securing/ingress.
"""

from collections.abc import MutableMapping
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum
from local_cloud.engines.outgoing import own_addresses

_INGRESS = enum("google.cloud.run.v2.IngressTraffic")
_NAMES = {number: name for name, number in _INGRESS.items()}
ALL, NONE = _INGRESS["INGRESS_TRAFFIC_ALL"], _INGRESS["INGRESS_TRAFFIC_NONE"]


def refuses(cloud: Cloud, service: Message, scope: MutableMapping[str, Any]) -> str:
    """Why the setting keeps a request out, or "" where it may come in."""
    if service.ingress in (0, ALL):
        return ""
    if service.ingress != NONE and internal(cloud, scope):
        return ""
    return (
        f"The service's ingress is {_NAMES.get(service.ingress, service.ingress)}: it is reached from Cloud Tasks, "
        f"Cloud Scheduler and the services' door (port {cloud.ports['service_rest']}), not from here."
    )


def internal(cloud: Cloud, scope: MutableMapping[str, Any]) -> bool:
    """Whether a request comes from the cloud itself or by the services' door."""
    server, client = scope.get("server"), scope.get("client")
    at_the_services_door = server is not None and server[1] == cloud.ports["service_rest"]
    return at_the_services_door or (client is not None and tuple(client) in own_addresses)
