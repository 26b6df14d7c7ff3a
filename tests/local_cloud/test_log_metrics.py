"""Log-based metrics: what is logged from a metric's creation on is counted, by labels and resource, and can be read."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions

from local_cloud.apis.logging.state import Metrics
from local_cloud.cloud import Cloud
from local_cloud.logs.compare import Entry
from local_cloud.logs.counting import Counting
from local_cloud.logs.extract import ExtractorError, number_of, text_of
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place, inside
from tests.local_cloud.logging_client import BUCKETS, NAME, Logs, logs
from tests.local_cloud.metrics_client import Watcher, watching

USER = "logging.googleapis.com/user"
#: Numbers of google.api.MetricDescriptor.
DELTA, INT64 = 2, 2
DISTRIBUTION = {"metric_kind": "DELTA", "value_type": "DISTRIBUTION", "unit": "ms"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("log-metrics") / "state") as made:
        yield made


@pytest.fixture
def log(place: Place) -> Iterator[Logs]:
    with logs(place) as made:
        yield made


@pytest.fixture
def watcher(place: Place) -> Iterator[Watcher]:
    with watching(place) as made:
        yield made


@pins(
    "logging",
    "Log-based metrics",
    "Counters: entries that match from the metric's creation on, as DELTA INT64 series of "
    "logging.googleapis.com/user/NAME on the entry's monitored resource",
    documented="LogMetric",
)
def test_counter_counts_what_matches_from_its_creation_on(log: Logs, watcher: Watcher) -> None:
    log.write({"text_payload": "before", "severity": "ERROR"})
    log.metric("errors", 'severity>=ERROR resource.type="global"', description="What went wrong")
    log.write(*[{"text_payload": "x", "severity": "ERROR"}] * 3, {"text_payload": "fine", "severity": "INFO"})
    job = {"type": "cloud_run_job", "labels": {"job_name": "j"}}
    log.write({"text_payload": "x", "severity": "ERROR"}, resource=job)
    log.advance(120)
    [series] = watcher.series(f"{USER}/errors")
    assert (series.metric_kind, series.value_type) == (DELTA, INT64)
    assert (series.resource.type, dict(series.resource.labels)) == ("global", {"project_id": PROJECT})
    assert sum(point.value.int64_value for point in series.points) == 3


@pins(
    "logging",
    "Log-based metrics",
    "Label extractors: EXTRACT and REGEXP_EXTRACT; what cannot be extracted or converted has the type's default",
    documented="LogMetric.label_extractors",
)
def test_labels_are_extracted(log: Logs, watcher: Watcher) -> None:
    labels = [{"key": "kind"}, {"key": "code", "value_type": "INT64"}, {"key": "ok", "value_type": "BOOL"}]
    extractors = {
        "kind": r'REGEXP_EXTRACT(jsonPayload.message, "kind=(\\w+)")',
        "code": "EXTRACT(jsonPayload.code)",
        "ok": "EXTRACT(jsonPayload.ok)",
    }
    text = 'jsonPayload.component="labelled"'
    log.metric("labelled", text, metric_descriptor={"labels": labels}, label_extractors=extractors)
    own = {"component": "labelled"}
    log.write(
        {"json_payload": {**own, "message": "kind=swap at once", "code": 7, "ok": True}},
        {"json_payload": {**own, "message": "kind=swap later", "code": 7, "ok": "TRUE"}},
        {"json_payload": {**own, "message": "nothing", "code": "many"}},
    )
    log.advance(60)
    found = watcher.total(f"{USER}/labelled", "", "kind", "code", "ok")
    assert found == {("swap", "7", "true"): 2, ("", "0", "false"): 1}
    assert watcher.total(f"{USER}/labelled", 'AND metric.labels.kind="swap"') == {(): 2}


@pins(
    "logging",
    "Log-based metrics",
    "Distributions: the value extractor's numbers (durations in seconds) in the bucket options given, or in 64 "
    "exponential buckets; entries without a number do not count",
    documented="LogMetric.value_extractor, .bucket_options",
)
def test_distribution_of_extracted_values(log: Logs, watcher: Watcher) -> None:
    options = {"explicit_buckets": {"bounds": [10.0, 100.0]}}
    extractor = 'REGEXP_EXTRACT(textPayload, "took ([0-9.]+) ms")'
    log.metric("took", 'textPayload:"took"', metric_descriptor=DISTRIBUTION, value_extractor=extractor,
               bucket_options=options)  # fmt: skip
    log.metric("latency", "httpRequest.requestUrl:*", metric_descriptor=DISTRIBUTION,
               value_extractor="EXTRACT(httpRequest.latency)")  # fmt: skip
    log.advance(61 - watcher.now() % 60)  # all within a minute
    for text in ("took 5 ms", "took 10 ms", "took 99.5 ms", "took 400 ms", "took long"):
        log.write({"text_payload": text})
    log.write({"http_request": {"request_url": "http://h/", "latency": {"seconds": 1, "nanos": 500_000_000}}})
    log.advance(60)
    [series] = watcher.series(f"{USER}/took")
    value = series.points[0].value.distribution_value
    assert (value.count, value.mean, list(value.bucket_counts)) == (4, 514.5 / 4, [1, 2, 1])
    assert list(value.bucket_options.explicit_buckets.bounds) == [10.0, 100.0]
    [series] = watcher.series(f"{USER}/latency")
    value = series.points[0].value.distribution_value
    assert (value.count, value.mean) == (1, 1.5)
    layout = value.bucket_options.exponential_buckets
    assert (layout.num_finite_buckets, layout.growth_factor, layout.scale) == (64, 2.0, 0.01)


@pins(
    "logging",
    "Log-based metrics",
    "Entries more than 24 hours old or 10 minutes ahead on arrival do not count; those of exclusions do",
    documented="Troubleshoot log-based metrics",
)
def test_entries_of_another_time_do_not_count(log: Logs, watcher: Watcher) -> None:
    log.metric("timely", 'textPayload="timely"')
    now = datetime.datetime.fromtimestamp(watcher.now(), datetime.UTC)
    for minutes in (-24 * 60 - 1, -24 * 60 + 1, 9, 11):
        log.write({"text_payload": "timely", "timestamp": now + datetime.timedelta(minutes=minutes)})
    exclusion = {"name": "timely", "filter": 'textPayload="timely"'}
    log.config.create_exclusion(parent=NAME, exclusion=exclusion)
    log.write({"text_payload": "timely"})
    log.config.delete_exclusion(name=f"{NAME}/exclusions/timely")
    log.advance(60)
    assert watcher.total(f"{USER}/timely") == {(): 3}


@pins(
    "logging",
    "Log-based metrics",
    "bucket_name: only what goes to that bucket counts; disabled: nothing counts",
    documented="LogMetric.bucket_name, .disabled",
)
def test_metric_of_a_bucket_and_a_disabled_one(log: Logs, watcher: Watcher) -> None:
    log.bucket("counted")
    destination = f"logging.googleapis.com/{BUCKETS}/counted"
    log.config.create_sink(
        parent=NAME, sink={"name": "counted", "destination": destination, "filter": "severity=ALERT"}
    )
    log.metric("of-bucket", 'textPayload="b"', bucket_name=f"{BUCKETS}/counted")
    log.metric("idle", 'textPayload="b"', disabled=True)
    log.write({"text_payload": "b", "severity": "ALERT"}, {"text_payload": "b"})
    log.advance(60)
    assert watcher.total(f"{USER}/of-bucket") == {(): 1}
    assert watcher.series(f"{USER}/idle") == []
    with pytest.raises(exceptions.NotFound):
        log.metric("nowhere", "severity=ALERT", bucket_name=f"{BUCKETS}/none")


@pins(
    "logging",
    "Log-based metrics",
    "Create, get, list, update (which makes what is not there), delete with the data; the descriptor at once in "
    "Monitoring's list",
    documented="MetricsServiceV2",
    ours=True,
)
def test_metric_is_made_changed_and_deleted(log: Logs, watcher: Watcher) -> None:
    made = log.metric("life/cycle", "severity=ALERT", description="d")
    descriptor = made.metric_descriptor
    assert descriptor.type == f"{USER}/life/cycle"
    assert (descriptor.metric_kind, descriptor.value_type, descriptor.unit) == (DELTA, INT64, "1")
    assert descriptor.description == "d"
    with pytest.raises(exceptions.AlreadyExists):
        log.metric("life/cycle")
    name = f"{NAME}/metrics/life%2Fcycle"
    log.write({"text_payload": "x", "severity": "ALERT"})
    changed = {"name": "life/cycle", "filter": 'severity="EMERGENCY"', "description": "e"}
    log.metrics.update_log_metric(metric_name=name, metric=changed)
    read = log.metrics.get_log_metric(metric_name=name)
    assert (read.description, read.filter, read.create_time) == ("e", 'severity="EMERGENCY"', made.create_time)
    log.write({"text_payload": "x", "severity": "ALERT"}, {"text_payload": "x", "severity": "EMERGENCY"})
    log.advance(60)
    assert watcher.total(f"{USER}/life/cycle") == {(): 2}, "what was counted before the change stays"
    listed = watcher.client.list_metric_descriptors(
        request={"name": NAME, "filter": f'metric.type = starts_with("{USER}/life")'}
    )
    assert [one.type for one in listed] == [f"{USER}/life/cycle"]
    assert "life/cycle" in [metric.name for metric in log.metrics.list_log_metrics(parent=NAME)]
    log.metrics.delete_log_metric(metric_name=name)
    for call in (log.metrics.get_log_metric, log.metrics.delete_log_metric):
        with pytest.raises(exceptions.NotFound):
            call(metric_name=name)
    with pytest.raises(exceptions.NotFound, match="Cannot find metric"):
        watcher.series(f"{USER}/life/cycle")
    log.metrics.update_log_metric(metric_name=name, metric=changed)
    assert watcher.series(f"{USER}/life/cycle") == []


@pins(
    "logging",
    "Log-based metrics",
    "Kind and type cannot be changed; DISTRIBUTION needs a value extractor and only it may have one; each label has an "
    "extractor; at most 10 labels",
    documented="LogMetric, DESIGN 8",
    ours=True,
)
@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ({"filter": "severity>="}, "Unparseable filter: syntax error at line 1, column 11"),
        ({"filter": "severty=ERROR"}, "Field not found: 'severty'"),
        ({"filter": ""}, "filter must be specified"),
        ({"name": "a b"}, "Invalid metric name"),
        ({"name": "x" * 101}, "Invalid metric name"),
        ({"name": "/x"}, "Invalid metric name"),
        ({"metric_descriptor": {"value_type": "DISTRIBUTION"}}, "must have a value extractor"),
        ({"value_extractor": "EXTRACT(jsonPayload.a)"}, "only for metrics of value type DISTRIBUTION"),
        ({"bucket_options": {"explicit_buckets": {"bounds": [1.0]}}}, "only for metrics of value type DISTRIBUTION"),
        ({"metric_descriptor": {"metric_kind": "GAUGE"}}, "must be DELTA"),
        ({"metric_descriptor": {"value_type": "STRING"}}, "INT64 or DISTRIBUTION"),
        ({"metric_descriptor": {"labels": [{"key": "a"}]}}, "must have an extractor"),
        ({"label_extractors": {"a": "EXTRACT(jsonPayload.a)"}}, "must have an extractor"),
        ({"metric_descriptor": {"labels": [{"key": "a"}]}, "label_extractors": {"a": "jsonPayload.a"}}, "no extractor"),
        ({"metric_descriptor": {"labels": [{"key": "1"}]}, "label_extractors": {"1": "EXTRACT(trace)"}}, "label key"),
        (
            {
                "metric_descriptor": DISTRIBUTION,
                "value_extractor": "EXTRACT(trace)",
                "bucket_options": {"linear_buckets": {"num_finite_buckets": 3, "width": 0.0}},
            },
            "bucket options",
        ),
    ],
)
def test_wrong_metric_is_refused(log: Logs, metric: dict[str, Any], said: str) -> None:
    before = len(list(log.metrics.list_log_metrics(parent=NAME)))
    with pytest.raises(exceptions.InvalidArgument) as refused:
        log.metrics.create_log_metric(parent=NAME, metric={"name": "wrong", "filter": "severity=ALERT", **metric})
    assert said in str(refused.value)
    assert len(list(log.metrics.list_log_metrics(parent=NAME))) == before


def test_kind_and_type_stay(log: Logs) -> None:
    log.metric("fixed")
    changed = {"name": "fixed", "filter": "severity=ALERT", "metric_descriptor": DISTRIBUTION,
               "value_extractor": "EXTRACT(jsonPayload.n)"}  # fmt: skip
    with pytest.raises(exceptions.InvalidArgument, match="cannot be changed"):
        log.metrics.update_log_metric(metric_name=f"{NAME}/metrics/fixed", metric=changed)


@pins(
    "logging",
    "Log-based metrics",
    "The platform's own log_entry_count and byte_count, by log and severity",
    documented="metrics_gcp (logging)",
)
def test_own_metrics_count_all_entries(log: Logs, watcher: Watcher) -> None:
    log.write({"text_payload": "x", "severity": "NOTICE"}, {"text_payload": "y"}, log_name=f"{NAME}/logs/own%2Fone")
    log.advance(60)
    more = 'AND metric.labels.log="own/one"'
    assert watcher.total("logging.googleapis.com/log_entry_count", more, "severity") == {
        ("NOTICE",): 1,
        ("DEFAULT",): 1,
    }
    assert sum(watcher.total("logging.googleapis.com/byte_count", more).values()) > 200


def test_metrics_survive_a_restart(tmp_path: Path) -> None:
    with inside(tmp_path / "state") as place, logs(place) as log:
        log.metric("kept", 'textPayload="k"')
        log.write({"text_payload": "k"})
    with inside(tmp_path / "state") as place, logs(place) as log, watching(place) as watcher:
        log.write({"text_payload": "k"})
        log.advance(120)
        assert watcher.total(f"{USER}/kept") == {(): 2}


def test_metric_that_an_older_version_kept_does_not_keep_the_cloud_from_starting(tmp_path: Path) -> None:
    async def spoil(cloud: Cloud) -> None:
        kept = cloud.use(Metrics).kept
        kept[f"{NAME}/metrics/old"].filter = "thud=1"
        kept.save(f"{NAME}/metrics/old")

    with inside(tmp_path / "state") as place, logs(place) as log:
        log.metric("old")
        place.do(spoil)
    with inside(tmp_path / "state") as place, logs(place) as log:
        request = {"resource_names": [NAME], "filter": '"counts nothing"'}
        assert len(list(log.entries.list_log_entries(request=request))) == 1
        log.metrics.update_log_metric(metric_name=f"{NAME}/metrics/old", metric={"name": "old", "filter": "trace:*"})


ENTRY: Entry = {
    "jsonPayload": {"n": 3, "text": "a=1 b=22", "list": [4, 5], "map": {"x": 1}, "quoted.name": "q", "bad": "1e999"},
    "httpRequest": {"latency": "0.250s"},
    "labels": {"k8s/pod": "p"},
}


@pytest.mark.parametrize(
    ("expression", "found"),
    [
        ("EXTRACT(jsonPayload.n)", "3"),
        ("EXTRACT( jsonPayload.list )", "4"),
        ("EXTRACT(jsonPayload.map)", None),
        ("EXTRACT(jsonPayload.gone)", None),
        ('EXTRACT(jsonPayload."quoted.name")', "q"),
        ('EXTRACT(labels."k8s/pod")', "p"),
        ("EXTRACT(httpRequest.latency)", "0.25"),
        (r'REGEXP_EXTRACT(jsonPayload.text, "b=(\d+)")', "22"),
        (r"REGEXP_EXTRACT(jsonPayload.text, 'b=(\\d+)')", "22"),
        ('REGEXP_EXTRACT(jsonPayload.text, "c=(.*)")', None),
        ('REGEXP_EXTRACT(jsonPayload.text, "([^)]*), x")', None),
    ],
)
def test_extractors(expression: str, found: str | None) -> None:
    assert text_of(expression)(ENTRY) == found


@pytest.mark.parametrize(
    "expression",
    ["", "jsonPayload.n", "EXTRACT()", "EXTRACT(thud)", 'REGEXP_EXTRACT(trace, "x")', 'REGEXP_EXTRACT(trace, "(a)(b)")',
     'REGEXP_EXTRACT(trace, "(")', "REGEXP_EXTRACT(trace)"],
)  # fmt: skip
def test_wrong_extractor_is_refused(expression: str) -> None:
    with pytest.raises(ExtractorError):
        text_of(expression)


def test_numbers_that_are_none_do_not_count() -> None:
    assert number_of("EXTRACT(jsonPayload.n)")(ENTRY) == 3.0
    for field in ("jsonPayload.text", "jsonPayload.bad", "jsonPayload.gone"):
        assert number_of(f"EXTRACT({field})")(ENTRY) is None


@pins(
    "logging",
    "Log-based metrics",
    "An entry is held only against the filters that its resource type and log leave possible",
    ours=True,
)
async def test_filters_that_cannot_match_are_not_asked(cloud: Cloud) -> None:
    from local_cloud.descriptors import message

    counting = Counting(cloud.meter)
    for number in range(50):
        metric = message("google.logging.v2.LogMetric")(filter=f'resource.type="kind{number}" severity=ALERT')
        metric.metric_descriptor.type = f"{USER}/m{number}"
        counting.put(f"m{number}", metric)
    entry = {"resource": {"type": "kind7"}, "logName": "projects/p/logs/l", "severity": "ALERT"}
    assert [one.counts for one in counting._index.matching(entry)] == [counting._made["m7"][1].counts]
    assert [len(near) for near in counting._index._near.values()] == [1]
