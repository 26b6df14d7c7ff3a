"""The verbs that look back: `rollout history` and `rollout show`. What a page says is page.py's."""

from __future__ import annotations

from typing import Annotated

import typer

from ops import place
from ops.confirming import Json, WhichStack
from ops.errors import BadUsage, OpsError
from ops.output import Output
from ops.rollout import page
from ops.rollout.state import moment
from ops.rollout.store import Store
from spec.stack import LOCAL


def register(group: typer.Typer) -> None:
    """Add them."""
    group.command("history", help="List the rollouts that are over.")(history)
    group.command("show", help="Print the page of one: what each step saw, why it was decided.")(show)


def history(
    target: Annotated[str, typer.Argument(metavar="[TARGET]", help="Of this route or service alone.")] = "",
    *,
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """List them, the newest last."""
    out = Output(as_json=as_json)
    store = Store(place.of(stack))
    found = [one for name in store.past(target) if (one := store.show(name)) is not None]
    found.sort(key=lambda one: moment(one.began))
    if found:
        out.table(
            ["id", "began", "by", "end", "why"],
            [[one.id, one.began[:19], one.who, page.end(one), one.why] for one in found],
        )
    else:
        out.say("nothing was rolled out and is over")
    out.result({"rollouts": [one.as_json() for one in found]})


def show(
    rollout: Annotated[str, typer.Argument(metavar="[ID]", help="Its id; the last one where none is named.")] = "",
    *,
    stack: WhichStack = LOCAL,
    as_json: Json = False,
) -> None:
    """Print the page."""
    out = Output(as_json=as_json)
    store = Store(place.of(stack))
    last, _ = store.read()
    found = last if last is not None and rollout in ("", last.id) else store.show(rollout)
    if found is None and not rollout:
        raise OpsError("nothing was ever rolled out here", fix="./sluice rollout start TARGET begins")
    if found is None:
        raise BadUsage(f"there is no rollout {rollout!r}", fix="./sluice rollout history lists them")
    out.plain(page.markdown(found).rstrip("\n"))
    out.result(found.as_json())
