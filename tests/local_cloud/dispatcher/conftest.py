"""The dispatcher in its room, and a receiver for its tasks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.local_cloud.dispatcher.room import Room, room_at
from tests.local_cloud.receiver import Receiver, receiver


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with room_at(tmp_path) as made:
        yield made


@pytest.fixture
async def there(room: Room) -> AsyncIterator[Receiver]:
    async with receiver(room.clock.now) as made:
        yield made
