"""A project has one deployer: what is claimed refuses the providers' writes, and nobody else's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local_cloud.cloud import Cloud
from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

#: As the providers name themselves, some through Google's Go client.
PULUMI = "google-api-go-client/0.5 Pulumi/3.0 (GPN:Pulumi; https://www.pulumi.com) pulumi-gcp/v9.35.0"
TERRAFORM = "Terraform/1.9.0 (+https://www.terraform.io) Terraform-Plugin-SDK/2.40.1 terraform-provider-google/7.45.0"
CLAIM = {"by": "./sluice up", "free": "Run `./sluice down --erase`"}
QUEUES = "/v2/projects/sluice-local/locations/us-central1/queues"


async def write(rest: Rest, agent: str, name: str) -> tuple[int, Any]:
    full = {"name": f"{QUEUES.removeprefix('/v2/')}/{name}"}
    return await rest("POST", QUEUES, full, headers={"User-Agent": agent})


@pins(
    "standalone",
    "One deployer",
    "While a deployer has claimed the project, writes of the providers of Pulumi and Terraform are refused and say "
    "whose it is; reads, gcloud and Google's clients go on",
    ours="two states of one project undo each other",
)
@pytest.mark.parametrize(("agent", "tool"), [(PULUMI, "Pulumi"), (TERRAFORM, "Terraform")])
async def test_a_claimed_project_refuses_the_writes_of_other_deployers(rest: Rest, agent: str, tool: str) -> None:
    assert (await write(rest, agent, "before"))[0] == 200
    await rest.ok("PUT", "/_sluice/deployers/local", CLAIM)
    status, answer = await write(rest, agent, "during")
    assert (status, answer["error"]["status"]) == (400, "FAILED_PRECONDITION")
    said = answer["error"]["message"]
    assert "`./sluice up` (stack local)" in said
    assert f"{tool} would take over" in said
    assert CLAIM["free"] in said
    assert (await rest("GET", QUEUES, headers={"User-Agent": agent}))[0] == 200
    policy = f"{QUEUES}/before:getIamPolicy"
    assert (await rest("POST", policy, {}, headers={"User-Agent": agent}))[0] == 200
    assert (await write(rest, "google-cloud-sdk gcloud/528.0.0", "by-hand"))[0] == 200
    assert (await rest.ok("GET", "/_sluice/deployers"))["deployers"] == {"local": CLAIM}


async def test_a_project_is_free_when_every_claim_is_taken_back(rest: Rest) -> None:
    for stack in ("foundation-local", "local"):
        await rest.ok("PUT", f"/_sluice/deployers/{stack}", CLAIM)
    await rest.ok("DELETE", "/_sluice/deployers/local")
    assert (await write(rest, PULUMI, "q"))[0] == 400
    await rest.ok("DELETE", "/_sluice/deployers/foundation-local")
    await rest.ok("DELETE", "/_sluice/deployers/foundation-local")
    assert (await write(rest, PULUMI, "q"))[0] == 200


async def test_a_claim_outlives_the_cloud(tmp_path: Path) -> None:
    def door(cloud: Cloud, session: aiohttp.ClientSession) -> Rest:
        return Rest(session, f"http://127.0.0.1:{cloud.ports['rest']}")

    async with aiohttp.ClientSession() as session:
        async with Running(Settings(state=tmp_path / "kept")) as running:
            await door(running.cloud, session).ok("PUT", "/_sluice/deployers/local", CLAIM)
        async with Running(Settings(state=tmp_path / "kept")) as running:
            assert (await write(door(running.cloud, session), PULUMI, "q"))[0] == 400


@pytest.mark.parametrize("said", [None, [], {"by": "x"}, {"by": "", "free": "y"}, {"by": 1, "free": "y"}])
async def test_a_claim_that_names_nobody_is_refused(rest: Rest, said: object) -> None:
    status, answer = await rest("PUT", "/_sluice/deployers/local", said)
    assert status == 400, answer
    assert (await rest.ok("GET", "/_sluice/deployers"))["deployers"] == {}
