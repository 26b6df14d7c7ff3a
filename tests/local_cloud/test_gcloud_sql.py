"""gcloud, unmodified, against a cloud in this process: instances, databases, users and operations of Cloud SQL."""

from collections.abc import Iterator

import pytest

from tests.fidelity import pins
from tests.local_cloud import gcloud as real
from tests.local_cloud.cloud_places import LOCATION, PROJECT, Place
from tests.local_cloud.gcloud import Gcloud

pytestmark = real.needed

AT = "--instance=payments"
LOGIN = f"gcsplit@{PROJECT}.iam"


@pytest.fixture(scope="module")
def gcloud(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with real.session(place.rest, tmp_path_factory.mktemp("gcloud")) as made:
        yield made


@pins("sql", "Instances, databases, users", "gcloud sql instances, databases, users, operations", observed="gcloud 528")
def test_instances_databases_users_and_operations(gcloud: Gcloud) -> None:
    gcloud.ok(
        "sql", "instances", "create", "payments", "--database-version=POSTGRES_16", "--tier=db-custom-2-7680",
        "--edition=enterprise", f"--region={LOCATION}", "--database-flags=cloudsql.iam_authentication=on",
        "--backup-start-time=03:00", "--enable-point-in-time-recovery", "--deletion-protection", "--quiet",
    )  # fmt: skip
    found = gcloud.json("sql", "instances", "describe", "payments")
    assert found["settings"]["databaseFlags"] == [{"name": "cloudsql.iam_authentication", "value": "on"}]
    assert found["settings"]["backupConfiguration"]["pointInTimeRecoveryEnabled"] is True
    assert [one["name"] for one in gcloud.json("sql", "instances", "list")] == ["payments"]

    gcloud.ok("sql", "databases", "create", "ledger", AT)
    assert {one["name"] for one in gcloud.json("sql", "databases", "list", AT)} == {"postgres", "ledger"}
    assert gcloud.json("sql", "databases", "describe", "ledger", AT)["charset"] == "UTF8"
    gcloud.ok("sql", "databases", "delete", "ledger", AT, "--quiet")

    gcloud.ok("sql", "users", "create", "app", AT, "--password=a-word")
    gcloud.ok("sql", "users", "create", LOGIN, AT, "--type=cloud_iam_service_account")
    gcloud.ok("sql", "users", "set-password", "app", AT, "--password=another")
    users = {one["name"]: one.get("type", "BUILT_IN") for one in gcloud.json("sql", "users", "list", AT)}
    assert users == {"postgres": "BUILT_IN", "app": "BUILT_IN", LOGIN: "CLOUD_IAM_SERVICE_ACCOUNT"}
    gcloud.ok("sql", "users", "delete", "app", AT, "--quiet")

    assert "protect" in gcloud.refused("sql", "instances", "delete", "payments", "--quiet")
    gcloud.ok("sql", "instances", "patch", "payments", "--no-deletion-protection", "--quiet")
    done = gcloud.json("sql", "operations", "list", AT)
    assert [one["operationType"] for one in done][-1] == "CREATE"
    assert gcloud.json("sql", "operations", "describe", done[0]["name"])["status"] == "DONE"
    gcloud.ok("sql", "instances", "delete", "payments", "--quiet")
    assert gcloud.json("sql", "instances", "list") == []
