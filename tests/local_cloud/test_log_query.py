"""The query language of Logging, as its documentation describes it."""

import pytest

from local_cloud.logs.query import QueryError, parse
from tests.fidelity import pins

ENTRY = {
    "logName": "projects/p/logs/run.googleapis.com%2Fstdout",
    "timestamp": "2026-11-22T10:00:00.5Z",
    "severity": "WARNING",
    "resource": {"type": "cloud_run_revision", "labels": {"service_name": "gcsplit"}},
    "labels": {"k8s/name": "x"},
    "jsonPayload": {
        "unique_id": "U1",
        "attempt": 3,
        "ok": True,
        "message": "Token expired",
        "list": [{"a": 1}, {"a": 2}],
    },
    "httpRequest": {"status": 503, "latency": "0.250s", "requestUrl": "http://h/x"},
}


@pins(
    "logging",
    "Entries",
    "Query language: comparisons, NOT, OR before AND, juxtaposition, lists, `:*`, regular "
    "expressions, bare words, log_id, SEARCH",
    documented="Logging query language",
)
@pytest.mark.parametrize(
    "query",
    [
        "",
        'resource.type="cloud_run_revision"',
        "resource.type=cloud_run_revision AND resource.labels.service_name=gcsplit",
        'resource.labels.service_name="gcsplit"\nseverity>=WARNING',
        "severity=(ERROR OR WARNING)",
        "severity>DEFAULT severity<=ERROR",
        'jsonPayload.unique_id="u1"',
        "jsonPayload.attempt>=3 jsonPayload.attempt<10",
        "jsonPayload.ok=true",
        'jsonPayload.message:"EXPIRED"',
        'jsonPayload.message=~"^Token .*d$"',
        'jsonPayload.message!~"nothing"',
        "jsonPayload.list.a=2",
        "jsonPayload.attempt:*",
        "NOT jsonPayload.missing:*",
        "-jsonPayload.missing=1",
        'labels."k8s/name"="x"',
        'timestamp>="2026-11-22T10:00:00Z" timestamp<"2026-11-22T11:00:00+00:00"',
        'timestamp>"2026-11-22T12:00:00+03:00"',
        "timestamp>=2026-11-22",
        'httpRequest.latency>"0.2s"',
        "http_request.status=503",
        '"token expired"',
        "expired gcsplit",
        'log_id("run.googleapis.com/stdout")',
        'SEARCH("token gcsplit")',
        "severity=ERROR OR severity=WARNING",
        # OR binds closer than AND: (DEBUG or WARNING) and (attempt 3 or 4)
        "severity=DEBUG OR severity=WARNING AND jsonPayload.attempt=3 OR jsonPayload.attempt=4",
        "(severity=DEBUG AND jsonPayload.attempt=9) OR severity=WARNING -- a comment",
        'severity!="ERROR"',
    ],
)
def test_query_matches(query: str) -> None:
    assert parse(query).matches(ENTRY)


@pytest.mark.parametrize(
    "query",
    [
        "severity>=ERROR",
        "severity=WARNING AND jsonPayload.attempt=4",
        "severity=WARNING AND jsonPayload.attempt=4 OR jsonPayload.attempt=5",
        "jsonPayload.missing!=1",
        "NOT severity=WARNING",
        '-"token expired"',
        'timestamp>="2026-11-22T10:00:01Z"',
        'httpRequest.latency>="0.3s"',
        'log_id("stdout")',
        "nowhere",
    ],
)
def test_query_does_not_match(query: str) -> None:
    assert not parse(query).matches(ENTRY)


@pins(
    "logging",
    "Entries",
    "ip_in_net, sample and source are refused by name",
    ours=True,
)
@pytest.mark.parametrize(
    "query", ["severity=", "(a=1", "a=1)", "=3", 'a="b', "sample(insertId, 0.5)", 'a=~"("', "AND ="]
)
def test_query_that_cannot_be_read_is_refused(query: str) -> None:
    with pytest.raises(QueryError):
        parse(query)


def test_bounds_come_from_what_must_hold() -> None:
    bounded = parse('timestamp>="1970-01-01T00:00:01Z" AND timestamp<"1970-01-01T00:00:02Z"')
    assert (bounded.since, bounded.until) == (10**9, 2 * 10**9)
    assert parse('timestamp>="1970-01-01T00:00:01Z" OR severity=ERROR').since == 0
    assert parse('NOT timestamp>="1970-01-01T00:00:01Z"').since == 0
