"""The first command of an alert: what a stack fills into it, and whether it looks at the stack that the alert is of.

Owns the placeholders, and the list of those of our verbs that know `--stack`; tests/ops/test_first_commands.py holds
the list against the command line. What stands in `${...}` is Monitoring's to fill in.
"""

from __future__ import annotations

import re
import shlex
from itertools import pairwise

from spec.errors import Refused, choose

#: What a stack fills in.
PLACEHOLDERS = ("stack", "project", "region")

#: Verbs of ours that look at, or steer, the stack that they are told; others know this machine alone.
VERBS = (
    "dead drop",
    "dead events",
    "dead history",
    "dead letters",
    "dead list",
    "dead mark",
    "dead replay",
    "dead settle",
    "dead show",
    "drain",
    "drift",
    "logs",
    "preview",
    "queues describe",
    "queues list",
    "queues move",
    "queues pause",
    "queues purge",
    "queues restore",
    "queues resume",
    "queues run",
    "queues tasks",
    "reconcile",
    "resend",
    "rollback",
    "rollout abort",
    "rollout finish",
    "rollout history",
    "rollout pause",
    "rollout promote",
    "rollout resume",
    "rollout show",
    "rollout start",
    "rollout status",
    "secrets list",
    "secrets rotate",
    "wallet abandon",
    "wallet resume",
    "wallet show",
)

#: How each tool is told which stack is meant.
TOLD = {"./sluice": ("--stack", "{stack}"), "pulumi": ("--stack", "{stack}"), "gcloud": ("--project", "{project}")}

_PLACEHOLDER = re.compile(r"(?<!\$)\{([^{}]*)\}")
_BREAKS = "whoever is woken would look at another stack than the one that is ill, or run into an error"


def filled(command: str, *, stack: str, project: str, region: str) -> str:
    """Return the command as it is to be run for one stack."""
    values = {"stack": stack, "project": project, "region": region}
    return _PLACEHOLDER.sub(lambda found: values[found[1]], command)


def check(command: str) -> None:
    """Refuse a command that does not exist, or does not look at the stack that the alert is of."""
    for name in _PLACEHOLDER.findall(command):
        if name not in PLACEHOLDERS:
            raise Refused(
                f"nothing is known to fill in for {{{name}}}",
                breaks="the command would be sent as it stands",
                fix=f"{choose(name, PLACEHOLDERS, noun='placeholder')} Monitoring fills in ${{...}}",
            )
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise Refused(f"no shell reads it: {error}", breaks=_BREAKS, fix="close the quotation") from None
    tool = words[0] if words else ""
    if tool not in TOLD:
        raise Refused(
            f"{tool!r} is none of {', '.join(TOLD)}",
            breaks="whoever is woken might not have it",
            fix="write a command of one of them, or say it in the runbook's section",
        )
    if tool == "./sluice":
        _verb(words[1:])
    option, value = TOLD[tool]
    if (option, value) not in pairwise(words):
        raise Refused(
            f"it does not say which stack is meant: {option} {value} is missing",
            breaks=_BREAKS,
            fix=f"write {option} {value}; each stack fills its own in",
        )


def _verb(words: list[str]) -> None:
    groups = {verb.partition(" ")[0] for verb in VERBS if " " in verb}
    verb = " ".join(words[: 2 if words and words[0] in groups else 1])
    if verb not in VERBS:
        raise Refused(
            f"./sluice {verb} does not exist, or knows the stack on this machine alone",
            breaks=_BREAKS,
            fix=f"{choose(verb, VERBS, noun='verb')} On Google Cloud gcloud does the rest",
        )
