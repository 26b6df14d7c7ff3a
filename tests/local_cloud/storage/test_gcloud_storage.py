"""The real gcloud, unmodified: buckets, objects, and the images of a repository."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fidelity import pins
from tests.local_cloud import gcloud
from tests.local_cloud.cloud_places import PROJECT, Place
from tests.local_cloud.gcloud import Gcloud
from tests.local_cloud.images.pusher import Entry, Repository, layer

pytestmark = gcloud.needed

BUCKET = "gs://gcloud-bucket"


@pytest.fixture(scope="module")
def shell(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gcloud]:
    with gcloud.session(place.rest, tmp_path_factory.mktemp("gcloud")) as session:
        yield session


@pins(
    "storage",
    "Objects",
    "gcloud storage: buckets create, describe, update, list and IAM; cp both ways, large and small, ls, cat, mv, rm -r",
    observed="gcloud 528",
)
def test_gcloud_storage_works(shell: Gcloud, place: Place, tmp_path: Path) -> None:
    small, large, back = tmp_path / "small.txt", tmp_path / "large", tmp_path / "back"
    small.write_text("hello\n")
    large.write_bytes(os.urandom(9 * 1024 * 1024))
    shell.ok("storage", "buckets", "create", BUCKET, "--location=us-central1", "--uniform-bucket-level-access")
    found = shell.json("storage", "buckets", "describe", BUCKET)
    assert (found["location"], found["uniform_bucket_level_access"]) == ("US-CENTRAL1", True)
    shell.ok("storage", "cp", str(small), f"{BUCKET}/dir/small.txt")
    shell.ok("storage", "cp", str(large), f"{BUCKET}/large")
    shell.ok("storage", "cp", f"{BUCKET}/large", str(back))
    assert back.read_bytes() == large.read_bytes()
    assert shell.ok("storage", "ls", f"{BUCKET}/**").out.split() == [f"{BUCKET}/dir/small.txt", f"{BUCKET}/large"]
    variables = dict(gcloud.variables(place.rest, tmp_path / "config"))
    cat = ["gcloud", "storage", "cat", f"{BUCKET}/dir/small.txt"]  # writes past the session's own output
    assert subprocess.run(cat, env=variables, capture_output=True, check=True).stdout == b"hello\n"
    shell.ok("storage", "mv", f"{BUCKET}/dir/small.txt", f"{BUCKET}/moved.txt")
    assert shell.json("storage", "objects", "describe", f"{BUCKET}/moved.txt")["size"] == 6
    shell.ok("storage", "buckets", "update", BUCKET, "--versioning", "--update-labels=team=pay")
    role = "--role=roles/storage.objectViewer"
    shell.ok("storage", "buckets", "add-iam-policy-binding", BUCKET, "--member=allAuthenticatedUsers", role)
    bindings = shell.json("storage", "buckets", "get-iam-policy", BUCKET)["bindings"]
    assert bindings == [{"members": ["allAuthenticatedUsers"], "role": "roles/storage.objectViewer"}]
    assert [one["name"] for one in shell.json("storage", "buckets", "list")] == ["gcloud-bucket"]
    shell.ok("storage", "rm", "-r", BUCKET)
    assert shell.json("storage", "buckets", "list") == []


@pins(
    "artifact_registry",
    "Images",
    "gcloud artifacts: repositories create, update, list; docker images list and delete, docker tags list, add, delete",
    observed="gcloud 528",
)
def test_gcloud_artifacts_works(shell: Gcloud, place: Place) -> None:
    where = "--location=us-central1"
    shell.ok("artifacts", "repositories", "create", "shop", "--repository-format=docker", where, "--immutable-tags")
    shell.ok("artifacts", "repositories", "update", "shop", where, "--no-immutable-tags")
    digest = Repository(place.rest, f"{PROJECT}/shop/web").push("v1", [layer(Entry("x", b"x"))])
    image = f"us-central1-docker.pkg.dev/{PROJECT}/shop/web"
    found = shell.json("artifacts", "docker", "images", "list", image, "--include-tags")
    assert [(one["package"], one["version"], one["tags"]) for one in found] == [(image, digest, ["v1"])]
    shell.ok("artifacts", "docker", "tags", "add", f"{image}:v1", f"{image}:stable")
    tags = shell.json("artifacts", "docker", "tags", "list", image)
    assert sorted(one["tag"].rpartition("/")[2] for one in tags) == ["stable", "v1"]
    shell.ok("artifacts", "docker", "tags", "delete", f"{image}:stable", "--quiet")
    assert "because it is tagged" in shell.refused("artifacts", "docker", "images", "delete", f"{image}@{digest}")
    shell.ok("artifacts", "docker", "images", "delete", f"{image}@{digest}", "--delete-tags", "--quiet")
    assert shell.json("artifacts", "docker", "images", "list", image) == []
    assert [one["format"] for one in shell.json("artifacts", "repositories", "list", where)] == ["DOCKER"]
