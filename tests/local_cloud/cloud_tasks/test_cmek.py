"""The keys of locations: kept and read back, by those who may."""

import uuid
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.cloud import tasks_v2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import LOCATION, PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import account, bearer


@pins(
    "cloud_tasks",
    "Queues",
    "GetCmekConfig, UpdateCmekConfig: kept for each location and read back",
    documented="CmekConfig",
)
@pins(
    "cloud_tasks",
    "Queues",
    "The key of a CMEK configuration encrypts nothing here",
    ours="what is at rest is on this machine",
)
def test_a_key_is_kept_for_its_location(client: Any) -> None:
    location = f"region-{uuid.uuid4().hex[:8]}"
    config = f"projects/{PROJECT}/locations/{location}/cmekConfig"
    key = f"projects/p/locations/{location}/keyRings/ring/cryptoKeys/key"
    assert client.get_cmek_config(name=config) == tasks_v2.CmekConfig(name=config)
    made = client.update_cmek_config(cmek_config={"name": config, "kms_key": key}, update_mask={"paths": ["kms_key"]})
    assert made == client.get_cmek_config(name=config) == tasks_v2.CmekConfig(name=config, kms_key=key)
    same = client.update_cmek_config(cmek_config={"name": config}, update_mask={"paths": ["name"]})
    assert same.kms_key == key
    for wrong, match in (
        ({"name": config, "kms_key": "key"}, "must be formatted"),
        ({"name": config, "kms_key": key.replace(location, "elsewhere")}, "must be in the location"),
    ):
        with pytest.raises(exceptions.GoogleAPICallError, match=match):
            client.update_cmek_config(cmek_config=wrong)
    with pytest.raises(exceptions.GoogleAPICallError, match="update mask"):
        client.update_cmek_config(cmek_config={"name": config}, update_mask={"paths": ["key"]})
    assert client.get_cmek_config(name=config).kms_key == key
    assert client.update_cmek_config(cmek_config={"name": config}).kms_key == ""
    assert client.get_cmek_config(name=config).kms_key == ""


def test_a_key_is_for_those_who_may_see_it(place: Place) -> None:
    email = account(place, f"key-{uuid.uuid4().hex[:8]}")
    door = f"http://127.0.0.1:{place.ports['service_rest']}/v2/projects/{PROJECT}/locations/{LOCATION}/cmekConfig"
    asked = bearer(place, email)
    assert requests.get(door, timeout=30).status_code == 401
    refused = requests.get(door, headers=asked, timeout=30)
    assert refused.status_code == 403
    assert "cloudtasks.cmekConfig.get" in refused.text
    refused = requests.patch(door, json={"kmsKey": ""}, headers=asked, timeout=30)
    assert refused.status_code == 403
    assert "cloudtasks.cmekConfig.update" in refused.text
