"""Buckets, with Google's own client: what is kept of them, who may what, what the clock and notifications do."""

import json
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.oauth2.credentials import Credentials

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.run_client import http
from tests.local_cloud.storage.conftest import client_at


def as_account(place: Place, account: str) -> Any:
    """The client at the services' door as a service account."""
    home = f"{place.rest}/v1/projects/{PROJECT}/serviceAccounts"
    made = http(home, method="POST", body=json.dumps({"accountId": account}).encode())
    assert made.status in (200, 409)
    email = f"{account}@{PROJECT}.iam.gserviceaccount.com"
    body = b'{"scope": ["https://www.googleapis.com/auth/cloud-platform"]}'
    url = f"{place.rest}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    token = http(url, method="POST", body=body).json["accessToken"]
    credentials = Credentials(token)  # type: ignore[no-untyped-call]
    return client_at(f"http://127.0.0.1:{place.ports['service_rest']}", credentials)


@pytest.fixture
def somebody(place: Place) -> Iterator[Any]:
    made = as_account(place, "storage-user")
    yield made
    made.close()


MEMBER = f"serviceAccount:storage-user@{PROJECT}.iam.gserviceaccount.com"


def bind(bucket: Any, role: str, *members: str, condition: dict[str, str] | None = None) -> None:
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.version = 3
    policy.bindings.append({"role": role, "members": set(members), **({"condition": condition} if condition else {})})
    bucket.set_iam_policy(policy)


@pins(
    "storage",
    "Buckets",
    "A bucket is created, read, listed, patched and deleted when it is empty; what Google fills in is there",
    documented="Buckets",
)
def test_a_bucket_lives_and_is_read_back(client: Any) -> None:
    made = client.bucket("life-of-a-bucket")
    made.labels = {"team": "pay"}
    made.storage_class = "NEARLINE"
    made.iam_configuration.uniform_bucket_level_access_enabled = True
    made.iam_configuration.public_access_prevention = "enforced"
    made.versioning_enabled = True
    made.add_lifecycle_delete_rule(number_of_newer_versions=3)
    made.default_kms_key_name = "projects/sluice-local/locations/us/keyRings/r/cryptoKeys/k"
    client.create_bucket(made, location="europe-west1")
    found = client.get_bucket("life-of-a-bucket")
    assert (found.location, found.location_type, found.storage_class) == ("EUROPE-WEST1", "region", "NEARLINE")
    assert (found.labels, found.versioning_enabled, found.metageneration) == ({"team": "pay"}, True, 1)
    assert found.iam_configuration.uniform_bucket_level_access_locked_time is not None
    assert found.default_kms_key_name.endswith("cryptoKeys/k")
    assert found.soft_delete_policy.retention_duration_seconds == 7 * 86400
    assert next(iter(found.lifecycle_rules))["condition"] == {"numNewerVersions": 3}
    found.labels = {"stage": "dev"}
    found.patch()
    assert client.get_bucket("life-of-a-bucket").labels == {"stage": "dev"}
    assert found.metageneration == 2
    with pytest.raises(exceptions.Conflict, match="you already own it"):
        client.create_bucket("life-of-a-bucket")
    found.blob("x").upload_from_string("x")
    with pytest.raises(exceptions.Conflict, match="is not empty"):
        found.delete()
    found.delete(force=True)
    with pytest.raises(exceptions.NotFound, match="The specified bucket does not exist"):
        client.get_bucket("life-of-a-bucket")


@pins(
    "storage",
    "Buckets",
    "Names, labels and rules that Google refuses are refused",
    documented="Bucket names; lifecycle",
)
@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "Upper"},
        {"name": "ab"},
        {"name": "192.168.0.1"},
        {"name": "goog-x"},
        {"name": "good-name", "labels": {"UP": "x"}},
        {"name": "good-name", "storageClass": "COLD"},
        {"name": "good-name", "lifecycle": {"rule": [{"action": {"type": "Delete"}, "condition": {}}]}},
        {"name": "good-name", "lifecycle": {"rule": [{"action": {"type": "Hide"}, "condition": {"age": 1}}]}},
        {"name": "good-name", "retentionPolicy": {"retentionPeriod": "0"}},
        {},
    ],
)
def test_a_bucket_that_google_would_refuse_is_refused(place: Place, wrong: dict[str, Any]) -> None:
    answer = http(f"{place.rest}/storage/v1/b?project={PROJECT}", method="POST", body=json.dumps(wrong).encode())
    assert answer.status == 400
    assert answer.json["error"]["errors"][0]["reason"] in ("invalid", "required")


