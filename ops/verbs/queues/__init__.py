"""`sluice queues`: what waits in the queues, and the operator's hands on it; one module for each group of verbs."""

from __future__ import annotations

import typer

from ops.verbs.queues import describe, move, purge, restore, state, tasks


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(
        help="Look at queues; pause and resume them; run, move, purge tasks.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("list", help="List them with their states.")(state.list_)
    group.command("describe")(describe.describe)
    group.command("tasks")(tasks.tasks)
    group.command("pause", help="Stop dispatching; tasks are still taken and wait.")(state.pause)
    group.command("resume", help="Start paused queues; with --probe once hops are let through.")(state.resume)
    group.command("run")(tasks.run)
    group.command("move")(move.move)
    group.command("purge")(purge.purge)
    group.command("restore")(restore.restore)
    app.add_typer(group, name="queues")
