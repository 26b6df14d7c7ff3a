"""gcloud, unmodified, against a cloud in this process: accounts, keys, roles, policies with conditions, services."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fidelity import pins
from tests.local_cloud import gcloud as real
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.gcloud import Gcloud

pytestmark = real.needed

EMAIL = f"gcsplit@{PROJECT}.iam.gserviceaccount.com"
MEMBER = f"--member=serviceAccount:{EMAIL}"
ACCOUNTS = ("iam", "service-accounts")


@pytest.fixture(scope="module")
def gcloud(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with real.session(place.rest, tmp_path_factory.mktemp("gcloud")) as made:
        made.ok(*ACCOUNTS, "create", "gcsplit", "--display-name=Split")
        yield made


@pins("iam", "Accounts, roles, project, services", "gcloud iam, projects, services", observed="gcloud 528")
def test_accounts_and_their_policies(gcloud: Gcloud) -> None:
    assert [a["email"] for a in gcloud.json(*ACCOUNTS, "list")] == [EMAIL]
    assert gcloud.json(*ACCOUNTS, "describe", EMAIL)["displayName"] == "Split"
    gcloud.ok(*ACCOUNTS, "add-iam-policy-binding", EMAIL, MEMBER, "--role=roles/iam.serviceAccountUser")
    policy = gcloud.json(*ACCOUNTS, "get-iam-policy", EMAIL)
    assert policy["bindings"][0]["role"] == "roles/iam.serviceAccountUser"
    gcloud.ok(*ACCOUNTS, "disable", EMAIL)
    assert gcloud.json(*ACCOUNTS, "describe", EMAIL)["disabled"] is True
    gcloud.ok(*ACCOUNTS, "enable", EMAIL)
    gcloud.ok(*ACCOUNTS, "create", "short-lived")
    gone = f"short-lived@{PROJECT}.iam.gserviceaccount.com"
    gcloud.ok(*ACCOUNTS, "delete", gone, "--quiet")
    assert "NOT_FOUND" in gcloud.refused(*ACCOUNTS, "describe", gone)


@pins(
    "iam",
    "Accounts, roles, project, services",
    "gcloud --impersonate-service-account: tasks, run, iam and secrets answer as to the account",
    observed="gcloud 528",
)
def test_gcloud_acts_as_an_account(gcloud: Gcloud) -> None:
    email = f"viewer@{PROJECT}.iam.gserviceaccount.com"
    gcloud.ok(*ACCOUNTS, "create", "viewer")
    as_viewer = f"--impersonate-service-account={email}"
    lists = (
        ("tasks", "queues", "list", "--location=us-central1"),
        ("run", "services", "list", "--region=us-central1"),
        (*ACCOUNTS, "list"),
        ("secrets", "list"),
    )
    for words in lists:
        assert "IAM_PERMISSION_DENIED" in gcloud.refused(*words, as_viewer), words
    binding = (PROJECT, f"--member=serviceAccount:{email}", "--role=roles/viewer")
    gcloud.ok("projects", "add-iam-policy-binding", *binding)
    for words in lists:
        gcloud.ok(*words, as_viewer)
    gcloud.ok("projects", "remove-iam-policy-binding", *binding)


def test_keys_are_made_listed_and_deleted(gcloud: Gcloud, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    gcloud.ok(*ACCOUNTS, "keys", "create", str(file), f"--iam-account={EMAIL}")
    key = json.loads(file.read_text())
    assert key["client_email"] == EMAIL
    listed = gcloud.json(*ACCOUNTS, "keys", "list", f"--iam-account={EMAIL}", "--managed-by=user")
    assert [one["name"].rpartition("/")[2] for one in listed] == [key["private_key_id"]]
    gcloud.ok(*ACCOUNTS, "keys", "disable", key["private_key_id"], f"--iam-account={EMAIL}")
    gcloud.ok(*ACCOUNTS, "keys", "delete", key["private_key_id"], f"--iam-account={EMAIL}", "--quiet")
    assert gcloud.json(*ACCOUNTS, "keys", "list", f"--iam-account={EMAIL}", "--managed-by=user") == []


def test_roles_are_made_and_described(gcloud: Gcloud) -> None:
    permissions = "--permissions=cloudtasks.tasks.create"
    gcloud.ok("iam", "roles", "create", "sluiceTaskCreator", f"--project={PROJECT}", "--title=Create", permissions)
    listed = gcloud.json("iam", "roles", "list", f"--project={PROJECT}")
    assert [role["name"] for role in listed] == [f"projects/{PROJECT}/roles/sluiceTaskCreator"]
    assert gcloud.json("iam", "roles", "describe", "roles/run.invoker")["name"] == "roles/run.invoker"


@pins("iam", "Policies and decisions", "gcloud binds with conditions, and unbinds", observed="gcloud 528")
def test_bindings_of_the_project_with_and_without_conditions(gcloud: Gcloud) -> None:
    add, remove = (("projects", f"{verb}-iam-policy-binding", PROJECT, MEMBER) for verb in ("add", "remove"))
    gcloud.ok(*add, "--role=roles/logging.logWriter", "--condition=None")
    until = 'expression=request.time < timestamp("2999-01-01T00:00:00Z"),title=until'
    gcloud.ok(*add, "--role=roles/logging.viewer", f"--condition={until}")
    policy = gcloud.json("projects", "get-iam-policy", PROJECT)
    assert policy["version"] == 3
    titles = {b["role"]: b.get("condition", {}).get("title") for b in policy["bindings"]}
    assert titles == {"roles/logging.logWriter": None, "roles/logging.viewer": "until"}
    wrong = gcloud.refused(*add, "--role=roles/logging.viewer", "--condition=expression=tomorrow,title=t")
    assert "undeclared reference to 'tomorrow'" in wrong
    gcloud.ok(*remove, "--role=roles/logging.viewer", f"--condition={until}")
    assert [b["role"] for b in gcloud.json("projects", "get-iam-policy", PROJECT)["bindings"]] == [
        "roles/logging.logWriter"
    ]
    assert gcloud.json("projects", "describe", PROJECT)["projectNumber"] == "123456789012"
    assert [p["projectId"] for p in gcloud.json("projects", "list")] == [PROJECT]


def test_a_disabled_api_is_refused_until_it_is_enabled(gcloud: Gcloud) -> None:
    gcloud.ok("services", "disable", "cloudtasks.googleapis.com")
    names = [service["config"]["name"] for service in gcloud.json("services", "list", "--enabled")]
    assert "run.googleapis.com" in names
    assert "cloudtasks.googleapis.com" not in names
    said = gcloud.refused("tasks", "queues", "list", "--location=us-central1", "--quiet")
    assert "cloudtasks.googleapis.com" in said
    gcloud.ok("services", "enable", "cloudtasks.googleapis.com", "run.googleapis.com")
    assert gcloud.json("tasks", "queues", "list", "--location=us-central1") == []


def test_secrets_are_made_read_and_bound(gcloud: Gcloud, tmp_path: Path) -> None:
    file = tmp_path / "payload"
    file.write_text("words")
    gcloud.ok("secrets", "create", "KEY", f"--data-file={file}", "--labels=team=pay")
    assert gcloud.ok("secrets", "versions", "access", "latest", "--secret=KEY").out == "words"
    gcloud.ok("secrets", "versions", "add", "KEY", f"--data-file={file}")
    gcloud.ok("secrets", "update", "KEY", "--update-version-aliases=prod=1")
    assert gcloud.ok("secrets", "versions", "access", "prod", "--secret=KEY").out == "words"
    gcloud.ok("secrets", "versions", "disable", "2", "--secret=KEY")
    assert "DISABLED" in gcloud.refused("secrets", "versions", "access", "2", "--secret=KEY")
    states = {v["name"].rpartition("/")[2]: v["state"] for v in gcloud.json("secrets", "versions", "list", "KEY")}
    assert states == {"1": "ENABLED", "2": "DISABLED"}
    gcloud.ok("secrets", "add-iam-policy-binding", "KEY", MEMBER, "--role=roles/secretmanager.secretAccessor")
    assert gcloud.json("secrets", "get-iam-policy", "KEY")["bindings"][0]["members"] == [f"serviceAccount:{EMAIL}"]
    gcloud.ok("secrets", "delete", "KEY", "--quiet")
    assert gcloud.json("secrets", "list") == []
