"""The settings of a queue: masks that reach into them, their limits, and what they read back as."""

from collections.abc import Callable
from typing import Any

import pytest
import requests
from google.api_core import exceptions
from google.protobuf import field_mask_pb2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PARENT, Place


@pins(
    "cloud_tasks",
    "Queues",
    "An update mask takes nested paths, camelCase and `*`; what a path names and the caller leaves out goes back to "
    "its default; unknown paths are refused",
    documented="UpdateQueueRequest, FieldMask",
)
def test_masks_reach_into_a_queue(place: Place, client: Any, queue: str) -> None:
    given = {
        "name": queue,
        "rate_limits": {"max_dispatches_per_second": 7, "max_concurrent_dispatches": 8},
        "retry_config": {"max_attempts": 9, "max_doublings": 3, "min_backoff": {"seconds": 2}},
        "stackdriver_logging_config": {"sampling_ratio": 0.5},
    }
    client.update_queue(queue=given)
    cases: list[tuple[str, Callable[[Any], bool]]] = [
        ("rate_limits.max_dispatches_per_second", lambda q: q.rate_limits.max_dispatches_per_second == 500),
        ("retry_config.max_attempts", lambda q: q.retry_config.max_attempts == 100),
        ("retry_config.min_backoff", lambda q: q.retry_config.min_backoff.total_seconds() == 0.1),
        ("stackdriver_logging_config.sampling_ratio", lambda q: q.stackdriver_logging_config.sampling_ratio == 0),
    ]
    for path, read in cases:
        changed = client.update_queue(queue={"name": queue}, update_mask=field_mask_pb2.FieldMask(paths=[path]))
        assert read(changed), path
    assert changed.rate_limits.max_concurrent_dispatches == 8
    assert changed.retry_config.max_doublings == 3
    whole = client.update_queue(queue={"name": queue}, update_mask=field_mask_pb2.FieldMask(paths=["*"]))
    assert (whole.rate_limits.max_concurrent_dispatches, whole.retry_config.max_doublings) == (1000, 16)
    assert whole.state.name == "PAUSED"
    answer = requests.patch(
        f"{place.rest}/v2/{queue}?updateMask=retryConfig.maxAttempts,rateLimits.maxDispatchesPerSecond",
        json={"retryConfig": {"maxAttempts": 4, "maxDoublings": 9}, "rateLimits": {"maxDispatchesPerSecond": 3}},
        timeout=30,
    ).json()
    assert (answer["retryConfig"]["maxAttempts"], answer["retryConfig"]["maxDoublings"]) == (4, 16)
    assert answer["rateLimits"]["maxDispatchesPerSecond"] == 3
    whole = client.get_queue(name=queue)
    for path in ("rate_limits.nonsense", "retry_config.max_attempts.more", "type", "rate_limits."):
        with pytest.raises(exceptions.GoogleAPICallError, match="update mask"):
            client.update_queue(queue={"name": queue}, update_mask=field_mask_pb2.FieldMask(paths=[path]))
    for path in ("name", "state", "purge_time", "rate_limits.max_burst_size"):
        ignored = client.update_queue(
            queue={"name": queue, "state": 1, "rate_limits": {"max_burst_size": 7}},
            update_mask=field_mask_pb2.FieldMask(paths=[path]),
        )
        assert ignored == whole


@pins(
    "cloud_tasks",
    "Queues",
    "max_burst_size is output only: what a caller says, even a negative number, is ignored",
    documented="RateLimits",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
def test_a_burst_that_a_caller_names_is_ignored(client: Any, name: str) -> None:
    made = client.create_queue(parent=PARENT, queue={"name": name, "rate_limits": {"max_burst_size": -1}})
    assert made.rate_limits.max_burst_size == 100


@pins(
    "cloud_tasks",
    "Queues",
    "At most 5000 concurrent dispatches, negative numbers refused, each in Google's words",
    observed="conformance runs published by aertje/cloud-tasks-emulator",
)
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"rate_limits": {"max_dispatches_per_second": -1}}, "RateLimits.maxDispatchesPerSecond cannot be negative."),
        (
            {"rate_limits": {"max_concurrent_dispatches": 5001}},
            "RateLimits.maxConcurrentDispatches must be less than or equal to 5000.",
        ),
        ({"retry_config": {"max_doublings": -1}}, "RetryConfig.maxDoublings cannot be negative."),
        ({"retry_config": {"max_backoff": {"seconds": -1}}}, "RetryConfig.maxBackoff cannot be negative."),
        (
            {"stackdriver_logging_config": {"sampling_ratio": 1.1}},
            "StackdriverLoggingConfig.samplingRatio must be between 0.0 and 1.0, inclusive.",
        ),
    ],
)
def test_numbers_out_of_range_are_refused_in_googles_words(
    client: Any, name: str, fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(exceptions.GoogleAPICallError) as refused:
        client.create_queue(parent=PARENT, queue={"name": name, **fields})
    assert message in refused.value.message


@pins("cloud_tasks", "Queues", "max_retry_duration is cut to whole seconds", documented="RetryConfig")
@pins(
    "cloud_tasks",
    "Queues",
    "max_attempts and max_doublings of 0 mean the default: the wire cannot tell 0 from unset",
    ours=True,
)
def test_what_a_retry_config_reads_back_as(client: Any, name: str) -> None:
    given = {"max_retry_duration": {"seconds": 9, "nanos": 900_000_000}, "max_attempts": 0, "max_doublings": 0}
    retried = client.create_queue(parent=PARENT, queue={"name": name, "retry_config": given}).retry_config
    assert retried.max_retry_duration.total_seconds() == 9
    assert (retried.max_attempts, retried.max_doublings) == (100, 16)
