"""gcloud, unmodified, against a cloud in this process: logging and scheduler, with the commands of seeds/003."""

import shlex
from collections.abc import Iterator

import pytest

from tests.fidelity import pins
from tests.local_cloud import gcloud as real
from tests.local_cloud.cloud_places import PROJECT, Place, inside
from tests.local_cloud.gcloud import Gcloud
from tests.local_cloud.logging_client import logs
from tests.local_cloud.metrics_client import watching

pytestmark = real.needed

#: As seeds/003 writes them, "Monitoring Enhancements".
SEEDS = (
    'gcloud logging metrics create paynow_queue_published --description="Events published to PayNow queue" '
    """--log-filter='jsonPayload.component="paynow_webhook" AND jsonPayload.status="queued"'""",
    'gcloud logging metrics create paynow_worker_processed --description="Events successfully processed by worker" '
    """--log-filter='jsonPayload.component="paynow_worker" AND jsonPayload.message="Worker processed event """
    """successfully"'""",
)
WHERE = "--location=us-central1"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("gcloud-logging") / "state") as made:
        yield made


@pytest.fixture(scope="module")
def gcloud(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with real.session(place.rest, tmp_path_factory.mktemp("gcloud")) as made:
        yield made


def do(gcloud: Gcloud, command: str) -> str:
    return gcloud.ok(*shlex.split(command)).out


@pins(
    "logging",
    "Entries",
    "gcloud logging: write, read, logs, metrics, sinks, buckets, views, settings, resource-descriptors",
    observed="gcloud 528",
)
def test_entries_are_written_read_and_deleted(gcloud: Gcloud) -> None:
    do(gcloud, "logging write my-log 'A simple entry' --severity=ERROR")
    do(gcloud, """logging write my-log '{"message": "structured", "n": 3}' --payload-type=json""")
    assert [e["jsonPayload"]["n"] for e in gcloud.json("logging", "read", "logName:my-log jsonPayload.n>2")] == [3]
    read = gcloud.json("logging", "read", "logName:my-log", "--order=asc", "--freshness=1h")
    assert [e.get("textPayload") for e in read] == ["A simple entry", None]
    of_view = ("--bucket=_Default", "--location=global", "--view=_AllLogs", "--limit=1")
    assert len(gcloud.json("logging", "read", "severity>=ERROR", *of_view)) == 1
    assert "Field not found: 'severty'" in gcloud.refused("logging", "read", "severty=ERROR")
    assert f"projects/{PROJECT}/logs/my-log" in do(gcloud, "logging logs list")
    do(gcloud, "logging logs delete my-log --quiet")
    assert gcloud.json("logging", "read", "logName:my-log") == []


def test_metrics_of_the_documents_count(gcloud: Gcloud, place: Place) -> None:
    for command in SEEDS:
        do(gcloud, command.removeprefix("gcloud "))
    with logs(place) as log, watching(place) as watcher:
        log.write({"json_payload": {"component": "paynow_webhook", "status": "queued"}}, {"text_payload": "else"})
        log.write({"json_payload": {"component": "paynow_worker", "message": "Worker processed event successfully"}})
        log.advance(60)
        for name in ("paynow_queue_published", "paynow_worker_processed"):
            assert watcher.total(f"logging.googleapis.com/user/{name}") == {(): 1}
    do(gcloud, "logging metrics update paynow_queue_published --description=other")
    read = gcloud.json("logging", "metrics", "describe", "paynow_queue_published")
    assert (read["description"], read["metricDescriptor"]["valueType"]) == ("other", "INT64")
    assert len(gcloud.json("logging", "metrics", "list")) == 2
    do(gcloud, "logging metrics delete paynow_queue_published --quiet")
    assert "NOT_FOUND" in gcloud.refused("logging", "metrics", "describe", "paynow_queue_published")


def test_sinks_buckets_and_views(gcloud: Gcloud) -> None:
    topic = f"pubsub.googleapis.com/projects/{PROJECT}/topics/t"
    made = gcloud.ok("logging", "sinks", "create", "my-sink", topic, "--log-filter=severity>=ERROR")
    assert "gcp-sa-logging.iam.gserviceaccount.com` the Pub/Sub Publisher role" in made.err
    do(
        gcloud,
        "logging sinks update my-sink --log-filter='severity>=CRITICAL' --add-exclusion=name=e1,filter='trace:*'",
    )
    read = gcloud.json("logging", "sinks", "describe", "my-sink")
    assert (read["filter"], read["exclusions"][0]["name"]) == ("severity>=CRITICAL", "e1")
    assert {sink["name"] for sink in gcloud.json("logging", "sinks", "list")} == {"_Default", "_Required", "my-sink"}
    do(gcloud, "logging sinks delete my-sink --quiet")
    do(gcloud, "logging buckets create my-bucket --location=global --retention-days=7")
    do(gcloud, "logging buckets update my-bucket --location=global --retention-days=8")
    do(gcloud, "logging buckets update my-bucket --location=global --enable-analytics --async")
    read = gcloud.json("logging", "buckets", "describe", "my-bucket", "--location=global")
    assert (read["retentionDays"], read["analyticsEnabled"]) == (8, True)
    of = "--bucket=my-bucket --location=global"
    do(gcloud, f"""logging views create my-view {of} --log-filter='resource.type="global"'""")
    do(gcloud, f"logging views add-iam-policy-binding my-view {of} --member=user:a@example.com "
               "--role=roles/logging.viewAccessor")  # fmt: skip
    assert len(gcloud.json("logging", "views", "list", *shlex.split(of))) == 2
    do(gcloud, "logging buckets delete my-bucket --location=global --quiet")
    do(gcloud, "logging buckets undelete my-bucket --location=global --quiet")
    assert "global" in do(gcloud, "logging resource-descriptors list")
    assert "cmek-p" in do(gcloud, f"logging settings describe --project={PROJECT}")


@pins(
    "scheduler",
    "Jobs",
    "gcloud scheduler jobs: create http, pubsub and app-engine, update, describe, list, pause, resume, run, delete",
    observed="gcloud 528",
)
def test_jobs(gcloud: Gcloud) -> None:
    jobs = "scheduler jobs"
    do(gcloud, f"{jobs} create http my-job {WHERE} --schedule='*/5 * * * *' --uri=http://127.0.0.1:9/ "
               "--message-body=hi --headers=X-A=b --max-retry-attempts=2 --min-backoff=5s")  # fmt: skip
    do(gcloud, f"{jobs} create pubsub my-pub {WHERE} --schedule='0 * * * *' --topic=t --message-body=tick "
               "--attributes=a=b --time-zone=Europe/Berlin")  # fmt: skip
    do(gcloud, f"{jobs} create app-engine my-ae {WHERE} --schedule='0 * * * *' --relative-url=/cron --service=worker")
    do(gcloud, f"{jobs} update http my-job {WHERE} --schedule='*/10 * * * *' --update-headers=X-C=d")
    do(gcloud, f"{jobs} update pubsub my-pub {WHERE} --message-body=tock")
    read = gcloud.json("scheduler", "jobs", "describe", "my-job", WHERE)
    assert (read["schedule"], read["retryConfig"]["retryCount"]) == ("*/10 * * * *", 2)
    assert read["httpTarget"]["headers"]["X-C"] == "d"
    read = gcloud.json("scheduler", "jobs", "describe", "my-pub", WHERE)
    assert read["pubsubTarget"] == {
        "topicName": f"projects/{PROJECT}/topics/t", "data": "dG9jaw==", "attributes": {"a": "b"}}  # fmt: skip
    for verb, state in (("pause", "PAUSED"), ("resume", "ENABLED")):
        do(gcloud, f"{jobs} {verb} my-job {WHERE}")
        assert gcloud.json("scheduler", "jobs", "describe", "my-job", WHERE)["state"] == state
    do(gcloud, f"{jobs} run my-pub {WHERE}")
    assert len(gcloud.json("scheduler", "jobs", "list", WHERE)) == 3
    for name in ("my-job", "my-pub", "my-ae"):
        do(gcloud, f"{jobs} delete {name} {WHERE} --quiet")
    assert gcloud.json("scheduler", "jobs", "list", WHERE) == []
