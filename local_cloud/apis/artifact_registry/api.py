"""The API's declaration, which the modules with handlers share."""

from local_cloud.registry import Api

API = Api("artifactregistry", services=["google.devtools.artifactregistry.v1.ArtifactRegistry"])
