"""The question before what cannot be taken back, and what whoever has no terminal does instead of answering it."""

from __future__ import annotations

import sys

import typer

from ops.errors import OpsError


def confirm(question: str) -> None:
    """Go on only where this is confirmed."""
    try:
        typer.confirm(question, abort=True)
    except typer.Abort as error:
        if sys.stdin.isatty():
            raise
        typer.echo()  # the question's line is not ended: nobody has pressed a key
        raise OpsError(
            "nothing was done: nobody confirmed it",
            why=f"this is asked first: {question}",
            fix="without a terminal, add --yes",
        ) from error
