"""The registry's wire: pushing and pulling as docker does, who may, what is refused, and whose paths are whose."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.images.pusher import (
    OCI_CONFIG,
    OCI_MANIFEST,
    Entry,
    Repository,
    digest_of,
    layer,
    make_repository,
)
from tests.local_cloud.run_client import Answer, http

HOME = f"projects/{PROJECT}/locations/us-central1/repositories"


@pytest.fixture(scope="module", autouse=True)
def repository(place: Place) -> str:
    return make_repository(place.rest, "wire")


@pytest.fixture
def image(place: Place, request: pytest.FixtureRequest) -> Repository:
    """An image of the test's own."""
    return Repository(place.rest, f"{PROJECT}/wire/{request.node.name.split('[')[0].replace('_', '-')[:60]}")


@pytest.fixture
def tiny() -> bytes:
    return layer(Entry("hello", b"hello\n", 0o644))


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json["errors"][0]["code"]


@pins(
    "artifact_registry",
    "Images",
    "What is pushed is pulled by tag and by digest, byte for byte; HEAD says the same without the body",
    documented="OCI distribution specification 1.1",
)
def test_what_is_pushed_is_pulled_by_tag_and_digest(image: Repository, tiny: bytes) -> None:
    digest = image.push("v1", [tiny])
    by_tag, by_digest = image.ask("GET", "manifests/v1"), image.ask("GET", f"manifests/{digest}")
    assert by_tag.body == by_digest.body
    assert digest_of(by_tag.body) == digest == by_tag.headers["docker-content-digest"]
    head = image.ask("HEAD", "manifests/v1")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(by_tag.body)))
    assert by_tag.headers["content-type"] == OCI_MANIFEST
    for part in by_tag.json["layers"]:
        found = image.ask("GET", f"blobs/{part['digest']}")
        assert digest_of(found.body) == part["digest"]
        some = image.ask("GET", f"blobs/{part['digest']}", headers={"Range": "bytes=2-5"})
        assert (some.status, some.body) == (206, found.body[2:6])
        assert image.ask("GET", f"blobs/{part['digest']}", headers={"Range": "bytes=9999999-"}).status == 416


@pins(
    "artifact_registry",
    "Images",
    "Blobs come whole, in one PUT or in pieces in their order; one whose digest is wrong is not kept",
    documented="OCI distribution specification 1.1 (pushing blobs)",
)
def test_blobs_come_whole_or_in_pieces(image: Repository) -> None:
    data = b"0123456789" * 1000
    whole = image.ask("POST", f"blobs/uploads/?digest={digest_of(data)}", data)
    assert (whole.status, whole.headers["docker-content-digest"]) == (201, digest_of(data))
    other = data[::-1]
    at = image.base + image.ask("POST", "blobs/uploads/", b"").headers["location"]
    first = image.ask("PATCH", at, other[:4000], {"Content-Range": "0-3999"})
    assert (first.status, first.headers["range"]) == (202, "0-3999")
    assert image.ask("PATCH", at, other[5000:], {"Content-Range": "5000-9999"}).status == 416
    assert image.ask("GET", at).headers["range"] == "0-3999"
    assert image.ask("PUT", f"{at}?digest={digest_of(other)}", other[4000:]).status == 201
    at = image.base + image.ask("POST", "blobs/uploads/", b"").headers["location"]
    assert code_of(image.ask("PUT", f"{at}?digest={digest_of(b'else')}", b"what")) == (400, "DIGEST_INVALID")
    assert image.ask("HEAD", f"blobs/{digest_of(b'what')}").status == 404
    assert image.ask("DELETE", at).status == 204
    assert code_of(image.ask("PATCH", at, b"x")) == (404, "BLOB_UPLOAD_UNKNOWN")


