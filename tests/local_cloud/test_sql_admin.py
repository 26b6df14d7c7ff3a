"""Cloud SQL's admin API as the provider and google-api-python-client call it: what is kept, refused, protected."""

from typing import Any

from local_cloud.cloud import Cloud
from tests.fidelity import pins
from tests.local_cloud.conftest import Rest

PROJECT = "/sql/v1beta4/projects/sluice-local"
INSTANCES = f"{PROJECT}/instances"
#: What components/database.py declares.
SETTINGS: dict[str, Any] = {
    "tier": "db-custom-2-7680",
    "edition": "ENTERPRISE",
    "activationPolicy": "ALWAYS",
    "availabilityType": "REGIONAL",
    "connectorEnforcement": "REQUIRED",
    "storageAutoResize": True,
    "userLabels": {"system": "sluice"},
    "databaseFlags": [{"name": "cloudsql.iam_authentication", "value": "on"}],
    "ipConfiguration": {"ipv4Enabled": True, "sslMode": "ENCRYPTED_ONLY"},
    "insightsConfig": {"queryInsightsEnabled": True, "queryStringLength": 1024},
    "maintenanceWindow": {"day": 7, "hour": 3, "updateTrack": "stable"},
    "backupConfiguration": {
        "enabled": True,
        "pointInTimeRecoveryEnabled": True,
        "startTime": "03:00",
        "transactionLogRetentionDays": 7,
        "backupRetentionSettings": {"retainedBackups": 7, "retentionUnit": "COUNT"},
    },
}

#: What is not taken in their place.
WRONG: list[dict[str, Any]] = [
    {"tier": ""},
    {"tier": "large"},
    {"tier": "db-perf-optimized-N-2"},
    {"edition": "ENTERPRISE_PLUS"},
    {"backupConfiguration": {"enabled": False, "pointInTimeRecoveryEnabled": True}},
    {"backupConfiguration": {"enabled": False}},
    {"backupConfiguration": SETTINGS["backupConfiguration"] | {"startTime": "3 am"}},
    {"backupConfiguration": SETTINGS["backupConfiguration"] | {"transactionLogRetentionDays": 8}},
    {"maintenanceWindow": {"day": 8}},
    {"maintenanceWindow": {"day": 1, "hour": 24}},
    {"databaseFlags": [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]},
    {"databaseFlags": [{"name": "cloudsql.iam_authentication", "value": "yes"}]},
    {"dataDiskSizeGb": "5"},
    {"userLabels": {"Big": "x"}},
]


def instance(name: str = "payments", **settings: Any) -> dict[str, Any]:
    return {"name": name, "databaseVersion": "POSTGRES_16", "region": "us-central1", "settings": SETTINGS | settings}


@pins(
    "sql",
    "Instances, databases, users",
    "Settings are kept and read back field for field; a version of the settings that is not the current one is refused",
    documented="DatabaseInstance, Settings.settingsVersion",
)
async def test_settings_read_back_field_for_field(rest: Rest) -> None:
    operation = await rest.ok("POST", INSTANCES, instance())
    assert (operation["status"], operation["operationType"]) == ("DONE", "CREATE")
    found = await rest.ok("GET", f"{INSTANCES}/payments")
    assert {name: found["settings"][name] for name in SETTINGS} == SETTINGS
    assert (found["state"], found["connectionName"]) == ("RUNNABLE", "sluice-local:us-central1:payments")
    await rest.ok("PATCH", f"{INSTANCES}/payments", {"settings": {"userLabels": {"other": "one"}}})
    changed = (await rest.ok("GET", f"{INSTANCES}/payments"))["settings"]
    assert changed["userLabels"] == {"other": "one"}
    assert changed["databaseFlags"] == SETTINGS["databaseFlags"]
    assert changed["settingsVersion"] == "2"
    stale = {"settings": {"settingsVersion": "1", "tier": "db-f1-micro"}}
    assert (await rest("PUT", f"{INSTANCES}/payments", stale))[0] == 412
    listed = await rest.ok("GET", f"{PROJECT}/operations?instance=payments&maxResults=1")
    assert [one["operationType"] for one in listed["items"]] == ["UPDATE"]
    more = await rest.ok("GET", f"{PROJECT}/operations?instance=payments&pageToken={listed['nextPageToken']}")
    assert [one["operationType"] for one in more["items"]] == ["CREATE"]


