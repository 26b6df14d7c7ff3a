"""Cloud Monitoring's services and service-level objectives.

Owns the resources: ids, views, lists, what goes with a service. What an objective may say and what comes of it is
metrics/slo_rules.py's and slo.py's; its series are read by ListTimeSeries and alert policies with a selector.
Source: google/monitoring/v3/service_service.proto, service.proto.
"""

import re
import secrets

from local_cloud.apis.monitoring import API
from local_cloud.apis.monitoring_descriptors import page_size
from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.errors import ApiError, already_exists, invalid, not_found
from local_cloud.metrics.catalogue import Catalogue
from local_cloud.metrics.slo import Slo
from local_cloud.metrics.slo_rules import Reader, build, explicit
from local_cloud.plain import Plain, merge, page
from local_cloud.registry import Call

SERVICE, OBJECTIVE = "google.monitoring.v3.Service", "google.monitoring.v3.ServiceLevelObjective"
EXPLICIT = enum(f"{OBJECTIVE}.View")["EXPLICIT"]
MAX_PAGE, MOST_SLOS = 1000, 500
_ID = re.compile(r"[a-z0-9-]{1,63}")
_OBJECTIVE_ID = re.compile(r"[a-zA-Z0-9-_:.]{1,63}")
_CASE = re.compile(r'identifier_case\s*=\s*"([A-Z_]+)"')


class Services:
    """What is kept, and the objectives made of it."""

    def __init__(self, cloud: Cloud) -> None:
        self.services = Plain(cloud, SERVICE).kept
        self.objectives = Plain(cloud, OBJECTIVE).kept
        self._made: dict[str, Slo] = {}
        self.reader = Reader(
            cloud.use(Catalogue),
            cloud.meter.points,
            lambda: cloud.metric_lag.visible(cloud.now()),
        )
        self._canonical = cloud.canonical

    def service(self, name: str) -> Message:
        """A service; NOT_FOUND without it."""
        found = self.services.get(name)
        if found is None:
            raise not_found(f"Service '{name}' not found.")
        return found

    def objective(self, name: str) -> Message:
        """An objective; NOT_FOUND without it."""
        found = self.objectives.get(name)
        if found is None:
            raise not_found(f"Service level objective '{name}' not found.")
        return found

    def find(self, name: str) -> Slo | None:
        """What an objective works out; None without it, or where a metric of it is gone."""
        name = self._canonical(name)
        if name not in self._made and name in self.objectives:
            try:
                self._made[name] = self.build(self.objectives[name])
            except ApiError:
                return None
        return self._made.get(name)

    def build(self, made: Message) -> Slo:
        """The arithmetic of an objective; refuses what it may not say."""
        return build(self.reader, self.service(made.name.partition("/serviceLevelObjectives/")[0]), made)

    def keep(self, made: Message) -> Message:
        """Keep an objective that is good."""
        self._made[made.name] = self.build(made)
        self.objectives[made.name] = made
        return made

    def changed(self, service: Message) -> None:
        """A service is another: its objectives may read other series."""
        self.services[service.name] = service
        for made in self.below(service.name):
            self._made.pop(made.name, None)

    def forget(self, name: str) -> None:
        """An objective goes."""
        self.objectives.pop(name)
        self._made.pop(name, None)

    def below(self, service: str) -> list[Message]:
        """The objectives of a service."""
        return [found for name, found in self.objectives.items() if name.startswith(f"{service}/")]


@API.on_start
async def start(cloud: Cloud) -> None:
    """Objectives can be asked for by selectors."""
    services = Services(cloud)
    cloud.provide(services)
    cloud.use(Catalogue).find_slo = services.find


@API.rpc("ServiceMonitoringService.CreateService", permission="monitoring.services.create")
async def create_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Keep a new service."""
    services, made = cloud.use(Services), message(SERVICE)()
    made.CopyFrom(request.service)
    made.name = f"{_project(request.parent)}/services/{_chosen(request.service_id, _ID, 'serviceId')}"
    if made.name in services.services:
        raise already_exists(f"Service '{made.name}' already exists.")
    _check_service(made)
    services.services[made.name] = made
    return made


@API.rpc("ServiceMonitoringService.GetService", permission="monitoring.services.get")
async def get_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read a service."""
    return cloud.use(Services).service(request.name)


