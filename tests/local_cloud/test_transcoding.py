"""JSON in and out as Google's front end does it: names, wording, limits; and nothing that is sent breaks it."""

import base64
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from local_cloud.descriptors import message, methods, pool
from local_cloud.errors import ApiError
from local_cloud.registry import Api, Binding
from local_cloud.server import fields, json_codec, transcode
from local_cloud.server.router import Match, Router
from tests.dose import share
from tests.fidelity import pins

pins(
    "front_end",
    "REST and gRPC",
    "Paths, query and body to one message, custom verbs, several bindings, encoded slashes",
    documented="google/api/http.proto",
)

TASKS = "google.cloud.tasks.v2.CloudTasks"
QUEUE = "projects/p/locations/l/queues/q"


def router(*services: str) -> Router:
    made = Router()
    api = Api("test", services=services)
    for service in services:
        for method in methods(service).values():
            for rule in method.rules:
                binding = Binding(api, lambda: None, None, None, method=method)
                made.add(binding, rule.verb, rule.template, rule.body, rule.response_body)
    return made


def match(verb: str, path: str, *services: str) -> Match:
    found = router(*(services or (TASKS,))).match(verb, path)
    assert found is not None
    return found


def request(verb: str, path: str, body: Any = None, query: str = "", service: str = TASKS) -> Any:
    raw = b"" if body is None else orjson.dumps(body)
    return transcode.to_request(match(verb, path, service), transcode.parse_query(query.encode()), raw)


def refusal(verb: str, path: str, body: Any = None, query: str = "", service: str = TASKS) -> str:
    with pytest.raises(ApiError) as caught:
        request(verb, path, body, query, service)
    assert caught.value.code == "INVALID_ARGUMENT"
    return caught.value.text


def test_path_query_and_body_make_one_message() -> None:
    made = request(
        "POST", f"/v2/{QUEUE}/tasks", {"task": {"httpRequest": {"url": "http://x/"}}, "responseView": "FULL"}
    )
    assert (made.parent, made.task.http_request.url, made.response_view) == (QUEUE, "http://x/", 2)
    made = request(
        "PATCH", f"/v2/{QUEUE}", {"rateLimits": {"maxDispatchesPerSecond": 5}}, "updateMask=rateLimits,retry_config"
    )
    assert (made.queue.name, list(made.update_mask.paths)) == (QUEUE, ["rate_limits", "retry_config"])
    assert made.queue.rate_limits.max_dispatches_per_second == 5


@pytest.mark.parametrize("name", ["pageSize", "page_size"])
def test_query_names_may_be_camel_or_snake(name: str) -> None:
    assert request("GET", "/v2/projects/p/locations/l/queues", query=f"{name}=7").page_size == 7


def test_the_path_wins_over_the_body() -> None:
    assert request("PATCH", f"/v2/{QUEUE}", {"name": "projects/other"}).queue.name == QUEUE


def test_custom_verbs_and_colons_in_names_are_told_apart() -> None:
    assert match("POST", f"/v2/{QUEUE}:pause").params == {"name": QUEUE}
    service = "google.api.serviceusage.v1.ServiceUsage"
    found = match("POST", "/v1/projects/p/services/cloudtasks.googleapis.com:enable", service)
    assert found.params == {"name": "projects/p/services/cloudtasks.googleapis.com"}
    encoded = match("POST", f"/v2/{QUEUE}%3Apause")
    assert encoded.route.binding.method is not None
    assert encoded.route.binding.method.name == "PauseQueue"


def test_names_of_logs_keep_their_encoded_slash() -> None:
    found = match("DELETE", "/v2/projects/p/logs/run.googleapis.com%2Fstdout", "google.logging.v2.LoggingServiceV2")
    assert found.params == {"log_name": "projects/p/logs/run.googleapis.com%2Fstdout"}


