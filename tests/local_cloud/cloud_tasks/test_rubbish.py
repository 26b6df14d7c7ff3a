"""Rubbish at the door of Cloud Tasks: refused with a 4xx in Google's envelope, and nothing has changed."""

import math
import string
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.dose import share
from tests.local_cloud.cloud_places import PARENT, Place

QUEUE = f"{PARENT}/queues/q"


@pytest.fixture(scope="module")
def place(place: Place) -> Place:
    """With a paused queue."""
    requests.post(f"{place.rest}/v2/{PARENT}/queues", json={"name": QUEUE}, timeout=10).raise_for_status()
    requests.post(f"{place.rest}/v2/{QUEUE}:pause", timeout=10).raise_for_status()
    return place


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=20),
    st.sampled_from(
        ["", "5s", "-5s", "1e9s", "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "http://h/", "POST", "e30="]
    ),
)
NAMES = st.sampled_from(
    [
        *("name", "task", "queue", "httpRequest", "http_request", "url", "headers", "body", "httpMethod", "oidcToken"),
        *("serviceAccountEmail", "scheduleTime", "dispatchDeadline", "retryConfig", "maxAttempts", "minBackoff"),
        *("maxBackoff", "maxDoublings", "rateLimits", "maxDispatchesPerSecond", "maxConcurrentDispatches", "state"),
        *(
            "responseView",
            "appEngineHttpRequest",
            "httpTarget",
            "uriOverride",
            "stackdriverLoggingConfig",
            "samplingRatio",
        ),
    ]
)
BODIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=5)),
    max_leaves=12,
)
PATHS = st.sampled_from(
    [
        ("POST", f"/v2/{PARENT}/queues"),
        ("POST", f"/v2/{QUEUE}/tasks"),
        ("POST", f"/v2/{QUEUE}/tasks:batchCreate"),
        ("POST", f"/v2/{QUEUE}/tasks:batchDelete"),
        ("PATCH", f"/v2/{QUEUE}"),
        ("POST", f"/v2/{QUEUE}:setIamPolicy"),
        ("POST", f"/v2/{QUEUE}:pause"),
    ]
)


#: One cloud for all examples; and a busy machine draws slowly.
PATIENT = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


def state(place: Place) -> Any:
    """Everything that a call could change."""
    queue = requests.get(f"{place.rest}/v2/{QUEUE}", timeout=10).json()
    queues = requests.get(f"{place.rest}/v2/{PARENT}/queues", timeout=10).json()
    tasks = requests.get(f"{place.rest}/v2/{QUEUE}/tasks", timeout=10).json()
    policy = requests.post(f"{place.rest}/v2/{QUEUE}:getIamPolicy", timeout=10).json()
    return queue, queues, tasks, policy


@settings(max_examples=share(250, 60), deadline=None, suppress_health_check=PATIENT)
@given(PATHS, BODIES)
def test_no_body_breaks_the_cloud(place: Place, path: tuple[str, str], body: Any) -> None:
    verb, url = path
    before = state(place)
    answer = requests.request(verb, f"{place.rest}{url}", json=_finite(body), timeout=30)
    assert answer.status_code < 500, answer.text
    if answer.status_code != 200:
        error = answer.json()["error"]
        assert error["code"] == answer.status_code
        assert error["status"]
        assert state(place) == before


@settings(max_examples=60, deadline=None, suppress_health_check=PATIENT)
@given(PATHS, st.binary(max_size=60))
def test_no_bytes_break_the_cloud(place: Place, path: tuple[str, str], body: bytes) -> None:
    verb, url = path
    headers = {"Content-Type": "application/json"}
    answer = requests.request(verb, f"{place.rest}{url}", data=body, headers=headers, timeout=30)
    assert answer.status_code < 500, answer.text


@settings(max_examples=share(150, 50), deadline=None, suppress_health_check=PATIENT)
@given(st.sampled_from(["grpc", "rest"]), st.text(string.printable, max_size=30))
def test_no_name_breaks_the_cloud(place: Place, wire: str, name: str) -> None:
    from google.api_core import exceptions

    client = place.client(wire)
    for call in (client.get_queue, client.get_task, client.delete_task, client.pause_queue, client.delete_queue):
        try:
            call(name=name, timeout=20)
        except exceptions.ServerError as error:
            raise AssertionError(f"{name!r}: {error}") from error
        except (exceptions.ClientError, ValueError):
            pass


INTS = st.sampled_from([-(2**31), -1, 0, 1, 2, 7, 2**31 - 1])
SPANS = st.builds(
    lambda seconds, nanos: {"seconds": seconds, "nanos": nanos},
    st.sampled_from([-(2**63), -1, 0, 1, 15, 59, 315_576_000_000, 2**63 - 1]),
    st.sampled_from([-(10**9), -1, 0, 1, 999_999_999, 2**31 - 1]),
)
RATES = st.one_of(st.floats(), st.sampled_from([0.0, 5e-324, 1e-300, 499.9, 500.0]))
RETRIES = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": INTS,
        "max_doublings": INTS,
        **dict.fromkeys(("min_backoff", "max_backoff", "max_retry_duration"), SPANS),
    },
)


@settings(max_examples=share(150, 50), deadline=None, suppress_health_check=PATIENT)
@given(st.tuples(RATES, INTS), RETRIES, SPANS, SPANS)
def test_no_number_breaks_the_cloud(
    place: Place, rate: tuple[float, int], retry: dict[str, Any], schedule: dict[str, int], deadline: dict[str, int]
) -> None:
    from google.api_core import exceptions

    client = place.client("grpc")
    limits = {"max_dispatches_per_second": rate[0], "max_concurrent_dispatches": rate[1]}
    task = {"http_request": {"url": "http://127.0.0.1:9/"}, "schedule_time": schedule, "dispatch_deadline": deadline}
    calls: tuple[Callable[[], object], ...] = (
        lambda: client.update_queue(queue={"name": f"{QUEUE}-numbers", "rate_limits": limits, "retry_config": retry}),
        lambda: client.create_task(parent=f"{QUEUE}-numbers", task=task),
        lambda: client.create_task(parent=QUEUE, task={**task, "retry_config": retry}),
        lambda: client.purge_queue(name=QUEUE),
    )
    for call in calls:
        try:
            call()
        except exceptions.ServerError as error:
            raise AssertionError(f"{error}") from error
        except (exceptions.ClientError, ValueError):
            pass
    assert place.cloud is not None
    assert not [event for event in place.cloud.log.events if event["severity"] == "ERROR"]


def _finite(body: Any) -> Any:
    """JSON has no NaN."""
    if isinstance(body, float) and not math.isfinite(body):
        return str(body)
    if isinstance(body, list):
        return [_finite(item) for item in body]
    if isinstance(body, dict):
        return {key: _finite(item) for key, item in body.items()}
    return body