@pins(
    "artifact_registry",
    "Images",
    "A blob of another repository is taken over without being sent, by who may read it there",
    documented="OCI distribution specification 1.1 (mounting)",
)
def test_a_blob_is_mounted_from_another_repository(place: Place, image: Repository) -> None:
    make_repository(place.rest, "other")
    source = Repository(place.rest, f"{PROJECT}/other/base")
    digest = source.blob(b"shared bytes")["digest"]
    assert image.ask("HEAD", f"blobs/{digest}").status == 404
    mounted = image.ask("POST", f"blobs/uploads/?mount={digest}&from={source.name}", b"")
    assert mounted.status == 201
    assert image.ask("GET", f"blobs/{digest}").body == b"shared bytes"
    unknown = digest_of(b"nowhere")
    assert image.ask("POST", f"blobs/uploads/?mount={unknown}&from={source.name}", b"").status == 202


@pins(
    "artifact_registry",
    "Images",
    "A manifest is refused where a part of it is missing, where it is none, and by another digest than its own",
    documented="OCI distribution specification 1.1 (error codes)",
)
def test_a_manifest_needs_what_it_is_made_of(image: Repository, tiny: bytes) -> None:
    missing = {"mediaType": OCI_CONFIG, "digest": digest_of(b"gone"), "size": 4}
    value = {"schemaVersion": 2, "config": missing, "layers": []}
    assert code_of(image.manifest("v1", value)) == (404, "MANIFEST_BLOB_UNKNOWN")
    assert code_of(image.manifest("v1", {"schemaVersion": 1})) == (400, "MANIFEST_INVALID")
    assert code_of(image.manifest("v1", value, "text/plain")) == (400, "MANIFEST_INVALID")
    here = {"mediaType": OCI_CONFIG, **image.blob(b"{}")}
    value = {"schemaVersion": 2, "config": here, "layers": []}
    assert code_of(image.manifest(digest_of(b"other"), value)) == (400, "DIGEST_INVALID")
    assert code_of(image.ask("GET", "manifests/v1")) == (404, "MANIFEST_UNKNOWN")


@pins(
    "artifact_registry",
    "Images",
    "A name without a repository, and a repository that is not there: NAME_INVALID, NAME_UNKNOWN",
    observed="docker push to Artifact Registry",
)
def test_names_that_mean_no_repository_are_refused(place: Place) -> None:
    assert code_of(Repository(place.rest, f"{PROJECT}/alone").ask("GET", "manifests/v1")) == (400, "NAME_INVALID")
    gone = Repository(place.rest, f"{PROJECT}/not-there/x").ask("POST", "blobs/uploads/", b"")
    assert code_of(gone) == (404, "NAME_UNKNOWN")
    assert gone.json["errors"][0]["message"] == 'Repository "not-there" not found'
    assert code_of(Repository(place.rest, "somebody-else/wire/x").ask("GET", "tags/list")) == (403, "DENIED")


@pins(
    "artifact_registry",
    "Images",
    "Tags are listed in pages; one is deleted by name; a manifest by its digest, with its tags",
    documented="OCI distribution specification 1.1 (content discovery)",
)
def test_tags_are_listed_and_deleted(image: Repository, tiny: bytes) -> None:
    digest = image.push("v1", [tiny])
    for tag in ("v2", "v3"):
        image.ask("PUT", f"manifests/{tag}", image.ask("GET", "manifests/v1").body, {"Content-Type": OCI_MANIFEST})
    page = image.ask("GET", "tags/list?n=2")
    assert page.json["tags"] == ["v1", "v2"]
    rest = image.base + page.headers["link"].partition(">")[0][1:]
    assert image.ask("GET", rest).json["tags"] == ["v3"]
    assert image.ask("DELETE", "manifests/v2").status == 202
    assert image.ask("GET", "tags/list").json["tags"] == ["v1", "v3"]
    assert image.ask("DELETE", f"manifests/{digest}").status == 202
    assert image.ask("GET", "manifests/v1").status == 404


@pins(
    "artifact_registry",
    "Images",
    "Who refers to an image is listed, by kind too",
    documented="OCI distribution specification 1.1 (referrers)",
)
def test_referrers_are_listed(image: Repository, tiny: bytes) -> None:
    digest = image.push("v1", [tiny])
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", **image.blob(b"{}")}
    about = {"mediaType": OCI_MANIFEST, "digest": digest, "size": len(image.ask("GET", "manifests/v1").body)}
    value = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "artifactType": "test/sbom", "config": empty}
    made = image.manifest("sbom", {**value, "layers": [empty], "subject": about})
    assert (made.status, made.headers["oci-subject"]) == (201, digest)
    found = image.ask("GET", f"referrers/{digest}").json["manifests"]
    assert [(one["artifactType"], one["digest"]) for one in found] == [
        ("test/sbom", made.headers["docker-content-digest"])
    ]
    assert image.ask("GET", f"referrers/{digest}?artifactType=other").json["manifests"] == []


