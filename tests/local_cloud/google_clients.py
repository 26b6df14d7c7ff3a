"""Google's own clients of IAM and its neighbours at a cloud's door, over gRPC or REST."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.cloud import iam_admin_v1, iam_credentials_v1, resourcemanager_v3, secretmanager_v1, service_usage_v1

from tests.local_cloud.cloud_places import ANONYMOUS, Place

CLIENTS: dict[str, Any] = {
    "iam": iam_admin_v1.IAMClient,
    "credentials": iam_credentials_v1.IAMCredentialsClient,
    "projects": resourcemanager_v3.ProjectsClient,
    "services": service_usage_v1.ServiceUsageClient,
    "secrets": secretmanager_v1.SecretManagerServiceClient,
}


@contextmanager
def client(place: Place, name: str, wire: str = "grpc") -> Iterator[Any]:
    """The official client at the owner's door."""
    kind = CLIENTS[name]
    transport = kind.get_transport_class(wire)
    if wire == "rest":
        host = f"127.0.0.1:{place.ports['rest']}"
        yield kind(transport=transport(host=host, credentials=ANONYMOUS, url_scheme="http"))
        return
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        yield kind(transport=transport(channel=channel))
