"""What the tests of Cloud Tasks stand on: the official clients at the room's place, a queue, and where its tasks go."""

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from tests.local_cloud.cloud_places import PARENT, Place, async_client
from tests.local_cloud.cloud_tasks.tasks_target import Target, listening


@pytest.fixture(params=["grpc", "rest"])
def client(place: Place, request: pytest.FixtureRequest) -> Any:
    """The official client, over each wire."""
    return place.client(request.param)


@pytest.fixture
async def aio(place: Place) -> AsyncIterator[Any]:
    """The asynchronous client."""
    async with async_client(place.ports) as made:
        yield made


@pytest.fixture
def target() -> Iterator[Target]:
    with listening() as made:
        yield made


@pytest.fixture
def name() -> str:
    """The name of a queue that is not there yet."""
    return f"{PARENT}/queues/q-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def queue(client: Any, name: str) -> str:
    """A paused queue."""
    client.create_queue(parent=PARENT, queue={"name": name})
    client.pause_queue(name=name)
    return name
