"""A deployment: from a wanted service to a kept one, a revision that was seen to serve, and traffic on it.

Owns what changes a service: create, update, delete, conditions and the operation's outcome. A deployment that fails
leaves LATEST's traffic where it was, as Google's does.
Source: https://cloud.google.com/run/docs/deploying, .../troubleshooting.
"""

import asyncio
import random
import string
import uuid
from collections.abc import Iterable, Mapping

from local_cloud.cloud import Cloud
from local_cloud.descriptors import Message, enum, message
from local_cloud.engines.instances import StartError
from local_cloud.engines.revisions import NoInstanceError
from local_cloud.errors import ApiError, already_exists, failed_precondition
from local_cloud.plain import merge
from local_cloud.registry import Principal
from local_cloud.run.environment import SecretError
from local_cloud.run.rules import check_service, check_template, check_traffic, fill_in, same_template
from local_cloud.run.services import FAILED, RECONCILING, REVISION, SERVICE, SUCCEEDED, Services
from local_cloud.secrets import stamp

_REASONS = enum("google.cloud.run.v2.Condition.CommonReason")
_REVISION_REASONS = enum("google.cloud.run.v2.Condition.RevisionReason")
#: Fields of a service that the platform writes; what a caller sends in them is passed over.
OUTPUT_ONLY = (
    "uid", "generation", "create_time", "update_time", "delete_time", "expire_time", "creator", "last_modifier",
    "observed_generation", "terminal_condition", "conditions", "latest_ready_revision", "latest_created_revision",
    "traffic_statuses", "uri", "urls", "satisfies_pzs", "reconciling", "etag",
)  # fmt: skip
#: A deployment that is through within this time is answered by a finished operation.
AT_ONCE = 3.0


def default_account(cloud: Cloud) -> str:
    """Who a revision or a job runs as when nobody was named: the Compute Engine default account."""
    return f"{cloud.settings.project_number}-compute@developer.gserviceaccount.com"


def prepare(
    services: Services, principal: Principal, name: str, wanted: Message, *, mask: Iterable[str] = (), where: str
) -> Message:
    """The service that would be kept: checked, filled in, nothing changed yet."""
    current = services.services.get(name)
    made = message(SERVICE)()
    if current is None:
        made.CopyFrom(wanted)
    else:
        if wanted.etag and wanted.etag != current.etag:
            raise ApiError("ABORTED", f"Conflict for resource '{name}': the etag {wanted.etag} is not the current one.")
        made.CopyFrom(merge(current, wanted, mask))
    made.name = name
    for field in OUTPUT_ONLY:
        made.ClearField(field)
    service_id = name.rpartition("/")[2]
    fill_in(made, default_account(services.cloud))
    check_service(made, where)
    check_template(service_id, made.template, where)
    account = made.template.service_account
    if account != default_account(services.cloud):
        check_account(services.cloud, principal, account)
    services.pushed.may_have(principal, made.template.containers)
    known = {revision.rpartition("/")[2] for revision, _ in services.revisions_of(name)}
    if made.template.revision:
        _check_revision(services, current, made)
        known.add(made.template.revision)
    check_traffic(service_id, services.cloud.settings.project_number, made.traffic, known, where)
    if current is not None:
        for field in ("uid", "create_time", "creator", "latest_ready_revision", "latest_created_revision"):
            value = getattr(current, field)
            if isinstance(value, str):
                setattr(made, field, value)
            else:
                getattr(made, field).CopyFrom(value)
        made.generation = current.generation
    return made


def check_account(cloud: Cloud, principal: Principal, account: str) -> None:
    """Refuse a deployment by somebody who may not act as the account that it names."""
    resource = f"projects/{cloud.project}/serviceAccounts/{account}"
    text = f"Permission 'iam.serviceaccounts.actAs' denied on service account {account} (or it may not exist)."
    cloud.iam.require(principal, "iam.serviceAccounts.actAs", resource, text)
    if account.endswith(f"@{cloud.iam.accounts.domain}") and cloud.iam.accounts.find(account) is None:
        raise ApiError("PERMISSION_DENIED", text)


