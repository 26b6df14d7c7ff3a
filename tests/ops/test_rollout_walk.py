"""The walk of a rollout and the way back, against a local cloud: what is in force, what is kept, what is refused."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from ops.errors import OpsError
from ops.rollout import lock, record, rollback
from ops.rollout.state import Kind, Phase, Rollout
from ops.rollout.store import Lost, Objects
from spec.names import LOCK_OBJECT, RECORD_OBJECT, ROLLOUT_OBJECT
from tests import dose
from tests.ops.rollouts import CANARY, SERVICE, STABLE, Killed, Says, World, clear, world

Target = str


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("rollouts")) as made:
        yield made


@pytest.fixture
def here(kept: World) -> World:
    clear(kept)
    return kept


def back(here: World, target: Target = SERVICE, why: str = "bad") -> Rollout:
    kind = Kind.RELEASE if target == SERVICE else Kind.ROUTE
    begun = rollback.begin(here.place, here.store, target, kind, why)
    return rollback.run(here.place, here.store, here.effects(), begun)


def stands(here: World, target: Target, percent: int) -> None:
    """What services read, and Cloud Run's tags, are those of this share."""
    if target == "payout":
        assert here.record["routes"]["payout"]["percent"] == percent
        return
    tried = {SERVICE: {"percent": percent, "salt": CANARY, "canary": CANARY}}
    assert here.record["releases"] == (tried if percent else {})
    assert (here.roles().stable, here.roles().canary) == (STABLE, CANARY if percent else "")


@pytest.mark.parametrize("target", ["payout", SERVICE])
def test_a_good_one_goes_through_all_steps_and_leaves_nothing_to_apply(here: World, target: Target) -> None:
    here.begin(target)
    for percent in (10, 50, 100):

        def there(now: Rollout, share: int = percent) -> bool:
            return now.percent == share

        here.walk(there)
        stands(here, target, percent)
        assert here.settled()
        assert here.held()
    done = here.walk()
    assert done.phase is Phase.PROMOTED
    assert [step.percent for step in done.steps] == [10, 50, 100]
    assert here.settled()
    assert not here.held()
    if target == SERVICE:
        assert (here.roles().stable, here.roles().previous) == (CANARY, STABLE)
    assert here.store.show(done.id) == done


@pytest.mark.parametrize("target", ["payout", SERVICE])
def test_an_unhealthy_look_takes_it_back_by_itself_and_says_so_to_people(here: World, target: Target) -> None:
    here.begin(target)
    here.walk(lambda now: now.percent == 50)
    here.verdict = Says("unhealthy", "9 of 60 failed")
    done = here.walk()
    assert (done.phase, done.why, done.percent) == (Phase.ROLLED_BACK, "9 of 60 failed", 0)
    stands(here, target, 0)
    assert here.settled()
    assert not here.held()
    word = here.log()[-1]
    assert (word["event"], word["severity"], word["why"]) == ("rolled_back", "WARNING", "9 of 60 failed")


def test_what_cannot_be_told_is_held_however_long_it_takes(here: World) -> None:
    here.begin()
    here.verdict = Says("inconclusive", "3 of 50 samples")
    looks = 0

    def enough(_now: Rollout) -> bool:
        nonlocal looks
        looks += 1
        return looks > 30

    done = here.walk(enough)
    assert (done.phase, done.percent) == (Phase.RUNNING, 10)
    assert "3 of 50 samples" in here.told[-1]


def test_a_pause_holds_the_share_and_gates_still_take_it_back(here: World) -> None:
    here.begin()
    here.walk(lambda now: now.percent == 10)
    found, generation = here.store.read()
    assert found is not None
    here.store.write(found.turned(Phase.PAUSED, "lunch", "me"), generation)
    looks = iter(range(20))
    assert here.walk(lambda _: next(looks) == 19).percent == 10
    assert "paused by me: lunch" in here.told[-1]
    here.verdict = Says("unhealthy")
    assert here.walk().phase is Phase.ROLLED_BACK


@pytest.mark.parametrize("target", ["payout", SERVICE])
def test_an_abort_leaves_it_free_to_be_started_again(here: World, target: Target) -> None:
    here.begin(target)
    here.walk(lambda now: now.percent == 50)
    found, generation = here.store.read()
    assert found is not None
    here.store.write(found.turned(Phase.ABORTING, "later", "me"), generation)
    assert here.walk().phase is Phase.ABORTED
    stands(here, target, 0)
    assert here.settled()
    assert "rolled_back" not in here.releases.get(SERVICE, {})
    here.begin(target)
    assert here.walk().phase is Phase.PROMOTED


