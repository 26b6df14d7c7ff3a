"""The gates look from the moment that a share is in force, also while its apply runs.

An apply stands still until the test lets it go, between the record that it has written and the service that it will:
the worst place, since the service then gets the canary's tag once more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from ops.errors import OpsError
from ops.place import Local
from ops.rollout import lock, record, rollback, store, traffic
from ops.rollout.effects import NotDeclared
from ops.rollout.left import READ_BY_ALL
from ops.rollout.state import Kind, Phase, Rollout
from ops.rollout.walk import Walker
from tests.ops.rollouts import CANARY, SERVICE, STABLE, Killed, Says, World, clear, world
from tests.ops.test_rollout_walk import is_taken_back_whenever_killed, stands, stays_consistent

#: Real seconds for which an apply stands still at most.
LONGEST = 30.0


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("watch")) as made:
        yield made


@pytest.fixture
def here(kept: World, monkeypatch: pytest.MonkeyPatch) -> World:
    clear(kept)
    monkeypatch.setattr(store, "pause", kept.slept.append)
    monkeypatch.setattr(rollback, "pause", kept.slept.append)
    return kept


class Held:
    """The apply of the first share, which stands still until it is let go; `events` in their order."""

    def __init__(self, here: World) -> None:
        self.here, self.stands, self.free = here, threading.Event(), threading.Event()
        self.events: list[str] = []
        here.in_apply = self

    def __call__(self) -> None:
        shares = [*self.here.record["releases"].values(), self.here.record["routes"]["payout"]]
        if self.stands.is_set() or not any(one["percent"] for one in shares):
            return
        self.stands.set()
        for _ in range(int(LONGEST / 0.01)):  # a process that was killed takes its apply with it
            if self.free.wait(0.01) or self.here.dead:
                break
        self.events.append("apply goes on")

    def until_moved(self, walker: Walker) -> None:
        """It is let go by the first move back."""
        move = walker.effects.move_back

        def moved(rollout: Rollout) -> None:
            move(rollout)
            if not self.free.is_set():  # from then on the apply patches as it likes
                stands(self.here, rollout.target, 0)
            self.events.append("moved back")
            self.free.set()

        walker.effects.move_back = moved  # type: ignore[method-assign]


@contextmanager
def watching(here: World, look: Callable[[], Says], held: Held) -> Iterator[Walker]:
    """A walk whose gates say this once the apply stands still."""
    with here.walker() as walker:
        held.until_moved(walker)
        walker.look = lambda _rollout, _now: look() if held.stands.is_set() else Says("healthy")
        yield walker


@pytest.mark.parametrize("target", ["payout", SERVICE])
def test_what_is_bad_is_moved_back_while_the_apply_of_its_share_runs(here: World, target: str) -> None:
    here.begin(target, steps=(50, 100))
    held = Held(here)
    with watching(here, lambda: Says("unhealthy", "9 of 60 failed"), held) as walker:
        done = walker.walk()
    assert held.events[:2] == ["moved back", "apply goes on"]
    assert held.events.count("moved back") > 1, "what the apply brought afterwards is moved back, too"
    assert (done.phase, done.why) == (Phase.ROLLED_BACK, "9 of 60 failed")
    assert [(step.percent, step.verdict) for step in done.steps] == [(50, "unhealthy")]
    stands(here, target, 0)
    assert here.settled()
    assert not here.held()
    assert here.log()[-1]["percent"] == 50


def test_a_walk_that_is_killed_while_it_moves_back_beside_an_apply_leaves_what_another_brings_to_its_end(
    here: World,
) -> None:
    def run(lives: int | None) -> Rollout:
        clear(here)
        here.begin(SERVICE, steps=(50, 100))
        here.writes, here.lives = 0, lives
        while True:
            held = Held(here)
            try:
                with watching(here, lambda: Says("unhealthy"), held) as walker:
                    here.dead = False
                    return walker.walk()
            except Killed:
                here.dead = False
                assert stays_consistent(here)

    is_taken_back_whenever_killed(here, run, least=12)


def test_a_person_who_rolls_back_while_an_apply_runs_finds_it_moved_back_after_it(here: World) -> None:
    here.begin(SERVICE, steps=(50, 100))
    held = Held(here)
    begun: list[Rollout] = []

    def look() -> Says:
        if not begun:
            begun.append(rollback.begin(here.place, here.store, SERVICE, Kind.RELEASE, "by hand"))
            here.effects().move_back(begun[0])
        return Says("healthy")

    with watching(here, look, held) as walker:
        assert walker.walk().phase is Phase.ROLLING_BACK
    stands(here, SERVICE, 0)
    assert rollback.run(here.place, here.store, here.effects(), begun[0]).phase is Phase.ROLLED_BACK
    assert here.settled()


@pytest.mark.parametrize(
    ("share", "after"), [*((0, after) for after in range(2, 7)), *((100, after) for after in range(1, 9))]
)
def test_a_rollback_in_the_middle_of_a_deployment_or_a_promotion_comes_last(
    here: World, share: int, after: int
) -> None:
    """Between any two writes of it somebody rolls back; what its apply patches afterwards is moved back as well."""
    here.begin(SERVICE, steps=(100,))
    here.walk(lambda now: now.percent == share)
    begun: list[Rollout] = []
    wrote, left = here.wrote, after

    def between() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            here.wrote = wrote  # type: ignore[method-assign]
            begun.append(rollback.begin(here.place, here.store, SERVICE, Kind.RELEASE, "by hand"))
            here.effects().move_back(begun[0])

    here.wrote = between  # type: ignore[method-assign]
    try:
        stopped = here.walk()
    finally:
        here.wrote = wrote  # type: ignore[method-assign]
    assert begun
    assert stopped.phase is Phase.ROLLING_BACK
    stands(here, SERVICE, 0)
    assert rollback.run(here.place, here.store, here.effects(), begun[0]).phase is Phase.ROLLED_BACK
    stands(here, SERVICE, 0)
    assert here.settled()


def test_who_rolls_back_waits_for_the_lock_and_moves_back_what_the_other_s_apply_brings(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.begin(SERVICE, steps=(50, 100))
    here.walk(lambda now: now.percent == 50)
    begun = rollback.begin(here.place, here.store, SERVICE, Kind.RELEASE, "by hand")
    holder = here.lock()
    effects, said = here.effects(), list[str]()
    move, moves = effects.move_back, list[int]()

    def moved(rollout: Rollout) -> None:
        move(rollout)
        moves.append(here.writes)
        if len(moves) == 1:  # the apply of the walk that holds the lock patches late
            meant = traffic.Roles(stable=STABLE, canary=CANARY)
            traffic.insist(here.place, effects.services, SERVICE, meant)
        if len(moves) == 2:
            stands(here, SERVICE, 0)
            holder.release()

    effects.move_back = moved  # type: ignore[method-assign]
    monkeypatch.setattr(rollback, "AGAIN", 0.0)
    assert rollback.run(here.place, here.store, effects, begun, said.append).phase is Phase.ROLLED_BACK
    assert "wait for the lock" in said[0]


def test_the_second_of_two_who_roll_back_holds_no_record_against_the_first_one_s_apply(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    here.begin(SERVICE, steps=(50, 100))
    here.walk(lambda now: now.percent == 50)
    begun = rollback.begin(here.place, here.store, SERVICE, Kind.RELEASE, "by hand")
    first = lock.acquire(here.place, f"rollback of {SERVICE}")
    effects, acquire = here.effects(), lock.acquire
    move, moves, tries = effects.move_back, list[int](), list[str]()

    def moved(rollout: Rollout) -> None:
        move(rollout)
        moves.append(len(tries))

    def tried(place: Local, what: str, *, wait: float) -> lock.Lock:
        tries.append(what)
        if len(tries) == 4:
            first.release()
        return acquire(place, what, wait=wait)

    monkeypatch.setattr(effects, "move_back", moved)
    monkeypatch.setattr(rollback, "AGAIN", 0.0)
    monkeypatch.setattr(lock, "acquire", tried)
    assert rollback.run(here.place, here.store, effects, begun).phase is Phase.ROLLED_BACK
    assert moves == [0, 4]  # before it waits, and with the lock
    assert here.settled()


def test_a_share_waits_where_this_checkout_would_undo_what_another_has_set_and_is_watched_meanwhile(
    here: World,
) -> None:
    here.begin(SERVICE, steps=(50, 100))
    here.walk(lambda now: now.phase is Phase.RUNNING)
    record.insist(here.effects().objects, record.route_share("payout", 30))  # of another checkout
    looks: list[Says] = []
    with here.walker() as walker:

        def look(_rollout: Rollout, _now: Any) -> Says:
            looks.append(Says("healthy"))
            if len(looks) == 3:
                here.shares["payout"] = 30  # it is brought into this one
            return looks[-1]

        walker.look = look
        assert walker.walk().phase is Phase.PROMOTED
    assert any("held at 50 %" in line and '"percent": 30' in line for line in here.told)
    assert here.record["routes"]["payout"]["percent"] == 30
    assert here.settled()


def test_a_way_back_moves_payments_and_leaves_state_to_people_where_the_apply_would_undo_another(here: World) -> None:
    here.begin(SERVICE, steps=(50, 100))
    here.walk(lambda now: now.percent == 50)
    record.insist(here.effects().objects, record.route_share("payout", 30))
    here.verdict = Says("unhealthy")
    with pytest.raises(NotDeclared):
        here.walk()
    stands(here, SERVICE, 0)
    assert here.record["routes"]["payout"]["percent"] == 30
    assert here.held()
    here.shares["payout"] = 30
    assert here.walk().phase is Phase.ROLLED_BACK
    assert here.settled()


def test_a_way_back_goes_on_where_its_apply_fails(here: World) -> None:
    here.begin(steps=(50, 100))
    here.walk(lambda now: now.percent == 50)
    failed: list[int] = []

    def busy() -> None:
        failed.append(1)
        if len(failed) < 3:
            raise OpsError("somebody else applies")

    here.in_apply, here.verdict = busy, Says("unhealthy")
    assert here.walk().phase is Phase.ROLLED_BACK
    assert here.slept == list(rollback.SETTLE[:2])
    assert ["left" in entry for entry in here.log()[-2:]] == [True, False], "people are told once that it is not done"
    assert here.settled()


def test_an_abort_while_an_apply_runs_is_moved_at_once_and_a_pause_costs_no_second_apply(here: World) -> None:
    for phase in (Phase.PAUSED, Phase.ABORTING):
        clear(here)
        here.begin(steps=(50, 100))
        held = Held(here)
        looks: list[int] = []

        def look(word: Phase = phase, held: Held = held, looks: list[int] = looks) -> Says:
            looks.append(1)
            found, generation = here.store.read()
            assert found is not None
            if len(looks) == 1:
                here.store.write(found.turned(word, "wait", "me"), generation)
            elif word is Phase.PAUSED:
                held.free.set()
            return Says("healthy")

        with watching(here, look, held) as walker:
            done = walker.walk(lambda now: now.phase is Phase.PAUSED and now.percent == 50 and not now.unset)
        assert done.phase is (Phase.PAUSED if phase is Phase.PAUSED else Phase.ABORTED)
        assert held.events[0] == ("apply goes on" if phase is Phase.PAUSED else "moved back")
        stands(here, "payout", 50 if phase is Phase.PAUSED else 0)
        assert here.settled()


def test_what_an_apply_runs_into_ends_the_walk_and_the_next_one_goes_on(here: World) -> None:
    here.begin(steps=(50, 100))

    def breaks() -> None:
        raise OpsError("the apply broke")

    here.in_apply = breaks
    with pytest.raises(OpsError, match="the apply broke"):
        here.walk()
    found, _ = here.store.read()
    assert found is not None
    assert found.unset
    assert here.held()
    here.in_apply = lambda: None
    assert here.walk().phase is Phase.PROMOTED


def test_ctrl_c_ends_the_walk_after_the_apply_that_runs(here: World) -> None:
    here.begin(steps=(50, 100))
    held = Held(here)

    def look() -> Says:
        raise KeyboardInterrupt

    with watching(here, look, held) as walker:

        def told(line: str) -> None:
            if line.startswith("waiting for the apply"):
                held.free.set()

        walker.tell = told
        with pytest.raises(KeyboardInterrupt):
            walker.walk()
        assert held.events == ["apply goes on"]
    assert here.held()
    assert here.walk().phase is Phase.PROMOTED


def test_a_release_is_in_the_record_at_0_for_so_long_that_all_have_read_it_before_it_is_deployed(here: World) -> None:
    here.begin(SERVICE, steps=(50, 100))
    found: list[tuple[int, str, list[float]]] = []

    def deploying() -> None:
        if not found:
            found.append((here.record["releases"][SERVICE]["percent"], here.roles().canary, list(here.slept)))

    here.in_apply = deploying
    with here.walker() as walker:
        walker.seconds = lambda: 100.0
        walker.walk(lambda now: now.phase is Phase.RUNNING)
        assert found == [(0, "", [READ_BY_ALL])], "it is in the record before its revision is deployed, and all know it"
    with here.walker() as walker:  # the next one does not know since when
        walker.seconds = lambda: 100.0
        walker.walk(lambda now: now.percent == 50)
    assert here.slept == [READ_BY_ALL] * 2
    clear(here)
    here.begin(SERVICE, steps=(50, 100))
    with here.walker() as walker:
        walker.seconds = lambda: 100.0
        walker.walk(lambda now: now.percent == 100)
    assert here.slept == [READ_BY_ALL], "its shares wait for nothing more"
