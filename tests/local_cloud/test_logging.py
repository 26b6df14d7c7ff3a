"""Cloud Logging through Google's own client: written, found, tailed, kept."""

import asyncio
import datetime
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud.logging_v2.services.logging_service_v2 import LoggingServiceV2Client
from google.cloud.logging_v2.services.logging_service_v2.transports import LoggingServiceV2GrpcTransport
from google.cloud.logging_v2.types import WriteLogEntriesPartialErrors

from local_cloud.clock import Clock
from local_cloud.logs import entries as kept
from local_cloud.logs.entries import Entries, Scope
from local_cloud.logs.query import parse
from local_cloud.logs.tails import Tail
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place, inside

PARENT = f"projects/{PROJECT}"
LOG = f"{PARENT}/logs/test-log"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with inside(tmp_path / "state") as made:
        yield made


@pytest.fixture
def client(place: Place) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        yield LoggingServiceV2Client(transport=LoggingServiceV2GrpcTransport(channel=channel))


def write(client: Any, *entries: dict[str, Any], **defaults: Any) -> None:
    request = {"log_name": LOG, "resource": {"type": "global"}, "entries": list(entries), **defaults}
    client.write_log_entries(request=request)


def find(client: Any, text: str = "", **more: Any) -> list[Any]:
    own = f'log_id("test-log") {text}'
    return list(client.list_log_entries(request={"resource_names": [PARENT], "filter": own, **more}))


@pins(
    "logging",
    "Entries",
    "WriteLogEntries with defaults of the request, dry_run; 256 KiB an entry",
    documented="LoggingServiceV2",
)
def test_written_entries_are_found_by_a_filter(client: Any) -> None:
    write(
        client,
        {"text_payload": "hello", "severity": "INFO"},
        {"json_payload": {"unique_id": "U1", "amount": 3}, "severity": "ERROR", "labels": {"own": "1"}},
        labels={"own": "default", "shared": "yes"},
    )
    [entry] = find(client, 'severity>=ERROR jsonPayload.unique_id="U1"')
    assert dict(entry.labels) == {"own": "1", "shared": "yes"}
    assert entry.json_payload["amount"] == 3
    assert entry.log_name == LOG
    assert entry.insert_id
    assert entry.timestamp == entry.receive_timestamp
    assert [e.text_payload for e in find(client, "hello")] == ["hello"]
    assert LOG in list(client.list_logs(parent=PARENT))


@pins(
    "logging",
    "Entries",
    "ListLogEntries by filter, order and page; ListLogs, DeleteLog",
    documented="LoggingServiceV2",
)
def test_pages_follow_the_time_in_both_orders(client: Any) -> None:
    start = datetime.datetime.now(datetime.UTC).replace(microsecond=0) - datetime.timedelta(hours=1)
    order = [3, 1, 4, 0, 2, 6, 5]
    write(client, *({"text_payload": str(n), "timestamp": start + datetime.timedelta(seconds=n)} for n in order))
    assert [e.text_payload for e in find(client, page_size=3)] == [str(n) for n in range(7)]
    newest = find(client, page_size=2, order_by="timestamp desc")
    assert [e.text_payload for e in newest] == [str(n) for n in reversed(range(7))]
    since, until = (start + datetime.timedelta(seconds=n) for n in (2, 4))
    window = f'timestamp>="{since.isoformat()}" timestamp<"{until.isoformat()}"'
    assert [e.text_payload for e in find(client, window)] == ["2", "3"]


def test_wrong_requests_are_refused_and_nothing_is_written(client: Any) -> None:
    for defaults in ({"log_name": ""}, {"log_name": f"{PARENT}/logs/a b"}, {"resource": None}):
        with pytest.raises(exceptions.GoogleAPICallError):
            write(client, {"text_payload": "no"}, **defaults)
    with pytest.raises(exceptions.InvalidArgument, match="exceeds"):
        write(client, {"text_payload": "x" * 300_000})
    write(client, {"text_payload": "dry"}, dry_run=True)
    with pytest.raises(exceptions.InvalidArgument, match="Unparseable filter"):
        find(client, "severity>=")
    with pytest.raises(exceptions.InvalidArgument, match="order_by"):
        find(client, order_by="severity")
    with pytest.raises(exceptions.InvalidArgument, match="page_token"):
        find(client, page_token="rubbish")
    assert find(client) == []


@pins(
    "logging",
    "Entries",
    "One wrong entry keeps all out; with partial_success the others are written and WriteLogEntriesPartialErrors names "
    "the wrong ones by index",
    documented="WriteLogEntriesRequest.partial_success",
)
def test_one_wrong_entry_keeps_the_others_out_unless_asked_otherwise(client: Any) -> None:
    wrong = {"text_payload": "x", "log_name": "projects/another/logs/x"}
    large = {"text_payload": "x" * 300_000}
    with pytest.raises(exceptions.PermissionDenied):
        write(client, {"text_payload": "good"}, wrong)
    assert find(client) == []
    with pytest.raises(exceptions.PermissionDenied) as refused:
        write(client, wrong, {"text_payload": "good"}, large, partial_success=True)
    details = WriteLogEntriesPartialErrors.pb()()
    assert [packed.Unpack(details) for packed in refused.value.details] == [True]
    assert {index: error.code for index, error in details.log_entry_errors.items()} == {0: 7, 2: 3}
    assert [e.text_payload for e in find(client)] == ["good"]


