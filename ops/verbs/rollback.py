"""`sluice rollback`: a route to 0 %, a service to the revision before: payments first, everything else after them."""

from __future__ import annotations

import threading
import time
from typing import Annotated

import typer

from ops import place, specs
from ops.confirming import Confirm, DryRun, Json, WhichStack, Why, Yes, confirm_change
from ops.errors import OpsError
from ops.output import Output
from ops.rollout import hands, record, rollback
from ops.rollout.state import Kind, Rollout
from ops.rollout.store import Store
from spec.stack import LOCAL

HELP = """Take a route to 0 %, or a service back to the revision before.

A route stays at 0 until a rollout raises it again (`rollout start ROUTE --force --steps 50,100`), or its share in
sluice:canaryPercent is deployed; `rollout abort` takes a route back to the share it began at instead.
"""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("rollback", help=HELP)(command)


def command(
    target: Annotated[str, typer.Argument(metavar="TARGET", help="A route or a service.")],
    *,
    why: Why = "",
    stack: WhichStack = LOCAL,
    dry_run: DryRun = False,
    yes: Yes = False,
    confirm: Confirm = "",
    as_json: Json = False,
) -> None:
    """Move traffic and record, then config and state, then tell."""
    began = time.monotonic()
    threading.Thread(target=_load, daemon=True).start()
    out = Output(as_json=as_json)
    here = place.of(stack)
    store = Store(here)
    kind = _kind(stack, store, target)
    try:
        if dry_run:
            found = rollback.meant(here, store, store.read()[0], target, kind)
            out.say(f"would roll back {target} in {stack}: from {_from(found)} to {found.stable or '0 %'}")
            out.result({"would_roll_back": target, "rollout": found.as_json()})
            return
        goal = "to 0 %" if kind is Kind.ROUTE else "to the revision before"
        confirm_change(here, f"Roll back {target} in {stack} {goal}?", yes=yes, named=confirm, as_json=as_json)
        rollout = rollback.begin(here, store, target, kind, why or "asked for")
    except rollback.AlreadyBack as error:
        out.step(error.what)
        out.result({"already": True, "why": error.what})
        return
    effects = hands.effects(here, out)
    took: list[float] = []

    def moved() -> None:
        took.append(time.monotonic() - began)
        out.step(f"traffic and record are moved, {took[0]:.1f} s after the command", rollout.stable or "0 %")

    done = rollback.run(here, store, effects, rollout, out.progress, moved=moved)
    out.step(f"{target} is rolled back", f"./sluice rollout show {done.id} is its page")
    out.result({**done.as_json(), "seconds_to_moved": round(took[0], 3)})


def _kind(stack: str, store: Store, target: str) -> Kind:
    """What routes there are the record says: the specs may be in the middle of an edit, and take their time to load.

    They are asked where it cannot be read.
    """
    try:
        return Kind.ROUTE if target in record.said(record.read(store.objects))["routes"] else Kind.RELEASE
    except OpsError:
        from ops.rollout import start

        return start.kind_of(specs.load(stack), target)


def _from(rollout: Rollout) -> str:
    share = f"{rollout.percent} %"
    return f"{rollout.canary}, at {share}," if rollout.canary else share


def _load() -> None:
    """Google's client takes its time to load: it does so while the state is read."""
    from google.cloud import run_v2

    _ = run_v2.ServicesClient
