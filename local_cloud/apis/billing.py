"""Cloud Billing v1, the one question that Terraform asks of every project: who pays. Nobody does.

Source: https://cloud.google.com/billing/docs/reference/rest/v1/projects/getBillingInfo.
"""

from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.registry import Api, Call, HttpRequest

API = Api("cloudbilling", refusal="The caller does not have permission")


def _project(request: HttpRequest) -> str:
    return f"projects/{request.params['project']}"


@API.route("GET", "/v1/projects/{project}/billingInfo", permission="resourcemanager.projects.get", resource=_project)
async def billing_info(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """A project without a billing account."""
    return {
        "name": f"projects/{cloud.project}/billingInfo",
        "projectId": cloud.project,
        "billingAccountName": "",
        "billingEnabled": False,
    }
