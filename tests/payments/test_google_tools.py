"""Google's own tools on the deployed stack: the Cloud Tasks client over gRPC and REST, and gcloud, without a login.

Their queues are those of the YAML, setting by setting. What each API does in every detail is tests/local_cloud's.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc
import pytest
from google.api_core.exceptions import Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksGrpcTransport, CloudTasksRestTransport
from google.protobuf.duration_pb2 import Duration

import spec
from tests.fidelity import pins
from tests.payments.stack import ROOT, Stack, http, until

pytestmark = pytest.mark.stack

SYSTEM = spec.load(ROOT, "local")


@pytest.fixture(scope="module", params=["grpc", "rest"])
def client(request: pytest.FixtureRequest, stack: Stack) -> Iterator[tasks_v2.CloudTasksClient]:
    """The official client, at the endpoints that `status` names."""
    status = stack.status()
    if request.param == "grpc":
        transport = CloudTasksGrpcTransport(channel=grpc.insecure_channel(status["grpc"]))
        made = tasks_v2.CloudTasksClient(transport=transport)
    else:
        nobody = AnonymousCredentials()  # type: ignore[no-untyped-call]
        rest = CloudTasksRestTransport(host=urlsplit(status["rest"]).netloc, url_scheme="http", credentials=nobody)
        made = tasks_v2.CloudTasksClient(transport=rest)
    with made:
        yield made


@pytest.fixture(scope="module")
def parent(stack: Stack) -> str:
    status = stack.status()
    return f"projects/{status['project']}/locations/{status['location']}"


def settings_of(queue: spec.TaskQueue) -> dict[str, Any]:
    """A queue as its YAML has it, in Google's words; the age limit is max_retry_duration."""
    return {
        "rate": queue.rate.dispatches_per_second,
        "concurrent": queue.rate.concurrent,
        "attempts": queue.retry.max_attempts,
        "age": queue.retry.task_age_limit.seconds,
        "min": queue.retry.min_backoff.seconds,
        "max": queue.retry.max_backoff.seconds,
        "doublings": queue.retry.max_doublings,
    }


def in_seconds(duration: Any) -> float:
    """The client's durations are Python's, whatever its type stubs say."""
    return float(duration.total_seconds())


def seconds(text: str | None) -> float:
    return float((text or "0s").removesuffix("s"))


def test_the_official_client_lists_the_queues_of_the_yaml_with_its_settings(
    client: tasks_v2.CloudTasksClient, parent: str
) -> None:
    listed = {queue.name.rpartition("/")[2]: queue for queue in client.list_queues(parent=parent)}
    assert set(listed) == set(SYSTEM.queues)
    for name, queue in SYSTEM.queues.items():
        found = listed[name]
        assert client.get_queue(name=f"{parent}/queues/{name}") == found
        assert found.state == tasks_v2.Queue.State.RUNNING
        limits, retry = found.rate_limits, found.retry_config
        assert {
            "rate": limits.max_dispatches_per_second,
            "concurrent": limits.max_concurrent_dispatches,
            "attempts": retry.max_attempts,
            "age": in_seconds(retry.max_retry_duration),
            "min": in_seconds(retry.min_backoff),
            "max": in_seconds(retry.max_backoff),
            "doublings": retry.max_doublings,
        } == settings_of(queue)


def test_the_official_client_makes_pauses_fills_runs_purges_and_deletes_a_queue(
    client: tasks_v2.CloudTasksClient, parent: str, stack: Stack
) -> None:
    name = f"{parent}/queues/by-{type(client.transport).__name__.lower()}"
    retry = tasks_v2.RetryConfig(max_attempts=3, max_retry_duration=Duration(seconds=60))
    made = client.create_queue(parent=parent, queue=tasks_v2.Queue(name=name, retry_config=retry))
    try:
        assert (made.state, made.retry_config.max_attempts) == (tasks_v2.Queue.State.RUNNING, 3)
        with pytest.raises(Conflict):
            client.create_queue(parent=parent, queue=tasks_v2.Queue(name=name))
        assert client.pause_queue(name=name).state == tasks_v2.Queue.State.PAUSED
        request = tasks_v2.HttpRequest(
            url=stack.status()["services"]["gcwebhook"] + "/health", http_method=tasks_v2.HttpMethod.GET
        )
        tasks = [
            client.create_task(parent=name, task=tasks_v2.Task(name=f"{name}/tasks/{i}", http_request=request))
            for i in range(3)
        ]
        assert sorted(task.name for task in client.list_tasks(parent=name)) == [task.name for task in tasks]
        with pytest.raises(Conflict):
            client.create_task(parent=name, task=tasks_v2.Task(name=tasks[0].name, http_request=request))
        assert client.run_task(name=tasks[0].name).name == tasks[0].name  # though the queue is paused
        until(lambda: len(list(client.list_tasks(parent=name))) == 2, 20)
        client.delete_task(name=tasks[1].name)
        with pytest.raises(NotFound):
            client.get_task(name=tasks[1].name)
        client.purge_queue(name=name)
        assert list(client.list_tasks(parent=name)) == []
        assert client.resume_queue(name=name).state == tasks_v2.Queue.State.RUNNING
    finally:
        client.delete_queue(name=name)
    assert name not in [queue.name for queue in client.list_queues(parent=parent)]


