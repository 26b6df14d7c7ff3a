"""gcloud, unmodified, against a cloud on loopback: accounts, roles, policies, services."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fidelity import pins
from tests.local_cloud.conftest import Process

pins(
    "iam",
    "Accounts, roles, project, services",
    "gcloud iam, projects, services",
    observed="gcloud 528",
)

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="the gcloud command is not installed"),
]

EMAIL = "gcsplit@sluice-local.iam.gserviceaccount.com"


@pytest.fixture
def gcloud(process: Process, tmp_path: Path) -> Callable[..., Any]:
    names = ("IAM", "CLOUDRESOURCEMANAGER", "SERVICEUSAGE", "IAMCREDENTIALS")
    env = {
        **os.environ,
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{process.rest}/" for name in names},
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": process.project,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CONFIG": str(tmp_path / "gcloud"),
    }

    def run(*arguments: str, ok: bool = True) -> Any:
        done = subprocess.run(
            ["gcloud", *arguments, "--format=json"], env=env, capture_output=True, text=True, timeout=120, check=False
        )
        assert (done.returncode == 0) is ok, done.stderr
        return json.loads(done.stdout or "null") if ok else done.stderr

    return run


def test_accounts_and_their_policies(gcloud: Callable[..., Any]) -> None:
    gcloud("iam", "service-accounts", "create", "gcsplit", "--display-name=Split")
    assert [a["email"] for a in gcloud("iam", "service-accounts", "list")] == [EMAIL]
    assert gcloud("iam", "service-accounts", "describe", EMAIL)["displayName"] == "Split"
    member = f"--member=serviceAccount:{EMAIL}"
    gcloud("iam", "service-accounts", "add-iam-policy-binding", EMAIL, member, "--role=roles/iam.serviceAccountUser")
    policy = gcloud("iam", "service-accounts", "get-iam-policy", EMAIL)
    assert policy["bindings"][0]["role"] == "roles/iam.serviceAccountUser"
    gcloud("iam", "service-accounts", "delete", EMAIL, "--quiet")
    assert "NOT_FOUND" in gcloud("iam", "service-accounts", "describe", EMAIL, ok=False)


def test_roles_projects_and_services(gcloud: Callable[..., Any]) -> None:
    permissions = "--permissions=cloudtasks.tasks.create"
    gcloud("iam", "roles", "create", "sluiceTaskCreator", "--project=sluice-local", "--title=Create", permissions)
    listed = gcloud("iam", "roles", "list", "--project=sluice-local")
    assert [role["name"] for role in listed] == ["projects/sluice-local/roles/sluiceTaskCreator"]
    assert gcloud("iam", "roles", "describe", "roles/run.invoker")["name"] == "roles/run.invoker"
    gcloud("iam", "service-accounts", "create", "gcsplit")
    binding = (f"--member=serviceAccount:{EMAIL}", "--role=roles/logging.logWriter", "--condition=None")
    gcloud("projects", "add-iam-policy-binding", "sluice-local", *binding)
    policy = gcloud("projects", "get-iam-policy", "sluice-local")
    assert policy["bindings"] == [{"members": [f"serviceAccount:{EMAIL}"], "role": "roles/logging.logWriter"}]
    assert gcloud("projects", "describe", "sluice-local")["projectNumber"] == "123456789012"
    gcloud("services", "enable", "cloudtasks.googleapis.com", "run.googleapis.com")
    names = [service["config"]["name"] for service in gcloud("services", "list", "--enabled")]
    assert names == ["cloudtasks.googleapis.com", "run.googleapis.com"]
