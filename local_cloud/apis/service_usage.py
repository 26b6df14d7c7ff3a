"""Service Usage v1: which APIs are enabled. The cloud serves its APIs whether they are or not; it keeps the answer.

Source: google/api/serviceusage/v1/serviceusage.proto.
"""

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import invalid, permission_denied
from local_cloud.paging import page
from local_cloud.registry import Api, Call

API = Api("serviceusage", services=["google.api.serviceusage.v1.ServiceUsage"])

V1 = "google.api.serviceusage.v1"
DISABLED, ENABLED = 1, 2

#: At most this many in one batch, as documented.
MAX_BATCH = 20


def _enabled(cloud: Cloud) -> dict[str, bool]:
    kept: dict[str, bool] = cloud.store.json("serviceusage.enabled")  # type: ignore[assignment]
    return kept


@API.rpc("ListServices", permission="serviceusage.services.list")
async def list_services(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The APIs that are enabled; with `state:DISABLED` those emulated that are not."""
    wanted = request.filter.replace(" ", "")
    if wanted not in ("", "state:ENABLED", "state:DISABLED"):
        raise invalid("Invalid filter: only state:ENABLED and state:DISABLED are supported.")
    enabled = sorted(_enabled(cloud))
    others = sorted({api.host for api in cloud.apis} - set(enabled))
    names = {"state:ENABLED": enabled, "state:DISABLED": others}.get(wanted, sorted(enabled + others))
    items, token = page(names, request.page_size, request.page_token, default=50, most=200)
    services = [_service(cloud, name) for name in items]
    return message(f"{V1}.ListServicesResponse")(services=services, next_page_token=token)


@API.rpc("GetService", permission="serviceusage.services.get")
async def get_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One API with its state."""
    return _service(cloud, _host(request.name))


@API.rpc("BatchGetServices", permission="serviceusage.services.get")
async def batch_get(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Several."""
    services = [_service(cloud, _host(name)) for name in request.names]
    return message(f"{V1}.BatchGetServicesResponse")(services=services)


@API.rpc("EnableService", permission="serviceusage.services.enable")
async def enable_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Enables one; a finished operation."""
    host = _host(request.name)
    _enable(cloud, host)
    response = message(f"{V1}.EnableServiceResponse")(service=_service(cloud, host))
    return cloud.operations.done("", response, _metadata(request.name), prefix="acf.")


@API.rpc("DisableService", permission="serviceusage.services.disable")
async def disable_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Disables one."""
    host = _host(request.name)
    cloud.store.json("serviceusage.enabled").pop(host)
    response = message(f"{V1}.DisableServiceResponse")(service=_service(cloud, host))
    return cloud.operations.done("", response, _metadata(request.name), prefix="acf.")


@API.rpc("BatchEnableServices", permission="serviceusage.services.enable")
async def batch_enable(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Enables up to 20."""
    if not 0 < len(request.service_ids) <= MAX_BATCH:
        raise invalid(f"Between 1 and {MAX_BATCH} services can be enabled in one batch.")
    hosts = [_host(name) for name in request.service_ids]
    for host in hosts:
        _enable(cloud, host)
    response = message(f"{V1}.BatchEnableServicesResponse")(services=[_service(cloud, host) for host in hosts])
    return cloud.operations.done("", response, _metadata(request.parent), prefix="acat.")


def _enable(cloud: Cloud, host: str) -> None:
    kept = cloud.store.json("serviceusage.enabled")
    if host not in kept:
        kept[host] = True


def _host(name: str) -> str:
    host = name.rpartition("/")[2]
    if not host.endswith(".googleapis.com") or host.startswith("."):
        raise permission_denied(f"Not found or permission denied for service(s): {host}.")
    return host


def _metadata(name: str) -> Message:
    return message(f"{V1}.OperationMetadata")(resource_names=[name])


def _service(cloud: Cloud, host: str) -> Message:
    number = cloud.settings.project_number
    return message(f"{V1}.Service")(
        name=f"projects/{number}/services/{host}",
        parent=f"projects/{number}",
        config={"name": host},
        state=ENABLED if host in _enabled(cloud) else DISABLED,
    )
