"""`sluice iam`: which bindings a run has needed, who was let through by what, and how strictly the cloud asks."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from ops import clouds
from ops.clouds import WhichCloud
from ops.errors import BadUsage
from ops.output import Output, counted
from ops.verbs.clock import seconds

MODES = {
    "enforce": "calls without a binding are refused",
    "audit": "every call is let through; what would be refused is recorded",
    "off": "nothing is asked",
}

Json = Annotated[bool, typer.Option("--json", help="Print one JSON value.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(
        help="The local cloud's permissions: who asked, and for what.",
        no_args_is_help=True,
        rich_markup_mode=None,
    )
    group.command("unused", help="Bindings that no call has needed, and those that none here can need.")(unused)
    group.command("decisions", help="Who asked for what, and which binding let them through.")(decisions)
    group.command("mode", help="Show or change whether calls are refused: enforce, audit or off.")(mode)
    group.command("delay", help="Show or change how long changed bindings take to be in force: 0s, 2m, 7m.")(delay)
    app.add_typer(group, name="iam")


def unused(
    *,
    every: Annotated[bool, typer.Option("--all", help="Show what the used ones were used for, too.")] = False,
    reset: Annotated[bool, typer.Option("--reset", help="Start counting anew, from now.")] = False,
    which: WhichCloud = "",
    as_json: Json = False,
) -> None:
    """Print the report."""
    out = Output(as_json=as_json)
    cloud = clouds.find(which)
    value = cloud.admin("POST", "iam/usage:reset", {}) if reset else cloud.admin("GET", "iam/unused")
    out.result(value)
    if reset:
        out.step("counting anew: run what should be covered, then ask again")
        return
    idle, elsewhere, used = value["unused"], value["not_needed_here"], value["used"]
    if idle:
        rows = [[*_binding(one), one["since"][:19]] for one in idle]
        out.table(
            ["role", "member", "resource", "not used since"], rows, title=f"{counted(len(idle), 'unused binding')}"
        )
    else:
        out.say("every binding that a call here can need was needed")
    if elsewhere:
        rows = [[*_binding(one), one["why"]] for one in elsewhere]
        out.table(["role", "member", "resource", "why"], rows, title="\nno call here can need these")
    if every and used:
        rows = [
            [*_binding(one), str(one["calls"]), ", ".join(f"{name} {n}" for name, n in one["permissions"].items())]
            for one in used
        ]
        out.table(["role", "member", "resource", "calls", "permissions"], rows, title="\nused")
    elif used:
        out.say(f"\n{counted(len(used), 'binding')} used; --all shows for what")
    if value["mode"] != "enforce":
        out.say(f"the mode is {value['mode']}: calls went through without a binding, so this may not be all")


def decisions(
    *,
    refused: Annotated[bool, typer.Option("--refused", help="Only what no binding grants.")] = False,
    principal: Annotated[str, typer.Option(help="Only of callers with this in their name.")] = "",
    permission: Annotated[str, typer.Option(help="Only for permissions with this in their name.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=50_000, help="So many, the last ones.")] = 50,
    which: WhichCloud = "",
    as_json: Json = False,
) -> None:
    """Print the last decisions, oldest first."""
    from urllib.parse import urlencode

    out = Output(as_json=as_json)
    asked = {"limit": limit, "refused": str(refused).lower(), "principal": principal, "permission": permission}
    value = clouds.find(which).admin("GET", f"iam/decisions?{urlencode(asked)}")
    out.result(value)
    rows = [_decision(one) for one in value["decisions"]]
    if rows:
        out.table(["time", "answer", "principal", "permission", "resource", "by"], rows)
    else:
        out.say("no decision fits")


def mode(
    wanted: Annotated[str, typer.Argument(help="enforce, audit or off; without it the mode is shown.")] = "",
    *,
    which: WhichCloud = "",
    as_json: Json = False,
) -> None:
    """Show or change the mode."""
    out = Output(as_json=as_json)
    if wanted and wanted not in MODES:
        raise BadUsage(f"`{wanted}` is no mode", fix=f"one of {', '.join(MODES)}")
    cloud = clouds.find(which)
    value = cloud.admin("POST", "iam/mode", {"mode": wanted}) if wanted else cloud.admin("GET", "iam")
    out.say(f"{value['mode']}: {MODES[value['mode']]}")
    out.result(value)


def delay(
    wanted: Annotated[str, typer.Argument(help="How long: 0s, 2m, 7m; without it the delay is shown.")] = "",
    *,
    which: WhichCloud = "",
    as_json: Json = False,
) -> None:
    """Show or change the delay."""
    out = Output(as_json=as_json)
    by = seconds(wanted) if wanted else 0.0
    cloud = clouds.find(which)
    value = cloud.admin("POST", "iam/delay", {"seconds": by}) if wanted else cloud.admin("GET", "iam")
    out.say(f"a changed binding is in force after {value['delay']:g} s of the cloud's clock")
    for one in value["spreading"]:
        out.plain(f"  {one['resource']} changes at {one['until'][:19]}")
    out.result(value)


def _binding(one: dict[str, Any]) -> list[str]:
    condition = f" if {one['condition']}" if one.get("condition") else ""
    return [one["role"], one["member"], one["resource"] + condition]


def _decision(one: dict[str, Any]) -> list[str]:
    by = one.get("binding") or {}
    granting = "the owner" if one.get("owner") else f"{by['role']} on {by['resource']}" if by else "nothing"
    answer = "granted" if one["granted"] else "refused" if not one["allowed"] else "would be refused"
    return [one["time"][:19], answer, one["principal"], one["permission"], one["resource"], granting]
