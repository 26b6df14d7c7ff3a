"""Alerts that Google takes and that could never fire are refused, with the nearest name, and may be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec import Finding, SpecErrors, lint, load, report
from tests.spec.lint_pages import Example, lay

DEPTH = "cloudtasks.googleapis.com/queue/depth"
ALERT = """\
severity: warning
source: this project
what: Something is wrong
runbook: a-queue-grows
first: ./sluice queues list --stack {stack}
conditions:
"""


def example(condition: str, more: str = "") -> Example:
    return Example("dashboards/alerts/one.yaml", f"{ALERT}  - {condition}\n{more}", whole=False)


def found(root: Path, condition: str, more: str = "") -> list[Finding]:
    lay([example(condition, more)], root)
    return list(lint(root))


@pytest.mark.parametrize(
    ("where", "key", "fix"),
    [
        ("{queue_id: oder-queue}", "", "order-queue"),
        ("{queue_id: [order-queue, oder-queue]}", "[1]", "order-queue"),
        ("{queue_id: {not: oder-queue}}", ".not", "order-queue"),
        ("{queue_id: {starts: oder}}", ".starts", "order"),
        ("{queue_id: {matches: 'oder.*'}}", ".matches", "order"),
    ],
)
def test_a_queue_that_no_spec_has_is_refused_with_the_nearest(tmp_path: Path, where: str, key: str, fix: str) -> None:
    (one,) = found(tmp_path / "p", f"{{metric: {DEPTH}, where: {where}, above: 1}}")
    assert (one.rule, one.key) == ("SL413", f"conditions[0].where.queue_id{key}")
    assert fix in one.fix


@pytest.mark.parametrize(
    ("metric", "where", "taken"),
    [
        ("run.googleapis.com/request_count", "{service_name: cashir}", False),
        ("run.googleapis.com/request_count", "{service_name: cashier}", True),
        ("run.googleapis.com/request_count", "{response_code: cashir}", True),
        ("run.googleapis.com/job/completed_execution_count", "{job_name: sluice-migrat}", False),
        ("run.googleapis.com/job/completed_execution_count", "{job_name: sluice-migrate}", True),
        ("pubsub.googleapis.com/subscription/num_undelivered_messages", "{subscription_id: news}", False),
        ("pubsub.googleapis.com/subscription/num_undelivered_messages", "{subscription_id: news-dlq-sub}", True),
        ("pubsub.googleapis.com/topic/send_request_count", "{topic_id: new}", False),
        ("pubsub.googleapis.com/topic/send_request_count", "{topic_id: {matches: 'news(-dlq)?'}}", True),
        ("attempts", "{service: cashir}", False),
        ("attempts", "{service: cashier}", True),
        ("attempts", "{queue: news-sub}", True),
        ("attempts", "{queue: news-subs}", False),
        ("attempts", "{status: cashir}", True),
    ],
)
def test_a_label_that_names_something_of_the_specs_names_what_is_there(
    tmp_path: Path, metric: str, where: str, taken: bool
) -> None:
    attempts = Example(
        "dashboards/metrics/attempts.yaml",
        "source: this project\nwhat: Attempts\nkind: counter\nevent: handled\n"
        "labels: {service: resource.labels.service_name, queue: queue, status: status}\n",
        whole=False,
    )
    files = [example(f"{{metric: {metric}, where: {where}, above: 1}}")]
    lay([attempts, *files] if metric == "attempts" else files, tmp_path / "p")
    assert [one.rule for one in lint(tmp_path / "p")] == ([] if taken else ["SL413"])


def test_a_name_that_is_meant_is_silenced_with_its_reason(tmp_path: Path) -> None:
    condition = f"{{metric: {DEPTH}, where: {{queue_id: by-hand}}, above: 1}}"
    assert found(tmp_path / "p", condition, "lint: {SL413: made by hand in this project}\n") == []
    assert [one.finding.rule for one in report(tmp_path / "p").silenced] == ["SL413"]


@pytest.mark.parametrize(
    ("log", "rules"),
    [
        ("{event: handled}", []),
        ("{event: handeld}", ["SL414"]),
        ("{event: [handled, handeld], service: cashier}", ["SL414"]),
        ("{event: here_alone}", []),
        ("{event: here_alone, service: cashier}", []),
        ("{event: here_alone, service: intake}", ["SL414"]),
        ("{event: request}", ["SL414"]),
        ("{event: handeld, resource: cloud_run_job}", []),
    ],
)
def test_an_event_that_no_code_logs_is_refused(tmp_path: Path, log: str, rules: list[str]) -> None:
    code = Example(
        "service_code/cashier/say.py",
        'def say(log, ask):\n    log.info("here", what="here_alone")\n    ask.call("GET", what="request")\n',
        whole=True,
    )
    lay([code, example(f"{{log: {log}}}", "at_most_every: 5m\n")], tmp_path / "p")
    found = lint(tmp_path / "p")
    assert [one.rule for one in found] == rules
    assert all("did you mean handled?" in one.fix or "gives a log call" in one.fix for one in found)


@pytest.mark.parametrize(
    "code",
    [
        'def say(log, far):\n    log.info("x", what="far_off" if far else "near_by")\n',
        'def say(log):\n    what = "near_by"\n    log.info("x", what=what)\n',
        'NEAR = "near_by"\n\n\ndef say(log):\n    log.info("x", what=NEAR)\n',
        'def say(log):\n    said = {"what": "near_by"}\n    log.info("x", **said)\n',
        'from service_code.kit.words import NEAR\n\n\ndef say(log):\n    log.info("x", what=NEAR)\n',
    ],
)
def test_an_event_is_found_however_the_code_says_it(tmp_path: Path, code: str) -> None:
    words = Example("service_code/kit/words.py", 'NEAR = "near_by"\n', whole=True)
    said = Example("service_code/cashier/say.py", code, whole=True)
    lay([words, said, example("{log: {event: near_by}}", "at_most_every: 5m\n")], tmp_path / "p")
    assert lint(tmp_path / "p") == ()


def test_a_deployment_reads_no_code(tmp_path: Path) -> None:
    lay([example("{log: {event: handeld}}", "at_most_every: 5m\n")], tmp_path / "p")
    load(tmp_path / "p")
    lay([example(f"{{metric: {DEPTH}, where: {{queue_id: oder-queue}}, above: 1}}")], tmp_path / "q")
    with pytest.raises(SpecErrors):
        load(tmp_path / "q")
