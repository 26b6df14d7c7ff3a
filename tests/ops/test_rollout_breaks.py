"""Calls that break are made again, and what is not there yet is waited for; a way back tries harder than a step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ops.errors import CallFailed, OpsError, Unreachable
from ops.rollout import store, traffic
from ops.rollout.state import Phase
from tests.ops.rollouts import SERVICE, STABLE, Says, World, clear, world
from tests.ops.test_rollout_walk import stands


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with world(tmp_path_factory.mktemp("breaks")) as made:
        yield made


@pytest.fixture
def here(kept: World, monkeypatch: pytest.MonkeyPatch) -> World:
    clear(kept)
    monkeypatch.setattr(store, "pause", kept.slept.append)
    return kept


class Weather:
    """Calls of one API that break: so many, from now on, of each call that is made."""

    def __init__(
        self, here: World, monkeypatch: pytest.MonkeyPatch, *, api: str = "storage", after: bool = False
    ) -> None:
        self.left, self.after, self.api = 0, after, api
        self.call = here.place.call
        monkeypatch.setattr(here.place, "call", self)

    def __call__(self, api: str, method: str, path: str, *rest: Any, **more: Any) -> Any:
        if api != self.api or not self.left:
            return self.call(api, method, path, *rest, **more)
        self.left -= 1
        if self.after:
            self.call(api, method, path, *rest, **more)
            raise Unreachable("the connection was reset")
        raise CallFailed("backend error", status=503)


@pytest.mark.parametrize("after", [False, True], ids=["before-it-was-done", "after-it-was-done"])
def test_calls_that_break_are_made_again_and_no_write_is_made_twice(
    here: World, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    weather = Weather(here, monkeypatch, after=after)
    objects = store.Objects(here.place)
    weather.left = 1
    first = objects.write("a", b"1", over=0)
    weather.left = 1
    second = objects.write("a", b"2", over=first, hold=True)
    assert objects.read("a").generation == second
    assert objects.held("a")
    with pytest.raises(store.Lost):
        objects.write("a", b"2", over=first)  # nothing broke: this was written by somebody else
    weather.left = 1
    objects.hold("a", on=False, generation=second)
    weather.left = 1
    objects.delete("a", generation=second)
    assert not objects.read("a").there


def test_a_walk_lives_through_calls_that_break_and_a_way_back_tries_harder(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    weather = Weather(here, monkeypatch)
    here.begin(steps=(50, 100))
    weather.left = len(store.AGAIN)
    assert here.walk(lambda now: now.percent == 50).percent == 50
    weather.left = len(store.AGAIN) + 1
    with pytest.raises(CallFailed):
        here.store.read()
    weather.left = 0
    here.verdict = Says("unhealthy")
    with here.walker() as walker:
        say = walker.tell

        def told(line: str) -> None:
            say(line)
            if line.startswith("rolling"):
                weather.left = len(store.HARD)

        walker.tell = told
        assert walker.walk().phase is Phase.ROLLED_BACK
    stands(here, "payout", 0)


def test_traffic_does_not_wait_for_a_bucket_that_does_not_answer(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun = here.begin(SERVICE, steps=(50, 100))
    here.walk(lambda now: now.percent == 50)
    weather = Weather(here, monkeypatch)
    weather.left = 10_000
    with pytest.raises(OpsError, match="backend error"):
        here.effects().move_back(begun)
    weather.left = 0
    assert here.roles().canary == ""


def test_a_state_that_cannot_be_read_for_a_while_holds_the_share(here: World, monkeypatch: pytest.MonkeyPatch) -> None:
    weather = Weather(here, monkeypatch)
    here.begin(steps=(50, 100))
    here.verdict = Says("inconclusive")
    with here.walker() as walker:

        def pause() -> None:
            weather.left, here.verdict = (
                (len(store.AGAIN) + 1 if here.verdict.kind != "healthy" else 0),
                Says("healthy"),
            )
            here.pass_()

        walker.pause = pause
        assert walker.walk().phase is Phase.PROMOTED
    assert any("503" in line or "backend error" in line for line in here.told)


def test_traffic_that_is_asked_for_and_not_there_yet_is_waited_for(
    here: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = here.effects().services
    found = client.get_service(name=f"{here.place.parent}/services/{SERVICE}")
    left = [2]

    def get_service(**_: Any) -> Any:
        found.reconciling = left[0] > 0
        left[0] -= 1
        return found

    monkeypatch.setattr(client, "get_service", get_service)
    before = here.writes
    traffic.insist(here.place, client, SERVICE, traffic.Roles(stable=STABLE))
    assert left[0] < 0
    assert here.writes == before