def _check_revision(services: Services, current: Message | None, made: Message) -> None:
    kept = services.revisions.get(f"{made.name}/revisions/{made.template.revision}")
    if kept is None:
        return
    if current is None or not same_template(_template_of(kept), _template_of(_revision(services, made, "", 0))):
        raise already_exists(
            f"Revision named '{made.template.revision}' with different configuration already exists. A revision is "
            "never changed: give the new template a name of its own."
        )


async def deploy(services: Services, principal: Principal, made: Message) -> Message:
    """Keep the service, bring its new revision up, move traffic; the operation says how it ended."""
    cloud, name = services.cloud, made.name
    current = services.services.get(name)
    now = int(cloud.now() * 1_000_000) * 1000
    if current is None:
        made.uid, made.creator = str(uuid.uuid4()), principal.email
        made.create_time.FromNanoseconds(now)
    made.generation += 1
    made.update_time.FromNanoseconds(now)
    made.last_modifier = principal.email
    made.reconciling = True
    revision = _next_revision(services, current, made)
    _condition(services, made.terminal_condition, "Ready", RECONCILING)
    stamp(made)
    services.services[name] = made
    if revision is not None:
        services.revisions[f"{name}/revisions/{revision.name.rpartition('/')[2]}"] = revision
    operation = cloud.operations.begin(name.rpartition("/services/")[0], services.present(made))
    services.deployments[name] = operation.name
    # A change of traffic alone (a rollback, say) does not fail because the latest revision had failed before.
    traffic_only = revision is None and current is not None and not _same_traffic(current, made)
    task = asyncio.ensure_future(_finish(services, name, operation.name, traffic_only=traffic_only))
    cloud.clock.spawn(asyncio.shield(task), "run deployment")
    await asyncio.wait([task], timeout=AT_ONCE)
    return cloud.operations.get(operation.name)


def resume(services: Services, cut_short: Mapping[str, str]) -> None:
    """Take up the deployments that the end of the process before this one cut short: operations by service."""
    for name, operation in cut_short.items():
        if services.deployments.get(name) != operation:
            continue  # somebody has deployed it anew meanwhile
        if name in services.services:
            services.cloud.clock.spawn(_finish(services, name, operation, traffic_only=False), "run deployment")
        else:
            services.deployments.pop(name)


def _next_revision(services: Services, current: Message | None, made: Message) -> Message | None:
    """The revision that the template asks for, or None where the latest one is what it asks for."""
    latest = made.latest_created_revision
    if current is not None and latest in services.revisions:
        unnamed = not made.template.revision or made.template.revision == latest.rpartition("/")[2]
        if unnamed and same_template(current.template, made.template):
            return None
    if made.template.revision:
        full = f"{made.name}/revisions/{made.template.revision}"
        made.latest_created_revision = full
        if full in services.revisions:
            return None
        revision_id = made.template.revision
    else:
        suffix = "".join(random.choices(string.ascii_lowercase + string.digits, k=3))
        revision_id = f"{made.name.rpartition('/')[2]}-{made.generation:05d}-{suffix}"
        made.latest_created_revision = f"{made.name}/revisions/{revision_id}"
    made_revision = _revision(services, made, revision_id, int(services.cloud.now() * 1_000_000) * 1000)
    made_revision.reconciling = True
    _condition(services, made_revision.conditions.add(), "Ready", RECONCILING)
    stamp(made_revision)
    return made_revision


_SHARED = (
    "scaling", "vpc_access", "timeout", "service_mesh", "encryption_key_shutdown_duration", "node_selector",
)  # fmt: skip
_PLAIN = (
    "service_account", "execution_environment", "encryption_key", "max_instance_request_concurrency",
    "encryption_key_revocation_action", "session_affinity",
)  # fmt: skip


