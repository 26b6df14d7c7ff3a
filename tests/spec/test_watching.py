"""What dashboards/ may say: every refusal has its place, what it would break and how it is mended."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from local_cloud.metrics import align, reduce
from local_cloud.metrics.descriptors import METRICS, RESOURCES
from spec import Finding, lint
from spec.catalogue import ALIGNERS, REDUCERS, Catalogue
from spec.log_metric import LogMetric
from spec.runbook import anchor, sections
from spec.watching import Address

DEPTH = "cloudtasks.googleapis.com/queue/depth"
ATTEMPTS = "cloudtasks.googleapis.com/queue/task_attempt_count"

RUNBOOK = "# Runbook\n\n## A queue grows\n\n```\n## no heading\n```\n\n## A queue grows\n"

METRIC = """\
# yaml-language-server: $schema=../../queue_configs/schema/log_metric.json
source: ours
what: How old a token was
kind: distribution
event: handled
value: token_age
unit: s
labels: {queue: queue}
"""

SLO = """\
# yaml-language-server: $schema=../../queue_configs/schema/slo.json
source: ours
what: Attempts succeed
goal: 99
window: 28d
good: {metric: cloudtasks.googleapis.com/queue/task_attempt_count, where: {response_code: ok}}
total: {metric: cloudtasks.googleapis.com/queue/task_attempt_count}
"""

ALERT = """\
# yaml-language-server: $schema=../../queue_configs/schema/alert.json
severity: critical
source: ours
what: Something is wrong
runbook: a-queue-grows
first: ./sluice queues list --stack {stack}
"""

BOARD = "displayName: Queues\ngridLayout:\n  widgets:\n    - {{ WORD }}\n"


class Dashboards:
    """A project that is nothing but dashboards and a runbook."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("docs/runbook.md", RUNBOOK)
        self.write("dashboards/metrics/token_age.yaml", METRIC)
        self.write("dashboards/slos/attempts.yaml", SLO)

    def write(self, file: str, text: str) -> None:
        path = self.root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def alert(self, conditions: str, more: str = "") -> None:
        self.write("dashboards/alerts/one.yaml", f"{ALERT}{more}conditions:\n  - {conditions}\n")

    @property
    def found(self) -> list[Finding]:
        return [one for one in lint(self.root) if one.where.file.parts[0] == "dashboards"]


@pytest.fixture
def dashboards(tmp_path: Path) -> Dashboards:
    return Dashboards(tmp_path)


@pytest.mark.parametrize(
    "condition",
    [
        f"{{metric: {DEPTH}, above: 100, for: 5m}}",
        f"{{metric: {DEPTH}, above: 100, forecast: 2h}}",
        f"{{metric: {DEPTH}, absent_for: 10m}}",
        f"{{metric: {ATTEMPTS}, where: {{response_code: {{not: [ok, cancelled]}}}}, of: {{}}, above: 0.05}}",
        f"{{metric: {DEPTH}, where: {{queue_id: [a, b], location: {{starts: us-}}}}, below: 1}}",
        f"{{metric: {DEPTH}, above: 1, for: 1m, missing: fires}}",
        "{metric: token_age, align: {every: 5m, by: p95}, across: {by: max, keep: [queue]}, above: 55}",
        "{metric: token_age, align: {every: 5m, by: sum}, across: {by: p95}, above: 55, trigger: {percent: 50}}",
        "{slo: attempts, over: 1h, above: 14.4}",
    ],
)
def test_what_monitoring_can_watch_is_taken(dashboards: Dashboards, condition: str) -> None:
    dashboards.alert(condition)
    assert dashboards.found == []


def test_an_alert_on_a_log_line_is_taken(dashboards: Dashboards) -> None:
    dashboards.alert("{log: {event: wallet_stopped}, labels: {wallet: wallet}}", "at_most_every: 5m\n")
    assert dashboards.found == []


