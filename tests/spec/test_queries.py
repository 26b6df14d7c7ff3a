"""What Monitoring and Logging could not read is refused by `lint`: regular expressions and queries of log lines."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_cloud.logs import query as cloud
from local_cloud.logs.patterns import PatternError, compiled
from spec import Finding, lint
from spec.log_query import flaw
from spec.patterns import NoPattern, pattern

ROOT = Path(__file__).resolve().parents[2]

ALERT = """\
# yaml-language-server: $schema=../../queue_configs/schema/alert.json
severity: critical
source: ours
what: Something is wrong
runbook: a-queue-grows
first: ./sluice queues list --stack {stack}
"""


def found(root: Path, condition: str, more: str = "") -> list[Finding]:
    for file, text in {
        "docs/runbook.md": "## A queue grows\n",
        "dashboards/alerts/one.yaml": f"{ALERT}{more}conditions:\n  - {condition}\n",
    }.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text, "utf-8")
    return [one for one in lint(root) if one.where.file.parts[0] == "dashboards"]


def test_a_regular_expression_that_monitoring_refuses_is_refused_where_it_stands(tmp_path: Path) -> None:
    metric = "cloudtasks.googleapis.com/queue/depth"
    (one,) = found(tmp_path, f"{{metric: {metric}, where: {{queue_id: {{matches: '([a'}}}}, above: 1}}")
    assert (one.rule, one.key, one.where.line) == ("SL415", "conditions[0].where.queue_id.matches", 8)
    assert "'([a'" in one.what


def test_a_query_that_logging_refuses_is_refused_where_it_stands(tmp_path: Path) -> None:
    (one,) = found(tmp_path, "{log: {event: x, where: 'jsonPayload.x = (('}}", "at_most_every: 5m\n")
    assert (one.rule, one.key, one.where.line) == ("SL415", "conditions[0].log.where", 9)


@pytest.mark.parametrize(
    "text",
    ["([a", "a**", "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b", r"(a)\1", "(?>a)", "a*+", "(?P=n)", "(?#x)", "x{1001}", ")"],
)
def test_what_re2_does_not_have_is_no_pattern(text: str) -> None:
    with pytest.raises(NoPattern):
        pattern(text)


@pytest.mark.parametrize(
    "text",
    [
        "a-.*",
        r"\Qa(b\E",
        "[[:alpha:]]+",
        r"\pL+",
        r"\p{Greek}",
        r"a\z",
        "(?<n>a)",
        "a(?i)b",
        "[(?=]+",
        r"\(\?=",
        "(?i:a)",
    ],
)
def test_what_re2_has_is_a_pattern(text: str) -> None:
    pattern(text)


QUERIES = (
    "jsonPayload.x = ((",
    "jsonPayload.x = (1",
    "jsonPayload.x = 1)",
    "()",
    'jsonPayload.x = "a',
    "jsonPayload.x =",
    "= 1",
    "jsonPayload.x = 1 AND",
    "OR jsonPayload.x = 1",
    "jsonPayload.x = 1 AND OR jsonPayload.y = 1",
    "NOT",
    "jsonPayload.x == 1",
    'jsonPayload.x =~ "([a"',
    "jsonPayload.x = 1, 2",
)

READABLE = (
    'jsonPayload.x = ("a" OR "b")',
    'NOT jsonPayload.code = "TOKEN_EXPIRED"',
    "jsonPayload.event:*",
    "-jsonPayload.x>=0 jsonPayload.y < -1.5",
    'labels."a/b".c = "x" AND (jsonPayload.a:b OR jsonPayload.c!=d)',
    'log_id("run.googleapis.com/stdout") AND sample(insertId, 0.25)',
    "timestamp >= 2024-01-01T10:00:00Z",
    'resource.type = "x" -- what writes it\nseverity>=ERROR',
    r'textPayload =~ "a\\.b\"[(]"',
    '"a ) text" OR other',
)


@pytest.mark.parametrize("text", QUERIES)
def test_what_logging_cannot_read_has_a_flaw(text: str) -> None:
    assert flaw(text)
    with pytest.raises(cloud.QueryError):
        cloud.parse(text)


@pytest.mark.parametrize("text", READABLE)
def test_what_logging_reads_has_none(text: str) -> None:
    assert flaw(text) is None
    cloud.parse(text)


@pytest.mark.parametrize("text", ["([a", "(?=a)", r"(a)\1", "a*+", "[[:alpha:]]", r"\Q(\E", "a{2,3}", "(?P<n>a)"])
def test_patterns_are_read_as_the_local_cloud_reads_them(text: str) -> None:
    def reads(read: object) -> bool:
        try:
            read(text)  # type: ignore[operator]
        except (NoPattern, PatternError):
            return False
        return True

    assert reads(pattern) == reads(compiled)


def test_at_most_every_in_a_condition_is_told_where_it_belongs(tmp_path: Path) -> None:
    (one,) = found(tmp_path, "{log: {event: x}, at_most_every: 5m}")
    assert (one.rule, one.key, one.where.line) == ("SL102", "conditions[0].at_most_every", 8)
    assert "left margin" in one.fix


def test_at_most_every_that_is_missing_is_missed_where_the_log_line_stands(tmp_path: Path) -> None:
    (one,) = found(tmp_path, "{log: {event: x}}")
    assert (one.key, one.where.line) == ("conditions", 8)
    assert "left margin" in one.fix


def test_the_page_shows_an_alert_on_a_log_line_that_is_taken(tmp_path: Path) -> None:
    page = (ROOT / "docs/dashboards.md").read_text("utf-8")
    block = page.partition("An alert on a log line")[2].partition("\n\n")[2].partition("\n\n")[0]
    lines = [line.removeprefix("    ") for line in block.splitlines()]
    assert lines[0].startswith("conditions:")
    shown = "\n".join(lines) + "\n"
    path = tmp_path / "dashboards/alerts/one.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(ALERT + shown, "utf-8")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/runbook.md").write_text("## A queue grows\n", "utf-8")
    assert [one for one in lint(tmp_path) if one.where.file.parts[0] == "dashboards"] == []
