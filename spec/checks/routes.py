"""Routes join what exists, one a hop; who is to choose can; a sender that calls is not cut off while it waits."""

from __future__ import annotations

from collections.abc import Iterator

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.durations import Duration
from spec.errors import Finding, choose
from spec.route import DIRECT_TIMEOUT
from spec.task_queue import TaskQueue

#: What a sender does besides waiting for the receiver: its own row, and what it asks of others before.
OWN_WORK = Duration.parse("15s")

FILE = ("routes", "routes")


@rule("SL120")
def what_they_join_exists(draft: Draft) -> Iterator[Finding]:
    """A hop's queue and a chooser's folder are there."""
    for name, route in draft.system.routes.items():
        noun, wanted = ("queue", route.queue) if route.is_hop else ("service", route.service)
        if wanted is not None and not draft.is_declared(noun, wanted):
            yield draft.error(
                *FILE,
                "routes",
                name,
                noun,
                what=f"there is no {noun} {wanted!r}",
                breaks="nobody would choose, and every payment would take the same way",
                fix=choose(wanted, draft.declared[noun], noun=noun),
            )


@rule("SL121")
def a_hop_has_one_route(draft: Draft) -> Iterator[Finding]:
    """No two routes decide over one queue."""
    first: dict[str, str] = {}
    for name, queue in _hops(draft):
        other = first.setdefault(queue.name, name)
        if other != name:
            yield draft.error(
                *FILE,
                "routes",
                name,
                "queue",
                what=f"{other} is the route of {queue.name} already",
                breaks="nobody would know whose share counts",
                fix="delete one of the two",
            )


@rule("SL122")
def nobody_calls_itself(draft: Draft) -> Iterator[Finding]:
    """A queue from a service to itself is no hop that a call could take the place of."""
    for name, queue in _hops(draft):
        if queue.receiver in queue.senders:
            yield draft.error(
                *FILE,
                "routes",
                name,
                "queue",
                what=f"{queue.receiver} would call itself instead of {queue.name}",
                breaks="its requests would wait for one another, and an instance that is full for ever",
                fix="delete the route: what a service leaves to itself needs the queue",
            )


@rule("SL209", silenceable=True)
def senders_outlast_the_call(draft: Draft) -> Iterator[Finding]:
    """A direct call is made within the sender's own request: that is not cut off before the call is given up."""
    least = Duration(DIRECT_TIMEOUT.milliseconds + OWN_WORK.milliseconds)
    for name, queue in _hops(draft):
        for sender in queue.senders:
            service = draft.system.services.get(sender)
            if service is not None and service.timeout < least:
                yield draft.error(
                    "service",
                    sender,
                    "timeout",
                    what=f"a request of {sender} is cut off after {service.timeout}, "
                    f"but on the direct way of {name} it may wait {DIRECT_TIMEOUT} for {queue.receiver}",
                    breaks="its caller would be told of a failure though the payment is recorded",
                    fix=f"write timeout: {least} or more",
                )


@rule("SL123")
def choosers_know_the_ways(draft: Draft) -> Iterator[Finding]:
    """The service of a route says in `chooses` that its code chooses there, and between these two ways."""
    for name, route in draft.system.routes.items():
        service = draft.system.services.get(route.service or "")
        if service is None or service.chooses.get(name) == route.choice:
            continue
        known = service.chooses.get(name)
        if known is not None:
            yield draft.error(
                *FILE,
                "routes",
                name,
                *(("old",) if known.partition("/")[0] != route.old else ("new",)),
                what=f"{service.name} knows {name} as {known}, not as {route.choice}",
                breaks="it would take a way that it does not know for the other one, whatever the share",
                fix=f"write {{old: {known.replace('/', ', new: ')}, ...}}",
            )
            continue
        others = {one for one, choice in service.chooses.items() if choice == route.choice}
        hint = f"{choose(name, others, noun='route')} Or" if others else "delete the route, or"
        yield draft.error(
            *FILE,
            "routes",
            name,
            "service",
            what=f"{service.name} does not choose on a route {name}",
            breaks="its share would have no effect: every payment would go as before",
            fix=f"{hint} add chooses: {{{name}: {route.choice}}} to service_code/{service.name}/service.yaml "
            "once its code chooses",
        )


@rule("SL124")
def what_is_chosen_on_exists(draft: Draft) -> Iterator[Finding]:
    """A service that chooses on a route has it: its code does not start without."""
    unread = draft.declared["route"] != draft.system.routes.keys() or (FILE not in draft.sources and draft.findings)
    if unread:  # what could not be read is told of by itself
        return
    for service in draft.system.services.values():
        for name, choice in service.chooses.items():
            route = draft.system.routes.get(name)
            if route is not None and route.service == service.name:
                continue
            there = f"the route {name} is {route.service or 'a hop'}'s" if route else f"there is no route {name!r}"
            old, new = choice.split("/")
            yield draft.error(
                "service",
                service.name,
                "chooses",
                name,
                what=there,
                breaks=f"{service.name} chooses on it, and refuses to start without it",
                fix=f"write {name}: {{old: {old}, new: {new}, service: {service.name}}} in queue_configs/routes.yaml, "
                "or delete the line once the code chooses no more",
            )


def _hops(draft: Draft) -> Iterator[tuple[str, TaskQueue]]:
    for name, route in draft.system.routes.items():
        queue = draft.system.queues.get(route.queue or "")
        if queue is not None:
            yield name, queue


RULES: tuple[Rule, ...] = (
    what_they_join_exists,
    a_hop_has_one_route,
    nobody_calls_itself,
    senders_outlast_the_call,
    choosers_know_the_ways,
    what_is_chosen_on_exists,
)
