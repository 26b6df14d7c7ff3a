"""The strategies for a token's window as settings: contradictions are refused with the way out, what is set shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from spec import load, strategies
from tests.spec.conftest import GCHOSTPAY, HOSTPAY_QUEUE, SPLIT_QUEUE, Project

GCSPLIT = "service_code/gcsplit/service.yaml"
EXECUTE_QUEUE = "queue_configs/tasks/gchostpay-payment-execute-queue.yaml"
TRIGGER_QUEUE = "queue_configs/tasks/gcsplit-hostpay-trigger-queue.yaml"
WINDOW = "token_window: 60s"
TOKEN = "token: {fallback: {}}"
TIGHT = "max_attempts: 3, min_backoff: 5s, max_backoff: 15s, max_doublings: 2, task_age_limit: 60s"
A_DAY = "max_attempts: -1, min_backoff: 5s, max_backoff: 60s, task_age_limit: 24h"


def with_token(project: Project, settings: str) -> None:
    project.replace(HOSTPAY_QUEUE, TOKEN, f"token: {settings}")


def at_delivery(project: Project, more: str = "") -> None:
    project.replace(HOSTPAY_QUEUE, TIGHT, A_DAY)
    project.replace(HOSTPAY_QUEUE, f"{WINDOW}\n", "")
    project.replace(HOSTPAY_QUEUE, TOKEN, f"token: {{minted: delivery{more}}}")


@pytest.mark.parametrize(
    "settings",
    [
        "{}",
        "{fallback: {}}",
        "{fallback: {schedule: fallback}, give_up_after: 12h}",
        "{breaker: {}}",
        "{fallback: {}, breaker: {check_interval: 10s, failure_threshold: 3, open_for: 20s, opens_on: down}}",
    ],
)
def test_every_strategy_and_their_combinations_are_taken(project: Project, settings: str) -> None:
    with_token(project, settings)
    assert project.findings() == ()


@pytest.mark.parametrize("more", ["", ", breaker: {}, give_up_after: 2d", ", fallback: {}, give_up_after: 48h"])
def test_a_token_that_is_minted_at_delivery_lifts_the_age_limit(project: Project, more: str) -> None:
    at_delivery(project, more)
    assert project.findings() == ()


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ("{minted: never}", "never"),
        ("{give_up_after: 12h}", "nothing waits that could be given up"),
        ("{fallback: {}, give_up_after: 60s}", "given up after 60s, but one task may take 60s"),
        ("{breaker: {}, give_up_after: 30s}", "given up after 30s, but one task may take 60s"),
        (
            "{fallback: {schedule: sweep}, give_up_after: 96h}",
            "gcsplit's schedule 'sweep' does not send hostpay-execution-queue anew",
        ),
        ("{breaker: {check_interval: 60s}}", "an answer is believed for 60s, but the token lives 60s"),
        ("{breaker: {check_interval: 0s}}", "0s asks for the receiver's health at every message"),
        ("{breaker: {failure_threshold: 0}}", "0"),
        ("{breaker: {opens_on: never}}", "never"),
        ("{fallback: true}", "mapping"),
        ("{breakers: {}}", "breakers"),
        ("{minted: delivery}", "no token waits for 60s: it is minted at delivery"),
    ],
)
def test_settings_that_contradict_are_refused_with_the_way_out(project: Project, settings: str, what: str) -> None:
    with_token(project, settings)
    found = project.only_error()
    assert what in str(found)
    assert str(found.where).startswith(HOSTPAY_QUEUE)
    assert found.breaks
    assert found.fix


def test_the_nearest_schedule_is_named(project: Project) -> None:
    with_token(project, "{fallback: {schedule: fallbak}}")
    assert "did you mean fallback?" in project.only_error().fix


def test_a_token_that_is_minted_at_delivery_needs_a_receiver_that_reads_the_row(project: Project) -> None:
    project.replace(GCHOSTPAY, "by_reference: [/hostpay_webhook]\n", "")
    at_delivery(project)
    found = project.only_error()
    assert found.what == "gchostpay does not read what /hostpay_webhook only names"
    assert "by_reference: [/hostpay_webhook]" in found.fix


def test_a_task_without_a_token_needs_an_end(project: Project) -> None:
    at_delivery(project)
    project.replace(HOSTPAY_QUEUE, ", task_age_limit: 24h", "")
    assert project.only_error().what == "nothing says how long a task without a token is tried"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("/hostpay_webhook]", "/hostpay]", "/hostpay is not in handles"),
        ("database: true\n", "", "/hostpay_webhook needs the row that it is told of"),
    ],
)
def test_rows_are_read_at_handled_paths_and_with_a_database(project: Project, old: str, new: str, what: str) -> None:
    project.replace(GCHOSTPAY, old, new)
    assert what in [found.what for found in project.errors()]


def test_where_nothing_expires_there_is_nothing_to_set(project: Project) -> None:
    project.replace(SPLIT_QUEUE, "message: SplitOrder", "message: SplitOrder\ntoken: {fallback: {}}")
    assert project.only_error().what == "the message does not expire: the queue has no token_window"


@pytest.mark.parametrize("way", ["fallback: {schedule: sweep}", "breaker: {}"])
@pytest.mark.parametrize(
    ("queue", "senders"),
    [(TRIGGER_QUEUE, ["gcsplit", "gcbatchprocessor"]), (EXECUTE_QUEUE, ["gchostpay1"])],
    ids=["a sender that falls back for another queue", "a sender with a schedule of that name"],
)
def test_nothing_waits_where_no_code_sends_it_anew(project: Project, queue: str, senders: list[str], way: str) -> None:
    project.replace(queue, "token_window: 24h", f"token_window: 24h\ntoken: {{{way}, give_up_after: 96h}}")
    errors = [
        error for error in project.errors() if "is for nobody" not in error.what
    ]  # gchostpay1's /health is closed
    name, key = Path(queue).stem, way.partition(":")[0]
    assert [error.what for error in errors] == [
        f"{sender} has no schedule that sends {name} anew" for sender in senders
    ]
    for error, sender in zip(errors, senders, strict=True):
        assert (str(error.where.file), error.key) == (queue, f"token.{key}")
        assert "would wait for somebody who never comes" in error.breaks
        assert f"delete {key}, or add falls_back: [{name}]" in error.fix
        assert f"service_code/{sender}/service.yaml" in error.fix


@pytest.mark.parametrize(
    ("listed", "what", "fix"),
    [
        ("hostpay-execution-que", "there is no queue 'hostpay-execution-que'", "did you mean hostpay-execution-queue?"),
        ("gcsplit2-queue", "gcsplit sends nothing to gcsplit2-queue", "did you mean gcsplit-estimate-queue?"),
    ],
)
def test_a_schedule_falls_back_for_what_its_service_sends(project: Project, listed: str, what: str, fix: str) -> None:
    project.replace(
        GCSPLIT, "falls_back: [hostpay-execution-queue]", f"falls_back: [hostpay-execution-queue, {listed}]"
    )
    found = project.only_error()
    assert (str(found.where.file), found.key, found.what) == (GCSPLIT, "schedules.fallback.falls_back[1]", what)
    assert fix in found.fix


def test_only_rows_are_sent_anew(project: Project) -> None:
    project.replace(GCSPLIT, "database: true\n", "")
    assert "falls_back needs the rows that are sent anew" in [error.what for error in project.errors()]


def test_a_breaker_needs_a_health_that_it_may_ask(project: Project) -> None:
    with_token(project, "{breaker: {}}")
    project.replace(GCHOSTPAY, "operator_paths: [/health, ", "operator_paths: [")
    found = project.only_error()
    assert found.what == "/health of gchostpay is for nobody"
    assert found.fix == "add /health to operator_paths in service_code/gchostpay/service.yaml"


def test_a_breaker_lets_its_senders_ask_for_health_and_for_nothing_else(project: Project) -> None:
    before = load(project.root).callers("gchostpay")
    with_token(project, "{breaker: {}}")
    after = load(project.root).callers("gchostpay")
    (asking,) = set(after["/health"]) - set(before["/health"])
    assert (asking.account_id, asking.why, asking.name) == ("gcsplit", "breaker", "hostpay-execution-queue")
    assert {path: who for path, who in after.items() if path != "/health"} == {
        path: who for path, who in before.items() if path != "/health"
    }


def test_what_is_set_is_shown(project: Project) -> None:
    at_delivery(project, ", fallback: {}, give_up_after: 48h, breaker: {opens_on: down}")
    assert strategies.strategies(load(project.root).queue("hostpay-execution-queue")) == {
        "tight retry": "1444 attempts in time, the last at 24h15s",
        "age limit": "the queue gives up at 24h",
        "minted at delivery": "the task carries identifiers alone",
        "fallback": "sent anew by gcsplit's schedule fallback, until 2d have passed",
        "breaker": "nothing is sent while gchostpay is down, until 2d have passed",
    }


def test_a_queue_without_a_token_has_no_strategies(project: Project) -> None:
    assert strategies.strategies(load(project.root).queue("split-payment-queue")) == {}
