"""`sluice dead`: what died or was refused, in one table, and letters. One module for each group of verbs.

What changes something goes by the services' operator doors, which do it once however often they are asked, and write
who did it beside it (`ops/dead`, docs/adr/dead-letters.md).
"""

from __future__ import annotations

import typer

from ops.verbs.dead import act, look, settle


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(
        help="Decide on what died, was refused, or cannot be read.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list", help="List what waits for a decision, oldest first.")(look.list_)
    group.command("show", help="Show everything about one, and what a replay would do.")(look.show)
    group.command("replay", help="Pay, or publish, after all: each once, at a rate.")(act.replay)
    group.command("drop", help="Put events and letters aside; --undo takes that back.")(act.drop)
    group.command("mark", help="Say that a payment is looked into, or no longer.")(settle.mark)
    group.command("settle", help="Record that one was paid by other means.")(settle.settle)
    group.command("history", help="List what operators did: who, when, what, why.")(look.history)
    group.command("letters", help="The same as dead list --kind letter.")(look.letters)
    group.command("events", help="The same as dead list --kind event.")(look.events)
    app.add_typer(group, name="dead")
