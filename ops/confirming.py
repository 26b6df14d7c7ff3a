"""The options of verbs that meet a stack; the question before a change, and who may answer it how.

With a terminal somebody is asked; for production the answer is the stack's name. Without a terminal `--yes` answers,
and for production `--confirm prod` beside it, so that no script that was written for another stack changes that one.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ops.asking import confirm
from ops.errors import BadUsage, OpsError
from ops.place import Place

#: The stack whose name must be said.
PROD = "prod"

#: Which stack a verb meets, and the options of those that change something.
WhichStack = Annotated[
    str, typer.Option("--stack", metavar="STACK", help="Which stack: local, or one on Google Cloud, such as prod.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask; for prod, --confirm prod is needed too.")]
#: Why something is done; it is kept with what was done.
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why it is done: kept with it.")]
Confirm = Annotated[str, typer.Option("--confirm", metavar="STACK", help="The stack's name, as the answer for prod.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def confirm_change(place: Place, question: str, *, yes: bool, named: str, as_json: bool) -> None:
    """Go on only where the change is confirmed, by the options --yes and --confirm; with --json nobody is asked."""
    if named and named != place.stack:
        raise BadUsage(
            f"--confirm {named} is not the stack that is meant: {place.stack}",
            why="the change would be made where nobody wanted it",
            fix=f"--stack {named}, or --confirm {place.stack}",
        )
    if place.stack == PROD and not named:
        _by_name(question, as_json=as_json)
    elif not yes and as_json:
        raise OpsError("nothing was done: nobody confirmed it", why=f"this is asked first: {question}", fix="add --yes")
    elif not yes:
        confirm(question)


def _by_name(question: str, *, as_json: bool) -> None:
    if as_json or not sys.stdin.isatty():
        raise OpsError(
            "nothing was done: nobody confirmed it by the stack's name",
            why=f"this is asked first: {question}",
            fix=f"{'with --json' if as_json else 'without a terminal'}, add --yes --confirm {PROD}",
        )
    typer.echo(question)
    if typer.prompt(f"This is {PROD}. Type its name to go on", default="", show_default=False).strip() != PROD:
        raise typer.Abort
