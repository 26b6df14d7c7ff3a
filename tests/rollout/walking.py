"""A rollout that a test walks look by look, in its own process: the command's own walk, whose pauses the test takes.

A look is taken when the test says so and never waited for; between two of them it sends payments and moves the clock by
the minutes that metrics are made of. What is looked at, decided, applied and taken back is a whole stack's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from itertools import cycle
from typing import Any

from bench._rollout_load import settle
from bench._rollout_revisions import Bad, register
from bench._rollout_seen import Attempt, attempts, moment
from bench._rollout_trial import LONG, rules
from ops import app, place, specs
from ops.output import Output
from ops.rollout import lock, session, start
from ops.rollout.state import Phase, Rollout
from ops.rollout.store import Store
from ops.rollout.walk import Walker
from tests.payments.bindings import now
from tests.payments.hops import id_of
from tests.payments.stack import Stack

MINUTE = 60


def sluice(*words: str) -> tuple[int, Any]:
    """A verb in this process, with --json: its exit status, and what it says. SLUICE_HOME is the stack's."""
    said = StringIO()
    with redirect_stdout(said):
        code = app.main([*words, "--json"])
    return code, json.loads(said.getvalue())


@dataclass(kw_only=True)
class Walk:
    """One rollout, under way."""

    stack: Stack
    walker: Walker
    #: When it began, by the cloud's clock.
    since: str
    sent: list[str] = field(default_factory=list)

    @property
    def rollout(self) -> Rollout:
        """How it stands."""
        return self.walker.rollout

    def gate(self, name: str) -> dict[str, Any]:
        """What a gate said last."""
        (found,) = [one for one in self.gates if one["gate"] == name]
        return found

    @property
    def gates(self) -> list[dict[str, Any]]:
        """What all gates said last."""
        return list(self.rollout.steps[-1].seen["gates"])

    def burst(self, count: int, *ways: str) -> None:
        """Some payments at once, of these ways to pay out in turns; not waited for."""
        ids = [id_of(way) for way, _ in zip(cycle(ways), range(count), strict=False)]
        self.stack.send(amount="0.01", count=count, unique_ids=ids, wait=True)
        self.sent += ids

    def looked(self, minutes: int = 1) -> Rollout:
        """Move the clock, minute by minute, and have the walk do all that it can do then."""
        for _ in range(minutes):
            if self.rollout.running:
                self.stack.advance(MINUTE)
                self.look()
        return self.rollout

    def look(self) -> None:
        """Have the walk go on until it would wait, or is over."""
        waits = [False]

        def waited() -> None:
            waits[0] = True

        self.walker.pause = waited
        self.walker.walk(until=lambda _: waits[0])

    def met(self, bad: Bad) -> int:
        """Of how many payments the new revision got a task."""
        return len({one.task for one in self._attempts(bad)})

    def first_after(self, bad: Bad) -> int:
        """First attempts on the new revision that began after the rollout was over."""
        ended = moment(self.rollout.ended)
        return sum(one.number == 1 and one.began > ended for one in self._attempts(bad))

    def _attempts(self, bad: Bad) -> list[Attempt]:
        return attempts(self.stack, bad.service, self.rollout.canary, self.since)


@contextmanager
def walked(stack: Stack, bad: Bad, steps: tuple[int, ...], **said: Any) -> Iterator[Walk]:
    """A rollout of this revision that stands at its first share; it is over after the block, aborted if need be."""
    rules(stack, **{"steps": list(steps), "first_dwell": LONG, "dwell": LONG, "lag": "0s", "min_samples": 50, **said})
    since = now(stack)
    here, system = place.of("local"), specs.load("local")
    store = Store(here)
    plan = start.planned(here, store, system, start.Wish(target=bad.service, digest=register(stack, bad)))
    with lock.held(here, "rollout in a test") as held:
        store.write(plan, store.read()[1])
        walker = session.walker(here, system, Output(as_json=True), held)
        walker.sleep = stack.advance  # services read the record anew by the clock that is moved
        walk = Walk(stack=stack, walker=walker, since=since)
        try:
            walk.look()
            assert walk.rollout.percent == steps[0], walk.rollout.why
            yield walk
        finally:
            if walk.rollout.running:  # also after a failure, or the tests after it would fail too
                kept, generation = store.read()
                assert kept is not None
                store.write(kept.turned(Phase.ABORTING, "", "a test"), generation)
                walk.look()


@contextmanager
def raised_again(route: str) -> Iterator[None]:
    """After the block a route that was rolled back in it is at 100 % again: by hand, so that no gate is waited for."""
    try:
        yield
    finally:
        here, system = place.of("local"), specs.load("local")
        store = Store(here)
        plan = start.planned(here, store, system, start.Wish(target=route, steps=(100,), force=True))
        store.write(plan, store.read()[1])
        for _ in range(2):  # to 100 %, and to the end
            code, done = sluice("rollout", "promote", "--to", "100", "--yes")
            assert code == 0, done
        assert done["phase"] == Phase.PROMOTED, done


def quiet() -> bool:
    """Whether a preview of the stack shows no change."""
    code, said = sluice("preview", "--stack", "local")
    assert code == 0, said
    return not said["changed"]


def paid_once_each(stack: Stack, walk: Walk) -> None:
    """Every payment is at its end, once what is dead is replayed, and every account is as recomputed."""
    ended = settle(stack, walk.sent)
    assert (ended.completed_after_replay, ended.differences) == (len(walk.sent), [])
