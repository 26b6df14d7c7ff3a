"""`sluice queues describe`: one queue as it is, beside what the specs declare. Changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from ops import place
from ops.confirming import Json, WhichStack
from ops.errors import OpsError
from ops.output import Output, counted
from ops.queues.calls import PAGE, Calls
from ops.queues.describe import Attempts, Setting, Waiting, attempts, settings, waiting
from ops.verbs.queues.common import Queue, system
from spec import timeline
from spec.durations import Duration
from spec.stack import LOCAL

#: Attempts of the retry timeline that are shown.
ROWS = 8


def describe(queue: Queue, *, stack: WhichStack = LOCAL, as_json: Json = False) -> None:
    """Show one queue: config, what waits, retries, answers.

    Beside the config stands what the specs declare. Cloud Tasks lists tasks in no order of time and counts none: what
    is said of them holds for the first 1000 of its list. Age is the time since a task was created.
    """
    out = Output(as_json=as_json)
    here = place.of(stack)
    calls, specs = Calls(here), system()
    there = calls.queue(queue)
    declared = specs.queues.get(queue) if specs is not None else None
    config, held, now = settings(there, declared), waiting(calls, queue), here.now()
    state = str(there.get("state", "RUNNING"))
    out.plain(f"{queue} is {state.lower()}; {held.count} waiting{f', {held.running} running' if held.running else ''}")
    if declared is None:
        out.plain("  it is not declared in queue_configs/tasks/", style="yellow")
    else:
        edge = f"{', '.join(declared.senders)} -> {declared.receiver} {declared.path}, {declared.message}"
        out.plain(f"  {edge}" + (f"; its token lives {declared.token_window}" if declared.token_window else ""))
    _tasks(out, held, now)
    last = _attempts(out, calls, queue)
    out.say()
    if there.get("purgeTime"):
        out.plain(f"  purged  {str(there['purgeTime'])[:19]}, all that was created before")
    rows = [[one.name, _shown(one, one.there), _said(one)] for one in config]
    out.table(["config", "there", "in the specs"], rows)
    if any(one.differs for one in config):
        out.plain(f"an apply puts back what differs: ./sluice preview --stack {stack} shows it", style="yellow")
    tries: list[Any] = []
    if declared is not None:
        tries = [row.as_json() for row in islice(timeline.rows(declared), ROWS)]
        out.plain(f"\n{timeline.render(declared, ROWS)}")
    out.result(
        {
            **{"queue": queue, "state": state, "purged_at": there.get("purgeTime")},
            **{"waiting": len(held.tasks), "more": held.more, "running": held.running},
            "oldest": held.oldest.as_json(now) if held.oldest else None,
            "next": held.next.as_json(now) if held.next else None,
            **{"last_codes": held.codes, "last_attempts": last.codes if last else None, "sides": held.sides},
            "last_attempts_between": [last.first, last.last] if last and last.count else None,
            "from": list(declared.senders) if declared else None,
            "to": f"{declared.receiver}{declared.path}" if declared else None,
            "message": declared.message if declared else None,
            "config": {one.name: {"there": one.there, "declared": one.declared} for one in config},
            "differs": [one.name for one in config if one.differs],
            **{"attempts": tries, "given_up": timeline.stop_rule(declared) if declared else None},
        }
    )


def _tasks(out: Output, held: Waiting, now: datetime) -> None:
    if held.more:
        out.plain(f"  of the first {PAGE} in Cloud Tasks' list, which has no order of time:", style="dim")
    if held.oldest and held.next:
        late = (now - held.next.scheduled).total_seconds()
        due = f"due for {_span(late)}" if late > 0 else f"due in {_span(-late)}"
        out.plain(f"  oldest  {held.oldest.id}, created {_span(held.oldest.age(now))} ago")
        out.plain(f"  next    {held.next.id}, {due}")
    if held.codes:
        said = ", ".join(f"{counted(number, 'task')} {code}" for code, number in held.codes.items())
        out.plain(f"  of what waits, last answered  {said}")
    if set(held.sides) - {"stable"}:
        out.plain(f"  sides  {', '.join(f'{number} to {side}' for side, number in held.sides.items())}")


def _attempts(out: Output, calls: Calls, queue: str) -> Attempts | None:
    """The last attempts with their codes and their times; nothing where the log may not be read."""
    try:
        last = attempts(calls, queue)
    except OpsError as error:
        out.plain(f"  the last attempts are not told: {error.what}", style="yellow")
        return None
    if last.count:
        said = ", ".join(f"{number} answered {code}" for code, number in last.codes.items())
        span = f"{last.first[:19]} to {last.last[:19]}"
        out.plain(f"  the last {counted(last.count, 'attempt')}, {span}  {said}")
    return last


def _span(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


def _shown(one: Setting, value: float) -> str:
    if one.is_time:
        return str(Duration.of(seconds=value)) if value else "none"
    return "no limit" if value < 0 else f"{value:g}"


def _said(one: Setting) -> str:
    if one.declared is None:
        return ""
    return f"{_shown(one, one.declared)}  differs" if one.differs else "the same"
