"""Who reaches what: no service that nobody can call, no door to the world that nobody answers for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Severity

#: Members that stand for more people than anybody knows.
EVERYBODY = re.compile(
    r"\b(?:allUsers|allAuthenticatedUsers)\b|^domain:|^principalSet://\S*/\*$|^projectEditor:|^projectViewer:"
)


@rule("SL305", Severity.WARNING)
def public_doors_are_answered_for(draft: Draft) -> Iterator[Finding]:
    """A service that the world may call says why."""
    for service in draft.system.services.values():
        if service.public:
            yield draft.warning(
                "service",
                service.name,
                "public",
                what=f"anybody may call {service.name}: {', '.join(service.public)}",
                breaks="whoever finds the address reaches the code: only the handler itself can refuse him",
                fix="take the paths out, or say in lint: {SL305: ...} who calls and what the handler verifies",
            )


@rule("SL306", silenceable=True)
def nobody_is_everybody(draft: Draft) -> Iterator[Finding]:
    """No member in a stack's config stands for everybody."""
    for stack in draft.stacks.values():
        for path, text in _texts((), draft.sources["stack", stack.name].values.get("config", {})):
            if EVERYBODY.search(text):
                yield draft.error(
                    "stack",
                    stack.name,
                    *("config", *path),
                    what=f"{text} stands for everybody",
                    breaks="what is granted to it is granted to people whom nobody has chosen",
                    fix="name a group, an account, or one repository's attribute",
                )


@rule("SL308", Severity.WARNING)
def services_are_reached(draft: Draft) -> Iterator[Finding]:
    """Every service has a way in: a queue, a topic, a schedule, a public or an operator's path."""
    if any(draft.declared[noun] != _known(draft, noun) for noun in ("queue", "topic")):
        return  # one of those that could not be read may lead there
    for service in draft.system.services.values():
        if not (draft.system.callers(service.name) or service.public):
            yield draft.warning(
                "service",
                service.name,
                what=f"nobody can call {service.name}",
                breaks="it would be deployed, and paid for where it keeps an instance, for nothing",
                fix="add a queue that leads there, or delete the folder",
            )


def _known(draft: Draft, noun: str) -> frozenset[str]:
    return frozenset(draft.system.queues if noun == "queue" else draft.system.topics)


def _texts(path: tuple[str, ...], value: Any) -> Iterator[tuple[tuple[str, ...], str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if key != "sluice:lint":
                yield from _texts((*path, str(key)), inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(path, inner)
    elif isinstance(value, str):
        yield path, value


RULES: tuple[Rule, ...] = (public_doors_are_answered_for, nobody_is_everybody, services_are_reached)
