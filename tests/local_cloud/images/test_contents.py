"""What lies in the repositories, with Google's own client of Artifact Registry; clean-up by the cloud's clock."""

import json
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.api_core import exceptions
from google.cloud import artifactregistry_v1 as ar
from google.cloud.artifactregistry_v1.services.artifact_registry.transports import ArtifactRegistryGrpcTransport
from google.protobuf import duration_pb2, field_mask_pb2

from tests.fidelity import pins
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.images.pusher import Entry, Repository, layer, make_repository
from tests.local_cloud.run_client import http

HOME = f"projects/{PROJECT}/locations/us-central1/repositories"


@pytest.fixture(scope="module")
def client(place: Place) -> Iterator[Any]:
    with grpc.insecure_channel(f"127.0.0.1:{place.ports['grpc']}") as channel:
        yield ar.ArtifactRegistryClient(transport=ArtifactRegistryGrpcTransport(channel=channel))


def push(place: Place, repository: str, image: str, tag: str) -> str:
    """A small image of its own; its digest."""
    made = Repository(place.rest, f"{PROJECT}/{repository}/{image}")
    return made.push(tag, [layer(Entry("which", f"{image} {tag}".encode()))])


def days(place: Place, number: int) -> None:
    seconds = json.dumps({"seconds": number * 86400 + 60}).encode()
    assert http(f"{place.rest}/_sluice/clock:advance", method="POST", body=seconds).status == 200


@pins(
    "artifact_registry",
    "Images",
    "Docker images, packages, versions, tags and files of what was pushed are listed and read, a page at a time",
    documented="Artifact Registry v1",
)
def test_what_was_pushed_is_listed_and_read(client: Any, place: Place) -> None:
    name = make_repository(place.rest, "listed")
    digests = {tag: push(place, "listed", "team/app", tag) for tag in ("v1", "v2")}
    other = push(place, "listed", "web", "latest")
    packages = [one.name for one in client.list_packages(parent=name)]
    assert packages == [f"{name}/packages/team%2Fapp", f"{name}/packages/web"]
    assert client.get_package(name=packages[0]).create_time is not None
    images = list(client.list_docker_images(request={"parent": name, "page_size": 2}))
    assert len(images) == 3
    image = client.get_docker_image(name=f"{name}/dockerImages/team%2Fapp@{digests['v1']}")
    assert image.uri == f"us-central1-docker.pkg.dev/{PROJECT}/listed/team/app@{digests['v1']}"
    assert (list(image.tags), image.media_type) == (["v1"], "application/vnd.oci.image.manifest.v1+json")
    assert client.get_docker_image(name=f"{name}/dockerImages/web").name.endswith(other)
    full = ar.ListVersionsRequest(parent=packages[0], view=ar.VersionView.FULL)
    versions = {one.name.rpartition("/")[2]: one for one in client.list_versions(request=full)}
    assert set(versions) == set(digests.values())
    assert [tag.name.rpartition("/")[2] for tag in versions[digests["v2"]].related_tags] == ["v2"]
    assert versions[digests["v1"]].metadata["imageSizeBytes"] == str(image.image_size_bytes)
    files = list(client.list_files(parent=name))
    assert client.get_repository(name=name).size_bytes == sum(one.size_bytes for one in files)


@pins(
    "artifact_registry",
    "Images",
    "Tags are made, moved and deleted; one that is there is not made again",
    documented="Tags",
)
def test_tags_are_made_moved_and_deleted(client: Any, place: Place) -> None:
    package = make_repository(place.rest, "tagged") + "/packages/app"
    one, two = (push(place, "tagged", "app", tag) for tag in ("a", "b"))
    tag = ar.Tag(version=f"{package}/versions/{one}")
    made = client.create_tag(parent=package, tag_id="stable", tag=tag)
    with pytest.raises(exceptions.AlreadyExists):
        client.create_tag(parent=package, tag_id="stable", tag=tag)
    made.version = f"{package}/versions/{two}"
    client.update_tag(tag=made, update_mask=field_mask_pb2.FieldMask(paths=["version"]))
    assert client.get_tag(name=f"{package}/tags/stable").version.endswith(two)
    assert [t.name.rpartition("/")[2] for t in client.list_tags(parent=package)] == ["a", "b", "stable"]
    client.delete_tag(name=f"{package}/tags/stable")
    with pytest.raises(exceptions.NotFound):
        client.get_tag(name=f"{package}/tags/stable")


