"""Who may call what: no path has two doors, no list says a thing twice, no role is wider than the short list."""

from __future__ import annotations

import re
from collections.abc import Iterator

from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, choose
from spec.service import PROJECT_ROLES


@rule("SL302")
def public_paths_are_only_public(draft: Draft) -> Iterator[Finding]:
    """What anybody may call is not also behind a queue, a schedule or the operator's account."""
    for service in draft.system.services.values():
        guarded = [
            *((path, ("handles", path), "behind a queue") for path in service.handles),
            *(
                (call.path, ("schedules", name, "path"), "for the scheduler")
                for name, call in service.schedules.items()
            ),
            *(
                (path, ("operator_paths", index), "for the operator")
                for index, path in enumerate(service.operator_paths)
            ),
        ]
        for pattern, place, who in guarded:
            for path in service.public:
                if _matches(pattern, path):
                    yield draft.error(
                        "service",
                        service.name,
                        *place,
                        what=f"{pattern} is {who}, and public lists {path}",
                        breaks="anybody could call it without a token",
                        fix="take it out of public, or give it a path of its own",
                    )


@rule("SL303")
def messages_have_their_own_path(draft: Draft) -> Iterator[Finding]:
    """A path that decodes messages is not called by a schedule."""
    for service in draft.system.services.values():
        for name, call in service.schedules.items():
            if call.path in service.handles:
                yield draft.error(
                    "service",
                    service.name,
                    "schedules",
                    name,
                    "path",
                    what=f"{call.path} handles {service.handles[call.path]} from a queue",
                    breaks="the scheduler sends no message, so every call would be refused",
                    fix="give the schedule a path of its own, for example /sweep",
                )


@rule("SL118")
def nothing_is_listed_twice(draft: Draft) -> Iterator[Finding]:
    """A list says each thing once."""
    lists: list[tuple[str, str, str, tuple[str, ...]]] = [
        ("queue", queue.name, "from", queue.senders) for queue in draft.system.queues.values()
    ]
    for service in draft.system.services.values():
        for key in ("public", "operator_paths", "secrets", "project_roles"):
            lists.append(("service", service.name, key, getattr(service, key)))
    for noun, name, key, items in lists:
        for index, item in enumerate(items):
            if item in items[:index]:
                yield draft.error(
                    noun,
                    name,
                    key,
                    index,
                    what=f"{item} is listed twice",
                    breaks="one permission would be declared as two resources of the same name",
                    fix="delete one of the two",
                )


@rule("SL301", silenceable=True)
def project_roles_are_on_the_short_list(draft: Draft) -> Iterator[Finding]:
    """A service has no role on the whole project that could be given on something smaller."""
    for service in draft.system.services.values():
        for index, role in enumerate(service.project_roles):
            if role not in PROJECT_ROLES:
                yield draft.error(
                    "service",
                    service.name,
                    "project_roles",
                    index,
                    what=f"{role} may not be given on the whole project",
                    breaks="the service could act on every queue, secret and service of the project",
                    fix=f"{choose(role, PROJECT_ROLES, noun='role')} Other permissions follow from queues and secrets",
                )


def _matches(pattern: str, path: str) -> bool:
    parts = re.split(r"\{[a-z_]+\}", pattern)
    return re.fullmatch("[^/]+".join(re.escape(part) for part in parts), path) is not None


RULES: tuple[Rule, ...] = (
    public_paths_are_only_public,
    messages_have_their_own_path,
    nothing_is_listed_twice,
    project_roles_are_on_the_short_list,
)
