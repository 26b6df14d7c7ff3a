"""What docs/local-cloud.md tells a stranger to type works as it stands, and each variable of `sluice env` is right."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator

import pytest

from ops.verbs.env import PROVIDER_ENDPOINTS
from tests.fidelity import pins
from tests.ops.alone import ROOT, Alone, environment, started

PAGE = (ROOT / "docs/local-cloud.md").read_text()


def blocks(kind: str) -> list[str]:
    """The fenced blocks of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alone]:
    """The one of the quick start, on a free port."""
    folder = tmp_path_factory.mktemp("page")
    command = folder / "sluice"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m ops "$@"\n')
    command.chmod(0o755)
    [start] = blocks("sh start")
    with started(folder, *start.split()[3:]) as cloud:
        yield cloud


def shell(cloud: Alone, script: str) -> str:
    """Runs a script where the page's command is `./sluice`, and nothing outside is known; its output."""
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        env={**environment(cloud.folder), "HOME": str(cloud.folder)},
        cwd=cloud.folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pins(
    "standalone",
    "Pointing clients at it",
    "sluice env: lines to eval, for gcloud, clients, Terraform, Pulumi",
    ours=True,
)
def test_the_quick_start_works_as_it_stands(cloud: Alone) -> None:
    [script] = blocks("sh run")
    said = shell(cloud, script)
    assert "projects/my-app/locations/us-central1/queues/emails" in said
    assert "the clock of my-app stands at" in said


@pytest.mark.gcloud
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="the gcloud command is not installed")
def test_gcloud_works_as_the_page_says(cloud: Alone) -> None:
    [script] = blocks("sh gcloud")
    assert "reports" in shell(cloud, script).splitlines()[-1]


@pytest.mark.gcloud
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="the gcloud command is not installed")
def test_a_service_is_deployed_as_the_page_says(cloud: Alone) -> None:
    (cloud.folder / "hello").mkdir()
    (cloud.folder / "hello/app.py").write_text(blocks("python service")[0])
    [script] = blocks("sh deploy")
    said = shell(cloud, script)
    assert "hello from hello-00001-" in said
    assert said.splitlines()[-1].split() == ["hello", str((cloud.folder / "hello").resolve()), "app:main"]


@pytest.mark.gcloud
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="the gcloud command is not installed")
def test_an_account_may_do_what_the_page_says(cloud: Alone) -> None:
    [script] = blocks("sh iam")
    said = shell(cloud, script)
    assert said.count("refused, with what is missing") == 1
    assert "emails" in said.partition("refused")[2], "the second time it is let through"
    assert "cloudtasks.queues.list" in said
    cloud.sluice("iam", "mode", "enforce")


@pytest.mark.gcloud
@pytest.mark.skipif(shutil.which("gcloud") is None, reason="the gcloud command is not installed")
def test_an_alert_fires_as_the_page_says(cloud: Alone) -> None:
    [script] = blocks("sh alerts")
    assert "is above the threshold" in shell(cloud, script)


@pytest.mark.parametrize("number", range(len(blocks("python"))))
def test_googles_python_clients_work_as_the_page_says(cloud: Alone, number: int) -> None:
    program = cloud.folder / f"program{number}.py"
    program.write_text(blocks("python")[number])
    said = shell(cloud, f'eval "$(./sluice env)"; "{sys.executable}" {program}')
    assert "list_queues" not in program.read_text() or "/queues/emails" in said


@pins(
    "standalone",
    "Pointing clients at it",
    "Default credentials of Google's libraries: the owner's, by its metadata",
    ours=True,
)
def test_default_credentials_are_the_owners(cloud: Alone) -> None:
    program = cloud.folder / "adc.py"
    program.write_text(
        "import google.auth, google.auth.transport.requests as r\n"
        "credentials, project = google.auth.default(scopes=['https://www.googleapis.com/auth/cloud-platform'])\n"
        "credentials.refresh(r.Request())\n"
        "from google.oauth2 import id_token\n"
        "print(project, credentials.service_account_email, credentials.token[:5])\n"
        "print(id_token.fetch_id_token(r.Request(), 'http://x').count('.'))\n"
    )
    said = shell(cloud, f'eval "$(./sluice env)"; "{sys.executable}" {program}')
    assert said.split() == ["my-app", "owner@my-app", "ya29.", "2"]


def test_the_pytest_fixture_works_as_the_page_says(cloud: Alone) -> None:
    folder = cloud.folder / "suite"
    folder.mkdir()
    (folder / "conftest.py").write_text(blocks("python conftest")[0])
    (folder / "test_it.py").write_text(
        "import urllib.request\n"
        "def test_it(cloud):\n"
        "    url = f'http://{cloud}/v2/projects/my-app/locations/us-central1/queues/emails'\n"
        "    assert b'RUNNING' in urllib.request.urlopen(url).read()\n"
    )
    run = f'cd suite; SLUICE=../sluice "{sys.executable}" -m pytest -q -p no:cacheprovider -p no:xdist .'
    assert "1 passed" in shell(cloud, run)


