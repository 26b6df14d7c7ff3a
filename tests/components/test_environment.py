"""The seam of program and services: what one writes, the other reads."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from components.environment import database_url, environment
from local_engine import Result
from service_code.kit.settings import read
from spec import System, load, names
from tests.components.conftest import DIGEST, ROOT, of_type

LOCAL = {
    "gcp:project": "sluice-local",
    "gcp:region": "us-central1",
    "sluice:projectNumber": "123456789012",
    "sluice:imageDigest": DIGEST,
    "sluice:serviceUrl": "http://127.0.0.1:8580/run/{label}.{region}",
    "sluice:databaseUrl": "postgresql://{user}@127.0.0.1:8586/payments",
    "sluice:endpoints": {"cloud_tasks": "http://127.0.0.1:8582"},
    "sluice:watching": {"channels": {"slack": {"webhook": "http://127.0.0.1:8584/incidents/slack"}}},
}


@pytest.fixture(scope="module")
def system() -> System:
    return load(ROOT, "local", LOCAL)


@pytest.mark.parametrize("service", sorted(load(ROOT).services))
def test_every_service_can_start_with_its_environment(system: System, service: str) -> None:
    assert system.stack is not None
    environ = environment(system, system.stack, service)
    secrets = {name: system.secrets[name].min_length for name in system.service(service).secrets}
    given = environ | {name: "x" * size for name, size in secrets.items()}
    settings = read(service, given, secrets, stateless=not system.service(service).database)
    assert settings.url == system.stack.url(service)
    assert set(settings.queues) == {queue.name for queue in system.queues_out_of(service)}
    dead = {names.dead_letter_topic(topic.name) for topic in system.topics_into(service)}
    assert set(settings.topics) == dead | {topic.name for topic in system.topics_out_of(service)}
    assert set(settings.callers) == set(system.callers(service))


def test_who_is_met_by_way_of_a_service_without_a_database_is_said_with_all_ways_there(system: System) -> None:
    assert system.stack is not None
    into_gchostpay1 = [
        "gchostpay-payment-failed-queue",
        "gchostpay-payment-response-queue",
        "gchostpay-status-check-queue",
        "gchostpay-status-response-queue",
        "gcsplit-hostpay-trigger-queue",
    ]
    queues = json.loads(environment(system, system.stack, "gchostpay1")["QUEUES"])
    assert queues["gchostpay-status-check-queue"]["meets"] == {
        "gchostpay1": into_gchostpay1,
        "gchostpay2": ["gchostpay-status-check-queue"],
    }
    queues = json.loads(environment(system, system.stack, "gchostpay2")["QUEUES"])
    assert queues["gchostpay-status-response-queue"]["meets"] == {"gchostpay1": into_gchostpay1}


def test_an_edge_says_where_as_whom_and_for_how_long(system: System) -> None:
    assert system.stack is not None
    queues = json.loads(environment(system, system.stack, "gcsplit")["QUEUES"])
    assert queues["hostpay-execution-queue"] == {
        "path": "projects/sluice-local/locations/us-central1/queues/hostpay-execution-queue",
        "url": "http://127.0.0.1:8580/run/gchostpay-123456789012.us-central1/hostpay_webhook",
        "canary_url": "http://127.0.0.1:8580/run/canary---gchostpay-123456789012.us-central1/hostpay_webhook",
        "audience": "http://127.0.0.1:8580/run/gchostpay-123456789012.us-central1",
        "receiver": "gchostpay",
        "meets": {"gchostpay": ["gchostpay4-news-queue", "hostpay-confirm-queue", "hostpay-execution-queue"]},
        "invoker": "hostpay-execution-invoker@sluice-local.iam.gserviceaccount.com",
        "dispatch_deadline": "45s",
        "token_window": 60.0,
        "token": {"minted": "enqueue", "give_up_after": 86400.0, "fallback": True, "breaker": None},
    }


def test_only_who_may_call_is_listed(system: System) -> None:
    assert system.stack is not None
    callers = json.loads(environment(system, system.stack, "gcsplit")["CALLERS"])
    assert callers["/process_split"] == [
        "split-payment-invoker@sluice-local.iam.gserviceaccount.com",
        "gcwebhook@sluice-local.iam.gserviceaccount.com",
    ]
    assert callers["/sweep"] == ["gcsplit-scheduler@sluice-local.iam.gserviceaccount.com"]
    assert callers["/dead"] == ["sluice-operator@sluice-local.iam.gserviceaccount.com"]


def test_the_database_is_reached_by_the_connector_unless_config_names_another_way() -> None:
    stack = load(ROOT, "prod").stack
    assert stack is not None
    assert database_url(stack, "gcsplit") == (
        "postgresql://gcsplit%40sluice-prod.iam@/payments?host=/cloudsql/sluice-prod:us-central1:payments"
    )
    local = load(ROOT, "local", LOCAL).stack
    assert local is not None
    assert database_url(local, "gcsplit") == "postgresql://gcsplit%40sluice-local.iam@127.0.0.1:8586/payments"


def test_no_environment_holds_a_secret_or_an_override_outside_local(plan: Callable[[str], Result]) -> None:
    for step in of_type(plan("prod"), "Service"):
        (container,) = step.inputs["template"]["containers"]
        for variable in container["envs"]:
            secret = variable.get("valueSource", {}).get("secretKeyRef")
            assert bool(secret) != bool(variable.get("value"))
            if variable["name"] == "ENDPOINTS":
                assert variable["value"] == "{}"
