"""`sluice drain`: a change waits for what is due, says what is left, and with --pause meets nothing."""

from __future__ import annotations

import pytest

from ops import specs
from ops.queues import draining
from tests.ops.hands import OTHER, PAYING, RETRYING, SPLITS, Hands, Sluice, at_hand, sluice, stack

__all__ = ["at_hand", "sluice", "stack"]


@pytest.fixture
def clock(at_hand: Hands, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Between two looks the clock moves on by 20 seconds."""
    moved: list[float] = []

    def wait(_seconds: float) -> None:
        moved.append(20.0)
        at_hand.advance(20)

    monkeypatch.setattr(draining, "wait", wait)
    return moved


def test_a_service_is_drained_once_its_queues_hold_nothing_that_is_due(
    at_hand: Hands, sluice: Sluice, clock: list[float]
) -> None:
    at_hand.put(PAYING, *at_hand.names(3), after=30)
    at_hand.put(RETRYING, *at_hand.names(1), after=7200)
    at_hand.put(SPLITS, *at_hand.names(1), to="gcsplit", path="/process_split")  # not into gchostpay3
    at_hand.steer(PAYING, "resume")
    code, told = sluice("drain", "gchostpay3", yes=False)
    assert (code, told["drained"], len(at_hand.receiver.requests)) == (0, True, 3)
    assert len(clock) >= 2
    queues = {one["queue"]: one for one in told["queues"]}
    assert {PAYING, RETRYING} <= set(queues)
    assert SPLITS not in queues
    assert (queues[RETRYING]["due"], queues[RETRYING]["later"]) == (0, 1)
    assert told["not_held_back"] == ["schedule gchostpay3-sweep"]
    assert (told["paused"], told["resume"]) == ([], None)
    assert at_hand.state(PAYING) == "RUNNING"
    entry = at_hand.audits("drain")[0]
    assert (entry["subject"], entry["drained"], entry["paused"]) == ("gchostpay3", True, [])


def test_it_gives_up_in_time_and_says_what_is_left(at_hand: Hands, sluice: Sluice, clock: list[float]) -> None:
    at_hand.receiver.answers = [500]
    at_hand.put(PAYING, *at_hand.names(2))
    at_hand.steer(PAYING, "resume")
    code, told = sluice("drain", PAYING, "--timeout", "2m", yes=False)
    assert (code, len(clock)) == (1, 6)
    [left] = told["error"]["left"]
    assert (left["queue"], left["due"], left["state"]) == (PAYING, 2, "RUNNING")
    assert "not empty after 0:02:00" in told["error"]["what"]
    assert "2 due, the oldest created 0:02:0" in told["error"]["what"]
    assert f"./sluice drain {PAYING} waits on" in told["error"]["fix"]
    assert at_hand.audits("drain")[0]["left"] == 2


def test_it_does_not_wait_for_what_nothing_moves(at_hand: Hands, sluice: Sluice, clock: list[float]) -> None:
    at_hand.put(PAYING, *at_hand.names(2))
    code, told = sluice("drain", PAYING, yes=False)
    assert (code, clock) == (1, [])
    assert "the queues are paused" in told["error"]["what"]
    assert f"./sluice queues resume {PAYING}" in told["error"]["fix"]


def test_the_change_meets_nothing_that_comes_after_the_pause(
    at_hand: Hands, sluice: Sluice, clock: list[float]
) -> None:
    at_hand.put(PAYING, *(ids := at_hand.names(2)))
    for queue in (PAYING, RETRYING):
        at_hand.steer(queue, "resume")
    code, told = sluice("drain", PAYING, "--pause")
    assert (code, told["paused"]) == (0, [PAYING])
    assert told["resume"] == f"./sluice queues resume {PAYING}"
    at_hand.put(PAYING, *(late := at_hand.names(1)))
    at_hand.idle()
    assert set(at_hand.delivered()) == set(ids)
    assert set(at_hand.waiting(PAYING)) == set(late)
    assert at_hand.state(RETRYING) == "RUNNING"
    assert sluice("queues", "resume", PAYING)[0] == 0
    at_hand.idle()
    assert set(at_hand.delivered()) == {*ids, *late}


def test_a_queue_that_was_paused_before_is_not_among_those_that_resume(
    at_hand: Hands, sluice: Sluice, clock: list[float]
) -> None:
    at_hand.steer(PAYING, "resume")
    code, told = sluice("drain", "gchostpay3", "--pause")
    assert (code, told["paused"]) == (0, [PAYING])
    assert sluice("drain", "gchostpay3", "--pause")[1]["paused"] == []


def test_all_queues_must_be_empty_at_two_looks(
    at_hand: Hands, sluice: Sluice, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task that is looked for in the wrong moment has led on into a queue that was looked at before."""
    at_hand.steer(PAYING, "resume")
    real, looks = draining.look, [0]

    def look(*words: object) -> list[draining.Left]:
        looks[0] += 1
        seen = real(*words)  # type: ignore[arg-type]
        if looks[0] == 1:
            at_hand.put(PAYING, *at_hand.names(1), after=30)
        return seen

    monkeypatch.setattr(draining, "look", look)
    assert sluice("drain", "all", yes=False)[0] == 0
    assert len(at_hand.receiver.requests) == 1


def test_a_dry_run_says_what_is_waited_for(at_hand: Hands, sluice: Sluice) -> None:
    at_hand.steer(PAYING, "resume")
    at_hand.put(PAYING, *at_hand.names(2), after=300)
    code, told = sluice("drain", "gchostpay3", "--pause", "--dry-run", yes=False)
    due = {one["queue"]: one["due"] for one in told["would_wait_for"]}
    assert (code, due[PAYING], told["would_pause"]) == (0, 2, [PAYING])
    told = sluice("drain", "gchostpay3", "--dry-run", "--change", "1m", yes=False)[1]
    assert {one["queue"]: one["later"] for one in told["would_wait_for"]}[PAYING] == 2
    assert at_hand.state(PAYING) == "RUNNING"


def test_what_feeds_a_service_beside_its_queues_is_named(at_hand: Hands, sluice: Sluice) -> None:
    system = specs.load()
    assert "its public door" in draining.not_held(system, "gcwebhook")
    assert "topic paynow-events" in draining.not_held(system, "paynowworker")
    assert draining.not_held(system, PAYING) == []
    assert set(draining.queues_of(system, "all")) == set(system.queues)
    code, told = sluice("drain", "gchostpay33", yes=False)
    assert (code, "did you mean gchostpay3" in told["error"]["fix"]) == (2, True)
    assert OTHER in system.queues