@pytest.mark.parametrize(
    ("condition", "key", "said"),
    [
        (f"{{metric: {DEPTH}, where: {{queue_id: '@slow'}}, above: 1}}", "conditions[0].where.queue_id", "for nothing"),
        (
            f"{{metric: {DEPTH}, where: {{queue_id: '@public'}}, above: 1}}",
            "conditions[0].where.queue_id",
            "nothing is",
        ),
        (f"{{metric: {DEPTH}}}", "conditions[0]", "nothing is compared"),
        (f"{{metric: {DEPTH}, above: 1, below: 2}}", "conditions[0]", "above and below"),
        (f"{{metric: {DEPTH}, slo: attempts, above: 1}}", "conditions[0]", "about one thing"),
        (f"{{metric: {DEPTH}, above: 1, for: 90s}}", "conditions[0].for", "whole minutes"),
        (f"{{metric: {DEPTH}, above: 1, for: 24h}}", "conditions[0].for", "23h30m"),
        (f"{{metric: {DEPTH}, absent_for: 2m}}", "conditions[0].absent_for", "3m"),
        (f"{{metric: {DEPTH}, absent_for: 5m, for: 5m}}", "conditions[0].for", "an absence has no for"),
        (f"{{metric: {DEPTH}, above: 1, forecast: 30m}}", "conditions[0].forecast", "1h"),
        (f"{{metric: {DEPTH}, above: 1, forecast: 61h}}", "conditions[0].forecast", "2d12h"),
        (f"{{metric: {ATTEMPTS}, above: 1, forecast: 2h, of: {{}}}}", "conditions[0].forecast", "cannot be forecast"),
        (f"{{metric: {DEPTH}, above: 1, missing: fires}}", "conditions[0].missing", "for: is 0s"),
        (f"{{metric: {DEPTH}, above: 1, over: 1h}}", "conditions[0].over", "has no over"),
        (f"{{metric: {DEPTH}, above: 1, align: {{every: 30s, by: max}}}}", "conditions[0].align", "whole minutes"),
        (f"{{metric: {DEPTH}, above: 1, align: {{every: 5m, by: median}}}}", "conditions[0].align.by", "median"),
        (
            f"{{metric: {ATTEMPTS}, above: 1, of: {{align: {{every: 5m, by: sum}}}}}}",
            "conditions[0].of",
            "every 60s, the denominator every 5m",
        ),
        (f"{{metric: {DEPTH}, above: 1, trigger: {{count: 1, percent: 5}}}}", "conditions[0].trigger", "count or a"),
        (
            f"{{metric: {DEPTH}, above: 1, where: {{queue_id: {{like: a}}}}}}",
            "conditions[0].where.queue_id.like",
            "like",
        ),
        (f"{{metric: {DEPTH}, above: 1, wheer: {{}}}}", "conditions[0].wheer", "no key 'wheer'"),
        ("{slo: attempts, above: 2}", "conditions[0]", "stretch is missing"),
        ("{slo: atempts, over: 1h, above: 2}", "conditions[0].slo", "no objective 'atempts'"),
        ("{log: {event: x}}", "conditions", "needs at_most_every"),
        ("{metric: queue/depht, above: 1}", "conditions[0].metric", "no metric"),
        (f"{{metric: {DEPTH}, resource: cloud_run_job, above: 1}}", "conditions[0].resource", "cloud_run_job"),
        (f"{{metric: {DEPTH}, where: {{queue: a}}, above: 1}}", "conditions[0].where.queue", "no label 'queue'"),
        (
            f"{{metric: {DEPTH}, across: {{by: sum, keep: [queue_ids]}}, above: 1}}",
            "conditions[0].across.keep[0]",
            "no label 'queue_ids'",
        ),
        (f"{{metric: {DEPTH}, align: {{by: rate}}, above: 1}}", "conditions[0].align.by", "cannot be applied"),
        ("{metric: token_age, above: 1}", "conditions[0].metric", "no number"),
        ("{metric: logging.googleapis.com/byte_count, above: 1}", "conditions[0].metric", "several resources"),
    ],
)
def test_what_monitoring_would_refuse_is_refused_where_it_stands(
    dashboards: Dashboards, condition: str, key: str, said: str
) -> None:
    dashboards.alert(condition)
    (found,) = dashboards.found
    assert found.key == key
    assert said in found.what
    assert found.breaks
    assert found.fix
    assert found.where.line > 1 or not key


