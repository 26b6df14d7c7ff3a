"""Every permission that the drawing gives: who, what role, on what, and which line of the specs it follows from.

The components bind exactly these (a test compares them with the plan); lint, the diagram and drift read them here.
Accounts are named by their id; Google's own and `everybody` by what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from spec import names
from spec.graph import System
from spec.service import DATABASE_ROLES

Kind = Literal["queue", "account", "topic", "subscription", "service", "secret", "bucket", "project"]

#: Everybody: Google's `allUsers`.
EVERYBODY = "everybody"
#: Pub/Sub's own account.
PUBSUB_AGENT = "Pub/Sub's agent"
#: Our custom role, which may create tasks and nothing else.
CREATOR = names.TASK_CREATOR_ROLE_ID

INVOKER = "roles/run.invoker"
ACT_AS = "roles/iam.serviceAccountUser"
PUBLISHER = "roles/pubsub.publisher"
SUBSCRIBER = "roles/pubsub.subscriber"
TOKEN_CREATOR = "roles/iam.serviceAccountTokenCreator"
RECORD_READER = "roles/storage.objectViewer"
SECRET_READER = "roles/secretmanager.secretAccessor"


@dataclass(frozen=True, order=True, slots=True)
class Grant:
    """One binding."""

    member: str
    role: str
    kind: Kind
    resource: str
    why: str


def record_alone(project: str) -> str:
    """Under which condition services have RECORD_READER: the bucket holds more than they choose by."""
    return f'resource.name == "projects/_/buckets/{names.rollout_bucket(project)}/objects/{names.RECORD_OBJECT}"'


def grants(system: System) -> list[Grant]:
    """All of them, sorted; none twice."""
    parts = (_queues(system), _topics(system), _services(system), _secrets(system), _record(system), _project(system))
    return sorted({grant for part in parts for grant in part})


def _queues(system: System) -> Iterator[Grant]:
    for queue in system.queues.values():
        for sender in queue.senders:
            account = names.service_account_id(sender)
            why = f"{sender} enqueues to {queue.name}"
            yield Grant(account, CREATOR, "queue", queue.name, why)
            yield Grant(account, ACT_AS, "account", names.invoker_account_id(queue.name), why)


def _topics(system: System) -> Iterator[Grant]:
    for topic in system.topics.values():
        dead, pusher = names.dead_letter_topic(topic.name), names.push_account_id(topic.name)
        for publisher in topic.publishers:
            account = names.service_account_id(publisher)
            yield Grant(account, PUBLISHER, "topic", topic.name, f"{publisher} publishes to {topic.name}")
        receiver = names.service_account_id(topic.receiver)
        yield Grant(receiver, PUBLISHER, "topic", dead, f"{topic.receiver} publishes what it can never handle")
        why = f"dead letters of {topic.name}"
        yield Grant(PUBSUB_AGENT, PUBLISHER, "topic", dead, why)
        yield Grant(PUBSUB_AGENT, SUBSCRIBER, "subscription", names.subscription(topic.name), why)
        yield Grant(PUBSUB_AGENT, TOKEN_CREATOR, "account", pusher, f"pushes of {topic.name}")


def _services(system: System) -> Iterator[Grant]:
    for name, service in system.services.items():
        if service.public:
            yield Grant(EVERYBODY, INVOKER, "service", name, f"public paths: {', '.join(service.public)}")
        reasons: dict[str, list[str]] = {}
        for path, callers in system.callers(name).items():
            for caller in callers:
                reasons.setdefault(caller.account_id, []).append(f"{caller.why} {caller.name} at {path}")
        for account, whys in reasons.items():
            yield Grant(account, INVOKER, "service", name, "; ".join(whys))


def _secrets(system: System) -> Iterator[Grant]:
    for name, service in system.services.items():
        for secret in service.secrets:
            yield Grant(names.service_account_id(name), SECRET_READER, "secret", secret, f"{name} reads {secret}")


def _record(system: System) -> Iterator[Grant]:
    for name in system.services:
        if system.reads_record(name):
            why = f"{name} chooses by the rollout record, and reads that object alone"
            yield Grant(names.service_account_id(name), RECORD_READER, "bucket", names.ROLLOUT_BUCKET, why)


def _project(system: System) -> Iterator[Grant]:
    if any(service.database for service in system.services.values()):
        for role in DATABASE_ROLES:
            yield Grant(names.MIGRATOR_ACCOUNT_ID, role, "project", "the project", "migrates the database")
    for name, service in system.services.items():
        for role in service.all_project_roles:
            why = "database: true" if service.database and role not in service.project_roles else "project_roles"
            yield Grant(names.service_account_id(name), role, "project", "the project", why)
