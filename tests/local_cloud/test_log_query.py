"""The query language of Logging, as its documentation describes it."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local_cloud.logs.compare import nanoseconds
from local_cloud.logs.query import QueryError, parse
from tests.fidelity import pins

ENTRY = {
    "logName": "projects/p/logs/run.googleapis.com%2Fstdout",
    "timestamp": "2026-11-22T10:00:00.5Z",
    "severity": "WARNING",
    "resource": {"type": "cloud_run_revision", "labels": {"service_name": "gcsplit"}},
    "insertId": "i1",
    "labels": {"k8s/name": "x", "a.b": "x"},
    "jsonPayload": {
        "unique_id": "U1",
        "attempt": 3,
        "ok": True,
        "message": "Token expired",
        "list": [{"a": 1}, {"a": 2}],
        "digits": "10",
        "nothing": None,
        "with.dot": 1,
    },
    "httpRequest": {
        "status": 503,
        "latency": "0.250s",
        "requestUrl": "http://h/x",
        "remoteIp": "10.1.2.3",
        "requestSize": "10",
    },
}


@pins(
    "logging",
    "Query language",
    "Comparisons, NOT, OR before AND, juxtaposition, lists, `:*`, regular expressions, bare words, log_id, SEARCH",
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
    "Query language",
    "Functions: SEARCH by whole words and phrases, log_id, source, ip_in_net, sample, cast, regexp_extract",
    documented="Logging query language",
)
@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ('SEARCH("TOKEN expired")', True),
        ('SEARCH("expire")', False),
        ('SEARCH("`token expired`")', True),
        ('SEARCH("`expired token`")', False),
        ('SEARCH(jsonPayload.message, "token")', True),
        ('SEARCH(jsonPayload.unique_id, "token")', False),
        ("source(projects/p)", True),
        ("source(projects/other)", False),
        ('ip_in_net(httpRequest.remoteIp, "10.1.0.0/16")', True),
        ('ip_in_net(httpRequest.remoteIp, "10.2.0.0/16")', False),
        ('ip_in_net(jsonPayload.message, "10.1.0.0/16")', False),
        ('ip_in_net(jsonPayload.missing, "0.0.0.0/0")', False),
        ("sample(insertId, 1)", True),
        ("sample(insertId, 0)", False),
        ("cast(jsonPayload.digits, INT64) > 9", True),
        ('jsonPayload.digits > "9"', False),
        ("cast(jsonPayload.message, INT64) > 0", False),
        ('cast(timestamp, STRING, TIMEZONE("Asia/Tokyo")) =~ "^2026-11-22T19:00:00.5[+]09:00$"', True),
        ('cast(regexp_extract(jsonPayload.message, "(\\\\w+)d$"), STRING) = "expire"', True),
        ('regexp_extract(jsonPayload.message, "T[a-z]+") = "Token"', True),
    ],
)
def test_functions(query: str, matches: bool) -> None:
    assert parse(query).matches(ENTRY) is matches


@pins(
    "logging",
    "Query language",
    "A field missing in a payload or in labels compares with nothing; one of LogEntry has its default; one that "
    "LogEntry lacks is refused",
    documented="Logging query language, missing fields",
)
def test_missing_fields() -> None:
    for query in ('jsonPayload.gone!="x"', 'jsonPayload.gone=""', 'labels.gone!="x"', "resource.labels.gone:*"):
        assert not parse(query).matches(ENTRY), query
    for query in (
        'NOT jsonPayload.gone="x"',
        'operation.id=""',
        'spanId!="x"',
        "-operation.id:*",
        "traceSampled=false",
    ):
        assert parse(query).matches(ENTRY), query
    for query in ("thud=1", "operation.thud=1", "textPayload.thud=1", "resource.thud=1", "severty=ERROR"):
        with pytest.raises(QueryError, match="Field not found: '"):
            parse(query)


@pins(
    "logging",
    "Query language",
    "Values are converted to the field's type: times, durations, severities, numbers; what cannot be is refused, in a "
    "payload it is only unequal",
    documented="Logging query language, values and conversions",
)
@pytest.mark.parametrize(
    ("query", "matches"),
    [
        ("severity=300", False),
        ("severity=400", True),
        ('severity="warning"', True),
        ('httpRequest.latency="250ms"', True),
        ("httpRequest.requestSize>9", True),  # 64 bits are text in JSON
        ("jsonPayload.attempt=3.0", True),
        ('jsonPayload.attempt="many"', False),
        ('jsonPayload.attempt!="many"', True),
        ("jsonPayload.nothing=NULL_VALUE", True),
        ('jsonPayload.nothing="NULL_VALUE"', False),
        ("jsonPayload.nothing:*", False),
        ("jsonPayload.ok=TRUE", True),
        ('jsonPayload."with.dot"=1', True),
        ("labels.a.b=x", True),
        ("jsonPayload.list:2", True),
        ("jsonPayload:unique_id", True),
        ('jsonPayload.message=~"(?i)TOKEN [[:alpha:]]+"', True),
        ("severity=(WARNING OR NOT DEBUG)", True),
        ('jsonPayload.message:("token" AND "expired" AND NOT "fresh")', True),
        ('jsonPayload.message:("token" "fresh")', False),
        ("NOT NOT severity=WARNING", True),
        ('"\\u0054oken"', True),
    ],
)
def test_values(query: str, matches: bool) -> None:
    assert parse(query).matches(ENTRY) is matches


@pytest.mark.parametrize(
    "query",
    [
        "severity=",
        "(a=1",
        "a=1)",
        "=3",
        'jsonPayload.a="b',
        "AND =",
        "severity=LOUD",
        'timestamp>"yesterday"',
        "httpRequest.status=many",
        "traceSampled=perhaps",
        "sample(insertId, 2)",
        'ip_in_net(insertId, "everywhere")',
        "source(nowhere)",
        'SEARCH("!")',
        "cast(insertId, COLOUR) = 1",
        'regexp_extract(insertId, "(a)(b)") = 1',
        "frobnicate(insertId)",
        "log_id(",
        "(" * 500,
        "x" * 20_001,
    ],
)
def test_query_that_cannot_be_read_is_refused(query: str) -> None:
    with pytest.raises(QueryError):
        parse(query)


@pins(
    "logging",
    "Query language",
    "Regular expressions are RE2's: look-around and back references are refused in its words",
    documented="RE2 syntax",
)
@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("a(?=b)", "invalid perl operator"),
        ("a(?<!b)", "invalid perl operator"),
        (r"(a)\\1", "invalid escape"),
        ("a*+", "bad repetition"),
        ("(", "invalid regular"),
        ("[[:colour:]]", "class"),
    ],
)
def test_pattern_that_re2_lacks_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(QueryError, match=why):
        parse(f'jsonPayload.message=~"{pattern}"')


def test_bounds_come_from_what_must_hold() -> None:
    bounded = parse('timestamp>="1970-01-01T00:00:01Z" AND timestamp<"1970-01-01T00:00:02Z"')
    assert (bounded.since, bounded.until) == (10**9, 2 * 10**9)
    assert parse('timestamp>="1970-01-01T00:00:01Z" OR severity=ERROR').since == 0
    assert parse('NOT timestamp>="1970-01-01T00:00:01Z"').since == 0
    assert parse('timestamp>="1970-01-01T00:00:03Z" OR timestamp>="1970-01-01T00:00:02Z"').since == 2 * 10**9


def test_what_a_query_pins_keeps_others_out() -> None:
    pinned = parse('resource.type="global" log_id("a/b") severity>=ERROR')
    assert pinned.may_match("global", "projects/p/logs/a%2Fb")
    assert not pinned.may_match("global", "projects/p/logs/a")
    assert not pinned.may_match("cloud_run_job", "projects/p/logs/a%2Fb")
    assert parse('resource.type="global" OR severity=ERROR').may_match("cloud_run_job", "x")
    assert parse('NOT resource.type="global"').may_match("global", "x")
    both = parse('resource.type=("global" OR "cloud_run_job")')
    assert both.may_match("cloud_run_job", "x")
    assert not both.may_match("gce_instance", "x")


_ATOMS = st.sampled_from(
    [
        "severity>=ERROR",
        "jsonPayload.n>3",
        'resource.type="a"',
        'log_id("x")',
        'timestamp>="1970-01-01T00:00:05Z"',
        'timestamp<"1970-01-01T00:00:08Z"',
        '"word"',
    ]
)
_QUERIES = st.recursive(
    _ATOMS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" AND ", " OR ", " "]), inner).map(lambda t: f"({t[0]}){t[1]}({t[2]})"),
        inner.map(lambda text: f"NOT ({text})"),
    ),
    max_leaves=6,
)
_ENTRIES = st.builds(
    lambda n, kind, log, second, word: {
        "severity": "ERROR" if n % 2 else "INFO",
        "jsonPayload": {"n": n, "text": word},
        "resource": {"type": kind},
        "logName": f"projects/p/logs/{log}",
        "timestamp": f"1970-01-01T00:00:{second:02}Z",
    },
    st.integers(0, 9),
    st.sampled_from("ab"),
    st.sampled_from("xy"),
    st.integers(0, 12),
    st.sampled_from(["word", "other"]),
)


@given(_QUERIES, _ENTRIES)
def test_span_and_pins_never_leave_out_what_matches(text: str, entry: dict[str, Any]) -> None:
    query = parse(text)
    moment = nanoseconds(entry["timestamp"])
    assert moment is not None
    if query.matches(entry):
        assert query.since <= moment <= query.until
        assert query.may_match(entry["resource"]["type"], entry["logName"])
    assert parse(f"NOT ({text})").matches(entry) is not query.matches(entry)


@given(st.text(max_size=40), st.sampled_from(["", "severity=", "NOT ", "jsonPayload.a=(", "cast(", '"']))
def test_any_text_is_read_or_refused(text: str, before: str) -> None:
    with contextlib.suppress(QueryError):
        parse(before + text).matches(ENTRY)