@pytest.mark.parametrize(
    ("more", "key", "said"),
    [
        ("at_most_every: 5m\n", "at_most_every", "only a condition on log lines"),
        ("auto_close: 10m\n", "auto_close", "30m"),
        ("remind_every: 25h\n", "remind_every", "24h"),
        ("combine: some\n", "combine", "some"),
        ("name: one\n", "name", "names itself"),
    ],
)
def test_what_a_policy_may_not_say_is_refused(dashboards: Dashboards, more: str, key: str, said: str) -> None:
    dashboards.alert(f"{{metric: {DEPTH}, above: 1}}", more)
    (found,) = dashboards.found
    assert (found.key, said in found.what) == (key, True)


def test_a_policy_has_six_conditions_at_most(dashboards: Dashboards) -> None:
    dashboards.alert("\n  - ".join([f"{{metric: {DEPTH}, above: {number}}}" for number in range(7)]))
    (found,) = dashboards.found
    assert found.key == "conditions"
    assert "1 to 6" in found.breaks


def test_an_alert_names_a_section_of_the_runbook(dashboards: Dashboards) -> None:
    text = ALERT.replace("a-queue-grows", "a-queue-grow") + f"conditions:\n  - {{metric: {DEPTH}, above: 1}}\n"
    dashboards.write("dashboards/alerts/one.yaml", text)
    (found,) = dashboards.found
    assert found.where.line == 5
    assert "did you mean a-queue-grows" in found.fix


def test_sections_are_spelt_as_github_spells_them(dashboards: Dashboards) -> None:
    assert list(sections(dashboards.root)) == ["runbook", "a-queue-grows", "a-queue-grows-1"]
    assert anchor("A hop is refused (403)") == "a-hop-is-refused-403"
    assert anchor("A payment is dead (`event=payment_dead`)") == "a-payment-is-dead-eventpayment_dead"


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("value: token_age\n", "", ""),
        ("kind: distribution", "kind: counter", "value"),
        ("event: handled\n", "", ""),
        ("unit: s", "unit: s\nbuckets: {bounds: [1, 5, 3]}", "buckets.bounds"),
        ("unit: s", "unit: s\nbuckets: {bounds: [1], linear: {width: 1, count: 3}}", "buckets"),
        ("unit: s", "unit: s\nbuckets: {exponential: {growth: 1}}", "buckets.exponential.growth"),
        ("{queue: queue}", "{queue: {field: task, pattern: 'tasks/.*'}}", "labels.queue.pattern"),
        ("{queue: queue}", "{1queue: queue}", "labels.1queue"),
        ("unit: s", "unit: s\nservice: gchostpey", "service"),
        ("unit: s", "unit: s\nresource: cloud_run", "resource"),
        ("event: handled", "event: handled\nseverity: BAD", "severity"),
    ],
)
def test_what_logging_would_refuse_is_refused(dashboards: Dashboards, old: str, new: str, key: str) -> None:
    assert old in METRIC
    dashboards.write("dashboards/metrics/token_age.yaml", METRIC.replace(old, new))
    assert [found.key for found in dashboards.found] == [key]


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("goal: 99", "goal: 99.99", "goal"),
        ("window: 28d", "window: 31d", "window"),
        ("window: 28d", "window: 28d\ncalendar: month", ""),
        ("total:", "# total:", ""),
        ("total:", "quick: {metric: token_age, below: 5}\ntotal:", "quick"),
        ("queue/task_attempt_count}", "queue/depth}", "total.metric"),
        ("response_code: ok", "code: ok", "good.where.code"),
    ],
)
def test_what_no_objective_can_be_is_refused(dashboards: Dashboards, old: str, new: str, key: str) -> None:
    assert old in SLO
    dashboards.write("dashboards/slos/attempts.yaml", SLO.replace(old, new))
    assert [found.key for found in dashboards.found] == [key]


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ('chart("Depth", [series("cloudtasks.googleapis.com/queue/depht")])', "there is no metric"),
        (f'chart("Depth", [series("{DEPTH}", where={{"queue": "a"}})])', "no label 'queue'"),
        (f'chart("Depth", [series("{DEPTH}")], plot="pie")', "no plot 'pie'"),
        (f'number("Depth", series("{DEPTH}"), above={{"green": 1}})', "no colour 'green'"),
        ('chart("Budget", [burn("none")])', "no objective 'none'"),
        ('logs("Lines", events="x")', "events"),
        ("queue.depth", "'queue' is undefined"),
        ("chart(", "this is no template"),
        ("'{'", "not YAML"),
        ("'{xyChart: {filter: metric.type=\"x\"}}'", "there is no metric 'x'"),
    ],
)
def test_a_board_that_cannot_be_drawn_is_refused_at_its_line(dashboards: Dashboards, word: str, said: str) -> None:
    dashboards.write("dashboards/boards/queues.yaml.j2", BOARD.replace("WORD", word))
    (found,) = dashboards.found
    assert said in found.what
    assert found.where.line == (1 if said in ("not YAML", "there is no metric 'x'") else 4)


