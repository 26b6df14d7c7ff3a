"""Artifact Registry: repositories, what lies in them, and the registry that images are pushed to.

Owns the API's surface: repositories (repositories), the view of images, packages, versions, tags and files (contents),
the distribution API (distribution, with its errors in refusals), and clean-up by the clock (upkeep). What is kept, and
the law over it, is local_cloud/images/'s; how an image is run is local_cloud/run/'s.
Sources: google/devtools/artifactregistry/v1/*.proto, https://cloud.google.com/artifact-registry/docs.
"""

from local_cloud.apis.artifact_registry import contents, distribution, repositories, upkeep
from local_cloud.apis.artifact_registry.api import API

__all__ = ["API", "contents", "distribution", "repositories", "upkeep"]
