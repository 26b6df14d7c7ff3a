"""Times that contradict one another are refused, or warned of where a payment would only suffer."""

from __future__ import annotations

import pytest

from tests.spec.conftest import GCHOSTPAY, HOSTPAY_QUEUE, SPLIT_QUEUE, Project


def test_the_specs_of_the_project_have_no_findings(project: Project) -> None:
    assert project.findings() == ()


@pytest.mark.parametrize("window", ["1s", "4s", "5s"])
def test_a_token_that_dies_before_the_first_retry_is_refused(project: Project, window: str) -> None:
    project.replace(HOSTPAY_QUEUE, "token_window: 60s", f"token_window: {window}")

    assert "the first retry comes after 5s" in project.only_error().what


def test_a_token_that_outlives_the_first_retry_is_not_refused(project: Project) -> None:
    project.replace(HOSTPAY_QUEUE, "token_window: 60s", "token_window: 6s")

    assert project.errors() == []


def test_a_deadline_below_the_receivers_timeout_is_refused_since_attempts_would_overlap(project: Project) -> None:
    project.replace(GCHOSTPAY, "timeout: 40s", "timeout: 46s")
    project.replace("queue_configs/tasks/hostpay-confirm-queue.yaml", "rate:", "dispatch_deadline: 46s\nrate:")

    found = project.only_error()

    assert str(found.where) == f"{HOSTPAY_QUEUE}:10:20"
    assert found.what == "the queue waits 45s, but gchostpay may work for 46s"
    assert "lower timeout in service_code/gchostpay/service.yaml to 45s or less" in found.fix


def test_a_default_deadline_below_the_receivers_timeout_is_refused_at_the_file(project: Project) -> None:
    project.replace(GCHOSTPAY, "timeout: 40s", "timeout: 61s")

    places = {str(found.where) for found in project.errors()}

    assert "queue_configs/tasks/hostpay-confirm-queue.yaml:1:1" in places


def test_a_deadline_as_long_as_the_token_lives_is_warned_of(project: Project) -> None:
    project.replace(HOSTPAY_QUEUE, "dispatch_deadline: 45s", "dispatch_deadline: 60s")

    assert "uses up the token" in project.only_warning().breaks


def test_retries_long_after_the_token_died_are_warned_of(project: Project) -> None:
    project.replace(HOSTPAY_QUEUE, "task_age_limit: 60s", "task_age_limit: 24h")

    assert "retries go on after it (an attempt at 75s)" in project.only_warning().what


def test_retries_that_end_while_the_token_lives_are_warned_of(project: Project) -> None:
    project.replace(HOSTPAY_QUEUE, ", task_age_limit: 60s", "")

    found = project.only_warning()

    assert found.what == "the token lives 60s, but the last attempt is at 15s"
    assert "task_age_limit: 60s" in found.fix


def test_an_age_limit_that_attempts_outlast_is_warned_of(project: Project) -> None:
    project.replace(SPLIT_QUEUE, "max_doublings: 5}", "max_doublings: 5, task_age_limit: 5s}")

    assert project.only_warning().what == (
        "5s does not end the retries: 5 attempts must be used up too, which takes 15s"
    )


def test_a_queue_without_limits_and_with_tiny_waits_is_checked_in_time(project: Project) -> None:
    project.replace(
        HOSTPAY_QUEUE,
        "max_attempts: 3, min_backoff: 5s, max_backoff: 15s, max_doublings: 2, task_age_limit: 60s",
        "max_attempts: 2147483647, min_backoff: 1ms, max_backoff: 1ms, task_age_limit: 31d",
    )

    assert project.errors() == []
