"""Images of deployments that were pushed to Artifact Registry: the digest behind a tag, who may have it, its files.

Owns the way from the name in a template to what instances are started from; an image whose code was registered under
that name or digest (services.py) goes before.
Sources: https://cloud.google.com/run/docs/deploying ("tags are resolved to digests when a revision is made"),
.../reference/iam/roles (the deployer reads the image).
"""

from collections.abc import Iterable

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message
from local_cloud.engines.forks import Image
from local_cloud.engines.instances import StartError
from local_cloud.images.names import HOST, Reference, package_id, reference
from local_cloud.images.registry import Images
from local_cloud.images.rootfs import NotRunnableError, Roots
from local_cloud.registry import Principal


class Pushed:
    """What was pushed, as Cloud Run sees it."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._roots = Roots(cloud)

    def keep_only(self, used: Iterable[str]) -> None:
        """Delete the root folders of images that none of these names needs."""
        self._roots.keep_only({image.rpartition("@")[2] for image in used})

    def repository(self, image: str) -> str:
        """The repository that a pushed image lies in; "" where it is none that is here."""
        found = self._find(image)
        return found[0] if found else ""

    def resolved(self, image: str) -> str:
        """The image's name with the digest that its tag means now; as it is where it was not pushed."""
        found = self._find(image)
        if found is None or "@" in image:
            return image
        head, slash, last = image.rpartition("/")
        return f"{head}{slash}{last.partition(':')[0]}@{found[2]}"

    def may_have(self, principal: Principal, containers: Iterable[Message]) -> None:
        """Refuse who deploys an image that he may not read."""
        for container in containers:
            if repository := self.repository(container.image):
                self._cloud.iam.require(principal, "artifactregistry.repositories.downloadArtifacts", repository)

    async def image(self, name: str) -> Image | None:
        """What instances are started from; None where nothing was pushed by that name. StartError: it cannot be run."""
        digest = name.rpartition("@")[2]
        found = self._find(name)
        if found is None and not ("@" in name and self._roots.has(digest)):
            return None
        try:
            return await self._roots.get(*(found[1:] if found else ("", digest)))
        except NotRunnableError as error:
            raise StartError(f"The image '{name}' cannot be run: {error}.") from error

    def example(self, image: str) -> str:
        """The name by which an image could be pushed to the door of this cloud."""
        name = image.partition("@")[0]
        host, _, path = name.partition("/")
        door = self._own()[0]
        return f"{door}/{path}" if HOST.fullmatch(host) else f"{door}/{self._cloud.project}/REPOSITORY/{name}"

    def _find(self, image: str) -> tuple[str, str, str] | None:
        """Repository, package and digest."""
        named: Reference | None = reference(image, self._own())
        if named is None:
            return None
        images = self._cloud.use(Images)
        repository = images.repositories.named(named.path)
        package = f"{repository}/packages/{package_id(named.path.image)}"
        digest = images.resolve(package, named.digest or named.tag)
        return (repository, package, digest) if digest else None

    def _own(self) -> list[str]:
        ports = [self._cloud.ports.get(door) for door in ("rest", "service_rest")]
        return [f"{host}:{port}" for host in ("127.0.0.1", "localhost") for port in ports]