def test_a_board_has_fifty_widgets_at_most(dashboards: Dashboards) -> None:
    many = "{% for one in range(51) %}\n    - {{ text('x') }}\n{% endfor %}\n"
    dashboards.write("dashboards/boards/queues.yaml.j2", f"displayName: Q\ngridLayout:\n  widgets:\n{many}")
    (found,) = dashboards.found
    assert "51 widgets" in found.what


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("dashboards/alerts/Queue_Depth.yaml", f"{ALERT}conditions:\n  - {{metric: {DEPTH}, above: 1}}\n"),
        ("dashboards/metrics/token-age.yaml", METRIC),
        ("dashboards/slos/Attempts2.yaml", SLO),
    ],
)
def test_a_file_is_named_as_google_names_things(dashboards: Dashboards, file: str, text: str) -> None:
    dashboards.write(file, text)
    assert ["is no name" in found.what for found in dashboards.found] == [True]


def test_a_file_that_cannot_be_read_is_one_finding(dashboards: Dashboards) -> None:
    dashboards.write("dashboards/metrics/token_age.yaml", "kind: [\n")
    dashboards.write("dashboards/boards/queues.yaml.j2", BOARD.replace("WORD", 'chart("A", [series("token_age")])'))
    dashboards.alert("{metric: token_age, above: 1}")
    assert [str(found.where.file) for found in dashboards.found] == ["dashboards/metrics/token_age.yaml"]


@pytest.mark.parametrize(
    "address",
    [
        {"webhook": "https://hooks.slack.com/services/T0/B0/x"},
        {"webhook": "https://user:word@pager.example.com/"},
        {"webhook": "https://pager.example.com/?key=1"},
        {"webhook": "https://pager.example.com/", "email": "a@example.com"},
        {},
    ],
)
def test_an_address_is_one_way_and_holds_no_secret(address: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"secret|one way"):
        Address.model_validate(address)


