"""What lies in the repositories: manifests by digest, tags that point to them, and which blobs they need.

Owns the documents and the law over them (what a manifest needs is there, tags that may not move do not, what nothing
needs goes). The wire is apis/artifact_registry/distribution.py's, the API's view views.py's.
Documents stand under the names that Artifact Registry gives them: REPOSITORY/packages/P/versions/DIGEST, .../tags/T.
"""

from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import ApiError
from local_cloud.images import manifests
from local_cloud.images.blobs import Blobs
from local_cloud.images.manifests import Manifest
from local_cloud.images.names import package_id
from local_cloud.images.repositories import Repositories
from local_cloud.images.uploads import Uploads

#: A blob that nothing needs goes after so many seconds: until then it may be part of a push that is on its way.
UNUSED = 86_400.0

#: Which a repository with immutable tags answers.
IMMUTABLE = "The repository has enabled tag immutability."


class MissingPartError(Exception):
    """A manifest needs what is not in its repository; the text is the digest."""


class Images:
    """Everything that was pushed."""

    def __init__(self, cloud: Cloud, repositories: Repositories) -> None:
        self.cloud = cloud
        self.repositories = repositories
        self.blobs = Blobs(cloud)
        self.uploads = Uploads(cloud, self.blobs)
        #: Name -> {"media_type", "size", "at", "updated", "parts", "children", "subject", "artifact_type", ...}.
        self.versions = cloud.store.json("images.versions")
        #: Name -> {"digest", "at", "updated"}.
        self.tags = cloud.store.json("images.tags")
        #: What callers have noted on packages, by name.
        self.annotations = cloud.store.json("images.annotations")

    # Looking up

    def packages(self, repository: str) -> dict[str, list[tuple[str, dict[str, Any]]]]:
        """The packages of a repository by name, each with its versions."""
        found: dict[str, list[tuple[str, dict[str, Any]]]] = {}
        for name, version in self.versions.items():
            if name.startswith(f"{repository}/packages/"):
                found.setdefault(name.partition("/versions/")[0], []).append((name, version))
        return found

    def versions_of(self, package: str) -> list[tuple[str, dict[str, Any]]]:
        """The versions of a package by name."""
        return [(name, one) for name, one in self.versions.items() if name.startswith(f"{package}/versions/")]

    def tags_of(self, package: str, digest: str = "") -> list[tuple[str, dict[str, Any]]]:
        """The tags of a package by name; those of one version where a digest is given."""
        start = f"{package}/tags/"
        return [(n, t) for n, t in self.tags.items() if n.startswith(start) and digest in ("", t["digest"])]

    def resolve(self, package: str, reference: str) -> str:
        """The digest that a tag, or a digest, means in a package; "" where there is none."""
        if ":" in reference:
            return reference if f"{package}/versions/{reference}" in self.versions else ""
        tag = self.tags.get(f"{package}/tags/{reference}")
        return str(tag["digest"]) if tag else ""

    def referrers(self, package: str, digest: str) -> list[tuple[str, dict[str, Any]]]:
        """The versions of a package that are about another one."""
        return [(name, one) for name, one in self.versions_of(package) if one["subject"] == digest]

    # Changing

    async def push(self, repository: str, image: str, data: bytes, manifest: Manifest, tag: str) -> None:
        """Keep a manifest, and point a tag at it where there is one."""
        package = f"{repository}/packages/{package_id(image)}"
        self._complete(repository, package, manifest)
        if tag:
            self._may_point(repository, f"{package}/tags/{tag}", manifest.digest)
        await self.blobs.put(repository, data)
        self._complete(repository, package, manifest)  # what was there may have gone while the bytes were written
        if tag:
            self._may_point(repository, f"{package}/tags/{tag}", manifest.digest)
        name, now = f"{package}/versions/{manifest.digest}", self.cloud.now()
        kept = self.versions.get(name)
        self.versions[name] = {
            "media_type": manifest.media_type,
            "size": manifest.size + sum(part.size for part in manifest.blobs),
            "manifest_size": manifest.size,
            "at": kept["at"] if kept else now,
            "updated": now,
            "parts": [part.digest for part in manifest.blobs],
            "children": [part.digest for part in manifest.children],
            "subject": manifest.subject,
            "artifact_type": manifest.artifact_type,
            "annotations": dict(manifest.annotations),
            "labels": kept.get("labels", {}) if kept else {},
        }
        if tag:
            self.point(package, tag, manifest.digest)

    def _complete(self, repository: str, package: str, manifest: Manifest) -> None:
        for part in manifest.blobs:
            if self.blobs.find(repository, part.digest) is None:
                raise MissingPartError(part.digest)
        for part in manifest.children:
            if f"{package}/versions/{part.digest}" not in self.versions:
                raise MissingPartError(part.digest)

    def point(self, package: str, tag: str, digest: str) -> str:
        """Point a tag at a version of its package; the tag's name."""
        name, now = f"{package}/tags/{tag}", self.cloud.now()
        self._may_point(package.partition("/packages/")[0], name, digest)
        kept = self.tags.get(name)
        if kept is None or kept["digest"] != digest:
            self.tags[name] = {"digest": digest, "at": kept["at"] if kept else now, "updated": now}
            if version := self.versions.get(f"{package}/versions/{digest}"):
                version["updated"] = now
                self.versions.save(f"{package}/versions/{digest}")
        return name

    def immutable(self, repository: str) -> bool:
        """Whether the repository's tags may neither move nor go."""
        found = self.repositories.kept.get(repository)
        return found is not None and bool(found.docker_config.immutable_tags)

    def _may_point(self, repository: str, name: str, digest: str) -> None:
        kept = self.tags.get(name)
        if kept is not None and kept["digest"] != digest and self.immutable(repository):
            raise ApiError("FAILED_PRECONDITION", f"cannot update tag {name.rpartition('/')[2]}. {IMMUTABLE}")

    def untag(self, name: str) -> None:
        """Delete a tag."""
        if self.immutable(name.partition("/packages/")[0]):
            raise ApiError("FAILED_PRECONDITION", f"cannot delete tag {name.rpartition('/')[2]}. {IMMUTABLE}")
        self.tags.pop(name)

    def may_delete(self, name: str, *, force: bool = False) -> None:
        """Refuse to delete a version that an index needs, or, unless forced, that has tags."""
        package, _, digest = name.partition("/versions/")
        tags = [tag.rpartition("/")[2] for tag, _ in self.tags_of(package, digest)]
        if tags and self.immutable(package.partition("/packages/")[0]):
            raise ApiError("FAILED_PRECONDITION", f"cannot delete version {digest}, which has tags. {IMMUTABLE}")
        if tags and not force:
            raise ApiError(
                "FAILED_PRECONDITION",
                f"cannot delete version {digest}, because it is tagged. Existing tags are: {', '.join(tags)}",
            )
        for other, one in self.versions_of(package):
            if digest in one["children"] and other != name:
                raise ApiError(
                    "FAILED_PRECONDITION",
                    f"cannot delete manifest {digest}, because it is referenced by parent manifests: "
                    f"{other.rpartition('/')[2]}",
                )

    def delete(self, name: str) -> None:
        """Delete a version, with its tags; its blobs go where nothing else needs them."""
        package, _, digest = name.partition("/versions/")
        repository = package.partition("/packages/")[0]
        found = self.versions.pop(name)
        if found is None:
            return
        for tag, _ in self.tags_of(package, digest):
            self.tags.pop(tag)
        needed = self.needed(repository)
        for part in (digest, *found["parts"]):
            if part not in needed:
                self.blobs.drop(repository, part)

    def needed(self, repository: str) -> set[str]:
        """The blobs of a repository that its versions are made of."""
        found: set[str] = set()
        for versions in self.packages(repository).values():
            for name, version in versions:
                found.update(version["parts"])
                found.add(name.rpartition("/")[2])
        return found

    def empty(self, repository: str) -> None:
        """Drop all that lies in a repository which is deleted."""
        for package, versions in self.packages(repository).items():
            for tag, _ in self.tags_of(package):
                self.tags.pop(tag)
            for name, _ in versions:
                self.versions.pop(name)
            self.annotations.pop(package)
        for digest, _ in self.blobs.of(repository):
            self.blobs.drop(repository, digest)

    def collect(self) -> None:
        """Drop blobs that nothing has needed for a day."""
        for repository in list(self.repositories.kept):
            needed = self.needed(repository)
            for digest, blob in self.blobs.of(repository):
                if digest not in needed and blob["at"] + UNUSED < self.cloud.now():
                    self.blobs.drop(repository, digest)

    async def manifest(self, name: str) -> tuple[bytes, Manifest]:
        """A version's manifest, as it was pushed and as it reads."""
        data = await self.blobs.read(name.rpartition("/")[2])
        return data, manifests.read(data, self.versions[name]["media_type"])
