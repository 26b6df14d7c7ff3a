"""Service Usage: a fresh project can do everything, and a call to an API that is disabled is refused as Google does."""

from pathlib import Path
from typing import Any

import grpc
import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

SERVICES = "/v1/projects/sluice-local/services"
QUEUES = "/v2/projects/sluice-local/locations/us-central1/queues"
ENABLED = f"{SERVICES}?filter=state:ENABLED&fields=services/name,nextPageToken&pageSize=200"
SAID = "Cloud Tasks API has not been used in project 123456789012 before or it is disabled. Enable it by visiting "


async def enabled(rest: Rest) -> set[str]:
    return {s["name"].rpartition("/")[2] for s in (await rest.ok("GET", ENABLED)).get("services", ())}


@pins(
    "iam",
    "Accounts, roles, project, services",
    "Services: list by state, get, enable, batch, disable; finished operations",
    documented="serviceusage.proto",
)
@pins(
    "iam",
    "Accounts, roles, project, services",
    "In a fresh project every API of this cloud is enabled; what was disabled stays so",
    ours="a standalone cloud must be usable at once; --strict-apis begins as Google does",
)
async def test_services_are_disabled_and_enabled_and_stay_so(rest: Rest) -> None:
    names = await enabled(rest)
    assert {"cloudtasks.googleapis.com", "run.googleapis.com", "iam.googleapis.com"} <= names
    assert not {name for name in names if name.startswith(("admin.", "metadata.", "operations.", "iam_"))}
    operation = await rest.ok("POST", f"{SERVICES}/cloudtasks.googleapis.com:disable", {})
    assert operation["done"] is True
    assert await rest.ok("GET", f"/v1/{operation['name']}") == operation
    assert await enabled(rest) == names - {"cloudtasks.googleapis.com"}
    assert (await rest.ok("GET", f"{SERVICES}/cloudtasks.googleapis.com"))["state"] == "DISABLED"
    batch = {"serviceIds": ["cloudtasks.googleapis.com", "compute.googleapis.com"]}
    await rest.ok("POST", f"{SERVICES}:batchEnable", batch)
    assert await enabled(rest) == names | {"compute.googleapis.com"}
    got = await rest.ok("GET", f"{SERVICES}:batchGet?names={SERVICES[4:]}/run.googleapis.com")
    assert [(s["state"], s["config"]["title"]) for s in got["services"]] == [("ENABLED", "Cloud Run Admin API")]
    assert (await rest("POST", f"{SERVICES}/nonsense:enable", {}))[0] == 403
    assert (await rest("GET", f"{SERVICES}?filter=name:x"))[0] == 400


@pins(
    "iam",
    "Accounts, roles, project, services",
    "A call to a disabled API: PERMISSION_DENIED, SERVICE_DISABLED, with Google's words, ErrorInfo and Help",
    observed="public issue threads",
)
@pins(
    "iam",
    "Accounts, roles, project, services",
    "Enabling and disabling take effect at once; Service Usage itself always answers",
    ours="Google's take minutes, and the way back must stay open",
)
async def test_a_disabled_api_refuses_at_both_wires_until_it_is_enabled(cloud: Cloud, rest: Rest) -> None:
    await rest.ok("POST", f"{SERVICES}/cloudtasks.googleapis.com:disable", {})
    status, answer = await rest("GET", QUEUES)
    error = answer["error"]
    assert (status, error["status"]) == (403, "PERMISSION_DENIED")
    assert error["message"].startswith(SAID)
    info, link = error["details"]
    assert (info["reason"], info["domain"]) == ("SERVICE_DISABLED", "googleapis.com")
    assert info["metadata"]["service"] == "cloudtasks.googleapis.com"
    assert info["metadata"]["activationUrl"] == link["links"][0]["url"]
    request = message("google.cloud.tasks.v2.ListQueuesRequest")(parent=QUEUES[4:].rpartition("/")[0])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{cloud.ports['grpc']}") as channel:
        call: Any = channel.unary_unary("/google.cloud.tasks.v2.CloudTasks/ListQueues")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(request.SerializeToString())
        assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert (caught.value.details() or "").startswith(SAID)
        await rest.ok("POST", f"{SERVICES}/serviceusage.googleapis.com:disable", {})
        await rest.ok("POST", f"{SERVICES}/cloudtasks.googleapis.com:enable", {})
        await call(request.SerializeToString())
    assert await rest.ok("GET", QUEUES) == {}


async def test_what_was_disabled_is_so_after_a_restart(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "state")
    async with Running(settings) as running:
        from local_cloud.apis.service_usage import Services

        running.cloud.use(Services).set("run.googleapis.com", False)
    async with Running(settings) as running:
        assert list(running.cloud.disabled) == ["run.googleapis.com"]


@pins(
    "standalone",
    "Starting",
    "--strict-apis begins with the APIs that Google enables in a new project",
    documented="enabled by default",
)
async def test_a_strict_project_begins_with_googles_default_apis(tmp_path: Path) -> None:
    async with Running(Settings(state=tmp_path / "state", strict_apis=True)) as running:
        refused = running.cloud.disabled
        assert "cloudtasks.googleapis.com" in refused
        assert "logging.googleapis.com" not in refused
        assert "serviceusage.googleapis.com" not in refused
