"""Tokens of tasks: for which account and audience they are made, and when there is none."""

import uuid
from pathlib import Path
from typing import Any

import jwt
import pytest
from google.api_core import exceptions

from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, Place, async_client
from tests.local_cloud.cloud_tasks.tasks_target import Target, account


def test_tokens_are_made_for_the_account_and_audience(place: Place, client: Any, name: str, target: Target) -> None:
    email = account(place, f"inv-{uuid.uuid4().hex[:8]}")
    client.create_queue(parent=PARENT, queue={"name": name})
    for token in ({"service_account_email": email}, {"service_account_email": email, "audience": "https://aud"}):
        client.create_task(parent=name, task={"http_request": {"url": f"{target.url}/x", "oidc_token": token}})
    seen = target.wait(2)
    keys = jwt.PyJWKClient(f"{place.rest}/oauth2/v3/certs")
    audiences = set()
    for _, headers, _ in seen:
        kind, _, raw = headers["Authorization"].partition(" ")
        assert kind == "Bearer"
        signing = keys.get_signing_key_from_jwt(raw)
        claims = jwt.decode(raw, signing.key, ["RS256"], options={"verify_aud": False, "verify_iat": False})
        assert claims["email"] == email
        audiences.add(claims["aud"])
    assert audiences == {f"{target.url}/x", "https://aud"}


@pins(
    "cloud_tasks",
    "Tasks",
    "A task that is to carry the token of an account that does not exist is refused, NOT_FOUND, whoever asks",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
    ours="the wording",
)
def test_an_account_that_does_not_exist_is_found_out_at_once(client: Any, queue: str) -> None:
    token = {"oidc_token": {"service_account_email": f"never@{PROJECT}.iam.gserviceaccount.com"}}
    with pytest.raises(exceptions.NotFound, match="Service account never@"):
        client.create_task(parent=queue, task={"http_request": {"url": "https://h.example/", **token}})


@pins("cloud_tasks", "Tasks", "With IAM off a token is made for any account that a task names", ours=True)
async def test_without_iam_any_account_has_a_token(tmp_path: Path, target: Target) -> None:
    async with (
        Running(Settings(state=tmp_path, iam_mode="off")) as running,
        async_client(running.cloud.ports) as client,
    ):
        name = f"{PARENT}/queues/q"
        await client.create_queue(parent=PARENT, queue={"name": name})
        token = {"oidc_token": {"service_account_email": "emulator@service.test"}}
        await client.create_task(parent=name, task={"http_request": {"url": f"{target.url}/x?y=z", **token}})
        await running.cloud.clock.settle()
        _, headers, _ = target.seen[0]
        claims = jwt.decode(headers["Authorization"].removeprefix("Bearer "), options={"verify_signature": False})
        assert (claims["email"], claims["aud"]) == ("emulator@service.test", f"{target.url}/x?y=z")
