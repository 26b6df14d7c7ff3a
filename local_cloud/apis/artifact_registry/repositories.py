"""Repositories: created, read, listed, changed, deleted with what lies in them; and their IAM policies.

Source: google/devtools/artifactregistry/v1/{service,repository}.proto.
"""

import re

from local_cloud.apis.artifact_registry.api import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import already_exists, invalid
from local_cloud.images import cleanup
from local_cloud.images.registry import Images
from local_cloud.images.repositories import DOCKER, REPOSITORY, Repositories
from local_cloud.plain import page
from local_cloud.registry import Call

_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


def _exists(cloud: Cloud, name: str) -> None:
    cloud.use(Repositories).get(name)


API.iam_policies(
    "projects/*/locations/*/repositories/*",
    permission="artifactregistry.repositories",
    exists=_exists,
    service="ArtifactRegistry",
)


@API.rpc("CreateRepository", permission="artifactregistry.repositories.create")
async def create_repository(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Keep a new repository."""
    if not _ID.fullmatch(request.repository_id):
        raise invalid(
            f"invalid repository_id '{request.repository_id}': a lower-case letter, then letters, digits and -."
        )
    repositories, made = cloud.use(Repositories), message(REPOSITORY)()
    made.CopyFrom(request.repository)
    if not made.format:
        raise invalid("repository format must be specified.")
    made.mode = made.mode or made.Mode.Value("STANDARD_REPOSITORY")
    made.name = f"{request.parent}/repositories/{request.repository_id}"
    if made.name in repositories.kept:
        raise already_exists("the repository already exists")
    cleanup.check(made)
    _, project, _, location = request.parent.split("/")
    made.size_bytes, made.registry_uri = 0, ""
    if made.format == DOCKER:
        made.registry_uri = f"{location}-docker.pkg.dev/{project}/{request.repository_id}"
    for moment in (made.create_time, made.update_time):
        moment.FromNanoseconds(int(cloud.now() * 1e6) * 1000)
    repositories.create(made.name, made)
    return cloud.operations.done(request.parent, made, _metadata())


@API.rpc("GetRepository", permission="artifactregistry.repositories.get")
async def get_repository(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a repository."""
    return _present(cloud, cloud.use(Repositories).get(request.name))


@API.rpc("ListRepositories", permission="artifactregistry.repositories.list")
async def list_repositories(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The repositories of a location; `-` means every one."""
    repositories = cloud.use(Repositories)
    found = repositories.below(f"{request.parent}/repositories")
    if request.parent.endswith("/locations/-"):
        found = [repositories.kept[name] for name in repositories.kept]
    taken, token = page(found, request.page_size, request.page_token, lambda r: str(r.name))
    answer = message("google.devtools.artifactregistry.v1.ListRepositoriesResponse")
    return answer(repositories=[_present(cloud, one) for one in taken], next_page_token=token)


def _present(cloud: Cloud, repository: Message) -> Message:
    """A repository as it is shown: with the size of what lies in it."""
    made = message(REPOSITORY)()
    made.CopyFrom(repository)
    made.size_bytes = sum(blob["size"] for _, blob in cloud.use(Images).blobs.of(made.name))
    return made


@API.rpc("UpdateRepository", permission="artifactregistry.repositories.update")
async def update_repository(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a repository's description, labels, clean-up and settings of its format."""
    repositories, name = cloud.use(Repositories), cloud.canonical(request.repository.name)
    current = repositories.get(name)
    made = repositories.merged(name, request.repository, request.update_mask.paths)
    if made.format not in (0, current.format) or made.mode not in (0, current.mode):
        raise invalid("format and mode of a repository cannot be changed.")
    if made.kms_key_name not in ("", current.kms_key_name):
        raise invalid("the CMEK key of a repository cannot be changed.")
    cleanup.check(made)
    made.name, made.format, made.mode = name, current.format, current.mode
    made.registry_uri, made.kms_key_name, made.size_bytes = current.registry_uri, current.kms_key_name, 0
    made.create_time.CopyFrom(current.create_time)
    made.update_time.FromNanoseconds(int(cloud.now() * 1e6) * 1000)
    repositories.kept[name] = made
    return _present(cloud, made)


@API.rpc("DeleteRepository", permission="artifactregistry.repositories.delete")
async def delete_repository(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a repository and what lies in it."""
    cloud.use(Repositories).delete(request.name)
    cloud.use(Images).empty(request.name)
    cloud.iam.forget(request.name)
    parent = request.name.rpartition("/repositories/")[0]
    return cloud.operations.done(parent, message("google.protobuf.Empty")(), _metadata())


def _metadata() -> Message:
    return message("google.devtools.artifactregistry.v1.OperationMetadata")()
