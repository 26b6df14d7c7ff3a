"""Sinks and exclusions: where entries go, as whom they are written, and what is left out."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import pytest
from google.api_core import exceptions

from local_cloud.apis.logging import archive
from local_cloud.cloud import Cloud
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place, inside
from tests.local_cloud.logging_client import BUCKETS, NAME, Logs, logs
from tests.local_cloud.metrics_client import watching
from tests.local_cloud.run_client import http

TOPIC = f"{NAME}/topics/exported"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("log-sinks") / "state") as made:
        yield made


@pytest.fixture
def log(place: Place) -> Iterator[Logs]:
    with logs(place) as made:
        yield made


def sink(log: Logs, name: str, destination: str, *, unique: bool = True, **more: Any) -> Any:
    made = {"name": name, "destination": destination, **more}
    request = {"parent": NAME, "sink": made, "unique_writer_identity": unique}
    return log.config.create_sink(request=request)


def rest(place: Place, method: str, path: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    answer = http(f"{place.rest}{path}", method=method, body=data, headers={"content-type": "application/json"})
    assert answer.status == 200, answer.body
    return answer.json


@pins(
    "logging",
    "Sinks, buckets, views",
    "_Default and _Required exist, with Google's filters; audit logs go to _Required, all else to _Default",
    documented="Log buckets",
)
def test_every_project_has_two_sinks_and_two_buckets(log: Logs) -> None:
    sinks = {one.name: one for one in log.config.list_sinks(parent=NAME)}
    assert {"_Default", "_Required"} <= set(sinks)
    assert sinks["_Default"].destination == f"logging.googleapis.com/{BUCKETS}/_Default"
    assert sinks["_Default"].writer_identity == ""
    buckets = {one.name.rpartition("/")[2]: one for one in log.config.list_buckets(parent=f"{NAME}/locations/-")}
    assert (buckets["_Default"].retention_days, buckets["_Required"].retention_days) == (30, 400)
    assert buckets["_Required"].locked
    log.write({"text_payload": "audit"}, log_name=f"{NAME}/logs/cloudaudit.googleapis.com%2Factivity")
    log.write({"text_payload": "plain"})
    activity = "cloudaudit.googleapis.com/activity"
    assert log.texts(f"{BUCKETS}/_Required/views/_AllLogs", "", activity) == ["audit"]
    assert log.texts(f"{BUCKETS}/_Default/views/_AllLogs", "", activity) == []
    assert log.texts(f"{BUCKETS}/_Default/views/_Default", 'textPayload="plain"') == ["plain"]
    for change in ({"filter": "severity=ERROR"}, {"destination": f"logging.googleapis.com/{BUCKETS}/_Default"}):
        with pytest.raises(exceptions.InvalidArgument):
            log.config.update_sink(
                request={"sink_name": f"{NAME}/sinks/_Required", "sink": change, "update_mask": ",".join(change)}
            )
    for name in ("_Required", "_Default"):
        with pytest.raises(exceptions.InvalidArgument):
            log.config.delete_sink(sink_name=f"{NAME}/sinks/{name}")


@pins(
    "logging",
    "Sinks, buckets, views",
    "A sink to a log bucket takes what matches, less what its exclusions match; a disabled one takes nothing",
    documented="LogSink",
)
def test_sink_to_a_bucket_with_exclusions(log: Logs) -> None:
    log.bucket("routed")
    where = f"{BUCKETS}/routed/views/_AllLogs"
    exclusions = [{"name": "noise", "filter": 'textPayload:"noise"'}]
    made = sink(log, "routed", f"logging.googleapis.com/{BUCKETS}/routed", filter='textPayload:"r-"',
                exclusions=exclusions)  # fmt: skip
    assert made.writer_identity == ""
    assert made.exclusions[0].create_time
    log.write({"text_payload": "r-1"}, {"text_payload": "r-noise"}, {"text_payload": "else"})
    assert log.texts(where) == ["r-1"]
    assert set(log.texts(NAME, 'textPayload:"r-"')) == {"r-1", "r-noise"}, "the bucket _Default has them as well"
    mask = {"sink_name": f"{NAME}/sinks/routed", "sink": {"disabled": True}, "update_mask": "disabled"}
    log.config.update_sink(request=mask)
    log.write({"text_payload": "r-2"})
    assert log.texts(where) == ["r-1"]
    read = log.config.get_sink(sink_name=f"{NAME}/sinks/routed")
    assert (read.filter, read.disabled, read.exclusions[0].name) == ('textPayload:"r-"', True, "noise")


@pins(
    "logging",
    "Sinks, buckets, views",
    "Exclusions, of _Default under names of their own too: what they match is in no bucket and still counts",
    documented="ConfigServiceV2.CreateExclusion",
)
def test_what_is_excluded_from_default_is_not_listed(log: Logs) -> None:
    log.config.create_exclusion(parent=NAME, exclusion={"name": "debug", "filter": 'textPayload="hush"'})
    assert [one.name for one in log.config.list_exclusions(parent=NAME)] == ["debug"]
    assert [one.name for one in log.config.get_sink(sink_name=f"{NAME}/sinks/_Default").exclusions] == ["debug"]
    log.write({"text_payload": "hush"})
    assert log.texts(NAME, 'textPayload="hush"') == []
    name = f"{NAME}/exclusions/debug"
    changed = {"name": name, "exclusion": {"disabled": True}, "update_mask": "disabled"}
    assert log.config.update_exclusion(request=changed).filter == 'textPayload="hush"'
    log.write({"text_payload": "hush"})
    assert log.texts(NAME, 'textPayload="hush"') == ["hush"]
    with pytest.raises(exceptions.AlreadyExists):
        log.config.create_exclusion(parent=NAME, exclusion={"name": "debug", "filter": "severity=DEBUG"})
    log.config.delete_exclusion(name=name)
    with pytest.raises(exceptions.NotFound):
        log.config.get_exclusion(name=name)


@pins(
    "logging",
    "Sinks, buckets, views",
    "A sink to a Pub/Sub topic publishes each entry as JSON, as its writer identity may; a refusal is an entry of "
    "sink_error, once an hour, and counts in exports/error_count",
    documented="Route logs to Pub/Sub; Troubleshoot routing and sinks",
)
def test_sink_publishes_to_a_topic_as_its_writer(place: Place, log: Logs) -> None:
    rest(place, "PUT", f"/v1/{TOPIC}", {})
    subscription = f"{NAME}/subscriptions/exported"
    rest(place, "PUT", f"/v1/{subscription}", {"topic": TOPIC})
    made = sink(log, "exported", f"pubsub.googleapis.com/{TOPIC}", filter="jsonPayload.exported=true")
    assert made.writer_identity.endswith("@gcp-sa-logging.iam.gserviceaccount.com")
    log.write({"json_payload": {"exported": True}}, {"json_payload": {"exported": True}})
    text = 'labels.error_code="topic_permission_denied" labels.sink_id="exported"'
    [told] = log.texts(NAME, text, "logging.googleapis.com/sink_error")
    assert "sink exported: topic_permission_denied (Permission 'pubsub.topics.publish' denied" in told
    binding = {"role": "roles/pubsub.publisher", "members": [made.writer_identity]}
    rest(place, "POST", f"/v1/{TOPIC}:setIamPolicy", {"policy": {"bindings": [binding]}})
    log.write({"json_payload": {"exported": True, "n": 3}, "insert_id": "i3", "severity": "ERROR"})
    pulled = rest(place, "POST", f"/v1/{subscription}:pull", {"maxMessages": 10})["receivedMessages"]
    [sent] = [json.loads(message_bytes(one)) for one in pulled]
    assert (sent["insertId"], sent["severity"], sent["jsonPayload"]) == ("i3", "ERROR", {"exported": True, "n": 3})
    assert pulled[0]["message"]["attributes"] == {"logging.googleapis.com/timestamp": sent["timestamp"]}
    log.advance(60)
    with watching(place) as watcher:
        exports = "logging.googleapis.com/exports"
        more = 'AND resource.labels.name="exported"'
        assert watcher.total(f"{exports}/error_count", more) == {(): 2}
        assert watcher.total(f"{exports}/log_entry_count", more) == {(): 1}
    rest(place, "DELETE", f"/v1/{TOPIC}")
    log.advance(3600)
    log.write({"json_payload": {"exported": True}})
    assert len(log.texts(NAME, 'labels.error_code="topic_not_found"', "logging.googleapis.com/sink_error")) == 1
    log.config.delete_sink(sink_name=f"{NAME}/sinks/exported")


@pins(
    "logging",
    "Sinks, buckets, views",
    "A sink to a Storage bucket writes the entries of each hour at its end, an object a log, as its writer may",
    documented="View logs routed to Cloud Storage",
)
def test_sink_writes_objects_at_the_end_of_the_hour(tmp_path: Path) -> None:
    with inside(tmp_path / "state") as place, logs(place) as log:
        rest(place, "POST", f"/storage/v1/b?project={PROJECT}", {"name": "archived-logs"})
        made = sink(log, "archive", "storage.googleapis.com/archived-logs", filter='textPayload:"a-"')
        log.write({"text_payload": "a-refused"})
        log.advance(3600)
        error = "logging.googleapis.com/sink_error"
        assert len(log.texts(NAME, 'labels.error_code="bucket_permission_denied"', error)) == 1
        policy = {"bindings": [{"role": "roles/storage.objectCreator", "members": [made.writer_identity]}]}
        rest(place, "PUT", "/storage/v1/b/archived-logs/iam", policy)
        log.write({"text_payload": "a-1"}, {"text_payload": "else"})
    with inside(tmp_path / "state") as place, logs(place) as log:  # what waits survives a restart
        log.write({"text_payload": "a-2"}, log_name=f"{NAME}/logs/own%2Flog")
        log.advance(3600)
        names = [one["name"] for one in rest(place, "GET", "/storage/v1/b/archived-logs/o")["items"]]
        assert [re.sub(r"\d+", "0", name) for name in names] == [
            "own/log/0/0/0/0:0:0_0:0:0_S0.json",
            "test-log/0/0/0/0:0:0_0:0:0_S0.json",
        ]
        [entry] = [json.loads(line) for line in media(place, "archived-logs", names[1]).splitlines()]
        assert entry["textPayload"] == "a-1"


def archiving(place: Place, log: Logs) -> None:
    """A bucket, and a sink that may write to it."""
    rest(place, "POST", f"/storage/v1/b?project={PROJECT}", {"name": "hours"})
    made = sink(log, "hours", "storage.googleapis.com/hours", filter='textPayload:"a-"')
    policy = {"bindings": [{"role": "roles/storage.objectCreator", "members": [made.writer_identity]}]}
    rest(place, "PUT", "/storage/v1/b/hours/iam", policy)
    log.write(*({"text_payload": f"a-{number}"} for number in range(4)))


def archived(place: Place) -> list[str]:
    """The texts of all entries that are in objects, in order."""
    names = [one["name"] for one in rest(place, "GET", "/storage/v1/b/hours/o").get("items", [])]
    lines = [line for name in names for line in media(place, "hours", name).splitlines()]
    return sorted(json.loads(line)["textPayload"] for line in lines)


@pins(
    "logging",
    "Sinks, buckets, views",
    "A line that a kill has torn is missing from the object of its hour, and no other is; the file of an hour goes "
    "when its objects are on disk, and one that a kill left is taken up at the start, once",
    ours=True,
)
def test_torn_line_and_kill_cost_no_other_entry(tmp_path: Path) -> None:
    folder = tmp_path / "state" / "logs" / "archive"
    with inside(tmp_path / "state") as place, logs(place) as log:
        archiving(place, log)
    [waiting] = folder.iterdir()
    waiting.write_bytes(waiting.read_bytes()[:-20])
    with inside(tmp_path / "state") as place, logs(place) as log:
        log.write({"text_payload": "a-4"})
        log.advance(3600)
        assert archived(place) == ["a-0", "a-1", "a-2", "a-4"]
        assert list(folder.iterdir()) == []
        log.write({"text_payload": "a-5"})
    [waiting] = folder.iterdir()
    waiting.rename(folder / "hours.0.aside")
    with inside(tmp_path / "state") as place, logs(place) as log:
        log.write({"text_payload": "a-6"})
        log.advance(2)
        assert archived(place)[-1] == "a-5"
        log.advance(3600)
        assert archived(place)[-2:] == ["a-5", "a-6"]


def test_hours_are_read_beside_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bool] = []

    def loads(line: bytes) -> Any:
        parsed.append(threading.current_thread() is loop)
        return json.loads(line)

    with inside(tmp_path / "state") as place, logs(place) as log:
        loop = place.do(_thread)
        archiving(place, log)
        known = SimpleNamespace(loads=loads, JSONDecodeError=json.JSONDecodeError)
        monkeypatch.setattr(archive, "orjson", known)
        log.advance(3600)
        assert archived(place) == ["a-0", "a-1", "a-2", "a-3"]
    assert parsed == [False] * 4


async def _thread(_: Cloud) -> threading.Thread:
    return threading.current_thread()


def media(place: Place, bucket: str, name: str) -> bytes:
    answer = http(f"{place.rest}/storage/v1/b/{bucket}/o/{quote(name, safe='')}?alt=media")
    assert answer.status == 200
    return bytes(answer.body)


def message_bytes(received: dict[str, Any]) -> bytes:
    import base64

    return base64.b64decode(received["message"]["data"])


@pins(
    "logging",
    "Sinks, buckets, views",
    "A sink whose filter matches everything, refusals included, tells of its failure once and does not feed itself",
    ours=True,
)
def test_sink_that_may_not_write_does_not_feed_itself(place: Place, log: Logs) -> None:
    rest(place, "PUT", f"/v1/{NAME}/topics/closed", {})
    sink(log, "everything", f"pubsub.googleapis.com/{NAME}/topics/closed")
    log.write({"text_payload": "x"})
    log.advance(1)
    log.write({"text_payload": "y"})
    assert len(log.texts(NAME, 'labels.sink_id="everything"', "logging.googleapis.com/sink_error")) == 1
    log.config.delete_sink(sink_name=f"{NAME}/sinks/everything")


@pins(
    "logging",
    "Sinks, buckets, views",
    "Sinks to BigQuery and other projects' buckets are kept and read back, and write nothing",
    ours=True,
)
def test_other_destinations_are_kept_field_for_field(log: Logs) -> None:
    destination = "bigquery.googleapis.com/projects/p/datasets/d"
    made = sink(log, "table", destination, unique=False, description="d", include_children=True,
                bigquery_options={"use_partitioned_tables": True})  # fmt: skip
    assert made.writer_identity == "serviceAccount:cloud-logs@system.gserviceaccount.com"
    assert made.bigquery_options.uses_timestamp_column_partitioning
    request = {"sink_name": f"{NAME}/sinks/table", "sink": {"filter": "severity=ERROR", "destination": destination},
               "unique_writer_identity": True}  # fmt: skip
    changed = log.config.update_sink(request=request)  # without a mask: destination, filter and include_children
    assert (changed.filter, changed.description, changed.include_children) == ("severity=ERROR", "d", False)
    assert changed.writer_identity.endswith("@gcp-sa-logging.iam.gserviceaccount.com")
    log.config.delete_sink(sink_name=f"{NAME}/sinks/table")
    for call in (log.config.get_sink, log.config.delete_sink):
        with pytest.raises(exceptions.NotFound):
            call(sink_name=f"{NAME}/sinks/table")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "a b"}, "Invalid sink name"),
        ({"name": "_mine"}, "Invalid sink name"),
        ({"destination": "https://example.com"}, "not supported"),
        ({"destination": "pubsub.googleapis.com/exported"}, "not valid"),
        ({"filter": "severity>="}, "Unparseable filter"),
        ({"exclusions": [{"name": "x"}]}, "must be specified"),
        ({"exclusions": [{"name": "x", "filter": "a"}, {"name": "x", "filter": "b"}]}, "must differ"),
    ],
)
def test_wrong_sink_is_refused(log: Logs, change: dict[str, Any], said: str) -> None:
    made = {"name": "wrong", "destination": "storage.googleapis.com/bucket", **change}
    with pytest.raises(exceptions.InvalidArgument, match=said):
        log.config.create_sink(parent=NAME, sink=made)
    assert "wrong" not in [one.name for one in log.config.list_sinks(parent=NAME)]


@pins(
    "logging",
    "Sinks, buckets, views",
    "The REST calls of the gcp provider for a sink: create with uniqueWriterIdentity, read, patch by mask, delete",
    documented="projects.sinks",
)
def test_provider_calls_of_a_sink(place: Place) -> None:
    body = {
        "name": "alerts",
        "destination": f"pubsub.googleapis.com/projects/{PROJECT}/topics/t",
        "filter": "severity>=ERROR",
        "disabled": False,
        "exclusions": [{"name": "e", "description": "d", "filter": "trace:*", "disabled": True}],
    }
    made = rest(place, "POST", f"/v2/{NAME}/sinks?uniqueWriterIdentity=true", body)
    assert rest(place, "GET", f"/v2/{NAME}/sinks/alerts") == made
    assert {key: made[key] for key in ("name", "destination", "filter")} == {
        key: body[key] for key in ("name", "destination", "filter")
    }
    changed = {"filter": "severity>=CRITICAL", "exclusions": []}
    path = f"/v2/{NAME}/sinks/alerts?updateMask=filter,exclusions&uniqueWriterIdentity=true"
    after = rest(place, "PATCH", path, changed)
    assert after["filter"] == "severity>=CRITICAL"
    assert "exclusions" not in after
    assert after["writerIdentity"] == made["writerIdentity"]
    rest(place, "DELETE", f"/v2/{NAME}/sinks/alerts")
    assert http(f"{place.rest}/v2/{NAME}/sinks/alerts").status == 404


def test_settings_are_kept(log: Logs) -> None:
    read = log.config.get_settings(request={"name": NAME})
    assert read.name == f"{NAME}/settings"
    changed = {
        "name": NAME,
        "settings": {"storage_location": "europe-west1"},
        "update_mask": {"paths": ["storage_location"]},
    }
    log.config.update_settings(request=changed)
    read = log.config.get_settings(request={"name": NAME})
    assert (read.storage_location, read.kms_service_account_id.startswith("cmek-p")) == ("europe-west1", True)
