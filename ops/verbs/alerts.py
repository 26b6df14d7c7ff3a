"""`sluice alerts`: the incidents of a local cloud's alert policies, open and ended."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ops import clouds
from ops.clouds import WhichCloud
from ops.output import Output, counted

#: The colour of an open incident by its severity.
_COLOURS = {"Critical": "red bold", "Error": "red", "Warning": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("alerts", help="Show incidents: those that are open, or all of them.")(alerts)


def alerts(
    *,
    every: Annotated[bool, typer.Option("--all", help="Show those that have ended, too.")] = False,
    policy: Annotated[str, typer.Option(help="Only of policies with this in their name.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="So many, the newest.")] = 50,
    which: WhichCloud = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Print incidents, oldest first."""
    out = Output(as_json=as_json)
    found = clouds.find(which).admin("GET", "incidents" if every else "incidents?state=open")["incidents"]
    chosen = [one for one in found if policy.casefold() in one["policy"].casefold()][-limit:]
    out.result(chosen)
    for one in chosen:
        _show(out, one)
    if not chosen:
        out.say("no incident" if every else "no open incident; --all shows those that have ended")
    elif not every:
        out.say(counted(len(chosen), "open incident"))


def _show(out: Output, one: dict[str, Any]) -> None:
    is_open = one["state"] == "open"
    times = one["opened"][:19].replace("T", " ")
    if not is_open:
        times += f" to {one['closed'][:19].replace('T', ' ')}"
    colour = _COLOURS.get(one["severity"], "default") if is_open else "dim"
    out.plain(f"{times}  {one['state']:<6} {one['severity']:<11} {one['policy']}: {one['summary']}", style=colour)
    section = one.get("user_labels", {}).get("runbook")
    if section and is_open:
        out.plain(f"    docs/runbook.md#{section}", style="dim")
