"""The rules of lint over plans: our own break none but the public doors, and each rule is broken by a bad plan."""

from __future__ import annotations

import json
from collections import UserList
from collections.abc import Mapping
from typing import Any

import pytest

from spec import Severity, laws
from spec.plan import RULES, judge
from spec.service import PROJECT_ROLES
from tests.components.conftest import planned
from tests.components.test_ci_identity import planned as with_ci

DIGEST = "us-central1-docker.pkg.dev/p/r/i@sha256:" + "1" * 64
QUEUE, SUBSCRIPTION = "gcp:cloudtasks/queue:Queue", "gcp:pubsub/subscription:Subscription"
SERVICE, JOB = "gcp:cloudrunv2/service:Service", "gcp:cloudscheduler/job:Job"
INVOKER, PROJECT = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember", "gcp:projects/iAMMember:IAMMember"
ALERT, KEY = "gcp:monitoring/alertPolicy:AlertPolicy", "gcp:serviceaccount/key:Key"
POLICY_ADMIN = "roles/resourcemanager.projectIamAdmin"
ACCOUNT = "serviceAccount:payer@p.iam.gserviceaccount.com"


def service(image: str = DIGEST, template: Mapping[str, Any] | None = None, **env: Any) -> dict[str, Any]:
    envs = [{"name": name, **(value if isinstance(value, dict) else {"value": value})} for name, value in env.items()]
    return {"name": "payer", "template": {"containers": [{"image": image, "envs": envs}], **(template or {})}}


def secret(version: str) -> dict[str, Any]:
    return {"valueSource": {"secretKeyRef": {"secret": "KEY", "version": version}}}


def alert(text: str) -> dict[str, Any]:
    return {"conditions": [{"displayName": "c", "conditionThreshold": {"filter": text}}]}


#: Rule -> a type, what breaks the rule, and what does not.
PLANS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "SL301": (
        PROJECT,
        {"role": "roles/editor", "member": ACCOUNT},
        {"role": "roles/monitoring.metricWriter", "member": ACCOUNT},
    ),
    "SL305": (
        INVOKER,
        {"role": "roles/run.invoker", "member": "allUsers", "name": "door"},
        {"role": "roles/run.invoker", "member": ACCOUNT, "name": "door"},
    ),
    "SL306": (
        "gcp:storage/bucketIAMMember:BucketIAMMember",
        {"role": "roles/storage.objectViewer", "member": "allAuthenticatedUsers"},
        {"role": "roles/storage.objectViewer", "member": "group:payments@example.com"},
    ),
    "SL314": (SERVICE, service(GOOGLE_APPLICATION_CREDENTIALS="/key.json"), service(CURRENCY="eth")),
    "SL401": (
        ALERT,
        alert('metric.type="cloudtasks.googleapis.com/queue/oldest_task" AND resource.type="cloud_tasks_queue"'),
        alert('metric.type="cloudtasks.googleapis.com/queue/depth" AND resource.type="cloud_tasks_queue"'),
    ),
    "SL501": (
        QUEUE,
        {"rateLimits": {"maxDispatchesPerSecond": 501.0}},
        {"rateLimits": {"maxDispatchesPerSecond": 500.0}},
    ),
    "SL502": (
        QUEUE,
        {"rateLimits": {"maxConcurrentDispatches": 5001}},
        {"rateLimits": {"maxConcurrentDispatches": 5000.0}},
    ),
    "SL504": (
        QUEUE,
        {"retryConfig": {"minBackoff": "20s", "maxBackoff": "10s"}},
        {"retryConfig": {"minBackoff": "10s", "maxBackoff": "20s", "maxAttempts": -1}},
    ),
    "SL505": (
        SUBSCRIPTION,
        {"ackDeadlineSeconds": 601},
        {"ackDeadlineSeconds": 600.0, "deadLetterPolicy": {"maxDeliveryAttempts": 5}},
    ),
    "SL507": (JOB, {"schedule": "@daily"}, {"schedule": "0 3 * * *"}),
    "SL701": (
        SERVICE,
        service(template={"maxInstanceRequestConcurrency": 1001}),
        service(template={"maxInstanceRequestConcurrency": 80, "timeout": "30s"}),
    ),
    "SL803": (SERVICE, service(PARTNER_API_KEY="opensesame"), service(PARTNER_API_KEY=secret("2"))),
    "SL804": (SERVICE, service(KEY=secret("latest")), service(KEY=secret("3"))),
    "SL805": (SERVICE, service(HOOK="Zx8Qw2Rt5Yb1Nm7Kp4Lj9Hf3Gd6Sa0Vc"), service(HOOK="https://example.com/hook")),
    "SL904": (
        SERVICE,
        service(SLUICE_STACK="prod", ENDPOINTS='{"pubsub":"http://127.0.0.1:1"}'),
        service(SLUICE_STACK="local", ENDPOINTS='{"pubsub":"http://127.0.0.1:1"}'),
    ),
    "SL907": (SERVICE, service("us-docker.pkg.dev/p/r/i:latest"), service()),
}


