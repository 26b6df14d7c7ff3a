"""Log buckets and views: retention on the moved clock, locks, deletion that can be taken back, who may read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place, inside
from tests.local_cloud.logging_client import BUCKETS, NAME, Logs, logs
from tests.local_cloud.run_client import Answer, http

DAY = 86_400


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with inside(tmp_path_factory.mktemp("log-buckets") / "state") as made:
        yield made


@pytest.fixture
def log(place: Place) -> Iterator[Logs]:
    with logs(place) as made:
        yield made


def routed(log: Logs, name: str, **bucket: Any) -> str:
    """A bucket that gets entries whose text is its name; gives the view of all of them."""
    log.bucket(name, **bucket)
    destination = f"logging.googleapis.com/{BUCKETS}/{name}"
    sink = {"name": name, "destination": destination, "filter": f'textPayload="{name}"'}
    log.config.create_sink(parent=NAME, sink=sink)
    return f"{BUCKETS}/{name}/views/_AllLogs"


def update(log: Logs, name: str, **bucket: Any) -> Any:
    request = {"name": f"{BUCKETS}/{name}", "bucket": bucket, "update_mask": {"paths": list(bucket)}}
    return log.config.update_bucket(request=request)


@pins(
    "logging",
    "Sinks, buckets, views",
    "Entries expire by their bucket's retention (1 to 3650 days) on the moved clock; a longer one keeps them",
    documented="LogBucket.retention_days",
)
def test_entries_expire_by_their_buckets_retention(log: Logs) -> None:
    short, long = routed(log, "short", retention_days=1), routed(log, "long", retention_days=60)
    log.write({"text_payload": "short"}, {"text_payload": "long"})
    assert (log.texts(short), log.texts(long)) == (["short"], ["long"])
    log.advance(2 * DAY)
    assert (log.texts(short), log.texts(long)) == ([], ["long"])
    log.advance(30 * DAY)
    assert log.texts(long) == ["long"]
    assert log.texts(NAME, 'textPayload="long"') == ["long"], "gone from _Default, still in a bucket of the project"
    assert update(log, "long", retention_days=10).retention_days == 10
    assert log.texts(long) == []


@pins(
    "logging",
    "Sinks, buckets, views",
    "A deleted bucket takes and shows nothing; within 7 days it comes back with its entries, then it is gone",
    documented="ConfigServiceV2.DeleteBucket",
)
def test_deleted_bucket_can_be_brought_back_for_a_week(log: Logs) -> None:
    where = routed(log, "doomed")
    log.write({"text_payload": "doomed"})
    name = {"name": f"{BUCKETS}/doomed"}
    log.config.delete_bucket(request=name)
    assert log.config.get_bucket(request=name).lifecycle_state.name == "DELETE_REQUESTED"
    log.write({"text_payload": "doomed"})
    assert log.texts(where) == []
    error = 'labels.sink_id="doomed" labels.error_code="bucket_not_found"'
    assert len(log.texts(NAME, error, "logging.googleapis.com/sink_error")) == 1
    with pytest.raises(exceptions.FailedPrecondition):
        update(log, "doomed", description="d")
    with pytest.raises(exceptions.AlreadyExists):
        log.bucket("doomed")
    log.config.undelete_bucket(request=name)
    assert log.texts(where) == ["doomed"]
    with pytest.raises(exceptions.FailedPrecondition):
        log.config.undelete_bucket(request=name)
    log.config.delete_bucket(request=name)
    log.advance(7 * DAY + 1)
    with pytest.raises(exceptions.NotFound):
        log.config.get_bucket(request=name)
    log.bucket("doomed")
    assert log.texts(where) == []


@pins(
    "logging",
    "Sinks, buckets, views",
    "A locked bucket keeps its retention and its lock, and is deleted only when empty; _Required cannot be changed, "
    "_Default not deleted; analytics stay enabled",
    documented="LogBucket.locked, .analytics_enabled",
    ours=True,
)
def test_locked_bucket_keeps_its_retention(log: Logs) -> None:
    routed(log, "locked", retention_days=5, analytics_enabled=True)
    assert update(log, "locked", locked=True).locked
    for change in ({"retention_days": 6}, {"locked": False}):
        with pytest.raises(exceptions.FailedPrecondition):
            update(log, "locked", **change)
    with pytest.raises(exceptions.InvalidArgument, match="Analytics"):
        update(log, "locked", analytics_enabled=False)
    assert update(log, "locked", description="d").description == "d"
    log.write({"text_payload": "locked"})
    with pytest.raises(exceptions.FailedPrecondition, match="empty"):
        log.config.delete_bucket(request={"name": f"{BUCKETS}/locked"})
    log.advance(6 * DAY)
    log.config.delete_bucket(request={"name": f"{BUCKETS}/locked"})
    for name in ("_Required", "_Default"):
        with pytest.raises(exceptions.InvalidArgument):
            log.config.delete_bucket(request={"name": f"{BUCKETS}/{name}"})
    with pytest.raises(exceptions.InvalidArgument):
        update(log, "_Required", retention_days=30)
    assert update(log, "_Default", retention_days=31).retention_days == 31
    update(log, "_Default", retention_days=30)


@pytest.mark.parametrize(
    ("name", "bucket", "said"),
    [
        ("a b", {}, "Invalid bucket ID"),
        ("_own", {}, "Invalid bucket ID"),
        ("days", {"retention_days": 3651}, "between 1 and 3650"),
        ("days", {"retention_days": -1}, "between 1 and 3650"),
    ],
)
def test_wrong_bucket_is_refused(log: Logs, name: str, bucket: dict[str, Any], said: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=said):
        log.bucket(name, **bucket)


@pins(
    "logging",
    "Sinks, buckets, views",
    "Views show what their filter lets through; user's own may ask for resource.type, LOG_ID and source only",
    documented="Log views",
)
def test_view_shows_what_its_filter_lets_through(log: Logs) -> None:
    parent = f"{BUCKETS}/_Default"
    view = {"filter": 'resource.type="cloud_run_job" AND LOG_ID("test-log")', "description": "d"}
    made = log.config.create_view(request={"parent": parent, "view_id": "jobs", "view": view})
    log.write({"text_payload": "v"})
    log.write({"text_payload": "v"}, resource={"type": "cloud_run_job"})
    assert log.texts(made.name, 'textPayload="v"') == ["v"]
    log.config.update_view(request={"name": made.name, "view": {"filter": ""}, "update_mask": {"paths": ["filter"]}})
    assert log.texts(made.name, 'textPayload="v"') == ["v", "v"]
    assert [one.name.rpartition("/")[2] for one in log.config.list_views(parent=parent)] == [
        "_AllLogs", "_Default", "jobs"]  # fmt: skip
    for text in ("severity>=ERROR", 'jsonPayload.a="resource.type"', 'LOG_ID("a") AND "word" : 3'):
        with pytest.raises(exceptions.InvalidArgument):
            log.config.create_view(request={"parent": parent, "view_id": "wrong", "view": {"filter": text}})
    with pytest.raises(exceptions.InvalidArgument):
        log.config.delete_view(request={"name": f"{parent}/views/_AllLogs"})
    log.config.delete_view(request={"name": made.name})
    with pytest.raises(exceptions.NotFound):
        log.texts(made.name)


def call(place: Place, method: str, path: str, body: Any = None, *, door: str = "rest", token: str = "") -> Answer:
    data = None if body is None else json.dumps(body).encode()
    headers = {"content-type": "application/json", **({"authorization": f"Bearer {token}"} if token else {})}
    return http(f"http://127.0.0.1:{place.ports[door]}{path}", method=method, body=data, headers=headers)


@pins(
    "logging",
    "Sinks, buckets, views",
    "A view is read with logging.views.access on it, which its own policy may give; a project's entries with "
    "logging.logEntries.list, which opens _Default's view _Default and _Required as well",
    documented="Control access to a log view",
)
def test_view_is_read_by_those_whom_its_policy_names(place: Place, log: Logs) -> None:
    call(place, "POST", f"/v1/{NAME}/serviceAccounts", {"accountId": "reader"})
    email = f"reader@{PROJECT}.iam.gserviceaccount.com"
    mint = f"/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    scope = {"scope": ["https://www.googleapis.com/auth/cloud-platform"]}
    token = call(place, "POST", mint, scope).json["accessToken"]
    view = f"{BUCKETS}/_Default/views/_Default"

    def read(where: str) -> int:
        body = {"resourceNames": [where]}
        return call(place, "POST", "/v2/entries:list", body, door="service_rest", token=token).status

    assert (read(view), read(NAME)) == (403, 403)
    policy = {"policy": {"bindings": [{"role": "roles/logging.viewAccessor", "members": [f"serviceAccount:{email}"]}]}}
    assert call(place, "POST", f"/v2/{view}:setIamPolicy", policy).status == 200
    assert call(place, "POST", f"/v2/{view}:getIamPolicy", {}).json["bindings"] == policy["policy"]["bindings"]
    assert (read(view), read(f"{BUCKETS}/_Default/views/_AllLogs"), read(NAME)) == (200, 403, 403)
    assert call(place, "POST", f"/v2/{view}:setIamPolicy", {"policy": {}}).status == 200
    viewer = {"policy": {"bindings": [{"role": "roles/logging.viewer", "members": [f"serviceAccount:{email}"]}]}}
    assert call(place, "POST", f"/v1/{NAME}:setIamPolicy", viewer).status == 200
    required = f"{BUCKETS}/_Required/views/_AllLogs"
    assert [read(where) for where in (view, required, NAME)] == [200, 200, 200]
    assert read(f"{BUCKETS}/_Default/views/_AllLogs") == 403


@pins(
    "logging",
    "Sinks, buckets, views",
    "The REST calls of the gcp provider for a bucket: read, create or patch, async with a finished operation, delete; "
    "CMEK, indexes and analytics kept",
    documented="projects.locations.buckets",
)
def test_provider_calls_of_a_bucket(place: Place) -> None:
    path = f"/v2/{NAME}/locations/global/buckets"
    assert call(place, "GET", f"{path}/provided").status == 404
    key = f"projects/{PROJECT}/locations/global/keyRings/r/cryptoKeys/k"
    body = {"description": "d", "retentionDays": 40, "cmekSettings": {"kmsKeyName": key},
            "indexConfigs": [{"fieldPath": "jsonPayload.unique_id", "type": "INDEX_TYPE_STRING"}]}  # fmt: skip
    made = call(place, "POST", f"{path}?bucketId=provided", body).json
    assert call(place, "GET", f"{path}/provided").json == made
    assert (made["name"], made["retentionDays"], made["lifecycleState"]) == (f"{BUCKETS}/provided", 40, "ACTIVE")
    assert made["cmekSettings"]["kmsKeyName"] == key
    assert made["indexConfigs"][0]["fieldPath"] == "jsonPayload.unique_id"
    changed = call(place, "PATCH", f"{path}/provided?updateMask=retentionDays,description", {"retentionDays": 7})
    assert (changed.json["retentionDays"], "description" in changed.json) == (7, False)
    body = {"analyticsEnabled": True}
    operation = call(place, "POST", f"{path}/provided:updateAsync?updateMask=analyticsEnabled", body).json
    assert (operation["done"], operation["response"]["analyticsEnabled"]) == (True, True)
    assert call(place, "GET", f"/v2/{operation['name']}").json["done"]
    assert call(place, "DELETE", f"{path}/provided").json == {}
    assert call(place, "GET", f"{path}/provided").json["lifecycleState"] == "DELETE_REQUESTED"


def test_buckets_sinks_and_where_entries_lie_survive_a_restart(tmp_path: Path) -> None:
    with inside(tmp_path / "state") as place, logs(place) as log:
        where = routed(log, "kept")
        log.write({"text_payload": "kept"})
        exclusion = {"name": "e", "filter": 'textPayload="kept"'}
        log.config.create_exclusion(parent=NAME, exclusion=exclusion)
        log.write({"text_payload": "kept"})
        log.bucket("gone")
        log.config.delete_bucket(request={"name": f"{BUCKETS}/gone"})
    with inside(tmp_path / "state") as place, logs(place) as log:
        assert log.texts(where) == ["kept", "kept"]
        assert log.texts(f"{BUCKETS}/_Default/views/_AllLogs", 'textPayload="kept"') == ["kept"]
        log.write({"text_payload": "kept"})
        assert len(log.texts(where)) == 3
        log.advance(8 * DAY)
        names = [one.name.rpartition("/")[2] for one in log.config.list_buckets(parent=f"{NAME}/locations/global")]
        assert names == ["_Default", "_Required", "kept"]
