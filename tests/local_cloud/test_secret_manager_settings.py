"""Secret Manager's everyday calls over both wires, and what a secret's settings may be."""

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import secretmanager_v1 as sm

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.google_clients import client

PARENT = f"projects/{PROJECT}"
REGION = f"{PARENT}/locations/us-central1"
AUTOMATIC: dict[str, Any] = {"automatic": {}}
TOPICS = [{"name": f"{PARENT}/topics/rotate"}]
HOUR = {"seconds": 3600}


@pytest.fixture(params=["grpc", "rest"])
def secrets(place: Place, request: pytest.FixtureRequest) -> Iterator[Any]:
    with client(place, "secrets", request.param) as made:
        made.wire = request.param
        yield made


def create(secrets: Any, name: str, parent: str = PARENT, **settings: Any) -> Any:
    body = settings if "/locations/" in parent else {"replication": AUTOMATIC, **settings}
    wired = f"{name}-{secrets.wire}"
    return secrets.create_secret(request={"parent": parent, "secret_id": wired, "secret": body})


def change(secrets: Any, name: str, *paths: str, **settings: Any) -> Any:
    return secrets.update_secret(
        request={"secret": {"name": name, **settings}, "update_mask": {"paths": paths or list(settings)}}
    )


@pins(
    "secret_manager", "Secrets and versions", "Google's own client over gRPC and REST: everyday calls", documented="v1"
)
def test_a_secrets_life(secrets: Any) -> None:
    made = create(secrets, "life", labels={"team": "a"}, annotations={"Note": "x"})
    name = f"{PARENT}/secrets/life-{secrets.wire}"
    for data in (b"one", b"two"):
        secrets.add_secret_version(parent=name, payload={"data": data})
    listed = list(secrets.list_secret_versions(request={"parent": name, "page_size": 1}))
    assert [v.name.rpartition("/")[2] for v in listed] == ["2", "1"]
    assert secrets.access_secret_version(name=f"{name}/versions/latest").payload.data == b"two"
    secrets.disable_secret_version(name=f"{name}/versions/1")
    enabled = list(secrets.list_secret_versions(request={"parent": name, "filter": "state:ENABLED"}))
    assert [v.name.rpartition("/")[2] for v in enabled] == ["2"]
    changed = change(secrets, name, version_aliases={"prod": 2}, labels={"team": "b"})
    assert (dict(changed.version_aliases), dict(changed.labels), changed.etag != made.etag) == (
        {"prod": 2},
        {"team": "b"},
        True,
    )
    assert secrets.get_secret(name=name) == changed
    assert change(secrets, name, "etag") == changed
    with pytest.raises(exceptions.BadRequest, match="etag"):
        secrets.delete_secret(request={"name": name, "etag": made.etag})
    policy = secrets.get_iam_policy(request={"resource": name})
    policy.bindings.add(role="roles/secretmanager.secretAccessor", members=["user:ann@example.com"])
    assert secrets.set_iam_policy(request={"resource": name, "policy": policy}).bindings == policy.bindings
    secrets.delete_secret(name=name)
    with pytest.raises(exceptions.NotFound):
        secrets.get_secret(name=name)
    with pytest.raises(exceptions.MethodNotImplemented, match=r"secret_manager\.py"):
        secrets.rotate_secret(request={"parent": name})


@pins("secret_manager", "Secrets and versions", "Regional secrets stand below their location", documented="REST v1")
def test_a_regional_secret_is_another_than_the_global_one(secrets: Any) -> None:
    create(secrets, "both")
    create(secrets, "both", REGION)
    name = f"{REGION}/secrets/both-{secrets.wire}"
    secrets.add_secret_version(parent=name, payload={"data": b"here"})
    assert secrets.access_secret_version(name=f"{name}/versions/1").payload.data == b"here"
    with pytest.raises(exceptions.NotFound):
        secrets.access_secret_version(name=f"{PARENT}/secrets/both-{secrets.wire}/versions/1")
    assert f"both-{secrets.wire}" in {s.name.rpartition("/")[2] for s in secrets.list_secrets(parent=REGION)}
    with pytest.raises(exceptions.BadRequest, match="regional"):
        secrets.create_secret(request={"parent": REGION, "secret_id": "r", "secret": {"replication": AUTOMATIC}})


