"""The order of the app's components: which are made, from which part of the specs, and what each gets from the others.

Two layers, each a stack: the foundation holds what a release never touches, the app what every release may change.
The app reads the foundation by stack reference, so neither can be applied to the wrong environment.
"""

from __future__ import annotations

import pulumi

from components.adopted import Adopted, AdoptedConfig
from components.database_user import DatabaseUser, DatabaseUserConfig
from components.edge import Edge, EdgeConfig
from components.environment import connection_name, database_url, environment
from components.foundation import Outputs, foundation
from components.migration_job import MigrationJob, MigrationJobConfig
from components.operator import Operator, OperatorConfig
from components.rollout_record import RolloutRecord, RolloutRecordConfig
from components.run_service import RunService, RunServiceConfig, image_of
from components.schedule import Schedule, ScheduleConfig
from components.service_account import ServiceAccount, ServiceAccountConfig
from components.site import Site
from components.task_queue import TaskQueue, TaskQueueConfig
from components.topic import Topic, TopicConfig
from components.watching import Watching, WatchingConfig
from spec import System, names
from spec.adopted import COMPONENT_NAME
from spec.record import encode, record


class MissingImageError(pulumi.RunError):
    """No image is named: set sluice:imageDigest in the stack's config."""


class MissingFoundationError(pulumi.RunError):
    """The layer below was never applied, or by a program that exported less: apply it first."""


def build(system: System) -> Outputs:
    """Declare the stack that ``system`` was loaded for, and return its outputs."""
    if system.stack is None:
        raise ValueError("The specs were loaded without a stack.")
    return foundation(system) if system.stack.is_foundation else _app(system)


def _app(system: System) -> Outputs:
    stack = system.stack
    assert stack is not None
    if system.adopted:
        Adopted(COMPONENT_NAME, AdoptedConfig(entries=system.adopted))
    if not system.services:  # nothing has moved onto the specs yet
        return {}
    if not stack.image_digest:
        raise MissingImageError(f"Set sluice:imageDigest in stacks/Pulumi.{stack.name}.yaml: there is no code to run.")
    site = Site.of(stack, took_over=system.took_over)
    full_name = f"{pulumi.get_organization()}/{pulumi.get_project()}/foundation-{stack.env}"
    below = pulumi.StackReference(f"foundation-{stack.env}", stack_name=full_name)
    creator_role = below.get_output("taskCreatorRole").apply(
        lambda role: role or _unapplied(full_name, "taskCreatorRole")
    )

    accounts = {name: _account(site, name, system) for name in system.services}
    operator = Operator(names.OPERATOR_ACCOUNT_ID, OperatorConfig(site=site))
    queues = {
        name: TaskQueue(
            name,
            TaskQueueConfig(
                site=site,
                spec=spec,
                creator_role=creator_role,
                senders={sender: accounts[sender] for sender in spec.senders},
            ),
        )
        for name, spec in system.queues.items()
    }
    topics = {
        name: Topic(
            name,
            TopicConfig(
                site=site,
                spec=spec,
                agent=names.pubsub_agent(stack.project_number),
                url=stack.url(spec.receiver),
                publishers={publisher: accounts[publisher] for publisher in spec.publishers},
                receiver=accounts[spec.receiver],
            ),
        )
        for name, spec in system.topics.items()
    }
    schedulers = {name: _scheduler(site, name) for name, spec in system.services.items() if spec.schedules}
    members = {names.invoker_account_id(name): queue.invoker.member for name, queue in queues.items()}
    members |= {names.push_account_id(name): topic.pusher.member for name, topic in topics.items()}
    members |= {names.scheduler_account_id(name): account.member for name, account in schedulers.items()}
    members |= {names.service_account_id(name): account.member for name, account in accounts.items()}
    members[names.OPERATOR_ACCOUNT_ID] = operator.member

    connector = None if stack.database_url else connection_name(stack)
    logins = [
        DatabaseUser(f"{name}-login", DatabaseUserConfig(site=site, service=name, account=accounts[name]))
        for name, spec in system.services.items()
        if spec.database
    ]
    migrations = MigrationJobConfig(
        site=site,
        image=image_of(site, stack.migrating_digest or stack.image_digest),
        database_url=database_url(stack, names.MIGRATOR_ACCOUNT_ID),
        sql_instance=connector,
        logins=logins,
    )
    migrated = [MigrationJob(names.MIGRATION_JOB, migrations).job] if logins else []
    said = record(system, stack)
    written = RolloutRecordConfig(
        site=site,
        bucket=below.get_output("rolloutBucket").apply(lambda name: name or _unapplied(full_name, "rolloutBucket")),
        content=encode(said),
        readers={name: accounts[name].member for name in system.services if system.reads_record(name)},
    )
    recorded = RolloutRecord("rollout-record", written).ready
    services = {
        name: RunService(
            name,
            RunServiceConfig(
                site=site,
                spec=spec,
                account=accounts[name],
                image=image_of(site, stack.digest_of(name) or stack.image_digest),
                environment=environment(system, stack, name),
                secrets={secret: stack.secret_version(secret) for secret in spec.secrets},
                invokers={account_id: members[account_id] for account_id in system.invokers(name)},
                release=stack.releases.get(name),
                percent=stack.share(name),
                pushed_to=bool(system.topics_into(name)),
                called_directly=bool(system.direct_hops_into(name)),
                behind_edge=stack.edge is not None and bool(spec.public),
                networked=spec.database,
                sql_instance=connector if spec.database else None,
                after=[*recorded, *(migrated if spec.database else ())],
            ),
        )
        for name, spec in system.services.items()
    }
    for name, account in schedulers.items():
        calls = system.schedules(name)
        url = stack.url(name)
        jobs = ScheduleConfig(site=site, calls=calls, url=url, account=account, receiver=services[name])
        Schedule(f"{name}-schedules", jobs)
    slow = [one.service for one in services.values()][:1]  # one stands for all: they are deployed at the same time
    Watching("watching", WatchingConfig(site=site, system=system, stack=stack, after=slow))
    doors = [name for name, spec in system.services.items() if spec.public]
    edge: Outputs = {}
    if stack.edge is not None:
        before = EdgeConfig(site=site, spec=stack.edge, services=doors, after=[services[name] for name in doors])
        edge = {"edgeAddress": Edge("edge", before).address}
    return {
        **edge,
        "doors": {name: stack.edge.url(name) if stack.edge else stack.url(name) for name in doors},
        "services": {name: stack.url(name) for name in services},
        "revisions": {name: service.revision for name, service in services.items()},
        "rollout": said,
    }


def _unapplied(foundation: str, output: str) -> str:
    name = foundation.rpartition("/")[2]
    raise MissingFoundationError(f"{foundation} exports no {output}. Apply it first: pulumi up --stack {name}")


def _account(site: Site, service: str, system: System) -> ServiceAccount:
    config = ServiceAccountConfig(
        site=site,
        account_id=names.service_account_id(service),
        description=f"Service {service}",
        project_roles=system.service(service).all_project_roles,
    )
    return ServiceAccount(service, config)


def _scheduler(site: Site, service: str) -> ServiceAccount:
    account_id = names.scheduler_account_id(service)
    config = ServiceAccountConfig(site=site, account_id=account_id, description=f"Schedules of {service}")
    return ServiceAccount(account_id, config)
