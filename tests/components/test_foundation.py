"""The foundation's plan: a private database with a network of its own, what is kept how long, what is told of money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

import local_engine
from local_cloud.logs.query import parse
from local_engine import Result, Step
from spec import load, names
from tests.components.conftest import ROOT, of_type

Plan = Callable[[str], Result]
ENVS = ("dev", "staging", "prod")


def changed(overrides: Mapping[str, Any]) -> Result:
    """The plan of prod's foundation with other config."""
    given = dict(overrides)
    result = local_engine.run(
        "foundation-prod", root=ROOT, mode="preview", state_dir=None, offline=True, overrides=given
    )
    assert result.ok, result.problems
    return result


def only(result: Result, token: str) -> Step:
    (step,) = [step for step in of_type(result, token) if step.custom]
    return step


@pytest.mark.parametrize("env", ENVS)
def test_the_database_has_a_private_address_and_no_other(plan: Plan, env: str) -> None:
    settings = only(plan(f"foundation-{env}"), "DatabaseInstance").inputs["settings"]
    address = settings["ipConfiguration"]
    assert (address["ipv4Enabled"], address["sslMode"]) == (False, "ENCRYPTED_ONLY")
    assert address["privateNetwork"] == f"projects/sluice-{env}/global/networks/sluice"
    assert "authorizedNetworks" not in address
    assert settings["connectorEnforcement"] == "REQUIRED"


def test_the_database_waits_for_its_connection_and_goes_before_it(plan: Plan) -> None:
    result = plan("foundation-prod")
    assert only(result, "Connection").urn in only(result, "DatabaseInstance").dependencies


def test_the_database_can_be_restored_to_any_moment_of_a_week_and_is_looked_after_at_night(plan: Plan) -> None:
    settings = only(plan("foundation-prod"), "DatabaseInstance").inputs["settings"]
    backup = settings["backupConfiguration"]
    assert (backup["enabled"], backup["pointInTimeRecoveryEnabled"]) == (True, True)
    assert (backup["transactionLogRetentionDays"], backup["startTime"]) == (7, "01:00")
    assert backup["backupRetentionSettings"] == {"retainedBackups": 14, "retentionUnit": "COUNT"}
    assert settings["maintenanceWindow"] == {"day": 2, "hour": 3, "updateTrack": "stable"}
    assert settings["insightsConfig"] == {"queryInsightsEnabled": True}
    assert (settings["deletionProtectionEnabled"], settings["retainBackupsOnDelete"]) == (True, True)


def test_config_may_ask_for_a_public_address_other_backups_and_another_night() -> None:
    asked: dict[str, Any] = {"public_address": True, "kept_backups": 30, "maintenance_day": 7, "maintenance_hour": 0}
    settings = only(changed({"sluice:database": asked}), "DatabaseInstance").inputs["settings"]
    assert settings["ipConfiguration"]["ipv4Enabled"] is True
    assert settings["ipConfiguration"]["privateNetwork"]
    assert settings["backupConfiguration"]["backupRetentionSettings"]["retainedBackups"] == 30
    assert settings["maintenanceWindow"] == {"day": 7, "hour": 0, "updateTrack": "stable"}


def test_the_network_has_one_subnet_for_cloud_run_and_lends_one_range(plan: Plan) -> None:
    result = plan("foundation-prod")
    assert only(result, "Network").inputs["autoCreateSubnetworks"] is False
    subnet = only(result, "Subnetwork").inputs
    assert (subnet["name"], subnet["ipCidrRange"]) == (names.SUBNETWORK, "10.0.0.0/20")
    assert subnet["privateIpGoogleAccess"] is True
    lent = only(result, "GlobalAddress").inputs
    assert (lent["purpose"], lent["addressType"]) == ("VPC_PEERING", "INTERNAL")
    assert (lent["address"], lent["prefixLength"]) == ("10.16.0.0", 20)
    assert not of_type(result, "RouterNat"), "nothing but private calls go this way, so nothing has to come out"


@pytest.mark.parametrize("env", ["local", *ENVS])
def test_who_has_a_database_calls_private_addresses_through_the_network_and_nobody_else(plan: Plan, env: str) -> None:
    inside = {
        "egress": "PRIVATE_RANGES_ONLY",
        "networkInterfaces": [{"network": names.NETWORK, "subnetwork": names.SUBNETWORK}],
    }
    run = [step for step in plan(env).steps if step.type.startswith("gcp:cloudrunv2/")]
    for step in run:
        if step.type.endswith(":Service"):
            spec = load(ROOT).services[step.inputs["name"]]
            template = step.inputs["template"]
            assert template.get("vpcAccess") == (inside if spec.database else None)
            tries = template["containers"][0]["startupProbe"]
            seconds = tries["periodSeconds"] * tries["failureThreshold"]
            assert not spec.database or seconds > 60, "a first connection into the network may take a minute"
    (job,) = [step for step in run if step.type.endswith(":Job")]
    assert job.inputs["template"]["template"]["vpcAccess"] == inside


