"""The explicit word: what one stack may delete or replace, named thing by thing in `sluice:unprotect`.

Owns which things are guarded, how each is named, in which layer it stands and what its loss would mean. Who heeds the
word are the components (protection in the state) and the engines (refusals).

Sources: https://cloud.google.com/tasks/docs/deleting-appengine-queues-and-tasks (a deleted queue's name is blocked for
days, its tasks are lost), https://cloud.google.com/secret-manager/docs/delete-secret,
https://cloud.google.com/sql/docs/postgres/delete-instance, https://cloud.google.com/pubsub/docs/delete-topic.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import AfterValidator, WithJsonSchema

from spec.errors import Refused, nearest

#: The key in stack config.
KEY = "sluice:unprotect"

#: Guarded things that have no file of their own: their words are their kinds.
DATABASE, EDGE, ROLLOUT = "database", "edge", "rollout"


@dataclass(frozen=True, kw_only=True, slots=True)
class Guarded:
    """One kind of thing that is not lost by a slip."""

    #: What the specs call it; empty where there is one only.
    noun: str
    #: Whether it stands in the layer that releases do not touch.
    foundation: bool
    #: What deleting or replacing one means.
    loses: str


#: Kinds by the first half of their words.
GUARDED = {
    "tasks": Guarded(
        noun="queue", foundation=False, loses="the tasks in it are lost, and Google refuses its name for days"
    ),
    "topics": Guarded(
        noun="topic", foundation=False, loses="messages and dead letters that were not acknowledged are lost"
    ),
    "services": Guarded(
        noun="service", foundation=False, loses="nobody answers at its URL, and its revisions are gone for a rollback"
    ),
    "secrets": Guarded(
        noun="secret", foundation=True, loses="every version of its value is destroyed, and its readers cannot start"
    ),
    DATABASE: Guarded(
        noun="", foundation=True, loses="payments, ledger and idempotency keys are gone, and the backups with them"
    ),
    ROLLOUT: Guarded(
        noun="", foundation=True, loses="services choose by the shares of their specs, and no rollout can go on or back"
    ),
    EDGE: Guarded(noun="", foundation=False, loses="partners and DNS know an address that is nobody's then"),
}


def word(kind: str, name: str = "") -> str:
    """Return the word of one thing: `tasks/old-queue`, `secrets/NAME`, `database`."""
    return f"{kind}/{name}" if GUARDED[kind].noun else kind


def parts(word: str) -> tuple[str, str]:
    """Return kind and name of a word."""
    kind, _, name = word.partition("/")
    return kind, name


def advice(word: str, stack: str) -> str:
    """Return how to lose the thing of this word in earnest."""
    return (
        f"to keep it, leave it as it is declared; to lose it, write `{KEY}: [{word}]` in "
        f"stacks/Pulumi.{stack}.yaml and apply that alone first (docs/runbook.md, Taking a queue away)"
    )


def _is_word(text: str) -> str:
    kind, name = parts(text)
    if kind in GUARDED and bool(name) is bool(GUARDED[kind].noun):
        return text
    forms = [word(known, "NAME") for known in GUARDED]
    near = nearest(kind, GUARDED)
    raise Refused(
        f"{text!r} names nothing that is guarded",
        breaks="nobody knows which thing may be lost, and none is",
        fix=f"did you mean {word(near, name or 'NAME')}?" if near else f"write one of {', '.join(forms)}",
    )


Word = Annotated[
    str,
    AfterValidator(_is_word),
    WithJsonSchema(
        {"type": "string", "pattern": "|".join(f"^{kind}{'/.+' if of.noun else ''}$" for kind, of in GUARDED.items())},
        mode="validation",
    ),
]
