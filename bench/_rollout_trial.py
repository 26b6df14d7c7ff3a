"""One rollout of one revision under a load of payments: what the command did, and what was seen of it from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bench._rollout_load import Load, settle
from bench._rollout_revisions import Bad, register
from bench._rollout_seen import Attempt, Traffic, attempts, moment, tags
from ops import stack_config
from ops.home import Home
from spec import names
from spec.rollout import ROLLOUT
from tests.payments.bindings import now
from tests.payments.stack import Stack, http, until

#: A share stands longer than any trial takes, so that only a verdict ends it.
LONG = "48h"
#: Seconds for what is to happen at once: a new revision, a share, the end of a command.
AT_ONCE = 60.0
#: Seconds that the gates have after the load's end.
PATIENCE = 150.0


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
        self._process.kill()
        self._process.wait()


@dataclass(kw_only=True)
class Trial:
    """What came of one rollout; times are of the cloud's clock, in seconds."""

    fault: str
    step: int
    sent: int = 0
    #: Payments of which the bad revision got a task, and what share of those that were sent it is.
    met: int = 0
    met_percent: float = 0.0
    phase: str = ""
    why: str = ""
    #: From the end of the first attempt on the bad revision to the tag's move.
    seconds_to_moved: float | None = None
    #: First attempts on it after the move, and attempts that were retries of its own tasks.
    first_after: int = 0
    retries_after: int = 0
    drift: bool = False
    settled: dict[str, Any] = field(default_factory=dict)

    @property
    def kept(self) -> list[str]:
        """What was promised and is not so."""
        wrong = list(self.settled.get("differences", []))
        if self.phase != "rolled_back":
            wrong.append(f"it ended as {self.phase or 'running'}: {self.why}")
        if self.settled.get("completed_after_replay") != self.sent:
            wrong.append(f"{self.settled.get('completed_after_replay')} of {self.sent} payments are completed")
        if self.drift:
            wrong.append("a preview shows changes")
        return wrong

    def as_json(self) -> dict[str, Any]:
        """Its figures."""
        return {**asdict(self), "wrong": self.kept}


def bad_rollout(
    stack: Stack, bad: Bad, step: int, *, payments: int, rate: float, say: Callable[[str], None] = print, **said: Any
) -> Trial:
    """Roll a revision with a fault out to one share under load, and see it taken back."""
    trial = Trial(fault=bad.name, step=step)
    rules(stack, steps=sorted({step, 100}), first_dwell=LONG, dwell=LONG, **{"lag": "0s", **said})
    digest = register(stack, bad)
    since, load = now(stack), Load(stack, rate)
    with Traffic(stack, bad.service) as traffic:
        walk = Walk(stack, bad.service, "--digest", digest)
        until(lambda: share(stack, bad.service) == step or not walk.going, AT_ONCE, lambda: walk.told[-2000:])
        revision = tags(stack, bad.service).get("canary", "")
        load.start(payments)
        until(lambda: not (walk.going and load.going), payments / rate + AT_ONCE)
        deadline = time.monotonic() + PATIENCE
        until(lambda: not walk.going or time.monotonic() > deadline, PATIENCE + AT_ONCE)
        load.stop()
        if walk.going:
            stack.sluice("rollout", "abort", bad.service, "--yes")
        walk.end()
    trial.sent = len(load.sent)
    state = kept(stack, names.ROLLOUT_OBJECT) or {}
    trial.phase, trial.why = state.get("phase", ""), state.get("why", "")
    told(trial, attempts(stack, bad.service, revision, since), traffic.left(revision))
    trial.drift = drifted(stack)
    trial.settled = asdict(settle(stack, load.sent))
    say(f"{bad.name} at {step} %: {json.dumps(trial.as_json())}")
    return trial


def told(trial: Trial, found: list[Attempt], moved: datetime | None) -> None:
    """Fill in what attempts on the bad revision say."""
    trial.met = len({one.task for one in found})
    trial.met_percent = round(trial.met / trial.sent * 100, 2) if trial.sent else 0.0
    if found and moved is not None:
        trial.seconds_to_moved = round((moved - min(one.ended for one in found)).total_seconds(), 2)
        after = [one for one in found if one.began > moved]
        trial.first_after = sum(one.number == 1 for one in after)
        trial.retries_after = sum(one.number > 1 for one in after)


def drifted(stack: Stack) -> bool:
    """Whether a preview of the stack shows any change."""
    return bool(stack.json("preview", "--stack", "local")["changed"])


def at(text: str) -> datetime:
    """A time of the rollout's state."""
    return moment(text)
