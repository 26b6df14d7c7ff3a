"""Budgets, binary authorization, service identities and audit configurations: kept, read back field for field."""

from typing import Any

import pytest

from local_cloud.cloud import Cloud
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

BUDGETS = "/v1/billingAccounts/000000-111111-222222/budgets"
POLICY = "/v1/projects/sluice-local/policy"
PROJECT = "/v1/projects/sluice-local"
BUDGET = {
    "displayName": "payments",
    "budgetFilter": {
        "projects": ["projects/sluice-local"],
        "calendarPeriod": "QUARTER",
        "creditTypesTreatment": "EXCLUDE_ALL_CREDITS",
        "labels": {"team": ["pay"]},
    },
    "amount": {"specifiedAmount": {"currencyCode": "USD", "units": "500", "nanos": 5}},
    "thresholdRules": [
        {"thresholdPercent": 0.5, "spendBasis": "CURRENT_SPEND"},
        {"thresholdPercent": 1, "spendBasis": "FORECASTED_SPEND"},
    ],
    "notificationsRule": {"disableDefaultIamRecipients": True},
}


@pins(
    "infrastructure",
    "Billing and policy",
    "A budget is kept and read back field for field, guarded by its etag; nothing is spent, so it never alerts",
    documented="Budgets v1",
)
async def test_a_budget_reads_back_what_was_declared(rest: Rest) -> None:
    made = await rest.ok("POST", BUDGETS, BUDGET)
    path = f"/v1/{made['name']}"
    assert {key: value for key, value in made.items() if key not in ("name", "etag")} == BUDGET
    assert (await rest.ok("GET", f"{BUDGETS}?pageSize=1"))["budgets"] == [made]
    mask = "budgetFilter.projects,amount.specifiedAmount.units,thresholdRules"
    body = {"amount": {"specifiedAmount": {"units": "700"}}, "thresholdRules": [], "budgetFilter": {"projects": []}}
    changed = await rest.ok("PATCH", f"{path}?updateMask={mask}", body)
    assert changed["amount"]["specifiedAmount"] == {"currencyCode": "USD", "units": "700", "nanos": 5}
    assert changed["budgetFilter"]["labels"] == {"team": ["pay"]}
    assert "thresholdRules" not in changed
    status, answer = await rest("PATCH", f"{path}?updateMask=displayName", {"displayName": "x", "etag": made["etag"]})
    assert (status, answer["error"]["status"]) == (409, "ABORTED")
    await rest.ok("DELETE", path)
    assert (await rest("GET", path))[0] == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount": {}},
        {"thresholdRules": [{"thresholdPercent": -1}]},
        {"notificationsRule": {"pubsubTopic": "projects/sluice-local/topics/none", "schemaVersion": "1.0"}},
        {"notificationsRule": {"monitoringNotificationChannels": ["projects/sluice-local/notificationChannels/1"]}},
    ],
)
@pins("infrastructure", "Billing and policy", "What a budget notifies must be there", documented="Budgets v1")
async def test_a_budget_that_could_notify_nobody_is_refused(rest: Rest, wrong: dict[str, Any]) -> None:
    assert (await rest("POST", BUDGETS, BUDGET | wrong))[0] == 400
    assert await rest.ok("GET", BUDGETS) == {}


@pins(
    "infrastructure",
    "Billing and policy",
    "A project without a binary authorization policy has the default one; a policy is replaced whole",
    documented="Policy YAML reference",
)
async def test_the_policy_of_binary_authorization_is_replaced_whole(rest: Rest) -> None:
    default = await rest.ok("GET", POLICY)
    assert default["defaultAdmissionRule"]["evaluationMode"] == "ALWAYS_ALLOW"
    rule = {"evaluationMode": "ALWAYS_DENY", "enforcementMode": "ENFORCED_BLOCK_AND_AUDIT_LOG"}
    sent = {
        "description": "images of our own",
        "globalPolicyEvaluationMode": "DISABLE",
        "admissionWhitelistPatterns": [{"namePattern": "us-docker.pkg.dev/p/*"}],
        "clusterAdmissionRules": {"us-central1-a.c": rule},
        "defaultAdmissionRule": rule,
    }
    made = await rest.ok("PUT", POLICY, sent)
    assert made.items() >= sent.items()
    assert await rest.ok("GET", POLICY) == made
    assert (await rest("PUT", POLICY, {"description": "no rule"}))[0] == 400
    assert (await rest("PUT", POLICY, sent | {"etag": '"old"'}))[0] == 409
    assert "k8s.gcr.io/**" in str(await rest.ok("GET", "/v1/locations/us/policy"))


@pins(
    "infrastructure",
    "Billing and policy",
    "A service's identity is the same at every call",
    documented="Service agents",
)
async def test_a_service_identity_is_the_services_agent(rest: Rest, cloud: Cloud) -> None:
    path = f"{PROJECT}/services/pubsub.googleapis.com:generateServiceIdentity"
    made = (await rest.ok("POST", path, {}))["response"]
    assert made["email"] == f"service-{cloud.settings.project_number}@gcp-sa-pubsub.iam.gserviceaccount.com"
    assert (await rest.ok("POST", path.replace("v1", "v1beta1"), {}))["response"] == made
    assert (await rest("POST", f"{PROJECT}/services/no.example.com:generateServiceIdentity", {}))[0] == 403


@pins(
    "infrastructure",
    "Billing and policy",
    "Audit configurations of the project's policy are kept",
    documented="IAM policy",
)
async def test_audit_configurations_are_kept_in_the_policy(rest: Rest) -> None:
    configs = [
        {
            "service": "allServices",
            "auditLogConfigs": [
                {"logType": "ADMIN_READ"},
                {"logType": "DATA_READ", "exemptedMembers": ["user:someone@example.com"]},
            ],
        }
    ]
    before = await rest.ok("POST", f"{PROJECT}:getIamPolicy", {})
    policy = {"auditConfigs": configs, "etag": before["etag"]}
    await rest.ok("POST", f"{PROJECT}:setIamPolicy", {"policy": policy, "updateMask": "auditConfigs,etag"})
    assert (await rest.ok("POST", f"{PROJECT}:getIamPolicy", {}))["auditConfigs"] == configs
    await rest.ok("POST", f"{PROJECT}:setIamPolicy", {"policy": {"bindings": []}, "updateMask": "bindings"})
    assert (await rest.ok("POST", f"{PROJECT}:getIamPolicy", {}))["auditConfigs"] == configs
    await rest.ok("POST", f"{PROJECT}:setIamPolicy", {"policy": {}, "updateMask": "auditConfigs"})
    assert "auditConfigs" not in await rest.ok("POST", f"{PROJECT}:getIamPolicy", {})
