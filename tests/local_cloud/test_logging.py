"""Cloud Logging through Google's own client: written, found, tailed, kept."""

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
from google.cloud.logging_v2.services.metrics_service_v2 import MetricsServiceV2Client
from google.cloud.logging_v2.services.metrics_service_v2.transports import MetricsServiceV2GrpcTransport

from local_cloud.logs.entries import Entries
from local_cloud.logs.query import parse
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
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    order = [3, 1, 4, 0, 2, 6, 5]
    write(client, *({"text_payload": str(n), "timestamp": start + datetime.timedelta(seconds=n)} for n in order))
    assert [e.text_payload for e in find(client, page_size=3)] == [str(n) for n in range(7)]
    newest = find(client, page_size=2, order_by="timestamp desc")
    assert [e.text_payload for e in newest] == [str(n) for n in reversed(range(7))]
    window = 'timestamp>="2026-01-01T00:00:02Z" timestamp<"2026-01-01T00:00:04Z"'
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
    "All entries of a write are checked before any is kept; partial_success is passed over",
    ours=True,
)
def test_one_wrong_entry_keeps_the_others_out(client: Any) -> None:
    wrong = {"text_payload": "x", "log_name": "projects/another/logs/x"}
    with pytest.raises(exceptions.GoogleAPICallError):
        write(client, {"text_payload": "good"}, wrong, partial_success=True)
    assert find(client) == []


@pins(
    "logging",
    "Entries",
    "TailLogEntries without a buffer window",
    documented="LoggingServiceV2",
    ours=True,
)
def test_tail_gives_entries_as_they_are_written(client: Any) -> None:
    stop = threading.Event()

    def requests() -> Iterator[dict[str, Any]]:
        yield {"resource_names": [PARENT], "filter": "severity>=WARNING"}
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


def test_deleted_log_is_empty(client: Any) -> None:
    write(client, {"text_payload": "gone"})
    client.delete_log(log_name=LOG)
    assert find(client) == []


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
    "Log-based metrics are checked and kept, not computed",
    ours="MetricsServiceV2",
)
def test_metrics_are_kept(place: Place) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        client: Any = MetricsServiceV2Client(transport=MetricsServiceV2GrpcTransport(channel=channel))
        made = {"name": "dead", "filter": "severity>=ERROR"}
        client.create_log_metric(parent=PARENT, metric=made)
        with pytest.raises(exceptions.AlreadyExists):
            client.create_log_metric(parent=PARENT, metric=made)
        name = f"{PARENT}/metrics/dead"
        client.update_log_metric(metric_name=name, metric={**made, "description": "d"})
        assert client.get_log_metric(metric_name=name).description == "d"
        assert [m.name for m in client.list_log_metrics(parent=PARENT)] == ["dead"]
        distribution = {"name": "d", "filter": "a=1", "metric_descriptor": {"value_type": "DISTRIBUTION"}}
        with pytest.raises(exceptions.InvalidArgument, match="extractor"):
            client.create_log_metric(parent=PARENT, metric=distribution)
        client.delete_log_metric(metric_name=name)
        with pytest.raises(exceptions.NotFound):
            client.get_log_metric(metric_name=name)


@pins(
    "logging",
    "Entries",
    "The last 50,000 entries can be listed (Google: 30 days)",
    ours=True,
)
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
