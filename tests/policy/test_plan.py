"""The rules of lint over plans: our own break none but the public doors, and each rule is broken by a bad plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from spec import Severity, laws
from spec.plan import RULES, judge
from tests.components.conftest import planned

DIGEST = "us-central1-docker.pkg.dev/p/r/i@sha256:" + "1" * 64
QUEUE, SUBSCRIPTION = "gcp:cloudtasks/queue:Queue", "gcp:pubsub/subscription:Subscription"
SERVICE, JOB = "gcp:cloudrunv2/service:Service", "gcp:cloudscheduler/job:Job"
INVOKER, PROJECT = "gcp:cloudrunv2/serviceIamMember:ServiceIamMember", "gcp:projects/iAMMember:IAMMember"
ALERT, KEY = "gcp:monitoring/alertPolicy:AlertPolicy", "gcp:serviceaccount/key:Key"
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


def test_what_is_not_known_before_the_apply_is_passed_over() -> None:
    assert judge(QUEUE, {"rateLimits": object(), "retryConfig": {"minBackoff": object()}}) == []
    assert judge(PROJECT, {"role": "roles/editor", "member": object()}) == []
