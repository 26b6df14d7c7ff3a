"""What flows in must find room: instances for a queue's requests, and connections for the instances' pools."""

from __future__ import annotations

from collections.abc import Iterator

from spec import connections
from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Severity
from spec.stack import FOUNDATION_PREFIX, StackConfig


@rule("SL601", silenceable=True, lint_only=True)
def pools_fit_the_database(draft: Draft) -> Iterator[Finding]:
    """All instances together open no more connections than the database takes."""
    wanted = connections.wanted(draft.system.services.values()) + connections.MIGRATIONS
    for stack in _databases(draft):
        most = connections.most(stack.database_tier)
        if most is not None and wanted > most:
            yield _too_many(draft, stack, f"the services' instances may open {wanted} connections", most)


@rule("SL602", Severity.WARNING, lint_only=True)
def pools_fit_during_a_rollout(draft: Draft) -> Iterator[Finding]:
    """Two revisions of every service open no more connections than the database takes."""
    steady = connections.wanted(draft.system.services.values())
    wanted = steady * connections.REVISIONS + connections.MIGRATIONS
    for stack in _databases(draft):
        most = connections.most(stack.database_tier)
        if most is not None and steady + connections.MIGRATIONS <= most < wanted:
            yield _too_many(draft, stack, f"while a release is rolled out, {wanted} connections may be opened", most)


@rule("SL702", Severity.WARNING)
def instances_take_what_queues_send(draft: Draft) -> Iterator[Finding]:
    """A service's instances take as many requests at once as its queues send."""
    for service in draft.system.services.values():
        queues = draft.system.queues_into(service.name)
        sent, taken = sum(queue.rate.concurrent for queue in queues), service.scaling.max * service.concurrency
        if sent > taken:
            names = ", ".join(queue.name for queue in queues)
            yield draft.warning(
                "service",
                service.name,
                "scaling",
                what=f"{names} may have {sent} requests open, and {service.name} takes {taken} at once",
                breaks="Cloud Run answers the rest with 429, which slows every queue down that leads there",
                fix=f"lower rate.concurrent to {taken} in all, or raise scaling.max or concurrency",
            )


def _databases(draft: Draft) -> list[StackConfig]:
    """The foundations of Google's whose app is deployed too; not asked while a service cannot be read."""
    if draft.system.services.keys() != draft.declared["service"]:
        return []
    apps = {stack.env for stack in draft.stacks.values() if not stack.is_foundation}
    return [
        stack
        for name, stack in draft.stacks.items()
        if name.startswith(FOUNDATION_PREFIX) and stack.env in apps and not stack.is_local
    ]


def _too_many(draft: Draft, stack: StackConfig, what: str, most: int) -> Finding:
    source = draft.sources["stack", stack.name]
    key = "sluice:databaseTier" if ("config", "sluice:databaseTier") in source.key_places else "gcp:project"
    return draft.error(
        "stack",
        stack.name,
        *("config", key),
        what=f"{what}, and {stack.database_tier} takes {most}",
        breaks="Postgres refuses the next one: payments wait and fail while nothing else is wrong",
        fix="write a larger sluice:databaseTier, or a smaller pool or scaling.max in service.yaml",
    )


RULES: tuple[Rule, ...] = (pools_fit_the_database, pools_fit_during_a_rollout, instances_take_what_queues_send)
