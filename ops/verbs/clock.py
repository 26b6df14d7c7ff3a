"""`sluice clock`: read the local cloud's clock, or move it; retries, tokens, schedules and block times go with it."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from threading import Event, Thread
from typing import Annotated, Any

import typer

from ops import clouds, rest
from ops.cloud import Cloud
from ops.clouds import WhichCloud
from ops.errors import BadUsage, CallFailed, OpsError
from ops.output import Output, counted, depth

#: Real seconds between two words of how far a move is, and the longest that one may take.
TELL_EVERY, LONGEST = 5.0, 86_400
#: So many words of it at most where each stays.
TENTHS = 10

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    group = typer.Typer(help="The local cloud's clock.", no_args_is_help=True, rich_markup_mode=None)
    group.command("show", help="The time there, and how far it is ahead.")(show)
    group.command("advance", help="Move it on, from timer to timer: every attempt falls where it is due.")(advance)
    group.command("stop", help="End a move that is under way, where the clock stands.")(stop)
    app.add_typer(group, name="clock")


def show(
    *,
    which: WhichCloud = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Print the time."""
    out = Output(as_json=as_json)
    value = clouds.find(which).admin("GET", "clock")
    out.say(f"{value['now']}  ({value['offset']:.0f} s ahead of this machine{_left(value, ', being moved')})")
    out.result(value)


def stop(
    *,
    which: WhichCloud = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Stop a move."""
    out = Output(as_json=as_json)
    value = clouds.find(which).admin("POST", "clock:stop", {})
    out.say(f"stopped at {value['now']}" if value["stopped"] else "the clock is not being moved")
    out.result(value)


def advance(
    by: Annotated[str, typer.Argument(help="How far: 90s, 10m, 24h, 2d.")],
    *,
    wait: Annotated[
        str, typer.Option("--wait", metavar="TIME", help="Real time that work in flight gets before it goes on: 10s.")
    ] = "10s",
    which: WhichCloud = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Move the clock, and say what that has set off."""
    out = Output(as_json=as_json)
    cloud = clouds.find(which)
    wish = {"seconds": seconds(by), "wait": seconds(wait)}
    before = cloud.status()
    try:
        with _told(cloud, out, wish["seconds"], by):
            value = cloud.admin("POST", "clock:advance", wish, timeout=LONGEST)
    except CallFailed as error:
        if error.status != 400:
            raise
        raise BadUsage(rest.reason(error.body), fix="write 90s, 10m, 24h or 2d") from error
    except (KeyboardInterrupt, SystemExit):
        value = cloud.admin("POST", "clock:stop", {})
        out.progress(f"stopped on its way: the clock stands at {value['now']}")
        raise
    after = cloud.status()
    if value.get("stopped"):
        raise OpsError(
            f"the move was stopped on its way: the clock of {after['project']} stands at {value['now']}",
            why="somebody ended it; a clock does not go back",
            fix="./sluice clock advance goes on from there",
        )
    out.step(f"the clock of {after['project']} stands at {value['now']}")
    for line in happened(before, after, value):
        out.plain(f"  {line}")
    out.result(value)


@contextlib.contextmanager
def _told(cloud: Cloud, out: Output, total: float, by: str) -> Iterator[None]:
    """Say how far the clock is while it moves: a day of retries takes minutes. Where lines stay, each tenth alone."""
    value = cloud.admin("GET", "clock")
    if value.get("moving_to") is not None:
        raise OpsError(
            f"the clock is being moved already{_left(value)}; it stands at {value['now']}",
            why="a second move would begin where that one ends, and nobody could tell whose effects are seen",
            fix="wait for it, or end it: ./sluice clock stop",
        )
    start, over = value["offset"], Event()

    def tell() -> None:
        told = -1
        while not over.wait(TELL_EVERY):
            with contextlib.suppress(OpsError):  # the move itself says what is wrong
                value = cloud.admin("GET", "clock", timeout=TELL_EVERY + 5)
                share = (value["offset"] - start) / (total or 1)
                if not over.is_set() and (out.writes_over or int(share * TENTHS) > told):
                    told = int(share * TENTHS)
                    out.progress(f"{share:4.0%} of {by}: {value['now'][:19]}")

    teller = Thread(target=tell, daemon=True)
    teller.start()
    try:
        yield
    finally:
        over.set()


def _left(value: dict[str, Any], head: str = "") -> str:
    """How far a move that is under way still goes."""
    goal = value.get("moving_to")
    return "" if goal is None else f"{head}, by {goal - value['offset']:.0f} s more"


def happened(before: dict[str, Any], after: dict[str, Any], moved: dict[str, Any]) -> list[str]:
    """What a move set off, as lines: attempts by answer, tasks that went, what waits, what was still at work."""
    lines = [f"{counted(moved['fired'], 'timer')} fired"]
    for name, queue in sorted(after["queues"].items()):
        was = before["queues"].get(name, {})
        counts = {key: queue.get(key, 0) - was.get(key, 0) for key in ("attempts", "succeeded", "dropped")}
        if any(counts.values()):
            lines.append(
                f"{name}: {counted(counts['attempts'], 'attempt')}, {counts['succeeded']} done, "
                f"{counts['dropped']} given up, {depth(queue)}"
            )
    for what, count in moved["unsettled"].items():
        noun, of, rest_ = what.partition(" of ")
        lines.append(
            f"{counted(count, noun)}{of}{rest_} had no answer after {moved['wait']:g} s (--wait): went on without"
        )
    return lines


def seconds(text: str) -> float:
    """The seconds that a duration such as 90s, 1h30m or 24h names."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise BadUsage(f"`{text}` is no duration", fix="write 90s, 10m, 24h or 2d")
    total = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if math.isinf(total):
        raise BadUsage("so long a duration cannot be reckoned with: nothing was done", fix="write 90s, 10m, 24h or 2d")
    return total
