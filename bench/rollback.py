"""`sluice rollback` under load: from the command to the last first attempt on the bad revision, TIMES times.

A revision that fails stands at half of the payments, and its gates cannot see it yet: metrics are three minutes late.
Then somebody types the command. Whatever began on the bad revision after that is counted, first attempts and retries
of its own tasks apart; times are of the cloud's log, so the command's own start is in them. What was sent is settled
and judged at the end. RATE is payments a second. Three quarters of a minute each on quiet cores.
"""

from __future__ import annotations

import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bench import _rollout_seen as seen
from bench._measure import NotKeptError
from bench._rollout_load import settle
from bench._rollout_revisions import Bad
from bench._rollout_trial import AT_ONCE, drifted, playing
from tests.payments.bindings import now
from tests.payments.stack import Stack, until

TIMES = int(os.environ.get("TIMES", "10"))
RATE = float(os.environ.get("RATE", "8"))
#: Seconds that the last first attempt may come after the command.
AIM = 5.0
#: Tasks that the bad revision has got before the command, and attempts at the door after it that are waited for.
MET, AFTER = 5, 12
#: Metrics are so late that no gate is quicker than the command.
LATE = 180


@dataclass(frozen=True, kw_only=True)
class Back:
    """One rollback; times are from the command's start."""

    seconds_to_last_first: float
    seconds_to_moved: float
    seconds_to_end: float
    first_after: int
    retries_after: int
    drift: bool


def run(say: Callable[[str], None]) -> dict[str, Any]:
    """Again and again on one stack."""
    with tempfile.TemporaryDirectory(prefix="sluice-", ignore_cleanup_errors=True) as folder:
        stack = Stack(Path(folder) / "home")
        try:
            stack.up()
            found, sent = [], list[str]()
            for _ in range(TIMES):
                found.append(back(stack, sent, RATE))
                say(str(asdict(found[-1])))
            ended = settle(stack, sent)
        finally:
            stack.sluice("down", check=False)
    figures: dict[str, Any] = {
        "times": len(found),
        "rate": RATE,
        **{
            name: {
                "median": round(statistics.median(getattr(one, name) for one in found), 2),
                "worst": round(max(getattr(one, name) for one in found), 2),
            }
            for name in ("seconds_to_last_first", "seconds_to_moved", "seconds_to_end", "first_after", "retries_after")
        },
        "payments": len(sent),
        "settled": asdict(ended),
        "drift": sum(one.drift for one in found),
        "load_average": round(os.getloadavg()[0], 1),
    }
    lost = ended.completed_after_replay < len(sent) or ended.differences
    if lost or figures["drift"] or figures["seconds_to_last_first"]["worst"] > AIM:
        raise NotKeptError(f"not back within {AIM:g} s, or not all are accounted for", figures)
    return figures


def back(stack: Stack, sent: list[str], rate: float) -> Back:
    """One rollback under load; what was sent is added to `sent`."""
    bad = Bad(kind="raises")
    with seen.metric_lag(stack, LATE), playing(stack, bad, [50, 100], rate=rate, lag=LATE) as play:
        play.load.start(10_000)
        until(lambda: _met(stack, play.revision, play.since) >= MET, AT_ONCE)
        command = now(stack)
        stack.sluice("rollback", bad.service, "--yes", "--json")
        end = now(stack)
        stable = seen.tags(stack, bad.service)["stable"]
        until(lambda: _met(stack, stable, end) >= AFTER, AT_ONCE)
        play.load.stop()
        play.walk.end()
        tries = seen.attempts(stack, bad.service, play.revision, command)
        moved = play.traffic.left(play.revision)
    sent += play.load.sent
    began, after = seen.moment(command), [one for one in tries if one.began > seen.moment(command)]
    firsts = [one.began for one in after if one.number == 1]
    return Back(
        seconds_to_last_first=_since(began, max(firsts, default=began)),
        seconds_to_moved=_since(began, moved or began),
        seconds_to_end=_since(began, seen.moment(end)),
        first_after=len(firsts),
        retries_after=len(after) - len(firsts),
        drift=drifted(stack),
    )


def _met(stack: Stack, revision: str, since: str) -> int:
    """Tasks that a revision has tried since then."""
    return len({one.task for one in seen.attempts(stack, "gchostpay", revision, since)})


def _since(began: datetime, at: datetime) -> float:
    return round((at - began).total_seconds(), 3)
