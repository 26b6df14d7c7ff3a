"""Service Usage v1: which APIs are enabled. A call to one that is disabled is refused at the door, as Google does.

A fresh project has every API of this cloud enabled, so that it can be used at once; one that is disabled stays so until
it is enabled. With `--strict-apis` it starts with those that Google enables in a new project, and no more. Both take
effect at once. Service Usage itself always answers: the way back must stay open.
Sources: google/api/serviceusage/v1/serviceusage.proto, https://cloud.google.com/service-usage/docs/enabled-service.
"""

from functools import partial

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, message
from local_cloud.errors import ApiError, error_info, help_link, invalid, permission_denied
from local_cloud.paging import page
from local_cloud.registry import Api, Call

API = Api("serviceusage", services=["google.api.serviceusage.v1.ServiceUsage"])

V1 = "google.api.serviceusage.v1"
DISABLED, ENABLED = 1, 2

#: At most this many in one batch, as documented.
MAX_BATCH, MAX_BATCH_GET = 20, 30

#: What Google enables in a new project, of what there is here.
DEFAULT = ("logging.googleapis.com", "monitoring.googleapis.com", "serviceusage.googleapis.com")

#: Titles as Google's messages have them; others are made from the name.
TITLES = {
    "appengine.googleapis.com": "App Engine Admin API",
    "artifactregistry.googleapis.com": "Artifact Registry API",
    "binaryauthorization.googleapis.com": "Binary Authorization API",
    "billingbudgets.googleapis.com": "Cloud Billing Budget API",
    "cloudkms.googleapis.com": "Cloud Key Management Service (KMS) API",
    "cloudresourcemanager.googleapis.com": "Cloud Resource Manager API",
    "cloudscheduler.googleapis.com": "Cloud Scheduler API",
    "cloudtasks.googleapis.com": "Cloud Tasks API",
    "compute.googleapis.com": "Compute Engine API",
    "iam.googleapis.com": "Identity and Access Management (IAM) API",
    "iamcredentials.googleapis.com": "IAM Service Account Credentials API",
    "logging.googleapis.com": "Cloud Logging API",
    "monitoring.googleapis.com": "Cloud Monitoring API",
    "pubsub.googleapis.com": "Cloud Pub/Sub API",
    "run.googleapis.com": "Cloud Run Admin API",
    "secretmanager.googleapis.com": "Secret Manager API",
    "servicenetworking.googleapis.com": "Service Networking API",
    "serviceusage.googleapis.com": "Service Usage API",
    "sqladmin.googleapis.com": "Cloud SQL Admin API",
    "storage.googleapis.com": "Cloud Storage API",
    "sts.googleapis.com": "Security Token Service API",
}

#: Hosts that some of our modules have and no product is: never listed, never refused.
OURS = ("admin.googleapis.com", "metadata.googleapis.com", "oauth2.googleapis.com", "operations.googleapis.com")


class Services:
    """The state of every API: what was said of it, or what it starts with."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._said = cloud.store.json("serviceusage.enabled")
        self.here = sorted({api.host for api in cloud.apis if api.services or api.host in TITLES} - {*OURS})
        self._refuse()

    def enabled(self, host: str) -> bool:
        """Whether an API is enabled."""
        said = self._said.get(host)
        if said is not None:
            return bool(said)
        return host in (DEFAULT if self._cloud.settings.strict_apis else self.here)

    def all(self) -> list[str]:
        """Every API of this cloud, and others that were enabled or disabled."""
        return sorted({*self.here, *self._said})

    def set(self, host: str, enabled: bool) -> None:
        """Enables or disables."""
        self._said[host] = enabled
        self._refuse()

    def _refuse(self) -> None:
        self._cloud.disabled.clear()
        for host in self.here:
            if not self.enabled(host) and host != API.host:
                self._cloud.disabled[host] = partial(refusal, self._cloud, host)


def refusal(cloud: Cloud, host: str) -> ApiError:
    """How Google says that an API is disabled (public issue threads have it with its details)."""
    number, title = cloud.settings.project_number, TITLES.get(host, f"{host.partition('.')[0]} API")
    url = f"https://console.developers.google.com/apis/api/{host}/overview?project={number}"
    text = (
        f"{title} has not been used in project {number} before or it is disabled. Enable it by visiting {url} then "
        "retry. If you enabled this API recently, wait a few minutes for the action to propagate to our systems and "
        "retry."
    )
    metadata = {
        "service": host,
        "serviceTitle": title,
        "consumer": f"projects/{number}",
        "containerInfo": number,
        "activationUrl": url,
    }
    return permission_denied(
        text,
        error_info("SERVICE_DISABLED", "googleapis.com", metadata),
        help_link("Google developers console API activation", url),
    )


@API.on_start
async def start(cloud: Cloud) -> None:
    """Reads what was said."""
    cloud.provide(Services(cloud))


@API.rpc("ListServices", permission="serviceusage.services.list")
async def list_services(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The APIs, all or by state."""
    wanted = request.filter.replace(" ", "")
    if wanted not in ("", "state:ENABLED", "state:DISABLED"):
        raise invalid("Invalid filter: only state:ENABLED and state:DISABLED are supported.")
    services = cloud.use(Services)
    names = [host for host in services.all() if not wanted or services.enabled(host) == (wanted == "state:ENABLED")]
    items, token = page(names, request.page_size, request.page_token, default=50, most=200)
    return message(f"{V1}.ListServicesResponse")(
        services=[_service(cloud, name) for name in items], next_page_token=token
    )


@API.rpc("GetService", permission="serviceusage.services.get")
async def get_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """One API with its state."""
    return _service(cloud, _host(request.name))


@API.rpc("BatchGetServices", permission="serviceusage.services.get")
async def batch_get(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Several."""
    if not 0 < len(request.names) <= MAX_BATCH_GET:
        raise invalid(f"Between 1 and {MAX_BATCH_GET} services can be got in one batch.")
    services = [_service(cloud, _host(name)) for name in request.names]
    return message(f"{V1}.BatchGetServicesResponse")(services=services)


@API.rpc("EnableService", permission="serviceusage.services.enable")
async def enable_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Enables one; a finished operation."""
    host = _host(request.name)
    cloud.use(Services).set(host, True)
    response = message(f"{V1}.EnableServiceResponse")(service=_service(cloud, host))
    return cloud.operations.done("", response, _metadata(request.name), prefix="acf.")


@API.rpc("DisableService", permission="serviceusage.services.disable")
async def disable_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Disables one: from now on calls to it are refused. What depends on what is not modelled."""
    host = _host(request.name)
    cloud.use(Services).set(host, False)
    response = message(f"{V1}.DisableServiceResponse")(service=_service(cloud, host))
    return cloud.operations.done("", response, _metadata(request.name), prefix="acf.")


@API.rpc("BatchEnableServices", permission="serviceusage.services.enable")
async def batch_enable(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Enables up to 20."""
    if not 0 < len(request.service_ids) <= MAX_BATCH:
        raise invalid(f"Between 1 and {MAX_BATCH} services can be enabled in one batch.")
    hosts = [_host(name) for name in request.service_ids]
    for host in hosts:
        cloud.use(Services).set(host, True)
    response = message(f"{V1}.BatchEnableServicesResponse")(services=[_service(cloud, host) for host in hosts])
    return cloud.operations.done("", response, _metadata(request.parent), prefix="acat.")


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
        config={"name": host, "title": TITLES.get(host, "")},
        state=ENABLED if cloud.use(Services).enabled(host) else DISABLED,
    )
