"""What arrives at a receiver's path is what the receiver handles there: one law for queues and topics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from spec.checks.draft import Draft
from spec.errors import Finding, nearest
from spec.service import Service


class Edge(Protocol):
    """What leads to a service's path."""

    @property
    def name(self) -> str:
        """Its file's stem."""
        ...

    @property
    def path(self) -> str:
        """The receiver's path."""
        ...

    @property
    def message(self) -> str:
        """The message's type."""
        ...


def handled(draft: Draft, kind: str, edge: Edge, receiver: Service, *, lost: str, unread: str) -> Iterator[Finding]:
    """Say where the receiver handles nothing at the edge's path (`lost`), or something else (`unread`)."""
    file = f"service_code/{receiver.name}/service.yaml"
    found = receiver.handles.get(edge.path)
    if found is None:
        paths = [path for path, message in receiver.handles.items() if message == edge.message]
        near = paths[0] if paths else nearest(edge.path, receiver.handles)
        hint = f"did you mean {near}? Or add" if near else "add"
        what, fix = f"{receiver.name} handles nothing at {edge.path}", f"{hint} `{edge.path}: {edge.message}` to"
        yield draft.error(kind, edge.name, "path", what=what, breaks=lost, fix=f"{fix} handles in {file}")
    elif found != edge.message:
        what = f"{receiver.name} handles {found} at {edge.path}, not {edge.message}"
        fix = f"write message: {found}, or change handles in {file}"
        yield draft.error(kind, edge.name, "message", what=what, breaks=unread, fix=fix)
