"""`sluice diagram`: the payment system as a drawing, from the specs: Mermaid, SVG, and the page of all queues."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

import spec
from ops import specs
from ops.diagram import drawing, mermaid, queues, svg
from ops.errors import BadUsage
from ops.output import Output

#: What stands around the drawing in a Markdown file.
BEGIN, END = "<!-- diagram: written by ./sluice diagram --write README.md -->\n", "<!-- /diagram -->"


class Form(StrEnum):
    """What is made."""

    MERMAID = "mermaid"
    SVG = "svg"


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("diagram", help="Draw services, queues, topics and permissions, from the specs.")(diagram)


def diagram(
    *,
    form: Annotated[Form, typer.Option("--format", help="Mermaid for Markdown, or SVG.")] = Form.MERMAID,
    permissions: Annotated[
        bool, typer.Option("--permissions", help="Draw every permission: callers, secrets, roles.")
    ] = False,
    to: Annotated[Path | None, typer.Option("--to", help="Write the drawing into this file.")] = None,
    write: Annotated[Path | None, typer.Option("--write", help="Put the flow between the marks of this file.")] = None,
    reference: Annotated[
        Path | None, typer.Option("--queues", help="Write the reference page of all queues into this file.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Draw the system."""
    out = Output(as_json=as_json)
    system = specs.load()
    picture = drawing.draw(system, with_permissions=permissions)
    if write:
        _save(out, write, replaced(_read(write), mermaid.flow(system), str(write)))
    if reference:
        _save(out, reference, queues.page(system))
    if not (write or reference) or to:
        text = _text(form, system, picture, whole=permissions)
        if to:
            _save(out, to, text)
        else:
            out.document(text)
    out.result(
        {
            "nodes": [{"name": node.name, "kind": node.kind} for node in picture.nodes.values()],
            "edges": [{"from": one.tail, "to": one.head, "role": one.role or None} for one in picture.arrows],
        }
    )


def _text(form: Form, system: spec.System, picture: drawing.Drawing, *, whole: bool) -> str:
    if form is Form.SVG:
        return svg.render(picture)
    return mermaid.whole(picture) if whole else mermaid.flow(system)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise BadUsage(f"{path} cannot be read: {error}", fix="name a Markdown file") from error


def _save(out: Output, path: Path, text: str) -> None:
    try:
        path.write_text(text)
    except OSError as error:
        raise BadUsage(f"{path}: {error.strerror}", fix="name a file that can be written") from error
    out.step(f"written to {path}")


def replaced(text: str, picture: str, where: str) -> str:
    """The text with this drawing between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BadUsage(
            f"{where} has no marks for the drawing", fix=f"put these two lines where it belongs:\n{BEGIN}{END}"
        )
    return before + begin + picture + end + after
