"""Who is told of an alert, and what to do then: sections of the runbook, channels; and every queue is watched.

Owns what needs more than one file of dashboards/, the runbook and the stacks. What alerts look at is `series`'.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from spec import first
from spec.alert import Alert
from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding, Refused, choose
from spec.patterns import pattern
from spec.runbook import RUNBOOK, sections
from spec.selection import Match, members

#: What says how many tasks wait, and how long they have: of every queue there is an alert on both.
DEPTH, AGE = "cloudtasks.googleapis.com/queue/depth", "task_age"
#: The label that names the queue, by metric.
QUEUE_LABELS = {DEPTH: "queue_id", AGE: "queue"}

#: What stands in a label of a policy, as the runbook's anchor does.
LABEL_VALUE = re.compile(r"[a-z0-9_-]{1,63}", re.ASCII)

#: How the files of each kind may be called: their names become names in Google's APIs.
STEMS = {
    "alert": re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII),
    "slo": re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII),
    "channel": re.compile(r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII),
    "metric": re.compile(r"[a-z][a-z0-9_]{0,99}", re.ASCII),
}


@rule("SL406")
def names_are_allowed(draft: Draft) -> Iterator[Finding]:
    """Files of dashboards/ have names that Google takes."""
    for noun, name in draft.sources:
        pattern = STEMS.get(noun)
        if pattern is not None and not pattern.fullmatch(name):
            hyphen = "_" if noun == "metric" else "-"
            yield draft.error(
                noun,
                name,
                what=f"{name!r} is no name of a {noun}",
                breaks="Google refuses it, or people could not find it again",
                fix=f"rename the file: lower case letters, digits and {hyphen}, a letter first",
            )


@rule("SL407")
def sections_exist(draft: Draft) -> Iterator[Finding]:
    """Every section of the runbook that an alert names is there."""
    anchors = sections(draft.system.root) if draft.system.alerts else {}
    for alert in draft.system.alerts.values():
        if alert.runbook not in anchors:
            yield draft.error(
                "alert",
                alert.name,
                "runbook",
                what=f"{RUNBOOK} has no section {alert.runbook!r}",
                breaks="whoever is woken would not know what to do",
                fix=f"{choose(alert.runbook, anchors, noun='section')} Or write the section",
            )
        elif not LABEL_VALUE.fullmatch(alert.runbook):
            yield draft.error(
                "alert",
                alert.name,
                "runbook",
                what=f"{alert.runbook!r} is no value of a label",
                breaks="Monitoring refuses the policy, whose label names the section",
                fix="shorten the heading to 63 letters of a to z, digits, spaces and hyphens",
            )


@rule("SL408", silenceable=True)
def queues_are_watched(draft: Draft) -> Iterator[Finding]:
    """Of every queue there is an alert on its depth and one on the age of its tasks; not asked where no alert is."""
    system = draft.system
    if not system.alerts or system.alerts.keys() != draft.declared["alert"]:
        return
    groups = system.groups
    for queue in system.queues:
        for metric, lacking in ((DEPTH, "how many tasks wait"), (AGE, "how long they have waited")):
            if not any(_watches(alert, metric, queue, groups) for alert in system.alerts.values()):
                yield draft.error(
                    "queue",
                    queue,
                    what=f"no alert says {lacking} in {queue}",
                    breaks="its receiver could be away for a day, and nobody would know",
                    fix=f"add a file to dashboards/alerts/ with metric: {metric}, or widen where: of one that has it",
                )


def _watches(alert: Alert, metric: str, queue: str, groups: Mapping[str, tuple[str, ...]]) -> bool:
    label = QUEUE_LABELS[metric]
    return any(
        condition.metric == metric and (label not in condition.where or _admits(condition.where[label], queue, groups))
        for condition in alert.conditions
    )


def _admits(match: Match, value: str, groups: Mapping[str, tuple[str, ...]]) -> bool:
    if match.among is not None:
        return value in members(match.among, groups)
    if match.unlike is not None:
        return value not in members(match.unlike, groups)
    if match.starts is not None:
        return value.startswith(match.starts)
    return pattern(match.matches or "").fullmatch(value) is not None


@rule("SL409")
def channels_exist(draft: Draft) -> Iterator[Finding]:
    """Every channel that a stack has an address for is declared."""
    for stack in draft.stacks.values():
        for name in stack.watching.channels:
            if not draft.is_declared("channel", name):
                yield draft.error(
                    "stack",
                    stack.name,
                    *("config", "sluice:watching", "channels", name),
                    what=f"there is no channel {name!r}",
                    breaks="nobody would be told by it",
                    fix=f"{choose(name, draft.declared['channel'], noun='channel')} "
                    f"A new one is dashboards/channels/{name}.yaml",
                )


@rule("SL410", silenceable=True)
def somebody_is_told(draft: Draft) -> Iterator[Finding]:
    """In every stack each alert has a channel that takes its severity."""
    system = draft.system
    severities = {alert.severity for alert in system.alerts.values()}
    for stack in draft.stacks.values():
        if stack.is_foundation:
            continue
        channels = [system.channels[name] for name in stack.watching.channels if name in system.channels]
        told = {severity for channel in channels for severity in channel.takes}
        for severity in sorted(severities - told):
            yield draft.error(
                "stack",
                stack.name,
                *("config", "sluice:watching"),
                what=f"no channel of this stack takes alerts of severity {severity}",
                breaks="they would fire, and nobody would be told",
                fix=f"give a channel that takes {severity} an address: sluice:watching: {{channels: {{...}}}}",
            )


@rule("SL411")
def first_commands_work(draft: Draft) -> Iterator[Finding]:
    """The first command of an alert exists, and looks at the stack that the alert is of."""
    for alert in draft.system.alerts.values():
        try:
            first.check(alert.first)
        except Refused as refused:
            yield draft.error("alert", alert.name, "first", what=refused.what, breaks=refused.breaks, fix=refused.fix)


RULES: tuple[Rule, ...] = (
    names_are_allowed,
    sections_exist,
    queues_are_watched,
    channels_exist,
    somebody_is_told,
    first_commands_work,
)