@pins(
    "artifact_registry",
    "Images",
    "Paths below /v2/projects/ are Cloud Tasks', Cloud Run's and Logging's; those of a registry's shape are the "
    "registry's, and by a registry's host all are",
    ours="one port for all APIs",
)
@pytest.mark.parametrize(
    ("path", "host", "theirs"),
    [
        (f"/v2/projects/{PROJECT}/locations/us-central1/queues", "", False),
        (f"/v2/projects/{PROJECT}/locations/us-central1/services", "", False),
        (f"/v2/projects/{PROJECT}/locations/us-central1/queues/tags/list", "", False),
        (f"/v2/projects/{PROJECT}/logs", "", False),
        (f"/v2/{PROJECT}/wire/x/tags/list", "", True),
        (f"/v2/us-central1-docker.pkg.dev/{PROJECT}/wire/x/tags/list", "", True),
        ("/v2/", "", True),
        (f"/v2/{PROJECT}/wire/x/tags/list", "us-central1-docker.pkg.dev", True),
        ("/v2/projects/p/r/x/tags/list", "us-central1-docker.pkg.dev", True),
    ],
)
def test_paths_at_v2_have_one_owner(place: Place, path: str, host: str, theirs: bool) -> None:
    answer = http(f"{place.rest}{path}", headers={"Host": host} if host else {})
    assert ("docker-distribution-api-version" in {name.lower() for name in answer.headers}) is theirs


@pins(
    "artifact_registry",
    "Images",
    "By its host name a repository of any location is meant; on loopback the home region's, or the only one",
    ours=True,
)
def test_a_name_means_the_repository_of_its_location(place: Place, tiny: bytes) -> None:
    url = f"{place.rest}/v1/projects/{PROJECT}/locations/europe-west1/repositories?repositoryId=far"
    assert http(url, method="POST", body=b'{"format": "DOCKER"}').status == 200
    digest = Repository(place.rest, f"europe-west1-docker.pkg.dev/{PROJECT}/far/x").push("v1", [tiny])
    for name, host in ((f"{PROJECT}/far/x", ""), (f"{PROJECT}/far/x", "europe-west1-docker.pkg.dev")):
        found = Repository(place.rest, name, {"Host": host} if host else {})
        assert found.ask("HEAD", f"manifests/{digest}").status == 200
    elsewhere = Repository(place.rest, f"{PROJECT}/far/x", {"Host": "us-central1-docker.pkg.dev"})
    assert code_of(elsewhere.ask("GET", f"manifests/{digest}")) == (404, "NAME_UNKNOWN")


