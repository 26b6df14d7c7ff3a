"""What lies in the repositories, by the API: Docker images, packages, versions, tags and files.

Owns the calls; what is shown is images/views.py's, what may be changed images/registry.py's.
Source: google/devtools/artifactregistry/v1/service.proto.
"""

from collections.abc import Iterable

from local_cloud.apis.artifact_registry.api import API
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import already_exists, failed_precondition, invalid, not_found
from local_cloud.images import views
from local_cloud.images.names import DIGEST, TAG
from local_cloud.images.registry import Images
from local_cloud.images.repositories import Repositories
from local_cloud.plain import page
from local_cloud.registry import Call

_ANSWERS = "google.devtools.artifactregistry.v1"
FULL = enum(f"{_ANSWERS}.VersionView")["FULL"]


def _listed(request: Message, names: Iterable[str]) -> tuple[list[str], str]:
    return page(names, request.page_size, request.page_token, str)


def _repository(cloud: Cloud, name: str) -> str:
    return str(cloud.use(Repositories).get(name).name)


def _package(images: Images, name: str) -> str:
    if not images.versions_of(name):
        raise not_found(f"package does not exist: {name}")
    return name


def _version(images: Images, name: str) -> str:
    """A version by its digest, or by a tag in its place."""
    package, _, reference = name.partition("/versions/")
    digest = images.resolve(package, reference)
    if not digest:
        raise not_found(f"version does not exist: {name}")
    return f"{package}/versions/{digest}"


def _tag(images: Images, name: str) -> str:
    if name not in images.tags:
        raise not_found(f"tag does not exist: {name}")
    return name