def test_every_endpoint_of_the_provider_is_served(cloud: Alone) -> None:
    values = json.loads(cloud.sluice("env", "--format", "json").stdout)
    assert values["GOOGLE_PROJECT"] == values["GOOGLE_CLOUD_PROJECT"] == values["CLOUDSDK_CORE_PROJECT"] == "my-app"
    for name, path in PROVIDER_ENDPOINTS.items():
        assert values[f"GOOGLE_{name}_CUSTOM_ENDPOINT"] == cloud.url + path
    for variable, rest in (
        ("GOOGLE_CLOUD_TASKS_CUSTOM_ENDPOINT", "projects/my-app/locations/us-central1/queues"),
        ("GOOGLE_CLOUD_RUN_V2_CUSTOM_ENDPOINT", "projects/my-app/locations/us-central1/services"),
        ("GOOGLE_IAM_BETA_CUSTOM_ENDPOINT", "projects/my-app/serviceAccounts"),
        ("GOOGLE_SECRET_MANAGER_CUSTOM_ENDPOINT", "projects/my-app/secrets"),
        ("GOOGLE_CLOUD_SCHEDULER_CUSTOM_ENDPOINT", "projects/my-app/locations/us-central1/jobs"),
        ("GOOGLE_RESOURCE_MANAGER_CUSTOM_ENDPOINT", "projects/my-app"),
        ("GOOGLE_CLOUD_RESOURCE_MANAGER_CUSTOM_ENDPOINT", "projects/my-app"),
        ("GOOGLE_RESOURCE_MANAGER_V3_CUSTOM_ENDPOINT", "projects/my-app"),
        ("GOOGLE_IAM_CUSTOM_ENDPOINT", "projects/my-app/roles"),
        ("GOOGLE_SERVICE_USAGE_CUSTOM_ENDPOINT", "projects/my-app/services?filter=state:ENABLED"),
        ("GOOGLE_ARTIFACT_REGISTRY_CUSTOM_ENDPOINT", "projects/my-app/locations/us-central1/repositories"),
        ("GOOGLE_MONITORING_CUSTOM_ENDPOINT", "v3/projects/my-app/alertPolicies"),
        ("GOOGLE_CLOUD_RUN_CUSTOM_ENDPOINT", "apis/serving.knative.dev/v1/namespaces/my-app/services"),
        ("GOOGLE_CLOUD_BILLING_CUSTOM_ENDPOINT", "projects/my-app/billingInfo"),
        ("GOOGLE_SQL_CUSTOM_ENDPOINT", "projects/my-app/instances"),
        ("GOOGLE_COMPUTE_CUSTOM_ENDPOINT", "projects/my-app/global/networks"),
        ("GOOGLE_KMS_CUSTOM_ENDPOINT", "projects/my-app/locations/us-central1/keyRings"),
        ("GOOGLE_PUBSUB_CUSTOM_ENDPOINT", "projects/my-app/topics"),
        ("GOOGLE_BILLING_BUDGETS_CUSTOM_ENDPOINT", "billingAccounts/1/budgets"),
        ("GOOGLE_BINARY_AUTHORIZATION_CUSTOM_ENDPOINT", "projects/my-app/policy"),
        ("GOOGLE_STORAGE_CUSTOM_ENDPOINT", "b?project=my-app"),
    ):
        token = values["GOOGLE_OAUTH_ACCESS_TOKEN"]
        request = urllib.request.Request(values[variable] + rest, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=90) as answer:
            assert isinstance(json.load(answer), dict)


def test_the_variables_are_taken_back(cloud: Alone) -> None:
    left = shell(
        cloud,
        'env | sort > before; eval "$(./sluice env)"; eval "$(./sluice env --unset)"; '
        "env | sort > after; diff before after",
    )
    assert left == ""


@pytest.mark.parametrize(
    ("form", "line"), [("fish", "set -gx GOOGLE_PROJECT my-app;"), ("dotenv", "GOOGLE_PROJECT=my-app")]
)
def test_other_shells_get_their_own_lines(cloud: Alone, form: str, line: str) -> None:
    assert line in cloud.sluice("env", "--format", form).stdout.splitlines()


def test_pointing_at_a_cloud_that_is_not_there_fails_before_a_command_means_another(cloud: Alone) -> None:
    script = 'eval "$(./sluice env --cloud http://127.0.0.1:9)" && echo "gcloud would have run"'
    done = subprocess.run(
        ["bash", "-c", script], env={**environment(cloud.folder), "HOME": str(cloud.folder)}, cwd=cloud.folder,
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (1, "")
    assert "error" in done.stderr
