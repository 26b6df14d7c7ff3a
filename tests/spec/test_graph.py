"""The drawing answers who may do what; permissions are made of nothing else."""

from __future__ import annotations

import pytest

from spec import Caller, UnknownName, load
from tests.spec.conftest import Project


def test_the_first_payment_line_is_declared_as_the_documents_have_it(project: Project) -> None:
    system = load(project.root)

    hostpay = system.queue("hostpay-execution-queue")
    assert (hostpay.senders, hostpay.receiver, hostpay.path) == (("gcsplit",), "gchostpay", "/hostpay_webhook")
    assert (hostpay.rate.dispatches_per_second, hostpay.rate.concurrent) == (50, 20)
    assert (hostpay.retry.max_attempts, hostpay.retry.task_age_limit.google) == (3, "60s")
    assert (hostpay.dispatch_deadline.google, hostpay.token_window and hostpay.token_window.google) == ("45s", "60s")
    split = system.queue("split-payment-queue")
    assert (split.rate.dispatches_per_second, split.rate.concurrent, split.retry.max_attempts) == (100, 50, 5)
    assert (split.retry.min_backoff.google, split.retry.max_backoff.google, split.retry.max_doublings) == (
        "1s",
        "60s",
        5,
    )


def test_queues_are_found_from_both_ends(project: Project) -> None:
    system = load(project.root)

    assert [queue.name for queue in system.queues_into("gchostpay")] == [
        "gchostpay4-news-queue",
        "hostpay-confirm-queue",
        "hostpay-execution-queue",
    ]
    assert [queue.name for queue in system.queues_out_of("gcwebhook")] == [
        "channel-access-queue",
        "gcaccumulator-queue",
        "split-payment-queue",
    ]


def test_every_guarded_path_lists_who_may_call_it(project: Project) -> None:
    callers = load(project.root).callers("gcsplit")

    assert callers["/process_split"] == (
        Caller("split-payment-invoker", "queue", "split-payment-queue"),
        Caller("gcwebhook", "direct", "split-payment-queue"),
    )
    assert callers["/sweep"] == (Caller("gcsplit-scheduler", "schedule", "sweep"),)
    assert callers["/dead"] == (Caller("sluice-operator", "operator", "operator"),)
    assert "/health" in callers


def test_invokers_of_a_service_are_its_callers_and_nobody_else(project: Project) -> None:
    assert load(project.root).invokers("gchostpay") == (
        "gchostpay-scheduler",
        "gchostpay4-news-invoker",
        "gcsplit",
        "hostpay-confirm-invoker",
        "hostpay-execution-invoker",
        "sluice-operator",
    )


def test_a_secret_names_its_readers(project: Project) -> None:
    readers = load(project.root).consumers("TPS_HOSTPAY_SIGNING_KEY")

    assert [service.name for service in readers] == ["gcbatchprocessor", "gchostpay", "gchostpay1", "gcsplit"]


def test_schedules_are_jobs_with_an_account(project: Project) -> None:
    calls = load(project.root).schedules()

    assert [(call.job, call.path, call.account_id) for call in calls] == [
        ("gcaccumulator-sweep", "/sweep", "gcaccumulator-scheduler"),
        ("gcbatchprocessor-sweep", "/sweep", "gcbatchprocessor-scheduler"),
        ("gchostpay-sweep", "/sweep", "gchostpay-scheduler"),
        ("gchostpay1-sweep", "/sweep", "gchostpay1-scheduler"),
        ("gchostpay3-sweep", "/sweep", "gchostpay3-scheduler"),
        ("gchostpay4-sweep", "/sweep", "gchostpay4-scheduler"),
        ("gcmicrobatchprocessor-convert-pending", "/convert-pending", "gcmicrobatchprocessor-sch-e50b"),
        ("gcmicrobatchprocessor-sweep", "/sweep", "gcmicrobatchprocessor-sch-e50b"),
        ("gcregister-sweep", "/sweep", "gcregister-scheduler"),
        ("gcsplit-fallback", "/fallback", "gcsplit-scheduler"),
        ("gcsplit-sweep", "/sweep", "gcsplit-scheduler"),
        ("gcsplit2-sweep", "/sweep", "gcsplit2-scheduler"),
        ("gcwebhook-sweep", "/sweep", "gcwebhook-scheduler"),
        ("paynowwebhook-sweep", "/sweep", "paynowwebhook-scheduler"),
        ("paynowworker-sweep", "/sweep", "paynowworker-scheduler"),
    ]


def test_every_account_is_listed_with_its_purpose(project: Project) -> None:
    system = load(project.root)
    accounts = system.account_ids()

    assert accounts["split-payment-invoker"] == "dispatches of split-payment-queue"
    scheduled = [service for service in system.services.values() if service.schedules]
    assert len(accounts) == 2 + len(system.services) + len(scheduled) + len(system.queues) + len(system.topics)


def test_a_database_brings_its_roles(project: Project) -> None:
    assert load(project.root).service("gcsplit").all_project_roles == (
        "roles/cloudsql.client",
        "roles/cloudsql.instanceUser",
    )


def test_an_unknown_name_is_answered_with_the_nearest(project: Project) -> None:
    with pytest.raises(UnknownName, match="did you mean gcsplit"):
        load(project.root).service("gcsplti")


def test_a_system_cannot_be_changed(project: Project) -> None:
    system = load(project.root)

    with pytest.raises((AttributeError, ValueError)):
        system.queue("split-payment-queue").rate.concurrent = 1