@API.rpc("ListDockerImages", permission="artifactregistry.dockerimages.list")
async def list_docker_images(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All that was pushed to a repository."""
    images, repository = cloud.use(Images), _repository(cloud, request.parent)
    found = [name for some in images.packages(repository).values() for name, _ in some]
    taken, token = _listed(request, found)
    shown = [views.docker_image(images, name) for name in taken]
    return message(f"{_ANSWERS}.ListDockerImagesResponse")(docker_images=shown, next_page_token=token)


@API.rpc("GetDockerImage", permission="artifactregistry.dockerimages.get")
async def get_docker_image(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One image, by IMAGE@DIGEST, IMAGE:TAG or IMAGE, which is its tag latest."""
    images = cloud.use(Images)
    repository, _, image = request.name.partition("/dockerImages/")
    _repository(cloud, repository)
    short, at, digest = image.partition("@")
    if not at:
        short, _, tag = image.partition(":")
        digest = tag or "latest"
    name = _version(images, f"{repository}/packages/{short}/versions/{digest}")
    return views.docker_image(images, name)


@API.rpc("ListPackages", permission="artifactregistry.packages.list")
async def list_packages(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The packages of a repository."""
    images = cloud.use(Images)
    taken, token = _listed(request, images.packages(_repository(cloud, request.parent)))
    shown = [views.package(images, name) for name in taken]
    return message(f"{_ANSWERS}.ListPackagesResponse")(packages=shown, next_page_token=token)


@API.rpc("GetPackage", permission="artifactregistry.packages.get")
async def get_package(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A package."""
    images = cloud.use(Images)
    return views.package(images, _package(images, request.name))


@API.rpc("DeletePackage", permission="artifactregistry.packages.delete")
async def delete_package(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Delete a package with its versions and tags."""
    images = cloud.use(Images)
    name = _package(images, request.name)
    tags = images.tags_of(name)
    if tags and images.immutable(name.partition("/packages/")[0]):
        raise failed_precondition(f"cannot delete package {name}, which has tags.")
    for version, _ in images.versions_of(name):
        images.delete(version)
    images.annotations.pop(name)
    return _done(cloud, name)


@API.rpc("UpdatePackage", permission="artifactregistry.packages.update")
async def update_package(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a package's annotations."""
    images = cloud.use(Images)
    name = _package(images, cloud.canonical(request.package.name))
    images.annotations[name] = dict(request.package.annotations)
    return views.package(images, name)


@API.rpc("ListVersions", permission="artifactregistry.versions.list")
async def list_versions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The versions of a package; of every package of the repository where its name is `-`."""
    images = cloud.use(Images)
    if request.parent.endswith("/packages/-"):
        found = images.packages(_repository(cloud, request.parent.rpartition("/packages/")[0]))
        names = [name for some in found.values() for name, _ in some]
    else:
        names = [name for name, _ in images.versions_of(_package(images, request.parent))]
    taken, token = _listed(request, names)
    shown = [views.version(images, name, full=request.view == FULL) for name in taken]
    return message(f"{_ANSWERS}.ListVersionsResponse")(versions=shown, next_page_token=token)


@API.rpc("GetVersion", permission="artifactregistry.versions.get")
async def get_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A version."""
    images = cloud.use(Images)
    return views.version(images, _version(images, request.name), full=request.view == FULL)


@API.rpc("UpdateVersion", permission="artifactregistry.versions.update")
async def update_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a version's annotations."""
    images = cloud.use(Images)
    name = _version(images, cloud.canonical(request.version.name))
    images.versions[name] = images.versions[name] | {"labels": dict(request.version.annotations)}
    return views.version(images, name, full=False)


@API.rpc("DeleteVersion", permission="artifactregistry.versions.delete")
async def delete_version(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Delete a version; one with tags only where the request forces it."""
    images = cloud.use(Images)
    name = _version(images, request.name)
    images.may_delete(name, force=request.force)
    images.delete(name)
    return _done(cloud, name)


@API.rpc("BatchDeleteVersions", permission="artifactregistry.versions.delete")
async def batch_delete_versions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Delete versions of one package, with their tags: all or none."""
    images = cloud.use(Images)
    names = [_version(images, cloud.canonical(name)) for name in request.names]
    for name in names:
        if request.parent and not name.startswith(f"{request.parent}/versions/"):
            raise invalid(f"{name} is no version of {request.parent}.")
        images.may_delete(name, force=True)
    if not request.validate_only:
        for name in names:
            images.delete(name)
    return _done(cloud, request.parent, "BatchDeleteVersionsMetadata")


@API.rpc("ListTags", permission="artifactregistry.tags.list")
async def list_tags(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The tags of a package; with `version="..."` as filter, those of one version."""
    images = cloud.use(Images)
    _package(images, request.parent)
    wanted = ""
    if request.filter:
        field, _, value = request.filter.partition("=")
        if field.strip() not in ("version", "name"):
            raise invalid('the filter takes version="NAME" or name="NAME".')
        wanted = value.strip().strip('"')
        if field.strip() == "version":
            wanted = wanted.rpartition("/")[2]
    names = [
        name
        for name, tag in images.tags_of(request.parent)
        if not wanted or wanted in (name, tag["digest"], name.rpartition("/")[2])
    ]
    taken, token = _listed(request, names)
    shown = [views.tag(images, name) for name in taken]
    return message(f"{_ANSWERS}.ListTagsResponse")(tags=shown, next_page_token=token)


@API.rpc("GetTag", permission="artifactregistry.tags.get")
async def get_tag(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A tag."""
    images = cloud.use(Images)
    return views.tag(images, _tag(images, request.name))


@API.rpc("CreateTag", permission="artifactregistry.tags.create")
async def create_tag(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Give a version a new tag."""
    images = cloud.use(Images)
    if not TAG.fullmatch(request.tag_id):
        raise invalid(f"invalid tag_id '{request.tag_id}'.")
    if f"{request.parent}/tags/{request.tag_id}" in images.tags:
        raise already_exists(f"tag already exists: {request.parent}/tags/{request.tag_id}")
    return views.tag(images, images.point(request.parent, request.tag_id, _pointed(cloud, request.parent, request.tag)))


@API.rpc("UpdateTag", permission="artifactregistry.tags.update")
async def update_tag(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Point a tag at another version; one that is not there is made."""
    images = cloud.use(Images)
    package, _, tag = cloud.canonical(request.tag.name).partition("/tags/")
    if not TAG.fullmatch(tag):
        raise invalid(f"invalid tag '{tag}'.")
    return views.tag(images, images.point(package, tag, _pointed(cloud, package, request.tag)))


def _pointed(cloud: Cloud, package: str, tag: Message) -> str:
    """The digest of the version that a tag of a request names."""
    version = cloud.canonical(tag.version)
    digest = version.rpartition("/")[2]
    if not version.startswith(f"{package}/versions/") or not DIGEST.fullmatch(digest):
        raise invalid(f"the tag's version '{tag.version}' is no version of {package}.")
    return _version(cloud.use(Images), version).rpartition("/")[2]


@API.rpc("DeleteTag", permission="artifactregistry.tags.delete")
async def delete_tag(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Delete a tag; its version stays."""
    images = cloud.use(Images)
    images.untag(_tag(images, request.name))
    return message("google.protobuf.Empty")()


@API.rpc("ListFiles", permission="artifactregistry.files.list")
async def list_files(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The blobs of a repository."""
    images, repository = cloud.use(Images), _repository(cloud, request.parent)
    taken, token = _listed(request, (digest for digest, _ in images.blobs.of(repository)))
    shown = [views.file(images, repository, digest) for digest in taken]
    return message(f"{_ANSWERS}.ListFilesResponse")(files=shown, next_page_token=token)


@API.rpc("GetFile", permission="artifactregistry.files.get")
async def get_file(cloud: Cloud, _call: Call, request: Message) -> Message:
    """A blob."""
    images = cloud.use(Images)
    repository, _, digest = request.name.partition("/files/")
    if images.blobs.find(repository, digest) is None:
        raise not_found(f"file does not exist: {request.name}")
    return views.file(images, repository, digest)


def _done(cloud: Cloud, name: str, metadata: str = "OperationMetadata") -> Message:
    parent = name.partition("/repositories/")[0]
    empty = message("google.protobuf.Empty")()
    return cloud.operations.done(parent, empty, message(f"{_ANSWERS}.{metadata}")())
