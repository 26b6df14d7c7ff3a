"""Secret Manager through Google's own client, and by the services' door with nothing but a binding."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import secretmanager_v1 as sm
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceGrpcTransport,
)

from local_cloud.engines.crc32c import crc32c
from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place, inside
from tests.local_cloud.conftest import Rest

PARENT = f"projects/{PROJECT}"
SHOWN = "projects/123456789012"


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        yield sm.SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))


@pytest.fixture
def secret(client: Any, request: pytest.FixtureRequest) -> str:
    name = request.node.name.replace("[", "-").replace("]", "")[:200]
    made: dict[str, Any] = {"replication": {"automatic": {}}}
    client.create_secret(request={"parent": PARENT, "secret_id": name, "secret": made})
    return f"{PARENT}/secrets/{name}"


def add(client: Any, secret: str, data: bytes, **payload: Any) -> Any:
    return client.add_secret_version(request={"parent": secret, "payload": {"data": data, **payload}})


def read(client: Any, secret: str, version: str = "latest") -> bytes:
    return bytes(client.access_secret_version(name=f"{secret}/versions/{version}").payload.data)


@pins(
    "secret_manager",
    "Secrets and versions",
    "Secrets: create, get, list, update, delete; versions: add, get, list, access, enable, disable, "
    "destroy; the IAM methods",
    documented="SecretManagerService",
)
@pins(
    "secret_manager",
    "Secrets and versions",
    "Names in answers carry the project's number",
    observed="public records",
)
def test_versions_are_numbered_and_latest_is_the_newest(client: Any, secret: str) -> None:
    with pytest.raises(exceptions.NotFound, match="has no versions"):
        read(client, secret)
    first = add(client, secret, b"one")
    assert first.name == f"{SHOWN}/{secret.partition('/')[2].partition('/')[2]}/versions/1"
    assert first.state == sm.SecretVersion.State.ENABLED
    add(client, secret, b"two")
    assert (read(client, secret, "1"), read(client, secret)) == (b"one", b"two")
    payload = client.access_secret_version(name=f"{secret}/versions/2").payload
    assert payload.data_crc32c == crc32c(b"two")
    assert [v.name.rpartition("/")[2] for v in client.list_secret_versions(parent=secret)] == ["2", "1"]


@pins(
    "secret_manager",
    "Secrets and versions",
    "Words for missing, disabled and destroyed versions",
    observed="public issue threads",
)
def test_disabled_and_destroyed_versions_are_refused_in_googles_words(client: Any, secret: str) -> None:
    name = add(client, secret, b"x").name
    client.disable_secret_version(name=name)
    with pytest.raises(exceptions.FailedPrecondition, match=rf"\[{name}\] is in DISABLED state"):
        read(client, secret)
    client.enable_secret_version(name=name)
    assert read(client, secret) == b"x"
    destroyed = client.destroy_secret_version(name=name)
    assert destroyed.destroy_time
    for again in (client.enable_secret_version, client.disable_secret_version):
        with pytest.raises(exceptions.FailedPrecondition, match="DESTROYED"):
            again(name=name)


@pins(
    "secret_manager",
    "Secrets and versions",
    "`latest` is the newest version, whatever its state; aliases name versions that exist",
    documented="Secret",
)
def test_aliases_name_versions_that_exist(client: Any, secret: str) -> None:
    add(client, secret, b"one")
    add(client, secret, b"two")
    mask = {"paths": ["version_aliases"]}
    client.update_secret(request={"secret": {"name": secret, "version_aliases": {"prod": 1}}, "update_mask": mask})
    assert read(client, secret, "prod") == b"one"
    wrong = {"name": secret, "version_aliases": {"prod": 9}}
    with pytest.raises(exceptions.FailedPrecondition, match="versions/9"):
        client.update_secret(request={"secret": wrong, "update_mask": mask})


@pins(
    "secret_manager",
    "Secrets and versions",
    "Etags guard updates, deletions and states (FAILED_PRECONDITION)",
    documented="Secret.etag",
)
def test_etags_guard_changes(client: Any, secret: str) -> None:
    before = client.get_secret(name=secret)
    update = {"secret": {"name": secret, "labels": {"a": "b"}}, "update_mask": {"paths": ["labels"]}}
    after = client.update_secret(request=update)
    assert after.etag != before.etag
    with pytest.raises(exceptions.FailedPrecondition, match="etag"):
        client.delete_secret(request={"name": secret, "etag": before.etag})
    client.delete_secret(request={"name": secret, "etag": after.etag})
    with pytest.raises(exceptions.NotFound, match=r"Secret \[.*\] not found"):
        client.get_secret(name=secret)


@pins(
    "secret_manager",
    "Secrets and versions",
    "CRC32C given is checked, and always answered; 64 KiB a payload",
    documented="SecretPayload, quotas",
)
@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ({"data": b""}, "cannot be empty"),
        ({"data": b"x" * 65_537}, "maximum of 65536"),
        ({"data": b"x", "data_crc32c": 1}, "checksum"),
    ],
    ids=["empty", "large", "damaged"],
)
def test_wrong_payload_is_refused(client: Any, secret: str, payload: dict[str, Any], said: str) -> None:
    with pytest.raises(exceptions.InvalidArgument, match=said):
        client.add_secret_version(request={"parent": secret, "payload": payload})


def test_wrong_secret_is_refused(client: Any, secret: str) -> None:
    automatic: dict[str, Any] = {"automatic": {}}
    for secret_id, body in (("a b", {"replication": automatic}), ("ok", {}), ("ok", {"labels": {"Up": "x"}})):
        with pytest.raises(exceptions.InvalidArgument):
            client.create_secret(request={"parent": PARENT, "secret_id": secret_id, "secret": body})
    taken = {"parent": PARENT, "secret_id": secret.rpartition("/")[2], "secret": {"replication": automatic}}
    with pytest.raises(exceptions.AlreadyExists):
        client.create_secret(request=taken)
    immutable = {"secret": {"name": secret}, "update_mask": {"paths": ["replication"]}}
    with pytest.raises(exceptions.InvalidArgument, match="replication"):
        client.update_secret(request=immutable)


@pins(
    "secret_manager",
    "Secrets and versions",
    "Filters of lists: read as Logging's query language",
    ours=True,
)
def test_lists_are_paged_and_filtered(client: Any) -> None:
    for index in range(5):
        body = {"replication": {"automatic": {}}, "labels": {"team": "odd" if index % 2 else "even"}}
        client.create_secret(request={"parent": PARENT, "secret_id": f"paged-{index}", "secret": body})
    listed = client.list_secrets(request={"parent": PARENT, "page_size": 2, "filter": "name:paged"})
    assert [s.name.rpartition("/")[2] for s in listed] == [f"paged-{index}" for index in range(5)]
    odd = client.list_secrets(request={"parent": PARENT, "filter": "labels.team=odd AND name:paged"})
    assert len(list(odd)) == 2


@pins(
    "secret_manager",
    "Secrets and versions",
    "ttl, expire_time and version_destroy_ttl follow the moved clock",
    documented="Secret",
)
def test_expiry_and_delayed_destruction_follow_the_clock(client: Any, place: Place) -> None:
    body = {"replication": {"automatic": {}}, "ttl": {"seconds": 3600}}
    client.create_secret(request={"parent": PARENT, "secret_id": "short-lived", "secret": body})
    body = {"replication": {"automatic": {}}, "version_destroy_ttl": {"seconds": 86400}}
    client.create_secret(request={"parent": PARENT, "secret_id": "careful", "secret": body})
    name = add(client, f"{PARENT}/secrets/careful", b"x").name
    client.destroy_secret_version(name=name)
    assert client.get_secret_version(name=name).state == sm.SecretVersion.State.DISABLED
    place.do(lambda cloud: cloud.clock.advance(3601))
    with pytest.raises(exceptions.NotFound):
        client.get_secret(name=f"{PARENT}/secrets/short-lived")
    place.do(lambda cloud: cloud.clock.advance(86400))
    assert client.get_secret_version(name=name).state == sm.SecretVersion.State.DESTROYED


async def test_access_needs_the_binding_on_the_secret(rest: Rest, as_account: Callable[[str], Rest]) -> None:
    await rest.ok("POST", f"/v1/{PARENT}/secrets?secretId=KEY", {"replication": {"automatic": {}}})
    await rest.ok("POST", f"/v1/{PARENT}/secrets/KEY:addVersion", {"payload": {"data": "c2VjcmV0"}})
    reader = as_account("reader-account")
    status, answer = await reader("GET", f"/v1/{PARENT}/secrets/KEY/versions/latest:access")
    assert status == 403
    assert "roles/secretmanager.secretAccessor" in answer["error"]["message"]
    member = f"serviceAccount:reader-account@{PROJECT}.iam.gserviceaccount.com"
    binding = {"role": "roles/secretmanager.secretAccessor", "members": [member]}
    await rest.ok("POST", f"/v1/{PARENT}/secrets/KEY:setIamPolicy", {"policy": {"bindings": [binding]}})
    got = await reader.ok("GET", f"/v1/{PARENT}/secrets/KEY/versions/latest:access")
    assert got["payload"]["data"] == "c2VjcmV0"
    assert (await reader("GET", f"/v1/{PARENT}/secrets/KEY"))[0] == 403


@pins(
    "secret_manager",
    "Secrets and versions",
    "Payloads lie in the state unencrypted, readable by their owner only",
    ours=True,
)
def test_payloads_on_disk_are_the_owners_alone(tmp_path: Path) -> None:
    with inside(tmp_path / "state") as place, grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        made = sm.SecretManagerServiceClient(transport=SecretManagerServiceGrpcTransport(channel=channel))
        body: dict[str, Any] = {"replication": {"automatic": {}}}
        client: Any = made
        client.create_secret(request={"parent": PARENT, "secret_id": "K", "secret": body})
        add(client, f"{PARENT}/secrets/K", b"needle-in-the-state")
    found = [f for f in (tmp_path / "state").rglob("*") if f.is_file() and b"needle-in-the-state" in f.read_bytes()]
    assert found
    assert [oct(f.stat().st_mode & 0o077) for f in found] == ["0o0"] * len(found)
