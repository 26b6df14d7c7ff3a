"""Names that one file uses and another must declare: services, secrets, messages and their paths."""

from __future__ import annotations

from collections.abc import Iterator

from spec.checks.draft import Draft, Rule
from spec.checks.handled import handled
from spec.checks.rule import rule
from spec.errors import Finding, Severity, choose


@rule("SL113")
def services_exist(draft: Draft) -> Iterator[Finding]:
    """Every service that a queue joins has a folder."""
    for queue in draft.system.queues.values():
        for index, sender in enumerate(queue.senders):
            if not draft.is_declared("service", sender):
                yield _no_service(draft, queue.name, ("from", index), sender, "nobody could enqueue in its name")
        if not draft.is_declared("service", queue.receiver):
            yield _no_service(draft, queue.name, ("to",), queue.receiver, "every task would have no URL to go to")


def _no_service(draft: Draft, queue: str, path: tuple[str | int, ...], name: str, breaks: str) -> Finding:
    hint = choose(name, draft.declared["service"], noun="service")
    fix = f"{hint} A new service is a folder: service_code/{name}/service.yaml"
    return draft.error("queue", queue, *path, what=f"there is no service {name!r}", breaks=breaks, fix=fix)


@rule("SL114")
def messages_are_handled(draft: Draft) -> Iterator[Finding]:
    """A queue's receiver handles its message at its path."""
    for queue in draft.system.queues.values():
        receiver = draft.system.services.get(queue.receiver)
        if receiver is None:
            continue
        lost = "every dispatch would get a 404 and be retried until the queue drops it"
        unread = "the receiver could not decode what arrives, and every task would end as a dead letter"
        yield from handled(draft, "queue", queue, receiver, lost=lost, unread=unread)


@rule("SL307", Severity.WARNING)
def handles_are_fed(draft: Draft) -> Iterator[Finding]:
    """Every handled path has a queue or topic that leads there; not asked while one leads astray, which is said."""
    fed = _fed(draft)
    unread = (
        draft.system.queues.keys() != draft.declared["queue"] or draft.system.topics.keys() != draft.declared["topic"]
    )
    if unread or not _all_lead_somewhere(draft):
        return
    for service in draft.system.services.values():
        for path in service.handles:
            if (service.name, path) not in fed:
                yield draft.warning(
                    "service",
                    service.name,
                    "handles",
                    path,
                    what=f"no queue or topic leads to {path}",
                    breaks="nothing would ever arrive there",
                    fix="add a file to queue_configs/tasks/ or queue_configs/topics/, or delete the line",
                )


@rule("SL801")
def secrets_exist(draft: Draft) -> Iterator[Finding]:
    """Every secret that a service reads is declared."""
    known = draft.declared["secret"]
    for service in draft.system.services.values():
        for index, secret in enumerate(service.secrets):
            if secret not in known:
                yield draft.error(
                    "service",
                    service.name,
                    "secrets",
                    index,
                    what=f"nobody declares the secret {secret!r}",
                    breaks="the revision would not start: Cloud Run finds no such secret",
                    fix=f"{choose(secret, known, noun='secret')} A new one is queue_configs/secrets/{secret}.yaml",
                )


@rule("SL802", Severity.WARNING)
def secrets_are_read(draft: Draft) -> Iterator[Finding]:
    """Every declared secret has a reader; not asked while a reader names an unknown one, which is said already."""
    wanted = {secret for service in draft.system.services.values() for secret in service.secrets}
    if draft.system.services.keys() != draft.declared["service"] or wanted - draft.declared["secret"]:
        return
    for secret in draft.system.secrets:
        if not draft.system.consumers(secret):
            yield draft.warning(
                "secret",
                secret,
                what=f"no service reads {secret}",
                breaks="it would be kept, rotated and paid for in vain",
                fix="list it under secrets: in a service.yaml, or delete the file",
            )


def _all_lead_somewhere(draft: Draft) -> bool:
    handled = {(service.name, path) for service in draft.system.services.values() for path in service.handles}
    return _fed(draft) <= handled


def _fed(draft: Draft) -> set[tuple[str, str]]:
    queued = {(queue.receiver, queue.path) for queue in draft.system.queues.values()}
    return queued | {(topic.receiver, topic.path) for topic in draft.system.topics.values()}


RULES: tuple[Rule, ...] = (services_exist, messages_are_handled, handles_are_fed, secrets_exist, secrets_are_read)