@pins(
    "artifact_registry",
    "Images",
    "A version with tags is deleted only by force, one that an index needs not at all; its blobs go too",
    documented="Managing images (deleting)",
)
def test_a_version_with_tags_is_deleted_by_force(client: Any, place: Place) -> None:
    name = make_repository(place.rest, "deleted")
    digest = push(place, "deleted", "app", "v1")
    version = f"{name}/packages/app/versions/{digest}"
    with pytest.raises(exceptions.FailedPrecondition, match=r"because it is tagged. Existing tags are: v1"):
        client.delete_version(name=version).result(10)
    client.delete_version(request={"name": version, "force": True}).result(10)
    assert list(client.list_files(parent=name)) == []
    with pytest.raises(exceptions.NotFound):
        client.get_package(name=f"{name}/packages/app")


@pins(
    "artifact_registry",
    "Images",
    "With immutable tags a tag neither moves nor goes, and what it names is not deleted",
    documented="Immutable image tags",
)
def test_immutable_tags_neither_move_nor_go(client: Any, place: Place) -> None:
    name = make_repository(place.rest, "fixed", dockerConfig={"immutableTags": True})
    digest = push(place, "fixed", "app", "v1")
    assert push(place, "fixed", "app", "v1") == digest
    image = Repository(place.rest, f"{PROJECT}/fixed/app")
    with pytest.raises(AssertionError, match="tag immutability"):
        image.push("v1", [layer(Entry("else", b"x"))])
    assert "immutability" in image.ask("DELETE", "manifests/v1").json["errors"][0]["message"]
    with pytest.raises(exceptions.FailedPrecondition, match="tag immutability"):
        client.delete_version(request={"name": f"{name}/packages/app/versions/{digest}", "force": True}).result(10)


@pins(
    "artifact_registry",
    "Repositories",
    "Clean-up policies act once a day by the cloud's clock: delete by age and tags, keep the most recent; a dry run "
    "only says what it would",
    documented="Cleanup policies",
)
def test_clean_up_policies_act_by_the_clock(client: Any, place: Place) -> None:
    name = make_repository(place.rest, "cleaned")
    for tag in ("old", "older", "release-1"):
        push(place, "cleaned", "app", tag)
    http(f"{place.rest}/v2/{PROJECT}/cleaned/app/manifests/older", method="DELETE")
    days(place, 3)
    push(place, "cleaned", "app", "new")
    old = ar.CleanupPolicyCondition(older_than=duration_pb2.Duration(seconds=2 * 86400))
    release = ar.CleanupPolicyCondition(tag_state=ar.CleanupPolicyCondition.TagState.TAGGED, tag_prefixes=["release"])
    delete, keep = ar.CleanupPolicy.Action.DELETE, ar.CleanupPolicy.Action.KEEP
    policies = {
        "old": ar.CleanupPolicy(id="old", action=delete, condition=old),
        "releases": ar.CleanupPolicy(id="releases", action=keep, condition=release),
        "newest": ar.CleanupPolicy(
            id="newest", action=keep, most_recent_versions=ar.CleanupPolicyMostRecentVersions(keep_count=1)
        ),
    }
    changed = ar.Repository(name=name, cleanup_policies=policies, cleanup_policy_dry_run=True)
    mask = field_mask_pb2.FieldMask(paths=["cleanup_policies", "cleanup_policy_dry_run"])
    client.update_repository(repository=changed, update_mask=mask)
    days(place, 1)
    assert len(list(client.list_docker_images(parent=name))) == 4
    changed.cleanup_policy_dry_run = False
    client.update_repository(repository=changed, update_mask=mask)
    days(place, 1)
    left = sorted(tag for one in client.list_docker_images(parent=name) for tag in one.tags)
    assert left == ["new", "release-1"]


@pins(
    "artifact_registry",
    "Repositories",
    "A policy that says nothing, or what no such policy can, is refused",
    documented="Cleanup policies",
)
@pytest.mark.parametrize(
    "policy",
    [
        {"id": "x", "action": "DELETE"},
        {"id": "x", "condition": {"tagState": "ANY"}},
        {"id": "x", "action": "DELETE", "mostRecentVersions": {"keepCount": 1}},
        {"id": "other", "action": "DELETE", "condition": {"tagState": "ANY"}},
        {"id": "x", "action": "DELETE", "condition": {"tagState": "ANY", "tagPrefixes": ["v"]}},
    ],
)
def test_a_policy_that_says_nothing_is_refused(place: Place, policy: dict[str, Any]) -> None:
    body = json.dumps({"format": "DOCKER", "cleanupPolicies": {"x": policy}}).encode()
    made = http(f"{place.rest}/v1/{HOME}?repositoryId=refused", method="POST", body=body)
    assert made.status == 400
