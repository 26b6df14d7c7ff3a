"""The trail of decisions, the modes, and which bindings a run has needed: at the owner's door, over restarts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.errors import ApiError
from local_cloud.iam import trail
from local_cloud.registry import ANONYMOUS, Principal
from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

PROJECT = "projects/sluice-local"
QUEUE = f"{PROJECT}/locations/us-central1/queues/q"
TASKS = f"/v2/{QUEUE}/tasks"
EMAIL = "gcsplit@sluice-local.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{EMAIL}"
SPLIT = Principal(MEMBER)
ENQUEUER = "roles/cloudtasks.enqueuer"


def bind(cloud: Cloud, resource: str, **members: list[str]) -> None:
    bindings = [{"role": f"roles/{role.replace('_', '.')}", "members": named} for role, named in members.items()]
    cloud.iam.set_policy(resource, message("google.iam.v1.Policy")(bindings=bindings))


@pytest.fixture
async def split(cloud: Cloud, rest: Rest, as_account: Callable[[str], Rest]) -> Rest:
    """A service's account that may create tasks in a queue that is paused."""
    await rest.ok("POST", TASKS.rpartition("/queues/")[0] + "/queues", {"name": QUEUE})
    await rest.ok("POST", f"/v2/{QUEUE}:pause", {})
    entered = as_account("gcsplit")
    bind(cloud, QUEUE, cloudtasks_enqueuer=[MEMBER])
    return entered


TASK = {"task": {"httpRequest": {"url": "http://127.0.0.1:9/"}}}


@pins(
    "iam",
    "Policies and decisions",
    "Every decision is a line of the state's audit trail: time, principal, permission, resource, granted, allowed, "
    "mode, and the binding that granted it or would; two files of 8 MiB at most, over restarts",
    ours=True,
)
async def test_the_trail_says_who_was_let_through_by_what(rest: Rest, split: Rest) -> None:
    await split.ok("POST", TASKS, TASK)
    assert (await split("GET", f"/v2/{QUEUE}"))[0] == 403
    found = (await rest.ok("GET", f"/_sluice/iam/decisions?principal={EMAIL}"))["decisions"]
    granted, refused = found
    assert granted.pop("time").endswith("Z")
    assert granted == {
        "principal": MEMBER,
        "permission": "cloudtasks.tasks.create",
        "resource": QUEUE,
        "granted": True,
        "allowed": True,
        "mode": "enforce",
        "binding": {"resource": QUEUE, "role": ENQUEUER, "member": MEMBER},
    }
    assert (refused["allowed"], refused["fix_role"]) == (False, "roles/cloudtasks.viewer")
    assert (await rest.ok("GET", "/_sluice/iam/decisions?refused=true"))["decisions"] == [refused]
    assert len((await rest.ok("GET", "/_sluice/iam/decisions?limit=1"))["decisions"]) == 1
    assert (await rest("GET", "/_sluice/iam/decisions?limit=0"))[0] == 400


async def test_the_trail_is_bounded_and_goes_on_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trail, "FILE_BYTES", 20_000)
    settings = Settings(state=tmp_path / "state")
    async with Running(settings) as running:
        iam = running.cloud.iam
        for n in range(500):
            with pytest.raises(ApiError):
                iam.require(SPLIT, "cloudtasks.queues.get", f"{QUEUE}{n}")
            iam.trail.flush()
        assert iam.trail.path.stat().st_size + iam.trail.older.stat().st_size <= 40_000
    async with Running(settings) as running:
        last = running.cloud.iam.trail.last(2)
        assert [one["resource"] for one in last] == [f"{QUEUE}498", f"{QUEUE}499"]


@pins(
    "iam",
    "Policies and decisions",
    "The mode can be changed while it runs (POST /_sluice/iam/mode): enforce, audit (let through, recorded), off; "
    "it lasts over restarts until a start asks for another",
    ours=True,
)
async def test_the_mode_is_changed_while_it_runs(rest: Rest, split: Rest) -> None:
    assert (await split("GET", f"/v2/{QUEUE}"))[0] == 403
    assert (await rest.ok("POST", "/_sluice/iam/mode", {"mode": "audit"}))["mode"] == "audit"
    assert (await split("GET", f"/v2/{QUEUE}"))[0] == 200
    (would,) = (await rest.ok("GET", "/_sluice/iam/decisions?refused=true&limit=1"))["decisions"]
    assert (would["granted"], would["allowed"], would["mode"]) == (False, True, "audit")
    await rest.ok("POST", "/_sluice/iam/mode", {"mode": "off"})
    assert (await split("GET", f"/v2/{QUEUE}"))[0] == 200
    await rest.ok("POST", "/_sluice/iam/mode", {"mode": "enforce"})
    assert (await split("GET", f"/v2/{QUEUE}"))[0] == 403
    bad: list[Any] = [{"mode": "lax"}, {}, []]
    for wrong in bad:
        assert (await rest("POST", "/_sluice/iam/mode", wrong))[0] == 400
    assert (await split("POST", "/_sluice/iam/mode", {"mode": "off"}))[0] == 404


