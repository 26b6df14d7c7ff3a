"""The services' own reader of the rollout's record at the local cloud's door, with the one role that it has."""

from __future__ import annotations

from typing import Any

import pytest
from google.api_core import exceptions

from service_code.kit.outside import Outside
from service_code.kit.record import NONE, OBJECT, RolloutRecord, Share
from spec import names
from spec.permissions import RECORD_READER, record_alone
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.storage.test_buckets import MEMBER, as_account, bind
from tests.service_code.outer import record
from tests.service_code.world import Clock


class Account:
    """Tokens of one account."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        return self._token

    async def id_token(self, audience: str) -> str:
        return audience

    def forget(self) -> None:
        return None


async def test_a_service_reads_the_record_and_nothing_beside_it_by_its_one_role_and_each_new_one(
    place: Place, client: Any
) -> None:
    kept = client.bucket(names.rollout_bucket(PROJECT))
    kept.iam_configuration.uniform_bucket_level_access_enabled = True
    kept.create(location="us-central1")
    kept.blob(OBJECT).upload_from_string(record({"payout": 10}, {}))
    kept.blob(names.ROTATIONS_FOLDER + "A_KEY.json").upload_from_string("{}")
    theirs = as_account(place, "storage-user")
    token = theirs._credentials.token
    outside, clock = Outside(), Clock()
    await outside.open()
    try:
        door = f"http://127.0.0.1:{place.ports['service_rest']}"
        reader = RolloutRecord(door, kept.name, outside, Account(token), clock)
        assert await reader.latest() == NONE, "it may not yet"
        condition = {"title": "record-alone", "expression": record_alone(PROJECT)}
        bind(kept, RECORD_READER, MEMBER, condition=condition)
        with pytest.raises(exceptions.Forbidden):  # how far keys are rotated is nobody's to read
            theirs.bucket(kept.name).blob(names.ROTATIONS_FOLDER + "A_KEY.json").download_as_bytes()
        for percent in (10, 25):
            kept.blob(OBJECT).upload_from_string(record({"payout": percent}, {}))
            clock.at += 5
            assert (await reader.latest()).routes == {"payout": Share(percent, "payout")}
    finally:
        await outside.close()
