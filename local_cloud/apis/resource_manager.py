"""Resource Manager: the one project, and its policy; v3 by its protos, v1 (which Terraform and gcloud speak) by routes.

Source: google/cloud/resourcemanager/v3/projects.proto and https://cloud.google.com/resource-manager/reference/rest/v1/projects.
"""

from fnmatch import fnmatchcase
from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import bad_request, invalid
from local_cloud.iam.permissions import check_words
from local_cloud.registry import Api, Call, HttpRequest
from local_cloud.server.json_codec import Errors, decode_into, encode

API = Api(
    "cloudresourcemanager",
    services=["google.cloud.resourcemanager.v3.Projects"],
    refusal="The caller does not have permission.",
)

V3 = "google.cloud.resourcemanager.v3"

#: When the project was made, as far as anybody asks: the real service shows a time.
CREATED = "2024-01-01T00:00:00Z"


def _name(request: HttpRequest) -> str:
    return f"projects/{request.params['project']}"


API.iam_policies("projects/*", permission="resourcemanager.projects", service="Projects")


@API.rpc("GetProject", permission="resourcemanager.projects.get")
async def get_project(cloud: Cloud, _call: Call, _request: Message) -> Message:
    """The project by id or number."""
    return _project(cloud)


@API.rpc("SearchProjects")
async def search_projects(cloud: Cloud, call: Call, request: Message) -> Message:
    """The project, when the caller may get it and the query fits."""
    shown = _visible(cloud, call, "resourcemanager.projects.get") and _fits(cloud, request.query)
    return message(f"{V3}.SearchProjectsResponse")(projects=[_project(cloud)] if shown else [])


@API.rpc("ListProjects")
async def list_projects(cloud: Cloud, call: Call, _request: Message) -> Message:
    """The project, when the caller may list it; it is below every parent, since there are none."""
    shown = _visible(cloud, call, "resourcemanager.projects.list")
    return message(f"{V3}.ListProjectsResponse")(projects=[_project(cloud)] if shown else [])


@API.route("GET", "/v1/projects")
async def list_v1(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """v1's list: what the caller may get."""
    shown = _visible(cloud, call, "resourcemanager.projects.get") and _fits(cloud, request.arg("filter"))
    return {"projects": [_v1(cloud)]} if shown else {}


@API.route("GET", "/v1/projects/{project}", permission="resourcemanager.projects.get", resource=_name)
async def get_v1(cloud: Cloud, _call: Call, _request: HttpRequest) -> Any:
    """v1's project, with the number that deterministic URLs are made of."""
    return _v1(cloud)


@API.route(
    "POST", "/v1/projects/{project}:getIamPolicy", permission="resourcemanager.projects.getIamPolicy", resource=_name
)
async def get_policy(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """The project's policy."""
    parsed = _parse("google.iam.v1.GetIamPolicyRequest", request)
    return encode(cloud.iam.get_policy(_name(request), parsed.options.requested_policy_version))


@API.route(
    "POST", "/v1/projects/{project}:setIamPolicy", permission="resourcemanager.projects.setIamPolicy", resource=_name
)
async def set_policy(cloud: Cloud, _call: Call, request: HttpRequest) -> Any:
    """Replaces the project's policy."""
    parsed = _parse("google.iam.v1.SetIamPolicyRequest", request)
    return encode(cloud.iam.set_policy(_name(request), parsed.policy, parsed.update_mask.paths))


@API.route("POST", "/v1/projects/{project}:testIamPermissions", resource=_name)
async def test_permissions(cloud: Cloud, call: Call, request: HttpRequest) -> Any:
    """Which of the permissions the caller has."""
    parsed = _parse("google.iam.v1.TestIamPermissionsRequest", request)
    check_words(parsed.permissions)
    granted = cloud.iam.granted(call.principal, parsed.permissions, _name(request))
    return {"permissions": granted} if granted else {}


def _visible(cloud: Cloud, call: Call, permission: str) -> bool:
    return cloud.iam.allows(call.principal, permission, f"projects/{cloud.project}")


def _fits(cloud: Cloud, query: str) -> bool:
    """Terms such as id:PREFIX* or projectId=ID, all of which must fit; others are taken as fitting."""
    known = {"id": cloud.project, "projectid": cloud.project, "name": cloud.project, "displayname": cloud.project}
    known |= {"projectnumber": cloud.settings.project_number, "state": "ACTIVE", "lifecyclestate": "ACTIVE"}
    for term in query.split():
        name, operator, wanted = term.partition(":") if ":" in term else term.partition("=")
        value = known.get(name.lower(), "") if operator else ""
        if value and not fnmatchcase(value.lower(), wanted.strip("\"'").lower()):
            return False
    return True


def _parse(kind: str, request: HttpRequest) -> Message:
    made, errors = message(kind)(), Errors()
    if request.json is not None:
        decode_into(made, request.json, "", errors)
    if errors:
        raise invalid("\n".join(text for _, text in errors), bad_request(errors))
    return made


def _project(cloud: Cloud) -> Message:
    made = message(f"{V3}.Project")(
        name=f"projects/{cloud.settings.project_number}",
        project_id=cloud.project,
        display_name=cloud.project,
        state=1,
    )
    made.create_time.FromJsonString(CREATED)
    return made


def _v1(cloud: Cloud) -> dict[str, str]:
    return {
        "projectNumber": cloud.settings.project_number,
        "projectId": cloud.project,
        "lifecycleState": "ACTIVE",
        "name": cloud.project,
        "createTime": CREATED,
    }
