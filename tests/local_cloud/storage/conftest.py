"""Google's own client of Cloud Storage at a cloud."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud import storage  # type: ignore[attr-defined]

from tests.local_cloud.cloud_places import ANONYMOUS, PROJECT, Place


def client_at(rest: str, credentials: Any = ANONYMOUS) -> Any:
    """The official client at a REST door."""
    made: Any = storage.Client  # the package has no types
    return made(project=PROJECT, credentials=credentials, client_options={"api_endpoint": rest})


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Any]:
    made = client_at(place.rest)
    yield made
    made.close()


_numbers = itertools.count()


@pytest.fixture
def bucket(client: Any) -> Any:
    """A bucket of the test's own."""
    return client.create_bucket(f"bucket-{next(_numbers)}", location="us-central1")