@pytest.mark.parametrize(("target", "good"), [("payout", True), (SERVICE, True), (SERVICE, False)])
def test_a_rollout_that_is_killed_after_any_write_goes_on_from_there(here: World, target: Target, good: bool) -> None:
    """After each write in turn the process dies; the next one brings the same end about, and leaves nothing behind."""

    def run(lives: int | None = None) -> Rollout:
        here.begin(target, steps=(50, 100))
        here.writes, here.lives = 0, lives
        while True:
            try:
                if not good and here.verdict.kind == "healthy":
                    here.walk(lambda now: now.percent == 50)
                    here.verdict = Says("unhealthy")
                return here.walk()
            except Killed:
                here.dead = False
                assert stays_consistent(here)

    run()
    total, end = here.writes, (here.record, here.roles(), strip(here))
    assert total > 10
    for number in dose.dose(range(1, total), lambda number: number * 6 // total):
        clear(here)
        done = run(lives=number)
        assert done.phase is (Phase.PROMOTED if good else Phase.ROLLED_BACK), number
        assert (here.record, here.roles(), strip(here)) == end, number
        assert here.settled(), number
        assert not here.held(), number


def stays_consistent(here: World) -> bool:
    """Whoever reads now finds a share that was decided, and who is stable runs."""
    found, _ = here.store.read()
    assert found is not None
    read = here.record["releases"].get(SERVICE, here.record["routes"]["payout"])["percent"]
    assert read in {0, found.percent, found.wanted}
    return bool(here.roles().stable)


def is_taken_back_whenever_killed(here: World, run: Callable[[int | None], Rollout], least: int) -> None:
    """A run of at least so many writes: killed after any of them, it ends as if it had not been."""
    run(None)
    total = here.writes
    assert total > least
    for number in dose.dose(range(1, total), lambda number: number * 6 // total):
        assert run(number).phase is Phase.ROLLED_BACK, number
        stands(here, SERVICE, 0)
        assert here.settled(), number
        assert not here.held(), number


def strip(here: World) -> dict[str, object]:
    """Config, without times."""
    return {name: {k: v for k, v in entry.items() if k != "keep_until"} for name, entry in here.releases.items()}


def test_a_rollback_that_is_killed_after_any_write_is_brought_to_its_end_by_another(here: World) -> None:
    def run(lives: int | None) -> Rollout:
        clear(here)
        here.begin(SERVICE)
        here.walk(lambda now: now.percent == 10)
        here.writes, here.lives = 0, lives
        try:
            return back(here)
        except Killed:
            here.dead = False
            begun, _ = here.store.read()
            assert begun is not None
            return begun if begun.phase is Phase.ROLLED_BACK else back(here)

    is_taken_back_whenever_killed(here, run, least=5)


def test_a_rollback_takes_the_rollout_from_its_walk_which_stops_and_writes_no_more(here: World) -> None:
    here.begin(SERVICE)
    here.verdict = Says("inconclusive")
    begun: list[Rollout] = []
    writes: list[int] = []

    def meanwhile() -> None:
        begun.append(rollback.begin(here.place, here.store, SERVICE, Kind.RELEASE, "by hand"))
        here.effects().move_back(begun[0])
        writes.append(here.writes)

    with here.walker() as walker:
        walker.pause = meanwhile
        assert walker.walk().phase is Phase.ROLLING_BACK
        assert here.writes == writes[0]
        assert len(begun) == 1
    assert rollback.run(here.place, here.store, here.effects(), begun[0]).phase is Phase.ROLLED_BACK
    stands(here, SERVICE, 0)


@pytest.mark.parametrize("after", range(1, 6))
def test_a_rollback_in_the_middle_of_a_step_comes_last(here: World, after: int) -> None:
    """Between any two writes of a step somebody rolls back: the share of the step never comes into force again."""
    here.begin(SERVICE)
    here.walk(lambda now: now.percent == 10)
    begun: list[Rollout] = []
    wrote = here.wrote
    left = after

    def between() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            here.wrote = wrote  # type: ignore[method-assign]
            begun.append(rollback.begin(here.place, here.store, SERVICE, Kind.RELEASE, "by hand"))
            here.effects().move_back(begun[0])

    here.wrote = between  # type: ignore[method-assign]
    try:
        stopped = here.walk(lambda now: now.percent == 50)
    finally:
        here.wrote = wrote  # type: ignore[method-assign]
    assert begun
    assert stopped.phase is Phase.ROLLING_BACK
    done = rollback.run(here.place, here.store, here.effects(), begun[0])
    assert done.phase is Phase.ROLLED_BACK
    stands(here, SERVICE, 0)
    assert here.settled()


def test_after_a_promotion_it_goes_back_to_what_was_stable_before(here: World) -> None:
    here.begin(SERVICE)
    here.walk()
    done = back(here)
    assert (done.phase, here.roles().stable, here.roles().previous) == (Phase.ROLLED_BACK, STABLE, "")
    assert here.releases[SERVICE] == {"stable": STABLE, "rolled_back": CANARY}
    assert here.settled()


def test_with_nothing_kept_the_tags_say_where_to_go_back_to(here: World) -> None:
    here.begin(SERVICE)
    here.walk()
    objects = Objects(here.place)
    objects.delete(ROLLOUT_OBJECT, generation=objects.read(ROLLOUT_OBJECT).generation)
    assert back(here).phase is Phase.ROLLED_BACK
    assert here.roles().stable == STABLE
    assert here.settled()


def test_a_route_goes_to_0_from_wherever_it_is_and_a_second_time_nothing_is_done(here: World) -> None:
    here.shares["payout"] = 40
    here.apply(None)
    done = back(here, "payout")
    assert (done.phase, here.shares["payout"]) == (Phase.ROLLED_BACK, 0)
    stands(here, "payout", 0)
    before = here.writes
    with pytest.raises(rollback.AlreadyBack):
        rollback.begin(here.place, here.store, "payout", Kind.ROUTE, "again")
    assert here.writes == before


def test_there_must_be_something_to_go_back_to(here: World) -> None:
    with pytest.raises(rollback.NothingToRollBack, match="no revision to go back to"):
        back(here)
    with pytest.raises(rollback.NothingToRollBack, match="is at 0 %"):
        back(here, "payout")
    assert here.store.read() == (None, 0)


def test_the_rollout_of_another_target_goes_on_beside_a_rollback(here: World) -> None:
    here.begin(SERVICE)
    here.shares["payout"] = 40
    here.apply(None)
    here.walk(lambda now: now.percent == 10)
    with here.walker() as walker:
        done = back(here, "payout")
        assert (done.phase, done.target) == (Phase.ROLLED_BACK, "payout")
        assert here.record["routes"]["payout"]["percent"] == 0
        assert walker.walk().phase is Phase.PROMOTED
    assert here.record["routes"]["payout"]["percent"] == 0
    assert here.settled()


def test_of_two_operators_the_second_is_refused_and_told_who_it_is(here: World) -> None:
    held = here.lock()
    try:
        with pytest.raises(lock.Locked) as refused:
            lock.acquire(here.place, "another")
        for said in ("a test", held.holder.who, held.holder.host, str(held.holder.pid)):
            assert said in str(refused.value)
        advice = str(refused.value.fix)
        assert "pause" not in advice, "the holder walks no rollout"
        assert advice.index("wait for it") < advice.index("ask") < advice.index("kill")
        here.pass_(3600)  # the clock was moved, and its holder lives: the lock is his
        with pytest.raises(lock.Locked):
            lock.acquire(here.place, "another")
    finally:
        held.release()
    lock.acquire(here.place, "another").release()


def test_a_lock_that_nobody_renews_is_taken_over_and_its_holder_notices(here: World) -> None:
    held = here.lock()
    objects = Objects(here.place)
    left = objects.read(LOCK_OBJECT)
    elsewhere = {**left.json, "host": "another", "machine": "another"}
    objects.write(LOCK_OBJECT, json.dumps(elsewhere).encode(), over=left.generation)
    with pytest.raises(lock.Locked, match="on another"):
        lock.acquire(here.place, "mine")
    here.pass_(lock.STALE + 1)
    mine = lock.acquire(here.place, "mine")
    held.renew()
    assert held.lost
    held.release()
    assert objects.read(LOCK_OBJECT).json["what"] == "mine"
    mine.release()


def test_the_lock_of_a_process_that_was_killed_here_is_taken_at_once(here: World) -> None:
    objects = Objects(here.place)
    held = here.lock()
    left = objects.read(LOCK_OBJECT)
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    held.release()
    objects.write(LOCK_OBJECT, json.dumps({**left.json, "pid": dead.pid}).encode(), over=0)
    assert lock.holder_of(here.place) is None
    lock.acquire(here.place, "mine").release()


def test_a_machine_of_the_same_name_takes_no_lock_that_is_held(here: World) -> None:
    """All containers of one image may be called alike; another one's process cannot be looked for here."""
    objects = Objects(here.place)
    held = here.lock()
    left = objects.read(LOCK_OBJECT)
    held.release()
    objects.write(LOCK_OBJECT, json.dumps({**left.json, "machine": "another", "pid": 1}).encode(), over=0)
    with pytest.raises(lock.Locked):
        lock.acquire(here.place, "mine")
    objects.delete(LOCK_OBJECT, generation=objects.read(LOCK_OBJECT).generation)


def test_while_it_runs_nobody_else_writes_the_record(here: World) -> None:
    here.begin()
    here.walk(lambda now: now.percent == 10)
    objects = Objects(here.place)
    found = objects.read(RECORD_OBJECT)
    with pytest.raises(OpsError, match="hold"):
        objects.write(RECORD_OBJECT, b"{}", over=found.generation)
    with pytest.raises(Lost):
        record.write(objects, replace(found, generation=found.generation - 1), record.route_share("payout", 90))
    stands(here, "payout", 10)