def _revision(services: Services, service: Message, revision_id: str, now: int) -> Message:
    template = service.template
    made = message(REVISION)(name=f"{service.name}/revisions/{revision_id}", service=service.name)
    made.uid, made.generation, made.launch_stage = str(uuid.uuid4()), 1, service.launch_stage
    made.creator = service.last_modifier
    for stamp_field in (made.create_time, made.update_time):
        stamp_field.FromNanoseconds(now)
    _with_template(made, template)
    for container in made.containers:
        container.image = services.resolved(container.image)
    return made


def _template_of(revision: Message) -> Message:
    return _with_template(message("google.cloud.run.v2.RevisionTemplate")(), revision)


def _with_template(made: Message, source: Message) -> Message:
    """Take over what a revision and a template have in common."""
    made.labels.update(source.labels)
    made.annotations.update(source.annotations)
    made.containers.extend(source.containers)
    made.volumes.extend(source.volumes)
    for field in _SHARED:
        if source.HasField(field):
            getattr(made, field).CopyFrom(getattr(source, field))
    for field in _PLAIN:
        setattr(made, field, getattr(source, field))
    if source.HasField("gpu_zonal_redundancy_disabled"):
        made.gpu_zonal_redundancy_disabled = source.gpu_zonal_redundancy_disabled
    return made


def _same_traffic(first: Message, second: Message) -> bool:
    return [t.SerializeToString() for t in first.traffic] == [t.SerializeToString() for t in second.traffic]


async def _finish(services: Services, name: str, operation: str, *, traffic_only: bool) -> None:
    """Bring the deployment to its end, whatever happens: no operation stays open, no service reconciling."""
    try:
        await _bring_up(services, name, operation, traffic_only=traffic_only)
    except Exception as error:
        loop = asyncio.get_running_loop()
        loop.call_exception_handler({"message": f"The deployment of {name} failed unforeseen", "exception": error})
        why = f"The local cloud could not finish the deployment: {type(error).__name__}: {error}"
        _give_up(services, name, operation, ApiError("INTERNAL", why))


def _give_up(services: Services, name: str, operation: str, failure: ApiError) -> None:
    if services.deployments.get(name) == operation:
        services.deployments.pop(name)
    service = services.services.get(name)
    if service is not None and service.reconciling:
        service.reconciling, service.observed_generation = False, service.generation
        revision = services.revisions.get(service.latest_created_revision)
        services.deploying.discard(service.latest_created_revision)
        if revision is not None and revision.conditions[0].state == RECONCILING:
            _observed(services, revision, FAILED, text=failure.text, reason="REVISION_FAILED")
            services.revisions.save(service.latest_created_revision)
        _conclude(services, service, failure)
    services.cloud.operations.finish(operation, error=failure)


async def _bring_up(services: Services, name: str, operation: str, *, traffic_only: bool) -> None:
    """See the latest revision serve, then say so on revision, service and operation."""
    service = services.services[name]
    generation, revision_name = service.generation, service.latest_created_revision
    failure: ApiError | None = None
    revision = services.revisions[revision_name]
    if revision.conditions[0].state != SUCCEEDED:
        services.deploying.add(revision_name)
        skip = service.template.health_check_disabled
        failure = await _see_it_serve(services, revision_name, revision, skip=skip)
        services.deploying.discard(revision_name)
    service = services.services.get(name)
    if services.deployments.get(name) == operation:
        services.deployments.pop(name)
    if service is None:
        gone = failed_precondition(f"The service '{name}' was deleted while it was deployed.")
        services.cloud.operations.finish(operation, error=gone)
        return
    if service.generation == generation:
        service.reconciling = False
        service.observed_generation = generation
        if failure is None:
            service.latest_ready_revision = revision_name
        _conclude(services, service, failure)
    services.tend()
    error = None if traffic_only else failure
    services.cloud.operations.finish(operation, None if error else services.present(service), error)