@pins(
    "logging",
    "Entries",
    "Entries of one timestamp and insertId are listed once, however often they were written",
    documented="LogEntry.insert_id",
)
def test_an_entry_sent_twice_is_listed_once(client: Any) -> None:
    now = datetime.datetime.now(datetime.UTC)
    for _ in range(3):
        write(client, {"text_payload": "once", "insert_id": "i", "timestamp": now})
    write(client, {"text_payload": "other", "insert_id": "j", "timestamp": now})
    for size in (1, 50):
        assert [e.text_payload for e in find(client, page_size=size)] == ["once", "other"]
        again = find(client, page_size=size, order_by="timestamp desc")
        assert [e.text_payload for e in again] == ["other", "once"]


@pins(
    "logging",
    "Entries",
    "At most 64 labels; longer keys and values are cut; project_id of the resource is filled in",
    documented="Logging's quotas",
    ours=True,
)
def test_labels_have_limits(client: Any) -> None:
    with pytest.raises(exceptions.InvalidArgument, match="64"):
        write(client, {"text_payload": "x", "labels": {f"l{n}": "v" for n in range(65)}})
    write(client, {"text_payload": "x", "labels": {"k" * 600: "v" * 70_000}})
    [entry] = find(client)
    assert {len(key): len(value) for key, value in entry.labels.items()} == {512: 65_536}
    assert dict(entry.resource.labels) == {"project_id": PROJECT}


@pins(
    "logging",
    "Entries",
    "Entries older than their bucket's retention, or dated more than 24 hours ahead, are not listed",
    documented="WriteLogEntriesRequest.entries",
)
def test_entries_of_another_time_are_not_listed(place: Place, client: Any) -> None:
    now = datetime.datetime.now(datetime.UTC)
    for text, days in (("old", -31), ("recent", -29), ("soon", 0.9), ("far", 1.1)):
        write(client, {"text_payload": text, "timestamp": now + datetime.timedelta(days=days)})
    assert [e.text_payload for e in find(client)] == ["recent", "soon"]
    place.do(lambda cloud: cloud.clock.advance(2 * 86400))
    assert [e.text_payload for e in find(client)] == ["soon"]
    place.do(lambda cloud: cloud.clock.advance(40 * 86400))
    assert find(client) == []
    assert LOG not in list(client.list_logs(parent=PARENT))


def test_proto_payloads_are_kept(client: Any) -> None:
    from google.protobuf.any_pb2 import Any as Packed
    from google.protobuf.duration_pb2 import Duration

    known, unknown = Packed(), Packed(type_url="type.googleapis.com/made.Up", value=b"x")
    known.Pack(Duration(seconds=3))
    write(client, {"proto_payload": known}, {"proto_payload": unknown})
    [entry] = find(client, 'protoPayload.value="3s"')
    assert entry.proto_payload.value == known.value
    assert len(find(client, 'protoPayload.@type:"made.Up"')) == 1


def test_monitored_resources_are_described(client: Any) -> None:
    found = {one.type: one for one in client.list_monitored_resource_descriptors(request={"page_size": 5})}
    assert {"cloud_run_revision", "cloud_tasks_queue", "cloud_scheduler_job", "global"} <= set(found)
    assert "job_id" in {label.key for label in found["cloud_scheduler_job"].labels}


@pins(
    "logging",
    "Entries",
    "TailLogEntries: entries held back for the buffer window (2 s by default, at most 60 s) come in order of their "
    "times; what is too much is left out and counted",
    documented="TailLogEntriesRequest, SuppressionInfo",
)
def test_tail_gives_entries_as_they_are_written(client: Any) -> None:
    stop = threading.Event()

    def requests() -> Iterator[dict[str, Any]]:
        yield {"resource_names": [PARENT], "filter": "severity>=WARNING", "buffer_window": {"seconds": 0}}
        stop.wait(30)

    found: list[str] = []

    def read() -> None:
        answers = client.tail_log_entries(requests=requests(), timeout=20)
        found.append(next(iter(answers)).entries[0].text_payload)
        answers.cancel()

    reader = threading.Thread(target=read)
    reader.start()
    while reader.is_alive():
        write(client, {"text_payload": "quiet", "severity": "INFO"}, {"text_payload": "loud", "severity": "ERROR"})
        reader.join(0.05)
    stop.set()
    assert found == ["loud"]


