"""`sluice down`: stop the local stack, and with --erase forget it."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer

from ops.errors import BadUsage
from ops.home import ROOT, Home
from ops.output import Output
from ops.supervisor import control


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("down", help="Stop the local stack. Its state stays: the next `up` goes on where it was.")(down)


def down(
    *,
    erase: Annotated[bool, typer.Option("--erase", help="Delete its state too: payments, chain, keys.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before erasing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Stop what runs; nothing is left behind, no process and no port."""
    out = Output(as_json=as_json)
    home = Home.find()
    if erase and not yes and not as_json and home.path.exists():
        typer.confirm(f"Erase {home.path} with all its payments, chain and keys?", abort=True)
    stopped = control.stop(home)
    out.step("the local stack is stopped" if stopped else "no local stack was running", str(home.path))
    if erase:
        _erase(home)
        out.step("its state is erased")
    out.result({"stopped": stopped, "erased": erase, "home": str(home.path)})


def _erase(home: Home) -> None:
    """Delete the folder, if it is one of ours: SLUICE_HOME may name anything."""
    if not home.path.exists():
        return
    ours = (home.path / "stack.json").exists() or (home.path / "supervisor.lock").exists()
    if not ours or home.path in (ROOT, *ROOT.parents):
        raise BadUsage(
            f"{home.path} is not the state folder of a local stack, so it is not deleted",
            why="everything in it would be lost",
            fix="set SLUICE_HOME to the folder of the stack",
        )
    shutil.rmtree(home.path)
