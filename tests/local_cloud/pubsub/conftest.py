"""What the tests of Pub/Sub stand on: the official clients at the room's place, and topics of one's own."""

from collections.abc import Iterator

import pytest

from tests.local_cloud.cloud_places import Place
from tests.local_cloud.pubsub.clients import Clients


@pytest.fixture(scope="module")
def clients(place: Place) -> Iterator[Clients]:
    """The official clients at the owner's door, over gRPC."""
    made = Clients(place)
    yield made
    made.close()
