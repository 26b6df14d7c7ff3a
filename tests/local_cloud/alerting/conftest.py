"""One cloud a file, with the clients of alerting, and a receiver of notifications and tasks."""

from collections.abc import Iterator

import pytest

from tests.local_cloud.alerting.alerts_client import Alerts, alerts_at
from tests.local_cloud.cloud_places import Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, listening


@pytest.fixture(scope="module")
def alerts(place: Place) -> Iterator[Alerts]:
    """Google's clients."""
    with alerts_at(place) as made:
        yield made


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    """Where tasks and notifications go."""
    with listening() as made:
        yield made
