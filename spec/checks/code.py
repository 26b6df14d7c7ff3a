"""What the services' code does that their specs do not allow, and what the specs allow that no code needs.

Asked by `sluice lint` alone. A service without code, as in a project of specs only, is asked nothing.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from spec.checks.after_response import left_running
from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Severity, Where, choose
from spec.service import Service
from spec.service_code import KIT

#: Google keeps a task that is to run later for so long at most.
FURTHEST_AHEAD = 720.0

_HOURS = {"weeks": 168.0, "days": 24.0, "hours": 1.0, "minutes": 1 / 60, "seconds": 1 / 3600}
_AHEAD = re.compile(r"\bafter\s*=|\bAGAIN\b|\bAFTER\b")


@rule("SL309", lint_only=True)
def code_sends_where_it_may(draft: Draft) -> Iterator[Finding]:
    """A service's code sends only to queues that name the service in `from`."""
    for service in _with_code(draft):
        own = {queue.name for queue in draft.system.queues_out_of(service.name)}
        for sent in draft.code.sends(service.name):
            if sent.queue in own or not _is_read(draft):
                continue
            fix = f"add {service.name} to from: in queue_configs/tasks/{sent.queue}.yaml"
            if not draft.is_declared("queue", sent.queue):
                fix = choose(sent.queue, draft.declared["queue"], noun="queue")
            yield Finding(
                where=Where(sent.file, sent.line, sent.column),
                key="",
                what=f"{service.name} sends to {sent.queue}, which it may not",
                breaks="no permission follows from the drawing, and no URL: every send would fail",
                fix=fix,
            )


@rule("SL310", Severity.WARNING, lint_only=True)
def permission_to_send_is_used(draft: Draft) -> Iterator[Finding]:
    """A service that may enqueue or publish has code that names the queue or topic."""
    edges = [("queue", queue.name, queue.senders) for queue in draft.system.queues.values()]
    edges += [("topic", topic.name, topic.publishers) for topic in draft.system.topics.values()]
    coded = {service.name for service in _with_code(draft)}
    for noun, name, senders in edges:
        for index, sender in enumerate(senders):
            if sender in coded and not _named(draft, sender, name):
                yield draft.warning(
                    noun,
                    name,
                    *("from", index),
                    what=f"no code of {sender} names {name}",
                    breaks="an account could do what nobody needs: whoever takes the service over could send too",
                    fix="take it out of from:, or send",
                )


@rule("SL311", Severity.WARNING, lint_only=True)
def secrets_are_used(draft: Draft) -> Iterator[Finding]:
    """A service that lists a secret has code that names it."""
    for service in _with_code(draft):
        for index, secret in enumerate(service.secrets):
            if not _named(draft, service.name, secret):
                yield draft.warning(
                    "service",
                    service.name,
                    *("secrets", index),
                    what=f"no code of {service.name} names {secret}",
                    breaks="the account may read, and the revision holds, a secret that nobody needs there",
                    fix="delete the line",
                )


@rule("SL312", Severity.WARNING, lint_only=True)
def config_is_used(draft: Draft) -> Iterator[Finding]:
    """A variable of a service's config is one that its code names."""
    for service in _with_code(draft):
        for name in service.config:
            if not _named(draft, service.name, name):
                yield draft.warning(
                    "service",
                    service.name,
                    *("config", name),
                    what=f"no code of {service.name} names {name}",
                    breaks="whoever changes it would wait in vain for an effect",
                    fix="delete the line, or correct the name",
                )


@rule("SL506", lint_only=True)
def tasks_are_not_too_far_ahead(draft: Draft) -> Iterator[Finding]:
    """No task is made for later than Google keeps it: 720 hours."""
    for file in _files(draft):
        text = draft.tree.text(file)
        if not _AHEAD.search(text) or "timedelta" not in text or (code := draft.tree.code(file)) is None:
            continue
        for node in ast.walk(code):
            if isinstance(node, ast.keyword) and node.arg == "after" and _hours(node.value) > FURTHEST_AHEAD:
                yield Finding(
                    where=Where(file, node.lineno, node.col_offset + 1),
                    key="after",
                    what=f"a task is made for {_hours(node.value):g} hours ahead",
                    breaks="Cloud Tasks refuses it: schedule_time is at most 720 hours ahead",
                    fix="write at most timedelta(days=30); what waits longer is a row that a schedule finds",
                )


@rule("SL705", silenceable=True, lint_only=True)
def nothing_is_done_after_the_response(draft: Draft) -> Iterator[Finding]:
    """A service billed by request leaves nothing running when it has answered."""
    for file in _files(draft):
        for call in left_running(draft.tree, file):
            owners = _runs_in(draft, file)
            if not owners:
                break
            yield Finding(
                where=Where(file, call.line, call.column),
                key="",
                what=f"{call.name} is not waited for, and {', '.join(owners)} has no CPU between requests",
                breaks="Cloud Run takes the CPU away with the answer: the work stands still, or is lost",
                fix="await it, leave it to a queue (Next), or write cpu_always: true in service.yaml",
            )


def _files(draft: Draft) -> tuple[Path, ...]:
    coded = [service.name for service in _with_code(draft)]
    return tuple(dict.fromkeys(file for name in coded for file in draft.code.modules(name)))


def _runs_in(draft: Draft, file: Path) -> list[str]:
    """The services billed by request whose code this is; of the kit's all that have code."""
    return [
        service.name
        for service in _with_code(draft)
        if not service.cpu_always and (file.parts[1] in (KIT.name, service.name))
    ]


def _with_code(draft: Draft) -> list[Service]:
    return [service for name, service in draft.system.services.items() if draft.code.own(name)]


def _named(draft: Draft, service: str, word: str) -> bool:
    return draft.code.mentions(service, word)


def _is_read(draft: Draft) -> bool:
    return draft.system.queues.keys() == draft.declared["queue"]


def _hours(value: ast.expr) -> float:
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "timedelta"):
        return 0.0
    parts = [(word.arg, word.value) for word in value.keywords]
    parts += [("days", argument) for argument in value.args[:1]]
    return sum(
        _HOURS.get(unit or "", 0.0) * number.value
        for unit, number in parts
        if isinstance(number, ast.Constant) and isinstance(number.value, int | float)
    )


RULES: tuple[Rule, ...] = (
    code_sends_where_it_may,
    permission_to_send_is_used,
    secrets_are_used,
    config_is_used,
    tasks_are_not_too_far_ahead,
    nothing_is_done_after_the_response,
)