@pytest.mark.parametrize("number", PLANS)
def test_a_bad_plan_breaks_its_rule_alone_and_a_good_one_none(number: str) -> None:
    kind, bad, good = PLANS[number]
    assert {broken.rule for broken in judge(kind, bad)} == {number}
    assert judge(kind, good) == []


def test_a_key_of_an_account_is_never_made() -> None:
    assert {broken.rule for broken in judge(KEY, {"serviceAccountId": "payer"})} == {"SL313"}


def test_every_rule_of_the_pack_is_shown_broken_and_is_one_of_lint() -> None:
    assert {*PLANS, "SL313"} == set(RULES)
    assert set(RULES) <= set(laws())


def test_our_foundation_breaks_nothing() -> None:
    assert [one for step in planned("foundation-prod").steps for one in judge(step.type, step.inputs)] == []


@pytest.mark.parametrize("env", ["dev", "staging", "prod"])
def test_our_own_plans_open_the_public_doors_and_break_nothing_else(env: str) -> None:
    broken = [(one.rule, step.name) for step in planned(env).steps for one in judge(step.type, step.inputs)]
    assert {rule for rule, _ in broken} == {"SL305"}
    assert sorted(name for _, name in broken) == [
        f"{name}-everybody" for name in ("gchostpay4", "gcregister", "gcwebhook", "paynowwebhook")
    ]
    assert all(laws()[rule].severity is Severity.WARNING for rule, _ in broken)


@pytest.mark.parametrize(
    "role",
    [
        *("roles/run.admin", "roles/resourcemanager.projectIamAdmin", "roles/iam.serviceAccountAdmin"),
        *("roles/storage.admin", "roles/owner", "projects/p/roles/everything", "roles/of.nextYear"),
    ],
)
def test_no_role_but_those_of_the_short_list_is_given_on_a_whole_project(role: str) -> None:
    assert {broken.rule for broken in judge(PROJECT, {"role": role, "member": ACCOUNT})} == {"SL301"}
    binding = {"role": role, "members": UserList(["group:payments@example.com", ACCOUNT])}
    assert {broken.rule for broken in judge("gcp:projects/iAMBinding:IAMBinding", binding)} == {"SL301"}
    assert {broken.rule for broken in judge("gcp:folder/iAMMember:IAMMember", {"role": role, "member": ACCOUNT})} == {
        "SL301"
    }
    assert judge(PROJECT, {"role": role, "member": "group:payments@example.com"}) == [], "people are not asked here"
    assert judge("gcp:storage/bucketIAMMember:BucketIAMMember", {"role": role, "member": ACCOUNT}) == []


