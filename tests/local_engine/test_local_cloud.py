"""The same promises against the local cloud itself: what the stand-in cannot know, the cloud decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pulumi
import pulumi_gcp as gcp
import pytest
from pulumi_gcp import cloudtasks

import local_engine
from local_engine import Ports, Result
from local_engine.run import Mode
from tests.local_engine.local_cloud import ROOT, call, running

QUEUE = "/v2/projects/sluice-local/locations/us-central1/queues/pay-queue"
Apply = Callable[..., Result]


@pytest.fixture
def ports(tmp_path: Path) -> Iterator[Ports]:
    with running(tmp_path) as found:
        yield found


@pytest.fixture
def apply(tmp_path: Path, ports: Ports) -> Apply:
    def run(program: Callable[[], None], mode: Mode = "up") -> Result:
        state = tmp_path / "engine"
        result = local_engine.run("local", root=ROOT, mode=mode, state_dir=state, ports=ports, program=program)
        assert result.ok, "\n".join(map(str, result.problems))
        return result

    return run


def program(rate: float = 5, name: str = "pay-queue", data: str = "one") -> None:
    role = gcp.projects.IAMCustomRole(
        "role", role_id="taskCreator", title="Create", permissions=["cloudtasks.tasks.create"]
    )
    account = gcp.serviceaccount.Account("caller", account_id="the-caller")
    queue = gcp.cloudtasks.Queue(
        "pay",
        name=name,
        location="us-central1",
        desired_state="RUNNING",
        rate_limits=cloudtasks.QueueRateLimitsArgs(max_dispatches_per_second=rate),
        retry_config=cloudtasks.QueueRetryConfigArgs(max_attempts=3, max_retry_duration="0s", min_backoff="0.5s"),
    )
    gcp.cloudtasks.QueueIamMember(
        "create", name=queue.name, location=queue.location, role=role.name, member=account.member
    )
    gcp.serviceaccount.IAMMember(
        "act-as", service_account_id=account.name, role="roles/iam.serviceAccountUser", member=account.member
    )
    secret = gcp.secretmanager.Secret("key", secret_id="KEY", replication={"auto": {}})
    gcp.secretmanager.SecretVersion("key-1", secret=secret.id, secret_data=data)
    pulumi.export("queue", queue.id)


def test_the_life_of_a_stack(apply: Apply, ports: Ports) -> None:
    assert apply(program).counts == {"create": 7}
    again = apply(program)
    assert (again.changed, again.writes) == (False, 0)
    assert apply(lambda: program(rate=7)).counts == {"update": 1, "same": 6}
    assert call(ports, "GET", QUEUE)[1]["rateLimits"]["maxDispatchesPerSecond"] == 7
    renamed = apply(lambda: program(rate=7, name="other-queue"))
    assert renamed.counts == {"replace": 2, "same": 5}
    assert call(ports, "GET", QUEUE)[0] == 404
    rotated = apply(lambda: program(rate=7, name="other-queue", data="two"))
    assert rotated.counts == {"replace": 1, "same": 6}
    versions = call(ports, "GET", "/v1/projects/sluice-local/secrets/KEY/versions")[1]["versions"]
    assert sorted(version["state"] for version in versions) == ["DESTROYED", "ENABLED"]
    assert apply(lambda: None, "destroy").counts == {"delete": 7}
    assert call(ports, "GET", "/v1/projects/sluice-local/secrets/KEY")[0] == 404
    # The role's name stays taken for a week: it is revived.
    assert apply(lambda: program(name="third-queue")).counts == {"create": 7}


def test_what_people_change_by_hand_is_seen_and_put_back(apply: Apply, ports: Ports) -> None:
    apply(program)
    call(ports, "POST", f"{QUEUE}:pause", {})
    call(
        ports,
        "PATCH",
        f"{QUEUE}?updateMask=rateLimits.maxDispatchesPerSecond",
        {"rateLimits": {"maxDispatchesPerSecond": 1}},
    )
    call(ports, "POST", f"{QUEUE}:setIamPolicy", {"policy": {"bindings": []}})
    seen = apply(program, "preview")
    assert seen.counts == {"update": 1, "create": 1, "same": 5}
    assert "changed outside" in local_engine.render(seen)
    assert apply(program).counts == seen.counts
    queue = call(ports, "GET", QUEUE)[1]
    assert queue["rateLimits"]["maxDispatchesPerSecond"] == 5
    assert queue["state"] == "PAUSED", "as with the provider, whoever paused a queue finds it paused"
    assert apply(program).writes == 0