@API.rpc("ServiceMonitoringService.ListServices", permission="monitoring.services.list")
async def list_services(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The services, those of one kind where the filter says so."""
    found = list(cloud.use(Services).services.values())
    _project(request.parent)
    if request.filter:
        case = _CASE.fullmatch(request.filter.strip())
        if case is None:
            raise invalid(f'Field filter had an invalid value of "{request.filter}": identifier_case = "..." is known.')
        found = [service for service in found if (service.WhichOneof("identifier") or "").upper() == case[1]]
    taken, token = _page(found, request)
    return message("google.monitoring.v3.ListServicesResponse")(services=taken, next_page_token=token)


@API.rpc("ServiceMonitoringService.UpdateService", permission="monitoring.services.update")
async def update_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change a service; which one it stands for stays."""
    services, name = cloud.use(Services), cloud.canonical(request.service.name)
    current = services.service(name)
    made = merge(current, request.service, request.update_mask.paths)
    made.name = name
    _check_service(made)
    if made.WhichOneof("identifier") != current.WhichOneof("identifier"):
        raise invalid("Field service.identifier cannot be changed.")
    services.changed(made)
    return made


@API.rpc("ServiceMonitoringService.DeleteService", permission="monitoring.services.delete")
async def delete_service(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget a service with its objectives."""
    services = cloud.use(Services)
    services.service(request.name)
    for made in services.below(request.name):
        services.forget(made.name)
    services.services.pop(request.name)
    return message("google.protobuf.Empty")()


@API.rpc("ServiceMonitoringService.CreateServiceLevelObjective", permission="monitoring.slos.create")
async def create_objective(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Keep a new objective."""
    services, made = cloud.use(Services), message(OBJECTIVE)()
    services.service(request.parent)
    made.CopyFrom(request.service_level_objective)
    chosen = _chosen(request.service_level_objective_id, _OBJECTIVE_ID, "serviceLevelObjectiveId")
    made.name = f"{request.parent}/serviceLevelObjectives/{chosen}"
    if made.name in services.objectives:
        raise already_exists(f"Service level objective '{made.name}' already exists.")
    if len(services.below(request.parent)) >= MOST_SLOS:
        raise ApiError("RESOURCE_EXHAUSTED", f"A service may have at most {MOST_SLOS} service level objectives.")
    return services.keep(made)


@API.rpc("ServiceMonitoringService.GetServiceLevelObjective", permission="monitoring.slos.get")
async def get_objective(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Read an objective; in the view EXPLICIT with its filters written out."""
    return _viewed(cloud, cloud.use(Services).objective(request.name), request.view)


@API.rpc("ServiceMonitoringService.ListServiceLevelObjectives", permission="monitoring.slos.list")
async def list_objectives(cloud: Cloud, _call: Call, request: Message) -> Message:
    """The objectives of a service; `-` stands for all services."""
    services = cloud.use(Services)
    every = request.parent.endswith("/services/-")
    if not every:
        services.service(request.parent)
    if request.filter:
        raise invalid(f'Field filter had an invalid value of "{request.filter}": objectives are not filtered here.')
    taken, token = _page(list(services.objectives.values()) if every else services.below(request.parent), request)
    answer = message("google.monitoring.v3.ListServiceLevelObjectivesResponse")
    shown = [_viewed(cloud, made, request.view) for made in taken]
    return answer(service_level_objectives=shown, next_page_token=token)


@API.rpc("ServiceMonitoringService.UpdateServiceLevelObjective", permission="monitoring.slos.update")
async def update_objective(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Change an objective; its series are those of the new one from then on."""
    services, name = cloud.use(Services), cloud.canonical(request.service_level_objective.name)
    made = merge(services.objective(name), request.service_level_objective, request.update_mask.paths)
    made.name = name
    return services.keep(made)


@API.rpc("ServiceMonitoringService.DeleteServiceLevelObjective", permission="monitoring.slos.delete")
async def delete_objective(cloud: Cloud, _call: Call, request: Message) -> Message:
    """Forget an objective."""
    cloud.use(Services).objective(request.name)
    cloud.use(Services).forget(request.name)
    return message("google.protobuf.Empty")()


def _viewed(cloud: Cloud, made: Message, view: int) -> Message:
    if view != EXPLICIT:
        return made
    shown = message(OBJECTIVE)()
    shown.CopyFrom(made)
    service = cloud.use(Services).service(made.name.partition("/serviceLevelObjectives/")[0])
    shown.service_level_indicator.CopyFrom(explicit(service, made.service_level_indicator))
    return shown


def _check_service(made: Message) -> None:
    kind = made.WhichOneof("identifier")
    if kind is None and not made.HasField("basic_service"):
        raise invalid("Field service.identifier is required: custom, cloudRun or basicService, for instance.")
    if kind == "cloud_run" and not (made.cloud_run.service_name and made.cloud_run.location):
        raise invalid("Field service.cloudRun needs serviceName and location.")
    if made.HasField("basic_service") and not made.basic_service.service_type:
        raise invalid("Field service.basicService.serviceType is required.")
    if len(made.display_name) > 512:
        raise invalid("Field service.displayName has at most 512 characters.")


def _project(parent: str) -> str:
    if not parent.startswith("projects/"):
        raise invalid(f'Field parent had an invalid value of "{parent}": services are a project\'s.')
    return parent


def _chosen(given: str, pattern: re.Pattern[str], field: str) -> str:
    if given and not pattern.fullmatch(given):
        raise invalid(f'Field {field} had an invalid value of "{given}": it must match {pattern.pattern}.')
    return given or secrets.token_urlsafe(16).replace("_", "-").lower()


def _page(found: list[Message], request: Message) -> tuple[list[Message], str]:
    size = page_size(request.page_size)
    return page(found, size, request.page_token, lambda one: str(one.name), default=MAX_PAGE, most=MAX_PAGE)