@pytest.mark.parametrize("role", PROJECT_ROLES)
def test_the_short_list_is_for_projects_and_not_for_what_is_above_them(role: str) -> None:
    assert judge(PROJECT, {"role": role, "member": ACCOUNT}) == []
    above = judge("gcp:organizations/iAMMember:IAMMember", {"role": role, "member": ACCOUNT})
    assert {broken.rule for broken in above} == {"SL301"}


def test_a_whole_policy_is_read_binding_by_binding() -> None:
    policy = {
        "bindings": [{"role": "roles/owner", "members": ["allUsers"]}, {"role": "roles/editor", "members": [ACCOUNT]}]
    }
    broken = judge("gcp:projects/iAMPolicy:IAMPolicy", {"policyData": json.dumps(policy)})
    assert {one.rule for one in broken} == {"SL301", "SL306"}
    door = {"bindings": [{"role": "roles/run.invoker", "members": ["allUsers"]}]}
    broken = judge("gcp:cloudrunv2/serviceIamPolicy:ServiceIamPolicy", {"name": "d", "policyData": json.dumps(door)})
    assert {one.rule for one in broken} == {"SL305"}
    for text in ("", "no JSON", "[]", '{"bindings": [3, {"members": 4}]}', object()):
        assert judge("gcp:projects/iAMPolicy:IAMPolicy", {"policyData": text}) == []


def test_the_pipelines_accounts_have_their_own_roles_and_no_others() -> None:
    assert [one for step in with_ci().steps for one in judge(step.type, step.inputs)] == []
    accounts = {"sluice-previewer": "sluicePreviewer", "sluice-deployer": "sluiceDeployer"}
    for account, role in accounts.items():
        grant = {"role": f"projects/p/roles/{role}", "member": f"serviceAccount:{account}@p.iam.gserviceaccount.com"}
        assert judge(PROJECT, grant) == []
        assert judge(PROJECT, {**grant, "role": "roles/editor"}) != []
        assert judge(PROJECT, {**grant, "member": ACCOUNT}) != []


def test_who_gives_and_takes_roles_is_held_to_the_short_list() -> None:
    (grant,) = [step.inputs for step in with_ci().steps if step.inputs.get("role") == POLICY_ADMIN]
    assert judge(PROJECT, grant) == []
    wider = grant["condition"]["expression"].replace("])", ", 'roles/owner'])")
    for condition in (None, {"expression": ""}, {"expression": wider}, {"expression": f"true || {wider}"}):
        assert {one.rule for one in judge(PROJECT, {**grant, "condition": condition})} == {"SL301"}


def test_a_role_that_is_meant_is_an_exception_by_its_account() -> None:
    meant = {"payer": ("roles/bigquery.jobUser",)}
    grant = {"role": "roles/bigquery.jobUser", "member": ACCOUNT}
    assert {one.rule for one in judge(PROJECT, grant)} == {"SL301"}
    assert judge(PROJECT, grant, meant) == []
    assert judge(PROJECT, {**grant, "member": ACCOUNT.replace("payer", "other")}, meant) != []


def test_googles_own_agents_have_the_roles_that_google_gives_them() -> None:
    agent = "serviceAccount:service-1@gcp-sa-pubsub.iam.gserviceaccount.com"
    assert judge(PROJECT, {"role": "roles/pubsub.serviceAgent", "member": agent}) == []
    assert judge(PROJECT, {"role": "roles/pubsub.admin", "member": agent}) != []
    assert judge(PROJECT, {"role": "roles/pubsub.serviceAgent", "member": ACCOUNT}) != []
    default = "serviceAccount:1-compute@developer.gserviceaccount.com"
    assert judge(PROJECT, {"role": "roles/editor", "member": default}) != []


def test_what_is_not_known_before_the_apply_is_passed_over() -> None:
    assert judge(QUEUE, {"rateLimits": object(), "retryConfig": {"minBackoff": object()}}) == []
    assert judge(PROJECT, {"role": "roles/editor", "member": object()}) == []
