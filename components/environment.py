"""The environment of a service: the seam between the program and ``service_code/kit/settings``.

Pure: names and config alone decide it, so that a change is visible before the apply and no service waits for another
one's URL. Secrets are not here; ``run_service`` mounts them by reference.
"""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

from spec import Route, StackConfig, System, TaskQueue, Topic, names
from spec.route import DIRECT_TIMEOUT
from spec.token import HEALTH, Token

#: Where Cloud Run mounts the sockets of Cloud SQL's connector.
SQL_SOCKETS = "/cloudsql"


def environment(system: System, stack: StackConfig, service: str) -> dict[str, str]:
    """Every plain variable of ``service``, in a stable order."""
    node = system.service(service)
    fixed = {
        "SLUICE_STACK": stack.env,
        "GCP_PROJECT_ID": stack.project,
        "GCP_PROJECT_NUMBER": stack.project_number,
        "GCP_LOCATION": stack.region,
        "SERVICE_URL": stack.url(service),
        "QUEUES": _json({queue.name: _edge(system, stack, queue) for queue in system.queues_out_of(service)}),
        "ROUTES": _json({name: _route(name, one) for name, one in system.routes_of(service).items()}),
        "TOPICS": _json(_topics(system, stack, service)),
        "CALLERS": _json(_callers(system, stack, service)),
        "ENDPOINTS": _json(stack.endpoints),
    }
    if system.reads_record(service):
        fixed["ROLLOUT_BUCKET"] = names.rollout_bucket(stack.project)
    if node.public:
        fixed["PUBLIC_MAX_BODY"] = str(node.max_body_bytes)
    if node.database:
        fixed["DATABASE_URL"] = database_url(stack, service)
        fixed["DATABASE_POOL"] = str(node.pool)
    settings = {name: value for name, value in stack.settings.items() if name in node.config}
    return dict(sorted({**node.config, **settings, **fixed}.items()))


def database_url(stack: StackConfig, service: str) -> str:
    """Where the service finds its database, without a password; by the connector's socket if config names no other."""
    user = quote(names.cloud_sql_user(service, stack.project), safe="")
    if stack.database_url:
        return stack.database_url.format(user=user)
    return f"postgresql://{user}@/{names.DATABASE_NAME}?host={SQL_SOCKETS}/{connection_name(stack)}"


def connection_name(stack: StackConfig) -> str:
    """The name by which the connector finds the foundation's instance."""
    return f"{stack.project}:{stack.region}:{names.DATABASE_INSTANCE}"


def _edge(system: System, stack: StackConfig, queue: TaskQueue) -> dict[str, Any]:
    return {
        "path": names.queue_path(stack.project, stack.region, queue.name),
        "url": stack.url(queue.receiver) + queue.path,
        "canary_url": stack.url(queue.receiver, names.CANARY_TAG) + queue.path,
        "audience": stack.url(queue.receiver),
        "receiver": queue.receiver,
        "meets": _meets(system, queue.receiver),
        "invoker": names.account_email(names.invoker_account_id(queue.name), stack.project),
        "dispatch_deadline": queue.dispatch_deadline.google,
        "token_window": queue.lifetime.seconds if queue.lifetime else None,
        "token": _token(stack, queue),
    }


def _meets(system: System, receiver: str) -> dict[str, list[str]]:
    """Whom a message meets by an edge, with the queues by which a payment may have met each before.

    A receiver without a database cannot look up which revision was chosen: whom it sends on to is met by the same
    message, and whoever has sent to it has met them.
    """
    met, waiting = set[str](), [receiver]
    while waiting:
        one = waiting.pop()
        if one not in met:
            met.add(one)
            waiting += [] if system.service(one).database else [queue.receiver for queue in system.queues_out_of(one)]
    return {one: sorted(_ways_to(system, one, frozenset())) for one in sorted(met)}


def _ways_to(system: System, service: str, seen: frozenset[str]) -> set[str]:
    """The queues into a service, and those into the ones without a database that send to it."""
    into = system.queues_into(service)
    between = {one for queue in into for one in queue.senders if not system.service(one).database} - seen - {service}
    return {queue.name for queue in into}.union(*(_ways_to(system, one, seen | {service}) for one in between))


def _token(stack: StackConfig, queue: TaskQueue) -> dict[str, Any] | None:
    token = queue.token
    if token == Token():
        return None
    breaker = token.breaker
    return {
        "minted": token.minted,
        "give_up_after": token.give_up_after.seconds,
        "fallback": token.fallback is not None,
        "breaker": {
            "url": stack.url(queue.receiver) + HEALTH,
            "check_interval": breaker.check_interval.seconds,
            "failure_threshold": breaker.failure_threshold,
            "open_for": breaker.open_for.seconds,
            "opens_on": breaker.opens_on,
        }
        if breaker
        else None,
    }


def _route(name: str, route: Route) -> dict[str, Any]:
    """The share is the specs' own, until the rollout record is read: a stack's would make a revision at each step."""
    return {
        "old": route.old,
        "new": route.new,
        "percent": route.canary_percent,
        "salt": route.salt or name,
        "queue": route.queue,
        "timeout": DIRECT_TIMEOUT.seconds if route.is_hop else None,
    }


def _topics(system: System, stack: StackConfig, service: str) -> dict[str, dict[str, Any]]:
    """What a service may publish to: its topics, and the dead letters of those that are pushed to it."""
    dead = [names.dead_letter_topic(topic.name) for topic in system.topics_into(service)]
    edges = {topic.name: _topic(stack, topic) for topic in system.topics_out_of(service)}
    return edges | {name: {"path": names.topic_path(stack.project, name), "ordered": False} for name in dead}


def _topic(stack: StackConfig, topic: Topic) -> dict[str, Any]:
    return {"path": names.topic_path(stack.project, topic.name), "ordered": topic.ordered}


def _callers(system: System, stack: StackConfig, service: str) -> dict[str, list[str]]:
    return {
        path: [names.account_email(caller.account_id, stack.project) for caller in callers]
        for path, callers in system.callers(service).items()
    }


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
