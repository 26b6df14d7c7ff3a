"""IAM decides as Google's does, and a refusal names the smallest binding that would fix it."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.errors import ApiError
from local_cloud.iam.engine import lineage
from local_cloud.iam.roles import predefined
from local_cloud.iam.usage import Granted
from local_cloud.registry import ANONYMOUS, Principal
from local_cloud.running import Running
from local_cloud.settings import Settings
from spec import names
from spec.permissions import RECORD_READER, record_alone
from tests.fidelity import pins

PROJECT = "projects/sluice-local"
QUEUE = f"{PROJECT}/locations/us-central1/queues/split-payment-queue"
MEMBER = "serviceAccount:gcsplit@sluice-local.iam.gserviceaccount.com"
SPLIT = Principal(MEMBER)


@pytest.fixture
async def cloud(running: Running) -> Cloud:
    running.cloud.iam.accounts.create("gcsplit", message("google.iam.admin.v1.ServiceAccount")())
    return running.cloud


def bind(cloud: Cloud, resource: str, role: str, *members: str, condition: str = "") -> Any:
    policy = cloud.iam.get_policy(resource)
    binding = policy.bindings.add(role=role, members=members)
    if condition:
        policy.version = 3
        binding.condition.expression = condition
    return cloud.iam.set_policy(resource, policy)


def custom(cloud: Cloud, name: str, *permissions: str) -> str:
    role = message("google.iam.admin.v1.Role")(name=f"{PROJECT}/roles/{name}", included_permissions=permissions)
    cloud.iam.roles.custom[role.name] = role
    cloud.iam.changed()
    return str(role.name)


def may(cloud: Cloud, permission: str, resource: str, who: Principal = SPLIT) -> bool:
    return cloud.iam.decide(who, permission, resource).granted


@pins(
    "iam",
    "Policies and decisions",
    "A binding grants on its resource and below; allUsers and allAuthenticatedUsers",
    documented="policy.proto",
)
async def test_a_binding_grants_on_its_resource_and_below(cloud: Cloud) -> None:
    assert not may(cloud, "cloudtasks.tasks.create", QUEUE)
    bind(cloud, QUEUE, "roles/cloudtasks.enqueuer", MEMBER)
    assert may(cloud, "cloudtasks.tasks.create", QUEUE)
    assert may(cloud, "cloudtasks.tasks.create", f"{QUEUE}/tasks/t1")
    assert not may(cloud, "cloudtasks.tasks.create", f"{QUEUE}-2")
    assert not may(cloud, "cloudtasks.queues.get", QUEUE)
    bind(cloud, PROJECT, "roles/cloudtasks.viewer", MEMBER)
    assert may(cloud, "cloudtasks.queues.get", QUEUE)


def test_lineage_goes_up_in_pairs() -> None:
    assert list(lineage(f"{QUEUE}/tasks/t"))[:2] == [f"{QUEUE}/tasks/t", QUEUE]
    assert list(lineage(QUEUE))[-1] == PROJECT
    assert list(lineage(PROJECT)) == [PROJECT]


async def test_everybody_and_everybody_with_a_login(cloud: Cloud) -> None:
    service = f"{PROJECT}/locations/us-central1/services/gcwebhook"
    bind(cloud, service, "roles/run.invoker", "allAuthenticatedUsers")
    assert may(cloud, "run.routes.invoke", service)
    assert not may(cloud, "run.routes.invoke", service, ANONYMOUS)
    bind(cloud, service, "roles/run.invoker", "allUsers")
    assert may(cloud, "run.routes.invoke", service, ANONYMOUS)


@pins(
    "iam",
    "Policies and decisions",
    "A refusal names the smallest binding that would help",
    ours=True,
)
async def test_a_refusal_names_the_smallest_binding_and_the_command(cloud: Cloud) -> None:
    with pytest.raises(ApiError) as caught:
        cloud.iam.require(SPLIT, "cloudtasks.tasks.create", f"{QUEUE}/tasks/t")
    assert "roles/cloudtasks.enqueuer" in caught.value.text
    custom(cloud, "sluiceTaskCreator", "cloudtasks.tasks.create")
    with pytest.raises(ApiError) as caught:
        cloud.iam.require(SPLIT, "cloudtasks.tasks.create", QUEUE)
    metadata = dict(caught.value.details[0].metadata)
    assert metadata["fix_command"] == (
        "gcloud tasks queues add-iam-policy-binding split-payment-queue --location=us-central1 --project=sluice-local "
        f"--member={MEMBER} --role={PROJECT}/roles/sluiceTaskCreator"
    )
    assert cloud.log.events[-1]["fix"]["fix_role"] == f"{PROJECT}/roles/sluiceTaskCreator"
    bind(cloud, metadata["fix_resource"], metadata["fix_role"], metadata["fix_member"])
    assert cloud.iam.require(SPLIT, "cloudtasks.tasks.create", QUEUE).binding == Granted(
        QUEUE, metadata["fix_role"], MEMBER
    )


@pytest.mark.parametrize(
    ("permission", "resource", "role"),
    [
        ("iam.serviceAccounts.actAs", f"{PROJECT}/serviceAccounts/a@b", "roles/iam.serviceAccountUser"),
        ("secretmanager.versions.access", f"{PROJECT}/secrets/S/versions/1", "roles/secretmanager.secretAccessor"),
        ("run.routes.invoke", f"{PROJECT}/locations/l/services/s", "roles/run.invoker"),
        ("pubsub.topics.publish", f"{PROJECT}/topics/t", "roles/pubsub.publisher"),
        ("storage.objects.get", f"{PROJECT}/buckets/b/objects/o", "roles/storage.objectViewer"),
        ("logging.logEntries.create", PROJECT, "roles/logging.logWriter"),
    ],
)
async def test_the_narrowest_role_is_proposed(cloud: Cloud, permission: str, resource: str, role: str) -> None:
    fix = cloud.iam.decide(SPLIT, permission, resource).fix
    assert fix is not None
    assert (fix.role, resource.startswith(fix.resource)) == (role, True)


async def test_a_reader_of_one_object_is_proposed_the_binding_that_the_specs_declare(cloud: Cloud) -> None:
    """Without the condition it would read all else that the bucket holds."""
    bucket = f"{PROJECT}/buckets/{names.rollout_bucket('sluice-local')}"
    fix = cloud.iam.decide(SPLIT, "storage.objects.get", f"{bucket}/objects/{names.RECORD_OBJECT}").fix
    assert fix is not None
    assert (fix.role, fix.resource, fix.condition) == (RECORD_READER, bucket, record_alone("sluice-local"))
    assert (fix.condition in fix.sentence, fix.condition in fix.command) == (True, True)
    listing = cloud.iam.decide(SPLIT, "storage.objects.list", bucket).fix
    assert listing is not None
    assert listing.condition == ""


@pins(
    "iam",
    "Policies and decisions",
    "Etag conflict: ABORTED, 409, Google's words; a policy that was never set has the etag ACAB and takes any",
    observed="public issue threads",
    ours=True,
)
async def test_policies_are_guarded_by_their_etags(cloud: Cloud) -> None:
    first = bind(cloud, QUEUE, "roles/cloudtasks.enqueuer", MEMBER)
    bind(cloud, QUEUE, "roles/cloudtasks.viewer", MEMBER)
    with pytest.raises(ApiError, match="concurrent policy changes") as caught:
        cloud.iam.set_policy(QUEUE, first)
    assert (caught.value.code, caught.value.http_status) == ("ABORTED", 409)
    first.etag = b""
    assert len(cloud.iam.set_policy(QUEUE, first).bindings) == 1


@pins(
    "iam",
    "Policies and decisions",
    "Unknown role, member kind, account: 400 in Google's words",
    observed="public issue threads",
)
@pytest.mark.parametrize(
    ("role", "member", "text"),
    [
        ("roles/cloudtasks.emperor", MEMBER, "Role roles/cloudtasks.emperor is not supported for this resource."),
        (f"{PROJECT}/roles/no", MEMBER, f"Role ({PROJECT}/roles/no) does not exist in the resource's hierarchy."),
        (
            "roles/viewer",
            "serviceAccount:no@sluice-local.iam.gserviceaccount.com",
            "Service account no@sluice-local.iam.gserviceaccount.com does not exist.",
        ),
        ("roles/viewer", "robot:x@y", "The member robot:x@y is of an unknown type. Please set a valid type prefix"),
        ("roles/viewer", "serviceAccount:x", "Invalid service account (x)."),
    ],
)
async def test_unknown_roles_and_members_are_refused(cloud: Cloud, role: str, member: str, text: str) -> None:
    with pytest.raises(ApiError) as caught:
        bind(cloud, QUEUE, role, member)
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.text.startswith(text)


@pins(
    "iam",
    "Policies and decisions",
    "Roles of other services are accepted and grant nothing",
    ours=True,
)
@pytest.mark.parametrize("role", ["roles/bigquery.dataViewer", "roles/viewer"])
async def test_roles_of_services_that_are_not_here_are_kept(cloud: Cloud, role: str) -> None:
    member = "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com"
    assert bind(cloud, PROJECT, role, member, "user:a@b.c", "group:g@h.i").bindings[0].role == role


@pins(
    "iam",
    "Policies and decisions",
    "A deleted account stands as `deleted:serviceAccount:...?uid=` and gives its successor nothing; undelete restores",
    documented="deleted principals",
)
async def test_a_deleted_account_keeps_nothing_for_its_successor(cloud: Cloud) -> None:
    bind(cloud, QUEUE, "roles/cloudtasks.enqueuer", MEMBER)
    email = MEMBER.partition(":")[2]
    old = cloud.iam.accounts.get(email)
    uid = old.unique_id
    cloud.iam.accounts.delete(email)
    assert list(cloud.iam.get_policy(QUEUE).bindings[0].members) == [f"deleted:serviceAccount:{email}?uid={uid}"]
    cloud.iam.accounts.create("gcsplit", message("google.iam.admin.v1.ServiceAccount")())
    assert not may(cloud, "cloudtasks.tasks.create", QUEUE)
    cloud.iam.accounts.delete(email)
    cloud.iam.accounts.undelete(uid)
    assert may(cloud, "cloudtasks.tasks.create", QUEUE)


async def test_a_disabled_or_deleted_custom_role_grants_nothing(cloud: Cloud) -> None:
    role = custom(cloud, "creator", "cloudtasks.tasks.create")
    bind(cloud, QUEUE, role, MEMBER)
    assert may(cloud, "cloudtasks.tasks.create", QUEUE)
    cloud.iam.roles.custom[role].deleted = True
    cloud.iam.changed()
    assert not may(cloud, "cloudtasks.tasks.create", QUEUE)


async def test_forgetting_a_resource_drops_its_policies(cloud: Cloud) -> None:
    bind(cloud, QUEUE, "roles/cloudtasks.enqueuer", MEMBER)
    cloud.iam.forget(QUEUE)
    assert not may(cloud, "cloudtasks.tasks.create", QUEUE)
    assert cloud.iam.get_policy(QUEUE).etag == b"\x00\x20\x01"


@pytest.fixture
async def late(tmp_path: Path) -> AsyncIterator[Cloud]:
    async with Running(Settings(state=tmp_path / "late", iam_delay=120)) as running:
        running.cloud.iam.accounts.create("gcsplit", message("google.iam.admin.v1.ServiceAccount")())
        yield running.cloud


@pins(
    "iam",
    "Policies and decisions",
    "Changes take effect at once, or after --iam-delay (Google: up to minutes)",
    ours=True,
)
async def test_changes_spread_after_the_delay(late: Cloud) -> None:
    bind(late, QUEUE, "roles/cloudtasks.enqueuer", MEMBER)
    assert len(late.iam.get_policy(QUEUE).bindings) == 1
    assert not may(late, "cloudtasks.tasks.create", QUEUE)
    await late.clock.advance(119)
    assert not may(late, "cloudtasks.tasks.create", QUEUE)
    await late.clock.advance(2)
    assert may(late, "cloudtasks.tasks.create", QUEUE)


@pytest.mark.parametrize(("mode", "granted"), [("audit", False), ("off", True)])
async def test_the_other_modes_let_everything_through(tmp_path: Path, mode: str, granted: bool) -> None:
    async with Running(Settings(state=tmp_path / "mode", iam_mode=mode)) as running:
        decision = running.cloud.iam.require(SPLIT, "cloudtasks.tasks.create", QUEUE)
        assert (decision.granted, decision.enforced) == (granted, False)
        assert running.cloud.log.decisions[-1] is decision


@pins(
    "iam",
    "Policies and decisions",
    "What predefined roles hold, for the emulated services",
    documented="IAM roles and permissions",
)
def test_the_table_of_roles_is_well_formed() -> None:
    assert len(predefined()) > 50
    for role in predefined().values():
        assert role.permissions, role.name
        for permission in role.permissions:
            assert permission.count(".") >= 2, (role.name, permission)
            assert not set(permission) & set("{},* "), (role.name, permission)
    assert predefined()["roles/owner"].permissions >= predefined()["roles/editor"].permissions


async def test_an_accounts_policy_is_one_by_whatever_name(cloud: Cloud) -> None:
    account = cloud.iam.accounts.create("invoker-account", message("google.iam.admin.v1.ServiceAccount")())
    bind(cloud, f"projects/-/serviceAccounts/{account.unique_id}", "roles/iam.serviceAccountUser", MEMBER)
    assert may(cloud, "iam.serviceAccounts.actAs", account.name)
    assert may(cloud, "iam.serviceAccounts.actAs", f"projects/123456789012/serviceAccounts/{account.email}")
