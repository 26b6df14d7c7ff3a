"""What a pipeline may do: the previewer looks, the deployer changes the app's layer, and neither has a key."""

from __future__ import annotations

from collections.abc import Callable

import pulumi_gcp as gcp
import pytest

from components import ci_permissions
from local_engine import Result
from spec.service import PROJECT_ROLES
from tests.components.conftest import WITH_OPTIONS, of_type
from tests.components.conftest import planned as with_options

Plan = Callable[[str], Result]
POOL = "projects/100000000003/locations/global/workloadIdentityPools/sluice-ci"


def planned() -> Result:
    return with_options(f"foundation-prod{WITH_OPTIONS}")


def member(account: str) -> str:
    return f"serviceAccount:sluice-{account}@sluice-prod.iam.gserviceaccount.com"


def roles_of(account: str) -> set[str]:
    return {str(step.inputs["role"]) for step in planned().steps if step.inputs.get("member") == member(account)}


def test_without_a_repository_nobody_is_believed(plan: Plan) -> None:
    assert not [step for step in plan("foundation-prod").steps if step.type.startswith("gcp:iam/")]
    assert not {"ciProvider", "ciPreviewer", "ciDeployer"} & set(plan("foundation-prod").outputs)


def test_a_workflow_finds_what_it_has_to_name() -> None:
    assert {key: value for key, value in planned().outputs.items() if key.startswith("ci")} == {
        "ciProvider": f"{POOL}/providers/github",
        "ciPreviewer": "sluice-previewer@sluice-prod.iam.gserviceaccount.com",
        "ciDeployer": "sluice-deployer@sluice-prod.iam.gserviceaccount.com",
    }


def test_only_tokens_of_the_repositorys_branch_and_pull_requests_are_taken() -> None:
    (provider,) = of_type(planned(), "WorkloadIdentityPoolProvider")
    assert provider.inputs["oidc"] == {"issuerUri": "https://token.actions.githubusercontent.com"}
    assert provider.inputs["attributeMapping"]["google.subject"] == "assertion.sub"
    assert provider.inputs["attributeCondition"].startswith("assertion.repository == 'acme/payments' && (")


def test_the_deployer_is_behind_the_environments_approval_and_the_previewer_is_not() -> None:
    found: dict[str, set[str]] = {}
    for step in of_type(planned(), "IAMMember"):
        if step.inputs["role"] == "roles/iam.workloadIdentityUser":
            found.setdefault(step.name.split("-")[1], set()).add(step.inputs["member"])
    subject = f"principal://iam.googleapis.com/{POOL}/subject/repo:acme/payments"
    assert found == {
        "deployer": {f"{subject}:environment:prod"},
        "previewer": {f"{subject}:pull_request", f"{subject}:ref:refs/heads/main"},
    }


def test_neither_account_has_a_role_of_googles_but_on_one_thing_or_under_a_condition() -> None:
    assert roles_of("previewer") == {
        "projects/sluice-prod/roles/sluicePreviewer",
        "roles/cloudkms.cryptoKeyDecrypter",
        "roles/storage.objectViewer",
    }
    assert roles_of("deployer") == {
        "projects/sluice-prod/roles/sluiceDeployer",
        "roles/artifactregistry.writer",
        "roles/cloudkms.cryptoKeyEncrypterDecrypter",
        "roles/resourcemanager.projectIamAdmin",
        "roles/storage.admin",
        "roles/storage.objectUser",
    }
    (owned,) = [step for step in planned().steps if step.inputs.get("role") == "roles/storage.admin"]
    assert owned.inputs["bucket"] == "sluice-prod-sluice-rollout"
    (admin,) = [step for step in planned().steps if step.inputs.get("role", "").endswith("projectIamAdmin")]
    allowed = admin.inputs["condition"]["expression"].partition("hasOnly(")[2]
    assert [role.strip(" '") for role in allowed.strip("[])").split(",")] == sorted(PROJECT_ROLES)


def test_no_key_of_an_account_exists() -> None:
    assert [step for step in planned().steps if "serviceaccount/key" in step.type] == []


def test_the_previewer_reads_and_nothing_else() -> None:
    verbs = {permission.rpartition(".")[2] for permission in ci_permissions.read()}
    assert verbs == {"get", "list", "getIamPolicy"}


def test_neither_account_sees_a_secret_a_payload_or_a_message_and_neither_touches_the_foundation() -> None:
    can = set(ci_permissions.change())
    assert not can & {
        "cloudtasks.tasks.fullView",
        "iam.serviceAccountKeys.create",
        "iam.serviceAccounts.getAccessToken",
        "iam.serviceAccounts.getOpenIdToken",
        "logging.privateLogEntries.list",
        "pubsub.subscriptions.consume",
        "resourcemanager.projects.setIamPolicy",
        "run.routes.invoke",
        "secretmanager.versions.access",
    }
    kept = ("artifactregistry.", "cloudsql.databases.", "cloudsql.instances.", "compute.", "iam.roles.", "iam.workload")
    changes = {one for one in can if one.startswith((*kept, "logging.buckets.", "logging.sinks.", "serviceusage."))}
    assert {one.rpartition(".")[2] for one in changes} <= {"get", "list", "getIamPolicy"}


@pytest.mark.parametrize(
    ("layer", "option"), [("prod", "compute/uRLMap:URLMap"), ("foundation-prod", "billing/budget:Budget")]
)
def test_every_type_of_the_plan_has_its_line(layer: str, option: str) -> None:
    steps = with_options(f"{layer}{WITH_OPTIONS}").steps
    used = {step.type.removeprefix("gcp:") for step in steps if step.type.startswith("gcp:")}
    assert option in used
    assert used - ci_permissions.known() == set()


def test_every_line_is_a_type_of_the_provider() -> None:
    for name in ci_permissions.known():
        module, cls = name.partition("/")[0], name.rpartition(":")[2]
        assert hasattr(getattr(gcp, module), cls), name