def test_an_image_that_was_released_is_never_cleaned_away(plan: Plan) -> None:
    inputs = only(plan("foundation-prod"), "Repository").inputs
    assert inputs["dockerConfig"] == {"immutableTags": True}
    (delete,) = [policy for policy in inputs["cleanupPolicies"] if policy["action"] == "DELETE"]
    assert delete["condition"] == {"tagState": "UNTAGGED", "olderThan": "2592000s"}
    (keep,) = [policy for policy in inputs["cleanupPolicies"] if policy["action"] == "KEEP"]
    assert keep["mostRecentVersions"] == {"keepCount": 10}
    assert not inputs.get("cleanupPolicyDryRun")


def test_the_images_that_could_be_gone_back_to_survive_slips(plan: Plan) -> None:
    repository = only(plan("foundation-prod"), "Repository")
    assert (repository.protect, repository.retain) == (True, True)
    (open_to_change,) = of_type(changed({"sluice:protect": False}), "Repository")
    assert not open_to_change.protect


def test_lines_about_payments_are_kept_longer_than_the_rest(plan: Plan) -> None:
    buckets = {step.inputs["bucketId"]: step for step in of_type(plan("foundation-prod"), "ProjectBucketConfig")}
    days = {name: step.inputs["retentionDays"] for name, step in buckets.items()}
    assert days == {"_Default": 30, names.LOG_BUCKET: 400}
    assert buckets[names.LOG_BUCKET].retain, "its name is blocked for a week"


@pytest.mark.parametrize(
    ("kind", "log", "payload", "kept"),
    [
        ("cloud_run_revision", "stdout", {"unique_id": "p1"}, True),
        ("cloud_run_revision", "stdout", {"event": "started"}, False),
        ("cloud_run_job", "stdout", {"event": "migrated"}, True),
        ("audited_resource", "cloudaudit.googleapis.com%2Fdata_access", {}, True),
        ("audited_resource", "cloudaudit.googleapis.com%2Factivity", {}, False),
        ("cloud_tasks_queue", "cloudtasks.googleapis.com%2Ftask_operations_log", {"unique_id": "p1"}, False),
    ],
)
def test_what_is_kept_longer_is_payments_migrations_and_access_to_data(
    plan: Plan, kind: str, log: str, payload: dict[str, str], kept: bool
) -> None:
    query = parse(only(plan("foundation-prod"), "ProjectSink").inputs["filter"])
    written_to = f"projects/sluice-prod/logs/{log}"
    assert query.matches({"resource": {"type": kind}, "logName": written_to, "jsonPayload": payload}) is kept
    assert query.may_match(kind, written_to) or not kept


def test_who_read_a_secret_used_a_key_or_acted_as_an_account_is_logged(plan: Plan) -> None:
    configs = of_type(plan("foundation-prod"), "IAMAuditConfig")
    assert {step.inputs["service"] for step in configs} == {
        "cloudkms.googleapis.com",
        "iam.googleapis.com",
        "secretmanager.googleapis.com",
    }
    for step in configs:
        assert [one["logType"] for one in step.inputs["auditLogConfigs"]] == ["DATA_READ", "DATA_WRITE"]
        assert not any(one.get("exemptedMembers") for one in step.inputs["auditLogConfigs"])


def test_a_budget_tells_at_shares_of_its_amount_and_when_the_forecast_reaches_it(plan: Plan) -> None:
    assert of_type(plan("foundation-prod"), "Budget") == []
    asked: dict[str, Any] = {
        "billing_account": "012345-6789AB-CDEF01",
        "amount": 800,
        "currency": "EUR",
        "thresholds": [80],
    }
    inputs = only(changed({"sluice:budget": asked}), "Budget").inputs
    assert inputs["amount"] == {"specifiedAmount": {"currencyCode": "EUR", "units": "800"}}
    assert inputs["budgetFilter"]["projects"] == ["projects/100000000003"]
    assert inputs["thresholdRules"] == [
        {"thresholdPercent": 0.8, "spendBasis": "CURRENT_SPEND"},
        {"thresholdPercent": 1.0, "spendBasis": "FORECASTED_SPEND"},
    ]
    assert inputs["allUpdatesRule"] == {"enableProjectLevelRecipients": True}


def test_apis_outlive_the_stack_and_every_product_in_use_has_its_own(plan: Plan) -> None:
    services = [step for step in of_type(plan("foundation-prod"), "Service") if step.custom]
    assert {step.inputs["disableOnDestroy"] for step in services} == {False}
    enabled = {step.inputs["service"] for step in services}
    products = {"cloudrunv2": "run", "projects": "cloudresourcemanager", "serviceaccount": "iam", "sql": "sqladmin"}
    products |= {"secretmanager": "secretmanager", "billing": "billingbudgets"}
    for stack in ("prod", "foundation-prod"):
        for step in plan(stack).steps:
            if step.custom and step.type.startswith("gcp:"):
                module = step.type.split(":")[1].split("/")[0]
                assert f"{products.get(module, module)}.googleapis.com" in enabled


def test_pubsubs_own_account_is_asked_for_before_anything_is_granted_to_it(plan: Plan) -> None:
    assert only(plan("foundation-prod"), "ServiceIdentity").inputs["service"] == "pubsub.googleapis.com"
