"""What one project may hold before Google refuses more, counted over all stacks of one project and region.

The numbers are the stack's (`sluice:quotas`), Google's defaults where it says none. Limits of single things are the
models'.
"""

from __future__ import annotations

from collections.abc import Iterator

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding


@rule("SL508", silenceable=True)
def queues_fit(draft: Draft) -> Iterator[Finding]:
    """A region holds no more queues than the project's quota: 1000, unless Google has changed it."""
    yield from _beyond(draft, "queues", len(draft.system.queues), "queues", "queue_configs/tasks/")


@rule("SL509", silenceable=True)
def jobs_fit(draft: Draft) -> Iterator[Finding]:
    """A region holds no more scheduled jobs than the project's quota: 1000, unless Google has changed it."""
    yield from _beyond(draft, "scheduler_jobs", len(draft.system.schedules()), "scheduled jobs", "schedules:")


@rule("SL510", silenceable=True)
def accounts_fit(draft: Draft) -> Iterator[Finding]:
    """A project holds no more service accounts than its quota: 100, unless Google has changed it."""
    each = len(draft.system.account_ids())
    yield from _beyond(draft, "service_accounts", each, "service accounts", "services, queues and schedules have one")


@rule("SL511", silenceable=True)
def services_fit(draft: Draft) -> Iterator[Finding]:
    """A region holds no more services than the project's quota: 1000, unless Google has changed it."""
    yield from _beyond(draft, "services", len(draft.system.services), "services", "service_code/")


def _beyond(draft: Draft, quota: str, each: int, what: str, source: str) -> Iterator[Finding]:
    places: dict[tuple[str, str], int] = {}
    for stack in draft.stacks.values():
        if stack.is_foundation or stack.is_local:
            continue
        place, most = (stack.project, stack.region), getattr(stack.quotas, quota)
        places[place] = places.get(place, 0) + each
        if places[place] > most:
            yield draft.error(
                "stack",
                stack.name,
                *("config", "sluice:quotas", quota),
                what=f"{stack.project} would hold {places[place]} {what} in {stack.region}, and its quota is {most}",
                breaks="the apply stops in the middle, at the first one too many",
                fix=f"ask Google for more and write the new number here, or have fewer ({source})",
            )


RULES: tuple[Rule, ...] = (queues_fit, jobs_fit, accounts_fit, services_fit)
