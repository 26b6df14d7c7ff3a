"""`sluice clock`: read the local cloud's clock, or move it; retries, tokens, schedules and block times go with it."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from ops.cloud import LocalCloud
from ops.errors import BadUsage
from ops.home import Home
from ops.output import Output

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="The local cloud's clock.", no_args_is_help=True, rich_markup_mode=None)
    group.command("show", help="The time there, and how far it is ahead.")(show)
    group.command("advance", help="Move it on, from timer to timer: every attempt falls where it is due.")(advance)
    app.add_typer(group, name="clock")


def show(*, as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False) -> None:
    """Print the time."""
    out = Output(as_json=as_json)
    value = LocalCloud(Home.find()).admin("GET", "clock")
    out.say(f"{value['now']}  ({value['offset']:.0f} s ahead of this machine)")
    out.result(value)


def advance(
    by: Annotated[str, typer.Argument(help="How far: 90s, 10m, 24h, 2d.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Move the clock."""
    out = Output(as_json=as_json)
    value = LocalCloud(Home.find()).admin("POST", "clock:advance", {"seconds": seconds(by)}, timeout=600)
    out.step(f"the clock stands at {value['now']}")
    out.result(value)


def seconds(text: str) -> float:
    """The seconds that a duration such as 90s, 1h30m or 24h names."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadUsage(
            f"`{text}` is no duration", why="the clock only moves forwards, by so much", fix="write 90s, 10m, 24h or 2d"
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
