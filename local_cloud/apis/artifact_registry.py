"""Artifact Registry's plain part: repositories are kept and read back; images are not stored here.

Which code an image digest stands for is Cloud Run's affair (`/_sluice/images`).
Source: google/devtools/artifactregistry/v1/{service,repository}.proto.
"""

import re

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import already_exists, invalid
from local_cloud.plain import Plain, page
from local_cloud.registry import Api, Call

API = Api("artifactregistry", services=["google.devtools.artifactregistry.v1.ArtifactRegistry"])

REPOSITORY = "google.devtools.artifactregistry.v1.Repository"
_ID = re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Repositories(Plain):
    """The repositories of the project."""


@API.on_start
async def start(cloud: Cloud) -> None:
    """Load the repositories."""
    cloud.provide(Repositories(cloud, REPOSITORY, noun="Repository"))


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
    _, project, _, location = request.parent.split("/")
    if made.format == made.Format.Value("DOCKER"):
        made.registry_uri = f"{location}-docker.pkg.dev/{project}/{request.repository_id}"
    for moment in (made.create_time, made.update_time):
        moment.FromNanoseconds(int(cloud.now() * 1e6) * 1000)
    repositories.create(made.name, made)
    return cloud.operations.done(request.parent, made, _metadata())


@API.rpc("GetRepository", permission="artifactregistry.repositories.get")
async def get_repository(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a repository."""
    return cloud.use(Repositories).get(request.name)


@API.rpc("ListRepositories", permission="artifactregistry.repositories.list")
async def list_repositories(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The repositories of a location."""
    found = cloud.use(Repositories).below(f"{request.parent}/repositories")
    taken, token = page(found, request.page_size, request.page_token, lambda r: str(r.name))
    answer = message("google.devtools.artifactregistry.v1.ListRepositoriesResponse")
    return answer(repositories=taken, next_page_token=token)


@API.rpc("UpdateRepository", permission="artifactregistry.repositories.update")
async def update_repository(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a repository's description, labels and clean-up."""
    repositories, name = cloud.use(Repositories), cloud.canonical(request.repository.name)
    current = repositories.get(name)
    made = repositories.merged(name, request.repository, request.update_mask.paths)
    if made.format not in (0, current.format) or made.mode not in (0, current.mode):
        raise invalid("format and mode of a repository cannot be changed.")
    made.name, made.format, made.mode = name, current.format, current.mode
    made.registry_uri = current.registry_uri
    made.create_time.CopyFrom(current.create_time)
    made.update_time.FromNanoseconds(int(cloud.now() * 1e6) * 1000)
    repositories.kept[name] = made
    return made


@API.rpc("DeleteRepository", permission="artifactregistry.repositories.delete")
async def delete_repository(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a repository."""
    cloud.use(Repositories).delete(request.name)
    cloud.iam.forget(request.name)
    parent = request.name.rpartition("/repositories/")[0]
    return cloud.operations.done(parent, message("google.protobuf.Empty")(), _metadata())


def _metadata() -> Message:
    return message("google.devtools.artifactregistry.v1.OperationMetadata")()
