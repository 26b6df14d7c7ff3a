"""One rollout of one revision under a load of payments: what the command did, and what was seen of it from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

from bench._rollout_load import Load, settle
from bench._rollout_revisions import Bad, register
from bench._rollout_seen import Attempt, Traffic, attempts, tags
from ops import stack_config
from ops.home import Home
from spec import names
from spec.rollout import ROLLOUT
from tests.payments.bindings import now
from tests.payments.hops import id_of
from tests.payments.stack import Stack, http, until

#: A share stands longer than any trial takes, so that only a verdict ends it.
LONG = "48h"
#: Seconds for what is to happen at once: a new revision, a share, the end of a command.
AT_ONCE = 240.0
#: Seconds that the gates have after the load's end.
PATIENCE = 150.0
#: Phases of a rollout whose end is decided.
ENDING = ("promoting", "rolling_back", "aborting")
#: Payments of a burst, and how often the clock is moved after the last.
BURST, SETTLING = 6, 20
#: Payments before a rollout that begins at 100 %: nothing stands beside it, so gates go by what stood there before.
BEFORE = 120
#: A state that says nothing new is written once a minute, and its window may end so long before.
LATEST = timedelta(minutes=2)


def rules(stack: Stack, **said: Any) -> None:
    """Write this machine's rules of a rollout; what is not said is as the specs have it."""
    stack_config.change("local", {ROLLOUT: said}, home=Home(Path(stack.home)))


def kept(stack: Stack, name: str) -> Any:
    """An object of the rollout's bucket, or None where there is none."""
    bucket = names.rollout_bucket(stack.admin("GET", "status")["project"])
    path = name.replace("/", "%2F")
    code, found = http("GET", f"{stack.rest}/storage/v1/b/{bucket}/o/{path}?alt=media")
    return found if code == 200 else None


def share(stack: Stack, service: str) -> int:
    """The share of a service's canary that is in force."""
    return int((kept(stack, names.RECORD_OBJECT) or {}).get("releases", {}).get(service, {}).get("percent", 0))


def ending(stack: Stack) -> bool:
    """Whether a rollout's end is decided and being brought about."""
    return (kept(stack, names.ROLLOUT_OBJECT) or {}).get("phase") in ENDING


class Walk:
    """`sluice rollout start` as a process of its own."""

    def __init__(self, stack: Stack, *words: str) -> None:
        self.stack = stack
        self._out = stack.home / "walk.out"
        self._err = stack.home / "walk.err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "ops", "rollout", "start", *words, "--yes", "--json"],
                cwd=stack.root,
                env={**os.environ, "PYTHONPATH": str(stack.root), "SLUICE_HOME": str(stack.home)},
                stdout=out,
                stderr=err,
            )

    @property
    def going(self) -> bool:
        """Whether it walks."""
        return self._process.poll() is None

    @property
    def told(self) -> str:
        """All that it printed."""
        return self._out.read_text() + self._err.read_text()

    def end(self, timeout: float = AT_ONCE) -> Any:
        """Wait for its end; what it printed as JSON."""
        until(lambda: not self.going, timeout, lambda: f"the rollout goes on:\n{self.told[-2000:]}")
        return json.loads(self._out.read_text())

    def kill(self) -> None:
        """End the process where it stands."""
        with suppress(ProcessLookupError):
            self._process.kill()
        self._process.wait()


@dataclass(kw_only=True)
class Trial:
    """What came of one rollout; times are of the cloud's clock, in seconds."""

    fault: str
    step: int
    #: How it is to end.
    expected: str = "rolled_back"
    sent: int = 0
    #: Payments that were sent before it began.
    before: int = 0
    #: Payments of which the new revision got a task, and what share of those that were sent it is.
    met: int = 0
    met_percent: float = 0.0
    phase: str = ""
    verdict: str = ""
    why: str = ""
    #: The shares that stood, one after the other.
    steps: list[int] = field(default_factory=list)
    #: From the end of the first attempt on the new revision to the tag's move.
    seconds_to_moved: float | None = None
    #: Real seconds that the last look took, with its verdict.
    look_seconds: float = 0.0
    #: First attempts on it after the move, and attempts that were retries of its own tasks.
    first_after: int = 0
    retries_after: int = 0
    drift: bool = False
    settled: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def wrong(self) -> list[str]:
        """What was promised and is not so."""
        found = list(self.settled.get("differences", []))
        if self.phase != self.expected:
            found.append(f"it ended as {self.phase or 'nothing'}, not as {self.expected}: {self.why}")
        if self.settled.get("completed_after_replay") != self.before + self.sent:
            done = self.settled.get("completed_after_replay")
            found.append(f"{done} of {self.before + self.sent} payments are completed")
        if self.first_after:
            found.append(f"{self.first_after} tasks met the bad revision after its tag was moved")
        if self.drift:
            found.append("a preview shows changes")
        return found

    def as_json(self) -> dict[str, Any]:
        """Its figures."""
        return {**asdict(self), "wrong": self.wrong}