@pins(
    "artifact_registry",
    "Images",
    "The services' door challenges (Bearer realm /v2/token) and takes oauth2accesstoken, _json_key and tokens; pull "
    "and push ask for downloadArtifacts and uploadArtifacts on the repository",
    documented="Authentication methods for Docker; access control",
)
def test_the_services_door_asks_for_credentials(place: Place, repository: str, tiny: bytes) -> None:
    door = f"http://127.0.0.1:{place.ports['service_rest']}"
    owner, name = Repository(place.rest, f"{PROJECT}/wire/guarded"), f"{PROJECT}/wire/guarded"
    owner.push("v1", [tiny])
    asked = Repository(door, name).ask("GET", "manifests/v1")
    assert code_of(asked) == (401, "UNAUTHORIZED")
    challenge = asked.headers["www-authenticate"]
    assert challenge.startswith(f'Bearer realm="{door}/v2/token",service="')
    assert f'scope="repository:{name}:pull"' in challenge

    accounts = f"{place.rest}/v1/projects/{PROJECT}/serviceAccounts"
    http(accounts, method="POST", body=b'{"accountId": "puller"}')
    email = f"puller@{PROJECT}.iam.gserviceaccount.com"
    body = b'{"scope": ["https://www.googleapis.com/auth/cloud-platform"]}'
    url = f"{place.rest}/v1/projects/-/serviceAccounts/{email}:generateAccessToken"
    token = http(url, method="POST", body=body).json["accessToken"]
    key = http(f"{accounts}/{email}/keys", method="POST", body=b"{}").json["privateKeyData"]

    def basic(user: str, password: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()}

    ways: list[Callable[[], dict[str, str]]] = [
        lambda: basic("oauth2accesstoken", token),
        lambda: basic("_json_key", base64.b64decode(key).decode()),
        lambda: basic("_json_key_base64", key),
        lambda: {"Authorization": f"Bearer {http(f'{door}/v2/token', headers=ways[0]()).json['token']}"},
    ]
    for way in ways:
        denied = Repository(door, name, way()).ask("GET", "manifests/v1")
        assert code_of(denied) == (403, "DENIED")
        assert '"artifactregistry.repositories.downloadArtifacts" denied' in denied.json["errors"][0]["message"]
    policy = {"bindings": [{"role": "roles/artifactregistry.reader", "members": [f"serviceAccount:{email}"]}]}
    http(f"{place.rest}/v1/{repository}:setIamPolicy", method="POST", body=json.dumps({"policy": policy}).encode())
    for way in ways:
        reader = Repository(door, name, way())
        assert reader.ask("GET", "manifests/v1").status == 200
        assert code_of(reader.ask("POST", "blobs/uploads/", b"")) == (403, "DENIED")
    wrong = Repository(door, name, basic("_json_key", '{"client_email": "x"}')).ask("GET", "manifests/v1")
    assert wrong.status == 401


@pins(
    "artifact_registry",
    "Images",
    "/v2/token gives no more than was shown: the caller's own token, with its end and its scopes",
    ours=True,
)
@pytest.mark.parametrize("basic", [True, False])
def test_a_token_of_the_registry_is_no_fresh_one(place: Place, basic: bool) -> None:
    assert place.cloud is not None
    identity, member = place.cloud.identity, f"user:somebody@{PROJECT}.example.com"
    scopes = ("https://www.googleapis.com/auth/devstorage.read_only",)
    grant = identity.access_token(member, scopes=scopes, seconds=300, sets=("principalSet://x",))
    pair = base64.b64encode(f"oauth2accesstoken:{grant.token}".encode()).decode()
    door = f"http://127.0.0.1:{place.ports['service_rest']}"
    shown = {"Authorization": f"Basic {pair}" if basic else f"Bearer {grant.token}"}
    answer = http(f"{door}/v2/token", headers=shown).json
    assert answer["token"] == answer["access_token"]
    assert identity.verify_access_token(answer["token"]) == identity.verify_access_token(grant.token)
    assert 0 < answer["expires_in"] <= 300


@pins(
    "artifact_registry",
    "Images",
    "After kill -9 and a restart everything that was acknowledged is there, and an upload goes on where it was",
    ours=True,
)
def test_what_was_pushed_outlives_a_kill(start: Callable[..., Any], tiny: bytes) -> None:
    first = start("cloud")
    make_repository(first.rest, "wire")
    image = Repository(first.rest, f"{PROJECT}/wire/x")
    digest = image.push("v1", [tiny])
    data = b"abcdefghij" * 100
    at = image.ask("POST", "blobs/uploads/", b"").headers["location"]
    assert image.ask("PATCH", first.rest + at, data[:500]).status == 202
    first.popen.kill()
    first.popen.wait()
    second = start("cloud")
    image = Repository(second.rest, image.name)
    manifest = image.ask("GET", "manifests/v1")
    assert digest_of(manifest.body) == digest
    assert all(image.ask("HEAD", f"blobs/{one['digest']}").status == 200 for one in manifest.json["layers"])
    assert image.ask("GET", second.rest + at).headers["range"] == "0-499"
    assert image.ask("PUT", f"{second.rest}{at}?digest={digest_of(data)}", data[500:]).status == 201
