"""What a release may rely on: revisions named by what they are, traffic by name, guards on what must not be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import local_engine
from components.revision import revision_name
from local_engine import Result
from tests.components.conftest import DIGEST, ROOT, of_type

Plan = Callable[[str], Result]


def revisions(overrides: Mapping[str, Any]) -> dict[str, str]:
    base = {"sluice:imageDigest": DIGEST}
    given = {**base, **overrides}
    found = local_engine.run("dev", root=ROOT, mode="preview", state_dir=None, offline=True, overrides=given)
    assert found.ok, found.problems
    names: dict[str, str] = found.outputs["revisions"]
    return names


def test_a_revision_is_named_by_what_it_is_made_of() -> None:
    before = revisions({})
    assert revisions({}) == before
    assert all(len(name) <= 63 for name in before.values())
    digest = revisions({"sluice:imageDigest": "sha256:" + "2" * 64})
    assert all(digest[name] != before[name] for name in before)
    secret = revisions({"sluice:secretVersions": {"HOST_WALLET_PRIVATE_KEY": "2"}})
    assert {name for name in before if secret[name] != before[name]} == {"gchostpay", "gchostpay3"}


def test_the_order_of_a_template_does_not_matter() -> None:
    assert revision_name("a", {"x": 1, "y": 2}) == revision_name("a", {"y": 2, "x": 1})


def test_traffic_names_the_revision_and_never_the_latest(plan: Plan) -> None:
    for step in of_type(plan("prod"), "Service"):
        if step.type.startswith("gcp:projects"):
            continue
        named = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": step.inputs["template"]["revision"]}
        assert step.inputs["traffics"] == [{**named, "percent": 100, "tag": "stable"}, {**named, "tag": "canary"}]


def test_images_are_named_by_digest(plan: Plan) -> None:
    for step in of_type(plan("prod"), "Service"):
        (container,) = step.inputs["template"]["containers"]
        assert "@sha256:" in container["image"]
        assert container["args"] == [step.inputs["name"]]
        assert container["startupProbe"]["httpGet"] == {"path": "/health"}


def test_the_services_image_migrates_the_database_before_them(plan: Plan) -> None:
    (job,) = [step for step in of_type(plan("prod"), "Job") if step.type.startswith("gcp:cloudrunv2/")]
    services = [step for step in of_type(plan("prod"), "Service") if step.type.startswith("gcp:cloudrunv2/")]
    task = job.inputs["template"]["template"]
    (container,) = task["containers"]
    assert container["image"] == services[0].inputs["template"]["containers"][0]["image"]
    assert (container["args"], task["maxRetries"], job.inputs["deletionProtection"]) == (["up"], 0, True)
    (variable,) = container["envs"]
    assert variable["value"].startswith("postgresql://sluice-migrator%40sluice-prod.iam@/payments?host=/cloudsql/")
    compile(container["commands"][2], "the job's command", "exec")
    token = job.inputs["runExecutionToken"]
    assert len(f"{job.name}-{token}") < 63, "the name of an execution"
    other = local_engine.run(
        "prod",
        root=ROOT,
        mode="preview",
        state_dir=None,
        offline=True,
        overrides={"sluice:imageDigest": "sha256:" + "2" * 64},
    )
    (next_job,) = [step for step in of_type(other, "Job") if step.type.startswith("gcp:cloudrunv2/")]
    assert next_job.inputs["runExecutionToken"] != token, "another release runs its migrations"
    order = [step.type for step in plan("prod").steps]
    assert order.index(job.type) < order.index(services[0].type)
    assert max(i for i, kind in enumerate(order) if kind == "gcp:sql/user:User") < order.index(job.type)


def test_queues_are_what_their_specs_say(plan: Plan) -> None:
    queue = next(step for step in of_type(plan("prod"), "Queue") if step.name == "hostpay-execution-queue")
    assert queue.inputs["rateLimits"] == {"maxConcurrentDispatches": 20, "maxDispatchesPerSecond": 50}
    assert queue.inputs["retryConfig"] == {
        "maxAttempts": 3,
        "maxBackoff": "15s",
        "maxDoublings": 2,
        "maxRetryDuration": "60s",
        "minBackoff": "5s",
    }


@pytest.mark.parametrize(("env", "guarded"), [("prod", True), ("staging", True), ("local", False)])
def test_what_holds_money_state_or_a_blocked_name_is_protected(plan: Plan, env: str, guarded: bool) -> None:
    app, foundation = plan(env), plan(f"foundation-{env}")
    kept = [
        *of_type(app, "Queue"),
        *of_type(foundation, "Secret"),
        *of_type(foundation, "DatabaseInstance"),
        *of_type(foundation, "Database"),
    ]
    real = [step for step in kept if step.custom]
    assert len(real) >= 13
    assert {step.protect for step in real} == {guarded}
    (instance,) = [step for step in of_type(foundation, "DatabaseInstance") if step.custom]
    assert instance.inputs["deletionProtection"] is guarded


def test_a_release_cannot_touch_the_database(plan: Plan) -> None:
    assert {step.type for step in plan("prod").steps if ":sql/" in step.type} == {"gcp:sql/user:User"}


def test_no_secret_data_is_declared(plan: Plan) -> None:
    assert of_type(plan("foundation-prod"), "SecretVersion") == of_type(plan("prod"), "SecretVersion") == []


def test_names_hold_no_index_and_no_chance(plan: Plan) -> None:
    for stack in ("prod", "foundation-prod"):
        again = local_engine.run(stack, root=ROOT, mode="preview", state_dir=None, offline=True)
        assert {step.urn for step in again.steps} == {step.urn for step in plan(stack).steps}


def test_a_plan_reads_the_same_each_time(plan: Plan) -> None:
    again = local_engine.run("prod", root=ROOT, mode="preview", state_dir=None, offline=True)
    assert local_engine.render(again) == local_engine.render(plan("prod"))
