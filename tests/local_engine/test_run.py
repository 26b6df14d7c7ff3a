"""What an apply does: create, nothing, update, replace, delete, in the order of the dependencies."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_gcp as gcp
import pytest
from pulumi_gcp import cloudtasks

from local_engine import render
from tests.local_engine.conftest import Engine
from tests.local_engine.standin import StandIn


def queue(rate: float = 10, name: str = "pay-queue", **more: Any) -> gcp.cloudtasks.Queue:
    return gcp.cloudtasks.Queue(
        name,
        name=name,
        location="us-central1",
        rate_limits=cloudtasks.QueueRateLimitsArgs(max_dispatches_per_second=rate, max_concurrent_dispatches=5),
        retry_config=cloudtasks.QueueRetryConfigArgs(max_attempts=3, max_retry_duration="0s"),
        opts=pulumi.ResourceOptions(**more),
    )


def payments(rate: float = 10) -> None:
    account = gcp.serviceaccount.Account("gcsplit", account_id="gcsplit", display_name="gcsplit")
    made = queue(rate)
    gcp.cloudtasks.QueueIamMember(
        "gcsplit-may-enqueue",
        name=made.name,
        location=made.location,
        role="roles/cloudtasks.enqueuer",
        member=account.member,
    )
    pulumi.export("queue", made.id)


def test_everything_is_created_in_order_with_outputs_flowing(engine: Engine, cloud: StandIn) -> None:
    result = engine(payments)
    assert result.ok, result.problems
    assert result.counts == {"create": 3}
    path = "projects/rec/locations/us-central1/queues/pay-queue"
    assert result.outputs == {"queue": path}
    assert cloud.policies[path]["bindings"] == [
        {"role": "roles/cloudtasks.enqueuer", "members": ["serviceAccount:gcsplit@rec.iam.gserviceaccount.com"]}
    ]
    assert cloud.written()[-1].endswith(":setIamPolicy")


def test_a_second_up_writes_nothing(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    cloud.calls.clear()
    result = engine(payments)
    assert (result.changed, result.writes, cloud.written()) == (False, 0, [])
    assert result.outputs["queue"].endswith("pay-queue")
    assert "3 unchanged" in render(result)


def test_an_apply_of_what_was_planned_runs_the_program_once_and_a_refusal_of_it_changes_nothing(
    engine: Engine, cloud: StandIn
) -> None:
    runs: list[str] = []

    def program() -> None:
        runs.append("planned or applied")
        payments(rate=10 * len(runs))
        if len(runs) > 1:
            raise ValueError("a change of template during a rollout")

    assert engine(program, straight=True).ok
    assert len(runs) == 1
    cloud.calls.clear()
    refused = engine(program, straight=True)
    assert "a change of template" in refused.problems[0].what
    assert (refused.writes, cloud.written()) == (0, [])


@pytest.mark.parametrize("straight", [False, True])
def test_a_program_that_fails_behind_resources_that_wait_for_others_ends_and_begins_nothing(
    engine: Engine, cloud: StandIn, *, straight: bool
) -> None:
    def program() -> None:
        payments()
        raise ValueError("no image is given")

    result = engine(program, straight=straight)
    assert "no image is given" in result.problems[0].what
    assert cloud.written() == []


def test_an_update_patches_what_changed(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    cloud.calls.clear()
    result = engine(lambda: payments(rate=20))
    assert result.counts == {"update": 1, "same": 2}
    patch = next(call for call in cloud.calls if call.method == "PATCH")
    assert patch.query == {"updateMask": "rateLimits"}
    assert patch.body["rateLimits"] == {"maxConcurrentDispatches": 5, "maxDispatchesPerSecond": 20}
    assert "~ rateLimits.maxDispatchesPerSecond: 10 => 20" in render(result)


def test_what_is_no_longer_declared_is_deleted_after_what_depends_on_it(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    cloud.calls.clear()
    result = engine(lambda: None)
    assert result.counts == {"delete": 3}
    written = cloud.written()
    assert written[0].endswith("queues/pay-queue:setIamPolicy")
    assert sorted(line.split()[0] for line in written[1:]) == ["DELETE", "DELETE"]
    assert not cloud.things


def test_a_new_name_is_made_before_the_old_one_goes(engine: Engine, cloud: StandIn) -> None:
    def program(name: str) -> None:
        gcp.cloudtasks.Queue("q", name=name, location="us-central1")

    engine(lambda: program("one"))
    cloud.calls.clear()
    result = engine(lambda: program("two"))
    assert result.counts == {"replace": 1}
    assert cloud.written() == [
        "POST /v2/projects/rec/locations/us-central1/queues",
        "DELETE /v2/projects/rec/locations/us-central1/queues/one",
    ]


def test_the_same_name_goes_first_and_takes_its_dependents_along(engine: Engine, cloud: StandIn) -> None:
    def program(replicas: bool) -> None:
        where: Any = {"user_managed": {"replicas": [{"location": "us-central1"}]}} if replicas else {"auto": {}}
        secret = gcp.secretmanager.Secret("key", secret_id="KEY", replication=where)
        gcp.secretmanager.SecretIamMember(
            "reader", secret_id=secret.secret_id, role="roles/secretmanager.secretAccessor", member="user:a@b.c"
        )

    engine(lambda: program(False))
    cloud.calls.clear()
    planned = engine(lambda: program(True), "preview")
    result = engine(lambda: program(True))
    assert result.ok, result.problems
    assert planned.counts == result.counts == {"replace": 2}
    verbs = [line.split("/")[-1] for line in cloud.written()]
    assert verbs == ["KEY:setIamPolicy", "KEY", "secrets", "KEY:setIamPolicy"]


def test_destroy_leaves_nothing(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    result = engine(payments, "destroy")
    assert result.ok
    assert not cloud.things
    assert engine(payments, "preview", offline=True).counts == {"create": 3}


def test_what_vanished_behind_our_back_is_made_again(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    del cloud.things["projects/rec/locations/us-central1/queues/pay-queue"]
    cloud.policies.clear()
    result = engine(payments)
    assert result.counts == {"create": 2, "same": 1}
    assert "gone from the cloud" in render(result)
    assert cloud.policies


def test_what_was_changed_behind_our_back_is_put_right(engine: Engine, cloud: StandIn) -> None:
    engine(payments)
    cloud.things["projects/rec/locations/us-central1/queues/pay-queue"]["rateLimits"]["maxDispatchesPerSecond"] = 1
    result = engine(payments)
    assert result.counts == {"update": 1, "same": 2}
    assert "rateLimits.maxDispatchesPerSecond: 1 => 10  (changed outside)" in render(result)
    assert engine(payments).writes == 0


def test_members_of_one_policy_do_not_lose_one_another(engine: Engine, cloud: StandIn) -> None:
    def program() -> None:
        made = queue()
        for index in range(30):
            gcp.cloudtasks.QueueIamMember(
                f"m{index}", name=made.name, location=made.location, role="roles/viewer", member=f"user:{index}@b.c"
            )

    engine(program)
    (policy,) = cloud.policies.values()
    assert len(policy["bindings"][0]["members"]) == 30


def test_a_lost_race_for_a_policy_is_run_again(engine: Engine, cloud: StandIn) -> None:
    raced: list[str] = []

    def somebody_else(call: object) -> None:
        line = getattr(call, "line", "")
        if line.endswith(":setIamPolicy") and not raced:
            raced.append(line)
            (path,) = [name for name in cloud.things if "/queues/" in name]
            cloud.policies[path] = {"etag": "e7", "bindings": [{"role": "roles/viewer", "members": ["user:x@y.z"]}]}

    cloud.intercept = somebody_else
    assert engine(payments).ok
    (policy,) = cloud.policies.values()
    assert [binding["role"] for binding in policy["bindings"]] == ["roles/viewer", "roles/cloudtasks.enqueuer"]