@pins(
    "storage",
    "Buckets",
    "Access is by IAM: a refusal names who, the permission and the binding that would fix it; to write over an object "
    "asks for its deletion too",
    documented="IAM permissions for JSON methods",
)
def test_access_is_by_iam(bucket: Any, somebody: Any) -> None:
    bucket.blob("a").upload_from_string("a")
    theirs = somebody.bucket(bucket.name)
    with pytest.raises(exceptions.Forbidden, match=r"storage-user@.*does not have storage.objects.get access"):
        theirs.blob("a").download_as_bytes()
    with pytest.raises(exceptions.Forbidden, match=r"storage\.buckets\.create"):
        somebody.create_bucket("not-mine")
    bind(bucket, "roles/storage.objectCreator", MEMBER)
    theirs.blob("b").upload_from_string("b")
    with pytest.raises(exceptions.Forbidden, match=r"storage\.objects\.delete"):
        theirs.blob("a").upload_from_string("over", retry=None)
    bind(bucket, "roles/storage.objectViewer", MEMBER)
    assert theirs.blob("a").download_as_bytes() == b"a"
    assert theirs.test_iam_permissions(["storage.objects.get", "storage.objects.delete"]) == ["storage.objects.get"]


@pins(
    "storage",
    "Buckets",
    "A condition speaks of an object as projects/_/buckets/B/objects/NAME, and needs uniform access",
    documented="IAM Conditions on buckets",
)
def test_a_condition_speaks_of_objects(bucket: Any, somebody: Any) -> None:
    path = f"projects/_/buckets/{bucket.name}/objects/public/"
    condition = {"title": "public", "expression": f'resource.name.startsWith("{path}")'}
    with pytest.raises(exceptions.BadRequest, match="uniform bucket-level access"):
        bind(bucket, "roles/storage.objectViewer", MEMBER, condition=condition)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.patch()
    bind(bucket, "roles/storage.objectViewer", MEMBER, condition=condition)
    for name in ("public/deep/a", "private"):
        bucket.blob(name).upload_from_string(name)
    theirs = somebody.bucket(bucket.name)
    assert theirs.blob("public/deep/a").download_as_bytes() == b"public/deep/a"
    with pytest.raises(exceptions.Forbidden):
        theirs.blob("private").download_as_bytes()


@pins(
    "storage",
    "Buckets",
    "allUsers reads without credentials; public access prevention refuses such a binding; nobody else gets a 401",
    documented="Public access prevention",
)
def test_a_public_bucket_is_read_by_all(bucket: Any, place: Place) -> None:
    bucket.blob("a").upload_from_string("a")
    door = f"http://127.0.0.1:{place.ports['service_rest']}"
    url = f"{door}/storage/v1/b/{bucket.name}/o/a?alt=media"
    assert http(url).status == 401
    bind(bucket, "roles/storage.objectViewer", "allUsers")
    assert http(url).body == b"a"
    bucket.iam_configuration.public_access_prevention = "enforced"
    bucket.patch()
    with pytest.raises(exceptions.PreconditionFailed, match="public access prevention is enforced"):
        bind(bucket, "roles/storage.objectCreator", "allUsers")
    anonymous = AnonymousCredentials()  # type: ignore[no-untyped-call]
    assert client_at(door, anonymous).bucket(bucket.name).blob("a").exists()


