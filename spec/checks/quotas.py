"""What one project may hold before Google refuses more: quotas are Google's defaults, and can be raised on request.

Counted over all stacks of one project and region. Limits of single things are the models'.

Sources: https://cloud.google.com/tasks/docs/quotas, https://cloud.google.com/scheduler/quotas,
https://cloud.google.com/iam/quotas, https://cloud.google.com/run/quotas.
"""

from __future__ import annotations

from collections.abc import Iterator

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Severity

#: Queues of a project in a region, the default queue among them.
QUEUES = 1000
#: Jobs of Cloud Scheduler in a region.
JOBS = 1000
#: Service accounts of a project.
ACCOUNTS = 100
#: Services of Cloud Run in a region.
SERVICES = 1000


@rule("SL508", Severity.WARNING)
def queues_fit(draft: Draft) -> Iterator[Finding]:
    """A region holds at most 1000 queues of a project."""
    yield from _beyond(draft, QUEUES - 1, len(draft.system.queues), "queues", "queue_configs/tasks/")


@rule("SL509", Severity.WARNING)
def jobs_fit(draft: Draft) -> Iterator[Finding]:
    """A region holds at most 1000 scheduled jobs of a project."""
    yield from _beyond(draft, JOBS, len(draft.system.schedules()), "jobs of Cloud Scheduler", "schedules:")


@rule("SL510", Severity.WARNING)
def accounts_fit(draft: Draft) -> Iterator[Finding]:
    """A project holds at most 100 service accounts, unless Google has raised it."""
    yield from _beyond(draft, ACCOUNTS, len(draft.system.account_ids()), "service accounts", "services and queues")


@rule("SL511", Severity.WARNING)
def services_fit(draft: Draft) -> Iterator[Finding]:
    """A region holds at most 1000 services of a project."""
    yield from _beyond(draft, SERVICES, len(draft.system.services), "services", "service_code/")


def _beyond(draft: Draft, most: int, each: int, what: str, source: str) -> Iterator[Finding]:
    if each == 0:
        return
    places: dict[tuple[str, str], int] = {}
    for stack in draft.stacks.values():
        if stack.is_foundation or stack.is_local:
            continue
        place = (stack.project, stack.region)
        places[place] = places.get(place, 0) + each
        if places[place] > most:
            yield draft.warning(
                "stack",
                stack.name,
                *("config", "gcp:project"),
                what=f"{stack.project} would hold {places[place]} {what} in {stack.region}, and {most} are its quota",
                breaks="the apply stops in the middle, at the first one too many",
                fix=f"ask Google for a higher quota and silence this with its number, or have fewer: {source}",
            )


RULES: tuple[Rule, ...] = (queues_fit, jobs_fit, accounts_fit, services_fit)