def test_googles_metrics_are_those_that_the_local_cloud_has() -> None:
    catalogue = Catalogue({})
    for name, metric in METRICS.items():
        mine = catalogue.google[name]
        assert (mine.kind, mine.value, mine.unit) == (metric.kind, metric.value, metric.unit)
        assert (mine.resources, mine.labels) == (metric.resources, tuple(label[0] for label in metric.labels))
    for name, labels in catalogue.resources.items():
        assert name not in RESOURCES or labels == tuple(label for label, _ in RESOURCES[name][2])
    known = {resource for metric in catalogue.google.values() for resource in metric.resources}
    assert known <= catalogue.resources.keys()


PERCENTILES = {"p99": "PERCENTILE_99", "p95": "PERCENTILE_95", "p50": "PERCENTILE_50", "p05": "PERCENTILE_05"}


def spelt(prefix: str, name: str) -> str:
    return f"{prefix}_{PERCENTILES.get(name, name.upper())}"


def test_aligners_take_and_give_what_they_do_in_the_local_cloud() -> None:
    assert {spelt("ALIGN", name) for name in ALIGNERS} == {*align.ALIGNERS, "ALIGN_NONE"}
    types = ("INT64", "DOUBLE", "BOOL", "STRING", "DISTRIBUTION")
    for name, kind, value in product(set(ALIGNERS) - {"none"}, ("GAUGE", "DELTA", "CUMULATIVE"), types):
        theirs, (kinds, values, _, given) = align.ALIGNERS[spelt("ALIGN", name)], ALIGNERS[name]
        fits = kind in kinds and value in values
        assert fits == (kind in theirs.kinds and value in theirs.types), (name, kind, value)
        assert not fits or (given or value) == (theirs.type or value)


def test_reducers_take_and_give_what_they_do_in_the_local_cloud() -> None:
    assert {spelt("REDUCE", name) for name in REDUCERS} == {*reduce.REDUCERS, "REDUCE_NONE"}
    for name, (taken, given) in REDUCERS.items():
        if name != "none":
            theirs = reduce.REDUCERS[spelt("REDUCE", name)]
            assert (taken, given) == (theirs.types, theirs.type)


@pytest.mark.parametrize(
    ("where", "taken"),
    [
        ("jsonPayload.a = 1 AND jsonPayload.b = 2 OR jsonPayload.c = 3", False),
        ('jsonPayload.a = 1 AND (jsonPayload.b = ("x" OR "y") OR jsonPayload.c = 3 AND jsonPayload.d = 4)', False),
        ("(jsonPayload.a = 1 AND jsonPayload.b = 2) OR jsonPayload.c = 3", True),
        ('jsonPayload.a = ("x" OR "y") AND jsonPayload.b = "this OR (that"', True),
        ("jsonPayload.a = 1 OR jsonPayload.b = 2", True),
    ],
)
def test_and_and_or_are_not_mixed_without_parentheses(dashboards: Dashboards, where: str, taken: bool) -> None:
    dashboards.write("dashboards/metrics/token_age.yaml", f"{METRIC}where: {where}\n")
    told = [(one.key, "binds OR before AND" in one.breaks) for one in dashboards.found]
    assert told == ([] if taken else [("where", True)])


def test_lines_are_said_in_the_query_language() -> None:
    metric = LogMetric.model_validate(
        {
            "name": "x",
            "source": "ours",
            "what": "x",
            "event": ["a", 'b"'],
            "service": "gchostpay",
            "severity": "ERROR",
            "where": "jsonPayload.n > 1 OR jsonPayload.m > 1",
            "labels": {"queue": {"field": "task", "pattern": "queues/([^/]+)"}, "code": "code"},
        }
    )
    assert metric.filter.splitlines() == [
        'resource.type="cloud_run_revision"',
        'resource.labels.service_name="gchostpay"',
        "severity>=ERROR",
        'jsonPayload.event=("a" OR "b\\"")',
        "(jsonPayload.n > 1 OR jsonPayload.m > 1)",
    ]
    assert metric.labels["queue"].google == 'REGEXP_EXTRACT(jsonPayload.task, "queues/([^/]+)")'
    assert metric.labels["code"].google == "EXTRACT(jsonPayload.code)"