def test_a_method_with_two_paths_answers_at_both() -> None:
    assert match("POST", f"/v2/{QUEUE}/tasks:buffer").params == {"queue": QUEUE}
    assert match("POST", f"/v2/{QUEUE}/tasks/t1:buffer").params == {"queue": QUEUE, "task_id": "t1"}


@pins(
    "front_end",
    "REST and gRPC",
    "Words for unknown names, wrong values and second members of a oneof; all violations at once",
    observed="esf answers",
)
def test_unknown_names_are_refused_in_googles_words() -> None:
    text = refusal("POST", f"/v2/{QUEUE}/tasks", {"task": {"x": 1}, "y": 2})
    assert text.split("\n") == [
        "Invalid JSON payload received. Unknown name \"x\" at 'task': Cannot find field.",
        'Invalid JSON payload received. Unknown name "y": Cannot find field.',
    ]
    assert refusal("GET", f"/v2/{QUEUE}", query="foo=1") == (
        'Invalid JSON payload received. Unknown name "foo": Cannot bind query parameter. '
        "Field 'foo' could not be found in request message."
    )


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"name": 5}, "Invalid value at 'queue.name' (TYPE_STRING), 5"),
        (
            {"rateLimits": {"maxConcurrentDispatches": "many"}},
            "Invalid value at 'queue.rate_limits.max_concurrent_dispatches' (TYPE_INT32), \"many\"",
        ),
        (
            {"rateLimits": {"maxConcurrentDispatches": 2**31}},
            "Invalid value at 'queue.rate_limits.max_concurrent_dispatches' (TYPE_INT32), 2147483648",
        ),
        (
            {"state": "ASLEEP"},
            "Invalid value at 'queue.state' (type.googleapis.com/google.cloud.tasks.v2.Queue.State), \"ASLEEP\"",
        ),
        (
            {"retryConfig": {"minBackoff": "5"}},
            "Invalid value at 'queue.retry_config.min_backoff' (type.googleapis.com/google.protobuf.Duration), "
            "Illegal duration format; duration must end with 's'",
        ),
        (
            {"rateLimits": [1]},
            "Invalid JSON payload received. Unknown name \"rate_limits\" at 'queue': "
            "Proto field is not repeating, cannot start list.",
        ),
    ],
)
def test_wrong_values_are_refused_in_googles_words(body: Any, text: str) -> None:
    assert refusal("POST", "/v2/projects/p/locations/l/queues", body) == text


def test_two_members_of_a_oneof_are_refused() -> None:
    body = {"task": {"httpRequest": {"url": "http://x", "oidcToken": {}, "oauthToken": {}}}}
    assert "oneof field 'authorization_header' is already set" in refusal("POST", f"/v2/{QUEUE}/tasks", body)


def test_what_is_no_json_is_refused_in_googles_words() -> None:
    with pytest.raises(ApiError, match="Invalid JSON payload received"):
        transcode.parse_json(b'{"a": nope}')
    assert transcode.parse_json(b"  ") is None


def test_bytes_come_in_any_base64_and_go_out_in_one() -> None:
    raw = b"\xfb\xff\xfe?"
    for text in (base64.b64encode(raw), base64.urlsafe_b64encode(raw), base64.b64encode(raw).rstrip(b"=")):
        made = request("POST", f"/v2/{QUEUE}/tasks", {"task": {"httpRequest": {"body": text.decode()}}})
        assert made.task.http_request.body == raw
        assert json_codec.encode(made)["task"]["httpRequest"]["body"] == base64.b64encode(raw).decode()


def test_enums_are_numbers_when_asked_for() -> None:
    made = json_codec.parse("google.cloud.tasks.v2.Queue", b'{"state": "PAUSED"}')
    assert json_codec.encode(made) == {"state": "PAUSED"}
    assert json_codec.encode(made, enum_ints=True) == {"state": 2}


