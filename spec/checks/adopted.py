"""What was taken over as it was found goes when a spec declares the same, and its roles stand where a policy is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from spec import names
from spec.adopted import MEMBERS
from spec.checks.draft import Draft, Rule
from spec.checks.rule import rule
from spec.errors import Finding
from spec.files import SERVICE_FILE, SERVICES, TASKS, TOPICS


@rule("SL140")
def specs_take_over(draft: Draft) -> Iterator[Finding]:
    """What a spec declares is not declared a second time as it was found."""
    ours = _declared(draft)
    for entry in draft.system.adopted.values():
        called = str(entry.properties.get("name") or "")
        by = ours.get((entry.type, called))
        if by:
            yield draft.error(
                "adopted",
                entry.name,
                what=f"{called} is declared by {by} too",
                breaks="one thing would have two owners, and each would undo what the other says",
                fix="delete this file: the spec takes over the thing that stands, under its name",
            )


@rule("SL141")
def roles_are_granted_somewhere(draft: Draft) -> Iterator[Finding]:
    """Bindings stand with what has a policy of its own."""
    for entry in draft.system.adopted.values():
        if entry.bindings and entry.type not in MEMBERS:
            yield draft.error(
                "adopted",
                entry.name,
                "bindings",
                what=f"{entry.type} has no policy that entries know",
                breaks="nobody would get the roles, and nobody would be told",
                fix=f"delete them, or write them at one of {', '.join(sorted(MEMBERS))}",
            )


def _declared(draft: Draft) -> Mapping[tuple[str, str], str]:
    """Type and name of what specs declare in the layer that has entries -> the file."""
    system = draft.system
    found = {("gcp:cloudtasks/queue:Queue", name): f"{TASKS}/{name}.yaml" for name in system.queues}
    found |= {("gcp:cloudrunv2/service:Service", name): f"{SERVICES}/{name}/{SERVICE_FILE}" for name in system.services}
    for topic in system.topics:
        dead = names.dead_letter_topic(topic)
        for one in (topic, dead):
            file = f"{TOPICS}/{topic}.yaml"
            found["gcp:pubsub/topic:Topic", one] = file
            found["gcp:pubsub/subscription:Subscription", names.subscription(one)] = file
    return found


RULES: tuple[Rule, ...] = (specs_take_over, roles_are_granted_somewhere)
