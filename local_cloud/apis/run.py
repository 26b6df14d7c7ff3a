"""Cloud Run Admin v2: services and revisions, and the door that their requests come by.

The law is in local_cloud/run/; this module declares the calls. Jobs are run_jobs.py's, executions run_executions.py's.
Source: google/cloud/run/v2/{service,revision}.proto.
"""

from pathlib import Path

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import already_exists, invalid
from local_cloud.plain import newest_first, page
from local_cloud.registry import Api, Call, HttpRequest
from local_cloud.run import deploy, door, names
from local_cloud.run.rules import check_metadata, check_service_id
from local_cloud.run.services import FIRST_LOOK, Services

#: Worker pools, instances and builds have no handlers: each of their methods answers UNIMPLEMENTED by name.
SERVICES = ("Services", "Revisions", "WorkerPools", "Instances", "Builds")

API = Api("run", services=[f"google.cloud.run.v2.{service}" for service in SERVICES])

API.mount(names.PREFIX)(door.serve)
API.iam_policies(
    "projects/*/locations/*/services/*",
    permission="run.services",
    exists=lambda cloud, name: cloud.use(Services).get(name) and None,
    service="Services",
)


@API.on_start
async def start(cloud: Cloud) -> None:
    """Services are there again; their instances start with the first request, or now where a minimum is kept warm."""
    services = Services(cloud)
    cloud.provide(services)
    cloud.provide(door.Door(cloud, services))
    cloud.status["services"] = services.status
    services.start()
    cut_short = dict(services.deployments.items())
    cloud.clock.call_later(FIRST_LOOK, lambda: deploy.resume(services, cut_short))


@API.on_stop
async def stop(cloud: Cloud) -> None:
    """Stop every instance."""
    await cloud.use(Services).stop()


@API.rpc("CreateService", permission="run.services.create")
async def create_service(cloud: Cloud, call: Call, request: Message) -> Message:
    """Deploy a new service."""
    services = cloud.use(Services)
    check_service_id(request.service_id)
    name = f"{request.parent}/services/{request.service_id}"
    if name in services.services:
        raise already_exists(f"Resource '{request.service_id}' already exists.")
    where = "CreateServiceRequest.service"
    _check_metadata(request.service, where)
    made = deploy.prepare(services, call.principal, name, request.service, where=where)
    if request.validate_only:
        return cloud.operations.done(request.parent, services.present(made), services.present(made))
    return await deploy.deploy(services, call.principal, made)


def _check_metadata(service: Message, where: str) -> None:
    check_metadata(service.labels, service.annotations, where)
    check_metadata(service.template.labels, service.template.annotations, f"{where}.template")


@API.rpc("GetService", permission="run.services.get")
async def get_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a service."""
    services = cloud.use(Services)
    return services.present(services.get(request.name))


@API.rpc("ListServices", permission="run.services.list")
async def list_services(cloud: Cloud, _call: Call, request: Message) -> Message:
    """All services of a region; `-` means every region."""
    services, region = cloud.use(Services), request.parent.rpartition("/")[2]
    found = [s for name, s in services.services.items() if region in ("-", name.split("/")[3])]
    taken, token = page(found, request.page_size, request.page_token, lambda s: str(s.name))
    answer = message("google.cloud.run.v2.ListServicesResponse")
    return answer(services=[services.present(s) for s in taken], next_page_token=token)


@API.rpc("UpdateService", permission="run.services.update")
async def update_service(cloud: Cloud, call: Call, request: Message) -> Message:
    """Deploy a change; without a mask everything is taken from the request."""
    services, name = cloud.use(Services), cloud.canonical(request.service.name)
    if name not in services.services and not request.allow_missing:
        services.get(name)
    paths = list(request.update_mask.paths)
    if name not in services.services:
        cloud.iam.require(call.principal, "run.services.create", name.rpartition("/services/")[0])
        check_service_id(name.rpartition("/")[2])
    where = "UpdateServiceRequest.service"
    if name not in services.services:
        _check_metadata(request.service, where)
    made = deploy.prepare(services, call.principal, name, request.service, mask=paths, where=where)
    if request.validate_only:
        parent = name.rpartition("/services/")[0]
        return cloud.operations.done(parent, services.present(made), services.present(made))
    return await deploy.deploy(services, call.principal, made)


@API.rpc("DeleteService", permission="run.services.delete")
async def delete_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Delete a service with its revisions and instances."""
    services = cloud.use(Services)
    if request.validate_only:
        shown = services.present(services.get(request.name))
        return cloud.operations.done(request.name.rpartition("/services/")[0], shown, shown)
    return deploy.delete(services, request.name, request.etag)


@API.rpc("GetRevision", permission="run.revisions.get")
async def get_revision(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a revision."""
    return cloud.use(Services).revision(request.name)


@API.rpc("ListRevisions", permission="run.revisions.list")
async def list_revisions(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The revisions of a service, newest first; `-` means every service."""
    services = cloud.use(Services)
    if request.parent.endswith("/services/-"):
        found = [revision for _, revision in services.revisions.items()]
    else:
        services.get(request.parent)
        found = [revision for _, revision in services.revisions_of(request.parent)]
    taken, token = newest_first(found, request.page_size, request.page_token)
    return message("google.cloud.run.v2.ListRevisionsResponse")(revisions=taken, next_page_token=token)


@API.rpc("DeleteRevision", permission="run.revisions.delete")
async def delete_revision(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Delete a revision that nothing points to."""
    services = cloud.use(Services)
    if request.validate_only:
        revision = services.revision(request.name)
        return cloud.operations.done(request.name.split("/services/")[0], revision, revision)
    return deploy.delete_revision(services, request.name, request.etag)


@API.route("GET", "/_sluice/images", owner_only=True)
async def list_images(cloud: Cloud, _call: Call, _request: HttpRequest) -> dict[str, object]:
    """The images whose code is known."""
    return {"images": [{"digest": digest, **manifest} for digest, manifest in cloud.use(Services).images.items()]}


@API.route("POST", "/_sluice/images", owner_only=True)
async def register_image(cloud: Cloud, _call: Call, request: HttpRequest) -> dict[str, object]:
    """Make the code behind an image known, by digest or name: {"digest", "root", "entry", "preload"}."""
    given = request.json if isinstance(request.json, dict) else {}
    digest, root, entry, modules = (given.get(key) for key in ("digest", "root", "entry", "preload"))
    if not (isinstance(digest, str) and digest):
        raise invalid(
            'An image needs a "digest": what a deployment names it by, which is the "sha256:..." behind the @, or, '
            'where there is no @, the whole name, such as "hello" or "us-docker.pkg.dev/p/r/hello:v1".'
        )
    if not (isinstance(root, str) and Path(root).is_absolute() and Path(root).is_dir()):  # noqa: ASYNC240
        raise invalid(f'The image\'s "root" must be an absolute path of a folder: {root!r}.')
    if not (isinstance(entry, str) and entry):
        raise invalid('An image needs an "entry": "package.module:function", or a module to run.')
    if not (modules is None or (isinstance(modules, list) and all(isinstance(m, str) for m in modules))):
        raise invalid('The image\'s "preload" must be a list of module names.')
    manifest = {"root": root, "entry": entry, "preload": modules or []}
    cloud.use(Services).register(digest, manifest)
    return {"digest": digest, **manifest}
