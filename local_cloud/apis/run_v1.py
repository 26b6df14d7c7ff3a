"""Cloud Run Admin v1 (Knative serving), which `gcloud run` speaks: services and what is seen of them.

Every call is one of v2's with its permission and law, asked and shown in Knative's words; nothing is kept here. Jobs
are run_v1_jobs.py's. Errors have Google's envelope: the managed surface never answers a Kubernetes Status for them.
Source: the discovery document of run v1.
"""

from typing import Any

from local_cloud.cloud import Cloud
from local_cloud.errors import not_found
from local_cloud.registry import Api, Call, HttpRequest
from local_cloud.run.knative import objects, services
from local_cloud.run.knative.ask import ask, ask_all, begun, read
from local_cloud.run.knative.objects import SERVING
from local_cloud.run.knative.services import API as VERSION
from local_cloud.run.knative.shape import SERVICE, checked
from local_cloud.run.services import Services
from local_cloud.server.json_codec import encode

API = Api("run_v1", host="run.googleapis.com")

Json = dict[str, Any]

_SPACE = f"/apis/{VERSION}/namespaces/{{namespace}}"
_SERVICE_LABEL = f"{SERVING}/service"

API.iam_policies(
    "projects/*/locations/*/services/*",
    permission="run.services",
    exists=lambda cloud, name: cloud.use(Services).get(name) and None,
)


@API.route("GET", f"{_SPACE}/services")
async def list_services(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """The services of a region, or of all where the host names none."""
    found = await _services(cloud, call, objects.place(cloud, request, "-"))
    return objects.listed([services.service(cloud, each) for each in found], request, VERSION, "Service")


@API.route("GET", "/v1/projects/{project}/locations/{location}/services")
async def list_services_anywhere(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """The services of a region that the path names; `-` means every region."""
    place = f"{cloud.canonical('projects/' + request.params['project'])}/locations/{request.params['location']}"
    found = await _services(cloud, call, place)
    return objects.listed([services.service(cloud, each) for each in found], request, VERSION, "Service")


@API.route("POST", f"{_SPACE}/services")
async def create_service(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Deploy a new service."""
    given, place = checked(request.json, SERVICE, "service"), objects.place(cloud, request)
    name = objects.check_identity(cloud, given, VERSION, "Service")
    made = read("Service", services.to_v2(given))
    fields = {"parent": place, "service_id": name, "service": made, "validate_only": request.arg("dryRun") == "all"}
    operation = await ask(cloud, call, "Services.CreateService", **fields)
    return services.service(cloud, encode(begun(operation, "Service")))


@API.route("GET", f"{_SPACE}/services/{{name}}")
async def get_service(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Read a service."""
    found = await ask(cloud, call, "Services.GetService", name=_name(cloud, request))
    return services.service(cloud, encode(found))


@API.route("PUT", f"{_SPACE}/services/{{name}}")
async def replace_service(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Deploy a change; the call carries all of the service."""
    given, name = checked(request.json, SERVICE, "service"), _name(cloud, request)
    objects.check_identity(cloud, given, VERSION, "Service", request.params["name"])
    current = await ask(cloud, call, "Services.GetService", name=name)
    objects.check_version(given, current.etag)
    made = read("Service", services.to_v2(given, encode(current)))
    made.name = name
    dry = request.arg("dryRun") == "all"
    operation = await ask(cloud, call, "Services.UpdateService", service=made, validate_only=dry)
    return services.service(cloud, encode(begun(operation, "Service")))


@API.route("DELETE", f"{_SPACE}/services/{{name}}")
async def delete_service(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Delete a service with its revisions."""
    name = _name(cloud, request)
    kept = encode(await ask(cloud, call, "Services.GetService", name=name))
    await ask(cloud, call, "Services.DeleteService", name=name, validate_only=request.arg("dryRun") == "all")
    return objects.deleted(SERVING, "services", kept)


@API.route("GET", f"{_SPACE}/configurations")
async def list_configurations(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """The configurations: one a service."""
    found = await _services(cloud, call, objects.place(cloud, request, "-"))
    shown = [services.configuration(cloud, each) for each in found]
    return objects.listed(shown, request, VERSION, "Configuration")


@API.route("GET", f"{_SPACE}/configurations/{{name}}")
async def get_configuration(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Read a service's configuration."""
    found = await ask(cloud, call, "Services.GetService", name=_name(cloud, request))
    return services.configuration(cloud, encode(found))


@API.route("GET", f"{_SPACE}/routes")
async def list_routes(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """The routes: one a service."""
    found = await _services(cloud, call, objects.place(cloud, request, "-"))
    return objects.listed([services.route(cloud, each) for each in found], request, VERSION, "Route")


@API.route("GET", f"{_SPACE}/routes/{{name}}")
async def get_route(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Read a service's route."""
    found = await ask(cloud, call, "Services.GetService", name=_name(cloud, request))
    return services.route(cloud, encode(found))


@API.route("GET", f"{_SPACE}/revisions")
async def list_revisions(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """The revisions of a region, newest first; a selector picks those of one service."""
    place, service = objects.place(cloud, request, "-"), objects.selected_value(request, _SERVICE_LABEL)
    owners = {each["name"]: each for each in await _services(cloud, call, place)}
    parent = f"{place}/services/{service}"
    parent = parent if parent in owners else f"{place}/services/-"
    found = await ask_all(cloud, call, "Revisions.ListRevisions", "revisions", parent=parent)
    shown = [services.revision(cloud, each, owners[each["service"]]) for each in found if each["service"] in owners]
    return objects.listed(shown, request, VERSION, "Revision")


@API.route("GET", f"{_SPACE}/revisions/{{name}}")
async def get_revision(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Read a revision."""
    kept = encode(await ask(cloud, call, "Revisions.GetRevision", name=_revision(cloud, request)))
    owner = await ask(cloud, call, "Services.GetService", name=kept["service"])
    return services.revision(cloud, kept, encode(owner))


@API.route("DELETE", f"{_SPACE}/revisions/{{name}}")
async def delete_revision(cloud: Cloud, call: Call, request: HttpRequest) -> Json:
    """Delete a revision that nothing points to."""
    name = _revision(cloud, request)
    kept = encode(await ask(cloud, call, "Revisions.GetRevision", name=name))
    await ask(cloud, call, "Revisions.DeleteRevision", name=name, validate_only=request.arg("dryRun") == "all")
    return objects.deleted(SERVING, "revisions", kept)


@API.route("GET", "/apis/domains.cloudrun.com/v1/namespaces/{namespace}/domainmappings")
async def list_domain_mappings(_cloud: Cloud, _call: Call, request: HttpRequest) -> Json:
    """None: a service is reached under the REST door."""
    return objects.listed([], request, "domains.cloudrun.com/v1", "DomainMapping")


def _name(cloud: Cloud, request: HttpRequest) -> str:
    return f"{objects.place(cloud, request)}/services/{request.params['name']}"


def _revision(cloud: Cloud, request: HttpRequest) -> str:
    """A revision's full name; v1 says it without its service."""
    below, name = f"{objects.place(cloud, request)}/services/", request.params["name"]
    for full in cloud.use(Services).revisions:
        if full.startswith(below) and full.endswith(f"/revisions/{name}"):
            return full
    _, project, _, region, *_ = below.split("/")
    raise not_found(f"Resource '{name}' of kind 'REVISION' in region '{region}' in project '{project}' does not exist.")


async def _services(cloud: Cloud, call: Call, place: str) -> list[Json]:
    return await ask_all(cloud, call, "Services.ListServices", "services", parent=place)