@pins(
    "front_end",
    "REST and gRPC",
    "`$alt=json;enum-encoding=int`, prettyPrint, fields, key, quotaUser, access_token and other system parameters",
    documented="system parameters",
)
@pytest.mark.parametrize(
    ("wanted", "selected"),
    [
        ("services/name,nextPageToken", {"services": [{"name": "a"}], "nextPageToken": "t"}),
        ("services(name,config/title)", {"services": [{"name": "a", "config": {"title": "T"}}]}),
        ("*/name", {"services": [{"name": "a"}], "nextPageToken": "t"}),
        ("services", {"services": [{"name": "a", "config": {"title": "T", "x": 1}}]}),
    ],
)
def test_fields_selects_a_part(wanted: str, selected: Any) -> None:
    value = {"services": [{"name": "a", "config": {"title": "T", "x": 1}}], "nextPageToken": "t"}
    assert fields.select(value, wanted) == selected


def test_a_bad_selection_is_a_400() -> None:
    for wanted in ("a(b", "a//b", ")", "a,,b"):
        with pytest.raises(ApiError, match="Invalid field selection"):
            fields.select({}, wanted)


SAMPLES = [
    ("google.cloud.tasks.v2.Task", {"scheduleTime": "2030-01-02T03:04:05.678Z", "dispatchDeadline": "1.500s"}),
    ("google.logging.v2.LogEntry", {"jsonPayload": {"a": [1, None, {"b": "c"}], "x": 1.5}, "labels": {"k": "v"}}),
    (
        "google.longrunning.Operation",
        {"done": True, "response": {"@type": "type.googleapis.com/google.protobuf.Empty"}},
    ),
    ("google.monitoring.v3.AlertPolicy", {"enabled": False, "displayName": "d", "combiner": "OR"}),
]


@pins(
    "front_end",
    "REST and gRPC",
    "Names in camel and snake case; enums by name or number; 64-bit integers and base64 in every form",
    documented="proto3 JSON mapping",
)
@pytest.mark.parametrize(("kind", "value"), SAMPLES)
def test_the_codec_agrees_with_protobufs_own(kind: str, value: Any) -> None:
    ours = json_codec.parse(kind, orjson.dumps(value))
    theirs = json_format.ParseDict(value, message(kind)(), descriptor_pool=pool())
    assert ours == theirs
    shown = json_codec.encode(ours)
    assert json_codec.parse(kind, orjson.dumps(shown)) == ours


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = sorted(f.json_name for f in pool().FindMessageTypeByName("google.cloud.tasks.v2.Task").fields)


@settings(max_examples=share(300, 100), deadline=None)
@given(body=st.dictionaries(st.sampled_from([*NAMES, "task", "responseView"]), JSON, max_size=4), inner=st.booleans())
def test_no_body_breaks_the_parser(body: Any, inner: bool) -> None:
    raw = (
        orjson.dumps(
            {"task": body} if inner else body, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME
        )
        if _fits(body)
        else b"{"
    )
    made = outcome(lambda: transcode.to_request(match("POST", f"/v2/{QUEUE}/tasks"), {}, raw))
    assert made == 400 or json_codec.encode(made) is not None


def outcome(work: Callable[[], Any]) -> Any:
    """What the work gives, or the HTTP status of its refusal."""
    try:
        return work()
    except ApiError as error:
        return error.http_status


def _fits(value: Any) -> bool:
    try:
        orjson.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


@settings(max_examples=share(200, 70), deadline=None)
@given(
    path=st.text(max_size=60), query=st.dictionaries(st.text(max_size=10), st.lists(st.text(max_size=8), max_size=3))
)
def test_no_path_or_query_breaks_the_router(path: str, query: dict[str, list[str]]) -> None:
    ROUTER.match("GET", path)
    found = match("GET", "/v2/projects/p/locations/l/queues")
    made = outcome(lambda: transcode.to_request(found, query, b""))
    assert made == 400 or made.parent


ROUTER = router(TASKS)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(ValueError, match="Message too deep"):
        json_codec.parse("google.protobuf.Value", b"[" * 300 + b"1" + b"]" * 300)
    with pytest.raises(ApiError, match="Invalid JSON payload"):
        transcode.parse_json(b"[" * 5000)