async def _see_it_serve(services: Services, name: str, revision: Message, *, skip: bool) -> ApiError | None:
    try:
        running = services.running(name)
        await running.plan.start()
        container = revision.containers[0]
        await services.server(container.image)
        if not skip:
            await running.check()
    except (StartError, NoInstanceError) as error:
        code, reason = "FAILED_PRECONDITION", "REVISION_FAILED"
        if isinstance(error, SecretError):
            code, reason = error.code, "SECRETS_ACCESS_CHECK_FAILED"
        elif str(error).startswith("Image "):
            code, reason = "NOT_FOUND", "CONTAINER_MISSING"
        _observed(services, revision, FAILED, text=str(error), reason=reason)
        services.revisions.save(name)
        services.retire(name)
        text = f"Revision '{name.rpartition('/')[2]}' is not ready and cannot serve traffic. {error}"
        return ApiError(code, text)
    _observed(services, revision, SUCCEEDED)
    services.revisions.save(name)
    return None


def _observed(services: Services, revision: Message, state: int, *, text: str = "", reason: str = "") -> None:
    """What became of a revision."""
    revision.reconciling, revision.observed_generation = False, revision.generation
    _condition(services, revision.conditions[0], "Ready", state, text=text, reason=reason)


def _conclude(services: Services, service: Message, failure: ApiError | None) -> None:
    state, text = (SUCCEEDED, "") if failure is None else (FAILED, failure.text)
    _condition(
        services, service.terminal_condition, "Ready", state, text=text, reason="REVISION_FAILED" if failure else ""
    )
    del service.conditions[:]
    _condition(
        services, service.conditions.add(), "RoutesReady", SUCCEEDED if service.latest_ready_revision else FAILED
    )
    _condition(services, service.conditions.add(), "ConfigurationsReady", state, text=text)
    stamp(service)
    services.services.save(service.name)


def _condition(
    services: Services, condition: Message, kind: str, state: int, *, text: str = "", reason: str = ""
) -> None:
    condition.Clear()
    condition.type, condition.state, condition.message = kind, state, text
    condition.last_transition_time.FromNanoseconds(int(services.cloud.now() * 1_000_000) * 1000)
    if reason:
        condition.reason = _REASONS[reason]


def delete(services: Services, name: str, etag: str) -> Message:
    """Forget a service, its revisions, its policy; its instances get their SIGTERM."""
    service = services.get(name)
    if etag and etag != service.etag:
        raise ApiError("ABORTED", f"Conflict for resource '{name}': the etag {etag} is not the current one.")
    shown = services.present(service)
    shown.delete_time.FromNanoseconds(int(services.cloud.now() * 1_000_000) * 1000)
    for revision, _ in services.revisions_of(name):
        services.retire(revision)
        services.revisions.pop(revision)
    services.services.pop(name)
    services.cloud.iam.forget(name)
    return services.cloud.operations.done(name.rpartition("/services/")[0], shown, shown)


def delete_revision(services: Services, name: str, etag: str) -> Message:
    """Forget a revision that no traffic or tag names and that is not the latest."""
    revision = services.revision(name)
    service = services.get(revision.service)
    if etag and etag != revision.etag:
        raise ApiError("ABORTED", f"Conflict for resource '{name}': the etag {etag} is not the current one.")
    short = name.rpartition("/")[2]
    if name in (service.latest_ready_revision, service.latest_created_revision):
        raise failed_precondition(f"Revision '{short}' cannot be deleted: it is the latest of its service.")
    if any(target == name for _, target in services.targets(service)):
        raise failed_precondition(f"Revision '{short}' cannot be deleted: traffic or a tag of its service names it.")
    services.retire(name)
    services.revisions.pop(name)
    parent = revision.service.rpartition("/services/")[0]
    return services.cloud.operations.done(parent, revision, revision)
