"""docs/alerts.md and docs/runbook.md against dashboards/: no file without its document, no alert without a section."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from spec import boards
from spec.runbook import anchor
from tests.dashboards.page import MARK, PAGE, ROOT, alerts_of, system, written


def test_the_tables_say_what_the_files_say() -> None:
    assert PAGE.read_text() == written(), "run: python -m tests.dashboards"


def test_every_file_stands_beside_its_document_and_every_name_is_a_file() -> None:
    specs = system()
    files = {*specs.alerts, *specs.metrics, *specs.slos, *specs.boards}
    above = PAGE.read_text().partition(MARK)[0]
    rows = "\n".join(line for line in above.splitlines() if not line.startswith("#"))
    named = set(re.findall(r"`([a-z][a-z0-9_-]*)`", rows))
    assert files - named == set()
    assert named - files - {"ok", "dispatch_count"} == set()


def test_a_section_of_the_runbook_names_the_alerts_that_lead_to_it_and_a_command() -> None:
    page = (ROOT / "docs/runbook.md").read_text()
    found = {anchor(section.partition("\n")[0]): section for section in re.split(r"(?m)^## ", page)}
    wrong = {
        alert.name: alert.runbook
        for alert in system().alerts.values()
        if f"`{alert.name}`" not in found.get(alert.runbook, "")
    }
    assert wrong == {}
    led_to = {alert.runbook for alert in system().alerts.values()}
    assert {
        name for name in led_to if not re.search(r"(?m)^    \S|`\./sluice|`gcloud|raise|look at", found[name])
    } == set()
    named = {name: re.search(r"\nAlerts?: (.*?)\n\n", text, re.DOTALL) for name, text in found.items()}
    said = {
        name: set(re.findall(r"`([a-z-]+)`", match[1])) & set(system().alerts) for name, match in named.items() if match
    }
    assert said == {name: {alert.name for alert in alerts_of(name)} for name in said}


def test_every_queue_that_will_ever_be_has_a_depth_and_an_age_alert() -> None:
    watched = {
        condition.metric: alert.severity
        for alert in system().alerts.values()
        for condition in alert.conditions
        if not condition.where and condition.across is not None and {"queue_id", "queue"} & {*condition.across.keep}
    }
    assert {"cloudtasks.googleapis.com/queue/depth", "task_age"} <= watched.keys()


def test_what_came_without_a_way_is_a_nameless_line_of_no_chart_of_ways() -> None:
    shown = [one for board in system().boards.values() for one in _series(boards.draw(board, system()))]
    by_way = [one["filter"] for one in shown if "metric.label.way" in one["aggregation"].get("groupByFields", ())]
    of_requests = [one for one in by_way if "/outcomes" in one or "/request_seconds" in one]
    assert len(of_requests) == 4
    assert [one for one in of_requests if 'metric.labels.way!=""' not in one] == []


def _series(value: Any) -> Iterator[Any]:
    """The filters of a dashboard, with how each is aggregated."""
    if isinstance(value, dict) and {"filter", "aggregation"} <= value.keys():
        yield value
    below = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in below:
        yield from _series(one)