@pins(
    "secret_manager",
    "Secrets and versions",
    "Settings are checked before they are kept: replication, labels, annotations, topics, rotation, times",
    documented="Secret, quotas",
)
@pytest.mark.parametrize(
    "settings",
    [
        {"replication": {"user_managed": {"replicas": []}}},
        {"replication": {"user_managed": {"replicas": [{"location": "a"}, {"location": "a"}]}}},
        {"annotations": {"k": "v" * 16_385}},
        {"annotations": {" ": "v"}},
        {"labels": {f"l{n}": "" for n in range(65)}},
        {"topics": [{"name": "rotate"}]},
        {"topics": TOPICS * 11},
        {"rotation": {"next_rotation_time": "2999-01-01T00:00:00Z"}},
        {"topics": TOPICS, "rotation": {"rotation_period": HOUR}},
        {"topics": TOPICS, "rotation": {"next_rotation_time": "2001-01-01T00:00:00Z"}},
        {"expire_time": "2001-01-01T00:00:00Z"},
        {"ttl": {"seconds": -1}},
        {"version_destroy_ttl": HOUR},
    ],
    ids="-".join,
)
def test_wrong_settings_are_refused_and_change_nothing(secrets: Any, settings: dict[str, Any]) -> None:
    typed = {name: timed(value) for name, value in settings.items()}
    before = list(secrets.list_secrets(parent=PARENT))
    with pytest.raises(exceptions.BadRequest):
        create(secrets, "wrong", **typed)
    assert list(secrets.list_secrets(parent=PARENT)) == before
    if "replication" not in settings:
        name = f"kept-{secrets.wire}"
        kept = next((s for s in before if s.name.endswith(name)), None) or create(secrets, "kept")
        with pytest.raises(exceptions.BadRequest):
            change(secrets, f"{PARENT}/secrets/{name}", **typed)
        assert secrets.get_secret(name=f"{PARENT}/secrets/{name}") == kept


def timed(value: Any) -> Any:
    """Times as the client wants them."""
    if isinstance(value, dict):
        return {name: timed(one) for name, one in value.items()}
    if isinstance(value, str) and value.endswith("Z"):
        return datetime.datetime.fromisoformat(value)
    return value


@pins(
    "secret_manager",
    "Secrets and versions",
    "A rotation whose time has passed may stand: nothing moves it on",
    ours=True,
)
def test_rotation_is_kept_and_may_pass(secrets: Any, place: Place) -> None:
    soon = create(secrets, "clock").create_time + datetime.timedelta(days=2)
    rotation = {"rotation_period": {"seconds": 86400}, "next_rotation_time": soon}
    assert create(secrets, "rotated", topics=TOPICS, rotation=rotation).rotation.next_rotation_time == soon
    place.do(lambda cloud: cloud.clock.advance(3 * 86400))
    changed = change(secrets, f"{PARENT}/secrets/rotated-{secrets.wire}", labels={"a": "b"})
    assert changed.rotation.next_rotation_time == soon


def test_a_version_that_waits_for_its_destruction_can_be_kept(secrets: Any) -> None:
    create(secrets, "careful", version_destroy_ttl={"seconds": 86400})
    name = secrets.add_secret_version(parent=f"{PARENT}/secrets/careful-{secrets.wire}", payload={"data": b"x"}).name
    first = secrets.destroy_secret_version(name=name)
    assert (first.state, bool(first.scheduled_destroy_time)) == (sm.SecretVersion.State.DISABLED, True)
    assert secrets.destroy_secret_version(name=name) == first
    for keep in (secrets.disable_secret_version, secrets.enable_secret_version):
        assert not keep(name=name).scheduled_destroy_time
        assert secrets.destroy_secret_version(name=name).scheduled_destroy_time
    secrets.enable_secret_version(name=name)
    assert secrets.access_secret_version(name=name).payload.data == b"x"