@pins(
    "sql",
    "Instances, databases, users",
    "A protected instance is not deleted; its databases and users are: that is what Google's protection is of",
    documented="Instance deletion protection; terraform-google-sql-db issue 434",
)
async def test_deletion_protection_is_the_instances(rest: Rest) -> None:
    await rest.ok("POST", INSTANCES, instance(deletionProtectionEnabled=True))
    await rest.ok("POST", f"{INSTANCES}/payments/databases", {"name": "one"})
    status, refused = await rest("DELETE", f"{INSTANCES}/payments")
    assert (status, "deletion protection" in refused["error"]["message"]) == (400, True)
    await rest.ok("DELETE", f"{INSTANCES}/payments/databases/one")
    await rest.ok("PATCH", f"{INSTANCES}/payments", {"settings": {"deletionProtectionEnabled": False}})
    await rest.ok("DELETE", f"{INSTANCES}/payments")
    assert (await rest("GET", f"{INSTANCES}/payments/databases"))[0] == 404


@pins(
    "sql",
    "Instances, databases, users",
    "Settings that contradict one another are refused: tier and edition, backups, availability, windows, flags, disks",
    documented="Create an instance; point-in-time recovery; google/cloud/sql/v1beta4/cloud_sql_resources.proto",
)
async def test_settings_that_google_refuses(rest: Rest) -> None:
    for wrong in WRONG:
        status, refused = await rest("POST", INSTANCES, instance(**wrong))
        assert (status, refused["error"]["message"].startswith("Invalid request: ")) == (400, True), wrong
    assert "items" not in await rest.ok("GET", INSTANCES)


@pins(
    "sql",
    "Instances, databases, users",
    "An IAM user is named by its address, a service account's without .gserviceaccount.com, and has no password",
    documented="Manage users with IAM database authentication",
)
async def test_iam_users_have_addresses_and_no_password(rest: Rest) -> None:
    await rest.ok("POST", INSTANCES, instance())
    users = f"{INSTANCES}/payments/users"
    account = {"name": "gcsplit@sluice-local.iam", "type": "CLOUD_IAM_SERVICE_ACCOUNT"}
    await rest.ok("POST", users, account)
    await rest.ok("POST", users, {"name": "ann@example.com", "type": "CLOUD_IAM_USER"})
    found = await rest.ok("GET", f"{users}/gcsplit@sluice-local.iam")
    assert found["iamEmail"] == "gcsplit@sluice-local.iam.gserviceaccount.com"
    for wrong in (
        account | {"name": "gcsplit@sluice-local.iam.gserviceaccount.com"},
        account | {"name": "gcsplit"},
        account | {"password": "x"},
        {"name": "x" * 64},
        {},
    ):
        assert (await rest("POST", users, wrong))[0] == 400
    listed = await rest.ok("GET", users)
    assert {one["name"] for one in listed["items"]} == {"postgres", account["name"], "ann@example.com"}
    await rest.ok("DELETE", f"{users}?name=ann@example.com")
    assert (await rest("GET", f"{users}/ann@example.com"))[0] == 404


@pins(
    "sql",
    "Instances, databases, users",
    "Backups, exports, imports, connect settings and ephemeral certificates are refused by name",
    ours=True,
)
async def test_what_needs_a_machine_is_refused_by_name(rest: Rest) -> None:
    await rest.ok("POST", INSTANCES, instance())
    at = f"{INSTANCES}/payments"
    for verb, path in (
        ("POST", f"{at}/backupRuns"),
        ("POST", f"{at}/export"),
        ("POST", f"{at}/import"),
        ("GET", f"{at}/connectSettings"),
        ("POST", f"{at}:generateEphemeralCert"),
    ):
        status, refused = await rest(verb, path, {} if verb == "POST" else None)
        assert (status, "is not emulated" in refused["error"]["message"]) == (501, True)
    assert "items" not in await rest.ok("GET", f"{at}/backupRuns")


@pins(
    "sql",
    "Instances, databases, users",
    "Without --postgres everything is only kept, and the log says so once",
    ours=True,
)
async def test_without_a_server_the_log_says_that_all_is_only_kept(rest: Rest, cloud: Cloud) -> None:
    for name in ("one", "two"):
        await rest.ok("POST", INSTANCES, instance(name))
    said = [event for event in cloud.log.events if "only kept" in event["message"]]
    assert len(said) == 1