@dataclass(kw_only=True)
class Play:
    """A rollout of one revision, under way on a stack, and the load that it meets."""

    stack: Stack
    bad: Bad
    load: Load
    walk: Walk
    traffic: Traffic
    since: str
    revision: str
    #: How late metrics are taken to be.
    lag: timedelta
    #: Payments that were sent before it began.
    before: list[str]

    @property
    def state(self) -> dict[str, Any]:
        """The rollout as it is kept."""
        found: dict[str, Any] = kept(self.stack, names.ROLLOUT_OBJECT) or {}
        return found

    @property
    def verdict(self) -> dict[str, Any]:
        """What the gates said last."""
        steps = self.state.get("steps") or [{}]
        return dict(steps[-1].get("seen") or {})

    def looked(self) -> None:
        """Wait until the gates were asked at the present time, or the walk is over."""
        minute = datetime.fromisoformat(now(self.stack)).replace(second=0, microsecond=0)

        def done() -> bool:
            until_ = self.verdict.get("until")
            return not self.walk.going or bool(until_ and datetime.fromisoformat(until_) >= minute - LATEST - self.lag)

        until(done, AT_ONCE, lambda: f"the gates said last: {self.verdict}")

    def judged(self, trial: Trial) -> Trial:
        """Fill in what it came to, after everything is settled."""
        state, verdict = self.state, self.verdict
        trial.sent, trial.phase = len(self.load.sent), state.get("phase", "")
        trial.before = len(self.before)
        trial.why, trial.verdict = state.get("why", "") or verdict.get("why", ""), verdict.get("kind", "")
        trial.look_seconds = verdict.get("took", 0.0)
        trial.steps = [one["percent"] for one in state.get("steps", [])]
        trial.drift = drifted(self.stack)
        met = self._attempts()  # a day of settling writes so much that the log lets go of its beginning
        trial.settled = asdict(settle(self.stack, self.before + self.load.sent))
        told(trial, list((met | self._attempts()).values()), self.traffic.left(self.revision))
        return trial

    def _attempts(self) -> dict[tuple[str, int], Attempt]:
        found = attempts(self.stack, self.bad.service, self.revision, self.since)
        return {(one.task, one.number): one for one in found}


@contextmanager
def playing(stack: Stack, bad: Bad, steps: list[int], *, rate: float, **said: Any) -> Iterator[Play]:
    """A rollout that stands at its first share; it is over after the block, by an abort if by nothing else."""
    lag, earlier = said.pop("lag", 0), Load(stack, rate)
    earlier.start(said.pop("before", 0))
    earlier.wait()
    rules(stack, **{"steps": steps, "first_dwell": LONG, "dwell": LONG, "lag": f"{lag}s", **said})
    digest = register(stack, bad)
    since = now(stack)
    with Traffic(stack, bad.service) as traffic:
        walk = Walk(stack, bad.service, "--image", digest)
        try:
            until(lambda: share(stack, bad.service) == steps[0] or not walk.going, AT_ONCE, lambda: walk.told[-2000:])
            assert walk.going, walk.told[-2000:]
            revision = tags(stack, bad.service)["canary"]
            load = Load(stack, rate)
            yield Play(
                stack=stack, bad=bad, load=load, walk=walk, traffic=traffic, since=since, revision=revision,
                lag=timedelta(seconds=lag), before=earlier.sent,
            )  # fmt: skip
            load.stop()
            until(lambda: not (walk.going and ending(stack)), AT_ONCE, lambda: walk.told[-2000:])
            if walk.going:
                stack.sluice("rollout", "abort", "--yes")
            walk.end()
        finally:
            walk.kill()


def bad_rollout(
    stack: Stack, bad: Bad, step: int, *, payments: int, rate: float, say: Callable[[str], None] = print,
    moves: float = 0.0, **said: Any,
) -> Trial:  # fmt: skip
    """Roll a revision with a fault out to one share under load, and see it taken back; `moves` as in `driven`."""
    said.setdefault("before", BEFORE if step == 100 else 0)
    with playing(stack, bad, sorted({step, 100}), rate=rate, **said) as play:
        if moves:
            driven(play, payments, moves)
        else:
            play.load.start(payments)
            until(lambda: not (play.walk.going and play.load.going), payments / rate + AT_ONCE)
            deadline = time.monotonic() + PATIENCE
            until(lambda: not play.walk.going or time.monotonic() > deadline, PATIENCE + AT_ONCE)
    trial = play.judged(Trial(fault=bad.name, step=step))
    say(f"{bad.name} at {step} %: {json.dumps(trial.as_json())}")
    return trial


def driven(play: Play, payments: int, moves: float, each: int = BURST) -> None:
    """Send `each` payments at once and move the clock by so many seconds, in turns, until the rollout is over."""
    while play.walk.going and len(play.load.sent) < payments:
        burst(play, each)
        play.stack.advance(moves)
        play.looked()
    for _ in range(SETTLING):
        if not play.walk.going:
            break
        play.stack.advance(moves)
        play.looked()


def burst(play: Play, count: int) -> None:
    """Some payments of both ways at once."""
    ids = [id_of(way) for way, _ in zip(cycle(("single", "staged")), range(count), strict=False)]
    play.stack.send(amount="0.01", count=len(ids), unique_ids=ids, wait=True)
    play.load.sent += ids


def told(trial: Trial, found: list[Attempt], moved: datetime | None) -> None:
    """Fill in what attempts on the new revision say."""
    trial.met = len({one.task for one in found})
    trial.met_percent = round(trial.met / trial.sent * 100, 2) if trial.sent else 0.0
    if found and moved is not None and trial.phase == "rolled_back":
        trial.seconds_to_moved = round((moved - min(one.ended for one in found)).total_seconds(), 2)
        after = [one for one in found if one.began > moved]
        trial.first_after = sum(one.number == 1 for one in after)
        trial.retries_after = sum(one.number > 1 for one in after)


def drifted(stack: Stack) -> bool:
    """Whether a preview of the stack shows any change."""
    return bool(stack.json("preview", "--stack", "local")["changed"])
