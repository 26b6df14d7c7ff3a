"""`gcloud tasks` against the local cloud, without a login: what a person types."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.fidelity import pins
from tests.local_cloud import gcloud as real
from tests.local_cloud.cloud_places import LOCATION, PARENT, PROJECT, Place
from tests.local_cloud.cloud_tasks.tasks_target import Target, account, idle
from tests.local_cloud.gcloud import Gcloud

pytestmark = real.needed


@pytest.fixture(scope="module")
def session(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with real.session(place.rest, tmp_path_factory.mktemp("gcloud")) as made:
        yield made


class Tasks:
    """`gcloud tasks` in the home location."""

    def __init__(self, session: Gcloud) -> None:
        self._session = session

    def __call__(self, *words: str) -> Any:
        """What a command prints, as JSON."""
        return self._session.json("tasks", *words, f"--location={LOCATION}", "--quiet")

    def refused(self, *words: str) -> str:
        """What a command says that must not end well."""
        return self._session.refused("tasks", *words, f"--location={LOCATION}", "--quiet")


@pytest.fixture
def gcloud(session: Gcloud) -> Tasks:
    return Tasks(session)


def test_queues_and_tasks_from_the_command_line(gcloud: Tasks) -> None:
    gcloud(
        *("queues", "create", "hostpay-execution-queue", "--max-dispatches-per-second=50"),
        *("--max-concurrent-dispatches=20", "--max-attempts=3", "--min-backoff=5s", "--max-backoff=15s"),
        *("--max-doublings=2", "--max-retry-duration=60s"),
    )
    shown = gcloud("queues", "describe", "hostpay-execution-queue")
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
    gcloud("queues", "update", "hostpay-execution-queue", "--max-attempts=4")
    listed = gcloud("queues", "list")
    assert [(queue["name"].rpartition("/")[2], queue["retryConfig"]["maxAttempts"]) for queue in listed] == [
        ("hostpay-execution-queue", 4)
    ]
    gcloud("queues", "pause", "hostpay-execution-queue")
    assert gcloud("queues", "describe", "hostpay-execution-queue")["state"] == "PAUSED"
    made = gcloud(
        *("create-http-task", "first", "--queue=hostpay-execution-queue", "--url=http://127.0.0.1:9/"),
        *("--method=POST", "--header=Content-Type: application/json", "--body-content={}"),
    )
    assert made["name"].endswith("/tasks/first")
    tasks = gcloud("list", "--queue=hostpay-execution-queue")
    assert [task["httpRequest"]["url"] for task in tasks] == ["http://127.0.0.1:9/"]
    ran = gcloud("run", "first", "--queue=hostpay-execution-queue")
    assert ran is None or ran["dispatchCount"] == 1
    gcloud("queues", "purge", "hostpay-execution-queue")
    assert gcloud("list", "--queue=hostpay-execution-queue") == []
    gcloud("queues", "resume", "hostpay-execution-queue")
    assert gcloud("queues", "describe", "hostpay-execution-queue")["state"] == "RUNNING"
    gcloud("queues", "delete", "hostpay-execution-queue")
    assert gcloud("queues", "list") == []


@pins(
    "cloud_tasks",
    "Queues",
    "gcloud tasks queues update changes and clears rates, retries, logging, routing and http overrides",
    documented="gcloud tasks queues update",
)
def test_flags_of_a_queue_are_set_and_cleared(place: Place, gcloud: Tasks) -> None:
    email = account(place, "queue-invoker")
    gcloud(
        *("queues", "create", "flags", "--log-sampling-ratio=0.5", "--max-attempts=3", "--max-doublings=2"),
        *("--http-uri-override=scheme:http,host:h.example,port:8080,path:/in,query:a=b,mode:IF_NOT_EXISTS",),
        *("--http-method-override=PUT", "--http-header-override=X-Over: 1"),
        *(f"--http-oidc-service-account-email-override={email}", "--http-oidc-token-audience-override=https://aud"),
    )
    shown = gcloud("queues", "describe", "flags")
    target = shown["httpTarget"]
    assert target["uriOverride"] == {
        "scheme": "HTTP",
        "host": "h.example",
        "port": "8080",
        "pathOverride": {"path": "/in"},
        "queryOverride": {"queryParams": "a=b"},
        "uriOverrideEnforceMode": "IF_NOT_EXISTS",
    }
    assert target["httpMethod"] == "PUT"
    assert target["headerOverrides"] == [{"header": {"key": "X-Over", "value": "1"}}]
    assert target["oidcToken"] == {"serviceAccountEmail": email, "audience": "https://aud"}
    assert shown["stackdriverLoggingConfig"] == {"samplingRatio": 0.5}
    cleared = gcloud(
        *("queues", "update", "flags", "--clear-max-attempts", "--clear-max-doublings", "--clear-log-sampling-ratio"),
        *("--clear-http-uri-override", "--clear-http-method-override", "--clear-http-header-override"),
        *("--clear-http-oidc-service-account-email-override", "--clear-http-oidc-token-audience-override"),
    )
    assert (cleared["retryConfig"]["maxAttempts"], cleared["retryConfig"]["maxDoublings"]) == (100, 16)
    assert "httpTarget" not in cleared
    assert "stackdriverLoggingConfig" not in cleared
    routed = gcloud("queues", "update", "flags", "--routing-override=service:worker,version:v1")
    assert routed["appEngineRoutingOverride"] == {
        "service": "worker",
        "version": "v1",
        "host": f"v1.worker.{PROJECT}.uc.r.appspot.com",
    }
    assert "appEngineRoutingOverride" not in gcloud("queues", "update", "flags", "--clear-routing-override")


def test_tasks_are_made_shown_run_buffered_and_deleted(place: Place, gcloud: Tasks, target: Target) -> None:
    gcloud("queues", "create", "work")
    gcloud("queues", "pause", "work")
    made = gcloud(
        *("create-app-engine-task", "engine", "--queue=work", "--relative-uri=/x?y=z", "--method=POST"),
        *("--header=Content-Type: text/plain", "--body-content=hello", "--routing=service:worker"),
    )
    assert made["appEngineHttpRequest"]["relativeUri"] == "/x?y=z"
    assert made["appEngineHttpRequest"]["appEngineRouting"]["host"] == f"worker.{PROJECT}.uc.r.appspot.com"
    gcloud("create-http-task", "plain", "--queue=work", f"--url={target.url}/plain", "--body-content=hi")
    shown = gcloud("describe", "plain", "--queue=work", "--response-view=full")
    assert (shown["view"], shown["httpRequest"]["body"]) == ("FULL", "aGk=")
    listed = {task["name"].rpartition("/")[2] for task in gcloud("list", "--queue=work")}
    assert listed == {"engine", "plain"}
    gcloud("run", "plain", "--queue=work")
    assert target.wait(1)[0][2] == b"hi"
    gcloud("delete", "engine", "--queue=work")
    idle(place)
    assert gcloud("list", "--queue=work") == []
    assert "no longer exists, though a task with this name existed recently" in gcloud.refused(
        "describe", "engine", "--queue=work"
    )
    host, _, port = target.url.removeprefix("http://").partition(":")
    gcloud("queues", "update", "work", f"--http-uri-override=scheme:http,host:{host},port:{port},path:/in")
    gcloud("queues", "resume", "work")
    gcloud("buffer", "--queue=work", "--task-id=buffered")
    assert (target.wait(2)[1][0], target.seen[1][1]["X-CloudTasks-TaskName"]) == ("/in", "buffered")


def test_policies_of_a_queue(gcloud: Tasks) -> None:
    gcloud("queues", "create", "guarded")
    bind = ("guarded", "--member=allUsers", "--role=roles/cloudtasks.enqueuer")
    policy = gcloud("queues", "add-iam-policy-binding", *bind)
    assert policy["bindings"] == [{"members": ["allUsers"], "role": "roles/cloudtasks.enqueuer"}]
    assert gcloud("queues", "get-iam-policy", "guarded") == policy
    assert "bindings" not in gcloud("queues", "remove-iam-policy-binding", *bind)


def test_a_key_of_a_location(gcloud: Tasks) -> None:
    key = f"projects/{PROJECT}/locations/{LOCATION}/keyRings/ring/cryptoKeys/key"
    assert gcloud("cmek-config", "update", f"--kms-key-name={key}")["kmsKey"] == key
    assert gcloud("cmek-config", "describe") == {"kmsKey": key, "name": f"{PARENT}/cmekConfig"}
    assert "kmsKey" not in gcloud("cmek-config", "update", "--clear-kms-key")


def test_what_is_refused_says_why(gcloud: Tasks) -> None:
    gcloud("queues", "create", "twice")
    assert "Queue already exists" in gcloud.refused("queues", "create", "twice")
    assert "must be less than or equal to 500" in gcloud.refused(
        "queues", "update", "twice", "--max-dispatches-per-second=501"
    )
    gcloud("queues", "delete", "twice")
    assert "existed too recently" in gcloud.refused("queues", "create", "twice")
    assert "Queue does not exist" in gcloud.refused("queues", "describe", "twice")
