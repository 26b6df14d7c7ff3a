"""`gcloud tasks` against the local cloud, without a login: what a person types."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local_cloud.cloud_places import LOCATION, PARENT, PROJECT, Place, inside

pytestmark = [
    pytest.mark.gcloud,
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="the gcloud command is not installed"),
]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("cloud")) as made:
        yield made


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gcloud")


def gcloud(place: Place, config: Path, *words: str) -> Any:
    """Runs a command of gcloud tasks; its answer as JSON."""
    env = {
        **os.environ,
        "CLOUDSDK_CONFIG": str(config),
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDTASKS": f"{place.rest}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CORE_PROJECT": PROJECT,
        "CLOUDSDK_CORE_DISABLE_PROMPTS": "1",
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
    }
    done = subprocess.run(
        ["gcloud", "tasks", *words, f"--location={LOCATION}", "--format=json", "--quiet"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout or "null")


def test_queues_and_tasks_from_the_command_line(place: Place, config: Path) -> None:
    gcloud(
        place,
        config,
        *("queues", "create", "hostpay-execution-queue", "--max-dispatches-per-second=50"),
        *("--max-concurrent-dispatches=20", "--max-attempts=3", "--min-backoff=5s", "--max-backoff=15s"),
        *("--max-doublings=2", "--max-retry-duration=60s"),
    )
    shown = gcloud(place, config, "queues", "describe", "hostpay-execution-queue")
    assert shown["name"] == f"{PARENT}/queues/hostpay-execution-queue"
    assert shown["state"] == "RUNNING"
    rates = {"maxBurstSize": 10, "maxConcurrentDispatches": 20, "maxDispatchesPerSecond": 50.0}
    assert shown["rateLimits"] == rates
    assert shown["retryConfig"] == {
        "maxAttempts": 3,
        "maxBackoff": "15s",
        "maxDoublings": 2,
        "maxRetryDuration": "60s",
        "minBackoff": "5s",
    }
    gcloud(place, config, "queues", "update", "hostpay-execution-queue", "--max-attempts=4")
    listed = gcloud(place, config, "queues", "list")
    assert [(queue["name"].rpartition("/")[2], queue["retryConfig"]["maxAttempts"]) for queue in listed] == [
        ("hostpay-execution-queue", 4)
    ]
    gcloud(place, config, "queues", "pause", "hostpay-execution-queue")
    assert gcloud(place, config, "queues", "describe", "hostpay-execution-queue")["state"] == "PAUSED"
    made = gcloud(
        place,
        config,
        *("create-http-task", "first", "--queue=hostpay-execution-queue", "--url=http://127.0.0.1:9/"),
        *("--method=POST", "--header=Content-Type: application/json", "--body-content={}"),
    )
    assert made["name"].endswith("/tasks/first")
    tasks = gcloud(place, config, "list", "--queue=hostpay-execution-queue")
    assert [task["httpRequest"]["url"] for task in tasks] == ["http://127.0.0.1:9/"]
    ran = gcloud(place, config, "run", "first", "--queue=hostpay-execution-queue")
    assert ran is None or ran["dispatchCount"] == 1
    gcloud(place, config, "queues", "purge", "hostpay-execution-queue")
    assert gcloud(place, config, "list", "--queue=hostpay-execution-queue") == []
    gcloud(place, config, "queues", "resume", "hostpay-execution-queue")
    assert gcloud(place, config, "queues", "describe", "hostpay-execution-queue")["state"] == "RUNNING"
    gcloud(place, config, "queues", "delete", "hostpay-execution-queue")
    assert gcloud(place, config, "queues", "list") == []