@pins(
    "storage",
    "Buckets",
    "Lifecycle rules act once a day by the cloud's clock: age, newer versions, live or not; deletion before a class",
    documented="Object Lifecycle Management",
)
def test_lifecycle_rules_act_by_the_clock(bucket: Any, place: Place) -> None:
    bucket.versioning_enabled = True
    bucket.add_lifecycle_delete_rule(age=10, matches_prefix=["tmp/"])
    bucket.add_lifecycle_delete_rule(number_of_newer_versions=1, is_live=False)
    bucket.add_lifecycle_set_storage_class_rule("COLDLINE", age=3, is_live=True)
    bucket.patch()
    for name in ("tmp/a", "kept"):
        for text in ("1", "2", "3"):
            bucket.blob(name).upload_from_string(text)

    def days(number: int) -> None:
        seconds = json.dumps({"seconds": number * 86400}).encode()
        http(f"{place.rest}/_sluice/clock:advance", method="POST", body=seconds)

    def there() -> list[tuple[str, str, bool]]:
        found = bucket.list_blobs(versions=True)
        return [(one.name, one.storage_class, one.time_deleted is None) for one in found]

    days(2)
    assert there() == [("kept", "STANDARD", True), ("tmp/a", "STANDARD", True)]
    days(2)
    assert there() == [("kept", "COLDLINE", True), ("tmp/a", "COLDLINE", True)]
    days(8)
    assert [one.name for one in bucket.list_blobs()] == ["kept"]


@pins(
    "storage",
    "Buckets",
    "Notifications tell a topic what happens to objects; the storage agent must be allowed to publish there",
    documented="Pub/Sub notifications for Cloud Storage",
)
def test_a_topic_hears_what_happens_to_objects(bucket: Any, client: Any, place: Place) -> None:
    topic = f"projects/{PROJECT}/topics/news-{uuid.uuid4().hex[:8]}"
    subscription = topic.replace("/topics/", "/subscriptions/")
    assert http(f"{place.rest}/v1/{topic}", method="PUT", body=b"{}").status == 200
    body = json.dumps({"topic": topic}).encode()
    assert http(f"{place.rest}/v1/{subscription}", method="PUT", body=body).status == 200
    notice = bucket.notification(topic.rpartition("/")[2], custom_attributes={"k": "v"}, payload_format="JSON_API_V1")
    with pytest.raises(exceptions.Forbidden, match="does not have permission to publish"):
        notice.create()
    agent = f"serviceAccount:{client.get_service_account_email()}"
    policy = {"policy": {"bindings": [{"role": "roles/pubsub.publisher", "members": [agent]}]}}
    http(f"{place.rest}/v1/{topic}:setIamPolicy", method="POST", body=json.dumps(policy).encode())
    notice.create()
    assert [one.notification_id for one in bucket.list_notifications()] == [notice.notification_id]
    bucket.blob("a").upload_from_string("x")
    bucket.blob("a").delete()
    heard: list[Any] = []
    until = time.monotonic() + 20
    while len(heard) < 2 and time.monotonic() < until:
        pulled = http(f"{place.rest}/v1/{subscription}:pull", method="POST", body=b'{"maxMessages": 10}').json
        heard += [one["message"] for one in pulled.get("receivedMessages", [])]
    kinds = [one["attributes"]["eventType"] for one in heard]
    assert sorted(kinds) == ["OBJECT_DELETE", "OBJECT_FINALIZE"]
    assert heard[0]["attributes"]["objectId"] == "a"
    assert heard[0]["attributes"]["k"] == "v"
    notice.delete()
    assert list(bucket.list_notifications()) == []


@pins(
    "storage",
    "Buckets",
    "Lists of buckets are paged and cut by prefix; the project is required",
    documented="Buckets: list",
)
def test_buckets_are_listed_page_by_page(client: Any, place: Place) -> None:
    for number in range(3):
        client.create_bucket(f"listed-{number}")
    pages = [[one.name for one in page] for page in client.list_buckets(prefix="listed-", page_size=2).pages]
    assert pages == [["listed-0", "listed-1"], ["listed-2"]]
    assert http(f"{place.rest}/storage/v1/b").status == 400
    some = http(f"{place.rest}/storage/v1/b?project={PROJECT}&fields=items(name)&prefix=listed-0").json
    assert some == {"items": [{"name": "listed-0"}]}
