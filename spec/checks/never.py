"""Alerts, objectives and metrics that could never say anything: names of nothing, events that nobody logs.

Owns what Google would take, and be silent about for ever. Whether metrics, labels and services of lines exist is
`series`'; that a pattern or a query can be read is refused by the models (SL415). Boards are not looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain

from spec import filters, names
from spec.catalogue import Catalogue
from spec.checks.draft import Draft, Rule
from spec.checks.rule import Law, rule
from spec.errors import Finding, choose, nearest
from spec.log_lines import DEFAULT_RESOURCE, LogLines, entry_field
from spec.logged import events
from spec.patterns import pattern
from spec.selection import GROUP, Match, Series
from spec.service_code import KIT

LAWS = (Law(number="SL415", title="Regular expressions and queries of log lines can be read."),)

Key = tuple[str | int, ...]

#: What the labels of resources name.
_RESOURCE_LABELS = {
    "queue_id": "queue",
    "service_name": "service",
    "job_name": "job",
    "job_id": "schedule",
    "topic_id": "topic",
    "subscription_id": "subscription",
}
#: What the fields name that our own metrics take their labels from. A push is noted under its subscription.
_FIELDS = {
    "jsonPayload.queue": "queue, topic or subscription",
    "jsonPayload.service_name": "service",
    "resource.labels.service_name": "service",
}


@rule("SL413", silenceable=True)
def values_name_something(draft: Draft) -> Iterator[Finding]:
    """What an alert or objective names by a label is a queue, service, topic, subscription or job of the specs."""
    catalogue, known = Catalogue(draft.system.metrics), _known(draft)
    for noun, name, at, series in _series(draft):
        for label, match in series.where.items():
            kind = _kind(draft, catalogue, series, label)
            if kind is None or not known[kind]:
                continue
            for key, what, value in _astray(match, known[kind], kind):
                yield draft.error(
                    noun,
                    name,
                    *(*at, "where", label, *key),
                    what=what,
                    breaks="it would leave out nothing"
                    if match.unlike
                    else "it would never fire for it, and nothing says so",
                    fix=choose(value, known[kind], noun=kind),
                )


def _known(draft: Draft) -> Mapping[str, frozenset[str]]:
    """What there is of each kind: a file that cannot be used still says its name; what was taken over counts too."""
    queues, services, topics = (draft.declared[noun] for noun in ("queue", "service", "topic"))
    dead = frozenset(names.dead_letter_topic(topic) for topic in topics)
    subscriptions = frozenset(names.subscription(topic) for topic in topics | dead)
    found = {
        "queue": queues,
        "service": services,
        "job": frozenset((names.MIGRATION_JOB,)) if services else frozenset(),
        "schedule": frozenset(call.job for call in draft.system.schedules()),
        "topic": topics | dead,
        "subscription": subscriptions,
        "queue, topic or subscription": queues | topics | subscriptions if queues else frozenset(),
    }
    # What stands in a cloud already may be called anything: where there is some of a kind, its names count.
    old = frozenset(str(one.properties.get("name", "")) for one in draft.system.adopted.values())
    return {kind: given | old if given else given for kind, given in found.items()}


def _kind(draft: Draft, catalogue: Catalogue, series: Series, label: str) -> str | None:
    """What a label of these series names, if it is something of the specs."""
    own = draft.system.metrics.get(series.metric)
    if own is not None and label in own.labels:
        taken = own.labels[label]
        return _FIELDS.get(entry_field(taken.name)) if taken.pattern is None else None
    resource = filters.monitored(catalogue, series)
    return _RESOURCE_LABELS.get(label) if label in catalogue.resources.get(resource or "", ()) else None


def _astray(match: Match, known: Iterable[str], kind: str) -> Iterator[tuple[Key, str, str]]:
    """The values that name nothing: each with its key below the label, what is wrong, and the name to look for."""
    known = frozenset(known)
    values = match.among or match.unlike or ()
    for index, value in enumerate(values):
        if value not in known and not value.startswith(GROUP):
            at: Key = (index,) if len(values) > 1 else ()
            yield ("not", *at) if match.unlike else at, f"there is no {kind} {value!r}", value
    if match.starts is not None and not any(name.startswith(match.starts) for name in known):
        yield ("starts",), f"no {kind} starts with {match.starts!r}", match.starts
    if match.matches is not None and not any(pattern(match.matches).fullmatch(name) for name in known):
        yield ("matches",), f"no {kind} matches {match.matches!r}", match.matches


def _series(draft: Draft) -> Iterator[tuple[str, str, Key, Series]]:
    for alert in draft.system.alerts.values():
        for index, condition in enumerate(alert.conditions):
            if condition.metric is not None:
                yield "alert", alert.name, ("conditions", index), condition.selection
            if condition.denominator is not None:
                yield "alert", alert.name, ("conditions", index, "of"), condition.denominator
    for slo in draft.system.slos.values():
        yield from (("slo", slo.name, (key,), series) for key, series in slo.series.items())


@rule("SL414", silenceable=True, lint_only=True)
def events_are_logged(draft: Draft) -> Iterator[Finding]:
    """An event that a metric or an alert looks for is one that the services' code logs."""
    if not draft.code.files or not draft.system.services:
        return
    logged: dict[tuple[str, ...], frozenset[str]] = {}
    for noun, name, at, lines in _lines(draft):
        wanted = lines.event or ()
        services = tuple(service for service in lines.service or () if draft.code.own(service))
        if services not in logged:
            # All of the kit: it has the service run, whatever of it the service imports.
            owners = (*services, KIT.name)
            files = chain.from_iterable(map(draft.code.own, owners)) if services else draft.code.files
            logged[services] = events(draft.code, files)
        for index, event in enumerate(wanted):
            if event not in logged[services]:
                writer = f"no code of {', '.join(services)}" if services else "no code"
                yield draft.error(
                    noun,
                    name,
                    *(*at, "event", *((index,) if len(wanted) > 1 else ())),
                    what=f"{writer} logs {event!r}",
                    breaks="no line would ever be found, and nothing says so",
                    fix=f"did you mean {near}?"
                    if (near := nearest(event, logged[services]))
                    else "write the word that the code gives a log call as `what`",
                )


def _lines(draft: Draft) -> Iterator[tuple[str, str, Key, LogLines]]:
    """The lines that services write; other resources' lines are not ours."""
    found: list[tuple[str, str, Key, LogLines]] = [
        ("metric", name, (), metric) for name, metric in draft.system.metrics.items()
    ]
    for alert in draft.system.alerts.values():
        for index, condition in enumerate(alert.conditions):
            if condition.log is not None:
                found.append(("alert", alert.name, ("conditions", index, "log"), condition.log))
    yield from (one for one in found if one[3].resource == DEFAULT_RESOURCE)


RULES: tuple[Rule, ...] = (values_name_something, events_are_logged)
