"""Names that Google would refuse, or that two things would share, among those that are derived from files."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spec import names
from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Severity


@rule("SL107")
def names_are_well_formed(draft: Draft) -> Iterator[Finding]:
    """File and folder names are ids that Google takes."""
    for noun, shape, longest, form in (
        ("service", names.SERVICE_NAME, names.SERVICE_NAME_LONGEST, "lower case letters, digits and hyphens"),
        ("queue", names.QUEUE_ID, names.QUEUE_ID_LONGEST, "lower case letters, digits and hyphens"),
        ("topic", names.TOPIC_ID, names.TOPIC_ID_LONGEST, "lower case letters, digits and hyphens"),
        ("secret", names.SECRET_ID, names.SECRET_ID_LONGEST, "upper case letters, digits and underscores"),
    ):
        for name in sorted(draft.declared[noun]):
            if (noun, name) in draft.sources and not (shape.fullmatch(name) and len(name) <= longest):
                yield draft.error(
                    noun,
                    name,
                    what=f"{name!r} is no name for a {noun}",
                    breaks="Google refuses it, or two names would differ only in case",
                    fix=f"rename it: {form}, a letter first, at most {longest} characters",
                )


@rule("SL108")
def account_ids_fit(draft: Draft) -> Iterator[Finding]:
    """A service's name is the id of its account."""
    room = _room(draft)
    for service in draft.system.services:
        account = names.service_account_id(service)
        if len(service) > room:
            continue  # its URL would not fit either, and that is said
        if not names.ACCOUNT_ID_SHORTEST <= len(account) <= names.ACCOUNT_ID_LONGEST:
            yield draft.error(
                "service",
                service,
                what=f"the account id {account!r} has {len(account)} characters",
                breaks=f"Google refuses the service account: an id has {names.ACCOUNT_ID_SHORTEST} to "
                f"{names.ACCOUNT_ID_LONGEST} characters",
                fix=f"rename the folder to {names.ACCOUNT_ID_SHORTEST} to {names.ACCOUNT_ID_LONGEST} characters",
            )


@rule("SL109")
def url_labels_fit(draft: Draft) -> Iterator[Finding]:
    """A service's URL leaves room for the tag of a canary."""
    digits, room = _digits(draft), _room(draft)
    for service in draft.system.services:
        if len(service) > room:
            label = names.url_label(service, "PROJECT_NUMBER", names.LONGEST_TAG)
            length = len(service) + names.LABEL_LONGEST - room
            yield draft.error(
                "service",
                service,
                what=f"the URL label {label} has {length} characters ({digits} of them the number)",
                breaks=f"a label of a host name has at most {names.LABEL_LONGEST}: Cloud Run would give the service "
                "another URL, which nobody can know before it is deployed",
                fix=f"rename the folder to at most {min(room, names.ACCOUNT_ID_LONGEST)} characters",
            )


def _digits(draft: Draft) -> int:
    """The digits of the longest project number."""
    return max((len(stack.project_number) for stack in draft.stacks.values()), default=names.PROJECT_NUMBER_LONGEST)


def _room(draft: Draft) -> int:
    """The characters that a URL's label leaves a service."""
    return names.LABEL_LONGEST - len(names.url_label("", "9" * _digits(draft), names.LONGEST_TAG))


@rule("SL110")
def accounts_are_not_shared(draft: Draft) -> Iterator[Finding]:
    """Two queues, or a queue and a service, do not end up with one account."""
    owners: dict[str, tuple[str, str]] = {}
    claims = [(names.service_account_id(service), "service", service) for service in draft.system.services]
    claims += [(names.scheduler_account_id(call.service), "service", call.service) for call in draft.system.schedules()]
    claims += [(names.invoker_account_id(queue), "queue", queue) for queue in draft.system.queues]
    claims += [(names.push_account_id(topic), "topic", topic) for topic in draft.system.topics]
    owners[names.OPERATOR_ACCOUNT_ID] = ("account", "of the operator")
    owners[names.MIGRATOR_ACCOUNT_ID] = ("account", "of the migrations")
    for account, noun, name in claims:
        if owners.setdefault(account, (noun, name)) == (noun, name):
            continue
        other = " ".join(owners[account])
        yield draft.error(
            noun,
            name,
            what=f"the account {account} would belong to the {other} too",
            breaks="one of the two could do what only the other may",
            fix=f"rename this {noun}",
        )


@rule("SL111")
def schedules_are_jobs(draft: Draft) -> Iterator[Finding]:
    """No two schedules have the same job."""
    jobs: dict[str, str] = {}
    for call in draft.system.schedules():
        other = jobs.setdefault(call.job, call.service)
        if other != call.service:
            yield draft.error(
                "service",
                call.service,
                "schedules",
                call.name,
                what=f"its job {call.job} is also one of {other}",
                breaks="one of the two would overwrite the other",
                fix="rename the schedule",
            )


@rule("SL112", Severity.WARNING)
def queue_names_say_queue(draft: Draft) -> Iterator[Finding]:
    """A queue's name ends in -queue, as the documents and dashboards have it."""
    for queue in draft.system.queues:
        if not re.search(r"-queue$", queue):
            yield draft.warning(
                "queue",
                queue,
                what="the name does not end in -queue",
                breaks="in logs and metrics it would look like a service",
                fix=f"rename the file to {queue}-queue.yaml",
            )


RULES: tuple[Rule, ...] = (
    names_are_well_formed,
    account_ids_fit,
    url_labels_fit,
    accounts_are_not_shared,
    schedules_are_jobs,
    queue_names_say_queue,
)
