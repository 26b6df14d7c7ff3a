"""The REST surface of one project, to be read: Google's with the caller's own credentials, or a local cloud's.

Owns where each product answers and how the caller is shown. Everything that asks through here reads and writes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import local_engine
from ops.errors import OpsError
from ops.google import Login

#: The provider's key of each product -> its host at Google, and the path that both kinds of cloud have.
PRODUCTS: Final[Mapping[str, tuple[str, str]]] = {
    "artifactRegistry": ("artifactregistry", "/v1/"),
    "billingBudgets": ("billingbudgets", "/v1/"),
    "binaryAuthorization": ("binaryauthorization", "/v1/"),
    "cloudResourceManager": ("cloudresourcemanager", "/v1/"),
    "cloudRunV2": ("run", "/v2/"),
    "cloudScheduler": ("cloudscheduler", "/v1/"),
    "cloudTasks": ("cloudtasks", "/v2/"),
    "compute": ("compute", "/compute/v1/"),
    "iamBeta": ("iam", "/v1/"),
    "kms": ("cloudkms", "/v1/"),
    "logging": ("logging", "/v2/"),
    "monitoring": ("monitoring", "/"),
    "pubsub": ("pubsub", "/v1/"),
    "secretManager": ("secretmanager", "/v1/"),
    "serviceNetworking": ("servicenetworking", "/v1/"),
    "serviceUsage": ("serviceusage", "/v1/"),
    "sql": ("sqladmin", "/sql/v1beta4/"),
    "storage": ("storage", "/storage/v1/"),
}
#: What a stack's config calls the endpoint of a product; the provider has no other place for one of them.
ALSO: Final = {"cloudResourceManager": "resourceManager"}


def local(url: str) -> local_engine.Cloud:
    """A local cloud at the URL of its owner's door."""
    places = {key: url.rstrip("/") + path for key, (_, path) in PRODUCTS.items()}
    return local_engine.Cloud(places, attribution={})


def google(stack: str) -> local_engine.Cloud:
    """Google Cloud, with application-default credentials."""
    places = {key: f"https://{host}.googleapis.com{path}" for key, (host, path) in PRODUCTS.items()}
    login = Login(stack, why="the project is asked as you")
    return local_engine.Cloud(places, attribution={}, authorize=login.headers)


def endpoints(url: str) -> dict[str, str]:
    """The lines of stack config by which the provider finds a local cloud."""
    keys = {**{key: key for key in PRODUCTS}, **{other: key for key, other in ALSO.items()}}
    return {f"gcp:{key}CustomEndpoint": url.rstrip("/") + PRODUCTS[of][1] for key, of in sorted(keys.items())}


def number_of(cloud: local_engine.Cloud, project: str) -> str:
    """The project's number; OpsError where there is no such project for this caller."""
    try:
        return str(cloud.get("cloudResourceManager", f"projects/{project}")["projectNumber"])
    except local_engine.EngineError as error:
        status = getattr(error, "status", None)
        if "SERVICE_DISABLED" in str(error):
            raise OpsError(
                f"{project} cannot be looked at: the API that knows projects is disabled",
                fix=f"gcloud services enable cloudresourcemanager.googleapis.com --project={project}",
            ) from error
        if status in (403, 404):
            raise OpsError(
                f"there is no project {project}, or you may not see it ({status})",
                why="Google answers both in the same way",
                fix="gcloud projects list shows those that you may see; "
                f"gcloud auth application-default login changes who asks; roles/viewer on {project} lets you look",
            ) from error
        raise OpsError(f"the project {project} cannot be looked at: {error}") from error
