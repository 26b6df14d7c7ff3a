"""`sluice graph`: the payment system as a drawing, from the specs: services are nodes, queues and topics are edges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import spec
from ops import specs
from ops.errors import BadUsage
from ops.output import Output

#: What stands around the drawing in a Markdown file.
BEGIN, END = "<!-- graph: written by ./sluice graph --write README.md -->\n", "<!-- /graph -->"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("graph", help="Print the flow as a Mermaid drawing, or write it into a Markdown file.")(graph)


def graph(
    *,
    write: Annotated[Path | None, typer.Option("--write", help="Put it between the marks of this file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Draw the flow."""
    out = Output(as_json=as_json)
    system = specs.load()
    drawing = mermaid(system)
    if write:
        try:
            write.write_text(replaced(write.read_text(), drawing, str(write)))
        except OSError as error:
            raise BadUsage(f"{write}: {error.strerror}", fix="name a Markdown file that can be written") from error
        out.step(f"the drawing stands in {write}")
    else:
        out.plain(drawing)
    edges = [
        {"queue": q.name, "from": list(q.senders), "to": q.receiver, "path": q.path} for q in system.queues.values()
    ]
    edges += [
        {"topic": t.name, "from": list(t.publishers), "to": t.receiver, "path": t.path} for t in system.topics.values()
    ]
    out.result({"nodes": sorted(system.services), "edges": edges})


def mermaid(system: spec.System) -> str:
    """The drawing, in GitHub's Mermaid."""
    lines = ["```mermaid", "flowchart LR"]
    for service in system.services.values():
        if service.public:
            lines.append(f"    outside((outside)) -->|signed| {service.name}")
    for queue in system.queues.values():
        lines += [f"    {sender} -->|{queue.name}| {queue.receiver}" for sender in queue.senders]
    for topic in system.topics.values():
        lines += [f"    {publisher} ==>|{topic.name}| {topic.receiver}" for publisher in topic.publishers]
    return "\n".join([*lines, "```"]) + "\n"


def replaced(text: str, drawing: str, where: str) -> str:
    """The text with this drawing between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BadUsage(
            f"{where} has no marks for the drawing", fix=f"put these two lines where it belongs:\n{BEGIN}{END}"
        )
    return before + begin + drawing + end + after
