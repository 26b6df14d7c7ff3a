"""Service identities: the account under which a Google service works in the project (its service agent).

Source: https://cloud.google.com/service-usage/docs/reference/rest/v1beta1/services/generateServiceIdentity,
https://cloud.google.com/iam/docs/service-agents.
"""

import hashlib
from typing import Any

from local_cloud.apis.service_usage import API, TITLES
from local_cloud.cloud import Cloud
from local_cloud.descriptors import message
from local_cloud.errors import permission_denied
from local_cloud.registry import Call, HttpRequest
from local_cloud.server.json_codec import encode

#: Projects of service agents that do not follow from the service's name.
_AGENTS = {
    "compute.googleapis.com": "compute-system",
    "monitoring.googleapis.com": "gcp-sa-monitoring-notification",
    "run.googleapis.com": "serverless-robot-prod",
    "servicenetworking.googleapis.com": "service-networking",
    "sqladmin.googleapis.com": "gcp-sa-cloud-sql",
}


def agent_of(cloud: Cloud, host: str) -> str:
    """The e-mail of a service's agent in the project."""
    project = _AGENTS.get(host, f"gcp-sa-{host.partition('.')[0]}")
    return f"service-{cloud.settings.project_number}@{project}.iam.gserviceaccount.com"


def _project(request: HttpRequest) -> str:
    return f"projects/{request.params['project']}"


@API.route(
    "POST",
    "/v1/projects/{project}/services/{service}:generateServiceIdentity",
    permission="serviceusage.services.enable",
    resource=_project,
)
@API.route(
    "POST",
    "/v1beta1/projects/{project}/services/{service}:generateServiceIdentity",
    permission="serviceusage.services.enable",
    resource=_project,
)
async def generate(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The agent, which is there already; the same one at every call."""
    host = request.params["service"]
    if host not in TITLES:
        raise permission_denied(f"Not found or permission denied for service(s): {host}.")
    email = agent_of(cloud, host)
    number = int(hashlib.sha256(email.encode()).hexdigest()[:16], 16) % 10**20
    identity = {"email": email, "uniqueId": f"1{number:020}"}
    operation = encode(cloud.operations.done("", message("google.protobuf.Empty")(), prefix="finished."))
    kind = "type.googleapis.com/google.api.serviceusage.v1beta1.ServiceIdentity"
    return operation | {"response": {"@type": kind} | identity}
