"""Cloud Scheduler through Google's own client: its targets, its law of executions, and what a kill leaves."""

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import scheduler_v1
from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcTransport

from local_cloud.running import Running
from local_cloud.settings import Settings
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, PROJECT, Place, inside, process
from tests.local_cloud.cloud_tasks.tasks_target import listening
from tests.local_cloud.run_client import http
from tests.local_cloud.test_scheduler import Target

TOPIC = f"projects/{PROJECT}/topics/ticks"
DAILY = "0 0 * * *"


@contextmanager
def scheduler(place: Place) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        yield scheduler_v1.CloudSchedulerClient(transport=CloudSchedulerGrpcTransport(channel=channel))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("scheduler") / "state") as made:
        yield made


@pytest.fixture
def client(place: Place) -> Iterator[Any]:
    with scheduler(place) as made:
        yield made
        for job in made.list_jobs(parent=PARENT):
            made.delete_job(name=job.name)


@pytest.fixture
def target() -> Iterator[Target]:
    made = Target()
    yield made
    made.server.shutdown()
    made.server.server_close()


def rest(place: Place, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    answer = http(f"{place.rest}{path}", method=method, body=data, headers={"content-type": "application/json"})
    assert answer.status == 200, answer.body
    return answer.json


def executions(place: Place, job: str) -> list[dict[str, Any]]:
    text = f'log_id("cloudscheduler.googleapis.com/executions") resource.labels.job_id="{job}"'
    body = {"resourceNames": [f"projects/{PROJECT}"], "filter": text}
    found: list[dict[str, Any]] = rest(place, "POST", "/v2/entries:list", body).get("entries", [])
    return found


def create(client: Any, job: str, **fields: Any) -> Any:
    return client.create_job(parent=PARENT, job={"name": f"{PARENT}/jobs/{job}", "schedule": DAILY, **fields})


def run(place: Place, client: Any, job: str) -> None:
    client.run_job(name=f"{PARENT}/jobs/{job}")
    rest(place, "POST", "/_sluice/idle", {"timeout": 10})


@pins(
    "scheduler",
    "Jobs",
    "Pub/Sub targets: data and attributes published, by the service agent's own role to every topic of the project; a "
    "topic that is not there is a failed attempt; the executions log with targetType PUB_SUB",
    documented="PubsubTarget; Cloud Scheduler roles",
)
def test_job_publishes_to_its_topic(place: Place, client: Any) -> None:
    rest(place, "PUT", f"/v1/{TOPIC}", {})
    subscription = f"projects/{PROJECT}/subscriptions/ticks"
    rest(place, "PUT", f"/v1/{subscription}", {"topic": TOPIC})
    made = create(client, "publishes", pubsub_target={"topic_name": TOPIC, "data": b"tick", "attributes": {"k": "v"}})
    assert made.pubsub_target.topic_name == TOPIC
    assert not scheduler_v1.Job.pb(made).HasField("attempt_deadline")
    run(place, client, "publishes")
    [pulled] = rest(place, "POST", f"/v1/{subscription}:pull", {"maxMessages": 5})["receivedMessages"]
    assert (base64.b64decode(pulled["message"]["data"]), pulled["message"]["attributes"]) == (b"tick", {"k": "v"})
    started, finished = executions(place, "publishes")
    assert started["jsonPayload"]["@type"].endswith("AttemptStarted")
    assert finished["jsonPayload"] == {
        "@type": "type.googleapis.com/google.cloud.scheduler.logging.AttemptFinished",
        "jobName": f"{PARENT}/jobs/publishes",
        "targetType": "PUB_SUB",
        "pubsubTopic": TOPIC,
    }
    assert client.get_job(name=made.name).status.code == 0
    create(client, "nowhere", pubsub_target={"topic_name": f"{TOPIC}-gone", "data": b"x"})
    run(place, client, "nowhere")
    assert client.get_job(name=f"{PARENT}/jobs/nowhere").status.code == 5
    failed = executions(place, "nowhere")[-1]
    assert (failed["severity"], failed["jsonPayload"]["status"]) == ("ERROR", "NOT_FOUND")


@pins(
    "scheduler",
    "Jobs",
    "A refusal by the target (403) is a failed attempt with its status and debugInfo in the executions log",
    documented="Cloud Scheduler logging",
)
def test_refusal_is_logged(place: Place, client: Any, target: Target) -> None:
    create(client, "refused", http_target={"uri": target.url})
    target.status = 403
    run(place, client, "refused")
    failed = executions(place, "refused")[-1]
    assert failed["httpRequest"]["status"] == 403
    assert failed["jsonPayload"]["status"] == "PERMISSION_DENIED"
    assert failed["jsonPayload"]["debugInfo"] == (
        "URL_ERROR-ERROR_AUTHENTICATION. Original HTTP response code number = 403"
    )
    target.status = 500
    run(place, client, "refused")
    failed = executions(place, "refused")[-1]
    assert failed["jsonPayload"]["debugInfo"].startswith("URL_UNREACHABLE-UNREACHABLE_5xx. Original HTTP response")


@pins(
    "scheduler",
    "Jobs",
    "Headers of the platform's own are not the job's to set; a body without a type is application/octet-stream",
    documented="HttpTarget.headers",
)
def test_headers_of_the_platform_win(place: Place, client: Any, target: Target) -> None:
    headers = {"X-CloudScheduler-JobName": "mine", "User-Agent": "mine", "X-Google-Own": "1", "X-Own": "1"}
    create(client, "headers", http_target={"uri": target.url, "headers": headers, "body": b"{}"})
    run(place, client, "headers")
    [seen] = target.seen
    assert (seen["x-cloudscheduler-jobname"], seen["user-agent"], seen["x-own"]) == (
        "headers", "Google-Cloud-Scheduler", "1")  # fmt: skip
    assert seen["content-type"] == "application/octet-stream"
    assert "x-google-own" not in seen


@pins(
    "scheduler",
    "Jobs",
    "App Engine targets go where --app-engine-host says, with App Engine's User-Agent; without one an attempt fails "
    "with the reason",
    documented="AppEngineHttpTarget",
    ours=True,
)
async def test_app_engine_target_goes_where_the_host_says(tmp_path: Path, target: Target) -> None:
    settings = Settings(state=tmp_path / "state", app_engine_host=f"{target.url}/{{service}}")
    async with Running(settings) as running, _async_client(running.cloud.ports) as client:
        wanted = {"relative_uri": "/cron?x=1", "app_engine_routing": {"service": "worker"}, "body": b"hi"}
        job = {"name": f"{PARENT}/jobs/app", "schedule": DAILY, "app_engine_http_target": wanted}
        made = await client.create_job(parent=PARENT, job=job)
        assert made.app_engine_http_target.app_engine_routing.host.startswith("worker.")
        assert made.app_engine_http_target.headers["User-Agent"].startswith("AppEngine-Google")
        await client.run_job(name=made.name)
        assert await running.cloud.clock.settle()
    [seen] = target.seen
    assert (seen["path"], seen["body"], seen["x-cloudscheduler"]) == ("/worker/cron?x=1", "hi", "true")
    async with Running(Settings(state=tmp_path / "state")) as running, _async_client(running.cloud.ports) as client:
        await client.run_job(name=made.name)
        assert await running.cloud.clock.settle()
        assert (await client.get_job(name=made.name)).status.code == 14


def _async_client(ports: dict[str, int]) -> Any:
    from contextlib import asynccontextmanager

    from google.cloud.scheduler_v1.services.cloud_scheduler.transports import CloudSchedulerGrpcAsyncIOTransport

    @asynccontextmanager
    async def made() -> Any:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{ports['grpc']}") as channel:
            transport = CloudSchedulerGrpcAsyncIOTransport(channel=channel)
            yield scheduler_v1.CloudSchedulerAsyncClient(transport=transport)

    return made()


@pins(
    "scheduler",
    "Jobs",
    "A firing that is due while the execution before it still runs is delayed until that one ends",
    documented="Job.schedule",
)
def test_firing_waits_for_the_execution_before_it(place: Place, client: Any) -> None:
    from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

    gate, seen = threading.Semaphore(0), []

    class Slow(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            seen.append(self.headers["X-CloudScheduler-ScheduleTime"])
            gate.acquire(timeout=20)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    job = create(client, "slow", schedule="* * * * *", http_target={"uri": f"http://127.0.0.1:{server.server_port}"})
    client.update_job(job={"name": job.name, "attempt_deadline": {"seconds": 1800}}, update_mask={"paths": [
        "attempt_deadline"]})  # fmt: skip
    # The first is under way; three more fall due meanwhile: the clock goes on without waiting for it.
    place.do(lambda cloud: cloud.clock.advance(61, wait=0.05))
    place.do(lambda cloud: cloud.clock.advance(180, wait=0.05))
    assert len(seen) == 1
    client.pause_job(name=job.name)
    client.resume_job(name=job.name)
    place.do(lambda cloud: cloud.clock.advance(60, wait=0.05))
    assert len(seen) == 1
    for _ in range(2):
        gate.release()
    rest(place, "POST", "/_sluice/idle", {"timeout": 10})
    assert len(seen) == 2, "one is made up, whatever fell due"
    assert seen[1] > seen[0]
    client.delete_job(name=job.name)
    server.shutdown()
    server.server_close()


@pins(
    "scheduler",
    "Jobs",
    "A firing that waits for the execution before it survives a restart and kill -9: both are made after it",
    ours=True,
)
@pytest.mark.parametrize("killed", [True, False])
def test_firing_that_waits_survives_kill(tmp_path: Path, *, killed: bool) -> None:
    gate = threading.Event()
    with listening(gate.wait) as held:
        with process(tmp_path / "state") as place, scheduler(place) as client:
            until = 3600 - datetime.now(UTC).timestamp() % 3600
            rest(place, "POST", "/_sluice/clock:advance", {"seconds": until + 60})
            job = {"schedule": "10,20 * * * *", "attempt_deadline": {"seconds": 1800}}
            create(client, "waits", http_target={"uri": held.url}, **job)
            rest(place, "POST", "/_sluice/clock:advance", {"seconds": 1200, "wait": 0.05})
            assert len(held.wait(1)) == 1
            if killed:
                place.kill()
        gate.set()
        with process(tmp_path / "state") as place:
            rest(place, "POST", "/_sluice/clock:advance", {"seconds": 1})
            times = [headers["X-CloudScheduler-ScheduleTime"][14:19] for _, headers, _ in held.seen]
            assert times == ["10:00", "10:00", "20:00"]


@pins(
    "scheduler",
    "Jobs",
    "Retries that are pending, and attempts under way, survive a restart and kill -9",
    ours=True,
)
def test_pending_retry_survives_kill(tmp_path: Path, target: Target) -> None:
    target.status = 503
    retries = {"retry_count": 3, "min_backoff_duration": {"seconds": 3000}, "max_backoff_duration": {"seconds": 3000}}
    with process(tmp_path / "state") as place, scheduler(place) as client:
        until = 86400 - datetime.now(UTC).timestamp() % 86400
        rest(place, "POST", "/_sluice/clock:advance", {"seconds": until + 60})  # the daily firing is far away
        create(client, "kept", http_target={"uri": target.url}, retry_config=retries)
        run(place, client, "kept")
        assert client.get_job(name=f"{PARENT}/jobs/kept").status.code == 14
        place.kill()
    assert len(target.seen) == 1
    target.status = 200
    with process(tmp_path / "state") as place:
        rest(place, "POST", "/_sluice/clock:advance", {"seconds": 3001})
        assert len(target.seen) == 2
        rest(place, "POST", "/_sluice/clock:advance", {"seconds": 9000})
        assert len(target.seen) == 2, "it succeeded"


@pins(
    "scheduler",
    "Jobs",
    "retry_count 0 to 5 with max_retry_duration: retried until both are used up; pausing, changing or deleting the job "
    "ends its retries",
    documented="RetryConfig",
    ours=True,
)
def test_retries_stop_when_both_limits_are_used_up(place: Place, client: Any, target: Target) -> None:
    target.status = 500
    away_from_midnight(place)
    retries = {"retry_count": 1, "max_retry_duration": {"seconds": 25}, "min_backoff_duration": {"seconds": 10},
               "max_backoff_duration": {"seconds": 10}}  # fmt: skip
    create(client, "both", http_target={"uri": target.url}, retry_config=retries)
    run(place, client, "both")
    place.do(lambda cloud: cloud.clock.advance(300))
    assert len(target.seen) == 4, "at 0, 10, 20 and 30 s: the two attempts are used up before the 25 s"
    run(place, client, "both")
    client.pause_job(name=f"{PARENT}/jobs/both")
    place.do(lambda cloud: cloud.clock.advance(300))
    assert len(target.seen) == 5


def away_from_midnight(place: Place) -> None:
    """Daily jobs must not fire by themselves in a test of their retries."""
    left = 86400 - place.do(_now) % 86400
    if left < 3600:
        place.do(lambda cloud: cloud.clock.advance(left + 60))


async def _now(cloud: Any) -> float:
    return float(cloud.now())


@pins(
    "scheduler",
    "Jobs",
    "UpdateJob changes what the mask names, another target among it, and leaves name and state; lists in pages",
    documented="CloudScheduler.UpdateJob",
)
def test_job_is_updated_by_its_mask_and_listed_in_pages(client: Any, target: Target) -> None:
    made = create(client, "a", http_target={"uri": target.url}, description="d")
    for name in ("b", "c"):
        create(client, name, http_target={"uri": target.url})
    client.pause_job(name=made.name)
    wanted = {"name": made.name, "pubsub_target": {"topic_name": TOPIC, "data": b"x"}, "state": "ENABLED"}
    changed = client.update_job(job=wanted, update_mask={"paths": ["pubsub_target"]})
    assert scheduler_v1.Job.pb(changed).WhichOneof("target") == "pubsub_target"
    assert (changed.description, changed.state, changed.schedule) == ("d", scheduler_v1.Job.State.PAUSED, DAILY)
    pages = client.list_jobs(request={"parent": PARENT, "page_size": 2}).pages
    assert [[job.name.rpartition("/")[2] for job in page.jobs] for page in pages] == [["a", "b"], ["c"]]
    with pytest.raises(exceptions.NotFound):
        client.update_job(job={"name": f"{PARENT}/jobs/none", "schedule": DAILY})


@pins(
    "scheduler",
    "Jobs",
    "A job's time zone follows summer time on the moved clock",
    documented="Cron job time zones",
)
async def test_summer_time_moves_the_firing(tmp_path: Path) -> None:
    async with Running(Settings(state=tmp_path / "state")) as running, _async_client(running.cloud.ports) as client:
        job = {"name": f"{PARENT}/jobs/dst", "schedule": "0 9 * * *", "time_zone": "America/New_York"}
        made = await client.create_job(parent=PARENT, job={**job, "pubsub_target": {"topic_name": TOPIC, "data": b"x"}})
        hours = set()
        for _ in range(13):
            hours.add((await client.get_job(name=made.name)).schedule_time.hour)
            await running.cloud.clock.advance(30 * 86400)
        assert hours == {13, 14}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "must have a target"),
        ({"pubsub_target": {"topic_name": "ticks", "data": b"x"}}, "projects/P/topics/T"),
        ({"pubsub_target": {"topic_name": TOPIC}}, "at least one attribute"),
        ({"http_target": {"uri": "http://h/a b"}}, "absolute"),
        ({"http_target": {"uri": "http://h/", "http_method": "GET", "body": b"x"}}, "POST, PUT or PATCH"),
        ({"http_target": {"uri": "http://h/", "headers": {"X": "a\r\nY: b"}}}, "one line"),
        ({"app_engine_http_target": {"relative_uri": "cron"}}, "begin with '/'"),
        ({"http_target": {"uri": "http://h/"}, "description": "d" * 501}, "500"),
    ],
)
def test_wrong_target_is_refused(client: Any, fields: dict[str, Any], said: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=said):
        create(client, "wrong", **fields)
    with pytest.raises(exceptions.NotFound):
        client.get_job(name=f"{PARENT}/jobs/wrong")
