"""One request to an image of the registry: who asks, which repository and package it means, what is allowed there."""

import re

from local_cloud.apis.artifact_registry.credentials import caller
from local_cloud.apis.artifact_registry.refusals import refused
from local_cloud.exchanges import Exchange
from local_cloud.images.names import DIGEST, NameWrongError, package_id, parse
from local_cloud.images.registry import Images
from local_cloud.registry import Principal

VERSION = {"docker-distribution-api-version": "registry/2.0"}
UPLOAD, DOWNLOAD, DELETE = (
    f"artifactregistry.repositories.{what}Artifacts" for what in ("upload", "download", "delete")
)


class Request:
    """One request to an image: who asks, and what of which repository."""

    def __init__(self, exchange: Exchange, match: "re.Match[str]") -> None:
        self.exchange = exchange
        self.cloud = exchange.cloud
        self.images = exchange.cloud.use(Images)
        self.name: str = match["name"]
        self.at = match
        self.principal: Principal = caller(exchange, self.name)
        host = exchange.headers.get("host", "").partition(":")[0].lower()
        location = host.removesuffix("-docker.pkg.dev") if host.endswith("-docker.pkg.dev") else ""
        try:
            self.path = parse(self.name, location)
        except NameWrongError:
            raise refused("NAME_INVALID", f"{self.name} is no PROJECT/REPOSITORY/IMAGE", 400) from None
        self.repository = self.images.repositories.named(self.path)
        self.package = f"{self.repository}/packages/{package_id(self.path.image)}"

    def may(self, permission: str) -> None:
        """Refuse a caller without a permission on the repository; then one who names a repository that is not there."""
        canonical = self.cloud.canonical(self.repository)
        shown = f'Permission "{permission}" denied on resource "{canonical}" (or it may not exist)'
        self.cloud.iam.require(self.principal, permission, canonical, shown)
        if not self.images.repositories.holds_images(canonical):
            raise refused("NAME_UNKNOWN", f'Repository "{self.path.repository}" not found', 404)


def well_formed(digest: str) -> None:
    """Refuse what is no digest."""
    if not DIGEST.fullmatch(digest):
        raise refused("DIGEST_INVALID", f"the digest {digest!r} is no sha256", 400)
