"""`sluice down`: stop the local stack, and with --erase forget it."""

from __future__ import annotations

import shutil
from typing import Annotated

import typer

from ops.asking import confirm
from ops.home import OWN, Home
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
        confirm(f"Erase {home.path} with all its payments, chain and keys?")
    stopped = control.stop(home)
    out.step("the local stack is stopped" if stopped else "no local stack was running", str(home.path))
    if erase:
        kept = _erase(home)
        out.step("its state is erased", f"left alone, not a stack's: {', '.join(kept)}" if kept else "")
    out.result({"stopped": stopped, "erased": erase, "home": str(home.path)})


def _erase(home: Home) -> list[str]:
    """Delete what is a stack's, and the folder if nothing else is in it; the names of what stays."""
    if not home.path.exists():
        return []
    for entry in home.path.iterdir():
        if not OWN.fullmatch(entry.name):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
    kept = home.foreign()
    if not kept:
        home.path.rmdir()
    return kept
