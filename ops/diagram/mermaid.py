"""The drawing as Mermaid, for Markdown; queues and topics are words on the arrows of the flow."""

from __future__ import annotations

import spec
from ops.diagram.drawing import Drawing

#: How each kind of node is written.
SHAPES = {
    "service": '["{}"]',
    "queue": '(["{}"])',
    "topic": '[/"{}"/]',
    "outside": '(("{}"))',
    "secret": '[("{}")]',
    "caller": '>"{}"]',
}


def flow(system: spec.System) -> str:
    """The payment's way: services, and between them the queues and topics as words on arrows."""
    lines = ["```mermaid", "flowchart LR"]
    for service in system.services.values():
        if service.public:
            lines.append(f"    outside((outside)) -->|signed| {service.name}")
    for queue in system.queues.values():
        lines += [f"    {sender} -->|{queue.name}| {queue.receiver}" for sender in queue.senders]
    for topic in system.topics.values():
        lines += [f"    {publisher} ==>|{topic.name}| {topic.receiver}" for publisher in topic.publishers]
    return "\n".join([*lines, "```"]) + "\n"


def whole(drawing: Drawing) -> str:
    """Every node and arrow, with the role on it."""
    ids = {name: f"n{number}" for number, name in enumerate(drawing.nodes)}
    lines = ["```mermaid", "flowchart LR"]
    lines += [f"    {ids[node.name]}{SHAPES[node.kind].format(node.name)}" for node in drawing.nodes.values()]
    for arrow in drawing.arrows:
        words = f"|{arrow.role}|" if arrow.role else ""
        lines.append(f"    {ids[arrow.tail]} -->{words} {ids[arrow.head]}")
    return "\n".join([*lines, "```"]) + "\n"