# gcloud, with the variables that `sluice env` prints


@pytest.fixture(scope="module")
def gcloud(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """Runs a command of `gcloud tasks`; its answer as JSON."""
    environment = {
        **os.environ,
        **stack.json("env"),
        "CLOUDSDK_CONFIG": str(tmp_path_factory.mktemp("gcloud")),
        "CLOUDSDK_CORE_DISABLE_USAGE_REPORTING": "1",
        "CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK": "1",
    }

    def run(*words: str) -> Any:
        done = subprocess.run(
            ["gcloud", "tasks", *words, "--format=json"],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=Path("/"),
        )
        assert done.returncode == 0, f"gcloud tasks {' '.join(words)}\n{done.stderr}"
        return json.loads(done.stdout or "null")

    return run


with_gcloud = [
    pytest.mark.gcloud,
    pytest.mark.skipif(shutil.which("gcloud") is None, reason="the gcloud command is not installed"),
]


def shown_by_gcloud(queue: dict[str, Any]) -> dict[str, Any]:
    limits, retry = queue["rateLimits"], queue["retryConfig"]
    return {
        "rate": limits["maxDispatchesPerSecond"],
        "concurrent": limits["maxConcurrentDispatches"],
        "attempts": retry["maxAttempts"],
        "age": seconds(retry.get("maxRetryDuration")),
        "min": seconds(retry["minBackoff"]),
        "max": seconds(retry["maxBackoff"]),
        "doublings": retry["maxDoublings"],
    }


class TestGcloud:
    """What a person types after `eval "$(./sluice env)"`: neither login nor location is asked for."""

    pytestmark = with_gcloud

    @pins(
        "cloud_tasks",
        "Tasks",
        "gcloud without --location asks App Engine for the application's region and gets the cloud's own",
        ours="gcloud 528",
    )
    def test_lists_and_describes_the_queues_of_the_yaml(self, gcloud: Callable[..., Any]) -> None:
        listed = {queue["name"].rpartition("/")[2]: queue for queue in gcloud("queues", "list")}
        assert {name: shown_by_gcloud(queue) for name, queue in listed.items()} == {
            name: settings_of(queue) for name, queue in SYSTEM.queues.items()
        }
        name = next(name for name, queue in SYSTEM.queues.items() if queue.token_window)
        assert gcloud("queues", "describe", name) == listed[name]

    def test_makes_pauses_fills_runs_purges_and_resumes_a_queue(
        self, gcloud: Callable[..., Any], stack: Stack, parent: str
    ) -> None:
        queue = "by-gcloud"
        gcloud("queues", "create", queue, "--max-attempts=3", "--max-retry-duration=60s", "--min-backoff=5s")
        try:
            shown = gcloud("queues", "describe", queue)
            retry = shown["retryConfig"]
            assert (shown["state"], retry["maxAttempts"], retry["maxRetryDuration"]) == ("RUNNING", 3, "60s")
            gcloud("queues", "pause", queue)
            assert gcloud("queues", "describe", queue)["state"] == "PAUSED"
            url = stack.status()["services"]["gcwebhook"] + "/health"
            for task in ("first", "second"):
                made = gcloud("create-http-task", task, f"--queue={queue}", f"--url={url}", "--method=GET")
                assert made["name"] == f"{parent}/queues/{queue}/tasks/{task}"
            assert len(gcloud("list", f"--queue={queue}")) == 2
            gcloud("run", "first", f"--queue={queue}")
            until(lambda: waiting(stack, parent, queue) == ["second"], 20)
            gcloud("queues", "purge", queue)
            assert gcloud("list", f"--queue={queue}") == []
            gcloud("queues", "resume", queue)
            assert gcloud("queues", "describe", queue)["state"] == "RUNNING"
        finally:
            gcloud("queues", "delete", queue)

    def test_holds_a_payment_back_by_a_pause_and_lets_it_go_on(self, gcloud: Callable[..., Any], stack: Stack) -> None:
        queue = "split-payment-queue"
        gcloud("queues", "pause", queue)
        try:
            (sent,) = stack.send(amount="0.01", count=1, wait=True)
            (task,) = gcloud("list", f"--queue={queue}")
            assert task["httpRequest"]["oidcToken"]["serviceAccountEmail"].startswith("split-payment-invoker@")
            gcloud("run", task["name"])
            stack.paid([sent["unique_id"]])
        finally:
            gcloud("queues", "resume", queue)


def waiting(stack: Stack, parent: str, queue: str) -> list[str]:
    listed = http("GET", f"{stack.rest}/v2/{parent}/queues/{queue}/tasks")[1].get("tasks", [])
    return [task["name"].rpartition("/")[2] for task in listed]
