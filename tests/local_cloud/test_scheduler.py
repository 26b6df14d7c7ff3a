"""Cloud Scheduler over REST, as the provider calls it, with the clock moved instead of waited for."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, Place, inside
from tests.local_cloud.run_client import Answer, http


class Target:
    """A receiver that notes what comes and answers as told."""

    def __init__(self) -> None:
        self.seen: list[dict[str, str]] = []
        self.status = 200
        target = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers.get("content-length", 0))
                body = self.rfile.read(length).decode()
                target.seen.append({**{k.lower(): v for k, v in self.headers.items()}, "body": body, "path": self.path})
                self.send_response(target.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with inside(tmp_path / "state") as made:
        yield made


def call(place: Place, method: str, path: str, body: Any = None) -> Answer:
    data = None if body is None else json.dumps(body).encode()
    return http(f"{place.rest}{path}", method=method, body=data, headers={"content-type": "application/json"})


def job(target: Target, **more: Any) -> dict[str, Any]:
    body = {"schedule": "* * * * *", "timeZone": "Etc/UTC", "httpTarget": {"uri": f"{target.url}/sweep"}}
    return {"name": f"{PARENT}/jobs/sweep", **body, **more}


def advance(place: Place, seconds: float) -> Any:
    answer = call(place, "POST", "/_sluice/clock:advance", {"seconds": seconds})
    assert answer.status == 200, answer.body
    return answer.json


@pins(
    "scheduler",
    "Jobs",
    "Jobs fire by the moved clock",
    ours=True,
)
@pins(
    "scheduler",
    "Jobs",
    "HTTP targets with OIDC and OAuth tokens, the X-CloudScheduler headers",
    documented="HttpTarget",
)
def test_job_fires_each_minute_of_the_moved_clock_with_its_headers_and_token(place: Place, target: Target) -> None:
    call(place, "POST", f"/v1/projects/{PROJECT}/serviceAccounts", {"accountId": "sweep-invoker"})
    email = f"sweep-invoker@{PROJECT}.iam.gserviceaccount.com"
    http_target = {
        "uri": f"{target.url}/sweep",
        "httpMethod": "POST",
        "headers": {"X-Own": "1"},
        "body": "aGk=",
        "oidcToken": {"serviceAccountEmail": email, "audience": "https://aud"},
    }
    made = call(place, "POST", f"/v1/{PARENT}/jobs", job(target, httpTarget=http_target))
    assert made.status == 200, made.body
    assert made.json["state"] == "ENABLED"
    assert made.json["attemptDeadline"] == "180s"
    advance(place, 180)
    assert len(target.seen) == 3
    seen = target.seen[0]
    assert (seen["path"], seen["body"], seen["x-own"]) == ("/sweep", "hi", "1")
    assert (seen["x-cloudscheduler"], seen["x-cloudscheduler-jobname"]) == ("true", "sweep")
    assert seen["x-cloudscheduler-scheduletime"].endswith(":00.000000Z")
    assert seen["user-agent"] == "Google-Cloud-Scheduler"
    assert seen["authorization"].startswith("Bearer ey")
    read = call(place, "GET", f"/v1/{PARENT}/jobs/sweep").json
    assert read["lastAttemptTime"]
    assert read["scheduleTime"] > read["lastAttemptTime"]


@pins(
    "scheduler",
    "Jobs",
    "Resuming a job that is not paused is harmless",
    observed="the provider's calls",
)
def test_paused_job_fires_only_when_run(place: Place, target: Target) -> None:
    call(place, "POST", f"/v1/{PARENT}/jobs", job(target))
    assert call(place, "POST", f"/v1/{PARENT}/jobs/sweep:resume").json["state"] == "ENABLED"
    assert call(place, "POST", f"/v1/{PARENT}/jobs/sweep:pause").json["state"] == "PAUSED"
    advance(place, 300)
    assert target.seen == []
    assert call(place, "POST", f"/v1/{PARENT}/jobs/sweep:run").status == 200
    assert call(place, "POST", "/_sluice/idle", {"timeout": 10}).json["idle"] is True
    assert len(target.seen) == 1
    call(place, "POST", f"/v1/{PARENT}/jobs/sweep:resume")
    advance(place, 60)
    assert len(target.seen) == 2


@pins(
    "scheduler",
    "Jobs",
    "Only 2xx is success; retry_config with Google's defaults; the status and the executions log",
    documented="RetryConfig",
)
def test_failed_attempt_is_retried_by_the_jobs_own_backoff_and_recorded(place: Place, target: Target) -> None:
    target.status = 500
    retries = {"retryCount": 2, "minBackoffDuration": "10s", "maxBackoffDuration": "60s"}
    call(place, "POST", f"/v1/{PARENT}/jobs", job(target, schedule="0 0 * * *", retryConfig=retries))
    advance(place, 86400 + 5)
    read = call(place, "GET", f"/v1/{PARENT}/jobs/sweep").json
    assert read["status"]["code"] == 13
    advance(place, 600)
    assert len(target.seen) in (3, 6), "two firings may lie in a day and a bit"
    body = {"resourceNames": [f"projects/{PROJECT}"], "filter": 'resource.type="cloud_scheduler_job" severity=ERROR'}
    entries = call(place, "POST", "/v2/entries:list", body).json["entries"]
    assert entries[0]["jsonPayload"]["status"] == "INTERNAL"
    assert entries[0]["httpRequest"]["status"] == 500
    target.status = 200
    call(place, "POST", f"/v1/{PARENT}/jobs/sweep:run")
    call(place, "POST", "/_sluice/idle", {"timeout": 10})
    assert call(place, "GET", f"/v1/{PARENT}/jobs/sweep").json.get("status", {}) == {}


@pins(
    "scheduler",
    "Jobs",
    "A job made without retries reads back without them; a part of them is completed by Google's defaults",
    observed="the provider's acceptance tests and second up",
)
def test_retries_are_completed_where_they_are_given_and_absent_where_not(place: Place, target: Target) -> None:
    made = call(place, "POST", f"/v1/{PARENT}/jobs", job(target, schedule="0 0 * * *"))
    assert "retryConfig" not in made.json
    assert "retryConfig" not in call(place, "GET", f"/v1/{PARENT}/jobs/sweep").json
    given = job(target, retryConfig={"retryCount": 3})
    given.pop("name")
    given = call(place, "PATCH", f"/v1/{PARENT}/jobs/sweep?updateMask=retryConfig", given).json["retryConfig"]
    assert given == {
        "retryCount": 3,
        "maxRetryDuration": "0s",
        "minBackoffDuration": "5s",
        "maxBackoffDuration": "3600s",
        "maxDoublings": 5,
    }


@pins(
    "scheduler",
    "Jobs",
    "Create, get, list, update, delete, pause, resume and run jobs",
    documented="CloudScheduler",
)
def test_job_is_changed_listed_and_deleted(place: Place, target: Target) -> None:
    call(place, "POST", f"/v1/{PARENT}/jobs", job(target))
    assert call(place, "POST", f"/v1/{PARENT}/jobs", job(target)).status == 409
    body = job(target, schedule="*/2 * * * *")
    del body["name"]
    assert call(place, "PATCH", f"/v1/{PARENT}/jobs/sweep", body).json["schedule"] == "*/2 * * * *"
    masked = call(place, "PATCH", f"/v1/{PARENT}/jobs/sweep?updateMask=description", {"description": "d"}).json
    assert (masked["description"], masked["schedule"]) == ("d", "*/2 * * * *")
    assert [j["name"] for j in call(place, "GET", f"/v1/{PARENT}/jobs").json["jobs"]] == [f"{PARENT}/jobs/sweep"]
    assert call(place, "DELETE", f"/v1/{PARENT}/jobs/sweep").json == {}
    assert call(place, "GET", f"/v1/{PARENT}/jobs/sweep").status == 404
    advance(place, 300)
    assert target.seen == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schedule": "61 * * * *"}, "Schedule or time zone is invalid"),
        ({"timeZone": "Mars/Base"}, "Schedule or time zone is invalid"),
        ({"httpTarget": {"uri": "nowhere"}}, "absolute"),
        ({"attemptDeadline": "5s"}, "between 15s and 1800s"),
        ({"retryConfig": {"retryCount": 6}}, "between 0 and 5"),
        ({"name": f"{PARENT}/jobs/a b"}, "must be formatted"),
    ],
)
def test_wrong_job_is_refused(place: Place, target: Target, change: dict[str, Any], said: str) -> None:
    refused = call(place, "POST", f"/v1/{PARENT}/jobs", job(target, **change))
    assert refused.status == 400
    assert said in refused.json["error"]["message"]


@pins(
    "scheduler",
    "Jobs",
    "A firing missed while the cloud was down is made up once",
    ours=True,
)
def test_jobs_survive_a_restart(tmp_path: Path, target: Target) -> None:
    with inside(tmp_path / "kept") as place:
        call(place, "POST", f"/v1/{PARENT}/jobs", job(target))
    with inside(tmp_path / "kept") as place:
        advance(place, 60)
        assert len(target.seen) >= 1


@pins(
    "scheduler",
    "Jobs",
    "The next firing takes over from pending retries",
    documented="RetryConfig",
    ours=True,
)
def test_next_firing_takes_over_from_pending_retries(place: Place, target: Target) -> None:
    target.status = 500
    retries = {"retryCount": 5, "minBackoffDuration": "40s", "maxBackoffDuration": "40s"}
    call(place, "POST", f"/v1/{PARENT}/jobs", job(target, schedule="*/2 * * * *", retryConfig=retries))
    advance(place, 120)  # to the first firing, or up to two minutes past it
    advance(place, 600)
    times = {seen["x-cloudscheduler-scheduletime"] for seen in target.seen}
    counts = [sum(seen["x-cloudscheduler-scheduletime"] == time for seen in target.seen) for time in sorted(times)]
    assert len(times) >= 5
    assert max(counts) <= 3  # at 0, 40 and 80 s; the retry at 120 s gives way