async def test_what_was_chosen_lasts_until_a_start_asks_for_another(tmp_path: Path) -> None:
    async def seen(**given: Any) -> tuple[str, float]:
        async with Running(Settings(state=tmp_path / "state", **given)) as running:
            return running.cloud.iam.mode, running.cloud.iam.delay

    async with Running(Settings(state=tmp_path / "state")) as running:
        running.cloud.iam.set_mode("audit")
        running.cloud.iam.set_delay(120)
    assert await seen() == ("audit", 120)
    assert await seen(iam_mode="off", iam_delay=7.0) == ("off", 7)


@pins(
    "iam",
    "Policies and decisions",
    "`sluice iam unused`: bindings that no call has needed since they were set or the counts were reset, what the "
    "others were used for, and those that no call to this cloud can need, with the reason",
    ours=True,
)
async def test_bindings_that_no_call_has_needed_are_told_from_the_others(cloud: Cloud, rest: Rest, split: Rest) -> None:
    cloud.iam.accounts.create("idle-account", message("google.iam.admin.v1.ServiceAccount")())
    idle = "serviceAccount:idle-account@sluice-local.iam.gserviceaccount.com"
    agent = "serviceAccount:service-123456789012@gcp-sa-cloudtasks.iam.gserviceaccount.com"
    bind(
        cloud,
        PROJECT,
        logging_logWriter=[idle],
        cloudsql_client=[MEMBER],
        bigquery_user=[MEMBER],
        iam_serviceAccountTokenCreator=[agent],
        run_viewer=["group:ops@example.com"],
    )
    for _ in range(3):
        await split.ok("POST", TASKS, TASK)
    told = await rest.ok("GET", "/_sluice/iam/unused")
    assert [(one["role"], one["member"]) for one in told["unused"]] == [("roles/logging.logWriter", idle)]
    why = {one["role"]: one["why"] for one in told["not_needed_here"]}
    assert "trusts loopback" in why["roles/cloudsql.client"]
    assert "not known here" in why["roles/bigquery.user"]
    assert "Google's own agents" in why["roles/iam.serviceAccountTokenCreator"]
    assert "no members" in why["roles/run.viewer"]
    (used,) = told["used"]
    assert (used["resource"], used["role"], used["calls"]) == (QUEUE, ENQUEUER, 3)
    assert used["permissions"] == {"cloudtasks.tasks.create": 3}
    assert "cloudtasks.tasks.fullView" in used["permissions_not_used"]
    told = await rest.ok("POST", "/_sluice/iam/usage:reset", {})
    assert (told["used"], len(told["unused"])) == ([], 2)


async def test_testing_a_permission_needs_no_binding(cloud: Cloud, rest: Rest, split: Rest) -> None:
    asked = {"permissions": ["cloudtasks.tasks.create"]}
    assert await split.ok("POST", f"/v2/{QUEUE}:testIamPermissions", asked) == asked
    assert (await rest.ok("GET", "/_sluice/iam/unused"))["used"] == []


async def test_a_door_that_is_open_to_all_counts(cloud: Cloud, rest: Rest) -> None:
    service = f"{PROJECT}/locations/us-central1/services/s"
    bind(cloud, service, run_invoker=["allUsers"])
    assert cloud.iam.allows(ANONYMOUS, "run.routes.invoke", service)
    (used,) = (await rest.ok("GET", "/_sluice/iam/unused"))["used"]
    assert used["permissions"] == {"run.routes.invoke": 1}


async def test_counts_last_over_a_restart_and_go_with_their_binding(tmp_path: Path) -> None:
    settings = Settings(state=tmp_path / "state")
    async with Running(settings) as running:
        running.cloud.iam.accounts.create("gcsplit", message("google.iam.admin.v1.ServiceAccount")())
        bind(running.cloud, QUEUE, cloudtasks_enqueuer=[MEMBER])
        running.cloud.iam.require(SPLIT, "cloudtasks.tasks.create", QUEUE)
    async with Running(settings) as running, aiohttp.ClientSession() as session:
        rest = Rest(session, running.cloud.rest_url)
        running.cloud.iam.require(SPLIT, "cloudtasks.tasks.create", QUEUE)
        (used,) = (await rest.ok("GET", "/_sluice/iam/unused"))["used"]
        assert used["calls"] == 2
        bind(running.cloud, QUEUE, cloudtasks_viewer=[MEMBER])
        told = await rest.ok("GET", "/_sluice/iam/unused")
        assert (told["used"], [one["role"] for one in told["unused"]]) == ([], ["roles/cloudtasks.viewer"])
