"""`sluice rollback`: a route to 0 %, a service to the revision before: payments first, everything else after them."""

from __future__ import annotations

import contextlib
import threading
import time
from typing import Annotated

import typer

from ops import place, specs
from ops.confirming import Confirm, DryRun, Json, WhichStack, Why, Yes, confirm_change
from ops.errors import BadUsage, CallFailed, OpsError, Unreachable
from ops.output import Output
from ops.place import Place
from ops.rollout import hands, page, record, rollback, traffic
from ops.rollout.state import Kind, Rollout
from ops.rollout.store import Store
from spec.errors import choose
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
    kind = _kind(here, store, target)
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
    if helps := page.swallowed(done, stack):
        out.plain(f"    {helps}")
    out.result({**done.as_json(), "seconds_to_moved": round(took[0], 3)})


def _kind(here: Place, store: Store, target: str) -> Kind:
    """What routes there are the record says, and Cloud Run what services: the specs may be in the middle of an edit.

    They are asked where the record cannot be read. A name that is neither is refused before anything else is said.
    """
    try:
        routes = record.said(record.read(store.objects))["routes"]
    except OpsError:
        from ops.rollout import start

        return start.kind_of(specs.load(here.stack), target)
    if target in routes:
        return Kind.ROUTE
    with contextlib.suppress(Unreachable, CallFailed):  # its traffic is moved all the same, or says why not
        if traffic.found(here, target) is None:
            deployed = here.call("run", "GET", f"{here.parent}/services").get("services", ())
            names = [*routes, *(str(one["name"]).rpartition("/")[2] for one in deployed)]
            raise BadUsage(
                f"there is neither a route nor a deployed service {target!r} in {here.stack}",
                why="nothing was done",
                fix=choose(target, names, noun="target"),
            )
    return Kind.RELEASE


def _from(rollout: Rollout) -> str:
    share = f"{rollout.percent} %"
    return f"{rollout.canary}, at {share}," if rollout.canary else share


def _load() -> None:
    """Google's client takes its time to load: it does so while the state is read."""
    from google.cloud import run_v2

    _ = run_v2.ServicesClient