async def test_what_is_held_back_comes_in_order_and_what_is_too_much_is_counted(tmp_path: Path) -> None:
    clock = Clock(tmp_path / "clock")
    entries = Entries(tmp_path, "p", clock.now)
    tail = Tail(clock, parse("severity>=INFO"), [Scope()], 5.0)
    batches: Any = tail.batches(entries)
    first = asyncio.ensure_future(anext(batches))
    await asyncio.sleep(0)
    today = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d}"
    for text, second in (("b", 2), ("a", 1), ("c", 3)):
        time = f"{today}T00:00:0{second}Z"
        entries.write({"logName": "l", "severity": "INFO", "textPayload": text, "timestamp": time})
    entries.write({"logName": "l", "textPayload": "quiet"})
    assert not first.done()
    await clock.advance(6)
    batch, left_out = await first
    assert [entry["textPayload"] for entry in batch] == ["a", "b", "c"]
    assert left_out == {}
    for number in range(10_002):
        entries.write({"logName": "l", "severity": "INFO", "insertId": str(number)})
    await clock.advance(6)
    batch, left_out = await anext(batches)
    assert (len(batch), left_out) == (1000, {"NOT_CONSUMED": 2})
    await batches.aclose()
    assert (entries.watchers, entries.sessions) == ([], 0)
    entries.close()
    clock.close()


def test_deleted_log_is_empty(client: Any) -> None:
    write(client, {"text_payload": "gone"})
    client.delete_log(log_name=LOG)
    assert find(client) == []
    with pytest.raises(exceptions.NotFound):
        client.delete_log(log_name=LOG)
    write(client, {"text_payload": "back"})
    assert [e.text_payload for e in find(client)] == ["back"]


@pins(
    "logging",
    "Entries",
    "The cloud's own events, refusals of IAM among them, are entries of the log `local-cloud`",
    ours=True,
)
def test_refusals_of_iam_are_entries_too(place: Place, client: Any) -> None:
    from tests.local_cloud.run_client import http

    url = f"http://127.0.0.1:{place.ports['service_rest']}/v2/projects/{PROJECT}/metrics"
    http(f"{place.rest}/v1/{PARENT}/serviceAccounts", method="POST", body=b'{"accountId": "nobody-special"}')
    email = f"nobody-special@{PROJECT}.iam.gserviceaccount.com"
    mint = f"{place.rest}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    minted = http(mint, method="POST", body=b'{"scope": ["https://www.googleapis.com/auth/cloud-platform"]}')
    assert http(url, headers={"Authorization": f"Bearer {minted.json['accessToken']}"}).status == 403
    request = {"resource_names": [PARENT], "filter": 'log_id("local-cloud") jsonPayload.permission:logMetrics'}
    [entry] = client.list_log_entries(request=request)
    assert entry.json_payload["fix"]["fix_role"].startswith("roles/logging.")


@pins(
    "logging",
    "Entries",
    "The last 50,000 entries can be listed, of them the last 32 to 64 MiB, before a restart as after it (Google: as "
    "long as their buckets say)",
    ours=True,
)
async def test_what_is_listed_is_what_the_files_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "FILE_BYTES", 10_000)
    entries = Entries(tmp_path, "p", lambda: 1_700_000_000.0)
    for number in range(57):
        entries.write({"logName": "l", "textPayload": "x" * 1000, "insertId": f"{number:03}"})
        entries.flush()
        if number == 20:
            assert entries.delete("projects/p/logs/l")
    listed, _ = await entries.find(parse(""), page_size=100)
    entries.close()
    with (tmp_path / "entries.jsonl").open("ab") as file:
        file.write(b'{"logName": "projects/p/logs/l", "timest')  # killed while writing
    again = Entries(tmp_path, "p", lambda: 1_700_000_001.0)
    assert await again.find(parse(""), page_size=100) == (listed, "")
    again.write({"logName": "l", "textPayload": "after", "insertId": "999"})
    again.close()
    last = Entries(tmp_path, "p", lambda: 1_700_000_001.0)
    found, _ = await last.find(parse(""), page_size=100)
    last.close()
    assert listed[-1]["insertId"] == "056"
    assert 10_000 < sum(len(entry["textPayload"]) for entry in listed) < 20_000
    assert found[-1]["textPayload"] == "after", "the torn line has taken nothing with it"


async def test_entries_survive_a_restart_and_the_oldest_are_dropped(tmp_path: Path) -> None:
    entries = Entries(tmp_path, "p", lambda: 1_700_000_000.0, kept=10)
    for number in range(25):
        entries.write({"logName": "l", "textPayload": str(number), "insertId": f"{number:03}"})
    entries.flush()
    with (tmp_path / "entries.jsonl").open("ab") as file:
        file.write(b'{"logName": "projects/p/logs/l", "timest')  # killed while writing
    again = Entries(tmp_path, "p", lambda: 1_700_000_001.0, kept=10)
    found, token = await again.find(parse(""), page_size=100)
    assert [e["textPayload"] for e in found] == [str(n) for n in range(16, 25)] or len(found) == 10
    assert token == ""
    entries.close()
    again.close()
