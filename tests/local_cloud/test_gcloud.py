"""`gcloud secrets|logging|scheduler|artifacts|sql` against the local cloud, without a login."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.local_cloud.cloud_places import LOCATION, PROJECT, Place

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="the gcloud command is not installed"),
]
ENDPOINTS = ("SECRETMANAGER", "LOGGING", "CLOUDSCHEDULER", "ARTIFACTREGISTRY", "SQL")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gcloud")


def gcloud(place: Place, config: Path, *words: str, plain: bool = False, stdin: str | None = None) -> Any:
    """Runs a command; its answer as JSON, or its text."""
    env = {
        **os.environ,
        **{f"CLOUDSDK_API_ENDPOINT_OVERRIDES_{name}": f"{place.rest}/" for name in ENDPOINTS},
        "CLOUDSDK_CONFIG": str(config),
        "CLOUDSDK_AUTH_ACCESS_TOKEN": "local",
        "CLOUDSDK_CORE_PROJECT": PROJECT,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
    }
    form = [] if plain else ["--format=json"]
    done = subprocess.run(
        ["gcloud", *words, *form, "--quiet"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        input=stdin,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout if plain else json.loads(done.stdout or "null")


def test_secrets(place: Place, config: Path) -> None:
    gcloud(place, config, "secrets", "create", "A-KEY", "--replication-policy=automatic")
    gcloud(place, config, "secrets", "versions", "add", "A-KEY", "--data-file=-", stdin="words")
    assert gcloud(place, config, "secrets", "versions", "access", "latest", "--secret=A-KEY", plain=True) == "words"
    gcloud(place, config, "secrets", "versions", "disable", "1", "--secret=A-KEY")
    [version] = gcloud(place, config, "secrets", "versions", "list", "A-KEY")
    assert version["state"] == "DISABLED"


def test_logs(place: Place, config: Path) -> None:
    gcloud(
        place, config, "logging", "write", "my-log", '{"unique_id": "U1"}', "--payload-type=json", "--severity=ERROR"
    )
    [entry] = gcloud(place, config, "logging", "read", 'severity>=ERROR jsonPayload.unique_id="U1"')
    assert entry["logName"] == f"projects/{PROJECT}/logs/my-log"


def test_schedules(place: Place, config: Path) -> None:
    words = ("scheduler", "jobs", "create", "http", "sweep", "--schedule=*/5 * * * *", "--uri=http://127.0.0.1:9/x")
    made = gcloud(place, config, *words, f"--location={LOCATION}")
    assert made["state"] == "ENABLED"
    gcloud(place, config, "scheduler", "jobs", "pause", "sweep", f"--location={LOCATION}")
    [listed] = gcloud(place, config, "scheduler", "jobs", "list", f"--location={LOCATION}")
    assert listed["state"] == "PAUSED"


def test_repositories_and_databases(place: Place, config: Path) -> None:
    words = ("artifacts", "repositories", "create", "images", "--repository-format=docker", f"--location={LOCATION}")
    gcloud(place, config, *words)
    [repository] = gcloud(place, config, "artifacts", "repositories", "list", f"--location={LOCATION}")
    assert repository["format"] == "DOCKER"
    gcloud(place, config, "sql", "instances", "create", "payments", "--tier=db-f1-micro", f"--region={LOCATION}")
    gcloud(place, config, "sql", "databases", "create", "ledger", "--instance=payments")
    names = [d["name"] for d in gcloud(place, config, "sql", "databases", "list", "--instance=payments")]
    assert names == ["postgres", "ledger"]
